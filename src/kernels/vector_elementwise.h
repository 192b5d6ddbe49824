/*
 * Everything but the products, for one instruction set: included by kernels_<isa>.c behind its vector primitives (vector_avx512.h explains
 * them). kernels.h says what each entry means.
 *
 * What a lane computes depends on its numbers alone, and every sum has one order that the shape fixes: no bit depends on an address.
 */
#ifndef KDSWEEP_VECTOR_ELEMENTWISE_H
#define KDSWEEP_VECTOR_ELEMENTWISE_H

#include <math.h>
#include <string.h>

/* min(n, VL) lanes; the branch is the same but for the end of a row. */
static inline vf v_load_left(const float *p, int32_t n)
{
    return n >= VL ? v_load(p) : v_load_n(p, n);
}

static inline void v_store_left(float *p, vf a, int32_t n)
{
    if (n >= VL) {
        v_store(p, a);
    } else {
        v_store_n(p, a, n);
    }
}

/* ---- gather -------------------------------------------------------------------------------------------------------- */

static void gather_u8(int32_t n_rows, int32_t n_features, const int32_t *rows, const uint8_t *x, const float *scale,
                      const float *shift, int64_t pitch, float *out)
{
    for (int32_t i = 0; i < n_rows; i++) {
        const uint8_t *from = x + (size_t)rows[i] * (size_t)n_features;
        float *to = out + i * pitch;
        int32_t j = 0;
        for (; j <= n_features - VL; j += VL) {
            v_store(to + j, v_fma(v_load_u8(from + j), v_load(scale + j), v_load(shift + j)));
        }
        const int32_t n = n_features - j;
        if (n > 0) {
            v_store_n(to + j, v_fma(v_load_u8_n(from + j, n), v_load_n(scale + j, n), v_load_n(shift + j, n)), n);
        }
    }
}

static void gather_f32(int32_t n_rows, int32_t n_features, const int32_t *rows, const float *x, const float *scale,
                       const float *shift, int64_t pitch, float *out)
{
    for (int32_t i = 0; i < n_rows; i++) {
        const float *from = x + (size_t)rows[i] * (size_t)n_features;
        float *to = out + i * pitch;
        int32_t j = 0;
        for (; j <= n_features - VL; j += VL) {
            v_store(to + j, v_fma(v_load(from + j), v_load(scale + j), v_load(shift + j)));
        }
        const int32_t n = n_features - j;
        if (n > 0) {
            v_store_n(to + j, v_fma(v_load_n(from + j, n), v_load_n(scale + j, n), v_load_n(shift + j, n)), n);
        }
    }
}

/* ---- softmax ------------------------------------------------------------------------------------------------------- */

/*
 * e^x for x <= 0, as exp_nonpositive of kernels_scalar.c, with the reduction and the polynomial fused: relative error below 1e-7 down to -87
 * (tests/kernels measure it against long double), 0 below, 1 at 0. A NaN stays a NaN.
 */
static inline vf v_exp_nonpositive(vf x)
{
    const vf round_magic = v_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    const vf lowest = v_set(-87.0f);
    const vf clamped = v_max(lowest, x);
    const vf k = v_sub(v_fma(clamped, v_set(1.44269504088896341f), round_magic), round_magic);
    vf r = v_fnma(k, v_set(0.693145751953125f), clamped);
    r = v_fnma(k, v_set(1.42860682030941723e-6f), r);
    vf p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
    return v_select(v_gt(lowest, x), v_zero(), v_scale(p, k));
}

/*
 * Rows of few classes are worked on a block of rows at a time, in steps: the largest logit of each row, the exponentials and their sum, the
 * result. One row alone is a long chain of operations that wait for each other; a step on many rows is not. `n_vectors` is a
 * constant; the last vector of a row has `n_last` lanes, behind which logits are 0 and exponentials are 0. A row of many classes goes through
 * memory on its own.
 *
 * No row is checked for NaN and infinities: a NaN, or an infinite maximum, makes the sum a NaN and with it everything else.
 */
typedef struct softmax_input {
    const float *offset; /* or NULL */
    vf inverse_temperature;
} softmax_input;

INLINED vf logits_load(const float *f, softmax_input in, int32_t j, int32_t n)
{
    const vf x = v_load_left(f + j, n);
    return in.offset ? v_fma(x, in.inverse_temperature, v_load_left(in.offset + j, n))
                     : v_mul(x, in.inverse_temperature);
}

/* MAX_SHORT vectors: 10 classes are short on every instruction set. ROW_BLOCK cuts the sum of the loss: another value changes its bits
 * (the gradient's not), so KDS_NUMERICS_VERSION (trial.h) must be raised with it. */
enum { ROW_BLOCK = 32, MAX_SHORT = 3 };

static inline vf highest_of(vf highest, vf z, int32_t n)
{
    return v_max(highest, n >= VL ? z : v_select(m_first(n), z, v_set(-INFINITY)));
}

INLINED float largest_short(const int n_vectors, int32_t n_last, const float *f, softmax_input in)
{
    vf highest = v_set(-INFINITY);
    for (int v = 0; v < n_vectors; v++) {
        const int32_t n = v == n_vectors - 1 ? n_last : VL;
        highest = highest_of(highest, logits_load(f, in, v * VL, n), n);
    }
    return v_reduce_max(highest);
}

/* e^(z - largest) at one vector of n lanes. */
INLINED vf exponential_part(vf z, vf largest, int32_t n)
{
    const vf e = v_exp_nonpositive(v_sub(z, largest));
    return n >= VL ? e : v_select(m_first(n), e, v_zero());
}

/* The exponentials of a row of n logits z, in place; returns their sum. */
static double exponentials(int32_t n, float largest, float *z)
{
    vd sum = vd_zero();
    const vf top = v_set(largest);
    for (int32_t j = 0; j < n; j += VL) {
        const int32_t left = n - j;
        const vf e = exponential_part(v_load_left(z + j, left), top, left);
        v_store_left(z + j, e, left);
        sum = vd_add(sum, vd_from(e));
    }
    return vd_reduce_add(sum);
}

INLINED void softmax_short(const int n_vectors, int32_t n_rows, int32_t n_classes, const float *logits,
                           softmax_input in, float *p)
{
    const int32_t n_last = n_classes - (n_vectors - 1) * VL;
    for (int32_t first = 0; first < n_rows; first += ROW_BLOCK) {
        const int32_t n = n_rows - first < ROW_BLOCK ? n_rows - first : ROW_BLOCK;
        float largest[ROW_BLOCK], inverse[ROW_BLOCK], e[ROW_BLOCK * MAX_SHORT * VL];
        for (int32_t i = 0; i < n; i++) {
            largest[i] = largest_short(n_vectors, n_last, logits + (ptrdiff_t)i * n_classes, in);
        }
        for (int32_t i = 0; i < n; i++) {
            vd sum = vd_zero();
            for (int v = 0; v < n_vectors; v++) {
                const int32_t lanes = v == n_vectors - 1 ? n_last : VL;
                const vf z = logits_load(logits + (ptrdiff_t)i * n_classes, in, v * VL, lanes);
                const vf part = exponential_part(z, v_set(largest[i]), lanes);
                v_store(e + (i * n_vectors + v) * VL, part);
                sum = vd_add(sum, vd_from(part));
            }
            inverse[i] = (float)(1.0 / vd_reduce_add(sum));
        }
        for (int32_t i = 0; i < n; i++) {
            for (int v = 0; v < n_vectors; v++) {
                v_store_left(p + (ptrdiff_t)i * n_classes + v * VL,
                             v_mul(v_load(e + (i * n_vectors + v) * VL), v_set(inverse[i])),
                             v == n_vectors - 1 ? n_last : VL);
            }
        }
        logits += (ptrdiff_t)n * n_classes;
        p += (ptrdiff_t)n * n_classes;
    }
}

static void softmax(int32_t n_rows, int32_t n_classes, const float *logits, float inverse_temperature, float *p)
{
    const softmax_input in = {.inverse_temperature = v_set(inverse_temperature)};
    switch ((n_classes + VL - 1) / VL) {
    case 0:
        return;
    case 1:
        softmax_short(1, n_rows, n_classes, logits, in, p);
        return;
    case 2:
        softmax_short(2, n_rows, n_classes, logits, in, p);
        return;
    case 3:
        softmax_short(3, n_rows, n_classes, logits, in, p);
        return;
    default:
        break;
    }
    for (int32_t i = 0; i < n_rows; i++, logits += n_classes, p += n_classes) {
        vf highest = v_set(-INFINITY);
        for (int32_t j = 0; j < n_classes; j += VL) {
            const vf z = logits_load(logits, in, j, n_classes - j);
            highest = highest_of(highest, z, n_classes - j);
            v_store_left(p + j, z, n_classes - j);
        }
        const vf inverse = v_set((float)(1.0 / exponentials(n_classes, v_reduce_max(highest), p)));
        for (int32_t j = 0; j < n_classes; j += VL) {
            v_store_left(p + j, v_mul(v_load_left(p + j, n_classes - j), inverse), n_classes - j);
        }
    }
}

/*
 * One term on a block of rows. The loss of a row is mass * (largest + log(sum)) - sum_y p_y z_y: the last sum runs over all rows in one
 * vector of doubles, and the logarithms come behind the loop, which so keeps its registers. They are the C library's, of doubles, not
 * vectorised: one for each row, 16 to 23 % of the time of softmax_gradient with 10 classes. Error below 1 ulp of a double.
 */
typedef struct term_block {
    int32_t n_rows, n_classes;
    const float *logits, *target;
    softmax_input in;
    float factor; /* of the gradient */
    int is_first; /* the gradient is written, not added to */
    float *gradient, *scratch;
    /* results */
    vd score;
    float largest[ROW_BLOCK];
    double sum[ROW_BLOCK], mass[ROW_BLOCK];
} term_block;

/* factor * (e * mass / sum - p), its sign in the factor */
INLINED void gradient_store(const term_block *t, vf minus_factor, vf share, vf e, vf p, int32_t n, float *g)
{
    const vf difference = v_fnma(e, share, p);
    v_store_left(g, t->is_first ? v_mul(minus_factor, difference) : v_fma(minus_factor, difference, v_load_left(g, n)),
                 n);
}

INLINED void term_short(const int n_vectors, term_block *t)
{
    const int32_t n_rows = t->n_rows, n_classes = t->n_classes, n_last = n_classes - (n_vectors - 1) * VL;
    const softmax_input in = t->in;
    float e[ROW_BLOCK * MAX_SHORT * VL];
    for (int32_t i = 0; i < n_rows; i++) {
        t->largest[i] = largest_short(n_vectors, n_last, t->logits + (ptrdiff_t)i * n_classes, in);
    }
    vd score = vd_zero();
    for (int32_t i = 0; i < n_rows; i++) {
        const ptrdiff_t start = (ptrdiff_t)i * n_classes;
        vd sum = vd_zero(), mass = vd_zero();
        for (int v = 0; v < n_vectors; v++) {
            const int32_t n = v == n_vectors - 1 ? n_last : VL;
            const vf z = logits_load(t->logits + start, in, v * VL, n);
            const vf part = exponential_part(z, v_set(t->largest[i]), n);
            const vd p = vd_from(v_load_left(t->target + start + v * VL, n));
            v_store(e + (i * n_vectors + v) * VL, part);
            sum = vd_add(sum, vd_from(part));
            mass = vd_add(mass, p);
            score = vd_fma(p, vd_from(z), score);
        }
        t->sum[i] = vd_reduce_add(sum);
        t->mass[i] = vd_reduce_add(mass);
    }
    t->score = score;
    const vf minus_factor = v_set(-t->factor);
    for (int32_t i = 0; i < n_rows; i++) {
        const ptrdiff_t start = (ptrdiff_t)i * n_classes;
        const vf share = v_set((float)(t->mass[i] / t->sum[i]));
        for (int v = 0; v < n_vectors; v++) {
            const int32_t n = v == n_vectors - 1 ? n_last : VL;
            gradient_store(t, minus_factor, share, v_load(e + (i * n_vectors + v) * VL),
                           v_load_left(t->target + start + v * VL, n), n, t->gradient + start + v * VL);
        }
    }
}

static void term_long(term_block *t)
{
    const int32_t n_classes = t->n_classes;
    const vf minus_factor = v_set(-t->factor);
    vd score = vd_zero();
    for (int32_t i = 0; i < t->n_rows; i++) {
        const ptrdiff_t start = (ptrdiff_t)i * n_classes;
        const float *f = t->logits + start, *target = t->target + start;
        float *e = t->scratch, *g = t->gradient + start;
        vd mass = vd_zero();
        vf highest = v_set(-INFINITY);
        for (int32_t j = 0; j < n_classes; j += VL) {
            const vf z = logits_load(f, t->in, j, n_classes - j);
            const vd p = vd_from(v_load_left(target + j, n_classes - j));
            highest = highest_of(highest, z, n_classes - j);
            mass = vd_add(mass, p);
            score = vd_fma(p, vd_from(z), score);
            v_store_left(e + j, z, n_classes - j);
        }
        t->largest[i] = v_reduce_max(highest);
        t->mass[i] = vd_reduce_add(mass);
        t->sum[i] = exponentials(n_classes, t->largest[i], e);
        const vf share = v_set((float)(t->mass[i] / t->sum[i]));
        for (int32_t j = 0; j < n_classes; j += VL) {
            gradient_store(t, minus_factor, share, v_load_left(e + j, n_classes - j),
                           v_load_left(target + j, n_classes - j), n_classes - j, g + j);
        }
    }
    t->score = score;
}

/* Not inlined into each other: one set of constants in registers for each. */
static void term_short_1(term_block *t)
{
    term_short(1, t);
}

static void term_short_2(term_block *t)
{
    term_short(2, t);
}

static void term_short_3(term_block *t)
{
    term_short(3, t);
}

static double softmax_gradient(int32_t n_rows, int32_t n_classes, const float *logits, int32_t n_terms,
                               const kds_softmax_term *terms, float *gradient, float *scratch)
{
    static void (*const of_vectors[])(term_block *) = {term_long, term_short_1, term_short_2, term_short_3};
    const int32_t n_vectors = (n_classes + VL - 1) / VL;
    void (*const run)(term_block *) = of_vectors[n_vectors <= MAX_SHORT ? n_vectors : 0];
    double total = 0;
    for (int32_t first = 0; first < n_rows; first += ROW_BLOCK) {
        const ptrdiff_t start = (ptrdiff_t)first * n_classes;
        for (int32_t t = 0; t < n_terms; t++) {
            const kds_softmax_term *term = &terms[t];
            term_block block;
            block.n_rows = n_rows - first < ROW_BLOCK ? n_rows - first : ROW_BLOCK;
            block.n_classes = n_classes;
            block.logits = logits + start;
            block.target = term->target + start;
            block.in = (softmax_input){term->offset, v_set(term->inverse_temperature)};
            block.factor = term->weight * term->inverse_temperature / (float)n_rows;
            block.is_first = t == 0;
            block.gradient = gradient + start;
            block.scratch = scratch;
            run(&block);
            double loss = 0;
            for (int32_t i = 0; i < block.n_rows; i++) {
                loss += block.mass[i] * ((double)block.largest[i] + log(block.sum[i]));
            }
            total += (double)term->weight * (loss - vd_reduce_add(block.score));
        }
    }
    return total / (double)n_rows;
}

/* ---- SGD ----------------------------------------------------------------------------------------------------------- */

/* One step for the parameters w, whose gradient is g. */
INLINED vf v_sgd(const kds_sgd *sgd, vf g, vf w, vf *velocity)
{
    g = v_fma(v_set(sgd->weight_decay), w, g);
    const vf v = v_fma(v_set(sgd->momentum), *velocity, g);
    *velocity = v;
    return v_fnma(v_set(sgd->lr), sgd->nesterov ? v_fma(v_set(sgd->momentum), v, g) : v, w);
}

/* The same in memory: for product_step, which so has the bits of sgd_step. */
INLINED void v_sgd_step(const kds_sgd *sgd, vf gradient, float *velocity, float *w)
{
    vf v = v_load(velocity);
    v_store(w, v_sgd(sgd, gradient, v_load(w), &v));
    v_store(velocity, v);
}

static void sgd_step(int64_t n, const kds_sgd *sgd, const float *gradient, float *velocity, float *w)
{
    const kds_sgd constants = *sgd; /* a copy that no store can alias: its fields stay in registers */
    int64_t i = 0;
    for (; i <= n - VL; i += VL) {
        v_sgd_step(&constants, v_load(gradient + i), velocity + i, w + i);
    }
    const int32_t left = (int32_t)(n - i);
    if (left > 0) {
        vf v = v_load_n(velocity + i, left);
        v_store_n(w + i, v_sgd(&constants, v_load_n(gradient + i, left), v_load_n(w + i, left), &v), left);
        v_store_n(velocity + i, v, left);
    }
}

/* ---- maps ---------------------------------------------------------------------------------------------------------- */

/*
 * Columns are worked on in blocks of up to BLOCK vectors, whose constants and sums stay in registers while the loop runs over the pixels.
 * A block of fewer vectors takes several pixels at once, each with a sum of its own, so that as many sums are under way and none
 * waits for its own last addition. Float sums are added to the doubles after SUM_PIXELS pixels: an error of 4 + SUM_PIXELS * n_vectors / BLOCK
 * roundings of the sum of absolute values at most. Both constants fix the order of the sums: another value changes bits, so
 * KDS_NUMERICS_VERSION (trial.h) must be raised with it.
 */
enum { BLOCK = 4, SUM_PIXELS = 256 };

/* Vectors of the next block when `n_columns` are left. */
static inline int block_vectors(int32_t n_columns)
{
    return n_columns >= 4 * VL ? 4 : n_columns >= 2 * VL ? 2 : 1;
}

typedef struct affine_block {
    int32_t n_columns; /* from a pixel to the next */
    const float *y, *scale, *shift, *other, *other_scale;
    int relu;
    int64_t out_pixel;
    int32_t n_written; /* columns from here on; fewer than a vector with is_partial */
    float *out;
} affine_block;

INLINED void affine_run(const int n_vectors, const int is_partial, int64_t n_pixels, const affine_block *b)
{
    const float *y = b->y, *other = b->other;
    float *out = b->out;
    const int relu = b->relu;
    const int32_t n_written = b->n_written;
    const int64_t n_columns = b->n_columns, out_pixel = b->out_pixel;
    vf scale[BLOCK], shift[BLOCK], other_scale[BLOCK];
    for (int v = 0; v < n_vectors; v++) {
        scale[v] = v_load(b->scale + v * VL);
        shift[v] = v_load(b->shift + v * VL);
        other_scale[v] = other && b->other_scale ? v_load(b->other_scale + v * VL) : v_set(1.0f);
    }
    for (int64_t p = 0; p < n_pixels; p++) {
        for (int v = 0; v < n_vectors; v++) {
            vf z = v_fma(v_load(y + v * VL), scale[v], shift[v]);
            if (other) {
                z = v_fma(v_load(other + v * VL), other_scale[v], z);
            }
            z = relu ? v_relu(z) : z;
            if (is_partial) {
                v_store_n(out + v * VL, z, n_written);
            } else {
                v_store(out + v * VL, z);
            }
        }
        y += n_columns;
        other = other ? other + n_columns : NULL;
        out += out_pixel;
    }
}

static void affine_columns(int64_t n_pixels, affine_block b)
{
    while (b.n_written > 0) {
        const int n_vectors = block_vectors(b.n_written);
        if (b.n_written < VL) {
            affine_run(1, 1, n_pixels, &b);
        } else if (n_vectors == 4) {
            affine_run(4, 0, n_pixels, &b);
        } else if (n_vectors == 2) {
            affine_run(2, 0, n_pixels, &b);
        } else {
            affine_run(1, 0, n_pixels, &b);
        }
        const int32_t step = n_vectors * VL;
        b.y += step;
        b.scale += step;
        b.shift += step;
        b.other = b.other ? b.other + step : NULL;
        b.other_scale = b.other_scale ? b.other_scale + step : NULL;
        b.n_written -= step;
        b.out += step;
    }
}

static void affine(int64_t n_pixels, int32_t n_columns, const float *y, const float *scale, const float *shift,
                   const float *other, const float *other_scale, int relu, int64_t out_pixel, int32_t n_written,
                   float *out)
{
    affine_block b = {n_columns, y, scale, shift, other, other_scale, relu, out_pixel, n_written, out};
    if (out != y || out_pixel == n_columns) {
        affine_columns(n_pixels, b);
        return;
    }
    /* In place and closer together: pixel by pixel, as what is stored for one lies where columns of the ones before it were. */
    for (int64_t p = 0; p < n_pixels; p++) {
        affine_columns(1, b);
        b.y += n_columns;
        b.other = b.other ? b.other + n_columns : NULL;
        b.out += out_pixel;
    }
}

/* sum[j] += what the n_sums partial sums of each vector hold. */
INLINED void sums_add(const int n_vectors, const int n_sums, vf (*partial)[BLOCK], double *sum)
{
    for (int v = 0; v < n_vectors; v++) {
        vf s = partial[0][v];
        for (int u = 1; u < n_sums; u++) {
            s = v_add(s, partial[u][v]);
        }
        vd_store(sum + v * VL, vd_add(vd_load(sum + v * VL), vd_from(s)));
    }
}

INLINED void moments_run(const int n_vectors, int64_t n_pixels, int32_t n_columns, const float *y, const float *center,
                         double *sum, double *square)
{
    const int n_sums = BLOCK / n_vectors;
    vf mean[BLOCK];
    for (int v = 0; v < n_vectors; v++) {
        mean[v] = v_load(center + v * VL);
    }
    while (n_pixels > 0) {
        const int32_t n = n_pixels < SUM_PIXELS ? (int32_t)n_pixels : SUM_PIXELS;
        vf s[BLOCK][BLOCK], q[BLOCK][BLOCK];
        for (int u = 0; u < n_sums; u++) {
            for (int v = 0; v < n_vectors; v++) {
                s[u][v] = q[u][v] = v_zero();
            }
        }
        int32_t p = 0;
        for (; p <= n - n_sums; p += n_sums) {
            for (int u = 0; u < n_sums; u++, y += n_columns) {
                for (int v = 0; v < n_vectors; v++) {
                    const vf d = v_sub(v_load(y + v * VL), mean[v]);
                    s[u][v] = v_add(s[u][v], d);
                    q[u][v] = v_fma(d, d, q[u][v]);
                }
            }
        }
        for (; p < n; p++, y += n_columns) {
            for (int v = 0; v < n_vectors; v++) {
                const vf d = v_sub(v_load(y + v * VL), mean[v]);
                s[0][v] = v_add(s[0][v], d);
                q[0][v] = v_fma(d, d, q[0][v]);
            }
        }
        sums_add(n_vectors, n_sums, s, sum);
        sums_add(n_vectors, n_sums, q, square);
        n_pixels -= n;
    }
}

static void moments(int64_t n_pixels, int32_t n_columns, const float *y, const float *center, double *sum,
                    double *square)
{
    for (int32_t j = 0; j < n_columns;) {
        const int n_vectors = block_vectors(n_columns - j);
        if (n_vectors == 4) {
            moments_run(4, n_pixels, n_columns, y + j, center + j, sum + j, square + j);
        } else if (n_vectors == 2) {
            moments_run(2, n_pixels, n_columns, y + j, center + j, sum + j, square + j);
        } else {
            moments_run(1, n_pixels, n_columns, y + j, center + j, sum + j, square + j);
        }
        j += n_vectors * VL;
    }
}

typedef enum gate_kind { GATE_OPEN, GATE_Z, GATE_AFFINE } gate_kind;

/* One block of columns; pointers that are not used are NULL, offsets are in floats. */
typedef struct gate_block {
    const float *d, *add, *z, *y, *scale, *shift, *center;
    float *out;
    double *sum, *product;
} gate_block;

/* The constants of a block, in registers. */
typedef struct gate_constants {
    vf scale[BLOCK], shift[BLOCK], center[BLOCK];
} gate_constants;

INLINED void gate_pixel(const int n_vectors, const gate_kind kind, const int with_product, const gate_block *b,
                        const gate_constants *c, int64_t at, vf *s, vf *q)
{
    for (int v = 0; v < n_vectors; v++, at += VL) {
        vf passed = v_load(b->d + at);
        if (b->add) {
            passed = v_add(passed, v_load(b->add + at));
        }
        const vf y = kind == GATE_AFFINE || with_product ? v_load(b->y + at) : v_zero();
        if (kind == GATE_Z) {
            passed = v_select(v_gt(v_load(b->z + at), v_zero()), passed, v_zero());
        } else if (kind == GATE_AFFINE) {
            /* The rounding of affine: both see the same sign. */
            passed = v_select(v_gt(v_fma(y, c->scale[v], c->shift[v]), v_zero()), passed, v_zero());
        }
        v_store(b->out + at, passed);
        s[v] = v_add(s[v], passed);
        if (with_product) {
            q[v] = v_fma(passed, v_sub(y, c->center[v]), q[v]);
        }
    }
}

INLINED void gate_run(const int n_vectors, const gate_kind kind, const int with_product, int64_t n_pixels,
                      int32_t n_columns, const gate_block *block)
{
    const int n_sums = BLOCK / n_vectors;
    const gate_block b = *block; /* a copy that no store can alias */
    gate_constants c;
    for (int v = 0; v < n_vectors; v++) {
        c.scale[v] = kind == GATE_AFFINE ? v_load(b.scale + v * VL) : v_zero();
        c.shift[v] = kind == GATE_AFFINE ? v_load(b.shift + v * VL) : v_zero();
        c.center[v] = with_product ? v_load(b.center + v * VL) : v_zero();
    }
    int64_t at = 0;
    while (n_pixels > 0) {
        const int32_t n = n_pixels < SUM_PIXELS ? (int32_t)n_pixels : SUM_PIXELS;
        vf s[BLOCK][BLOCK], q[BLOCK][BLOCK];
        for (int u = 0; u < n_sums; u++) {
            for (int v = 0; v < n_vectors; v++) {
                s[u][v] = q[u][v] = v_zero();
            }
        }
        int32_t p = 0;
        for (; p <= n - n_sums; p += n_sums) {
            for (int u = 0; u < n_sums; u++, at += n_columns) {
                gate_pixel(n_vectors, kind, with_product, &b, &c, at, s[u], q[u]);
            }
        }
        for (; p < n; p++, at += n_columns) {
            gate_pixel(n_vectors, kind, with_product, &b, &c, at, s[0], q[0]);
        }
        if (b.sum) {
            sums_add(n_vectors, n_sums, s, b.sum);
        }
        if (with_product) {
            sums_add(n_vectors, n_sums, q, b.product);
        }
        n_pixels -= n;
    }
}

INLINED void gate_columns(const int n_vectors, int64_t n_pixels, int32_t n_columns, const gate_block *b)
{
    const gate_kind kind = b->z ? GATE_Z : b->scale ? GATE_AFFINE : GATE_OPEN;
    if (kind == GATE_Z && b->product) {
        gate_run(n_vectors, GATE_Z, 1, n_pixels, n_columns, b);
    } else if (kind == GATE_Z) {
        gate_run(n_vectors, GATE_Z, 0, n_pixels, n_columns, b);
    } else if (kind == GATE_AFFINE && b->product) {
        gate_run(n_vectors, GATE_AFFINE, 1, n_pixels, n_columns, b);
    } else if (kind == GATE_AFFINE) {
        gate_run(n_vectors, GATE_AFFINE, 0, n_pixels, n_columns, b);
    } else if (b->product) {
        gate_run(n_vectors, GATE_OPEN, 1, n_pixels, n_columns, b);
    } else {
        gate_run(n_vectors, GATE_OPEN, 0, n_pixels, n_columns, b);
    }
}

static inline const float *shifted(const float *p, int32_t j)
{
    return p ? p + j : NULL;
}

static void gate(int64_t n_pixels, int32_t n_columns, const float *d, const float *add, const float *z, const float *y,
                 const float *scale, const float *shift, const float *center, float *out, double *sum, double *product)
{
    for (int32_t j = 0; j < n_columns;) {
        const int n_vectors = block_vectors(n_columns - j);
        const gate_block b = {d + j,
                              shifted(add, j),
                              shifted(z, j),
                              shifted(y, j),
                              shifted(scale, j),
                              shifted(shift, j),
                              shifted(center, j),
                              out + j,
                              sum ? sum + j : NULL,
                              product ? product + j : NULL};
        if (n_vectors == 4) {
            gate_columns(4, n_pixels, n_columns, &b);
        } else if (n_vectors == 2) {
            gate_columns(2, n_pixels, n_columns, &b);
        } else {
            gate_columns(1, n_pixels, n_columns, &b);
        }
        j += n_vectors * VL;
    }
}

/* ---- pools --------------------------------------------------------------------------------------------------------- */

/* The largest of a window at one vector of columns; a NaN is larger than every number. */
INLINED vf window_max(const float *window, int32_t size, int64_t row, int32_t n_columns)
{
    vf largest = v_load(window);
    for (int32_t r = 0; r < size; r++) {
        for (int32_t c = 0; c < size; c++) {
            const vf x = v_load(window + r * row + (int64_t)c * n_columns);
            largest = v_select(m_or(v_gt(x, largest), v_is_nan(x)), x, largest);
        }
    }
    return largest;
}

INLINED void max_pool_of(const int32_t size, int32_t height, int32_t width, int32_t n_columns, const float *in,
                         float *out)
{
    const int64_t row = (int64_t)width * n_columns;
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, out += n_columns) {
            const float *window = in + r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j += VL) {
                v_store(out + j, window_max(window + j, size, row, n_columns));
            }
        }
    }
}

/* The usual size as a constant: its loops unroll. */
static void max_pool(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in, float *out)
{
    if (size == 2) {
        max_pool_of(2, height, width, n_columns, in, out);
    } else {
        max_pool_of(size, height, width, n_columns, in, out);
    }
}

/* The pixels that fill no window get no gradient. */
static void clear_rest(int32_t height, int32_t width, int32_t n_columns, int32_t size, float *d_in)
{
    const int32_t n_rows = height / size * size, n_used = width / size * size;
    const size_t row = (size_t)width * (size_t)n_columns;
    if (n_used < width) {
        for (int32_t r = 0; r < n_rows; r++) {
            memset(d_in + (size_t)r * row + (size_t)n_used * (size_t)n_columns, 0,
                   (size_t)(width - n_used) * (size_t)n_columns * sizeof *d_in);
        }
    }
    memset(d_in + (size_t)n_rows * row, 0, (size_t)(height - n_rows) * row * sizeof *d_in);
}

INLINED void max_pool_backward_of(const int32_t size, int32_t height, int32_t width, int32_t n_columns, const float *in,
                                  const float *d_out, float *d_in)
{
    const int64_t row = (int64_t)width * n_columns;
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, d_out += n_columns) {
            const int64_t start = r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j += VL) {
                const vf largest = window_max(in + start + j, size, row, n_columns), d = v_load(d_out + j);
                vm done = m_none();
                for (int32_t i = 0; i < size; i++) {
                    for (int32_t k = 0; k < size; k++) {
                        const int64_t at = start + j + i * row + (int64_t)k * n_columns;
                        const vf x = v_load(in + at);
                        /* Where the largest is a NaN only NaNs qualify, where it is none there are none. */
                        const vm hit = m_and_not(m_or(v_eq(x, largest), v_is_nan(x)), done);
                        v_store(d_in + at, v_select(hit, d, v_zero()));
                        done = m_or(done, hit);
                    }
                }
            }
        }
    }
    clear_rest(height, width, n_columns, size, d_in);
}

static void max_pool_backward(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in,
                              const float *d_out, float *d_in)
{
    if (size == 2) {
        max_pool_backward_of(2, height, width, n_columns, in, d_out, d_in);
    } else {
        max_pool_backward_of(size, height, width, n_columns, in, d_out, d_in);
    }
}

static void average_pool(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *in, float *out)
{
    const int64_t row = (int64_t)width * n_columns;
    const vf share = v_set(1.0f / (float)(size * size));
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, out += n_columns) {
            const float *window = in + r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j += VL) {
                vf sum = v_zero();
                for (int32_t i = 0; i < size; i++) {
                    for (int32_t k = 0; k < size; k++) {
                        sum = v_add(sum, v_load(window + i * row + (int64_t)k * n_columns + j));
                    }
                }
                v_store(out + j, v_mul(sum, share));
            }
        }
    }
}

static void average_pool_backward(int32_t height, int32_t width, int32_t n_columns, int32_t size, const float *d_out,
                                  float *d_in)
{
    const int64_t row = (int64_t)width * n_columns;
    const vf share = v_set(1.0f / (float)(size * size));
    for (int32_t r = 0; r < height / size; r++) {
        for (int32_t c = 0; c < width / size; c++, d_out += n_columns) {
            float *window = d_in + r * size * row + (int64_t)c * size * n_columns;
            for (int32_t j = 0; j < n_columns; j += VL) {
                const vf d = v_mul(v_load(d_out + j), share);
                for (int32_t i = 0; i < size; i++) {
                    for (int32_t k = 0; k < size; k++) {
                        v_store(window + i * row + (int64_t)k * n_columns + j, d);
                    }
                }
            }
        }
    }
    clear_rest(height, width, n_columns, size, d_in);
}

#endif
