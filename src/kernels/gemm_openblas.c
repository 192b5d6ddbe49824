/* The only file that knows OpenBLAS. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kdsweep/kernels.h"

void kds_gemm(int transpose_a, int transpose_b, int32_t m, int32_t n, int32_t k, const float *a, const float *b,
              float beta, float *c)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, m, n,
                k, 1.0f, a, transpose_a ? m : k, b, transpose_b ? k : n, beta, c, n);
}

kds_status kds_blas_single_thread(kds_error *err)
{
    openblas_set_num_threads(1);
    int n_threads = openblas_get_num_threads();
    if (n_threads != 1) {
        return kds_error_set(err, KDS_UNSUPPORTED,
                             "set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 in the environment of all ranks",
                             "OpenBLAS keeps %d threads for each rank although it was told to use one", n_threads);
    }
    /* An OpenMP build (2) takes its count from OpenMP again at each call, whatever was set here. */
    if (openblas_get_parallel() == 2) {
        const char *omp = getenv("OMP_NUM_THREADS");
        if (!omp || strcmp(omp, "1") != 0) {
            return kds_error_set(err, KDS_UNSUPPORTED, "set OMP_NUM_THREADS=1 in the environment of all ranks",
                                 "this OpenBLAS was built with OpenMP and would use several threads for each rank");
        }
    }
    return KDS_OK;
}

const char *kds_blas_core(void)
{
    return openblas_get_corename();
}

const char *kds_blas_version(void)
{
    static char version[32] = "OpenBLAS "; /* the same text at every call */
    sscanf(openblas_get_config(), "OpenBLAS %15s", version + strlen("OpenBLAS "));
    return version;
}
