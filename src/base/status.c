/*
 * The error record. Messages are formatted once, where the failure is seen; a message that does not fit is cut.
 */
#include "kdsweep/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
    const char *words;
} table[KDS_N_STATUS] = {
#define X(name, exit_code, words) {#name, exit_code, words},
    KDS_STATUS_LIST(X)
#undef X
};

static void copy_cut(char *to, size_t size, const char *from)
{
    const size_t length = strlen(from);
    const size_t n = length < size ? length : size - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

/* Start a record when `err` is there and still free; says whether the caller shall format into it. */
static bool open_record(kds_error *err, kds_status status, const char *hint)
{
    if (err == NULL || err->status != KDS_OK) {
        return false;
    }
    err->status = status;
    copy_cut(err->hint, sizeof err->hint, hint != NULL ? hint : "");
    return true;
}

kds_status kds_error_set(kds_error *err, kds_status status, const char *hint, const char *format, ...)
{
    KDS_ASSERT(status != KDS_OK);
    if (open_record(err, status, hint)) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

kds_status kds_error_set_errno(kds_error *err, kds_status status, int errno_value, const char *hint, const char *format,
                               ...)
{
    KDS_ASSERT(status != KDS_OK);
    if (open_record(err, status, hint)) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
        char words[128] = "";
        if (strerror_r(errno_value, words, sizeof words) != 0) {
            snprintf(words, sizeof words, "error %d", errno_value);
        }
        const size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": %s", words);
    }
    return status;
}

void kds_error_clear(kds_error *err)
{
    if (err != NULL) {
        err->status = KDS_OK;
        err->message[0] = '\0';
        err->hint[0] = '\0';
    }
}

static bool is_known(kds_status status)
{
    return (int)status >= 0 && status < KDS_N_STATUS;
}

const char *kds_status_name(kds_status status)
{
    return is_known(status) ? table[status].name : "UNKNOWN";
}

const char *kds_status_words(kds_status status)
{
    return is_known(status) ? table[status].words : "an unknown status";
}

int kds_status_exit_code(kds_status status)
{
    return is_known(status) ? table[status].exit_code : table[KDS_INTERNAL].exit_code;
}

/* abort() and not exit(): a core file of the place is worth more than tidy buffers, and under MPI the launcher sees the
 * signal and ends the other ranks. */
_Noreturn void kds_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "kdsweep: bug: %s:%d: \"%s\" does not hold. Please report it.\n", file, line, condition);
    fflush(stderr);
    abort();
}
