/*
 * gather_u8, gather_f32: out[i * pitch + j] = x[rows[i]][j] * scale[j] + shift[j], and nothing between the rows is touched.
 *
 * Tolerance: the product and the sum are rounded once each, or only the sum where the level fuses them:
 * |error| <= u (|x scale| + |result|) to first order, u = 2^-24. In double the product is exact.
 */
#include "kernel_case.h"

enum { MAX_ROWS = 5, N_SOURCE_ROWS = 7, MAX_GAP = 20 };

static void check_value(float got, double x, double scale, double shift)
{
    double product = x * scale, wanted = product + shift;
    if (isnan(wanted)) {
        assert_true(isnan(got));
    } else if (isfinite(product) && fabs(product) >= (double)FLT_MAX) {
        /* The rounded product overflows, the fused one need not: either answer is right. */
        assert_true(isnan(got) || isinf(got) || fabs((double)got - wanted) <= 2 * UNIT_ROUNDOFF * fabs(wanted));
    } else if (isinf(wanted)) {
        assert_true((double)got == wanted);
    } else if (fabs(wanted) > (double)FLT_MAX) {
        assert_true(isinf(got) || fabs((double)got) == (double)FLT_MAX);
    } else {
        KDS_TEST_NEAR((double)got, wanted, 1.01 * UNIT_ROUNDOFF * (fabs(product) + fabs(wanted)) + TINY);
    }
}

static void gather_level(const kds_kernels *k)
{
    area x_area = area_make(N_SOURCE_ROWS * MAX_LENGTH * sizeof(float)),
         out_area = area_make(MAX_ROWS * (MAX_LENGTH + MAX_GAP) * sizeof(float));
    area rows_area = area_make(4096), scale_area = area_make(8192), shift_area = area_make(8192);
    kds_rng rng = kds_rng_make(1, KDS_RNG_GENERATE, 0);
    for (int i_case = 0; i_case < N_LENGTHS * N_PLACES * N_FILLINGS * 2; i_case++) {
        int32_t n = lengths[i_case / (N_PLACES * N_FILLINGS * 2)];
        place where = (place)(i_case % 2);
        int is_u8 = i_case / 2 % 2;
        filling how = (filling)(i_case / 4 % N_FILLINGS);
        int32_t n_rows = (int32_t)kds_rng_below(&rng, MAX_ROWS + 1);
        size_t item = is_u8 ? 1 : sizeof(float), columns = (size_t)n;
        unsigned char *x_u8 = area_place(&x_area, N_SOURCE_ROWS * columns * item, where);
        float *x_f32 = (float *)(void *)x_u8;
        int32_t *rows = area_place(&rows_area, (size_t)n_rows * sizeof(int32_t), where);
        float *scale = area_place(&scale_area, columns * sizeof(float), where);
        float *shift = area_place(&shift_area, columns * sizeof(float), where);
        size_t pitch = columns + (size_t)kds_rng_below(&rng, MAX_GAP + 1);
        size_t n_out = n_rows > 0 ? (size_t)(n_rows - 1) * pitch + columns : 0; /* nothing behind the last row */
        float *out = area_place(&out_area, n_out * sizeof(float), where);
        for (size_t i = 0; i < N_SOURCE_ROWS * columns; i++) {
            if (is_u8) {
                x_u8[i] = (unsigned char)kds_rng_below(&rng, 256);
            } else {
                x_f32[i] = random_number(&rng, how);
            }
        }
        for (size_t j = 0; j < columns; j++) {
            scale[j] = random_number(&rng, how);
            shift[j] = random_number(&rng, how);
        }
        for (int32_t i = 0; i < n_rows; i++) {
            rows[i] = (int32_t)kds_rng_below(&rng, N_SOURCE_ROWS);
        }
        if (is_u8) {
            k->gather_u8(n_rows, n, rows, x_u8, scale, shift, (int64_t)pitch, out);
        } else {
            k->gather_f32(n_rows, n, rows, x_f32, scale, shift, (int64_t)pitch, out);
        }
        area_check(&out_area);
        for (int32_t i = 0; i < n_rows; i++) {
            for (size_t j = 0; j < columns; j++) {
                size_t from = (size_t)rows[i] * columns + j;
                check_value(out[(size_t)i * pitch + j], is_u8 ? (double)x_u8[from] : (double)x_f32[from],
                            (double)scale[j], (double)shift[j]);
            }
            for (size_t j = columns; j < pitch && i < n_rows - 1; j++) {
                assert_untouched(&out[(size_t)i * pitch + j]);
            }
        }
    }
    area_free(&x_area);
    area_free(&out_area);
    area_free(&rows_area);
    area_free(&scale_area);
    area_free(&shift_area);
}

static void gather(void **state)
{
    (void)state;
    for_each_level(gather_level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gather)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
