/*
 * What the store asks of HDF5, with our error record: opening without locks and buffers, attributes, texts.
 */
#ifndef KDSWEEP_STORE_HDF5_H
#define KDSWEEP_STORE_HDF5_H

#include <hdf5.h>

#include "kdsweep/status.h"
#include "schema.h"

/* Fail through `out` with what HDF5 says about the innermost cause. */
#define KDS_HDF5_FAIL(err, status_code, hint, ...)                              \
    do {                                                                        \
        status = kds_hdf5_error_set((err), (status_code), (hint), __VA_ARGS__); \
        goto out;                                                               \
    } while (0)

kds_status kds_hdf5_error_set(kds_error *err, kds_status status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The innermost line of HDF5's own error stack; "" when there is none. */
void kds_hdf5_reason(char *text, size_t size);

/* Call before anything else of HDF5: no file locking unless the user's environment asks for it, no printing of error stacks. */
void kds_hdf5_start(void);

/* Access properties that every file of ours is opened with: no locking, no buffering of raw data (so that a write has reached the
 * kernel when it returns, in the order of the calls, and a read is fresh). H5I_INVALID_HID when there is no memory. */
hid_t kds_hdf5_access(void);

/* Open an existing results file with the serial driver. KDS_IO: not there, not readable. KDS_FORMAT: not HDF5, truncated, not of
 * kdsweep, of another schema version. */
kds_status kds_hdf5_open(const char *path, unsigned flags, hid_t *file, kds_error *err);

/* May --overwrite replace this file? Results files of any schema version, empty files, and HDF5 that no longer opens; never anything else. */
bool kds_hdf5_is_replaceable(const char *path);

/* Is this open HDF5 file a results file of this schema version? KDS_FORMAT. */
kds_status kds_hdf5_check_schema(hid_t file, const char *path, kds_error *err);

/* Types in the file (little-endian) and in memory. Predefined: not to be closed. Not for words and texts. */
hid_t kds_hdf5_file_type(kds_type type);
hid_t kds_hdf5_memory_type(kds_type type);

/* A new string type, UTF-8, zero-terminated; size H5T_VARIABLE or bytes with the terminator. */
hid_t kds_hdf5_string_type(size_t size);

/* Attributes. Written as netCDF does: a text as one string of fixed length, numbers as a list. A text that would not fit into
 * an attribute is cut. */
kds_status kds_hdf5_put_text(hid_t object, const char *name, const char *text, kds_error *err);
kds_status kds_hdf5_put_numbers(hid_t object, const char *name, kds_type type, int n, const void *values,
                                kds_error *err);

/* Read; what is not there, or not of this kind, leaves *value and gives false. The text is kds_text's own. */
bool kds_hdf5_get_text(hid_t object, const char *name, kds_text *text);
bool kds_hdf5_get_int64(hid_t object, const char *name, int64_t *value);

/* The scalar string data set `name`. */
kds_status kds_hdf5_read_text(hid_t file, const char *name, kds_text *text, kds_error *err);

/* All words of a one-dimensional data set of n variable-length strings, one after the other into one text, each with its
 * terminator; `words` points into it. Release: kds_free(words), kds_text_clear(bytes). */
kds_status kds_hdf5_read_words(hid_t file, const char *name, int64_t n_words, kds_text *bytes, const char ***words,
                               kds_error *err);

/* spec_id as numbers, n_trials of them; kds_free. */
kds_status kds_hdf5_read_ids(hid_t file, int32_t n_trials, uint64_t **ids, kds_error *err);

/* The form of a results file. KDS_FORMAT when it is damaged. */
kds_status kds_hdf5_form(hid_t file, kds_form *form, kds_error *err);

#endif
