/*
 * The scalar table: the meaning of every kernel, and the reference of the tests.
 *
 * "Scalar" names the programming model, not the code: the loops are written so that a compiler vectorises them for the base
 * instruction set. Sums run in a fixed order in double, and the file is compiled without contraction, so the bits are the same
 * wherever this table runs.
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
                      const float *shift, float *out)
{
    for (int32_t i = 0; i < n_rows; i++) {
        const uint8_t *from = x + (size_t)rows[i] * (size_t)n_features;
        float *to = out + (size_t)i * (size_t)n_features;
        for (int32_t j = 0; j < n_features; j++) {
            to[j] = (float)from[j] * scale[j] + shift[j];
        }
    }
}

static void gather_f32(int32_t n_rows, int32_t n_features, const int32_t *rows, const float *x, const float *scale,
                       const float *shift, float *out)
{
    for (int32_t i = 0; i < n_rows; i++) {
        const float *from = x + (size_t)rows[i] * (size_t)n_features;
        float *to = out + (size_t)i * (size_t)n_features;
        for (int32_t j = 0; j < n_features; j++) {
            to[j] = from[j] * scale[j] + shift[j];
        }
    }
}

static void bias_activation(int32_t n_rows, int32_t n_columns, const float *bias, int relu, float *y)
{
    for (int32_t i = 0; i < n_rows; i++) {
        float *row = y + (size_t)i * (size_t)n_columns;
        if (relu) {
            for (int32_t j = 0; j < n_columns; j++) {
                float z = row[j] + bias[j];
                row[j] = z < 0.0f ? 0.0f : z; /* a NaN is not below 0: it stays */
            }
        } else {
            for (int32_t j = 0; j < n_columns; j++) {
                row[j] += bias[j];
            }
        }
    }
}

enum { COLUMN_BLOCK = 64 }; /* double sums of one block of columns: 512 bytes, kept in registers and L1 */

static void bias_activation_backward(int32_t n_rows, int32_t n_columns, const float *y, float *dy, float *bias_gradient)
{
    for (int32_t j0 = 0; j0 < n_columns; j0 += COLUMN_BLOCK) {
        int32_t width = n_columns - j0 < COLUMN_BLOCK ? n_columns - j0 : COLUMN_BLOCK;
        double sum[COLUMN_BLOCK] = {0};
        for (int32_t i = 0; i < n_rows; i++) {
            size_t start = (size_t)i * (size_t)n_columns + (size_t)j0;
            float *d = dy + start;
            if (y) {
                const float *a = y + start;
                for (int32_t j = 0; j < width; j++) {
                    d[j] = a[j] > 0.0f ? d[j] : 0.0f;
                }
            }
            for (int32_t j = 0; j < width; j++) {
                sum[j] += (double)d[j];
            }
        }
        for (int32_t j = 0; j < width; j++) {
            bias_gradient[j0 + j] = (float)sum[j];
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

static void sgd_step(int64_t n, float lr, float momentum, int nesterov, float weight_decay, const float *gradient,
                     float *velocity, float *w)
{
    if (nesterov) {
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

void kds_kernels_fill_scalar(kds_kernels *out)
{
    *out = (kds_kernels){
        .isa = KDS_ISA_SCALAR,
        .gather_u8 = gather_u8,
        .gather_f32 = gather_f32,
        .bias_activation = bias_activation,
        .bias_activation_backward = bias_activation_backward,
        .softmax_gradient = softmax_gradient,
        .softmax = softmax,
        .sgd_step = sgd_step,
    };
}
