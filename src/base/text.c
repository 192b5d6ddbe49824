/*
 * Strings, and numbers as text. The program never calls setlocale, so the decimal point is a point.
 */
#include "kdsweep/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n_more bytes and the terminator. Capacity doubles, so that n additions cost n bytes of copying, not n^2. */
static bool reserve(kds_text *text, size_t n_more)
{
    if (text->failed) {
        return false;
    }
    if (n_more >= SIZE_MAX / 2 - text->size) {
        text->failed = true;
        return false;
    }
    const size_t needed = text->size + n_more + 1;
    if (needed > text->capacity) {
        size_t capacity = text->capacity < 64 ? 64 : text->capacity;
        while (capacity < needed) {
            capacity *= 2;
        }
        char *bytes = realloc(text->bytes, capacity);
        if (bytes == NULL) {
            text->failed = true;
            return false;
        }
        text->bytes = bytes;
        text->capacity = capacity;
    }
    return true;
}

void kds_text_add_bytes(kds_text *text, const char *bytes, size_t n_bytes)
{
    if (reserve(text, n_bytes)) {
        if (n_bytes > 0) {
            memcpy(text->bytes + text->size, bytes, n_bytes);
        }
        text->size += n_bytes;
        text->bytes[text->size] = '\0';
    }
}

void kds_text_add(kds_text *text, const char *string)
{
    kds_text_add_bytes(text, string, strlen(string));
}

void kds_text_addf(kds_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (n < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)n)) {
        vsnprintf(text->bytes + text->size, (size_t)n + 1, format, again);
        text->size += (size_t)n;
    }
    va_end(again);
}

void kds_text_add_wrapped(kds_text *text, const char *string, size_t indent, size_t column)
{
    enum { WIDTH = 80 };
    for (const char *p = string; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        if (column + n > WIDTH) {
            kds_text_addf(text, "\n%*s", (int)indent, "");
            column = indent;
        }
        kds_text_add_bytes(text, p, n);
        p += n;
        column += n;
        if (*p == ' ') {
            p++;
            if (*p != '\0' && column < WIDTH) {
                kds_text_add(text, column + 1 + strcspn(p, " ") > WIDTH ? "" : " ");
                column++;
            }
        }
    }
    kds_text_add(text, "\n");
}

void kds_text_add_json(kds_text *text, const char *string)
{
    kds_text_add(text, "\"");
    for (const char *p = string; *p != '\0'; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            kds_text_addf(text, "\\%c", c);
        } else if (c == '\n') {
            kds_text_add(text, "\\n");
        } else if (c == '\t') {
            kds_text_add(text, "\\t");
        } else if (c == '\r') {
            kds_text_add(text, "\\r");
        } else if (c < 0x20 || c == 0x7F) {
            kds_text_addf(text, "\\u%04x", (unsigned)c);
        } else {
            kds_text_add_bytes(text, p, 1);
        }
    }
    kds_text_add(text, "\"");
}

void kds_text_add_number(kds_text *text, double value)
{
    char buffer[KDS_NUMBER_CHARS];
    kds_text_add(text, kds_number_to_text(value, buffer));
}

const char *kds_text_string(const kds_text *text)
{
    return text->bytes != NULL ? text->bytes : "";
}

void kds_text_clear(kds_text *text)
{
    if (text != NULL) {
        free(text->bytes);
        *text = (kds_text){0};
    }
}

/* The fewest significant digits that read back, as digits and a decimal exponent: |value| = d.ddd * 10^exponent. 17 are
 * always enough for a double. */
static int shortest_digits(double value, char digits[24], int *exponent)
{
    const int saved = errno; /* strtod sets it for a denormal number that it reads perfectly well */
    int n_digits = 1;
    for (; n_digits <= 17; n_digits++) {
        char text[KDS_NUMBER_CHARS];
        snprintf(text, sizeof text, "%.*e", n_digits - 1, value);
        if (n_digits == 17 || strtod(text, NULL) == value) {
            int n = 0;
            const char *p = text;
            for (; *p != 'e'; p++) {
                if (isdigit((unsigned char)*p)) {
                    digits[n++] = *p;
                }
            }
            digits[n] = '\0';
            *exponent = (int)strtol(p + 1, NULL, 10);
            break;
        }
    }
    errno = saved;
    return n_digits;
}

const char *kds_number_to_text(double value, char buffer[KDS_NUMBER_CHARS])
{
    const char *sign = signbit(value) ? "-" : "";
    if (isnan(value)) {
        snprintf(buffer, KDS_NUMBER_CHARS, "nan");
    } else if (isinf(value)) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%sinf", sign);
    } else if (value == 0.0) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s0", sign);
    } else {
        char digits[24];
        int exponent = 0;
        const int n = shortest_digits(fabs(value), digits, &exponent);
        if (exponent < -4 || exponent >= 16) {
            snprintf(buffer, KDS_NUMBER_CHARS, "%s%c%s%.17se%d", sign, digits[0], n > 1 ? "." : "", digits + 1,
                     exponent);
        } else {
            /* At most a sign, "0.000" and 17 digits, or a sign, 17 digits and a point. */
            int used = snprintf(buffer, KDS_NUMBER_CHARS, "%s", sign);
            const int first = exponent < 0 ? exponent : 0;
            const int last = exponent > n - 1 ? exponent : n - 1;
            for (int i = first; i <= last; i++) {
                if (i == exponent + 1) {
                    buffer[used++] = '.';
                }
                buffer[used++] = i >= 0 && i < n ? digits[i] : '0';
            }
            buffer[used] = '\0';
        }
    }
    return buffer;
}

enum { MAX_WORD = 63 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Edit distance with neighbours changing places counted as one (optimal string alignment), blind to case. */
static int edit_distance(const char *a, int n_a, const char *b, int n_b)
{
    int rows[3][MAX_WORD + 1]; /* the row before the last, the last, this one: rows[i % 3] */
    for (int j = 0; j <= n_b; j++) {
        rows[0][j] = j;
    }
    for (int i = 1; i <= n_a; i++) {
        int *now = rows[i % 3];
        const int *before = rows[(i + 2) % 3];
        const int *before_that = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= n_b; j++) {
            const int x = tolower((unsigned char)a[i - 1]);
            const int y = tolower((unsigned char)b[j - 1]);
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2])) {
                now[j] = least(now[j], before_that[j - 2] + 1);
            }
        }
    }
    return rows[n_a % 3][n_b];
}

const char *kds_nearest_word(const char *word, const char *const *words)
{
    const size_t n_word = strlen(word);
    if (n_word > MAX_WORD) {
        return NULL;
    }
    const char *nearest = NULL;
    int distance = (int)n_word / 3 + 2; /* near: up to one edit and one more for every three letters */
    for (size_t i = 0; words[i] != NULL; i++) {
        const size_t n_known = strlen(words[i]);
        if (n_known > MAX_WORD) {
            continue;
        }
        const int d = edit_distance(word, (int)n_word, words[i], (int)n_known);
        /* A word of which nothing is left is not near, however short it is. */
        if (d < distance && d < (int)n_known && d < (int)n_word) {
            distance = d;
            nearest = words[i];
        }
    }
    return nearest;
}

const char *kds_bytes_to_text(double n_bytes, char buffer[KDS_NUMBER_CHARS])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t i_unit = 0;
    /* 1023.95, not 1024: what would be shown as 1024.0 belongs to the next unit. */
    while (fabs(n_bytes) >= (i_unit == 0 ? 1023.5 : 1023.95) && i_unit + 1 < sizeof units / sizeof units[0]) {
        n_bytes /= 1024.0;
        i_unit++;
    }
    if (isfinite(n_bytes) && fabs(n_bytes) < 1e12) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%.*f %s", i_unit == 0 ? 0 : 1, n_bytes, units[i_unit]);
    } else {
        snprintf(buffer, KDS_NUMBER_CHARS, "%g B", n_bytes);
    }
    return buffer;
}

const char *kds_seconds_to_text(double seconds, char buffer[KDS_NUMBER_CHARS])
{
    if (!isfinite(seconds) || fabs(seconds) > 1e15) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%g s", seconds);
        return buffer;
    }
    const char *sign = seconds < 0.0 ? "-" : "";
    const double size = fabs(seconds);
    const long long s = llround(size);
    if (size > 0 && size < 0.01) { /* never 8.8e-05 s */
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%.*f ms", sign, size < 1e-4 ? 3 : size < 1e-3 ? 2 : 1, 1e3 * size);
    } else if (size < 1.0) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%.3g s", sign, size);
    } else if (size < 9.95) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%.1f s", sign, size);
    } else if (s < 60) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%lld s", sign, s);
    } else if (s < 3600) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%lld min %lld s", sign, s / 60, s % 60);
    } else if (s < 48 * 3600) {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%lld h %lld min", sign, s / 3600, s % 3600 / 60);
    } else {
        snprintf(buffer, KDS_NUMBER_CHARS, "%s%lld d %lld h", sign, s / 86400, s % 86400 / 3600);
    }
    return buffer;
}

const char *kds_count_to_text(long long n, char buffer[KDS_NUMBER_CHARS])
{
    char digits[24];
    /* Unsigned, because the smallest long long has no opposite. */
    const int n_digits = snprintf(digits, sizeof digits, "%llu",
                                  n < 0 ? 0ull - (unsigned long long)n : (unsigned long long)n);
    int used = 0;
    if (n < 0) {
        buffer[used++] = '-';
    }
    for (int i = 0; i < n_digits; i++) {
        if (i > 0 && (n_digits - i) % 3 == 0) {
            buffer[used++] = ',';
        }
        buffer[used++] = digits[i];
    }
    buffer[used] = '\0';
    return buffer;
}
