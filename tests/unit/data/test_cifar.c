/*
 * CIFAR folders: both data sets, their names and groups, and every damage with its exact message.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "data_fixtures.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, N_FEATURES = 3 * PLANE };

/* Byte of a channel and pixel of an image: different wherever one looks. */
static uint8_t pixel_of(int i_image, int row, int column, int channel)
{
    return (uint8_t)((uint32_t)(i_image * 7919 + row * 131 + column * 17 + channel * 101) * 2654435761U >> 21);
}

/* A file of n_records whose images are number first_image and so on; labels: [n_records][n_labels]. */
static void write_records(const char *name, int n_records, int n_labels, const uint8_t *labels, int first_image)
{
    const size_t record = (size_t)n_labels + N_FEATURES;
    uint8_t *bytes = malloc((size_t)n_records * record + 1);
    assert_non_null(bytes);
    for (int i = 0; i < n_records; i++) {
        uint8_t *at = bytes + (size_t)i * record;
        memcpy(at, labels + i * n_labels, (size_t)n_labels);
        for (int j = 0; j < N_FEATURES; j++) { /* planes, rows, columns */
            at[n_labels + j] = pixel_of(first_image + i, j % PLANE / SIDE, j % SIDE, j / PLANE);
        }
    }
    write_file(name, bytes, (size_t)n_records * record);
    free(bytes);
}

/* Five batches of different sizes, 13 examples, every class among them; 4 test examples. */
static const uint8_t train_10[] = {3, 1, 4, 0, 5, 9, 2, 6, 8, 7, 7, 0, 1};
static const uint8_t test_10[] = {9, 0, 5, 5};
static const int batch_sizes[] = {3, 1, 4, 2, 3};

static void write_cifar10(void)
{
    int first = 0;
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", i + 1);
        write_records(name, batch_sizes[i], 1, train_10 + first, first);
        first += batch_sizes[i];
    }
    write_records("test_batch.bin", 4, 1, test_10, 13);
}

/* 130 training examples: fine labels 0 .. 99 backwards, then some again; coarse = fine / 5. 3 test examples. */
enum { N_TRAIN_100 = 130, N_TEST_100 = 3 };
static uint8_t labels_100[N_TRAIN_100 + N_TEST_100][2];

static void write_cifar100(void)
{
    for (int i = 0; i < N_TRAIN_100 + N_TEST_100; i++) {
        const int fine = i < 100 ? 99 - i : (i * 37) % 100;
        labels_100[i][0] = (uint8_t)(fine / 5);
        labels_100[i][1] = (uint8_t)fine;
    }
    write_records("train.bin", N_TRAIN_100, 2, labels_100[0], 0);
    write_records("test.bin", N_TEST_100, 2, labels_100[N_TRAIN_100], N_TRAIN_100);
}

static int set_up(void **state)
{
    if (make_test_folder(state) != 0) {
        return -1;
    }
    write_cifar10();
    write_cifar100();
    return 0;
}

static kds_data_spec spec_10(void)
{
    return spec_of(KDS_SOURCE_CIFAR10, test_folder);
}

static kds_data_spec spec_100(kds_cifar_labels labels)
{
    kds_data_spec spec = spec_of(KDS_SOURCE_CIFAR100, test_folder);
    spec.cifar_labels = (int32_t)labels;
    return spec;
}

/* Channels innermost, images in the order of the files. */
static void assert_images(const kds_dataset *d)
{
    assert_int_equal(d->n_features, N_FEATURES);
    assert_int_equal(d->height, SIDE);
    assert_int_equal(d->width, SIDE);
    assert_int_equal(d->channels, 3);
    assert_true(d->is_u8);
    for (int i = 0; i < d->n_train + d->n_test; i++) {
        for (int j = 0; j < N_FEATURES; j++) {
            assert_int_equal(d->x_u8[(int64_t)i * N_FEATURES + j], pixel_of(i, j / 3 / SIDE, j / 3 % SIDE, j % 3));
        }
    }
}

static void test_cifar10(void **state)
{
    (void)state;
    const kds_data_spec s = spec_10();
    loaded it = load(&s);
    const kds_dataset *d = &it.dataset;
    assert_int_equal(d->n_train, 13);
    assert_int_equal(d->n_test, 4);
    assert_int_equal(d->n_classes, 10);
    assert_int_equal(d->n_groups, 0);
    assert_null(d->group);
    assert_images(d);
    for (int i = 0; i < 13; i++) {
        assert_int_equal(d->label[i], train_10[i]);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(d->label[13 + i], test_10[i]);
    }
    assert_string_equal(d->class_name[9], "9");
    const kds_data_shape shape = kds_dataset_shape(d);
    assert_int_equal(shape.n_features, N_FEATURES);
    assert_int_equal(shape.height, SIDE);
    assert_int_equal(shape.width, SIDE);
    assert_int_equal(shape.channels, 3);
    assert_int_equal(shape.n_classes, 10);
    kds_free(it.block);
}

static void test_cifar100(void **state)
{
    (void)state;
    const kds_data_spec fine = spec_100(KDS_CIFAR_FINE);
    const kds_data_spec coarse = spec_100(KDS_CIFAR_COARSE);
    loaded a = load(&fine);
    loaded b = load(&coarse);
    assert_images(&a.dataset);
    assert_images(&b.dataset);
    assert_int_equal(a.dataset.n_train, N_TRAIN_100);
    assert_int_equal(a.dataset.n_test, N_TEST_100);
    assert_int_equal(a.dataset.n_classes, 100);
    assert_int_equal(a.dataset.n_groups, 20);
    assert_int_equal(b.dataset.n_classes, 20);
    assert_int_equal(b.dataset.n_groups, 0);
    assert_null(b.dataset.group);
    for (int i = 0; i < N_TRAIN_100 + N_TEST_100; i++) {
        assert_int_equal(a.dataset.label[i], labels_100[i][1]);
        assert_int_equal(a.dataset.group[i], labels_100[i][0]);
        assert_int_equal(b.dataset.label[i], labels_100[i][0]);
    }
    assert_string_equal(a.dataset.group_name[19], "19");
    assert_true(a.dataset.fingerprint != b.dataset.fingerprint);
    kds_free(a.block);
    kds_free(b.block);
}

static void assert_probe_agrees(const kds_data_spec *spec)
{
    kds_dataset probed;
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_dataset_probe(spec, &probed, &err), &err);
    loaded it = load(spec);
    assert_int_equal(kds_dataset_block_size(&probed), it.size);
    assert_int_equal(probed.n_train, it.dataset.n_train);
    assert_int_equal(probed.n_test, it.dataset.n_test);
    assert_int_equal(probed.n_classes, it.dataset.n_classes);
    assert_int_equal(probed.n_groups, it.dataset.n_groups);
    assert_null(probed.x_u8);
    kds_free(it.block);
}

static void test_probe(void **state)
{
    (void)state;
    const kds_data_spec specs[] = {spec_10(), spec_100(KDS_CIFAR_FINE), spec_100(KDS_CIFAR_COARSE)};
    for (int i = 0; i < 3; i++) {
        assert_probe_agrees(&specs[i]);
    }
}

/* More records than are read at once, in one file. */
static void test_larger_files(void **state)
{
    (void)state;
    enum { N = 131 };
    uint8_t labels[N];
    for (int i = 0; i < N; i++) {
        labels[i] = (uint8_t)(i % 10);
    }
    write_records("test_batch.bin", N, 1, labels, 13);
    const kds_data_spec s = spec_10();
    loaded it = load(&s);
    assert_int_equal(it.dataset.n_test, N);
    assert_images(&it.dataset);
    kds_free(it.block);
}

static void write_names(const char *file, const char *word, int n, const char *end)
{
    char text[4096] = "";
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d\n", word, i);
    }
    used += (size_t)snprintf(text + used, sizeof text - used, "%s", end);
    write_file(file, text, used);
}

static void test_names(void **state)
{
    (void)state;
    const kds_data_spec s_10 = spec_10();
    const kds_data_spec fine = spec_100(KDS_CIFAR_FINE);
    const kds_data_spec coarse = spec_100(KDS_CIFAR_COARSE);
    loaded it = load(&s_10);
    const uint64_t fingerprint = it.dataset.fingerprint;
    kds_free(it.block);

    write_names("batches.meta.txt", "thing ", 10, "\n"); /* it ends in an empty line */
    it = load(&s_10);
    assert_string_equal(it.dataset.class_name[0], "thing 0");
    assert_string_equal(it.dataset.class_name[9], "thing 9");
    assert_true(it.dataset.fingerprint == fingerprint); /* names are not data */
    kds_free(it.block);

    write_names("fine_label_names.txt", "fine_", 100, "");
    it = load(&fine);
    assert_string_equal(it.dataset.class_name[99], "fine_99");
    assert_string_equal(it.dataset.group_name[19], "19");
    kds_free(it.block);
    write_names("coarse_label_names.txt", "coarse_", 20, "");
    it = load(&fine);
    assert_string_equal(it.dataset.class_name[99], "fine_99");
    assert_string_equal(it.dataset.group_name[19], "coarse_19");
    kds_free(it.block);
    it = load(&coarse);
    assert_string_equal(it.dataset.class_name[19], "coarse_19");
    kds_free(it.block);

    write_names("batches.meta.txt", "thing ", 9, "");
    assert_load_fails(&s_10, KDS_DATA, "%s/batches.meta.txt: found 9 class names, expected 10");
    write_names("coarse_label_names.txt", "coarse_", 19, "");
    assert_load_fails(&fine, KDS_DATA, "%s/coarse_label_names.txt: found 19 group names, expected 20");
    assert_load_fails(&coarse, KDS_DATA, "%s/coarse_label_names.txt: found 19 class names, expected 20");
    write_names("fine_label_names.txt", "fine_", 101, "");
    assert_load_fails(&fine, KDS_DATA, "%s/fine_label_names.txt: found 101 class names, expected 100");
}

static void assert_hint(const kds_data_spec *spec, const char *file, const char *archive)
{
    kds_error err = KDS_ERROR_INIT;
    kds_dataset probed;
    assert_true(kds_dataset_probe(spec, &probed, &err) != KDS_OK);
    assert_non_null(strstr(err.hint, "binary version"));
    assert_non_null(strstr(err.hint, file));
    assert_non_null(strstr(err.hint, archive));
    assert_non_null(strstr(err.hint, "https://www.cs.toronto.edu/~kriz/cifar.html"));
    assert_true(err.hint[strlen(err.hint) - 1] == '.'); /* it fits */
}

static void test_missing(void **state)
{
    (void)state;
    char path[TEST_PATH_CHARS];
    kds_data_spec s = spec_of(KDS_SOURCE_CIFAR10, "/nowhere/cifar-10-batches-bin");
    assert_load_fails(&s, KDS_IO, "/nowhere/cifar-10-batches-bin: No such file or directory");
    assert_hint(&s, "test_batch.bin", "cifar-10-binary.tar.gz");
    s = spec_of(KDS_SOURCE_CIFAR100, "/nowhere");
    assert_hint(&s, "train.bin", "cifar-100-binary.tar.gz");
    s = spec_of(KDS_SOURCE_CIFAR10, in_folder("train.bin", path));
    assert_load_fails(&s, KDS_IO, "%s/train.bin: is not a folder");

    s = spec_10();
    for (int i = 6; i >= 1; i--) { /* each of the six */
        char name[32];
        char message[80];
        snprintf(name, sizeof name, i == 6 ? "test_batch.bin" : "data_batch_%d.bin", i);
        snprintf(message, sizeof message, "%%s/%s: No such file or directory", name);
        unlink(in_folder(name, path));
        assert_load_fails(&s, KDS_IO, message);
        assert_hint(&s, "data_batch_5.bin", "cifar-10-binary.tar.gz");
    }
    assert_int_equal(mkdir(in_folder("data_batch_1.bin", path), 0700), 0);
    assert_load_fails(&s, KDS_IO, "%s/data_batch_1.bin: is not a file");
    s = spec_100(KDS_CIFAR_FINE);
    unlink(in_folder("test.bin", path));
    assert_load_fails(&s, KDS_IO, "%s/test.bin: No such file or directory");
    unlink(in_folder("train.bin", path));
    assert_load_fails(&s, KDS_IO, "%s/train.bin: No such file or directory");
}

static void test_sizes(void **state)
{
    (void)state;
    const kds_data_spec s_10 = spec_10();
    const kds_data_spec s_100 = spec_100(KDS_CIFAR_COARSE);
    cut_file("data_batch_3.bin", 4 * 3073 - 1);
    assert_load_fails(
        &s_10, KDS_DATA,
        "%s/data_batch_3.bin: found 12291 bytes, expected a multiple of 3073 (1 label byte and 3072 bytes "
        "of an image)");
    assert_hint(&s_10, "data_batch_5.bin", "cifar-10-binary.tar.gz");
    cut_file("data_batch_3.bin", 0);
    assert_load_fails(&s_10, KDS_DATA,
                      "%s/data_batch_3.bin: found 0 bytes, expected a multiple of 3073 (1 label byte and 3072 bytes of "
                      "an image)");
    cut_file("test.bin", 3 * 3073); /* the other data set's records */
    assert_load_fails(&s_100, KDS_DATA,
                      "%s/test.bin: found 9219 bytes, expected a multiple of 3074 (2 label bytes and 3072 bytes of an "
                      "image)");
}

static void test_labels(void **state)
{
    (void)state;
    const kds_data_spec s_10 = spec_10();
    static const uint8_t beyond[] = {0, 10};
    write_records("data_batch_4.bin", 2, 1, beyond, 0);
    assert_load_fails(&s_10, KDS_DATA, "%s/data_batch_4.bin: label 10 of record 1, expected 0 .. 9");
    kds_dataset probed;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_dataset_probe(&s_10, &probed, &err), KDS_DATA); /* without the images */
    static const uint8_t others[] = {0, 1};
    write_records("data_batch_4.bin", 2, 1, others, 0);
    assert_load_fails(&s_10, KDS_DATA, "%s: class 8 of 10 has no training example");

    /* Both labels are looked at, whichever is the class. */
    static const uint8_t coarse[] = {19, 99, 20, 99, 0, 0};
    static const uint8_t fine[] = {19, 99, 0, 0, 0, 100};
    for (int labels = KDS_CIFAR_FINE; labels <= KDS_CIFAR_COARSE; labels++) {
        const kds_data_spec s = spec_100((kds_cifar_labels)labels);
        write_records("test.bin", 3, 2, coarse, 0);
        assert_load_fails(&s, KDS_DATA, "%s/test.bin: coarse label 20 of record 1, expected 0 .. 19");
        write_records("test.bin", 3, 2, fine, 0);
        assert_load_fails(&s, KDS_DATA, "%s/test.bin: fine label 100 of record 2, expected 0 .. 99");
    }
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, remove_test_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_cifar10), WITH_FOLDER(test_cifar100), WITH_FOLDER(test_probe), WITH_FOLDER(test_larger_files),
        WITH_FOLDER(test_names),   WITH_FOLDER(test_missing),  WITH_FOLDER(test_sizes), WITH_FOLDER(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
