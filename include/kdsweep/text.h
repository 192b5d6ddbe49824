/*
 * Text: a growing string, numbers that read back bit for bit, the nearest known word.
 */
#ifndef KDSWEEP_TEXT_H
#define KDSWEEP_TEXT_H

#include "kdsweep/status.h"

/* A growing, always terminated string. Zero-initialise; release with kds_text_clear. An allocation failure is
 * remembered in `failed` and makes later calls do nothing, so that only the end needs a check. */
typedef struct kds_text {
    char *bytes; /* NULL while empty */
    size_t size; /* without the terminator */
    size_t capacity;
    bool failed;
} kds_text;

void kds_text_add(kds_text *text, const char *string);
void kds_text_add_bytes(kds_text *text, const char *bytes, size_t n_bytes);
void kds_text_addf(kds_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kds_text_add_json(kds_text *text, const char *string); /* quoted and escaped */
void kds_text_add_number(kds_text *text, double value);     /* shortest form that reads back to the same double */
/* Words of `string`, broken at column 80 (a longer word stands alone), each line after the first indented by `indent`; then
 * a newline. `column`: where the first line begins. */
void kds_text_add_wrapped(kds_text *text, const char *string, size_t indent, size_t column);
const char *kds_text_string(const kds_text *text); /* never NULL */
void kds_text_clear(kds_text *text);

enum { KDS_NUMBER_CHARS = 32 };
/* Shortest decimal that strtod reads back to the same double: "0.1", "100"; "1e-5" and "1e16" below 1e-4 and from 1e16 on;
 * "nan", "inf", "-inf". */
const char *kds_number_to_text(double value, char buffer[KDS_NUMBER_CHARS]);

/* The nearest of `words` (a NULL-terminated list) to `word` by edit distance, or NULL when none is near. */
const char *kds_nearest_word(const char *word, const char *const *words);

/* "1.5 GiB", "3 h 20 min" (or "0.088 ms"), "1,234,567": for people. */
const char *kds_bytes_to_text(double n_bytes, char buffer[KDS_NUMBER_CHARS]);
const char *kds_seconds_to_text(double seconds, char buffer[KDS_NUMBER_CHARS]);
const char *kds_count_to_text(long long n, char buffer[KDS_NUMBER_CHARS]);

/* Read a whole file into *bytes (kds_free it; one 0 byte is put behind the end). KDS_IO when it cannot be read. */
kds_status kds_file_read(const char *path, char **bytes, size_t *n_bytes, kds_error *err);

/* Write a whole file so that after a crash either the old or the new one is there: temporary name in the same folder,
 * fsync, rename, fsync of the folder. KDS_IO. */
kds_status kds_file_write_atomic(const char *path, const void *const *pieces, const size_t *sizes, int n_pieces,
                                 kds_error *err);

/* mkdir -p. KDS_IO. */
kds_status kds_folder_make(const char *path, kds_error *err);

#endif
