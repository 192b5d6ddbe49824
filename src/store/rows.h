/*
 * The columns of an open results file: one row, or a slab of neighbouring rows, at a time.
 */
#ifndef KDSWEEP_STORE_ROWS_H
#define KDSWEEP_STORE_ROWS_H

#include "kdsweep/arena.h"
#include "store_hdf5.h"

typedef struct kds_column {
    const kds_variable *variable;
    hid_t dataset;
    hid_t space; /* of the data set; its selection moves */
    kds_type type;
    int n_dims;
    hsize_t dims[KDS_MAX_RANK];
    int64_t n_items;      /* of one row */
    size_t row_bytes;     /* of one row */
    unsigned char *block; /* room for n_slab rows, aligned for every type */
} kds_column;

/* Zero-initialise. The file stays the caller's. */
typedef struct kds_rows {
    kds_form form;
    int n_columns;
    kds_column columns[KDS_MAX_COLUMNS]; /* in the order of the table */
    size_t row_bytes;                    /* of all columns */
    int32_t n_slab;                      /* rows that fit into `slab` */
    kds_arena slab;                      /* the blocks of all columns */
    kds_trial_result *scratch;           /* one row */
} kds_rows;

/* Open all columns of the form and compare them with it; KDS_FORMAT when they differ. n_slab 0: as many rows as make good slabs. */
kds_status kds_rows_open(hid_t file, const kds_form *form, int32_t n_slab, kds_rows *rows, kds_error *err);
void kds_rows_close(kds_rows *rows);

/* Rows [i_first, i_first + n_rows) between the file and `slab`. Writing goes in the order of the table, payload, row_crc, status;
 * reading the other way round, so that a row whose status says it is there is read whole from a live file. */
kds_status kds_rows_read(const kds_rows *rows, int32_t i_first, int32_t n_rows, kds_error *err);
kds_status kds_rows_write(const kds_rows *rows, int32_t i_first, int32_t n_rows, kds_error *err);

/* One column alone; `bytes` holds n_rows * row_bytes. */
kds_status kds_column_read(const kds_column *column, int32_t i_first, int32_t n_rows, void *bytes, kds_error *err);
kds_status kds_column_write(const kds_column *column, int32_t i_first, int32_t n_rows, const void *bytes,
                            kds_error *err);
/* By name; kds_rows_column for those that every file has. */
const kds_column *kds_rows_column(const kds_rows *rows, const char *name);
const kds_column *kds_rows_find_column(const kds_rows *rows, const char *name); /* NULL when there is none */

/* Row i of the slab. Putting computes row_crc over the row as it will read back, which is the row itself unless the file does not
 * store all of it. Getting resets the result first and tells whether the checksum matches. */
void kds_rows_put(const kds_rows *rows, int32_t i, const kds_trial_result *result);
void kds_rows_put_unwritten(const kds_rows *rows, int32_t i);
bool kds_rows_get(const kds_rows *rows, int32_t i, kds_trial_result *result);
uint8_t kds_rows_status(const kds_rows *rows, int32_t i);

/* The statuses of all rows, n_trials of them. */
kds_status kds_rows_read_statuses(const kds_rows *rows, uint8_t *statuses, kds_error *err);

#endif
