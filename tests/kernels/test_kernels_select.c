/*
 * Which table is chosen: KDSWEEP_ISA, levels, complete tables; what BLAS says of itself.
 */
#include <stdlib.h>

#include "kernel_case.h"

static void wanted(const char *value)
{
    if (value) {
        assert_int_equal(setenv("KDSWEEP_ISA", value, 1), 0);
    } else {
        unsetenv("KDSWEEP_ISA");
    }
}

static void bad_names(void **state)
{
    (void)state;
    const char *const names[] = {"AVX2", "avx", "scalar ", " scalar", "avx51", "avx5122", "sse", "1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        kds_kernels k;
        kds_error err = KDS_ERROR_INIT;
        wanted(names[i]);
        assert_int_equal(kds_kernels_select(&k, &err), KDS_USAGE);
        assert_non_null(strstr(err.message, names[i]));
        assert_non_null(strstr(err.hint, "scalar"));
    }
    wanted(NULL);
}

static void each_level_by_name(void **state)
{
    (void)state;
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        kds_kernels by_name, by_number;
        kds_error err = KDS_ERROR_INIT;
        wanted(kds_isa_name((kds_isa)isa));
        kds_status status = kds_kernels_select(&by_name, &err);
        assert_int_equal(status, kds_kernels_level((kds_isa)isa, &by_number, NULL));
        if (status == KDS_OK) {
            assert_int_equal(by_name.isa, isa);
            assert_true(by_name.softmax_gradient == by_number.softmax_gradient &&
                        by_name.sgd_step == by_number.sgd_step);
        } else {
            assert_int_equal(status, KDS_UNSUPPORTED);
            assert_non_null(strstr(err.message, kds_isa_name((kds_isa)isa)));
            assert_true(err.hint[0] != '\0');
        }
    }
    wanted(NULL);
}

/* Unset and empty: the best level there is. */
static void best_by_default(void **state)
{
    (void)state;
    int best = KDS_ISA_SCALAR;
    kds_kernels k;
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        if (kds_kernels_level((kds_isa)isa, &k, NULL) == KDS_OK) {
            best = isa;
        }
    }
    const char *const values[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        kds_error err = KDS_ERROR_INIT;
        wanted(values[i]);
        KDS_TEST_OK(kds_kernels_select(&k, &err), &err);
        assert_int_equal(k.isa, best);
    }
    wanted(NULL);
}

static void complete_level(const kds_kernels *k)
{
    assert_non_null(k->gather_u8);
    assert_non_null(k->gather_f32);
    assert_non_null(k->softmax_gradient);
    assert_non_null(k->softmax);
    assert_non_null(k->sgd_step);
    assert_non_null(k->product);
    assert_non_null(k->product_weights);
    assert_non_null(k->product_step);
    assert_non_null(k->transpose);
    assert_non_null(k->winograd_in);
    assert_non_null(k->winograd_gradient);
    assert_non_null(k->winograd_out);
    assert_non_null(k->affine);
    assert_non_null(k->moments);
    assert_non_null(k->gate);
    assert_non_null(k->max_pool);
    assert_non_null(k->max_pool_backward);
    assert_non_null(k->average_pool);
    assert_non_null(k->average_pool_backward);
}

static void complete(void **state)
{
    (void)state;
    for_each_level(complete_level);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(kds_isa_name(KDS_ISA_SCALAR), "scalar");
    assert_string_equal(kds_isa_name(KDS_ISA_AVX2), "avx2");
    assert_string_equal(kds_isa_name(KDS_ISA_AVX512), "avx512");
    assert_string_equal(kds_isa_name(KDS_ISA_NEON), "neon");
    assert_string_equal(kds_isa_name(KDS_N_ISAS), "unknown");
    kds_kernels k;
    assert_int_equal(kds_kernels_level(KDS_N_ISAS, &k, NULL), KDS_UNSUPPORTED);
}

static void blas(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_blas_single_thread(&err), &err);
    assert_true(strlen(kds_blas_core()) > 0);
    assert_int_equal(strncmp(kds_blas_version(), "OpenBLAS ", 9), 0);
    assert_true(strlen(kds_blas_version()) > 9);
    assert_true(kds_blas_version()[9] >= '0' && kds_blas_version()[9] <= '9');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_names),       cmocka_unit_test(each_level_by_name),
        cmocka_unit_test(best_by_default), cmocka_unit_test(complete),
        cmocka_unit_test(names),           cmocka_unit_test(blas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
