/*
 * Kernels: the few fat loops that the training core spends its time in, behind one table.
 *
 * The table starts as the complete scalar table, which defines the meaning of every entry and is the reference of the tests, and is
 * overwritten by vector entries where they are built and the processor and the operating system support them. It is passed in,
 * never global. All numbers are float32. Rows of examples and classes lie without padding unless a pitch is named; maps have whole panels
 * of channels, and weights lie in panels (KDS_PANEL).
 */
#ifndef KDSWEEP_KERNELS_H
#define KDSWEEP_KERNELS_H

#include <stdint.h>

#include "kdsweep/status.h"

/* NEON is last but not "better than AVX-512": at most one family is ever built. */
typedef enum kds_isa { KDS_ISA_SCALAR, KDS_ISA_AVX2, KDS_ISA_AVX512, KDS_ISA_NEON, KDS_N_ISAS } kds_isa;

/* Columns of a panel. Activations inside a network have their channels padded with zeros to a multiple of it, and weights are stored panel
 * by panel, so that the kernels of every instruction set work in whole vectors and know no remainders. */
enum { KDS_PANEL = 16 };

/*
 * The one product of dense layers and convolutions. For every image i < n_images, output row r < n_rows, pixel p < n_pixels and
 * column j < 16 n_panels:
 *
 *   out[i*out_image + r*out_row + p*out_pixel + j] =
 *       sum_{s < n_segments} sum_{k < n_k} a[i*a_image + r*a_row + p*a_pixel + s*a_segment + k] * b[j / 16][s*n_k + k][j % 16]
 *
 * A convolution of height x width x channels images (channels innermost, a zero border around each) has one segment for each row of
 * taps and n_k = taps of a row * channels, as a row of taps is contiguous. A dense layer has one image of one row, its examples are the
 * pixels, and one segment. Strides are in floats.
 */
typedef struct kds_product_shape {
    int32_t n_images, n_rows, n_pixels;
    int32_t n_segments, n_k;
    int32_t n_panels;
    int64_t a_image, a_row, a_pixel, a_segment;
    int64_t out_image, out_row, out_pixel;
} kds_product_shape;

/*
 * Minimal filtering F(2x2, 3x3) (Winograd 1980; Lavin, Gray 2016): a 3x3 convolution of stride 1 costs 16 instead of 36 multiplications for
 * each 2 x 2 outputs. Each 4 x 4 tile of the input and each 3 x 3 filter is transformed to 16 numbers, the 16 products of matrices follow
 * (kds_kernels.product), and their results are transformed to 2 x 2 outputs:
 *
 *   y = A' [ (G w G') * (B' x B) ] A      B' = | 1  0 -1  0 |   G = |  1    0   0  |   A' = | 1  1  1  0 |
 *                                              | 0  1  1  0 |       | 1/2  1/2 1/2 |        | 0  1 -1 -1 |
 *                                              | 0 -1  1  0 |       | 1/2 -1/2 1/2 |
 *                                              | 0  1  0 -1 |       |  0    0   1  |
 *
 * The gradient of the filters is the adjoint, with as few: dw = G' [ (A dy A') * (B' x B) ] G.
 * n_rows x n_tiles tiles of one image, at a stride of 2 pixels; each of the 16 numbers has a plane of its own, [tile][n_columns].
 */
typedef struct kds_tiles {
    int32_t n_rows, n_tiles; /* rows of tiles, tiles of a row */
    int32_t n_columns;       /* a multiple of 16 */
    int32_t height, width;   /* winograd_out: pixels that exist; the last tiles may reach beyond */
    int64_t row, pixel;      /* floats from a row of pixels of the image to the next, from a pixel to the next */
    int64_t plane;           /* floats from a plane to the next */
} kds_tiles;

/* One step of SGD on a block of parameters, as PyTorch's: g = gradient + weight_decay * w; v = momentum * v + g;
 * w -= lr * (nesterov ? g + momentum * v : v). */
typedef struct kds_sgd {
    float lr, momentum, weight_decay;
    int nesterov;
} kds_sgd;

/* One term of a loss for kds_kernels.softmax_gradient. */
typedef struct kds_softmax_term {
    const float *target;       /* [n_rows][n_classes] rows of the simplex (need not sum to 1) */
    const float *offset;       /* [n_classes] added to the logits, or NULL: -log c of methods 0.4 */
    float inverse_temperature; /* logits are multiplied by it */
    float weight;              /* of this term in loss and gradient */
} kds_softmax_term;

typedef struct kds_kernels {
    kds_isa isa;

    /* out[i * pitch + j] = x[rows[i]][j] * scale[j] + shift[j] for j < n_features; the rest of a row of `pitch` floats is not touched. */
    void (*gather_u8)(int32_t n_rows, int32_t n_features, const int32_t *rows, const uint8_t *x, const float *scale,
                      const float *shift, int64_t pitch, float *out);
    void (*gather_f32)(int32_t n_rows, int32_t n_features, const int32_t *rows, const float *x, const float *scale,
                       const float *shift, int64_t pitch, float *out);

    /*
     * For each row and each term: z = f * inverse_temperature + offset, q = softmax(z);
     *   loss += weight * sum_y p_y (logsumexp(z) - z_y)           (mean over rows, returned, in double)
     *   df    = sum over terms of weight * inverse_temperature * (q * sum_y p_y - p) / n_rows
     * The maximum is subtracted first; a NaN or infinite logit gives a loss that is not finite. The logarithm of logsumexp, one for each
     * row and term, is the C library's for doubles: its error, below 1 ulp of a double, is nothing beside that of a float32 exponential.
     * scratch: [n_classes].
     */
    double (*softmax_gradient)(int32_t n_rows, int32_t n_classes, const float *logits, int32_t n_terms,
                               const kds_softmax_term *terms, float *gradient, float *scratch);

    /* p[i] = softmax(logits[i] * inverse_temperature) */
    void (*softmax)(int32_t n_rows, int32_t n_classes, const float *logits, float inverse_temperature, float *p);

    /* One step of kds_sgd on n parameters. */
    void (*sgd_step)(int64_t n, const kds_sgd *sgd, const float *gradient, float *velocity, float *w);

    /* ---- products. `a` may be unaligned; everything else is aligned to 64 bytes and its strides are multiples of 16 floats. ---- */

    /* out as described at kds_product_shape, then + bias[j] if bias is not NULL ([16 n_panels]), then max(., 0) with relu != 0 (a NaN
     * stays a NaN). Overwrites. */
    void (*product)(const kds_product_shape *shape, const float *a, const float *b, const float *bias, int relu,
                    float *out);

    /* The adjoint with respect to b, for a gradient d_out laid out as `out`:
     * d_b[j / 16][s*n_k + k][j % 16] (+)= sum_{i,r,p} a[...] * d_out[...]; added to what is there with accumulate != 0.
     * Each number is one float32 chain over all N = n_images * n_rows * n_pixels pixels of the call: its error is at most
     * N u sum |a d_out| to first order, u = 2^-24, in whatever order it is summed. The caller keeps N small by adding blocks. */
    void (*product_weights)(const kds_product_shape *shape, const float *a, const float *d_out, int accumulate,
                            float *d_b);

    /* product_weights whose result goes straight into a step of SGD on b and its velocity; the gradient is not kept. The same bits as
     * product_weights followed by sgd_step. */
    void (*product_step)(const kds_product_shape *shape, const float *a, const float *d_out, const kds_sgd *sgd,
                         float *velocity, float *b);

    /* B' x B of every tile of an image with its border of zeros; A dy A' of the 2 x 2 pixels of every tile (all must be readable);
     * A' m A, which overwrites the pixels that exist. */
    void (*winograd_in)(const kds_tiles *tiles, const float *x, float *planes);
    void (*winograd_gradient)(const kds_tiles *tiles, const float *dy, float *planes);
    void (*winograd_out)(const kds_tiles *tiles, const float *planes, float *y);

    /* 16 x 16: to[j * to_row + i] = from[i * from_row + j] */
    void (*transpose)(const float *from, int64_t from_row, float *to, int64_t to_row);

    /* ---- maps: [n_pixels][n_columns] with n_columns a multiple of 16, aligned to 64 bytes -------------------------------------- */

    /* out = y * scale[j] + shift[j] (+ other * other_scale[j]), then max(., 0) with relu != 0. `other` may be NULL; a NULL other_scale is 1.
     * `out_pixel`: floats from a pixel of out to the next, >= n_written; only columns j < n_written are stored (n_written <= n_columns;
     * out need not be aligned when out_pixel is no multiple of 16). y and out may be the same. */
    void (*affine)(int64_t n_pixels, int32_t n_columns, const float *y, const float *scale, const float *shift,
                   const float *other, const float *other_scale, int relu, int64_t out_pixel, int32_t n_written,
                   float *out);

    /* sum[j] += sum_p (y - center[j]), square[j] += sum_p (y - center[j])^2: float within at most 256 pixels, double beyond. */
    void (*moments)(int64_t n_pixels, int32_t n_columns, const float *y, const float *center, double *sum,
                    double *square);

    /*
     * The gradient with respect to a layer's output becomes that before its rectifier, and is summed for what lies below:
     *   out = gate > 0 ? d (+ add) : 0         gate = z where z is not NULL, else y * scale[j] + shift[j] where scale is not NULL;
     *                                          without either nothing is masked
     *   sum[j] += sum_p out                    sum may be NULL: nothing is summed
     *   product[j] += sum_p out * (y - center[j])   where product is not NULL
     * add may be NULL; out may be d or add. Sums as in moments.
     */
    void (*gate)(int64_t n_pixels, int32_t n_columns, const float *d, const float *add, const float *z, const float *y,
                 const float *scale, const float *shift, const float *center, float *out, double *sum, double *product);

    /* Non-overlapping windows of size x size on one image [height][width][n_columns]; rows and columns that do not fill a window are
     * left out. The backward of max gives the gradient to the first largest of a window (row by row), as PyTorch, and overwrites all of
     * d_in; a NaN counts as largest. */
    void (*max_pool)(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in, float *out);
    void (*max_pool_backward)(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in,
                              const float *d_out, float *d_in);
    void (*average_pool)(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in, float *out);
    void (*average_pool_backward)(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *d_out,
                                  float *d_in);
} kds_kernels;

/* The best table for this machine, or the one that the environment variable KDSWEEP_ISA names (scalar, avx2, avx512, neon). A bad name or a
 * level that is not built or not supported is KDS_USAGE / KDS_UNSUPPORTED. */
kds_status kds_kernels_select(kds_kernels *out, kds_error *err);

/* The table of one level. KDS_UNSUPPORTED when it is not built or this machine lacks it. */
kds_status kds_kernels_level(kds_isa isa, kds_kernels *out, kds_error *err);

const char *kds_isa_name(kds_isa isa);

/*
 * From here on this thread takes denormal numbers for 0, in operands and results; returns the earlier mode for kds_denormals_restore.
 * Training makes them by itself (the velocity of a weight without gradient decays for ever, a confident softmax leaves probabilities of
 * 1e-38), they mean nothing, and they make multiply-adds many times slower. Nothing happens on processors other than x86-64 and
 * aarch64.
 */
uint64_t kds_denormals_to_zero(void);
void kds_denormals_restore(uint64_t mode);

/* ---- matrix products: the one place that knows OpenBLAS ------------------------------------------------------------ */

/* c = op(a) op(b) + beta * c; op(a) is m x k, op(b) is k x n; `transpose_a`: a is stored k x m. a_row, b_row, c_row: floats from a stored
 * row to the next. */
void kds_gemm(int transpose_a, int transpose_b, int32_t m, int32_t n, int32_t k, const float *a, int32_t a_row,
              const float *b, int32_t b_row, float beta, float *c, int32_t c_row);

/* OpenBLAS where this table uses it: "OpenBLAS 0.3.21 (SkylakeX)", a static text. "" where it does not; then no bit of a trial
 * depends on it. Only the scalar table does, for its large products. */
const char *kds_kernels_blas(const kds_kernels *kernels);

/* One thread per rank: sets it, then checks that it took (an OpenMP build ignores the call unless OMP_NUM_THREADS = 1).
 * KDS_UNSUPPORTED, with the setting that cures it, when the library would use more. */
kds_status kds_blas_single_thread(kds_error *err);

/*
 * OpenBLAS chooses its core by the model of the processor; one newer than the library may get that of a much older one. KDS_UNSUPPORTED, with
 * the setting that cures it, when the core leaves vectors unused that this processor has: to be told, not to stop at. A core that the
 * environment variable OPENBLAS_CORETYPE asked for and got is never found fault with.
 */
kds_status kds_blas_check_core(kds_error *err);

/* The core that a processor with these vectors should have instead of `core`, a name as kds_blas_core gives; NULL if `core` is good
 * enough, or unknown to us: a new name is for new processors. NEON: always NULL, all cores of AArch64 use it. */
const char *kds_blas_better_core(const char *core, kds_isa isa);

const char *kds_blas_core(void);    /* "SkylakeX": the code path that OpenBLAS chose */
const char *kds_blas_version(void); /* "OpenBLAS 0.3.21" */

#endif
