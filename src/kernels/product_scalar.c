/*
 * The scalar products: their meaning, and what runs where no vector level does.
 *
 * There, and only there, OpenBLAS is the fastest for large products of plain matrices: dense layers, and those between the transforms of
 * minimal filtering. Whether a product is large depends on the layer, not on the batch.
 */
#include <stddef.h>

#include "kernels_internal.h"

enum { LARGE_K = 64 };

static bool is_matrix(const kds_product_shape *shape)
{
    return shape->n_images == 1 && shape->n_rows == 1 && shape->n_segments == 1 && shape->n_k >= LARGE_K;
}

static void finish(const kds_product_shape *shape, const float *bias, int relu, float *out)
{
    for (int32_t p = 0; p < shape->n_pixels; p++) {
        for (int32_t c = 0; c < KDS_PANEL; c++) {
            float *at = out + p * shape->out_pixel + c;
            const float y = bias ? *at + bias[c] : *at;
            *at = relu && y < 0.0f ? 0.0f : y;
        }
    }
}

static void product(const kds_product_shape *shape, const float *a, const float *b, const float *bias, int relu,
                    float *out)
{
    const size_t panel = (size_t)shape->n_segments * (size_t)shape->n_k * KDS_PANEL;
    for (int32_t j = 0; j < shape->n_panels; j++) {
        if (is_matrix(shape)) {
            float *to = out + j * KDS_PANEL;
            kds_gemm(0, 0, shape->n_pixels, KDS_PANEL, shape->n_k, a, (int32_t)shape->a_pixel, b + (size_t)j * panel,
                     KDS_PANEL, 0.0f, to, (int32_t)shape->out_pixel);
            finish(shape, bias ? bias + j * KDS_PANEL : NULL, relu, to);
            continue;
        }
        for (int32_t i = 0; i < shape->n_images; i++) {
            for (int32_t r = 0; r < shape->n_rows; r++) {
                for (int32_t p = 0; p < shape->n_pixels; p++) {
                    const float *from = a + i * shape->a_image + r * shape->a_row + p * shape->a_pixel;
                    const float *w = b + (size_t)j * panel;
                    float sum[KDS_PANEL] = {0};
                    for (int32_t s = 0; s < shape->n_segments; s++) {
                        for (int32_t k = 0; k < shape->n_k; k++, w += KDS_PANEL) {
                            const float x = from[s * shape->a_segment + k];
                            for (int c = 0; c < KDS_PANEL; c++) {
                                sum[c] += x * w[c];
                            }
                        }
                    }
                    float *to = out + i * shape->out_image + r * shape->out_row + p * shape->out_pixel + j * KDS_PANEL;
                    for (int c = 0; c < KDS_PANEL; c++) {
                        const float y = bias ? sum[c] + bias[j * KDS_PANEL + c] : sum[c];
                        to[c] = relu && y < 0.0f ? 0.0f : y; /* a NaN is not below 0: it stays */
                    }
                }
            }
        }
    }
}

/* One row of the gradient, d_b[j][m], into sum. */
static void weights_row(const kds_product_shape *shape, const float *a, const float *d_out, float sum[KDS_PANEL])
{
    for (int c = 0; c < KDS_PANEL; c++) {
        sum[c] = 0;
    }
    for (int32_t i = 0; i < shape->n_images; i++) {
        for (int32_t r = 0; r < shape->n_rows; r++) {
            const float *x = a + i * shape->a_image + r * shape->a_row;
            const float *d = d_out + i * shape->out_image + r * shape->out_row;
            for (int32_t p = 0; p < shape->n_pixels; p++, x += shape->a_pixel, d += shape->out_pixel) {
                for (int c = 0; c < KDS_PANEL; c++) {
                    sum[c] += *x * d[c];
                }
            }
        }
    }
}

/* Rows of a panel whose gradient is made at a time: what a step takes from the stack, and what an addition to it takes from the cache. */
enum { ROWS = 256 };

/* n rows of the gradient of one panel from row k of a segment, whose `a` and panel of d_out these are. */
static void weights_rows(const kds_product_shape *shape, const float *a, const float *d_out, int32_t n, float *rows)
{
    if (is_matrix(shape)) {
        kds_gemm(1, 0, n, KDS_PANEL, shape->n_pixels, a, (int32_t)shape->a_pixel, d_out, (int32_t)shape->out_pixel,
                 0.0f, rows, KDS_PANEL);
        return;
    }
    for (int32_t k = 0; k < n; k++) {
        weights_row(shape, a + k, d_out, rows + k * KDS_PANEL);
    }
}

static void product_weights(const kds_product_shape *shape, const float *a, const float *d_out, int accumulate,
                            float *d_b)
{
    float rows[ROWS * KDS_PANEL];
    for (int32_t j = 0; j < shape->n_panels; j++) {
        for (int32_t s = 0; s < shape->n_segments; s++) {
            for (int32_t k = 0, n; k < shape->n_k; k += n, d_b += n * KDS_PANEL) {
                n = shape->n_k - k < ROWS ? shape->n_k - k : ROWS;
                weights_rows(shape, a + s * shape->a_segment + k, d_out + j * KDS_PANEL, n, rows);
                for (int32_t c = 0; c < n * KDS_PANEL; c++) {
                    d_b[c] = accumulate ? d_b[c] + rows[c] : rows[c];
                }
            }
        }
    }
}

static void product_step(const kds_product_shape *shape, const float *a, const float *d_out, const kds_sgd *sgd,
                         float *velocity, float *b)
{
    float rows[ROWS * KDS_PANEL];
    for (int32_t j = 0; j < shape->n_panels; j++) {
        for (int32_t s = 0; s < shape->n_segments; s++) {
            for (int32_t k = 0, n; k < shape->n_k; k += n, b += n * KDS_PANEL, velocity += n * KDS_PANEL) {
                n = shape->n_k - k < ROWS ? shape->n_k - k : ROWS;
                weights_rows(shape, a + s * shape->a_segment + k, d_out + j * KDS_PANEL, n, rows);
                kds_scalar_sgd_step((int64_t)n * KDS_PANEL, sgd, rows, velocity, b);
            }
        }
    }
}

static void transpose(const float *from, int64_t from_row, float *to, int64_t to_row)
{
    for (int i = 0; i < KDS_PANEL; i++) {
        for (int j = 0; j < KDS_PANEL; j++) {
            to[j * to_row + i] = from[i * from_row + j];
        }
    }
}

void kds_kernels_fill_scalar_products(kds_kernels *out)
{
    out->product = product;
    out->product_weights = product_weights;
    out->product_step = product_step;
    out->transpose = transpose;
}
