/*
 * Kernels: the few fat loops that the training core spends its time in, behind one table.
 *
 * The table starts as the complete scalar table, which defines the meaning of every entry and is the reference of the tests, and is
 * overwritten by vector entries where they are built and the processor and the operating system support them. It is passed in,
 * never global. Matrices are row-major float32 without padding unless a leading dimension is named.
 */
#ifndef KDSWEEP_KERNELS_H
#define KDSWEEP_KERNELS_H

#include <stdint.h>

#include "kdsweep/status.h"

typedef enum kds_isa { KDS_ISA_SCALAR, KDS_ISA_AVX2, KDS_ISA_AVX512, KDS_N_ISAS } kds_isa;

/* One term of a loss for kds_kernels.softmax_gradient. */
typedef struct kds_softmax_term {
    const float *target;       /* [n_rows][n_classes] rows of the simplex (need not sum to 1) */
    const float *offset;       /* [n_classes] added to the logits, or NULL: -log c of methods 0.4 */
    float inverse_temperature; /* logits are multiplied by it */
    float weight;              /* of this term in loss and gradient */
} kds_softmax_term;

typedef struct kds_kernels {
    kds_isa isa;

    /* out[i][j] = x[rows[i]][j] * scale[j] + shift[j] */
    void (*gather_u8)(int32_t n_rows, int32_t n_features, const int32_t *rows, const uint8_t *x, const float *scale,
                      const float *shift, float *out);
    void (*gather_f32)(int32_t n_rows, int32_t n_features, const int32_t *rows, const float *x, const float *scale,
                       const float *shift, float *out);

    /* y[i][j] += bias[j]; with relu != 0: y = max(y, 0). A NaN stays a NaN. */
    void (*bias_activation)(int32_t n_rows, int32_t n_columns, const float *bias, int relu, float *y);

    /* dy[i][j] = y[i][j] > 0 ? dy[i][j] : 0 where y is not NULL; then bias_gradient[j] = sum_i dy[i][j] (double sums). */
    void (*bias_activation_backward)(int32_t n_rows, int32_t n_columns, const float *y, float *dy,
                                     float *bias_gradient);

    /*
     * For each row and each term: z = f * inverse_temperature + offset, q = softmax(z);
     *   loss += weight * sum_y p_y (logsumexp(z) - z_y)           (mean over rows, returned, in double)
     *   df    = sum over terms of weight * inverse_temperature * (q * sum_y p_y - p) / n_rows
     * The maximum is subtracted first; a NaN or infinite logit gives a loss that is not finite. scratch: [n_classes].
     */
    double (*softmax_gradient)(int32_t n_rows, int32_t n_classes, const float *logits, int32_t n_terms,
                               const kds_softmax_term *terms, float *gradient, float *scratch);

    /* p[i] = softmax(logits[i] * inverse_temperature) */
    void (*softmax)(int32_t n_rows, int32_t n_classes, const float *logits, float inverse_temperature, float *p);

    /* g = gradient + weight_decay * w; v = momentum * v + g; w -= lr * (nesterov ? g + momentum * v : v)   (as PyTorch's SGD) */
    void (*sgd_step)(int64_t n, float lr, float momentum, int nesterov, float weight_decay, const float *gradient,
                     float *velocity, float *w);
} kds_kernels;

/* The best table for this machine, or the one that the environment variable KDSWEEP_ISA names (scalar, avx2, avx512). A bad name or a
 * level that is not built or not supported is KDS_USAGE / KDS_UNSUPPORTED. */
kds_status kds_kernels_select(kds_kernels *out, kds_error *err);

/* The table of one level. KDS_UNSUPPORTED when it is not built or this machine lacks it. */
kds_status kds_kernels_level(kds_isa isa, kds_kernels *out, kds_error *err);

const char *kds_isa_name(kds_isa isa);

/* ---- matrix products: the one place that knows OpenBLAS ------------------------------------------------------------ */

/* c[m][n] = op(a) op(b) + beta * c; op(a) is m x k, op(b) is k x n; `transpose_a`: a is stored k x m. */
void kds_gemm(int transpose_a, int transpose_b, int32_t m, int32_t n, int32_t k, const float *a, const float *b,
              float beta, float *c);

/* One thread per rank: sets it, then checks that it took (an OpenMP build ignores the call unless OMP_NUM_THREADS = 1).
 * KDS_UNSUPPORTED, with the setting that cures it, when the library would use more. */
kds_status kds_blas_single_thread(kds_error *err);

const char *kds_blas_core(void);    /* "SkylakeX": the code path that OpenBLAS chose */
const char *kds_blas_version(void); /* "OpenBLAS 0.3.21" */

#endif
