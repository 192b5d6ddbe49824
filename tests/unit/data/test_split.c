/*
 * Splits: complete and disjoint, fixed by their seed, nested over ratios; standardisation against a direct computation.
 */
#include <math.h>
#include <stdlib.h>

#include "data_fixtures.h"

static kds_split_view *split_of(const kds_dataset *dataset, const kds_data_spec *spec)
{
    kds_error err = KDS_ERROR_INIT;
    kds_split_view *split = NULL;
    KDS_TEST_OK(kds_split_new(dataset, spec, &split, &err), &err);
    return split;
}

static void assert_split_fails(const kds_dataset *dataset, const kds_data_spec *spec, const char *message)
{
    kds_error err = KDS_ERROR_INIT;
    kds_split_view *split = NULL;
    assert_int_equal(kds_split_new(dataset, spec, &split, &err), KDS_DATA);
    assert_null(split);
    assert_string_equal(err.message, message);
}

static void assert_ascending(const int32_t *list, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        assert_true(list[i - 1] < list[i]);
    }
}

static bool contains(const int32_t *list, int64_t n, int32_t item)
{
    for (int64_t i = 0; i < n; i++) {
        if (list[i] == item) {
            return true;
        }
    }
    return false;
}

static bool is_subset(const int32_t *a, int64_t n_a, const int32_t *b, int64_t n_b)
{
    for (int64_t i = 0; i < n_a; i++) {
        if (!contains(b, n_b, a[i])) {
            return false;
        }
    }
    return true;
}

static void assert_same_list(const int32_t *a, int64_t n_a, const int32_t *b, int64_t n_b)
{
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, (size_t)n_a * sizeof *a);
}

/* Counts, priors, order; every example in at most one part, and in exactly one at ratio 1. */
static void assert_consistent(const kds_split_view *split, bool complete)
{
    const kds_dataset *d = split->dataset;
    int *times = calloc((size_t)(d->n_train + d->n_test), sizeof *times);
    assert_non_null(times);
    assert_ascending(split->train, split->n_train);
    assert_ascending(split->validation, split->n_validation);
    assert_ascending(split->test, split->n_test);
    for (int64_t i = 0; i < split->n_train; i++) {
        assert_in_range(split->train[i], 0, d->n_train - 1);
        times[split->train[i]]++;
    }
    for (int64_t i = 0; i < split->n_validation; i++) {
        times[split->validation[i]]++;
    }
    for (int64_t i = 0; i < split->n_test; i++) {
        assert_in_range(split->test[i], d->n_train, d->n_train + d->n_test - 1);
        times[split->test[i]]++;
    }
    for (int64_t i = 0; i < d->n_train + d->n_test; i++) {
        assert_true(times[i] == 1 || (times[i] == 0 && !complete && i < d->n_train));
    }
    int64_t n_train = 0;
    int64_t n_validation = 0;
    double prior = 0.0;
    for (int32_t c = 0; c < d->n_classes; c++) {
        n_train += split->train_count[c];
        n_validation += split->validation_count[c];
        prior += split->train_prior[c];
        KDS_TEST_NEAR(split->train_prior[c], (double)split->train_count[c] / (double)split->n_train, 0.0);
    }
    assert_int_equal(n_train, split->n_train);
    assert_int_equal(n_validation, split->n_validation);
    KDS_TEST_NEAR(prior, 1.0, 1e-14);
    free(times);
}

static void test_validation_from_test(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.validation_fraction = 0.31; /* 18.6 of 60 */
    loaded it = load(&spec);
    kds_split_view *split = split_of(&it.dataset, &spec);
    assert_consistent(split, true);
    assert_int_equal(split->n_train, 120);
    assert_int_equal(split->n_validation, 19);
    assert_int_equal(split->n_test, 41);
    assert_true(split->validation[0] >= 120);
    kds_split_free(split);
    kds_free(it.block);
}

static void test_validation_from_train(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.validation_from = KDS_VALIDATION_FROM_TRAIN;
    spec.validation_fraction = 0.2;
    loaded it = load(&spec);
    kds_split_view *even = split_of(&it.dataset, &spec);
    assert_consistent(even, true);
    assert_int_equal(even->n_validation, 24);
    assert_int_equal(even->n_train, 96);
    assert_int_equal(even->n_test, 60);
    assert_true(even->validation[even->n_validation - 1] < 120);

    /* the validation part is taken before the cut: the ratio does not change it, and n_max is what is left */
    spec.imbalance_ratio = 10.0;
    kds_split_view *tail = split_of(&it.dataset, &spec);
    assert_consistent(tail, false);
    assert_same_list(tail->validation, tail->n_validation, even->validation, even->n_validation);
    int64_t n_max = 0;
    for (int c = 0; c < 3; c++) {
        n_max = even->train_count[c] > n_max ? even->train_count[c] : n_max;
    }
    for (int c = 0; c < 3; c++) {
        assert_int_equal(tail->train_count[c],
                         kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, 10.0, n_max, c, 3, even->train_count[c]));
    }
    kds_split_free(even);
    kds_split_free(tail);
    kds_free(it.block);
}

static void test_seed_decides(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.imbalance_ratio = 5.0;
    loaded it = load(&spec);
    kds_split_view *a = split_of(&it.dataset, &spec);
    kds_split_view *again = split_of(&it.dataset, &spec);
    spec.split_seed = 2;
    kds_split_view *other = split_of(&it.dataset, &spec);
    assert_same_list(a->train, a->n_train, again->train, again->n_train);
    assert_same_list(a->validation, a->n_validation, again->validation, again->n_validation);
    assert_true(a->fingerprint == again->fingerprint);
    assert_int_equal(a->n_train, other->n_train);
    assert_memory_not_equal(a->train, other->train, (size_t)a->n_train * sizeof *a->train);
    assert_memory_not_equal(a->validation, other->validation, (size_t)a->n_validation * sizeof *a->validation);
    assert_true(a->fingerprint != other->fingerprint);
    kds_split_free(a);
    kds_split_free(again);
    kds_split_free(other);
    kds_free(it.block);
}

static void test_long_tails_are_nested(void **state)
{
    (void)state;
    static const double ratios[] = {1.0, 2.0, 5.0, 10.0, 40.0};
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded it = load(&spec);
    kds_split_view *lower = split_of(&it.dataset, &spec);
    for (size_t i = 1; i < sizeof ratios / sizeof ratios[0]; i++) {
        spec.imbalance_ratio = ratios[i];
        kds_split_view *higher = split_of(&it.dataset, &spec);
        assert_consistent(higher, false);
        assert_true(higher->n_train < lower->n_train);
        assert_int_equal(higher->train_count[0], 40);
        assert_true(is_subset(higher->train, higher->n_train, lower->train, lower->n_train));
        assert_same_list(higher->validation, higher->n_validation, lower->validation, lower->n_validation);
        assert_same_list(higher->test, higher->n_test, lower->test, lower->n_test);
        assert_true(higher->fingerprint != lower->fingerprint);
        kds_split_free(lower);
        lower = higher;
    }
    kds_split_free(lower);
    kds_free(it.block);
}

static void test_step_and_max_count(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.profile = KDS_PROFILE_STEP;
    spec.imbalance_ratio = 4.0;
    spec.max_count = 30;
    loaded it = load(&spec);
    kds_split_view *split = split_of(&it.dataset, &spec);
    assert_int_equal(split->train_count[0], 30);
    assert_int_equal(split->train_count[1], 7);
    assert_int_equal(split->train_count[2], 7);
    kds_split_free(split);
    spec.max_count = 1000; /* more than there are */
    spec.imbalance_ratio = 1.0;
    split = split_of(&it.dataset, &spec);
    assert_int_equal(split->n_train, 120);
    kds_split_free(split);
    kds_free(it.block);
}

static void test_empty_parts(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded it = load(&spec);
    spec.validation_fraction = 0.001;
    assert_split_fails(&it.dataset, &spec,
                       "a validation part of 0.001 of the 60 test examples is 0 examples, expected 1 .. 59");
    spec.validation_fraction = 0.999;
    spec.validation_from = KDS_VALIDATION_FROM_TRAIN;
    assert_split_fails(&it.dataset, &spec,
                       "a validation part of 0.999 of the 120 training examples is 120 examples, expected 1 .. 119");
    spec.validation_from = KDS_VALIDATION_FROM_TEST;
    spec.validation_fraction = 0.5;
    spec.imbalance_ratio = 100.0;
    assert_split_fails(&it.dataset, &spec,
                       "class 2 (2) keeps no training example: 40 are available, the largest class may have 40, the "
                       "imbalance ratio is 100");
    kds_free(it.block);
}

/* ---- standardisation --------------------------------------------------------------------------------------------- */

enum { N_ROWS = 9, WIDE = 37 };

/* A byte data set on the caller's memory: n_train rows of training, as many of test. Features 0 .. 3: constant 0,
 * constant 255, constant but for one, anything; the others pseudo-random. */
static void fill_bytes(uint8_t *x, int64_t n_rows, int32_t n_features)
{
    for (int64_t i = 0; i < n_rows; i++) {
        uint8_t *row = x + i * n_features;
        for (int32_t j = 0; j < n_features; j++) {
            row[j] = (uint8_t)((uint64_t)(i * n_features + j) * 2654435761U >> 13);
        }
        row[0] = 0;
        row[1] = 255;
        row[2] = i == 1 ? 254 : 255;
    }
}

static kds_dataset bytes_dataset(const uint8_t *x, const int32_t *label, int64_t n_each, int32_t n_features)
{
    static char names[2][KDS_NAME_CHARS] = {"0", "1"};
    return (kds_dataset){.n_train = n_each,
                         .n_test = n_each,
                         .n_features = n_features,
                         .n_classes = 2,
                         .is_u8 = true,
                         .x_u8 = x,
                         .label = label,
                         .class_name = (const char(*)[KDS_NAME_CHARS])names};
}

/* Mean and deviation of feature j (all features: j < 0) over the training part, long double, two passes. */
static void direct_moments(const kds_split_view *split, int32_t j, double *mean, double *deviation)
{
    const kds_dataset *d = split->dataset;
    const int32_t first = j < 0 ? 0 : j;
    const int32_t end = j < 0 ? d->n_features : j + 1;
    const long double n = (long double)split->n_train * (end - first);
    long double sum = 0.0L;
    long double square = 0.0L;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < split->n_train; i++) {
            for (int32_t k = first; k < end; k++) {
                const int64_t at = (int64_t)split->train[i] * d->n_features + k;
                const long double x = d->is_u8 ? (long double)d->x_u8[at] : (long double)d->x_f32[at];
                if (pass == 0) {
                    sum += x;
                } else {
                    square += (x - sum / n) * (x - sum / n);
                }
            }
        }
    }
    *mean = (double)(sum / n);
    *deviation = (double)sqrtl(square / n);
}

static void test_standardize_bytes(void **state)
{
    (void)state;
    uint8_t x[2 * N_ROWS * WIDE];
    int32_t label[2 * N_ROWS];
    fill_bytes(x, 2 * N_ROWS, WIDE);
    for (int i = 0; i < 2 * N_ROWS; i++) {
        label[i] = i % 2;
    }
    const kds_dataset d = bytes_dataset(x, label, N_ROWS, WIDE);
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");

    spec.standardize = KDS_STANDARDIZE_NONE;
    kds_split_view *split = split_of(&d, &spec);
    for (int j = 0; j < WIDE; j++) {
        assert_true(split->scale[j] == (float)(1.0 / 255.0) && split->shift[j] == 0.0F);
    }
    kds_split_free(split);

    double mean;
    double deviation;
    spec.standardize = KDS_STANDARDIZE_GLOBAL;
    split = split_of(&d, &spec);
    direct_moments(split, -1, &mean, &deviation);
    for (int j = 0; j < WIDE; j++) {
        KDS_TEST_NEAR((double)split->scale[j], 1.0 / deviation, 1e-7 / deviation);
        KDS_TEST_NEAR((double)split->shift[j], -mean / deviation, 2e-7 * mean / deviation);
    }
    kds_split_free(split);

    spec.standardize = KDS_STANDARDIZE_FEATURE;
    split = split_of(&d, &spec);
    for (int j = 0; j < WIDE; j++) {
        direct_moments(split, j, &mean, &deviation);
        const double scale = j < 2 ? 1.0 / 255.0 : 1.0 / deviation; /* constant ones are only centred */
        KDS_TEST_NEAR((double)split->scale[j], scale, 1e-7 * scale);
        KDS_TEST_NEAR((double)split->shift[j], -mean * scale, 2e-7 * mean * scale);
    }
    kds_split_free(split);
}

/* More rows than one 32-bit sum takes, all at the largest byte: the sums must not run over. */
static void test_standardize_many_bytes(void **state)
{
    (void)state;
    enum { N_MANY = 140003, FEW = 5 };
    kds_error err = KDS_ERROR_INIT;
    uint8_t *x = kds_alloc((size_t)2 * N_MANY * FEW, 1, &err);
    int32_t *label = kds_alloc((size_t)2 * N_MANY, sizeof *label, &err);
    assert_non_null(x);
    assert_non_null(label);
    fill_bytes(x, 2 * N_MANY, FEW);
    for (int64_t i = 0; i < 2 * N_MANY; i++) {
        label[i] = i % 2 != 0;
    }
    const kds_dataset d = bytes_dataset(x, label, N_MANY, FEW);
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");
    spec.standardize = KDS_STANDARDIZE_FEATURE;
    kds_split_view *split = split_of(&d, &spec);
    for (int j = 2; j < FEW; j++) {
        double mean;
        double deviation;
        direct_moments(split, j, &mean, &deviation);
        KDS_TEST_NEAR((double)split->scale[j], 1.0 / deviation, 1e-7 / deviation);
        KDS_TEST_NEAR((double)split->shift[j], -mean / deviation, 2e-7 * mean / deviation);
    }
    assert_true(split->scale[1] == (float)(1.0 / 255.0));
    kds_split_free(split);
    kds_free(x);
    kds_free(label);
}

static void test_standardize_floats(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.imbalance_ratio = 3.0;
    loaded it = load(&spec);
    float *x = (float *)(uintptr_t)it.dataset.x_f32; /* our own block: give it some awkward features */
    for (int64_t i = 0; i < it.dataset.n_train + it.dataset.n_test; i++) {
        x[5 * i] = 0.1F;                                             /* constant */
        x[5 * i + 1] = 1e6F + x[5 * i + 1];                          /* large mean */
        x[5 * i + 2] = i % 2 == 0 ? 1e-42F : 2e-42F;                 /* deviation too small for a float's reciprocal */
        x[5 * i + 3] = i < it.dataset.n_train ? x[5 * i + 3] : 1e9F; /* test must not leak in */
    }
    double mean;
    double deviation;
    for (int how = KDS_STANDARDIZE_NONE; how <= KDS_STANDARDIZE_FEATURE; how++) {
        spec.standardize = how;
        kds_split_view *split = split_of(&it.dataset, &spec);
        for (int j = 0; j < 5; j++) {
            double scale = 1.0;
            mean = 0.0;
            if (how == KDS_STANDARDIZE_GLOBAL) {
                direct_moments(split, -1, &mean, &deviation);
                scale = 1.0 / deviation;
            } else if (how == KDS_STANDARDIZE_FEATURE) {
                direct_moments(split, j, &mean, &deviation);
                scale = j == 0 || j == 2 ? 1.0 : 1.0 / deviation;
            }
            KDS_TEST_NEAR((double)split->scale[j], scale, 1e-7 * scale);
            KDS_TEST_NEAR((double)split->shift[j], -mean * scale, 2e-7 * fabs(mean) * scale + 1e-45);
        }
        kds_split_free(split);
    }
    kds_free(it.block);
}

/* Means and deviations of each channel of height x width x 3 bytes or floats, from the training part alone. */
static void assert_channel_moments(const kds_split_view *split)
{
    const kds_dataset *d = split->dataset;
    const int32_t n_pixels = d->height * d->width;
    for (int32_t c = 0; c < d->channels; c++) {
        const long double n = (long double)split->n_train * n_pixels;
        long double sum = 0.0L;
        long double square = 0.0L;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t i = 0; i < split->n_train; i++) {
                for (int32_t p = 0; p < n_pixels; p++) {
                    const int64_t at = (int64_t)split->train[i] * d->n_features + p * d->channels + c;
                    const long double x = d->is_u8 ? (long double)d->x_u8[at] : (long double)d->x_f32[at];
                    if (pass == 0) {
                        sum += x;
                    } else {
                        square += (x - sum / n) * (x - sum / n);
                    }
                }
            }
        }
        const double mean = (double)(sum / n);
        const double scale = 1.0 / (double)sqrtl(square / n);
        for (int32_t p = 0; p < n_pixels; p++) {
            KDS_TEST_NEAR((double)split->scale[p * d->channels + c], scale, 1e-7 * scale);
            KDS_TEST_NEAR((double)split->shift[p * d->channels + c], -mean * scale, 2e-7 * fabs(mean) * scale);
        }
    }
}

static void test_standardize_channels(void **state)
{
    (void)state;
    enum { HEIGHT = 4, BROAD = 3, CHANNELS = 3, N_PIXELS = HEIGHT * BROAD, N_ALL = N_PIXELS * CHANNELS };
    uint8_t x[2 * N_ROWS * N_ALL];
    float x_f32[2 * N_ROWS * N_ALL];
    int32_t label[2 * N_ROWS];
    for (int i = 0; i < 2 * N_ROWS * N_ALL; i++) { /* channels that differ: 0 .. 63, 100 .. 163, 192 .. 255 */
        x[i] = (uint8_t)((uint64_t)i * 2654435761U >> 13 & 63);
        x[i] = (uint8_t)(x[i] + (i % CHANNELS == 1 ? 100 : i % CHANNELS == 2 ? 192 : 0));
        x_f32[i] = (float)x[i] * 0.37F - 5.0F;
    }
    for (int i = 0; i < 2 * N_ROWS; i++) {
        label[i] = i % 2;
    }
    kds_dataset d = bytes_dataset(x, label, N_ROWS, N_ALL);
    d.height = HEIGHT;
    d.width = BROAD;
    d.channels = CHANNELS;
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");
    spec.standardize = KDS_STANDARDIZE_CHANNEL;
    kds_split_view *split = split_of(&d, &spec);
    assert_channel_moments(split);
    kds_split_free(split);
    d.is_u8 = false;
    d.x_u8 = NULL;
    d.x_f32 = x_f32;
    split = split_of(&d, &spec);
    assert_channel_moments(split);
    kds_split_free(split);

    /* With one channel it is the global one. */
    d.height = N_PIXELS;
    d.channels = 1;
    split = split_of(&d, &spec);
    spec.standardize = KDS_STANDARDIZE_GLOBAL;
    kds_split_view *global = split_of(&d, &spec);
    assert_memory_equal(split->scale, global->scale, N_ALL * sizeof(float));
    assert_memory_equal(split->shift, global->shift, N_ALL * sizeof(float));
    kds_split_free(split);
    kds_split_free(global);
}

static void test_standardize_half(void **state)
{
    (void)state;
    uint8_t x[2 * N_ROWS * WIDE];
    int32_t label[2 * N_ROWS];
    fill_bytes(x, 2 * N_ROWS, WIDE);
    for (int i = 0; i < 2 * N_ROWS; i++) {
        label[i] = i % 2;
    }
    const kds_dataset d = bytes_dataset(x, label, N_ROWS, WIDE); /* any bytes, images or not */
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");
    spec.standardize = KDS_STANDARDIZE_HALF;
    kds_split_view *split = split_of(&d, &spec);
    for (int j = 0; j < WIDE; j++) {
        assert_true(split->scale[j] == (float)(1.0 / 255.0) && split->shift[j] == -0.5F);
    }
    kds_split_free(split);
}

static void test_what_only_images_have(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded it = load(&spec);
    spec.augment_pad = 1;
    assert_split_fails(&it.dataset, &spec, "data.augment needs images, and the data are rows of 5 features");
    spec.augment_pad = 0;
    spec.augment_flip = 1;
    assert_split_fails(&it.dataset, &spec, "data.augment needs images, and the data are rows of 5 features");
    spec.augment_flip = 0;
    spec.standardize = KDS_STANDARDIZE_CHANNEL;
    assert_split_fails(&it.dataset, &spec,
                       "data.standardize = \"channel\" needs images, and the data are rows of 5 features");
    spec.standardize = KDS_STANDARDIZE_HALF;
    assert_split_fails(&it.dataset, &spec,
                       "data.standardize = \"half\" is byte / 255 - 1/2, and the data are floating-point numbers");
    kds_free(it.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validation_from_test), cmocka_unit_test(test_validation_from_train),
        cmocka_unit_test(test_seed_decides),         cmocka_unit_test(test_long_tails_are_nested),
        cmocka_unit_test(test_step_and_max_count),   cmocka_unit_test(test_empty_parts),
        cmocka_unit_test(test_standardize_bytes),    cmocka_unit_test(test_standardize_many_bytes),
        cmocka_unit_test(test_standardize_floats),   cmocka_unit_test(test_standardize_channels),
        cmocka_unit_test(test_standardize_half),     cmocka_unit_test(test_what_only_images_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
