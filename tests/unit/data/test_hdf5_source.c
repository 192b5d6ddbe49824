/*
 * HDF5 sources: both layouts, types, names, groups, and every damage with its exact message.
 */
#include <hdf5.h>
#include <math.h>

#include "data_fixtures.h"

enum { N_TRAIN = 6, N_TEST = 4, N_ROWS = N_TRAIN + N_TEST, N_FEATURES = 4 };

/* Rows 0 .. 5 are training, 6 .. 9 test. */
static float row_x[N_ROWS][N_FEATURES];
static int64_t row_y[N_ROWS] = {0, 1, 2, 0, 1, 2, 2, 1, 0, 0};
static int64_t row_group[N_ROWS] = {0, 1, 0, 1, 0, 1, 1, 1, 0, 0};

static char h5_path[TEST_PATH_CHARS];

static int set_up(void **state)
{
    make_test_folder(state);
    in_folder("data.h5", h5_path);
    for (int i = 0; i < N_ROWS; i++) {
        for (int j = 0; j < N_FEATURES; j++) {
            row_x[i][j] = (float)(10 * i + j);
        }
    }
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static hid_t create(void)
{
    const hid_t file = H5Fcreate(h5_path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* A data set of this type in the file, from memory of another type. */
static void put(hid_t file, const char *name, int n_dims, const hsize_t *dims, hid_t file_type, hid_t memory_type,
                const void *values)
{
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    const hid_t space = H5Screate_simple(n_dims, dims, NULL);
    const hid_t set = H5Dcreate2(file, name, file_type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(links);
}

static void put_x(hid_t file, const char *name, int first, hsize_t n, hid_t file_type)
{
    const hsize_t dims[] = {n, N_FEATURES};
    put(file, name, 2, dims, file_type, H5T_NATIVE_FLOAT, row_x[first]);
}

static void put_integers(hid_t file, const char *name, hsize_t n, hid_t file_type, const int64_t *values)
{
    put(file, name, 1, &n, file_type, H5T_NATIVE_INT64, values);
}

static void put_names(hid_t file, const char *name, hsize_t n, const char *const *names)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    put(file, name, 1, &n, type, type, names);
    H5Tclose(type);
}

/* The layout with groups, complete; the caller may add to it and closes. */
static hid_t create_grouped(hid_t x_type, bool with_group)
{
    const hid_t file = create();
    put_x(file, "/train/x", 0, N_TRAIN, x_type);
    put_integers(file, "/train/y", N_TRAIN, H5T_STD_U8LE, row_y);
    put_x(file, "/test/x", N_TRAIN, N_TEST, x_type);
    put_integers(file, "/test/y", N_TEST, H5T_STD_I16BE, row_y + N_TRAIN);
    if (with_group) {
        put_integers(file, "/train/group", N_TRAIN, H5T_STD_I32LE, row_group);
        put_integers(file, "/test/group", N_TEST, H5T_STD_I32LE, row_group + N_TRAIN);
    }
    return file;
}

static kds_data_spec spec(void)
{
    return spec_of(KDS_SOURCE_HDF5, h5_path);
}

static void assert_fails(const char *message)
{
    const kds_data_spec s = spec();
    assert_load_fails(&s, KDS_DATA, message);
}

static void assert_rows(const kds_dataset *d, bool with_group)
{
    assert_int_equal(d->n_train, N_TRAIN);
    assert_int_equal(d->n_test, N_TEST);
    assert_int_equal(d->n_features, N_FEATURES);
    assert_int_equal(d->n_classes, 3);
    assert_int_equal(d->n_groups, with_group ? 2 : 0);
    assert_true((d->group != NULL) == with_group);
    for (int i = 0; i < N_ROWS; i++) {
        assert_int_equal(d->label[i], row_y[i]);
        if (with_group) {
            assert_int_equal(d->group[i], row_group[i]);
        }
        for (int j = 0; j < N_FEATURES; j++) {
            const int at = i * N_FEATURES + j;
            assert_true((d->is_u8 ? (float)d->x_u8[at] : d->x_f32[at]) == row_x[i][j]);
        }
    }
}

/* ---- good files -------------------------------------------------------------------------------------------------- */

static void test_groups_of_every_type(void **state)
{
    (void)state;
    const hid_t types[] = {H5T_STD_U8LE, H5T_IEEE_F32LE, H5T_IEEE_F64BE};
    for (int i = 0; i < 3; i++) {
        H5Fclose(create_grouped(types[i], i == 1));
        const kds_data_spec s = spec();
        loaded it = load(&s);
        assert_true(it.dataset.is_u8 == (i == 0));
        assert_int_equal(it.dataset.height, 0);
        assert_rows(&it.dataset, i == 1);
        assert_string_equal(it.dataset.class_name[1], "1");
        kds_dataset probed;
        kds_error err = KDS_ERROR_INIT;
        KDS_TEST_OK(kds_dataset_probe(&s, &probed, &err), &err);
        assert_int_equal(kds_dataset_block_size(&probed), it.size);
        kds_free(it.block);
    }
}

/* The parts interleaved, and x chunked and compressed. */
static void test_flat(void **state)
{
    (void)state;
    static const int order[N_ROWS] = {6, 0, 1, 7, 2, 8, 3, 4, 5, 9}; /* each part keeps its order */
    float x[N_ROWS][N_FEATURES];
    int64_t y[N_ROWS];
    int64_t group[N_ROWS];
    int64_t split[N_ROWS];
    for (int i = 0; i < N_ROWS; i++) {
        memcpy(x[i], row_x[order[i]], sizeof x[i]);
        y[i] = row_y[order[i]];
        group[i] = row_group[order[i]];
        split[i] = order[i] >= N_TRAIN;
    }
    const hid_t file = create();
    const hsize_t dims[] = {N_ROWS, N_FEATURES};
    const hsize_t chunk[] = {3, N_FEATURES};
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 2, chunk);
    H5Pset_deflate(properties, 4);
    const hid_t space = H5Screate_simple(2, dims, NULL);
    const hid_t set = H5Dcreate2(file, "/x", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(properties);
    put_integers(file, "/y", N_ROWS, H5T_STD_I64LE, y);
    put_integers(file, "/group", N_ROWS, H5T_STD_U8LE, group);
    put_integers(file, "/split", N_ROWS, H5T_STD_U8LE, split);
    H5Fclose(file);
    const kds_data_spec s = spec();
    loaded flat = load(&s);
    assert_rows(&flat.dataset, true);

    H5Fclose(create_grouped(H5T_IEEE_F32LE, true));
    loaded grouped = load(&s);
    assert_true(flat.dataset.fingerprint == grouped.dataset.fingerprint); /* the data are the same */
    kds_free(flat.block);
    kds_free(grouped.block);
}

/* More than one run of rows is read: 8 MiB and a bit, parts one after the other and then interleaved. */
static void test_many_rows(void **state)
{
    (void)state;
    enum { N_MANY = 5000, WIDE = 4096 };
    kds_error err = KDS_ERROR_INIT;
    uint8_t *x = kds_alloc((size_t)N_MANY * WIDE, 1, &err);
    int64_t *y = kds_alloc(N_MANY, sizeof *y, &err);
    int64_t *split = kds_alloc(N_MANY, sizeof *split, &err);
    assert_true(x != NULL && y != NULL && split != NULL);
    for (int64_t i = 0; i < N_MANY; i++) {
        memset(x + i * WIDE, (int)(i % 251), WIDE);
        x[i * WIDE] = (uint8_t)(i >> 8);
        y[i] = i % 7;
        split[i] = i < 2000 ? 0 : i < 3000 ? 1 : i % 3 == 0;
    }
    const hsize_t dims[] = {N_MANY, WIDE};
    const hid_t file = create();
    put(file, "/x", 2, dims, H5T_STD_U8LE, H5T_NATIVE_UINT8, x);
    put_integers(file, "/y", N_MANY, H5T_STD_U8LE, y);
    put_integers(file, "/split", N_MANY, H5T_STD_U8LE, split);
    H5Fclose(file);
    const kds_data_spec s = spec();
    loaded it = load(&s);
    int64_t next[2] = {0, it.dataset.n_train};
    for (int64_t i = 0; i < N_MANY; i++) {
        const int64_t e = next[split[i]]++;
        assert_int_equal(it.dataset.label[e], y[i]);
        assert_memory_equal(it.dataset.x_u8 + e * WIDE, x + i * WIDE, WIDE);
    }
    assert_int_equal(next[0], it.dataset.n_train);
    assert_int_equal(next[1], N_MANY);
    kds_free(it.block);
    kds_free(x);
    kds_free(y);
    kds_free(split);
}

static void test_images(void **state)
{
    (void)state;
    const hid_t file = create();
    const hsize_t train_dims[] = {N_TRAIN, 2, 1, 2};
    const hsize_t test_dims[] = {N_TEST, 2, 1, 2};
    put(file, "/train/x", 4, train_dims, H5T_STD_U8LE, H5T_NATIVE_FLOAT, row_x[0]);
    put(file, "/test/x", 4, test_dims, H5T_STD_U8LE, H5T_NATIVE_FLOAT, row_x[N_TRAIN]);
    put_integers(file, "/train/y", N_TRAIN, H5T_STD_U8LE, row_y);
    put_integers(file, "/test/y", N_TEST, H5T_STD_U8LE, row_y + N_TRAIN);
    H5Fclose(file);
    const kds_data_spec s = spec();
    loaded it = load(&s);
    assert_rows(&it.dataset, false);
    assert_int_equal(it.dataset.height, 2);
    assert_int_equal(it.dataset.width, 1);
    assert_int_equal(it.dataset.channels, 2);
    kds_free(it.block);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const classes[] = {"cat", "dog", "caf\xc3\xa9"};
    hid_t file = create_grouped(H5T_STD_U8LE, true);
    put_names(file, "/class_names", 3, classes);
    const hid_t padded = H5Tcopy(H5T_C_S1);
    H5Tset_size(padded, 8);
    H5Tset_strpad(padded, H5T_STR_SPACEPAD);
    const hsize_t n_groups = 3; /* one more than the data use */
    put(file, "/group_names", 1, &n_groups, padded, padded, "young   old     eightyup");
    H5Tclose(padded);
    H5Fclose(file);
    const kds_data_spec s = spec();
    loaded it = load(&s);
    assert_string_equal(it.dataset.class_name[0], "cat");
    assert_string_equal(it.dataset.class_name[2], "caf\xc3\xa9");
    assert_int_equal(it.dataset.n_groups, 3);
    assert_string_equal(it.dataset.group_name[0], "young");
    assert_string_equal(it.dataset.group_name[2], "eightyup");
    kds_free(it.block);

    static const char *const two[] = {"cat", "dog"};
    file = create_grouped(H5T_STD_U8LE, false);
    put_names(file, "/class_names", 2, two);
    H5Fclose(file);
    assert_fails("%s/data.h5: /train/y[2] is 2, expected 0 .. 1 (as many as /class_names)");

    static const char *const hole[] = {"cat", "", "cow"};
    file = create_grouped(H5T_STD_U8LE, false);
    put_names(file, "/class_names", 3, hole);
    H5Fclose(file);
    assert_fails("%s/data.h5: /class_names: name 1 is empty");

    file = create_grouped(H5T_STD_U8LE, false);
    put_integers(file, "/class_names", 3, H5T_STD_U8LE, row_y);
    H5Fclose(file);
    assert_fails("%s/data.h5: /class_names must hold 1 .. 65535 strings");
}

/* h5py stores numpy's bool as an enum of two names. */
static void test_bool_group(void **state)
{
    (void)state;
    const hid_t file = create_grouped(H5T_STD_U8LE, false);
    const hid_t bool_type = H5Tenum_create(H5T_NATIVE_INT8);
    int8_t value = 0;
    H5Tenum_insert(bool_type, "FALSE", &value);
    value = 1;
    H5Tenum_insert(bool_type, "TRUE", &value);
    int8_t group[N_ROWS];
    for (int i = 0; i < N_ROWS; i++) {
        group[i] = (int8_t)row_group[i];
    }
    hsize_t n = N_TRAIN;
    put(file, "/train/group", 1, &n, bool_type, bool_type, group);
    n = N_TEST;
    put(file, "/test/group", 1, &n, bool_type, bool_type, group + N_TRAIN);
    H5Tclose(bool_type);
    H5Fclose(file);
    const kds_data_spec s = spec();
    loaded it = load(&s);
    assert_rows(&it.dataset, true);
    kds_free(it.block);
}

/* ---- bad files --------------------------------------------------------------------------------------------------- */

static void test_missing_and_damaged_files(void **state)
{
    (void)state;
    kds_data_spec s = spec();
    assert_load_fails(&s, KDS_IO, "%s/data.h5: No such file or directory");
    s = spec_of(KDS_SOURCE_HDF5, test_folder);
    assert_load_fails(&s, KDS_IO, "%s: is not a file");
    write_file("data.h5", "this is no HDF5 file", 20);
    assert_fails("%s/data.h5: the file: HDF5 cannot read it: file signature not found");

    H5Fclose(create_grouped(H5T_STD_U8LE, false));
    cut_file("data.h5", file_size("data.h5") - 100);
    s = spec();
    kds_error err = KDS_ERROR_INIT;
    void *block = NULL;
    size_t size = 0;
    assert_int_equal(kds_dataset_load(&s, kds_data_allocate_heap, NULL, &block, &size, &err), KDS_DATA);
    assert_non_null(strstr(err.message, "truncated file: "));
    kds_free(block);
}

static void test_missing_data_sets(void **state)
{
    (void)state;
    H5Fclose(create());
    assert_fails("%s/data.h5: has no data set /x");

    hid_t file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/test/y", H5P_DEFAULT);
    H5Fclose(file);
    assert_fails("%s/data.h5: has no data set /test/y");

    file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/test", H5P_DEFAULT);
    H5Fclose(file);
    assert_fails("%s/data.h5: has no data set /test/x");

    file = create_grouped(H5T_STD_U8LE, true);
    H5Ldelete(file, "/train/group", H5P_DEFAULT);
    H5Fclose(file);
    assert_fails("%s/data.h5: only /test has a data set group");

    file = create();
    put_x(file, "/x", 0, N_ROWS, H5T_STD_U8LE);
    put_integers(file, "/y", N_ROWS, H5T_STD_U8LE, row_y);
    H5Fclose(file);
    assert_fails("%s/data.h5: has no data set /split");
    const kds_data_spec s = spec();
    kds_dataset probed;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_dataset_probe(&s, &probed, &err), KDS_DATA);
    assert_non_null(strstr(err.hint, "/split (0: training, 1: test)"));
}

static void test_wrong_types_and_shapes(void **state)
{
    (void)state;
    H5Fclose(create_grouped(H5T_STD_I64LE, false));
    assert_fails("%s/data.h5: /train/x is neither uint8 nor floating point");

    hid_t file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/train/y", H5P_DEFAULT);
    put_integers(file, "/train/y", N_TRAIN, H5T_IEEE_F64LE, row_y);
    H5Fclose(file);
    assert_fails("%s/data.h5: /train/y does not hold integers");

    file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/train/y", H5P_DEFAULT);
    put_integers(file, "/train/y", N_TRAIN - 1, H5T_STD_U8LE, row_y);
    H5Fclose(file);
    assert_fails("%s/data.h5: found 5 values in /train/y, expected 6, as many as x has rows");

    file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/test/x", H5P_DEFAULT);
    put_x(file, "/test/x", N_TRAIN, N_TEST, H5T_IEEE_F32LE);
    H5Fclose(file);
    assert_fails("%s/data.h5: /train/x (4 uint8 features) and /test/x (4 float features) differ in type or shape");

    file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/train/x", H5P_DEFAULT);
    put_integers(file, "/train/x", N_TRAIN, H5T_STD_U8LE, row_y);
    H5Fclose(file);
    assert_fails(
        "%s/data.h5: /train/x has 1 dimensions, expected (n, features), (n, height, width) or (n, height, width, "
        "channels)");
}

static void test_values_out_of_range(void **state)
{
    (void)state;
    static const int64_t negative[N_TRAIN] = {0, 1, -1, 2, 0, 0};
    hid_t file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/train/y", H5P_DEFAULT);
    put_integers(file, "/train/y", N_TRAIN, H5T_STD_I8LE, negative);
    H5Fclose(file);
    assert_fails("%s/data.h5: /train/y[2] is -1, expected 0 .. 2 (the training labels)");

    static const int64_t beyond[N_TEST] = {0, 0, 1, 3};
    file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/test/y", H5P_DEFAULT);
    put_integers(file, "/test/y", N_TEST, H5T_STD_U8LE, beyond);
    H5Fclose(file);
    assert_fails("%s/data.h5: /test/y[3] is 3, expected 0 .. 2 (the training labels)");

    static const int64_t huge[N_TRAIN] = {0, 1, 5000000000, 2, 0, 0};
    file = create_grouped(H5T_STD_U8LE, false);
    H5Ldelete(file, "/train/y", H5P_DEFAULT);
    put_integers(file, "/train/y", N_TRAIN, H5T_STD_I64LE, huge);
    H5Fclose(file);
    assert_fails("%s/data.h5: found label 5000000000, expected at most 65534");

    file = create_grouped(H5T_STD_U8LE, true);
    H5Ldelete(file, "/train/group", H5P_DEFAULT);
    put_integers(file, "/train/group", N_TRAIN, H5T_STD_I8LE, negative);
    H5Fclose(file);
    assert_fails("%s/data.h5: /train/group[2] is -1, expected 0 .. 2 (the largest group)");

    file = create();
    put_x(file, "/x", 0, N_ROWS, H5T_STD_U8LE);
    put_integers(file, "/y", N_ROWS, H5T_STD_U8LE, row_y);
    static const int64_t split[N_ROWS] = {0, 0, 0, 0, 0, 0, 1, 1, 2, 1};
    put_integers(file, "/split", N_ROWS, H5T_STD_U8LE, split);
    H5Fclose(file);
    assert_fails("%s/data.h5: /split[8] is 2, expected 0 (training) or 1 (test)");
}

static void test_values_not_finite(void **state)
{
    (void)state;
    row_x[4][3] = NAN;
    H5Fclose(create_grouped(H5T_IEEE_F32LE, false));
    assert_fails("%s/data.h5: feature 3 of training example 4 is nan as a 32-bit float, expected a finite number");
    row_x[4][3] = 0.0F;
    row_x[N_TRAIN + 1][0] = -INFINITY;
    H5Fclose(create_grouped(H5T_IEEE_F32LE, false));
    assert_fails("%s/data.h5: feature 0 of test example 1 is -inf as a 32-bit float, expected a finite number");
    row_x[N_TRAIN + 1][0] = 0.0F;

    hid_t file = create_grouped(H5T_IEEE_F32LE, false);
    H5Ldelete(file, "/train/x", H5P_DEFAULT);
    double x[N_TRAIN][N_FEATURES] = {{0}};
    x[0][1] = 1e300; /* finite, but not as a float */
    const hsize_t dims[] = {N_TRAIN, N_FEATURES};
    put(file, "/train/x", 2, dims, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, x);
    H5Fclose(file);
    assert_fails("%s/data.h5: feature 1 of training example 0 is inf as a 32-bit float, expected a finite number");
}

static void test_empty_parts(void **state)
{
    (void)state;
    const hid_t file = create();
    put_x(file, "/x", 0, N_ROWS, H5T_STD_U8LE);
    put_integers(file, "/y", N_ROWS, H5T_STD_U8LE, row_y);
    static const int64_t split[N_ROWS] = {0};
    put_integers(file, "/split", N_ROWS, H5T_STD_U8LE, split);
    H5Fclose(file);
    assert_fails("%s/data.h5: found 10 training and 0 test examples, expected at least 1 of each");
}

/* Neither a good nor a bad file leaves a file, data set or type open. */
static void test_nothing_stays_open(void **state)
{
    test_missing_data_sets(state);
    test_values_out_of_range(state);
    test_names(state);
    assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, remove_test_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_groups_of_every_type),
        WITH_FOLDER(test_flat),
        WITH_FOLDER(test_many_rows),
        WITH_FOLDER(test_images),
        WITH_FOLDER(test_names),
        WITH_FOLDER(test_bool_group),
        WITH_FOLDER(test_missing_and_damaged_files),
        WITH_FOLDER(test_missing_data_sets),
        WITH_FOLDER(test_wrong_types_and_shapes),
        WITH_FOLDER(test_values_out_of_range),
        WITH_FOLDER(test_values_not_finite),
        WITH_FOLDER(test_empty_parts),
        WITH_FOLDER(test_nothing_stays_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
