/*
 * Data sets in an HDF5 file; kds_dataset_load describes the layouts. The only file of this module that knows HDF5.
 *
 * Both layouts are read as a list of tables (x, y, group and perhaps split): /train and /test, or one table at the root
 * whose rows go to either part. x goes straight into the block, a run of rows at a time.
 */
#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data_source.h"
#include "kdsweep/arena.h"

static const char LAYOUT_HINT[] =
    "Expected either groups /train and /test, each with x, y and perhaps group, or /x, /y, perhaps /group, and "
    "/split (0: training, 1: test). x: (n, ...) uint8 or floating point; y, group, split: (n) integers.";

enum { NAME_CHARS = 32, MAX_X_DIMENSIONS = 4, RUN_BYTES = 8 << 20 };

enum { PART_TRAIN = 0, PART_TEST = 1 };

typedef struct h5_table {
    char place[NAME_CHARS]; /* "/train", "/test" or "" */
    hid_t x;                /* H5I_INVALID_HID: not open */
    bool is_u8;
    int n_dims;
    hsize_t dims[MAX_X_DIMENSIONS];
    int64_t n_rows, n_features;
    int64_t *label; /* [n_rows] */
    int64_t *group; /* the same, or NULL */
    int64_t *split; /* the same, or NULL: all rows belong to `part` */
    int part;
} h5_table;

typedef struct h5_source {
    const char *path;
    hid_t file;
    int n_tables;
    h5_table tables[2];
    int32_t n_class_names, n_group_names; /* 0: none */
} h5_source;

/* ---- HDF5's own words -------------------------------------------------------------------------------------------- */

/* HDF5 prints its error stack by default; here it is silent, and the innermost words go into our message. */
typedef struct h5_quiet {
    H5E_auto2_t print;
    void *client;
} h5_quiet;

static h5_quiet quiet_begin(void)
{
    h5_quiet quiet = {0};
    H5Eget_auto2(H5E_DEFAULT, &quiet.print, &quiet.client);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return quiet;
}

static void quiet_end(h5_quiet quiet)
{
    H5Eset_auto2(H5E_DEFAULT, quiet.print, quiet.client);
}

enum { WORDS_CHARS = 256 };

static herr_t keep_innermost(unsigned n, const H5E_error2_t *record, void *client)
{
    if (n == 0 && record->desc != NULL) {
        snprintf((char *)client, WORDS_CHARS, "%s", record->desc);
    }
    return 0;
}

/* KDS_DATA with HDF5's words for the call that just failed. */
static kds_status h5_failed(const char *path, const char *what, kds_error *err)
{
    char words[WORDS_CHARS] = "unknown reason";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, words);
    return kds_error_set(err, KDS_DATA, "The file may be truncated, or need a filter that this HDF5 does not have.",
                         "%s: %s: HDF5 cannot read it: %s", path, what, words);
}

/* ---- small readers ----------------------------------------------------------------------------------------------- */

static bool has_link(hid_t file, const char *name)
{
    return H5Lexists(file, name, H5P_DEFAULT) > 0;
}

static bool is_integer(hid_t type)
{
    const H5T_class_t class = H5Tget_class(type);
    return class == H5T_INTEGER || class == H5T_ENUM; /* h5py writes bool as an enum */
}

/* Read a column of n_rows integers into fresh memory. */
static kds_status read_integers(const h5_source *source, const char *name, int64_t n_rows, int64_t **out,
                                kds_error *err)
{
    kds_status status = KDS_OK;
    hid_t type = H5I_INVALID_HID;
    hid_t space = H5I_INVALID_HID;
    hid_t column = H5I_INVALID_HID;
    if (!has_link(source->file, name)) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT, "%s: has no data set %s", source->path, name);
    }
    column = H5Dopen2(source->file, name, H5P_DEFAULT);
    if (column < 0) {
        status = h5_failed(source->path, name, err);
        goto out;
    }
    type = H5Dget_type(column);
    space = H5Dget_space(column);
    if (!is_integer(type)) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT, "%s: %s does not hold integers", source->path, name);
    }
    const int64_t n_values = (int64_t)H5Sget_simple_extent_npoints(space);
    if (n_values != n_rows) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT, "%s: found %lld values in %s, expected %lld, as many as x has rows",
                 source->path, (long long)n_values, name, (long long)n_rows);
    }
    *out = kds_alloc((size_t)n_rows, sizeof **out, err);
    if (*out == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    if (H5Dread(column, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) < 0) {
        status = h5_failed(source->path, name, err);
    }
out:
    if (type >= 0) {
        H5Tclose(type);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (column >= 0) {
        H5Dclose(column);
    }
    return status;
}

/* The C type to read strings of a file's type as: terminated, with room for it, of the same character set. */
static hid_t string_type(hid_t file_type)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    const bool is_variable = H5Tis_variable_str(file_type) > 0;
    H5Tset_size(type, is_variable ? H5T_VARIABLE : H5Tget_size(file_type) + 1);
    H5Tset_cset(type, H5Tget_cset(file_type));
    return type;
}

/* Strings from an opened data set: `rows` is what H5Dread gave, char* each or `width` bytes each. */
static kds_status set_names(const h5_source *source, const char *name, const void *rows, bool is_variable, size_t width,
                            char (*names)[KDS_NAME_CHARS], int32_t n_names, kds_error *err)
{
    kds_status status = KDS_OK;
    char where[KDS_PATH_CHARS + NAME_CHARS + 4];
    snprintf(where, sizeof where, "%s: %s", source->path, name);
    for (int32_t i = 0; i < n_names; i++) {
        const char *text = is_variable ? ((const char *const *)rows)[i] : (const char *)rows + (size_t)i * width;
        text = text != NULL ? text : "";
        KDS_TRY(kds_data_name_set(names, i, text, strlen(text), where, err));
    }
out:
    return status;
}

/* Names, if there are any (*n_names stays 0 otherwise). With names == NULL they are only counted. */
static kds_status read_names(const h5_source *source, const char *name, char (*names)[KDS_NAME_CHARS], int32_t *n_names,
                             kds_error *err)
{
    kds_status status = KDS_OK;
    hid_t set = H5I_INVALID_HID;
    hid_t space = H5I_INVALID_HID;
    hid_t file_type = H5I_INVALID_HID;
    hid_t type = H5I_INVALID_HID;
    void *rows = NULL;
    *n_names = 0;
    if (!has_link(source->file, name)) {
        goto out;
    }
    set = H5Dopen2(source->file, name, H5P_DEFAULT);
    if (set < 0) {
        status = h5_failed(source->path, name, err);
        goto out;
    }
    space = H5Dget_space(set);
    file_type = H5Dget_type(set);
    const int64_t n = (int64_t)H5Sget_simple_extent_npoints(space);
    if (H5Tget_class(file_type) != H5T_STRING || n < 1 || n > KDS_MAX_CLASSES) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: %s must hold 1 .. %d strings", source->path, name, KDS_MAX_CLASSES);
    }
    *n_names = (int32_t)n;
    if (names == NULL) {
        goto out;
    }
    type = string_type(file_type);
    const bool is_variable = H5Tis_variable_str(type) > 0;
    const size_t width = H5Tget_size(type);
    rows = kds_alloc((size_t)n, width, err);
    if (rows == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0) {
        status = h5_failed(source->path, name, err);
        goto out;
    }
    status = set_names(source, name, rows, is_variable, width, names, *n_names, err);
    if (is_variable) {
#if H5_VERSION_GE(1, 12, 0)
        H5Treclaim(type, space, H5P_DEFAULT, rows);
#else
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, rows);
#endif
    }
out:
    kds_free(rows);
    if (type >= 0) {
        H5Tclose(type);
    }
    if (file_type >= 0) {
        H5Tclose(file_type);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (set >= 0) {
        H5Dclose(set);
    }
    return status;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* "/train" and "x" -> "/train/x". */
static const char *full_name(const h5_table *table, const char *name, char buffer[NAME_CHARS])
{
    snprintf(buffer, NAME_CHARS, "%.16s/%.8s", table->place, name);
    return buffer;
}

/* Type and shape of x. */
static kds_status open_x(const h5_source *source, h5_table *table, kds_error *err)
{
    kds_status status = KDS_OK;
    char name[NAME_CHARS];
    hid_t type = H5I_INVALID_HID;
    hid_t space = H5I_INVALID_HID;
    full_name(table, "x", name);
    if (!has_link(source->file, name)) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT, "%s: has no data set %s", source->path, name);
    }
    table->x = H5Dopen2(source->file, name, H5P_DEFAULT);
    if (table->x < 0) {
        status = h5_failed(source->path, name, err);
        goto out;
    }
    type = H5Dget_type(table->x);
    space = H5Dget_space(table->x);
    table->is_u8 = H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE;
    if (!table->is_u8 && H5Tget_class(type) != H5T_FLOAT) {
        KDS_FAIL(err, KDS_DATA, "Store it as uint8 (0 .. 255 then is 0 .. 1) or as float32.",
                 "%s: %s is neither uint8 nor floating point", source->path, name);
    }
    table->n_dims = H5Sget_simple_extent_ndims(space);
    if (table->n_dims < 2 || table->n_dims > MAX_X_DIMENSIONS) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT,
                 "%s: %s has %d dimensions, expected (n, features), (n, height, width) or (n, height, width, channels)",
                 source->path, name, table->n_dims);
    }
    H5Sget_simple_extent_dims(space, table->dims, NULL);
    table->n_rows = (int64_t)table->dims[0];
    table->n_features = 1;
    for (int i_dim = 1; i_dim < table->n_dims; i_dim++) {
        if (table->dims[i_dim] == 0 || table->dims[i_dim] > KDS_DATA_MAX_FEATURES ||
            table->n_features * (int64_t)table->dims[i_dim] > KDS_DATA_MAX_FEATURES) {
            KDS_FAIL(err, KDS_DATA, NULL, "%s: an example of %s must have 1 .. %d features", source->path, name,
                     KDS_DATA_MAX_FEATURES);
        }
        table->n_features *= (int64_t)table->dims[i_dim];
    }
out:
    if (type >= 0) {
        H5Tclose(type);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    return status;
}

/* split must be 0 or 1. */
static kds_status check_split(const h5_source *source, const h5_table *table, kds_error *err)
{
    for (int64_t i = 0; i < table->n_rows; i++) {
        if (table->split[i] != PART_TRAIN && table->split[i] != PART_TEST) {
            return kds_error_set(err, KDS_DATA, NULL, "%s: /split[%lld] is %lld, expected 0 (training) or 1 (test)",
                                 source->path, (long long)i, (long long)table->split[i]);
        }
    }
    return KDS_OK;
}

/* Open x and read the small columns. */
static kds_status table_open(const h5_source *source, h5_table *table, bool with_split, kds_error *err)
{
    kds_status status = KDS_OK;
    char name[NAME_CHARS];
    KDS_TRY(open_x(source, table, err));
    KDS_TRY(read_integers(source, full_name(table, "y", name), table->n_rows, &table->label, err));
    if (has_link(source->file, full_name(table, "group", name))) {
        KDS_TRY(read_integers(source, name, table->n_rows, &table->group, err));
    }
    if (with_split) {
        KDS_TRY(read_integers(source, full_name(table, "split", name), table->n_rows, &table->split, err));
        KDS_TRY(check_split(source, table, err));
    }
out:
    return status;
}

static void table_close(h5_table *table)
{
    if (table->x >= 0) {
        H5Dclose(table->x);
        table->x = H5I_INVALID_HID;
    }
    kds_free(table->label);
    kds_free(table->group);
    kds_free(table->split);
    table->label = table->group = table->split = NULL;
}

static int part_of(const h5_table *table, int64_t i_row)
{
    return table->split != NULL ? (int)table->split[i_row] : table->part;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void source_close(h5_source *source)
{
    table_close(&source->tables[0]);
    table_close(&source->tables[1]);
    if (source->file >= 0) {
        H5Fclose(source->file);
        source->file = H5I_INVALID_HID;
    }
}

static kds_status open_file(h5_source *source, kds_error *err)
{
    kds_status status = KDS_OK;
    struct stat info;
    if (stat(source->path, &info) != 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, "data.path must name an HDF5 file.", "%s", source->path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        KDS_FAIL(err, KDS_IO, "data.path must name an HDF5 file.", "%s: is not a file", source->path);
    }
    source->file = H5Fopen(source->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (source->file < 0) {
        status = h5_failed(source->path, "the file", err);
    }
out:
    return status;
}

/* The second table must be like the first. */
static kds_status check_tables_agree(const h5_source *source, kds_error *err)
{
    kds_status status = KDS_OK;
    const h5_table *a = &source->tables[0];
    const h5_table *b = &source->tables[1];
    bool same_shape = a->n_dims == b->n_dims;
    for (int i_dim = 1; same_shape && i_dim < a->n_dims; i_dim++) {
        same_shape = a->dims[i_dim] == b->dims[i_dim];
    }
    if (!same_shape || a->is_u8 != b->is_u8) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT,
                 "%s: %s/x (%lld %s features) and %s/x (%lld %s features) differ in type or shape", source->path,
                 a->place, (long long)a->n_features, a->is_u8 ? "uint8" : "float", b->place, (long long)b->n_features,
                 b->is_u8 ? "uint8" : "float");
    }
    if ((a->group != NULL) != (b->group != NULL)) {
        KDS_FAIL(err, KDS_DATA, LAYOUT_HINT, "%s: only %s has a data set group", source->path,
                 a->group != NULL ? a->place : b->place);
    }
out:
    return status;
}

/* The largest value of a column in the rows of `part` (-1: of both); -1 when there are none. */
static int64_t largest_of(const h5_source *source, bool of_groups, int part)
{
    int64_t largest = -1;
    for (int i_table = 0; i_table < source->n_tables; i_table++) {
        const h5_table *table = &source->tables[i_table];
        const int64_t *column = of_groups ? table->group : table->label;
        for (int64_t i = 0; column != NULL && i < table->n_rows; i++) {
            if ((part < 0 || part_of(table, i) == part) && column[i] > largest) {
                largest = column[i];
            }
        }
    }
    return largest;
}

/* Every value of a column must be in 0 .. n-1. */
static kds_status check_column(const h5_source *source, bool of_groups, int32_t n, const char *because, kds_error *err)
{
    char name[NAME_CHARS];
    for (int i_table = 0; i_table < source->n_tables; i_table++) {
        const h5_table *table = &source->tables[i_table];
        const int64_t *column = of_groups ? table->group : table->label;
        for (int64_t i = 0; column != NULL && i < table->n_rows; i++) {
            if (column[i] < 0 || column[i] >= n) {
                return kds_error_set(err, KDS_DATA, "Classes and groups are numbered 0, 1, ... without gaps.",
                                     "%s: %s[%lld] is %lld, expected 0 .. %d (%s)", source->path,
                                     full_name(table, of_groups ? "group" : "y", name), (long long)i,
                                     (long long)column[i], n - 1, because);
            }
        }
    }
    return KDS_OK;
}

/* How many classes and groups, and that every label and group is one of them. */
static kds_status count_kinds(h5_source *source, kds_dataset *shape, kds_error *err)
{
    kds_status status = KDS_OK;
    KDS_TRY(read_names(source, "/class_names", NULL, &source->n_class_names, err));
    KDS_TRY(read_names(source, "/group_names", NULL, &source->n_group_names, err));
    const bool has_groups = source->tables[0].group != NULL;
    const int64_t largest_label = largest_of(source, false, PART_TRAIN);
    const int64_t largest_group = largest_of(source, true, -1);
    if (largest_label >= KDS_MAX_CLASSES || largest_group >= KDS_MAX_CLASSES) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: found %s %lld, expected at most %d", source->path,
                 largest_label >= KDS_MAX_CLASSES ? "label" : "group",
                 (long long)(largest_label >= KDS_MAX_CLASSES ? largest_label : largest_group), KDS_MAX_CLASSES - 1);
    }
    shape->n_classes = source->n_class_names > 0 ? source->n_class_names : (int32_t)largest_label + 1;
    if (shape->n_train > 0 || source->n_class_names > 0) { /* an empty part has its own message */
        KDS_TRY(check_column(source, false, shape->n_classes,
                             source->n_class_names > 0 ? "as many as /class_names" : "the training labels", err));
    }
    if (has_groups) {
        shape->n_groups = source->n_group_names > 0 ? source->n_group_names : (int32_t)largest_group + 1;
        KDS_TRY(check_column(source, true, shape->n_groups,
                             source->n_group_names > 0 ? "as many as /group_names" : "the largest group", err));
    }
out:
    return status;
}

/* Open the file, read everything but x and the names, and find the sizes. The caller closes, also after a failure. */
static kds_status source_open(h5_source *source, kds_dataset *shape, kds_error *err)
{
    kds_status status = KDS_OK;
    h5_table *tables = source->tables;
    KDS_TRY(open_file(source, err));
    if (has_link(source->file, "/train") || has_link(source->file, "/test")) {
        source->n_tables = 2;
        snprintf(tables[0].place, NAME_CHARS, "/train");
        snprintf(tables[1].place, NAME_CHARS, "/test");
        tables[1].part = PART_TEST;
        KDS_TRY(table_open(source, &tables[0], false, err));
        KDS_TRY(table_open(source, &tables[1], false, err));
        KDS_TRY(check_tables_agree(source, err));
    } else {
        source->n_tables = 1;
        KDS_TRY(table_open(source, &tables[0], true, err));
    }
    const h5_table *first = &tables[0];
    *shape = (kds_dataset){.n_features = (int32_t)first->n_features, .is_u8 = first->is_u8};
    if (first->n_dims > 2) {
        shape->height = (int32_t)first->dims[1];
        shape->width = (int32_t)first->dims[2];
        shape->channels = first->n_dims > 3 ? (int32_t)first->dims[3] : 1;
    }
    for (int i_table = 0; i_table < source->n_tables; i_table++) {
        for (int64_t i = 0; i < tables[i_table].n_rows; i++) {
            if (part_of(&tables[i_table], i) == PART_TRAIN) {
                shape->n_train++;
            } else {
                shape->n_test++;
            }
        }
    }
    KDS_TRY(count_kinds(source, shape, err));
out:
    return status;
}

/* ---- x into the block -------------------------------------------------------------------------------------------- */

/* Rows first .. first+n-1 of x into `out`, as bytes or floats. */
static kds_status read_rows(const h5_source *source, const h5_table *table, int64_t first, int64_t n, void *out,
                            kds_error *err)
{
    kds_status status = KDS_OK;
    char name[NAME_CHARS];
    hsize_t start[MAX_X_DIMENSIONS] = {0};
    hsize_t count[MAX_X_DIMENSIONS];
    memcpy(count, table->dims, sizeof count);
    start[0] = (hsize_t)first;
    count[0] = (hsize_t)n;
    const hid_t file_space = H5Dget_space(table->x);
    const hid_t memory_space = H5Screate_simple(table->n_dims, count, NULL);
    if (file_space < 0 || memory_space < 0 ||
        H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(table->x, table->is_u8 ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT, memory_space, file_space, H5P_DEFAULT,
                out) < 0) {
        status = h5_failed(source->path, full_name(table, "x", name), err);
    }
    if (file_space >= 0) {
        H5Sclose(file_space);
    }
    if (memory_space >= 0) {
        H5Sclose(memory_space);
    }
    return status;
}

/* Rows to read at once: about RUN_BYTES, but whole chunks, so that a compressed chunk is opened once. */
static int64_t rows_per_run(const h5_table *table, size_t row_size)
{
    int64_t n_rows = (int64_t)((RUN_BYTES + row_size - 1) / row_size);
    const hid_t properties = H5Dget_create_plist(table->x);
    if (properties >= 0) {
        hsize_t chunk[MAX_X_DIMENSIONS];
        if (H5Pget_layout(properties) == H5D_CHUNKED && H5Pget_chunk(properties, MAX_X_DIMENSIONS, chunk) > 0) {
            const int64_t chunk_rows = (int64_t)chunk[0];
            n_rows = (n_rows + chunk_rows - 1) / chunk_rows * chunk_rows;
        }
        H5Pclose(properties);
    }
    return n_rows < table->n_rows ? n_rows : table->n_rows;
}

/* All rows of n have one part? */
static bool is_uniform(const h5_table *table, int64_t first, int64_t n)
{
    for (int64_t i = 1; table->split != NULL && i < n; i++) {
        if (table->split[first + i] != table->split[first]) {
            return false;
        }
    }
    return true;
}

/*
 * One table's x, label and group. next: the example number that the next row of each part gets. A run of rows of one
 * part goes straight to its place; only where the parts are interleaved does it take the way through a buffer.
 */
static kds_status fill_from_table(const h5_source *source, const h5_table *table, const kds_data_parts *parts,
                                  int64_t next[2], kds_error *err)
{
    kds_status status = KDS_OK;
    unsigned char *x = parts->x_u8 != NULL ? (unsigned char *)parts->x_u8 : (unsigned char *)(void *)parts->x_f32;
    const size_t row_size = (size_t)table->n_features * (table->is_u8 ? sizeof(uint8_t) : sizeof(float));
    const int64_t run = rows_per_run(table, row_size);
    unsigned char *buffer = NULL;
    for (int64_t first = 0; first < table->n_rows; first += run) {
        const int64_t n = first + run < table->n_rows ? run : table->n_rows - first;
        const bool direct = is_uniform(table, first, n);
        unsigned char *target = x + (size_t)next[part_of(table, first)] * row_size;
        if (!direct && buffer == NULL) {
            buffer = kds_alloc((size_t)run, row_size, err);
            if (buffer == NULL) {
                status = KDS_MEMORY;
                goto out;
            }
        }
        KDS_TRY(read_rows(source, table, first, n, direct ? target : buffer, err));
        for (int64_t i = 0; i < n; i++) {
            const int64_t i_example = next[part_of(table, first + i)]++;
            if (!direct) {
                memcpy(x + (size_t)i_example * row_size, buffer + (size_t)i * row_size, row_size);
            }
            parts->label[i_example] = (int32_t)table->label[first + i];
            if (parts->group != NULL) {
                parts->group[i_example] = (int32_t)table->group[first + i];
            }
        }
    }
out:
    kds_free(buffer);
    return status;
}

/* ---- the source -------------------------------------------------------------------------------------------------- */

static h5_source closed_source(const kds_data_spec *spec)
{
    h5_source source = {.path = spec->path, .file = H5I_INVALID_HID};
    source.tables[0].x = H5I_INVALID_HID;
    source.tables[1].x = H5I_INVALID_HID;
    return source;
}

static kds_status probe(const kds_data_spec *spec, kds_dataset *out, kds_error *err)
{
    kds_status status = KDS_OK;
    const h5_quiet quiet = quiet_begin();
    h5_source source = closed_source(spec);
    KDS_TRY(source_open(&source, out, err));
out:
    source_close(&source);
    quiet_end(quiet);
    return status;
}

static kds_status fill(const kds_data_spec *spec, const kds_data_parts *parts, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_dataset *shape = &parts->shape;
    const h5_quiet quiet = quiet_begin();
    h5_source source = closed_source(spec);
    kds_dataset now;
    int32_t n_names = 0;
    KDS_TRY(source_open(&source, &now, err));
    if (now.n_train != shape->n_train || now.n_test != shape->n_test || now.n_features != shape->n_features ||
        now.is_u8 != shape->is_u8 || now.n_classes != shape->n_classes || now.n_groups != shape->n_groups) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: changed while it was read", spec->path);
    }
    int64_t next[2] = {0, shape->n_train};
    for (int i_table = 0; i_table < source.n_tables; i_table++) {
        KDS_TRY(fill_from_table(&source, &source.tables[i_table], parts, next, err));
    }
    if (source.n_class_names > 0) {
        KDS_TRY(read_names(&source, "/class_names", parts->class_name, &n_names, err));
    }
    if (source.n_group_names > 0 && parts->group_name != NULL) {
        KDS_TRY(read_names(&source, "/group_names", parts->group_name, &n_names, err));
    }
out:
    source_close(&source);
    quiet_end(quiet);
    return status;
}

const kds_data_source kds_data_source_hdf5 = {.name = "HDF5 file", .has_path = true, .probe = probe, .fill = fill};
