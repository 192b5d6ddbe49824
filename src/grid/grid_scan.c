/*
 * Grid-file text -> libconfig text. libconfig keeps the tree; what its scanner would refuse, misread or explain badly is dealt with here:
 *
 *   [1, 2, 4.5]        its arrays hold one kind of number only; lists, ( ), hold any: [ ] becomes ( )
 *   3000000000         becomes 3000000000L; libconfig 1.5 reads it with atoi, which wraps silently
 *   1e999              is refused; it would be infinity
 *   a.b = 1;           a dot is not part of its names, a star is: a*b = 1, and back again when the tree is read
 *   [1, 2,]            the last comma is dropped
 *   idx, 'idx'         text without double quotes: said so, instead of "syntax error"
 *   @include           refused: the results file holds the whole grid, and a piece elsewhere would be missing from it
 *
 * Brackets are matched and the order of things is checked here too: "syntax error" in the last line does not help to find what is
 * missing in the first, and libconfig 1.5 loses memory when it meets one. What is left for it to refuse are keys given twice.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grid_settings.h"
#include "kdsweep/grid.h"

enum { MAX_NUMBER_CHARS = 64, MAX_WORD_SHOWN = 60 };

typedef struct scan {
    const char *p, *end;
    int line;
    kds_text *out;
    report *problems;
    struct {
        char bracket;
        int line;
    } open[KDS_GRID_MAX_DEPTH];
    int depth;
    int n_settings;
    char
        before; /* what stood before, without blanks and comments: 'a' a key, '1' a value, '"' a text, or one of = { ( , ;
                         (';' at the start too) */
    size_t before_at; /* where it stands in `out` */
    const char *key;  /* the last key, for messages */
    int n_key;
} scan;

static char at(const scan *s, size_t offset)
{
    return (size_t)(s->end - s->p) > offset ? s->p[offset] : '\0';
}

static void copy(scan *s, size_t n_bytes)
{
    kds_text_add_bytes(s->out, s->p, n_bytes);
    s->p += n_bytes;
}

/* Remember what was just put out. */
static void mark(scan *s, char what)
{
    s->before = what;
    s->before_at = s->out->size - 1;
}

static bool is_value(char before)
{
    return before == '1' || before == '"';
}

static bool in_list(const scan *s)
{
    return s->depth > 0 && s->open[s->depth - 1].bracket != '{';
}

static bool expects_value(const scan *s)
{
    return s->before == '=' || in_list(s);
}

/* May a value stand here? If not, what is missing? */
static bool check_value(const scan *s)
{
    const char *missing = NULL;
    if (s->before == 'a') {
        missing = "a = is missing after this key";
    } else if (in_list(s) && is_value(s->before)) {
        missing = "a comma is missing between two values of this list";
    } else if (!expects_value(s)) {
        missing = "a value stands where a key is expected; several values are written in [ ]";
    }
    if (missing != NULL) {
        kds_report_add(s->problems, s->line, "%.*s: %s; allowed: key = value; key = [value, value]; key = { ... };",
                       s->n_key, s->key, missing);
    }
    return missing == NULL;
}

/* May a key, a separator or the end stand here, or is something begun and not finished? */
static bool check_complete(const scan *s, const char *what)
{
    const bool complete = s->before != 'a' && s->before != '=';
    if (!complete) {
        kds_report_add(s->problems, s->line, "%.*s: %s missing before %s; allowed: key = value;", s->n_key, s->key,
                       s->before == 'a' ? "= and a value are" : "a value is", what);
    }
    return complete;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* ---- comments and strings ------------------------------------------------------------------------------------------ */

static void skip_line_comment(scan *s)
{
    while (s->p < s->end && *s->p != '\n') {
        s->p++;
    }
}

static bool skip_block_comment(scan *s)
{
    const int first = s->line;
    s->p += 2;
    while (s->p < s->end && !(s->p[0] == '*' && at(s, 1) == '/')) {
        if (*s->p == '\n') {
            s->line++;
            kds_text_add(s->out, "\n");
        }
        s->p++;
    }
    if (s->p >= s->end) {
        kds_report_add(s->problems, first, "this comment is never closed; allowed: /* ... */");
        return false;
    }
    s->p += 2;
    kds_text_add(s->out, " ");
    return true;
}

static bool scan_string(scan *s)
{
    size_t n = 1;
    if (s->before != '"' && !check_value(s)) { /* two texts in a row are one */
        return false;
    }
    for (; at(s, n) != '"'; n++) {
        const char c = at(s, n);
        if (c == '\n' || s->p + n >= s->end) {
            kds_report_add(s->problems, s->line, "this text is not closed; allowed: \"...\" on one line");
            return false;
        }
        if (c == '\\') {
            n++;
            if (at(s, n) == '\n') {
                continue; /* told as not closed */
            }
            if (tolower((unsigned char)at(s, n)) == 'x' && at(s, n + 1) == '0' && at(s, n + 2) == '0') {
                kds_report_add(s->problems, s->line, "a text cannot hold a zero byte");
                return false;
            }
        }
    }
    copy(s, n + 1);
    mark(s, '"');
    return true;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

typedef enum number_kind { NUMBER_NONE, NUMBER_INTEGER, NUMBER_HEX, NUMBER_REAL } number_kind;

static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p)) {
        p++;
    }
    return p;
}

static number_kind kind_of_number(const char *word)
{
    const char *p = word + (word[0] == '+' || word[0] == '-');
    if (p == word && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        const char *first = p += 2;
        while (isxdigit((unsigned char)*p)) {
            p++;
        }
        const bool any = p > first;
        p += *p == 'L';
        p += *p == 'L';
        return any && *p == '\0' ? NUMBER_HEX : NUMBER_NONE;
    }
    const char *first = p;
    p = skip_digits(p);
    const bool whole = p > first;
    if (whole && (*p == '\0' || *p == 'L')) {
        p += *p == 'L';
        p += *p == 'L';
        return *p == '\0' ? NUMBER_INTEGER : NUMBER_NONE;
    }
    bool fraction = false;
    if (*p == '.') {
        const char *after = skip_digits(p + 1);
        fraction = after > p + 1;
        p = after;
    }
    if (!whole && !fraction) {
        return NUMBER_NONE;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        const char *exponent = p;
        p = skip_digits(p);
        if (p == exponent) {
            return NUMBER_NONE;
        }
    }
    return *p == '\0' ? NUMBER_REAL : NUMBER_NONE;
}

bool kds_scan_is_number(const char *word)
{
    return kind_of_number(word) != NUMBER_NONE;
}

static bool scan_number(scan *s)
{
    char word[MAX_NUMBER_CHARS + 1];
    size_t n = 0;
    for (; n < MAX_NUMBER_CHARS; n++) {
        const char c = at(s, n);
        const bool sign = c == '+' || c == '-';
        if (!(is_word(c) || c == '.' || sign) || (sign && n > 0 && tolower((unsigned char)word[n - 1]) != 'e')) {
            break;
        }
        word[n] = c;
    }
    word[n] = '\0';
    if (!check_value(s)) {
        return false;
    }
    const number_kind kind = n < MAX_NUMBER_CHARS ? kind_of_number(word) : NUMBER_NONE;
    errno = 0;
    switch (kind) {
    case NUMBER_NONE:
        kds_report_add(s->problems, s->line, "%s is not a number; allowed: 3, -1, 0.5, 1e-4, and text in double quotes",
                       word);
        return false;
    case NUMBER_REAL:
        if (!isfinite(strtod(word, NULL))) {
            kds_report_add(s->problems, s->line, "%s is too large for a number", word);
            return false;
        }
        kds_text_add(s->out, word);
        break;
    case NUMBER_INTEGER:
    case NUMBER_HEX: {
        char *rest = NULL;
        const long long value = strtoll(word, &rest, kind == NUMBER_HEX ? 16 : 10);
        if (errno != ERANGE) {
            kds_text_addf(s->out, "%lldL", value);
        } else if (kind == NUMBER_INTEGER) {
            *rest = '\0';
            kds_text_addf(s->out, "%s.0", word); /* beyond every whole-number key; a number key may take it */
        } else {
            kds_report_add(s->problems, s->line, "%s is too large for a number", word);
            return false;
        }
        break;
    }
    }
    s->p += n;
    mark(s, '1');
    return true;
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

static bool is_bool(const char *word, size_t n)
{
    static const char *const words[] = {"true", "false"};
    for (int i = 0; i < 2; i++) {
        size_t j = 0;
        while (j < n && words[i][j] != '\0' && tolower((unsigned char)word[j]) == words[i][j]) {
            j++;
        }
        if (j == n && words[i][j] == '\0') {
            return true;
        }
    }
    return false;
}

static bool scan_word(scan *s)
{
    size_t n = 1;
    while (is_word(at(s, n)) || (at(s, n) == '.' && isalpha((unsigned char)at(s, n + 1)))) {
        n++;
    }
    if (!expects_value(s)) {
        if (!check_complete(s, "the next key")) {
            return false;
        }
        s->key = s->p;
        s->n_key = n < MAX_WORD_SHOWN ? (int)n : MAX_WORD_SHOWN;
        for (size_t i = 0; i < n; i++) {
            const char c = s->p[i] == '.' ? '*' : s->p[i];
            kds_text_add_bytes(s->out, &c, 1);
        }
        s->p += n;
        mark(s, 'a');
        return true;
    }
    if (!check_value(s)) {
        return false;
    }
    if (is_bool(s->p, n)) {
        copy(s, n);
        mark(s, '1');
        return true;
    }
    /* The whole word as the user means it, with what a model name or a path may hold. */
    while (is_word(at(s, n)) || (at(s, n) != '\0' && strchr(":/.+", at(s, n)) != NULL)) {
        n++;
    }
    const int shown = n < MAX_WORD_SHOWN ? (int)n : MAX_WORD_SHOWN;
    kds_report_add(s->problems, s->line, "%.*s = %.*s: text needs double quotes; allowed: \"%.*s\"", s->n_key, s->key,
                   shown, s->p, shown, s->p);
    return false;
}

/* ---- brackets and the rest ----------------------------------------------------------------------------------------- */

static bool scan_open(scan *s)
{
    if (!check_value(s)) {
        return false;
    }
    if (s->depth == KDS_GRID_MAX_DEPTH) {
        kds_report_add(s->problems, s->line, "brackets within brackets, more than %d deep", KDS_GRID_MAX_DEPTH);
        return false;
    }
    s->open[s->depth].bracket = *s->p;
    s->open[s->depth].line = s->line;
    s->depth++;
    const char bracket = *s->p == '{' ? '{' : '(';
    kds_text_add_bytes(s->out, &bracket, 1);
    s->p++;
    mark(s, bracket);
    return true;
}

static bool scan_close(scan *s)
{
    const char c = *s->p;
    const char partner = c == '}' ? '{' : c == ']' ? '[' : '(';
    if (s->depth == 0) {
        kds_report_add(s->problems, s->line, "this %c closes nothing", c);
        return false;
    }
    s->depth--;
    if (s->open[s->depth].bracket != partner) {
        kds_report_add(s->problems, s->line, "this %c closes the %c of line %d; allowed: %c ... %c", c,
                       s->open[s->depth].bracket, s->open[s->depth].line, partner, c);
        return false;
    }
    if (!check_complete(s, "the closing bracket")) {
        return false;
    }
    if (s->before == ',' && !s->out->failed) {
        s->out->bytes[s->before_at] = ' ';
    }
    kds_text_add(s->out, c == '}' ? "}" : ")");
    s->p++;
    mark(s, '1');
    return true;
}

static bool scan_assign(scan *s)
{
    if (s->before != 'a') {
        kds_report_add(s->problems, s->line, "this %c stands behind no key; allowed: key = value;", *s->p);
        return false;
    }
    if (++s->n_settings > KDS_GRID_MAX_SETTINGS) {
        kds_report_add(s->problems, s->line, "more than %d settings: this is no grid file", KDS_GRID_MAX_SETTINGS);
        return false;
    }
    copy(s, 1);
    mark(s, '=');
    return true;
}

/* A comma in a list; a comma or a semicolon behind a setting. */
static bool scan_separator(scan *s)
{
    const char c = *s->p;
    if (!check_complete(s, c == ',' ? "the comma" : "the semicolon")) {
        return false;
    }
    if (in_list(s) && (c == ';' || !is_value(s->before))) {
        kds_report_add(s->problems, s->line, "%.*s: this %c stands in a list; allowed: [value, value]", s->n_key,
                       s->key, c);
        return false;
    }
    if (!is_value(s->before)) {
        s->p++; /* doubled by accident, or behind an opening bracket: means nothing */
        return true;
    }
    copy(s, 1);
    mark(s, c);
    return true;
}

static bool scan_other(scan *s)
{
    const char c = *s->p;
    if (c == '@') {
        kds_report_add(s->problems, s->line,
                       "@include is not allowed: the results file holds the whole grid; copy the text in its place");
        return false;
    }
    if (c == '\'' || (unsigned char)c == 0xE2) { /* E2 80 98 .. 9E: the quotes of word processors */
        kds_report_add(s->problems, s->line, "text is put in plain double quotes; allowed: \"...\"");
        return false;
    }
    if (strchr("=:;,", c) == NULL) {
        if (isprint((unsigned char)c)) {
            kds_report_add(s->problems, s->line, "unexpected %c; allowed: key = value; with text in double quotes", c);
        } else {
            kds_report_add(s->problems, s->line,
                           "unexpected byte 0x%02x; allowed: key = value; with text in double quotes",
                           (unsigned)(unsigned char)c);
        }
        return false;
    }
    return c == '=' || c == ':' ? scan_assign(s) : scan_separator(s);
}

static bool scan_next(scan *s)
{
    const char c = *s->p;
    if (c == '\n') {
        s->line++;
        copy(s, 1);
        return true;
    }
    if (isspace((unsigned char)c)) { /* form feeds and returns too, which libconfig does not know */
        kds_text_add(s->out, " ");
        s->p++;
        return true;
    }
    if (c == '#' || (c == '/' && at(s, 1) == '/')) {
        skip_line_comment(s);
        return true;
    }
    if (c == '/' && at(s, 1) == '*') {
        return skip_block_comment(s);
    }
    if (c == '"') {
        return scan_string(s);
    }
    if (isalpha((unsigned char)c)) {
        return scan_word(s);
    }
    if (isdigit((unsigned char)c) || c == '+' || c == '-' || c == '.') {
        return scan_number(s);
    }
    if (c == '{' || c == '[' || c == '(') {
        return scan_open(s);
    }
    if (c == '}' || c == ']' || c == ')') {
        return scan_close(s);
    }
    return scan_other(s);
}

bool kds_scan_text(const char *bytes, size_t n_bytes, kds_text *out, report *problems)
{
    scan s = {
        .p = bytes, .end = bytes + n_bytes, .line = 1, .out = out, .problems = problems, .key = "", .before = ';'};
    if (n_bytes >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        s.p += 3; /* the byte-order mark that some editors put in front of UTF-8 */
    }
    while (s.p < s.end) {
        if (!scan_next(&s)) {
            return false;
        }
    }
    if (s.depth > 0) {
        kds_report_add(problems, s.open[s.depth - 1].line, "this %c is never closed", s.open[s.depth - 1].bracket);
        return false;
    }
    return check_complete(&s, "the end");
}
