/*
 * bias_activation and bias_activation_backward.
 *
 * Forward: one rounded addition, so every level gives the same numbers (only the sign of a zero is free). Backward: dy is
 * masked exactly; the sums over rows are in double in any order, rounded to float once:
 * |error| <= (n_rows + 1) 2^-53 sum |dy| + 2^-24 |sum|.
 */
#include "kernel_case.h"

enum { MAX_ROWS = 9 };

static float number(kds_rng *rng, int how)
{
    return how == 0 ? random_normal(rng) : how == 1 ? random_any(rng) : nasty[kds_rng_below(rng, N_NASTY)];
}

static void forward_level(const kds_kernels *k)
{
    area y_area = area_make(MAX_ROWS * MAX_LENGTH * sizeof(float)), bias_area = area_make(8192);
    static float before[MAX_ROWS * MAX_LENGTH];
    kds_rng rng = kds_rng_make(2, KDS_RNG_GENERATE, 0);
    for (int i_case = 0; i_case < N_LENGTHS * 12; i_case++) {
        int32_t n = lengths[i_case / 12], n_rows = (int32_t)kds_rng_below(&rng, MAX_ROWS + 1);
        int how = i_case % 3, relu = i_case / 3 % 2;
        place where = (place)(i_case / 6 % 2);
        size_t columns = (size_t)n, cells = columns * (size_t)n_rows;
        float *y = area_place(&y_area, cells * sizeof(float), where),
              *bias = area_place(&bias_area, columns * sizeof(float), where);
        for (size_t i = 0; i < cells; i++) {
            before[i] = y[i] = number(&rng, how);
        }
        for (size_t j = 0; j < columns; j++) {
            bias[j] = number(&rng, how);
        }
        k->bias_activation(n_rows, n, bias, relu, y);
        area_check(&y_area);
        for (size_t i = 0; i < cells; i++) {
            float z = before[i] + bias[i % columns];
            float wanted = isnan(z) ? z : relu ? fmaxf(z, 0.0f) : z;
            if (!same(y[i], wanted)) {
                fail_msg("n %d, cell %zu: %g + %g became %g", (int)n, i, (double)before[i], (double)bias[i % columns],
                         (double)y[i]);
            }
        }
    }
    area_free(&y_area);
    area_free(&bias_area);
}

static void forward(void **state)
{
    (void)state;
    for_each_level(forward_level);
}

static void check_sum(float got, const float *dy, int32_t n_rows, size_t columns)
{
    long double sum = 0, size = 0;
    int special = 0;
    for (int32_t i = 0; i < n_rows; i++) {
        float d = dy[(size_t)i * columns];
        sum += (long double)d;
        size += fabsl((long double)d);
        special |= !isfinite(d);
    }
    if (special) {
        assert_true(isnan(sum) ? isnan(got) : (long double)got == sum);
        return;
    }
    long double tolerance = (n_rows + 1) * 0x1p-53L * size + 1.01L * (long double)UNIT_ROUNDOFF * fabsl(sum) +
                            (long double)TINY;
    if (fabsl(sum) + tolerance > (long double)FLT_MAX) {
        assert_true(isinf(got) || fabsl((long double)got - sum) <= tolerance);
        return;
    }
    KDS_TEST_NEAR((double)got, (double)sum, (double)tolerance);
}

static void backward_level(const kds_kernels *k)
{
    area y_area = area_make(MAX_ROWS * MAX_LENGTH * sizeof(float)),
         dy_area = area_make(MAX_ROWS * MAX_LENGTH * sizeof(float));
    area bias_area = area_make(8192);
    static float before[MAX_ROWS * MAX_LENGTH];
    kds_rng rng = kds_rng_make(3, KDS_RNG_GENERATE, 0);
    for (int i_case = 0; i_case < N_LENGTHS * 12; i_case++) {
        int32_t n = lengths[i_case / 12], n_rows = (int32_t)kds_rng_below(&rng, MAX_ROWS + 1);
        int how = i_case % 3, with_y = i_case / 3 % 2;
        place where = (place)(i_case / 6 % 2);
        size_t columns = (size_t)n, cells = columns * (size_t)n_rows;
        float *y = area_place(&y_area, cells * sizeof(float), where),
              *dy = area_place(&dy_area, cells * sizeof(float), where);
        float *sums = area_place(&bias_area, columns * sizeof(float), where);
        for (size_t i = 0; i < cells; i++) {
            before[i] = dy[i] = number(&rng, how);
            y[i] = number(&rng, how == 0 ? 0 : 2);
        }
        k->bias_activation_backward(n_rows, n, with_y ? y : NULL, dy, sums);
        area_check(&dy_area);
        area_check(&bias_area);
        for (size_t i = 0; i < cells; i++) {
            float wanted = !with_y || y[i] > 0.0f ? before[i] : 0.0f;
            if (!same(dy[i], wanted)) {
                fail_msg("n %d, cell %zu: dy %g at y %g became %g", (int)n, i, (double)before[i], (double)y[i],
                         (double)dy[i]);
            }
        }
        for (size_t j = 0; j < columns; j++) {
            check_sum(sums[j], dy + j, n_rows, columns);
        }
    }
    area_free(&y_area);
    area_free(&dy_area);
    area_free(&bias_area);
}

static void backward(void **state)
{
    (void)state;
    for_each_level(backward_level);
}

/* Sums that cancel: what float sums would lose entirely. */
static void cancelling_level(const kds_kernels *k)
{
    enum { N_ROWS = 1001, N_COLUMNS = 67 };
    static float dy[N_ROWS * N_COLUMNS], sums[N_COLUMNS];
    for (int i = 0; i < N_ROWS; i++) {
        for (int j = 0; j < N_COLUMNS; j++) {
            dy[i * N_COLUMNS + j] = i == N_ROWS - 1 ? 0.001f : i % 2 ? -1e6f : 1e6f;
        }
    }
    k->bias_activation_backward(N_ROWS, N_COLUMNS, NULL, dy, sums);
    for (int j = 0; j < N_COLUMNS; j++) {
        KDS_TEST_NEAR((double)sums[j], 0.001, 0.001 * 1e-6);
    }
}

static void cancelling(void **state)
{
    (void)state;
    for_each_level(cancelling_level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(backward),
                                       cmocka_unit_test(cancelling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
