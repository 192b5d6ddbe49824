/*
 * The block: a view at any address, damage noticed, the checks that hold for every source, the fingerprint.
 */
#include <math.h>

#include "data_fixtures.h"

/* What an allocator of shared memory would do: own address, dirty pages, more bytes than asked for. */
static void *dirty_pages(void *context, size_t size, kds_error *err)
{
    (void)context;
    unsigned char *bytes = kds_alloc(size + 4096, 1, err);
    memset(bytes, 0xA5, size + 4096);
    return bytes;
}

static void *no_memory(void *context, size_t size, kds_error *err)
{
    (void)context;
    kds_error_set(err, KDS_MEMORY, NULL, "no shared memory for %zu bytes", size);
    return NULL;
}

static void test_view_at_another_address(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    const kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded it = load(&spec);
    unsigned char *moved = kds_alloc(it.size + 4096, 1, &err);
    assert_non_null(moved);
    memcpy(moved, it.block, it.size);
    memset(it.block, 0xFF, it.size); /* nothing may point back */
    kds_free(it.block);

    kds_dataset d;
    KDS_TEST_OK(kds_dataset_view(moved, it.size + 4096, &d, &err), &err);
    assert_int_equal(d.n_train, 120);
    assert_int_equal(d.n_test, 60);
    assert_int_equal(d.n_features, 5);
    assert_int_equal(d.n_classes, 3);
    assert_false(d.is_u8);
    assert_true((const unsigned char *)d.x_f32 > moved && (const unsigned char *)d.x_f32 < moved + it.size);
    assert_int_equal((uintptr_t)d.x_f32 % KDS_ALIGNMENT, 0);
    assert_int_equal(d.label[4], 1);
    assert_string_equal(d.class_name[2], "2");
    assert_true(d.fingerprint == it.dataset.fingerprint);
    kds_free(moved);
}

static void test_dirty_memory_makes_no_difference(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    const kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded clean = load(&spec);
    void *block = NULL;
    size_t size = 0;
    kds_dataset d;
    KDS_TEST_OK(kds_dataset_load(&spec, dirty_pages, NULL, &block, &size, &err), &err);
    KDS_TEST_OK(kds_dataset_view(block, size, &d, &err), &err);
    assert_true(d.fingerprint == clean.dataset.fingerprint);
    assert_memory_equal(d.class_name, clean.dataset.class_name, 3 * KDS_NAME_CHARS);
    kds_free(block);
    kds_free(clean.block);
}

static void test_damaged_blocks_are_refused(void **state)
{
    (void)state;
    const kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded it = load(&spec);
    kds_dataset d;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_dataset_view(it.block, 10, &d, &err), KDS_FORMAT);
    kds_error_clear(&err);
    assert_int_equal(kds_dataset_view(it.block, it.size - 1, &d, &err), KDS_FORMAT);
    assert_non_null(strstr(err.message, "expected"));
    for (size_t i = 0; i < 120; i++) { /* any byte of the header */
        unsigned char *byte = (unsigned char *)it.block + i;
        *byte ^= 0x10;
        kds_error_clear(&err);
        assert_int_equal(kds_dataset_view(it.block, it.size, &d, &err), KDS_FORMAT);
        assert_string_equal(err.message, "a data block does not start with a complete header");
        *byte ^= 0x10;
    }
    kds_error_clear(&err);
    KDS_TEST_OK(kds_dataset_view(it.block, it.size, &d, &err), &err);
    kds_free(it.block);
}

static void test_allocator_without_memory(void **state)
{
    (void)state;
    const kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    kds_error err = KDS_ERROR_INIT;
    void *block = &err;
    size_t size = 0;
    assert_int_equal(kds_dataset_load(&spec, no_memory, NULL, &block, &size, &err), KDS_MEMORY);
    assert_null(block);
    assert_non_null(strstr(err.message, "no shared memory for")); /* the first record wins */
}

static void test_shapes_that_cannot_be(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_classes = 1;
    assert_load_fails(&spec, KDS_DATA, "generated Gaussians: found 1 classes, expected 2 .. 65535");
    spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_test = 0;
    assert_load_fails(&spec, KDS_DATA,
                      "generated Gaussians: found 120 training and 0 test examples, expected at least 1 of each");
    spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_features = 0;
    assert_load_fails(&spec, KDS_DATA, "generated Gaussians: found 0 features per example, expected 1 .. 67108864");
    spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_train = 2000000000;
    assert_load_fails(&spec, KDS_DATA, "generated Gaussians: found 6000000060 examples, expected at most 2147483647");
    spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_separation = (double)INFINITY;
    assert_load_fails(&spec, KDS_DATA, "generated Gaussians: the separation is inf, expected a finite number");
    spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    spec.gaussian_test = -1;
    assert_load_fails(&spec, KDS_DATA, "generated Gaussians: found a negative number of classes or examples");
    spec = spec_of((kds_source)77, "");
    assert_load_fails(&spec, KDS_UNSUPPORTED, "data source number 77 is not in this build");
}

static void test_fingerprint_is_of_the_data(void **state)
{
    (void)state;
    kds_data_spec spec = spec_of(KDS_SOURCE_GAUSSIANS, "");
    loaded a = load(&spec);
    spec.imbalance_ratio = 10.0; /* no part of the data set */
    spec.split_seed = 99;
    loaded same = load(&spec);
    spec.gaussian_seed++;
    loaded other = load(&spec);
    assert_true(a.dataset.fingerprint == same.dataset.fingerprint);
    assert_true(a.dataset.fingerprint != other.dataset.fingerprint);
    kds_free(a.block);
    kds_free(same.block);
    kds_free(other.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_at_another_address),    cmocka_unit_test(test_dirty_memory_makes_no_difference),
        cmocka_unit_test(test_damaged_blocks_are_refused), cmocka_unit_test(test_allocator_without_memory),
        cmocka_unit_test(test_shapes_that_cannot_be),      cmocka_unit_test(test_fingerprint_is_of_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
