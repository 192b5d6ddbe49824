/*
 * The real Fashion-MNIST (Debian's dataset-fashion-mnist), against its published facts. Skipped where it is not
 * installed; KDSWEEP_FASHION_MNIST names another folder.
 */
#include <math.h>
#include <stdlib.h>

#include "data_fixtures.h"
#include "kdsweep/clock.h"

static const char *folder(void)
{
    const char *named = getenv("KDSWEEP_FASHION_MNIST");
    return named != NULL ? named : "/usr/share/datasets/fashion-mnist";
}

static bool is_missing(void)
{
    if (access(folder(), R_OK) == 0) {
        return false;
    }
    print_message("skipped: %s is not there (install the package dataset-fashion-mnist)\n", folder());
    return true;
}

static void test_published_facts(void **state)
{
    (void)state;
    if (is_missing()) {
        skip();
    }
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, folder());
    const double started = kds_clock_wall();
    loaded it = load(&spec);
    const double was_loaded = kds_clock_wall();
    const kds_dataset *d = &it.dataset;
    assert_int_equal(d->n_train, 60000);
    assert_int_equal(d->n_test, 10000);
    assert_int_equal(d->n_features, 784);
    assert_int_equal(d->height, 28);
    assert_int_equal(d->width, 28);
    assert_int_equal(d->channels, 1);
    assert_int_equal(d->n_classes, 10);
    assert_string_equal(d->class_name[9], "9");

    int64_t count[2][10] = {{0}};
    for (int64_t i = 0; i < 70000; i++) {
        count[i >= 60000][d->label[i]]++;
    }
    for (int c = 0; c < 10; c++) {
        assert_int_equal(count[0][c], 6000);
        assert_int_equal(count[1][c], 1000);
    }

    /* mean 0.2860 and deviation 0.3530 of all training pixels: the constants in everybody's normalisation */
    spec.standardize = KDS_STANDARDIZE_GLOBAL;
    kds_error err = KDS_ERROR_INIT;
    kds_split_view *split = NULL;
    const double split_started = kds_clock_wall();
    KDS_TEST_OK(kds_split_new(d, &spec, &split, &err), &err);
    const double was_split = kds_clock_wall();
    const double deviation = 1.0 / (255.0 * (double)split->scale[0]);
    KDS_TEST_NEAR(deviation, 0.3530, 5e-5);
    KDS_TEST_NEAR(-(double)split->shift[0] * deviation, 0.2860, 5e-5);
    assert_int_equal(split->n_train, 60000);
    assert_int_equal(split->n_validation, 5000);
    assert_int_equal(split->n_test, 5000);
    kds_split_free(split);

    spec.imbalance_ratio = 100.0;
    KDS_TEST_OK(kds_split_new(d, &spec, &split, &err), &err);
    assert_int_equal(split->n_train, 14886);
    assert_int_equal(split->train_count[1], 3596);
    assert_int_equal(split->train_count[9], 60);
    kds_split_free(split);
    print_message("load %.0f ms, split %.1f ms, block %zu bytes\n", 1e3 * (was_loaded - started),
                  1e3 * (was_split - split_started), it.size);
    kds_free(it.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_facts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
