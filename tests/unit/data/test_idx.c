/*
 * IDX folders: both kinds of file, names, and every damage with its exact message.
 */
#include "data_fixtures.h"

enum { N_TRAIN = 5, N_TEST = 4, HEIGHT = 2, WIDTH = 3, N_FEATURES = HEIGHT * WIDTH };

static uint8_t train_x[N_TRAIN * N_FEATURES];
static uint8_t test_x[N_TEST * N_FEATURES];
static const uint8_t train_label[N_TRAIN] = {2, 0, 1, 0, 2};
static const uint8_t test_label[N_TEST] = {1, 0, 2, 2};

static void write_good(const char *ending)
{
    char name[64];
    for (int i = 0; i < N_TRAIN * N_FEATURES; i++) {
        train_x[i] = (uint8_t)(7 * i);
    }
    for (int i = 0; i < N_TEST * N_FEATURES; i++) {
        test_x[i] = (uint8_t)(255 - i);
    }
    snprintf(name, sizeof name, "train-images-idx3-ubyte%s", ending);
    write_images(name, N_TRAIN, HEIGHT, WIDTH, train_x);
    snprintf(name, sizeof name, "train-labels-idx1-ubyte%s", ending);
    write_labels(name, N_TRAIN, train_label);
    snprintf(name, sizeof name, "t10k-images-idx3-ubyte%s", ending);
    write_images(name, N_TEST, HEIGHT, WIDTH, test_x);
    snprintf(name, sizeof name, "t10k-labels-idx1-ubyte%s", ending);
    write_labels(name, N_TEST, test_label);
}

static int set_up(void **state)
{
    if (make_test_folder(state) != 0) {
        return -1;
    }
    write_good(".gz");
    return 0;
}

static kds_data_spec spec(void)
{
    return spec_of(KDS_SOURCE_IDX, test_folder);
}

static void assert_good(const kds_dataset *d)
{
    assert_int_equal(d->n_train, N_TRAIN);
    assert_int_equal(d->n_test, N_TEST);
    assert_int_equal(d->n_features, N_FEATURES);
    assert_int_equal(d->height, HEIGHT);
    assert_int_equal(d->width, WIDTH);
    assert_int_equal(d->channels, 1);
    assert_int_equal(d->n_classes, 3);
    assert_int_equal(d->n_groups, 0);
    assert_true(d->is_u8);
    assert_null(d->x_f32);
    assert_null(d->group);
    assert_memory_equal(d->x_u8, train_x, sizeof train_x);
    assert_memory_equal(d->x_u8 + N_TRAIN * N_FEATURES, test_x, sizeof test_x);
    for (int i = 0; i < N_TRAIN; i++) {
        assert_int_equal(d->label[i], train_label[i]);
    }
    for (int i = 0; i < N_TEST; i++) {
        assert_int_equal(d->label[N_TRAIN + i], test_label[i]);
    }
}

static void test_plain_and_compressed_are_the_same(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    loaded compressed = load(&s);
    assert_good(&compressed.dataset);
    remove_test_folder(state);
    make_test_folder(state);
    write_good("");
    const kds_data_spec s_plain = spec();
    loaded plain = load(&s_plain);
    assert_good(&plain.dataset);
    assert_true(plain.dataset.fingerprint == compressed.dataset.fingerprint);
    assert_int_equal(plain.size, compressed.size);
    assert_memory_equal(plain.block, compressed.block, plain.size);
    kds_free(plain.block);
    kds_free(compressed.block);
}

static void test_probe_knows_the_block_size(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    kds_dataset probed;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_dataset_probe(&s, &probed, &err), KDS_OK);
    assert_int_equal(probed.n_classes, 3);
    assert_null(probed.x_u8);
    loaded it = load(&s);
    assert_int_equal(it.size, kds_dataset_block_size(&probed));
    kds_free(it.block);
}

static void test_class_names(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    loaded it = load(&s);
    assert_string_equal(it.dataset.class_name[2], "2");
    const uint64_t fingerprint = it.dataset.fingerprint;
    kds_free(it.block);

    write_file("classes.txt", "T-shirt/top\r\nTrouser \nAnkle boot\n\n", 35);
    it = load(&s);
    assert_string_equal(it.dataset.class_name[0], "T-shirt/top");
    assert_string_equal(it.dataset.class_name[1], "Trouser");
    assert_string_equal(it.dataset.class_name[2], "Ankle boot");
    assert_true(it.dataset.fingerprint == fingerprint); /* names are not data */
    kds_free(it.block);

    write_file("classes.txt", "a\nb\nc", 5);
    it = load(&s);
    assert_string_equal(it.dataset.class_name[2], "c");
    kds_free(it.block);

    write_file("classes.txt", "a\nb\n", 4);
    assert_load_fails(&s, KDS_DATA, "%s/classes.txt: found 2 class names, expected 3");
    write_file("classes.txt", "a\n\nc\n", 5);
    assert_load_fails(&s, KDS_DATA, "%s/classes.txt: name 1 is empty");
    write_file("classes.txt", "", 0);
    assert_load_fails(&s, KDS_DATA, "%s/classes.txt: found 0 class names, expected 3");
    char longest[80];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + 70, "\nb\nc\n", 5);
    write_file("classes.txt", longest, 75);
    assert_load_fails(&s, KDS_DATA, "%s/classes.txt: name 0 has 70 bytes, at most 63 fit");
}

static void test_missing(void **state)
{
    (void)state;
    char path[TEST_PATH_CHARS];
    kds_data_spec s = spec();
    unlink(in_folder("t10k-labels-idx1-ubyte.gz", path));
    assert_load_fails(&s, KDS_IO, "%s/t10k-labels-idx1-ubyte: no such file, neither plain nor with .gz");

    s = spec_of(KDS_SOURCE_IDX, "/nowhere/fashion-mnist");
    assert_load_fails(&s, KDS_IO, "/nowhere/fashion-mnist: No such file or directory");
    kds_error err = KDS_ERROR_INIT;
    kds_dataset probed;
    assert_int_equal(kds_dataset_probe(&s, &probed, &err), KDS_IO);
    assert_non_null(strstr(err.hint, "install the package dataset-fashion-mnist"));
    assert_non_null(strstr(err.hint, "t10k-labels-idx1-ubyte"));

    s = spec_of(KDS_SOURCE_IDX, in_folder("train-labels-idx1-ubyte.gz", path));
    assert_load_fails(&s, KDS_IO, "%s/train-labels-idx1-ubyte.gz: is not a folder");
}

static void test_truncated_plain(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    write_images("train-images-idx3-ubyte", N_TRAIN, HEIGHT, WIDTH, train_x);
    cut_file("train-images-idx3-ubyte", 16 + 29);
    assert_load_fails(&s, KDS_DATA, "%s/train-images-idx3-ubyte: truncated: found 29 bytes of data, expected 30");
    cut_file("train-images-idx3-ubyte", 10);
    assert_load_fails(&s, KDS_DATA, "%s/train-images-idx3-ubyte: truncated: found 10 of the 16 bytes of its header");
    cut_file("train-images-idx3-ubyte", 0);
    assert_load_fails(&s, KDS_DATA, "%s/train-images-idx3-ubyte: truncated: found 0 of the 16 bytes of its header");
}

/* Wherever a compressed file is cut, it is noticed. */
static void test_truncated_compressed(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    static const char *const names[] = {"train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"};
    for (int i_name = 0; i_name < 2; i_name++) {
        write_good(".gz");
        for (long size = file_size(names[i_name]) - 1; size >= 0; size--) {
            cut_file(names[i_name], size);
            kds_error err = KDS_ERROR_INIT;
            void *block = NULL;
            size_t block_size = 0;
            assert_int_equal(kds_dataset_load(&s, kds_data_allocate_heap, NULL, &block, &block_size, &err), KDS_DATA);
            kds_free(block);
            assert_non_null(strstr(err.message, names[i_name]));
            /* down to 2 bytes it is still seen to be gzip; a single byte is taken for a plain file's magic number */
            assert_non_null(strstr(err.message, "truncated"));
        }
    }
    write_good(".gz");
    cut_file(names[0], file_size(names[0]) - 4);
    assert_load_fails(&s, KDS_DATA, "%s/train-images-idx3-ubyte.gz: truncated: the compressed data have no end");
}

static void flip_byte(const char *name, long offset)
{
    char path[TEST_PATH_CHARS];
    FILE *file = fopen(in_folder(name, path), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    fputc(byte ^ 0x55, file);
    fclose(file);
}

static void test_damaged_crc(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    flip_byte("train-images-idx3-ubyte.gz", file_size("train-images-idx3-ubyte.gz") - 8);
    assert_load_fails(&s, KDS_DATA,
                      "%s/train-images-idx3-ubyte.gz: the compressed data are damaged: incorrect data check");
}

static void test_wrong_magic(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    write_labels("train-images-idx3-ubyte", N_TRAIN, train_label);
    assert_load_fails(&s, KDS_DATA,
                      "%s/train-images-idx3-ubyte: found the magic number 0x00000801, expected 0x00000803 "
                      "(images as unsigned bytes)");
    write_images("train-images-idx3-ubyte", N_TRAIN, HEIGHT, WIDTH, train_x);
    write_file("train-labels-idx1-ubyte", "<html>Not found</html>", 22);
    assert_load_fails(&s, KDS_DATA,
                      "%s/train-labels-idx1-ubyte: found the magic number 0x3c68746d, expected 0x00000801 "
                      "(labels as unsigned bytes)");
}

static void test_disagreeing_files(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    write_labels("train-labels-idx1-ubyte", 3, train_label);
    assert_load_fails(&s, KDS_DATA,
                      "%s/train-labels-idx1-ubyte: found 3 labels, but %s/train-images-idx3-ubyte.gz has 5 images");
    write_labels("train-labels-idx1-ubyte", N_TRAIN, train_label);
    write_images("t10k-images-idx3-ubyte", N_TEST, WIDTH, HEIGHT, test_x);
    assert_load_fails(&s, KDS_DATA,
                      "%s/t10k-images-idx3-ubyte: found images of 3 x 2 pixels, expected 2 x 3 as in "
                      "%s/train-images-idx3-ubyte.gz");
}

static void test_labels_out_of_range(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    static const uint8_t beyond[N_TEST] = {0, 1, 3, 2};
    write_labels("t10k-labels-idx1-ubyte", N_TEST, beyond);
    assert_load_fails(&s, KDS_DATA,
                      "%s/t10k-labels-idx1-ubyte: label 3 of example 2, expected 0 .. 2 (the labels of "
                      "%s/train-labels-idx1-ubyte.gz)");
    write_labels("t10k-labels-idx1-ubyte", N_TEST, test_label);
    static const uint8_t gap[N_TRAIN] = {3, 0, 1, 0, 3};
    write_labels("train-labels-idx1-ubyte", N_TRAIN, gap);
    assert_load_fails(&s, KDS_DATA, "%s: class 2 of 4 has no training example");
    static const uint8_t one[N_TRAIN] = {0, 0, 0, 0, 0};
    static const uint8_t one_test[N_TEST] = {0, 0, 0, 0};
    write_labels("train-labels-idx1-ubyte", N_TRAIN, one);
    write_labels("t10k-labels-idx1-ubyte", N_TEST, one_test);
    assert_load_fails(&s, KDS_DATA, "%s: found 1 classes, expected 2 .. 65535");
}

static void test_empty_parts(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    write_images("t10k-images-idx3-ubyte", 0, HEIGHT, WIDTH, test_x);
    write_labels("t10k-labels-idx1-ubyte", 0, test_label);
    assert_load_fails(&s, KDS_DATA, "%s: found 5 training and 0 test examples, expected at least 1 of each");
    write_images("train-images-idx3-ubyte", 0, HEIGHT, WIDTH, train_x);
    write_labels("train-labels-idx1-ubyte", 0, train_label);
    assert_load_fails(&s, KDS_DATA, "%s: found 0 training and 0 test examples, expected at least 1 of each");
}

static void test_longer_than_announced(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    const uint32_t words[] = {0x00000803U, N_TEST, HEIGHT, WIDTH};
    uint8_t x[N_TEST * N_FEATURES + 1] = {0};
    write_idx("t10k-images-idx3-ubyte", words, 4, x, sizeof x);
    assert_load_fails(&s, KDS_DATA,
                      "%s/t10k-images-idx3-ubyte: goes on behind the 24 bytes of data that its header announces");
}

/* A damaged header must not make us ask for terabytes. */
static void test_absurd_header(void **state)
{
    (void)state;
    const kds_data_spec s = spec();
    const uint32_t many[] = {0x00000803U, 0xFFFFFFFFU, 1024, 1024};
    write_idx("train-images-idx3-ubyte", many, 4, train_x, sizeof train_x);
    assert_load_fails(&s, KDS_DATA,
                      "%s/train-images-idx3-ubyte: truncated: found 30 bytes of data, expected 4503599626321920");
    const uint32_t wide[] = {0x00000803U, N_TRAIN, 0xFFFFFFFFU, 0xFFFFFFFFU};
    write_idx("train-images-idx3-ubyte", wide, 4, train_x, sizeof train_x);
    assert_load_fails(&s, KDS_DATA,
                      "%s/train-images-idx3-ubyte: found images of 4294967295 x 4294967295 pixels, expected "
                      "at most 67108864 pixels");
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, remove_test_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_plain_and_compressed_are_the_same),
        WITH_FOLDER(test_probe_knows_the_block_size),
        WITH_FOLDER(test_class_names),
        WITH_FOLDER(test_missing),
        WITH_FOLDER(test_truncated_plain),
        WITH_FOLDER(test_truncated_compressed),
        WITH_FOLDER(test_damaged_crc),
        WITH_FOLDER(test_wrong_magic),
        WITH_FOLDER(test_disagreeing_files),
        WITH_FOLDER(test_labels_out_of_range),
        WITH_FOLDER(test_empty_parts),
        WITH_FOLDER(test_longer_than_announced),
        WITH_FOLDER(test_absurd_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
