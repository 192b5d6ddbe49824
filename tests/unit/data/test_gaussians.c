/*
 * Generated Gaussians: means, moments, and that an example depends on nothing but its seed, part, class and number.
 */
#include <math.h>

#include "data_fixtures.h"

enum { N_CLASSES = 3, N_FEATURES = 4, N_PER_CLASS = 20000 };

static kds_data_spec large_spec(void)
{
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_classes = N_CLASSES;
    spec.gaussian_features = N_FEATURES;
    spec.gaussian_train = N_PER_CLASS;
    spec.gaussian_test = 10;
    return spec;
}

static void test_means(void **state)
{
    (void)state;
    kds_data_spec spec = large_spec();
    double first[N_FEATURES];
    for (int32_t c = 0; c < N_CLASSES; c++) {
        double mean[N_FEATURES];
        double square = 0.0;
        kds_gaussian_mean(&spec, c, mean);
        for (int j = 0; j < N_FEATURES; j++) {
            square += mean[j] * mean[j];
        }
        KDS_TEST_NEAR(sqrt(square), spec.gaussian_separation, 1e-12);
        if (c == 0) {
            memcpy(first, mean, sizeof mean);
        } else {
            assert_memory_not_equal(first, mean, sizeof mean);
        }
    }
    /* The direction does not depend on the separation or on the number of classes. */
    double scaled[N_FEATURES];
    spec.gaussian_separation = 6.0;
    spec.gaussian_classes = 100;
    kds_gaussian_mean(&spec, 0, scaled);
    for (int j = 0; j < N_FEATURES; j++) {
        KDS_TEST_NEAR(scaled[j], 2.0 * first[j], 1e-12);
    }
}

/* Mean and covariance of every class, within five standard errors. */
static void test_moments(void **state)
{
    (void)state;
    const kds_data_spec spec = large_spec();
    loaded it = load(&spec);
    const kds_dataset *d = &it.dataset;
    const double error = 5.0 / sqrt(N_PER_CLASS);
    for (int32_t c = 0; c < N_CLASSES; c++) {
        double mean[N_FEATURES];
        double sum[N_FEATURES] = {0};
        double product[N_FEATURES][N_FEATURES] = {{0}};
        int64_t n = 0;
        kds_gaussian_mean(&spec, c, mean);
        for (int64_t i = 0; i < d->n_train; i++) {
            const float *x = d->x_f32 + i * N_FEATURES;
            if (d->label[i] != c) {
                continue;
            }
            n++;
            for (int j = 0; j < N_FEATURES; j++) {
                sum[j] += (double)x[j] - mean[j];
                for (int k = 0; k < N_FEATURES; k++) {
                    product[j][k] += ((double)x[j] - mean[j]) * ((double)x[k] - mean[k]);
                }
            }
        }
        assert_int_equal(n, N_PER_CLASS);
        for (int j = 0; j < N_FEATURES; j++) {
            KDS_TEST_NEAR(sum[j] / (double)n, 0.0, error);
            for (int k = 0; k < N_FEATURES; k++) {
                KDS_TEST_NEAR(product[j][k] / (double)n, j == k ? 1.0 : 0.0, error * sqrt(2.0));
            }
        }
    }
    kds_free(it.block);
}

/* More classes, more examples: the examples that were there stay what they were. */
static void test_an_example_is_a_pure_function(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded small = load(&spec);
    const int32_t m = spec.gaussian_classes;
    spec.gaussian_classes = 5;
    spec.gaussian_train = 50;
    spec.gaussian_test = 25;
    loaded large = load(&spec);
    const size_t row = 5 * sizeof(float);
    for (int64_t e = 0; e < small.dataset.n_train + small.dataset.n_test; e++) {
        const bool is_test = e >= small.dataset.n_train;
        const int64_t i = (is_test ? e - small.dataset.n_train : e) / m;
        const int64_t c = (is_test ? e - small.dataset.n_train : e) % m;
        const int64_t other = (is_test ? large.dataset.n_train : 0) + i * 5 + c;
        assert_int_equal(small.dataset.label[e], c);
        assert_int_equal(large.dataset.label[other], c);
        assert_memory_equal(small.dataset.x_f32 + e * 5, large.dataset.x_f32 + other * 5, row);
    }
    /* training and test examples are different draws */
    assert_memory_not_equal(small.dataset.x_f32, small.dataset.x_f32 + small.dataset.n_train * 5, row);
    kds_free(small.block);
    kds_free(large.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_an_example_is_a_pure_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
