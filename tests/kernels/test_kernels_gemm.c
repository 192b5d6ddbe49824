/*
 * kds_gemm against a naive product in double, for all transposes.
 *
 * Tolerance: a float inner product of length k in any order is off by at most k u sum |a b| to first order (N. J. Higham,
 * "Accuracy and stability of numerical algorithms", 2nd ed., section 3.1), u = 2^-24; the beta term adds two roundings.
 */
#include "kernel_case.h"

typedef struct shape {
    int32_t m, n, k;
} shape;

static float element(const float *x, int transposed, int32_t n_rows, int32_t n_columns, int32_t i, int32_t j)
{
    return transposed ? x[(size_t)j * (size_t)n_rows + (size_t)i] : x[(size_t)i * (size_t)n_columns + (size_t)j];
}

static void check(shape s, int transpose_a, int transpose_b, float beta, place where, area areas[3])
{
    size_t m = (size_t)s.m, n = (size_t)s.n, k = (size_t)s.k;
    float *a = area_place(&areas[0], m * k * sizeof(float), where),
          *b = area_place(&areas[1], k * n * sizeof(float), where);
    float *c = area_place(&areas[2], m * n * sizeof(float), where);
    static float before[200000];
    assert_true(m * n <= sizeof before / sizeof before[0]);
    kds_rng rng = kds_rng_make((uint64_t)(s.m * 10007 + s.n * 101 + s.k), KDS_RNG_GENERATE, 0);
    for (size_t i = 0; i < m * k; i++) {
        a[i] = random_normal(&rng);
    }
    for (size_t i = 0; i < k * n; i++) {
        b[i] = random_normal(&rng);
    }
    for (size_t i = 0; i < m * n; i++) {
        before[i] = c[i] = beta == 0.0f ? NAN : random_normal(&rng); /* beta = 0: what was there does not count */
    }
    kds_gemm(transpose_a, transpose_b, s.m, s.n, s.k, a, transpose_a ? s.m : s.k, b, transpose_b ? s.k : s.n, beta, c,
             s.n);
    area_check(&areas[2]);
    for (int32_t i = 0; i < s.m; i++) {
        for (int32_t j = 0; j < s.n; j++) {
            size_t at = (size_t)i * n + (size_t)j;
            double sum = beta == 0.0f ? 0.0 : (double)beta * (double)before[at], size = fabs(sum);
            for (int32_t l = 0; l < s.k; l++) {
                double product = (double)element(a, transpose_a, s.m, s.k, i, l) *
                                 (double)element(b, transpose_b, s.k, s.n, l, j);
                sum += product;
                size += fabs(product);
            }
            KDS_TEST_NEAR((double)c[at], sum, (s.k + 2) * 1.01 * UNIT_ROUNDOFF * size);
        }
    }
}

static void gemm(void **state)
{
    (void)state;
    static const shape shapes[] = {{1, 1, 1},      {1, 5, 3},     {5, 1, 7},    {7, 3, 1},      {16, 16, 16},
                                   {17, 15, 33},   {3, 64, 65},   {64, 10, 20}, {65, 67, 71},   {128, 10, 64},
                                   {33, 200, 100}, {256, 12, 31}, {20, 16, 8},  {130, 129, 257}};
    area areas[3] = {area_make(400000), area_make(400000), area_make(400000)};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int how = 0; how < 8; how++) {
            check(shapes[i], how & 1, how >> 1 & 1, 0.0f, (place)(how >> 2), areas);
            check(shapes[i], how & 1, how >> 1 & 1, how & 1 ? 1.0f : -0.5f, (place)(how >> 2), areas);
        }
    }
    for (int i = 0; i < 3; i++) {
        area_free(&areas[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gemm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
