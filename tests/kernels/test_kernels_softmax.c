/*
 * softmax and softmax_gradient against long double, and the accuracy of the exponential inside them.
 *
 * Tolerances. z_j = f_j * inverse_temperature + offset_j is rounded twice: |dz_j| <= d_j = u (|f_j inverse_temperature| + |z_j|), and
 * the difference from the largest once more. So the relative error of each exponential is at most
 * r = EXP_ERROR + max d + d_largest + u max |z_j - z_largest| (over the exponentials that do not vanish), that of a probability
 * 2 r + 3 u, and logsumexp is off by r + max d. What is below FLUSHED may be 0.
 *
 * Measured with this test for the scalar table: the exponential is within 8.2e-8 relative (1.4 u) on [-87, -18], which covers every
 * reduced argument.
 */
#include "kernel_case.h"

#define EXP_ERROR 1e-7  /* kernels_scalar.c promises 2e-7; exponential() says what is measured */
#define FLUSHED 1.7e-38 /* e^-87 */

enum { MAX_CLASSES = 1027, MAX_ROWS = 4 };

/* ---- the exponential ---------------------------------------------------------------------------------------------- */

/* In a row {0, x, x, ...} with every x so low that 1 + the sum rounds to 1, the probabilities are the exponentials themselves. */
static double exponential_error(const kds_kernels *k, int32_t n_classes, float highest)
{
    enum { N_AT_ONCE = 4096, STRIDE = 7 };
    static float f[N_AT_ONCE * 64], p[N_AT_ONCE * 64];
    const float lowest = -87.0f;
    uint32_t bits, last_bits; /* of a negative float: larger is lower */
    memcpy(&bits, &highest, sizeof bits);
    memcpy(&last_bits, &lowest, sizeof last_bits);
    double worst = 0;
    int at_end = 0;
    while (!at_end) {
        size_t n_cells = (size_t)N_AT_ONCE * (size_t)n_classes;
        for (size_t i = 0; i < n_cells; i++) {
            if (i % (size_t)n_classes == 0) {
                f[i] = 0.0f;
                continue;
            }
            memcpy(&f[i], &bits, sizeof bits);
            at_end = bits == last_bits;
            bits = last_bits - bits > STRIDE ? bits + STRIDE : last_bits;
        }
        k->softmax(N_AT_ONCE, n_classes, f, 1.0f, p);
        for (size_t i = 0; i < n_cells; i++) {
            if (f[i] < 0.0f) {
                long double right = expl((long double)f[i]);
                worst = fmax(worst, (double)(fabsl((long double)p[i] - right) / right));
            }
        }
    }
    return worst;
}

static void exponential_level(const kds_kernels *k)
{
    double narrow = exponential_error(k, 2, -18.0f), wide = exponential_error(k, 64, -22.0f);
    print_message("           exp: relative error at most %.3g (two classes), %.3g (64 classes)\n", narrow, wide);
    assert_true(narrow <= EXP_ERROR);
    assert_true(wide <= EXP_ERROR);
    /* Exactly 1 at 0, 0 far below, and never more than 1. */
    float f[3] = {5.0f, -1000.0f, -INFINITY}, p[3];
    k->softmax(1, 3, f, 1.0f, p);
    assert_true(p[0] == 1.0f && p[1] == 0.0f && p[2] == 0.0f);
}

static void exponential(void **state)
{
    (void)state;
    for_each_level(exponential_level);
}

/* ---- softmax ------------------------------------------------------------------------------------------------------ */

typedef struct row_reference {
    long double p[MAX_CLASSES];
    long double log_sum;
    double relative;  /* error that a probability may have */
    double log_error; /* of logsumexp */
    double z_error;   /* of any z */
    int defined;      /* all z are numbers and the largest is finite */
} row_reference;

static void make_reference(int32_t n, const float *f, float inverse_temperature, const float *offset,
                           row_reference *out)
{
    static long double z[MAX_CLASSES];
    long double largest = -INFINITY;
    double d_largest = 0, d_max = 0, span = 0;
    out->defined = 1;
    for (int32_t j = 0; j < n; j++) {
        long double scaled = (long double)f[j] * (long double)inverse_temperature;
        z[j] = scaled + (offset ? (long double)offset[j] : 0.0L);
        out->defined &= !isnan(z[j]) && z[j] <= (long double)FLT_MAX; /* far below is as good as -inf */
        largest = z[j] > largest ? z[j] : largest;
        if (isfinite(z[j])) {
            d_max = fmax(d_max, UNIT_ROUNDOFF * (double)(fabsl(scaled) + fabsl(z[j])));
        }
    }
    out->defined &= largest >= -(long double)FLT_MAX;
    if (!out->defined) {
        return;
    }
    d_largest = d_max;
    long double sum = 0;
    for (int32_t j = 0; j < n; j++) {
        out->p[j] = expl(z[j] - largest);
        sum += out->p[j];
        span = fmax(span, (double)fminl(largest - z[j], 88.0L));
    }
    for (int32_t j = 0; j < n; j++) {
        out->p[j] /= sum;
    }
    double relative = EXP_ERROR + d_max + d_largest + UNIT_ROUNDOFF * span;
    out->log_sum = largest + logl(sum);
    out->relative = 1.01 * (2 * relative + 3 * UNIT_ROUNDOFF);
    out->log_error = 1.01 * (relative + d_max);
    out->z_error = d_max;
}

/* Logits: 0 ordinary, 1 large (differences of hundreds), 2 all equal and huge, 3 nearly one-hot, 4 nasty. */
enum { N_KINDS = 5 };
static void fill_logits(kds_rng *rng, int kind, size_t n, float *f)
{
    for (size_t j = 0; j < n; j++) {
        switch (kind) {
        case 0:
            f[j] = 3 * random_normal(rng);
            break;
        case 1:
            f[j] = 200 * random_normal(rng);
            break;
        case 2:
            f[j] = 1e30f;
            break;
        case 3:
            f[j] = kds_rng_below(rng, 5) == 0 ? 50.0f : -50.0f;
            break;
        default:
            f[j] = nasty[kds_rng_below(rng, N_NASTY)];
            break;
        }
    }
}

static void softmax_level(const kds_kernels *k)
{
    area f_area = area_make((size_t)MAX_ROWS * MAX_CLASSES * sizeof(float)),
         p_area = area_make((size_t)MAX_ROWS * MAX_CLASSES * sizeof(float));
    static row_reference reference;
    kds_rng rng = kds_rng_make(5, KDS_RNG_GENERATE, 0);
    static const float temperatures[] = {1.0f, 0.1f, 5.0f};
    for (int i_case = N_KINDS * 6; i_case < N_LENGTHS * N_KINDS * 6; i_case++) {
        int32_t n = lengths[i_case / (N_KINDS * 6)], n_rows = 1 + (int32_t)kds_rng_below(&rng, MAX_ROWS);
        int kind = i_case % N_KINDS;
        place where = (place)(i_case / N_KINDS % 2);
        float inverse_temperature = 1.0f / temperatures[i_case / (N_KINDS * 2) % 3];
        size_t columns = (size_t)n, cells = columns * (size_t)n_rows;
        float *f = area_place(&f_area, cells * sizeof(float), where),
              *p = area_place(&p_area, cells * sizeof(float), where);
        fill_logits(&rng, kind, cells, f);
        k->softmax(n_rows, n, f, inverse_temperature, p);
        area_check(&p_area);
        for (int32_t i = 0; i < n_rows; i++) {
            const float *row = p + (size_t)i * columns;
            make_reference(n, f + (size_t)i * columns, inverse_temperature, NULL, &reference);
            for (int32_t j = 0; j < n; j++) {
                if (!reference.defined) {
                    assert_true(!isfinite(row[j])); /* no row looks like probabilities when it is none */
                } else if (!isfinite(reference.relative) || reference.relative > 0.5) {
                    assert_true(row[j] >= 0.0f && row[j] <= 1.0f);
                } else {
                    KDS_TEST_NEAR((double)row[j], (double)reference.p[j],
                                  reference.relative * (double)reference.p[j] + FLUSHED);
                }
            }
        }
    }
    area_free(&f_area);
    area_free(&p_area);
}

static void softmax(void **state)
{
    (void)state;
    for_each_level(softmax_level);
}

/* ---- softmax_gradient --------------------------------------------------------------------------------------------- */

typedef struct term_area {
    area target, offset;
} term_area;

/* Row sums of the target: 1, 0 (a term that is switched off), or something else. */
static void fill_target(kds_rng *rng, int kind, int32_t n_rows, int32_t n, float *target)
{
    for (int32_t i = 0; i < n_rows; i++) {
        float *row = target + (size_t)i * (size_t)n;
        size_t chosen = (size_t)kds_rng_below(rng, (uint64_t)n);
        for (size_t j = 0; j < (size_t)n; j++) {
            row[j] = kind == 0 ? (float)(j == chosen) : kind == 1 ? (float)kds_rng_uniform(rng) / (float)n : 0.0f;
        }
    }
}

static void gradient_case(const kds_kernels *k, kds_rng *rng, int i_case, area *areas, term_area *term_areas)
{
    static row_reference reference;
    static long double wanted[MAX_ROWS * MAX_CLASSES];
    static double allowed[MAX_ROWS * MAX_CLASSES];
    int32_t n = lengths[1 + i_case % (N_LENGTHS - 1)], n_rows = 1 + (int32_t)kds_rng_below(rng, MAX_ROWS);
    int32_t n_terms = 1 + i_case % 2;
    int kind = (int)kds_rng_below(rng, 4);
    place where = (place)kds_rng_below(rng, 2);
    size_t columns = (size_t)n, cells = columns * (size_t)n_rows;
    float *f = area_place(&areas[0], cells * sizeof(float), where),
          *g = area_place(&areas[1], cells * sizeof(float), where);
    float *scratch = area_place(&areas[2], columns * sizeof(float), where);
    kds_softmax_term terms[2];
    fill_logits(rng, kind, cells, f);
    for (int t = 0; t < n_terms; t++) {
        float *target = area_place(&term_areas[t].target, cells * sizeof(float), where);
        float *offset = area_place(&term_areas[t].offset, columns * sizeof(float), where);
        int extreme = kds_rng_below(rng, 4) == 0;
        for (size_t j = 0; j < columns; j++) {
            offset[j] = extreme ? (j % 3 ? -27.6f : 27.6f) : random_normal(rng);
        }
        fill_target(rng, (int)kds_rng_below(rng, 3), n_rows, n, target);
        const float temperatures[] = {1.0f, 1.0f, 4.0f, 0.5f};
        terms[t] = (kds_softmax_term){.target = target,
                                      .offset = kds_rng_below(rng, 2) ? offset : NULL,
                                      .inverse_temperature = 1.0f / temperatures[kds_rng_below(rng, 4)],
                                      .weight = (float)kds_rng_uniform(rng) * 3};
    }

    long double loss = 0;
    double loss_allowed = 0;
    for (size_t c = 0; c < cells; c++) {
        wanted[c] = 0;
        allowed[c] = 2 * FLUSHED;
        g[c] = NAN; /* is written, not added to */
    }
    for (int32_t i = 0; i < n_rows; i++) {
        for (int t = 0; t < n_terms; t++) {
            const kds_softmax_term *term = &terms[t];
            const float *p = term->target + (size_t)i * columns;
            make_reference(n, f + (size_t)i * columns, term->inverse_temperature, term->offset, &reference);
            assert_true(reference.defined);
            long double mass = 0, value = 0;
            for (size_t j = 0; j < columns; j++) {
                long double z = (long double)f[(size_t)i * columns + j] * (long double)term->inverse_temperature +
                                (term->offset ? (long double)term->offset[j] : 0.0L);
                mass += (long double)p[j];
                value += (long double)p[j] * (reference.log_sum - z);
            }
            loss += (long double)term->weight * value;
            loss_allowed += (double)term->weight *
                            ((double)mass * (reference.log_error + reference.z_error) + 0x1p-50 * (double)fabsl(value));
            long double factor = (long double)term->weight * (long double)term->inverse_temperature /
                                 (long double)n_rows;
            for (size_t j = 0; j < columns; j++) {
                size_t c = (size_t)i * columns + j;
                long double q = reference.p[j] * mass;
                wanted[c] += factor * (q - (long double)p[j]);
                /* Huge logits swallow their offsets (in a long double of 113 bits they do not): any probability is right. */
                double q_error = reference.relative <= 0.5 ? reference.relative * (double)q : (double)mass;
                /* factor: 2 roundings; q mass: 1 and that of mass; the difference and the product: 1 each; adding to the other term: 1 */
                allowed[c] += (double)factor *
                              (q_error + 8 * UNIT_ROUNDOFF * (double)q + 6 * UNIT_ROUNDOFF * (double)p[j]);
            }
        }
    }
    double got = k->softmax_gradient(n_rows, n, f, n_terms, terms, g, scratch);
    area_check(&areas[1]);
    area_check(&areas[2]);
    KDS_TEST_NEAR(got, (double)(loss / n_rows), 1.01 * loss_allowed / n_rows + 1e-12);
    for (size_t c = 0; c < cells; c++) {
        KDS_TEST_NEAR((double)g[c], (double)wanted[c], 1.01 * allowed[c]);
    }
}

static void gradient_level(const kds_kernels *k)
{
    size_t size = (size_t)MAX_ROWS * MAX_CLASSES * sizeof(float);
    area areas[3] = {area_make(size), area_make(size), area_make(size)};
    term_area term_areas[2] = {{area_make(size), area_make(size)}, {area_make(size), area_make(size)}};
    kds_rng rng = kds_rng_make(6, KDS_RNG_GENERATE, 0);
    for (int i_case = 0; i_case < 30 * (N_LENGTHS - 1); i_case++) {
        gradient_case(k, &rng, i_case, areas, term_areas);
    }
    for (int i = 0; i < 3; i++) {
        area_free(&areas[i]);
    }
    for (int t = 0; t < 2; t++) {
        area_free(&term_areas[t].target);
        area_free(&term_areas[t].offset);
    }
}

static void gradient(void **state)
{
    (void)state;
    for_each_level(gradient_level);
}

/* A logit that is not a number, or infinite: the loss says so, wherever it stands in the row and the batch. */
static void not_finite_level(const kds_kernels *k)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int32_t n = 1; n <= 70; n++) {
        for (int which = 0; which < 3; which++) {
            for (int32_t at = 0; at < n; at++) {
                float f[2 * 70], target[2 * 70], g[2 * 70], scratch[70];
                for (int32_t c = 0; c < 2 * n; c++) {
                    f[c] = (float)(c % 7);
                    target[c] = (float)(c % n == n / 2);
                }
                f[n + at] = bad[which];
                kds_softmax_term term = {.target = target, .inverse_temperature = 1.0f, .weight = 1.0f};
                assert_true(!isfinite(k->softmax_gradient(2, n, f, 1, &term, g, scratch)));
            }
        }
    }
}

static void not_finite(void **state)
{
    (void)state;
    for_each_level(not_finite_level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exponential), cmocka_unit_test(softmax),
                                       cmocka_unit_test(gradient), cmocka_unit_test(not_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
