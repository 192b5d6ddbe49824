/*
 * Batches: standardised rows at any pitch, augmented images pixel by pixel, and the draws behind them.
 */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "data_fixtures.h"
#include "kdsweep/kernels.h"

enum { N_EACH = 7, MAX_FEATURES = 3 * 12 * 12 };

static kds_kernels kernels_at(kds_isa isa)
{
    kds_error err = KDS_ERROR_INIT;
    kds_kernels kernels;
    KDS_TEST_OK(kds_kernels_level(isa, &kernels, &err), &err);
    return kernels;
}

/* A data set of images on static memory. Scale and shift differ from feature to feature. */
static struct {
    uint8_t x_u8[2 * N_EACH * MAX_FEATURES];
    float x_f32[2 * N_EACH * MAX_FEATURES];
    int32_t label[2 * N_EACH];
    char names[2][KDS_NAME_CHARS];
    kds_dataset dataset;
} images;

static kds_split_view *make_split(int32_t height, int32_t width, int32_t channels, bool is_u8, kds_data_spec *spec)
{
    kds_error err = KDS_ERROR_INIT;
    const int32_t n_features = height * width * channels;
    assert_true(n_features <= MAX_FEATURES);
    for (int32_t i = 0; i < 2 * N_EACH * n_features; i++) {
        images.x_u8[i] = (uint8_t)((uint64_t)(i + 1) * 2654435761U >> 13);
        images.x_f32[i] = (float)images.x_u8[i] * 0.01F - 1.0F;
    }
    for (int i = 0; i < 2 * N_EACH; i++) {
        images.label[i] = i % 2;
    }
    images.dataset = (kds_dataset){.n_train = N_EACH,
                                   .n_test = N_EACH,
                                   .n_features = n_features,
                                   .height = height,
                                   .width = width,
                                   .channels = channels,
                                   .n_classes = 2,
                                   .is_u8 = is_u8,
                                   .x_u8 = is_u8 ? images.x_u8 : NULL,
                                   .x_f32 = is_u8 ? NULL : images.x_f32,
                                   .label = images.label,
                                   .class_name = (const char(*)[KDS_NAME_CHARS])images.names};
    *spec = spec_of(KDS_SOURCE_IDX, "");
    spec->standardize = KDS_STANDARDIZE_FEATURE;
    kds_split_view *split = NULL;
    KDS_TEST_OK(kds_split_new(&images.dataset, spec, &split, &err), &err);
    return split;
}

/* ---- plain batches ----------------------------------------------------------------------------------------------- */

static void test_standardized(void **state)
{
    (void)state;
    const kds_kernels kernels = kernels_at(KDS_ISA_SCALAR);
    kds_error err = KDS_ERROR_INIT;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.standardize = KDS_STANDARDIZE_FEATURE;
    loaded it = load(&spec);
    kds_split_view *split = NULL;
    KDS_TEST_OK(kds_split_new(&it.dataset, &spec, &split, &err), &err);
    float out[120 * 5];
    kds_split_gather(split, &kernels, split->train, 120, 5, out);
    for (int j = 0; j < 5; j++) { /* standardised means mean 0 and deviation 1 */
        double sum = 0.0;
        double square = 0.0;
        for (int i = 0; i < 120; i++) {
            sum += (double)out[5 * i + j];
            square += (double)out[5 * i + j] * (double)out[5 * i + j];
        }
        KDS_TEST_NEAR(sum / 120, 0.0, 1e-6);
        KDS_TEST_NEAR(square / 120, 1.0, 1e-6);
    }
    kds_split_free(split);
    kds_free(it.block);
}

static void test_rows_and_pitch(void **state)
{
    (void)state;
    const kds_kernels kernels = kernels_at(KDS_ISA_SCALAR);
    static const int32_t examples[] = {6, 0, 0, 13, 9};
    static const int64_t pitches[] = {37, 38, 48, 64};
    for (int is_u8 = 0; is_u8 < 2; is_u8++) {
        kds_data_spec spec;
        kds_split_view *split = make_split(37, 1, 1, is_u8 != 0, &spec);
        for (int i_pitch = 0; i_pitch < 4; i_pitch++) {
            const int64_t pitch = pitches[i_pitch];
            float out[5 * 64];
            for (int i = 0; i < 5 * 64; i++) {
                out[i] = -12345.0F;
            }
            kds_split_gather(split, &kernels, examples, 5, pitch, out);
            for (int64_t i = 0; i < 5 * 64; i++) {
                if (i >= 5 * pitch || i % pitch >= 37) {
                    assert_true(out[i] == -12345.0F); /* between the rows nothing is touched */
                    continue;
                }
                const int64_t at = examples[i / pitch] * 37 + i % pitch;
                const double x = is_u8 ? (double)images.x_u8[at] : (double)images.x_f32[at];
                const double expected = x * (double)split->scale[i % pitch] + (double)split->shift[i % pitch];
                KDS_TEST_NEAR((double)out[i], expected, 1e-5);
            }
        }
        kds_split_free(split);
    }
}

/* ---- augmented images -------------------------------------------------------------------------------------------- */

/* Pixel by pixel, from the plain image `x`. */
static float naive_pixel(const float *x, int32_t height, int32_t width, int32_t channels, kds_augmentation how,
                         int32_t row, int32_t column, int32_t channel)
{
    const int32_t shifted = how.flip ? width - 1 - column : column; /* the mirror image is taken last */
    const int32_t from_row = row + how.down;
    const int32_t from_column = shifted + how.right;
    if (from_row < 0 || from_row >= height || from_column < 0 || from_column >= width) {
        return 0.0F;
    }
    return x[(from_row * width + from_column) * channels + channel];
}

/* Every shift up to two pixels more than the image is large, with and without mirror; on every level that this machine has. */
static void test_every_shift(void **state)
{
    (void)state;
    static const int32_t shapes[][3] = {{1, 1, 1}, {2, 3, 1}, {5, 4, 3}, {3, 7, 2}, {12, 12, 3}};
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        kds_kernels kernels;
        if (kds_kernels_level((kds_isa)isa, &kernels, NULL) != KDS_OK) {
            continue;
        }
        for (int i_case = 0; i_case < 10; i_case++) {
            const int32_t height = shapes[i_case / 2][0];
            const int32_t width = shapes[i_case / 2][1];
            const int32_t channels = shapes[i_case / 2][2];
            kds_data_spec spec;
            kds_split_view *split = make_split(height, width, channels, i_case % 2 == 0, &spec);
            const int32_t example = 3;
            float plain[MAX_FEATURES];
            float out[MAX_FEATURES + 1];
            kds_split_gather(split, &kernels, &example, 1, MAX_FEATURES, plain);
            for (int32_t down = -height - 2; down <= height + 2; down++) {
                for (int32_t right = -width - 2; right <= width + 2; right++) {
                    for (int flip = 0; flip < 2; flip++) {
                        const kds_augmentation how = {.down = down, .right = right, .flip = flip != 0};
                        memset(out, 0x7F, sizeof out);
                        const float untouched = out[MAX_FEATURES];
                        kds_split_gather_augmented(split, &kernels, &example, &how, 1, MAX_FEATURES, out);
                        for (int32_t i = 0; i < height * width * channels; i++) {
                            const float expected = naive_pixel(plain, height, width, channels, how,
                                                               i / channels / width, i / channels % width,
                                                               i % channels);
                            /* fused or not differs between the vectors and the rest of a row */
                            KDS_TEST_NEAR((double)out[i], (double)expected,
                                          isa == KDS_ISA_SCALAR ? 0.0 : 1e-6 * fabs((double)expected) + 1e-6);
                        }
                        for (int32_t i = height * width * channels; i <= MAX_FEATURES; i++) {
                            assert_memory_equal(&out[i], &untouched, sizeof untouched);
                        }
                    }
                }
            }
            kds_split_free(split);
        }
    }
}

/* A batch is its examples one by one, at any pitch. Without a shift it is the plain batch. */
static void test_batches(void **state)
{
    (void)state;
    const kds_kernels kernels = kernels_at(KDS_ISA_SCALAR);
    enum { N = 11, PITCH = 80, N_FEATURES = 5 * 5 * 3 };
    kds_data_spec spec;
    kds_split_view *split = make_split(5, 5, 3, true, &spec);
    int32_t examples[N];
    kds_augmentation how[N];
    spec.augment_pad = 6; /* more than the image */
    spec.augment_flip = 1;
    for (int i = 0; i < N; i++) {
        examples[i] = (5 * i) % (2 * N_EACH);
        how[i] = kds_augmentation_draw(&spec, 3, i, 0, examples[i]);
    }
    float batch[N * PITCH];
    memset(batch, 0x7F, sizeof batch);
    const float untouched = batch[0];
    kds_split_gather_augmented(split, &kernels, examples, how, N, PITCH, batch);
    for (int i = 0; i < N; i++) {
        float one[N_FEATURES];
        kds_split_gather_augmented(split, &kernels, &examples[i], &how[i], 1, N_FEATURES, one);
        assert_memory_equal(one, batch + i * PITCH, sizeof one);
        for (int j = N_FEATURES; j < PITCH; j++) {
            assert_memory_equal(&batch[i * PITCH + j], &untouched, sizeof untouched);
        }
    }
    memset(how, 0, sizeof how);
    kds_split_gather_augmented(split, &kernels, examples, how, N, PITCH, batch);
    float plain[N * PITCH];
    memset(plain, 0x7F, sizeof plain);
    kds_split_gather(split, &kernels, examples, N, PITCH, plain);
    assert_memory_equal(plain, batch, sizeof plain);
    kds_split_free(split);
}

/* ---- the draws --------------------------------------------------------------------------------------------------- */

/* All (2 pad + 1)^2 shifts, mirrored or not, are equally frequent over the examples of an epoch and over the epochs of an example:
 * chi-square. The draws are fixed, so this passes always or never. */
static void assert_uniform(int32_t pad, bool flip, bool over_epochs)
{
    enum { PER_CELL = 400, MAX_CELLS = 9 * 9 * 2 };
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");
    spec.augment_pad = pad;
    spec.augment_flip = flip ? 1 : 0;
    const int32_t n_places = 2 * pad + 1;
    const int32_t n_cells = n_places * n_places * (flip ? 2 : 1);
    int64_t count[MAX_CELLS] = {0};
    assert_true(n_cells <= MAX_CELLS);
    for (int32_t i = 0; i < PER_CELL * n_cells; i++) {
        const kds_augmentation how = kds_augmentation_draw(&spec, 17, over_epochs ? i : 5, 0, over_epochs ? 5 : i);
        assert_in_range(how.down + pad, 0, 2 * pad);
        assert_in_range(how.right + pad, 0, 2 * pad);
        assert_true(flip || !how.flip);
        count[((how.down + pad) * n_places + how.right + pad) * (flip ? 2 : 1) + (how.flip ? 1 : 0)]++;
    }
    double chi_square = 0.0;
    for (int32_t i = 0; i < n_cells; i++) {
        assert_true(count[i] > 0);
        chi_square += ((double)count[i] - PER_CELL) * ((double)count[i] - PER_CELL) / PER_CELL;
    }
    const double freedom = n_cells - 1;
    KDS_TEST_NEAR(chi_square, freedom, 4.0 * sqrt(2.0 * freedom)); /* both sides: too even is as wrong */
}

static void test_draws_are_uniform(void **state)
{
    (void)state;
    for (int over_epochs = 0; over_epochs < 2; over_epochs++) {
        assert_uniform(1, true, over_epochs != 0);
        assert_uniform(2, false, over_epochs != 0);
        assert_uniform(2, true, over_epochs != 0);
        assert_uniform(4, true, over_epochs != 0);
        assert_uniform(0, true, over_epochs != 0);
    }
}

static bool same(kds_augmentation a, kds_augmentation b)
{
    return a.down == b.down && a.right == b.right && a.flip == b.flip;
}

/* Other seeds, epochs, streams and examples draw something else; the same ones the same, whatever was drawn before. */
static void test_draws_are_independent(void **state)
{
    (void)state;
    enum { N = 2000 };
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");
    spec.augment_pad = 4;
    spec.augment_flip = 1;
    kds_augmentation first[N];
    int n_same[5] = {0};
    for (int32_t i = 0; i < N; i++) {
        first[i] = kds_augmentation_draw(&spec, 1, 3, 0, i);
    }
    for (int32_t i = N - 1; i >= 0; i--) { /* in another order */
        assert_true(same(first[i], kds_augmentation_draw(&spec, 1, 3, 0, i)));
        n_same[0] += same(first[i], kds_augmentation_draw(&spec, 2, 3, 0, i));
        n_same[1] += same(first[i], kds_augmentation_draw(&spec, 1, 4, 0, i));
        n_same[2] += same(first[i], kds_augmentation_draw(&spec, 1, 3, 1, i));
        n_same[3] += same(first[i], kds_augmentation_draw(&spec, 1, 2, 1, i)); /* a neighbour of epoch 3 as a number */
        n_same[4] += same(first[i], kds_augmentation_draw(&spec, 1, 3, 0, (i + 1) % N));
    }
    for (int k = 0; k < 5; k++) { /* 2000 / 162 by chance */
        KDS_TEST_NEAR((double)n_same[k], 12.3, 16.0);
    }
    /* Examples do not share counters: one's number is not the next one's other number. */
    int n_shared = 0;
    for (int32_t i = 0; i + 1 < N; i++) {
        n_shared += first[i].right == first[i + 1].down;
    }
    KDS_TEST_NEAR((double)n_shared, N / 9.0, 60.0);
    /* The mirror image belongs to the example and the epoch, not to the pad; and the pad's place to neither mirror key. */
    kds_data_spec wide = spec;
    wide.augment_pad = 2;
    kds_data_spec unflipped = spec;
    unflipped.augment_flip = 0;
    for (int32_t i = 0; i < N; i++) {
        assert_int_equal(kds_augmentation_draw(&wide, 1, 3, 0, i).flip, first[i].flip);
        const kds_augmentation how = kds_augmentation_draw(&unflipped, 1, 3, 0, i);
        assert_true(how.down == first[i].down && how.right == first[i].right && !how.flip);
    }
    /* The ends of what is allowed. */
    spec.augment_pad = 32;
    const kds_augmentation last = kds_augmentation_draw(&spec, UINT64_MAX, 1000000, 1, INT32_MAX);
    assert_true(abs(last.down) <= 32 && abs(last.right) <= 32);
}

static void test_who_augments(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_IDX, "");
    assert_false(kds_data_augments(&spec));
    const kds_augmentation nothing = kds_augmentation_draw(&spec, 1, 1, 0, 1);
    assert_true(nothing.down == 0 && nothing.right == 0 && !nothing.flip);
    spec.augment_pad = 1;
    assert_true(kds_data_augments(&spec));
    spec.augment_pad = 0;
    spec.augment_flip = 1;
    assert_true(kds_data_augments(&spec));
}

/* Shown, not asserted: machines differ. */
static void test_time_of_a_batch(void **state)
{
    (void)state;
    enum { N = 128, SIDE = 32, N_FEATURES = SIDE * SIDE * 3, N_TIMES = 50 };
    kds_error err = KDS_ERROR_INIT;
    kds_kernels kernels;
    KDS_TEST_OK(kds_kernels_select(&kernels, &err), &err);
    kds_dataset dataset = {.n_features = N_FEATURES, .height = SIDE, .width = SIDE, .channels = 3, .is_u8 = true};
    uint8_t *x = kds_alloc((size_t)N * N_FEATURES, 1, &err);
    float *out = kds_alloc((size_t)N * N_FEATURES, sizeof *out, &err);
    float *scale = kds_alloc((size_t)2 * N_FEATURES, sizeof *scale, &err);
    assert_true(x != NULL && out != NULL && scale != NULL);
    dataset.x_u8 = x;
    const kds_split_view split = {.dataset = &dataset, .scale = scale, .shift = scale + N_FEATURES};
    kds_data_spec spec = spec_of(KDS_SOURCE_CIFAR10, "");
    spec.augment_pad = 4;
    spec.augment_flip = 1;
    int32_t examples[N];
    kds_augmentation how[N];
    double best[2] = {1e9, 1e9};
    for (int k = 0; k < N_TIMES; k++) {
        struct timespec at[3];
        clock_gettime(CLOCK_MONOTONIC, &at[0]);
        for (int32_t i = 0; i < N; i++) {
            examples[i] = (37 * i) % N;
            how[i] = kds_augmentation_draw(&spec, 1, k, 0, examples[i]);
        }
        clock_gettime(CLOCK_MONOTONIC, &at[1]);
        kds_split_gather_augmented(&split, &kernels, examples, how, N, N_FEATURES, out);
        clock_gettime(CLOCK_MONOTONIC, &at[2]);
        for (int j = 0; j < 2; j++) {
            const double seconds = (double)(at[j + 1].tv_sec - at[j].tv_sec) +
                                   1e-9 * (double)(at[j + 1].tv_nsec - at[j].tv_nsec);
            best[j] = seconds < best[j] ? seconds : best[j];
        }
    }
    print_message("128 images of 32 x 32 x 3 (%s): %.3f ms to draw, %.3f ms to gather\n", kds_isa_name(kernels.isa),
                  1e3 * best[0], 1e3 * best[1]);
    kds_free(x);
    kds_free(out);
    kds_free(scale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standardized),      cmocka_unit_test(test_rows_and_pitch),
        cmocka_unit_test(test_every_shift),       cmocka_unit_test(test_batches),
        cmocka_unit_test(test_draws_are_uniform), cmocka_unit_test(test_draws_are_independent),
        cmocka_unit_test(test_who_augments),      cmocka_unit_test(test_time_of_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
