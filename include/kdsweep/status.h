/*
 * Status codes and the error record: how a failure travels from where it is seen to where it is told.
 *
 * Three kinds of trouble are kept apart. A bug of ours stops at KDS_ASSERT. Bad input, I/O and memory come back as
 * a kds_status with a kds_error that says what was wrong and what to do. A trial that diverges is a result, not an
 * error. Only the app module ends the process.
 */
#ifndef KDSWEEP_STATUS_H
#define KDSWEEP_STATUS_H

#include <stdbool.h>
#include <stddef.h>

/* The one list of status codes: name, exit code of the process when the status reaches main, words. */
#define KDS_STATUS_LIST(X)                                          \
    X(OK, 0, "ok")                                                  \
    X(USAGE, 1, "wrong use of the command line")                    \
    X(GRID, 2, "the grid was rejected")                             \
    X(DATA, 3, "the data cannot be used")                           \
    X(IO, 3, "input or output failed")                              \
    X(FORMAT, 3, "a file is not what it should be")                 \
    X(CONFLICT, 3, "somebody else holds it, or it does not belong") \
    X(MEMORY, 5, "out of memory")                                   \
    X(DIVERGED, 4, "a trial diverged")                              \
    X(STOPPED, 75, "stopped before the end")                        \
    X(UNSUPPORTED, 1, "not in this build or on this machine")       \
    X(INTERNAL, 5, "a bug in kdsweep")

typedef enum kds_status {
#define X(name, exit_code, words) KDS_##name,
    KDS_STATUS_LIST(X)
#undef X
        KDS_N_STATUS
} kds_status;

/* What went wrong. Caller's storage; KDS_ERROR_INIT before first use. The first failure wins: a later one, met while
 * cleaning up, does not overwrite it. */
typedef struct kds_error {
    kds_status status;
    char message[1024]; /* one sentence: what, with the offending value and place */
    char hint[512];     /* what to do about it; may be empty */
} kds_error;

#define KDS_ERROR_INIT \
    {                  \
        KDS_OK, "", "" \
    }

/* Record a failure and return its status. `hint` may be NULL. `err` may be NULL: then only the status survives. */
kds_status kds_error_set(kds_error *err, kds_status status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with ": <strerror(errno_value)>" behind the message. */
kds_status kds_error_set_errno(kds_error *err, kds_status status, int errno_value, const char *hint, const char *format,
                               ...) __attribute__((format(printf, 5, 6)));

/* Forget a failure that has been dealt with. */
void kds_error_clear(kds_error *err);

const char *kds_status_name(kds_status status);  /* "GRID" */
const char *kds_status_words(kds_status status); /* "the grid was rejected" */
int kds_status_exit_code(kds_status status);

/* One exit per function: KDS_TRY(f(..., err)); ... out: release everything; return status;
 * Needs a local `kds_status status` and a label `out`. */
#define KDS_TRY(call)           \
    do {                        \
        status = (call);        \
        if (status != KDS_OK) { \
            goto out;           \
        }                       \
    } while (0)

/* Fail with a record and leave through `out`. */
#define KDS_FAIL(...)                        \
    do {                                     \
        status = kds_error_set(__VA_ARGS__); \
        goto out;                            \
    } while (0)

/* A condition that only a bug of ours can break. Stays on in release builds. */
#define KDS_ASSERT(condition) ((condition) ? (void)0 : kds_assert_failed(#condition, __FILE__, __LINE__))
/* A place that only a bug of ours can reach; `what` says which. */
#define KDS_UNREACHABLE(what) kds_assert_failed(what, __FILE__, __LINE__)
_Noreturn void kds_assert_failed(const char *condition, const char *file, int line);

#endif
