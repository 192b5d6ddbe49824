/*
 * The scalar table: the meaning of every kernel, and the reference of the tests.
 *
 * "Scalar" names the programming model, not the code: the loops are written so that a compiler vectorises them for the base
 * instruction set. Sums run in one fixed order (those of losses and over the pixels of maps in double; products and windows of pools in
 * float), and they are compiled without contraction, so their bits are the same wherever this table runs. Large products are
 * OpenBLAS's (product_scalar.c) and have its bits.
 */
#include <math.h>
#include <string.h>

#include "kernels_internal.h"

/*
 * e^x for x <= 0 (a logit minus the largest of its row), relative error below 2e-7 (tests/kernels: against long double).
 * x = k ln 2 + r with |r| <= ln 2 / 2, a polynomial for e^r, then k put into the exponent. Own code because the C library's
 * expf neither vectorises nor promises the same bits in its next version. Below -87 the result is 0, as it would be denormal.
 * NaN stays NaN, -inf gives 0.
 */
static inline float exp_nonpositive(float x)
{
    const float log2e = 1.44269504088896341f;
    const float ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723e-6f; /* high part: k * ln2_high is exact */
    const float round_magic = 12582912.0f;   /* 1.5 * 2^23: adding it rounds to an integer */
    float clamped = x < -87.0f ? -87.0f : x; /* a NaN passes */
    float k = (clamped * log2e + round_magic) - round_magic;
    float r = (clamped - k * ln2_high) - k * ln2_low;
    /* Minimax on [-ln2/2, ln2/2] (the coefficients of Cephes' expf, S. Moshier). */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    /* For a NaN the exponent bits do not matter: p is NaN. Going through a clamped float keeps the conversion defined. */
    float k_defined = k >= -127.0f ? k : -127.0f;
    int32_t bits = ((int32_t)k_defined + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    float y = p * power;
    return x < -87.0f ? 0.0f : y;
}

static void gather_u8(int32_t n_rows, int32_t n_features, const int32_t *rows, const uint8_t *x, const float *scale,
                      const float *shift, int64_t pitch, float *out)
{
    for (int32_t i = 0; i < n_rows; i++) {
        const uint8_t *from = x + (size_t)rows[i] * (size_t)n_features;
        float *to = out + i * pitch;
        for (int32_t j = 0; j < n_features; j++) {
            to[j] = (float)from[j] * scale[j] + shift[j];
        }
    }
}

static void gather_f32(int32_t n_rows, int32_t n_features, const int32_t *rows, const float *x, const float *scale,
                       const float *shift, int64_t pitch, float *out)
{
    for (int32_t i = 0; i < n_rows; i++) {
        const float *from = x + (size_t)rows[i] * (size_t)n_features;
        float *to = out + i * pitch;
        for (int32_t j = 0; j < n_features; j++) {
            to[j] = from[j] * scale[j] + shift[j];
        }
    }
}

/* q = softmax(f * inverse_temperature + offset) into `q`; returns logsumexp(z). */
static double softmax_row(int32_t n, const float *f, const float *offset, float inverse_temperature, float *q)
{
    float largest = -INFINITY;
    bool not_a_number = false;
    for (int32_t j = 0; j < n; j++) {
        float z = f[j] * inverse_temperature;
        if (offset) {
            z += offset[j];
        }
        q[j] = z;
        largest = z > largest ? z : largest;
        not_a_number |= z != z;
    }
    if (not_a_number || !(largest < INFINITY && largest > -INFINITY)) {
        for (int32_t j = 0; j < n; j++) {
            q[j] = NAN;
        }
        return NAN;
    }
    for (int32_t j = 0; j < n; j++) {
        q[j] = exp_nonpositive(q[j] - largest);
    }
    double sum = 0;
    for (int32_t j = 0; j < n; j++) {
        sum += (double)q[j];
    }
    float inverse = (float)(1.0 / sum);
    for (int32_t j = 0; j < n; j++) {
        q[j] *= inverse;
    }
    return (double)largest + log(sum);
}

static void softmax(int32_t n_rows, int32_t n_classes, const float *logits, float inverse_temperature, float *p)
{
    for (int32_t i = 0; i < n_rows; i++) {
        size_t start = (size_t)i * (size_t)n_classes;
        softmax_row(n_classes, logits + start, NULL, inverse_temperature, p + start);
    }
}

static double softmax_gradient(int32_t n_rows, int32_t n_classes, const float *logits, int32_t n_terms,
                               const kds_softmax_term *terms, float *gradient, float *scratch)
{
    double total = 0;
    for (int32_t i = 0; i < n_rows; i++) {
        size_t start = (size_t)i * (size_t)n_classes;
        const float *f = logits + start;
        float *g = gradient + start;
        for (int32_t t = 0; t < n_terms; t++) {
            const kds_softmax_term *term = &terms[t];
            const float *p = term->target + start;
            double log_sum = softmax_row(n_classes, f, term->offset, term->inverse_temperature, scratch);
            double mass = 0, score = 0;
            for (int32_t j = 0; j < n_classes; j++) {
                float z = f[j] * term->inverse_temperature;
                if (term->offset) {
                    z += term->offset[j];
                }
                mass += (double)p[j];
                score += (double)p[j] * (double)z;
            }
            total += (double)term->weight * (mass * log_sum - score);
            float factor = term->weight * term->inverse_temperature / (float)n_rows;
            float row_mass = (float)mass;
            if (t == 0) {
                for (int32_t j = 0; j < n_classes; j++) {
                    g[j] = factor * (scratch[j] * row_mass - p[j]);
                }
            } else {
                for (int32_t j = 0; j < n_classes; j++) {
                    g[j] += factor * (scratch[j] * row_mass - p[j]);
                }
            }
        }
    }
    return total / (double)n_rows;
}

void kds_scalar_sgd_step(int64_t n, const kds_sgd *sgd, const float *gradient, float *velocity, float *w)
{
    const float lr = sgd->lr, momentum = sgd->momentum, weight_decay = sgd->weight_decay;
    if (sgd->nesterov) {
        for (int64_t i = 0; i < n; i++) {
            float g = gradient[i] + weight_decay * w[i];
            float v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= lr * (g + momentum * v);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            float g = gradient[i] + weight_decay * w[i];
            float v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= lr * v;
        }
    }
}

/* ---- maps ---------------------------------------------------------------------------------------------------------- */

static void affine(int64_t n_pixels, int32_t n_columns, const float *y, const float *scale, const float *shift,
                   const float *other, const float *other_scale, int relu, int64_t out_pixel, int32_t n_written,
                   float *out)
{
    for (int64_t p = 0; p < n_pixels; p++) {
        const int64_t start = p * n_columns;
        for (int32_t j = 0; j < n_written; j++) {
            float z = y[start + j] * scale[j] + shift[j];
            if (other) {
                z += other_scale ? other[start + j] * other_scale[j] : other[start + j];
            }
            out[p * out_pixel + j] = relu && z < 0.0f ? 0.0f : z;
        }
    }
}

static void moments(int64_t n_pixels, int32_t n_columns, const float *y, const float *center, double *sum,
                    double *square)
{
    for (int64_t p = 0; p < n_pixels; p++, y += n_columns) {
        for (int32_t j = 0; j < n_columns; j++) {
            const double d = (double)(y[j] - center[j]);
            sum[j] += d;
            square[j] += d * d;
        }
    }
}

static void gate(int64_t n_pixels, int32_t n_columns, const float *d, const float *add, const float *z, const float *y,
                 const float *scale, const float *shift, const float *center, float *out, double *sum, double *product)
{
    for (int64_t p = 0; p < n_pixels; p++) {
        for (int32_t j = 0; j < n_columns; j++) {
            const int64_t at = p * n_columns + j;
            float passed = add ? d[at] + add[at] : d[at];
            if (z) {
                passed = z[at] > 0.0f ? passed : 0.0f;
            } else if (scale) {
                passed = y[at] * scale[j] + shift[j] > 0.0f ? passed : 0.0f;
            }
            out[at] = passed;
            if (sum) {
                sum[j] += (double)passed;
            }
            if (product) {
                product[j] += (double)passed * (double)(y[at] - center[j]);
            }
        }
    }
}

/* A NaN is larger than every number, but not than another NaN. */
static inline int is_larger(float a, float b)
{
    return a > b || (a != a && b == b);
}

static void max_pool(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in, float *out)
{
    const int64_t row = (int64_t)width * n_columns;
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, out += n_columns) {
            const float *window = in + r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j++) {
                float largest = window[j];
                for (int32_t i = 1; i < size * size; i++) {
                    const float x = window[i / size * row + i % size * n_columns + j];
                    largest = is_larger(x, largest) ? x : largest;
                }
                out[j] = largest;
            }
        }
    }
}

static void max_pool_backward(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in,
                              const float *d_out, float *d_in)
{
    const int64_t row = (int64_t)width * n_columns;
    memset(d_in, 0, (size_t)height * (size_t)row * sizeof *d_in);
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, d_out += n_columns) {
            const int64_t start = r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j++) {
                int64_t first = start + j;
                for (int32_t i = 1; i < size * size; i++) {
                    const int64_t at = start + i / size * row + i % size * n_columns + j;
                    first = is_larger(in[at], in[first]) ? at : first;
                }
                d_in[first] = d_out[j];
            }
        }
    }
}

static void average_pool(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in, float *out)
{
    const int64_t row = (int64_t)width * n_columns;
    const float share = 1.0f / (float)(size * size);
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, out += n_columns) {
            const float *window = in + r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j++) {
                float sum = 0;
                for (int32_t i = 0; i < size * size; i++) {
                    sum += window[i / size * row + i % size * n_columns + j];
                }
                out[j] = sum * share;
            }
        }
    }
}

static void average_pool_backward(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *d_out,
                                  float *d_in)
{
    const int32_t n_rows = height / size, n_windows = width / size;
    const float share = 1.0f / (float)(size * size);
    for (int32_t r = 0; r < height; r++) {
        for (int32_t c = 0; c < width; c++, d_in += n_columns) {
            const int inside = r / size < n_rows && c / size < n_windows;
            const float *from = d_out + ((int64_t)(r / size) * n_windows + c / size) * n_columns;
            for (int32_t j = 0; j < n_columns; j++) {
                d_in[j] = inside ? from[j] * share : 0.0f;
            }
        }
    }
}

void kds_kernels_fill_scalar(kds_kernels *out)
{
    *out = (kds_kernels){
        .isa = KDS_ISA_SCALAR,
        .gather_u8 = gather_u8,
        .gather_f32 = gather_f32,
        .softmax_gradient = softmax_gradient,
        .softmax = softmax,
        .sgd_step = kds_scalar_sgd_step,
        .affine = affine,
        .moments = moments,
        .gate = gate,
        .max_pool = max_pool,
        .max_pool_backward = max_pool_backward,
        .average_pool = average_pool,
        .average_pool_backward = average_pool_backward,
    };
    kds_kernels_fill_scalar_products(out);
    kds_kernels_fill_scalar_winograd(out);
}
