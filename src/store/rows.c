/*
 * Rows in slabs: one HDF5 call per column moves thousands of rows.
 */
#include "rows.h"

#include <string.h>

#include "kdsweep/arena.h"

enum { SLAB_BYTES = 16 << 20, MAX_SLAB_ROWS = 65536 };

static kds_status open_column(hid_t file, const kds_variable *variable, const kds_form *form, kds_column *column,
                              kds_error *err)
{
    kds_status status = KDS_OK;
    *column = (kds_column){.variable = variable, .dataset = H5I_INVALID_HID, .space = H5I_INVALID_HID};
    column->type = kds_variable_type(variable, form);
    column->n_dims = kds_variable_n_dims(variable);
    column->n_items = kds_variable_n_items(variable, form);
    column->row_bytes = (size_t)column->n_items * kds_type_size(column->type);
    hid_t type = H5I_INVALID_HID;
    hsize_t dims[KDS_MAX_RANK] = {0};

    column->dataset = H5Dopen2(file, variable->name, H5P_DEFAULT);
    if (column->dataset < 0 || (column->space = H5Dget_space(column->dataset)) < 0 ||
        (type = H5Dget_type(column->dataset)) < 0) {
        KDS_HDF5_FAIL(err, KDS_FORMAT, NULL, "the results file has no variable '%s'", variable->name);
    }
    if (H5Tequal(type, kds_hdf5_file_type(column->type)) <= 0 ||
        H5Sget_simple_extent_ndims(column->space) != column->n_dims ||
        H5Sget_simple_extent_dims(column->space, dims, NULL) != column->n_dims) {
        KDS_FAIL(err, KDS_FORMAT, NULL, "the variable '%s' of the results file has another type or rank",
                 variable->name);
    }
    for (int i = 0; i < column->n_dims; i++) {
        column->dims[i] = (hsize_t)kds_dimension_size(variable->dims[i], form);
        if (column->dims[i] != dims[i]) {
            KDS_FAIL(err, KDS_FORMAT, NULL, "the variable '%s' of the results file has %llu along '%s', not %llu",
                     variable->name, (unsigned long long)dims[i], kds_dimension_name(variable->dims[i]),
                     (unsigned long long)column->dims[i]);
        }
    }

out:
    if (type >= 0) {
        H5Tclose(type);
    }
    return status;
}

/* One block per column, one behind the other. */
static kds_status make_slab(kds_rows *rows, kds_error *err)
{
    kds_arena measure = kds_arena_measure();
    for (int i = 0; i < rows->n_columns; i++) {
        kds_arena_take(&measure, (size_t)rows->n_slab, rows->columns[i].row_bytes);
    }
    kds_status status = kds_arena_init(&rows->slab, measure.used, err);
    for (int i = 0; i < rows->n_columns && status == KDS_OK; i++) {
        rows->columns[i].block = kds_arena_take(&rows->slab, (size_t)rows->n_slab, rows->columns[i].row_bytes);
    }
    return status;
}

kds_status kds_rows_open(hid_t file, const kds_form *form, int32_t n_slab, kds_rows *rows, kds_error *err)
{
    kds_status status = KDS_OK;
    memset(rows, 0, sizeof *rows);
    rows->form = *form;
    int n_variables = 0;
    const kds_variable *variables = kds_schema(&n_variables);
    for (int i = 0; i < n_variables; i++) {
        if (kds_variable_is_column(&variables[i]) && kds_variable_is_stored(&variables[i], form)) {
            KDS_ASSERT(rows->n_columns < KDS_MAX_COLUMNS);
            kds_column *column = &rows->columns[rows->n_columns++];
            KDS_TRY(open_column(file, &variables[i], form, column, err));
            rows->row_bytes += column->row_bytes;
        }
    }
    if (n_slab <= 0) {
        const size_t n_fit = SLAB_BYTES / rows->row_bytes;
        n_slab = n_fit > MAX_SLAB_ROWS ? MAX_SLAB_ROWS : n_fit < 1 ? 1 : (int32_t)n_fit;
        n_slab = n_slab > form->n_trials ? form->n_trials : n_slab;
    }
    rows->n_slab = n_slab;
    KDS_TRY(make_slab(rows, err));
    KDS_TRY(kds_trial_result_new(&form->shape, &rows->scratch, err));

out:
    if (status != KDS_OK) {
        kds_rows_close(rows);
    }
    return status;
}

void kds_rows_close(kds_rows *rows)
{
    for (int i = 0; i < rows->n_columns; i++) {
        if (rows->columns[i].space >= 0) {
            H5Sclose(rows->columns[i].space);
        }
        if (rows->columns[i].dataset >= 0) {
            H5Dclose(rows->columns[i].dataset);
        }
    }
    kds_arena_clear(&rows->slab);
    kds_trial_result_free(rows->scratch);
    memset(rows, 0, sizeof *rows);
}

/* ---- file <-> slab --------------------------------------------------------------------------------------------------- */

/* Select rows of a column in its space; returns a memory space of as many values, to be closed. */
static hid_t select_rows(const kds_column *column, int32_t i_first, int32_t n_rows)
{
    hsize_t start[KDS_MAX_RANK] = {(hsize_t)i_first};
    hsize_t count[KDS_MAX_RANK];
    memcpy(count, column->dims, sizeof count);
    count[0] = (hsize_t)n_rows;
    if (H5Sselect_hyperslab(column->space, H5S_SELECT_SET, start, NULL, count, NULL) < 0) {
        return H5I_INVALID_HID;
    }
    const hsize_t n_values = (hsize_t)n_rows * (hsize_t)column->n_items;
    return H5Screate_simple(1, &n_values, NULL);
}

kds_status kds_column_read(const kds_column *column, int32_t i_first, int32_t n_rows, void *bytes, kds_error *err)
{
    kds_status status = KDS_OK;
    const hid_t memory = select_rows(column, i_first, n_rows);
    if (memory < 0 ||
        H5Dread(column->dataset, kds_hdf5_memory_type(column->type), memory, column->space, H5P_DEFAULT, bytes) < 0) {
        status = kds_hdf5_error_set(err, KDS_IO, NULL, "cannot read '%s' of rows %d to %d", column->variable->name,
                                    i_first, i_first + n_rows - 1);
    }
    if (memory >= 0) {
        H5Sclose(memory);
    }
    return status;
}

kds_status kds_column_write(const kds_column *column, int32_t i_first, int32_t n_rows, const void *bytes,
                            kds_error *err)
{
    kds_status status = KDS_OK;
    const hid_t memory = select_rows(column, i_first, n_rows);
    if (memory < 0 ||
        H5Dwrite(column->dataset, kds_hdf5_memory_type(column->type), memory, column->space, H5P_DEFAULT, bytes) < 0) {
        status = kds_hdf5_error_set(
            err, KDS_IO, "Is the disk full, or the file system gone? Run the same command again to go on.",
            "cannot write '%s' of rows %d to %d", column->variable->name, i_first, i_first + n_rows - 1);
    }
    if (memory >= 0) {
        H5Sclose(memory);
    }
    return status;
}

kds_status kds_rows_read(const kds_rows *rows, int32_t i_first, int32_t n_rows, kds_error *err)
{
    kds_status status = KDS_OK;
    KDS_ASSERT(n_rows <= rows->n_slab);
    for (int i = rows->n_columns - 1; i >= 0; i--) {
        KDS_TRY(kds_column_read(&rows->columns[i], i_first, n_rows, rows->columns[i].block, err));
    }
out:
    return status;
}

kds_status kds_rows_write(const kds_rows *rows, int32_t i_first, int32_t n_rows, kds_error *err)
{
    kds_status status = KDS_OK;
    KDS_ASSERT(n_rows <= rows->n_slab);
    for (int i = 0; i < rows->n_columns; i++) {
        KDS_TRY(kds_column_write(&rows->columns[i], i_first, n_rows, rows->columns[i].block, err));
    }
out:
    return status;
}

const kds_column *kds_rows_find_column(const kds_rows *rows, const char *name)
{
    for (int i = 0; i < rows->n_columns; i++) {
        if (strcmp(rows->columns[i].variable->name, name) == 0) {
            return &rows->columns[i];
        }
    }
    return NULL;
}

const kds_column *kds_rows_column(const kds_rows *rows, const char *name)
{
    const kds_column *column = kds_rows_find_column(rows, name);
    KDS_ASSERT(column != NULL);
    return column;
}

kds_status kds_rows_read_statuses(const kds_rows *rows, uint8_t *statuses, kds_error *err)
{
    return kds_column_read(kds_rows_column(rows, "status"), 0, rows->form.n_trials, statuses, err);
}

/* ---- slab <-> result ------------------------------------------------------------------------------------------------- */

static unsigned char *cell(const kds_rows *rows, int i_column, int32_t i)
{
    return rows->columns[i_column].block + rows->columns[i_column].row_bytes * (size_t)i;
}

/* Everything but row_crc. */
static void unpack(const kds_rows *rows, int32_t i, kds_trial_result *result)
{
    kds_trial_result_reset(result);
    for (int i_column = 0; i_column < rows->n_columns; i_column++) {
        kds_variable_unpack(rows->columns[i_column].variable, &rows->form, cell(rows, i_column, i), result);
    }
}

/* row_crc stands just before status, the last of the table. */
static unsigned char *crc_cell(const kds_rows *rows, int32_t i)
{
    const int i_column = rows->n_columns - 2;
    KDS_ASSERT(rows->columns[i_column].variable->origin == KDS_FROM_CHECKSUM);
    return cell(rows, i_column, i);
}

void kds_rows_put(const kds_rows *rows, int32_t i, const kds_trial_result *result)
{
    for (int i_column = 0; i_column < rows->n_columns; i_column++) {
        kds_variable_pack(rows->columns[i_column].variable, &rows->form, result, cell(rows, i_column, i));
    }
    unpack(rows, i, rows->scratch);
    const uint32_t crc = kds_trial_result_crc(rows->scratch);
    memcpy(crc_cell(rows, i), &crc, sizeof crc);
}

void kds_rows_put_unwritten(const kds_rows *rows, int32_t i)
{
    for (int i_column = 0; i_column < rows->n_columns; i_column++) {
        kds_variable_pack_unwritten(rows->columns[i_column].variable, &rows->form, cell(rows, i_column, i));
    }
}

bool kds_rows_get(const kds_rows *rows, int32_t i, kds_trial_result *result)
{
    unpack(rows, i, result);
    uint32_t crc = 0;
    memcpy(&crc, crc_cell(rows, i), sizeof crc);
    return kds_trial_result_crc(result) == crc;
}

uint8_t kds_rows_status(const kds_rows *rows, int32_t i)
{
    return *cell(rows, rows->n_columns - 1, i);
}
