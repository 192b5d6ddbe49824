/*
 * For the tests of data: a temporary folder, small IDX files, a data set on the heap, exact messages.
 */
#ifndef DATA_FIXTURES_H
#define DATA_FIXTURES_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/data.h"

#define UNUSED __attribute__((unused))

enum { TEST_PATH_CHARS = KDS_PATH_CHARS };

/* ---- a temporary folder: setup and teardown of a test ------------------------------------------------------------ */

static char test_folder[KDS_TEST_PATH];

UNUSED static int make_test_folder(void **state)
{
    (void)state;
    kds_test_folder_make(test_folder);
    return 0;
}

UNUSED static int remove_test_folder(void **state)
{
    (void)state;
    kds_test_folder_remove(test_folder);
    return 0;
}

UNUSED static const char *in_folder(const char *name, char path[TEST_PATH_CHARS])
{
    snprintf(path, TEST_PATH_CHARS, "%.400s/%.100s", test_folder, name);
    return path;
}

/* ---- IDX files --------------------------------------------------------------------------------------------------- */

/* Write `size` bytes to a file of the test folder; as gzip when the name ends in .gz. */
UNUSED static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[TEST_PATH_CHARS];
    in_folder(name, path);
    const size_t length = strlen(name);
    const char *mode = length > 3 && strcmp(name + length - 3, ".gz") == 0 ? "wb9" : "wbT"; /* T: no compression */
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}

/* Cut a file to its first `size` bytes. */
UNUSED static void cut_file(const char *name, long size)
{
    char path[TEST_PATH_CHARS];
    assert_int_equal(truncate(in_folder(name, path), size), 0);
}

UNUSED static long file_size(const char *name)
{
    char path[TEST_PATH_CHARS];
    FILE *file = fopen(in_folder(name, path), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    fclose(file);
    return size;
}

/* An IDX file with this header (n_words big-endian words) and data. */
UNUSED static void write_idx(const char *name, const uint32_t *words, size_t n_words, const uint8_t *data, size_t size)
{
    uint8_t bytes[4096];
    assert_true(4 * n_words + size <= sizeof bytes);
    for (size_t i = 0; i < n_words; i++) {
        for (int k = 0; k < 4; k++) {
            bytes[4 * i + (size_t)k] = (uint8_t)(words[i] >> (24 - 8 * k));
        }
    }
    memcpy(bytes + 4 * n_words, data, size);
    write_file(name, bytes, 4 * n_words + size);
}

UNUSED static void write_images(const char *name, uint32_t n, uint32_t height, uint32_t width, const uint8_t *x)
{
    const uint32_t words[] = {0x00000803U, n, height, width};
    write_idx(name, words, 4, x, (size_t)n * height * width);
}

UNUSED static void write_labels(const char *name, uint32_t n, const uint8_t *label)
{
    const uint32_t words[] = {0x00000801U, n};
    write_idx(name, words, 2, label, n);
}

/* ---- specs and data sets ----------------------------------------------------------------------------------------- */

UNUSED static kds_data_spec spec_of(kds_source source, const char *path)
{
    kds_data_spec spec = {
        .source = (int32_t)source,
        .profile = KDS_PROFILE_EXPONENTIAL,
        .imbalance_ratio = 1.0,
        .validation_from = KDS_VALIDATION_FROM_TEST,
        .validation_fraction = 0.5,
        .split_seed = 1,
        .standardize = KDS_STANDARDIZE_NONE,
        .gaussian_classes = 3,
        .gaussian_features = 5,
        .gaussian_train = 40,
        .gaussian_test = 20,
        .gaussian_separation = 3.0,
        .gaussian_seed = 7,
    };
    snprintf(spec.path, sizeof spec.path, "%s", path);
    return spec;
}

typedef struct loaded {
    void *block;
    size_t size;
    kds_dataset dataset;
} loaded;

UNUSED static loaded load(const kds_data_spec *spec)
{
    loaded it = {0};
    kds_error err = KDS_ERROR_INIT;
    const kds_status status = kds_dataset_load(spec, kds_data_allocate_heap, NULL, &it.block, &it.size, &err);
    if (status != KDS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(kds_dataset_view(it.block, it.size, &it.dataset, &err), KDS_OK);
    return it;
}

/* The load must fail with this status and exactly this message; "%s" in it stands for the test folder. */
UNUSED static void assert_load_fails(const kds_data_spec *spec, kds_status expected, const char *message)
{
    char wanted[1024];
    size_t used = 0;
    for (const char *p = message; *p != '\0' && used + sizeof test_folder < sizeof wanted; p++) {
        if (p[0] == '%' && p[1] == 's') {
            used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s", test_folder);
            p++;
        } else {
            wanted[used++] = *p;
        }
    }
    wanted[used] = '\0';
    kds_error err = KDS_ERROR_INIT;
    void *block = NULL;
    size_t size = 0;
    const kds_status status = kds_dataset_load(spec, kds_data_allocate_heap, NULL, &block, &size, &err);
    kds_free(block);
    assert_string_equal(err.message, wanted);
    assert_int_equal(status, expected);
    assert_int_equal(err.status, expected);
}

#endif
