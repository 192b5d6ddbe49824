/* The only file that knows OpenBLAS. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kdsweep/kernels.h"

void kds_gemm(int transpose_a, int transpose_b, int32_t m, int32_t n, int32_t k, const float *a, int32_t a_row,
              const float *b, int32_t b_row, float beta, float *c, int32_t c_row)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, m, n,
                k, 1.0f, a, a_row, b, b_row, beta, c, c_row);
}

const char *kds_kernels_blas(const kds_kernels *kernels)
{
    static char text[96]; /* the same at every call */
    if (kernels->isa != KDS_ISA_SCALAR) {
        return "";
    }
    snprintf(text, sizeof text, "%s (%s)", kds_blas_version(), kds_blas_core());
    return text;
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

/* The names of OpenBLAS 0.2 to 0.3 for x86-64 and the best vectors that a core uses: SCALAR stands for SSE and for AVX without FMA. */
static const struct core {
    const char *name;
    kds_isa isa;
} cores[] = {
    {"Unknown", KDS_ISA_SCALAR},     {"Generic", KDS_ISA_SCALAR},   {"Katmai", KDS_ISA_SCALAR},
    {"Coppermine", KDS_ISA_SCALAR},  {"Northwood", KDS_ISA_SCALAR}, {"Prescott", KDS_ISA_SCALAR},
    {"Banias", KDS_ISA_SCALAR},      {"Core2", KDS_ISA_SCALAR},     {"Penryn", KDS_ISA_SCALAR},
    {"Dunnington", KDS_ISA_SCALAR},  {"Nehalem", KDS_ISA_SCALAR},   {"Atom", KDS_ISA_SCALAR},
    {"Athlon", KDS_ISA_SCALAR},      {"Opteron", KDS_ISA_SCALAR},   {"Opteron_SSE3", KDS_ISA_SCALAR},
    {"Barcelona", KDS_ISA_SCALAR},   {"Bobcat", KDS_ISA_SCALAR},    {"Nano", KDS_ISA_SCALAR},
    {"Sandybridge", KDS_ISA_SCALAR}, {"Bulldozer", KDS_ISA_SCALAR}, {"Piledriver", KDS_ISA_SCALAR},
    {"Steamroller", KDS_ISA_SCALAR}, {"Excavator", KDS_ISA_AVX2},   {"Haswell", KDS_ISA_AVX2},
    {"Zen", KDS_ISA_AVX2},
};

const char *kds_blas_better_core(const char *core, kds_isa isa)
{
    const char *const better[KDS_N_ISAS] = {[KDS_ISA_AVX2] = "Haswell", [KDS_ISA_AVX512] = "SkylakeX"};
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++) {
        if (strcasecmp(core, cores[i].name) == 0) {
            return isa > cores[i].isa && isa < KDS_N_ISAS ? better[isa] : NULL;
        }
    }
    return NULL;
}

kds_status kds_blas_check_core(kds_error *err)
{
    kds_kernels kernels;
    kds_isa isa = KDS_ISA_AVX512; /* the processor's, whatever KDSWEEP_ISA says */
    while (isa > KDS_ISA_SCALAR && kds_kernels_level(isa, &kernels, NULL) != KDS_OK) {
        isa--;
    }
    const char *core = kds_blas_core(), *better = kds_blas_better_core(core, isa);
    const char *wanted = getenv("OPENBLAS_CORETYPE");
    if (!better || (wanted && strcasecmp(wanted, core) == 0)) {
        return KDS_OK;
    }
    char hint[256];
    if (!strstr(openblas_get_config(), "DYNAMIC_ARCH")) {
        snprintf(
            hint, sizeof hint,
            "this OpenBLAS was built for one processor; take one that chooses at start (Debian: libopenblas0-pthread)");
    } else if (wanted && strcasecmp(wanted, better) == 0) {
        snprintf(hint, sizeof hint,
                 "this OpenBLAS does not have the core %s that OPENBLAS_CORETYPE asks for; take a newer one", better);
    } else {
        snprintf(
            hint, sizeof hint,
            "set OPENBLAS_CORETYPE=%s in the environment of all ranks (Open MPI: mpirun -x OPENBLAS_CORETYPE), or to %s to "
            "keep it",
            better, core);
    }
    return kds_error_set(err, KDS_UNSUPPORTED, hint, "OpenBLAS works as for a %s, although this processor has %s", core,
                         isa == KDS_ISA_AVX512 ? "AVX-512" : "AVX2 and FMA");
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
