/*
 * Messages to stderr. Only the rank that was told to speaks (rank 0); a warning of another rank travels to it in a
 * result. KDS_LOG_QUIET lets errors and warnings through.
 */
#ifndef KDSWEEP_LOG_H
#define KDSWEEP_LOG_H

#include "kdsweep/status.h"

typedef enum kds_log_level { KDS_LOG_QUIET, KDS_LOG_NORMAL, KDS_LOG_VERBOSE } kds_log_level;

/* Where messages go. Caller's storage, passed down by pointer; NULL is silent. */
typedef struct kds_log {
    kds_log_level level;
    bool speaks;                   /* false on ranks other than 0 */
    bool colour;                   /* stderr is a terminal and NO_COLOR is not set */
    void (*before)(void *context); /* called before a line is written, to take a live progress line away; or NULL */
    void *context;
} kds_log;

void kds_log_error(const kds_log *log, const kds_error *err); /* "kdsweep: error: message" and "  hint: ..." */
void kds_log_warning(const kds_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kds_log_note(const kds_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kds_log_verbose(const kds_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
