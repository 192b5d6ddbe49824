/*
 * One message is one write to stderr, so that lines of several processes do not mix.
 */
#include "kdsweep/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "kdsweep/text.h"

static const char RED[] = "\033[1;31m";
static const char YELLOW[] = "\033[1;33m";
static const char PLAIN[] = "\033[0m";

static void begin(const kds_log *log, kds_text *line, const char *colour, const char *kind)
{
    kds_text_add(line, "kdsweep: ");
    if (kind[0] != '\0') {
        kds_text_addf(line, "%s%s%s: ", log->colour ? colour : "", kind, log->colour ? PLAIN : "");
    }
}

static void end(const kds_log *log, kds_text *line)
{
    kds_text_add(line, "\n");
    if (log->before != NULL) {
        log->before(log->context);
    }
    if (!line->failed) {
        fwrite(line->bytes, 1, line->size, stderr);
        fflush(stderr);
    }
    kds_text_clear(line);
}

static void message(const kds_log *log, const char *colour, const char *kind, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

static void message(const kds_log *log, const char *colour, const char *kind, const char *format, va_list arguments)
{
    char words[2048];
    vsnprintf(words, sizeof words, format, arguments);
    kds_text line = {0};
    begin(log, &line, colour, kind);
    kds_text_add(&line, words);
    end(log, &line);
}

static bool shall_speak(const kds_log *log, kds_log_level least)
{
    return log != NULL && log->speaks && log->level >= least;
}

void kds_log_error(const kds_log *log, const kds_error *err)
{
    if (!shall_speak(log, KDS_LOG_QUIET)) {
        return;
    }
    kds_text line = {0};
    begin(log, &line, RED, "error");
    kds_text_add(&line, err->message[0] != '\0' ? err->message : kds_status_words(err->status));
    if (err->hint[0] != '\0') {
        kds_text_addf(&line, "\n  hint: %s", err->hint);
    }
    end(log, &line);
}

void kds_log_warning(const kds_log *log, const char *format, ...)
{
    if (shall_speak(log, KDS_LOG_QUIET)) {
        va_list arguments;
        va_start(arguments, format);
        message(log, YELLOW, "warning", format, arguments);
        va_end(arguments);
    }
}

void kds_log_note(const kds_log *log, const char *format, ...)
{
    if (shall_speak(log, KDS_LOG_NORMAL)) {
        va_list arguments;
        va_start(arguments, format);
        message(log, "", "", format, arguments);
        va_end(arguments);
    }
}

void kds_log_verbose(const kds_log *log, const char *format, ...)
{
    if (shall_speak(log, KDS_LOG_VERBOSE)) {
        va_list arguments;
        va_start(arguments, format);
        message(log, "", "", format, arguments);
        va_end(arguments);
    }
}
