/*
 * Inside grid: a grid file as a flat list of settings, before anything is known of keys; and the list of problems.
 */
#ifndef KDSWEEP_GRID_SETTINGS_H
#define KDSWEEP_GRID_SETTINGS_H

#include <stdint.h>

#include "kdsweep/status.h"
#include "kdsweep/text.h"

/* ---- memory that is released all at once --------------------------------------------------------------------------- */

/* Zero-initialise; release with pool_clear. */
typedef struct pool {
    struct pool_block *blocks;
} pool;

void *kds_pool_take(pool *memory, size_t n_items, size_t item_size, kds_error *err); /* zeroed; NULL with a record */
void kds_pool_clear(pool *memory);

/* ---- problems: all of them are told at once ------------------------------------------------------------------------ */

typedef struct report {
    const char *file;
    const char *assignment; /* while one of --set is read: it is named instead of file and line */
    kds_text lines;         /* one problem, one line */
    int n_problems;
} report;

/* Lines count from 1. */
enum { LINE_OF_OVERRIDE = 0, LINE_OF_FILE = -1 };

/* Add "file:line: ...", "--set: ..." (LINE_OF_OVERRIDE) or "file: ..." (LINE_OF_FILE). */
void kds_report_add(report *problems, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- settings ------------------------------------------------------------------------------------------------------ */

typedef enum item_kind { ITEM_BOOL, ITEM_INT, ITEM_NUMBER, ITEM_TEXT, ITEM_OTHER } item_kind;

/* One scalar of the file; ITEM_OTHER is a group or a list within a list. */
typedef struct item {
    item_kind kind;
    int64_t integer; /* ITEM_BOOL, ITEM_INT */
    double number;   /* ITEM_NUMBER: finite */
    const char *text;
} item;

typedef enum setting_kind { SETTING_SCALAR, SETTING_LIST, SETTING_GROUP } setting_kind;

typedef struct setting {
    const char *path; /* "student.temperature" */
    setting_kind kind;
    int n_items; /* 1 for a scalar, 0 for a group: its members are settings of their own, behind it */
    item *items;
    int line;
} setting;

typedef struct settings {
    setting *items;
    int n_items;
    int capacity;
    pool memory;
} settings;

/* Append the settings of a file. Syntax errors go to `problems`; KDS_OK then too, and nothing is appended. KDS_MEMORY. */
kds_status kds_settings_read(settings *list, const char *bytes, size_t n_bytes, report *problems, kds_error *err);

/* Apply one "path = value" of --set: it replaces a setting of the same path. */
kds_status kds_settings_override(settings *list, const char *assignment, report *problems, kds_error *err);

void kds_settings_clear(settings *list);

/* The value as the user wrote it, more or less, cut where it gets long: for messages. */
void kds_item_to_text(const item *value, kds_text *out);

/* ---- inside settings ------------------------------------------------------------------------------------------------ */

/* Rewrite grid-file text as libconfig 1.5 reads it (see grid_scan.c), line for line. False when problems were found. */
bool kds_scan_text(const char *bytes, size_t n_bytes, kds_text *out, report *problems);

/* Is this word a number as a grid file may hold it? */
bool kds_scan_is_number(const char *word);

#endif
