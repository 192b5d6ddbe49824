/*
 * libconfig's tree -> flat settings. The only file that includes libconfig.h.
 */
#include "grid_settings.h"

#include <ctype.h>
#include <libconfig.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kdsweep/grid.h"

enum { MAX_TEXT_SHOWN = 60, MAX_PATH_CHARS = 1024 };

/* ---- pool ---------------------------------------------------------------------------------------------------------- */

struct pool_block {
    struct pool_block *next;
    max_align_t bytes[];
};

void *kds_pool_take(pool *memory, size_t n_items, size_t item_size, kds_error *err)
{
    const size_t room = SIZE_MAX / 2 - sizeof(struct pool_block);
    struct pool_block *block = NULL;
    if (item_size == 0 || n_items <= room / item_size) {
        block = calloc(1, sizeof *block + n_items * item_size);
    }
    if (block == NULL) {
        kds_error_set(err, KDS_MEMORY, NULL, "no memory for %zu items of %zu bytes of the grid", n_items, item_size);
        return NULL;
    }
    block->next = memory->blocks;
    memory->blocks = block;
    return block->bytes;
}

void kds_pool_clear(pool *memory)
{
    while (memory->blocks != NULL) {
        struct pool_block *next = memory->blocks->next;
        free(memory->blocks);
        memory->blocks = next;
    }
}

/* ---- report -------------------------------------------------------------------------------------------------------- */

void kds_report_add(report *problems, int line, const char *format, ...)
{
    if (problems->assignment != NULL) {
        kds_text_addf(&problems->lines, "--set %.60s: ", problems->assignment);
    } else if (line > 0) {
        kds_text_addf(&problems->lines, "%s:%d: ", problems->file, line);
    } else {
        kds_text_addf(&problems->lines, "%s: ", line == LINE_OF_OVERRIDE ? "--set" : problems->file);
    }
    char words[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    kds_text_add(&problems->lines, words);
    kds_text_add(&problems->lines, "\n");
    problems->n_problems++;
}

/* ---- tree to settings ---------------------------------------------------------------------------------------------- */

static kds_status add_setting(settings *list, const char *path, setting_kind kind, int n_items, int line, setting **out,
                              kds_error *err)
{
    kds_status status = KDS_OK;
    if (list->n_items == list->capacity) {
        const int capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        setting *more = kds_pool_take(&list->memory, (size_t)capacity, sizeof *more, err);
        if (more == NULL) {
            status = KDS_MEMORY;
            goto out;
        }
        if (list->n_items > 0) {
            memcpy(more, list->items, (size_t)list->n_items * sizeof *more);
        }
        list->items = more;
        list->capacity = capacity;
    }
    char *own_path = kds_pool_take(&list->memory, strlen(path) + 1, 1, err);
    item *items = kds_pool_take(&list->memory, (size_t)n_items, sizeof *items, err);
    if (own_path == NULL || items == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    memcpy(own_path, path, strlen(path));
    *out = &list->items[list->n_items++];
    **out = (setting){.path = own_path, .kind = kind, .n_items = n_items, .items = items, .line = line};
out:
    return status;
}

static kds_status read_item(settings *list, const config_setting_t *node, item *out, kds_error *err)
{
    kds_status status = KDS_OK;
    switch (config_setting_type(node)) {
    case CONFIG_TYPE_BOOL:
        *out = (item){.kind = ITEM_BOOL, .integer = config_setting_get_bool(node) != 0};
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        *out = (item){.kind = ITEM_INT, .integer = config_setting_get_int64(node)};
        break;
    case CONFIG_TYPE_FLOAT:
        *out = (item){.kind = ITEM_NUMBER, .number = config_setting_get_float(node)};
        break;
    case CONFIG_TYPE_STRING: {
        const char *text = config_setting_get_string(node);
        const size_t size = text != NULL ? strlen(text) + 1 : 1;
        char *own = kds_pool_take(&list->memory, size, 1, err);
        if (own == NULL) {
            status = KDS_MEMORY;
            goto out;
        }
        if (text != NULL) {
            memcpy(own, text, size);
        }
        *out = (item){.kind = ITEM_TEXT, .text = own};
        break;
    }
    default:
        *out = (item){.kind = ITEM_OTHER};
        break;
    }
out:
    return status;
}

/* `path` is a buffer of MAX_PATH_CHARS that holds the path of the group; members are put behind it and taken away again.
 * Depth is limited by kds_scan_text, so recursion is safe. */
static kds_status read_group(settings *list, const config_setting_t *group, char *path, report *problems,
                             kds_error *err)
{
    kds_status status = KDS_OK;
    const size_t n_path = strlen(path);
    const int n_members = config_setting_length(group);
    for (int i = 0; i < n_members; i++) {
        const config_setting_t *node = config_setting_get_elem(group, (unsigned)i);
        const int line = (int)config_setting_source_line(node);
        const int n = snprintf(path + n_path, MAX_PATH_CHARS - n_path, "%s%s", n_path > 0 ? "." : "",
                               config_setting_name(node));
        if (n < 0 || (size_t)n >= MAX_PATH_CHARS - n_path) {
            path[n_path] = '\0';
            kds_report_add(problems, line, "%.60s...: this name is too long", config_setting_name(node));
            continue;
        }
        for (char *c = path + n_path; *c != '\0'; c++) {
            *c = *c == '*' ? '.' : *c; /* see grid_scan.c */
        }
        setting *one = NULL;
        if (config_setting_is_group(node)) {
            KDS_TRY(add_setting(list, path, SETTING_GROUP, 0, line, &one, err));
            KDS_TRY(read_group(list, node, path, problems, err));
        } else if (config_setting_is_aggregate(node)) {
            const int n_items = config_setting_length(node);
            KDS_TRY(add_setting(list, path, SETTING_LIST, n_items, line, &one, err));
            for (int j = 0; j < n_items; j++) {
                KDS_TRY(read_item(list, config_setting_get_elem(node, (unsigned)j), &one->items[j], err));
            }
        } else {
            KDS_TRY(add_setting(list, path, SETTING_SCALAR, 1, line, &one, err));
            KDS_TRY(read_item(list, node, &one->items[0], err));
        }
        path[n_path] = '\0';
    }
out:
    return status;
}

/* The text of one line, trimmed and cut, for a message about it. */
static void copy_line(const char *bytes, size_t n_bytes, int line, char *out, size_t size)
{
    const char *p = bytes;
    const char *end = bytes + n_bytes;
    for (int i = 1; i < line && p < end; p++) {
        i += *p == '\n';
    }
    while (p < end && *p != '\n' && isspace((unsigned char)*p)) {
        p++;
    }
    size_t n = 0;
    for (; p + n < end && p[n] != '\n' && n + 1 < size; n++) {
        out[n] = isprint((unsigned char)p[n]) || (unsigned char)p[n] >= 0x80 ? p[n] : ' ';
    }
    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }
    out[n] = '\0';
}

/* libconfig says "syntax error" or "duplicate setting name" and the line where it noticed. */
static void report_syntax(const config_t *config, const char *bytes, size_t n_bytes, int line, report *problems)
{
    char shown[MAX_TEXT_SHOWN + 1];
    const char *words = config_error_text(config) != NULL ? config_error_text(config) : "syntax error";
    copy_line(bytes, n_bytes, config_error_line(config), shown, sizeof shown);
    if (strstr(words, "duplicate") != NULL) {
        shown[strcspn(shown, " \t=:{")] = '\0';
        kds_report_add(problems, line, "%s: given twice; allowed: each key and each group once", shown);
    } else {
        kds_report_add(
            problems, line,
            "%s at or before \"%s\"; allowed: key = value; key = [value, value]; key = { ... }; look for a missing = , ; or "
            "bracket",
            words, shown);
    }
}

/* `line`: the line to blame for syntax errors, or LINE_OF_FILE for the line that libconfig names. */
static kds_status read_text(settings *list, const char *bytes, size_t n_bytes, int line, report *problems,
                            kds_error *err)
{
    kds_status status = KDS_OK;
    config_t config;
    config_init(&config);
    kds_text text = {0};
    if (!kds_scan_text(bytes, n_bytes, &text, problems)) {
        goto out;
    }
    if (text.failed) {
        KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the grid's text");
    }
    if (config_read_string(&config, kds_text_string(&text)) != CONFIG_TRUE) {
        report_syntax(&config, bytes, n_bytes, line == LINE_OF_FILE ? config_error_line(&config) : line, problems);
        goto out;
    }
    char path[MAX_PATH_CHARS] = "";
    KDS_TRY(read_group(list, config_root_setting(&config), path, problems, err));
out:
    kds_text_clear(&text);
    config_destroy(&config);
    return status;
}

kds_status kds_settings_read(settings *list, const char *bytes, size_t n_bytes, report *problems, kds_error *err)
{
    kds_status status = KDS_OK;
    if (n_bytes > KDS_GRID_MAX_BYTES) {
        kds_report_add(problems, LINE_OF_FILE, "%zu bytes; allowed: at most %d", n_bytes, KDS_GRID_MAX_BYTES);
        goto out;
    }
    const char *zero = n_bytes > 0 ? memchr(bytes, '\0', n_bytes) : NULL;
    if (zero != NULL) {
        int line = 1;
        for (const char *p = bytes; p < zero; p++) {
            line += *p == '\n';
        }
        kds_report_add(problems, line, "a zero byte: this is not a text file");
        goto out;
    }
    KDS_TRY(read_text(list, bytes, n_bytes, LINE_OF_FILE, problems, err));
out:
    return status;
}

/* ---- overrides ----------------------------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p)) {
        p++;
    }
    return p;
}

/* One value of --set as a grid file would have it: text that is not quoted gets its quotes. */
static void add_value(kds_text *out, const char *word, size_t n)
{
    while (n > 0 && isspace((unsigned char)word[n - 1])) {
        n--;
    }
    kds_text copy = {0};
    kds_text_add_bytes(&copy, word, n);
    const char *text = kds_text_string(&copy);
    const bool plain = text[0] == '"' || text[0] == '\0' || strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if (plain || kds_scan_is_number(text)) {
        kds_text_add(out, text);
    } else {
        kds_text_add(out, "\"");
        for (size_t i = 0; i < n; i++) {
            if (text[i] == '"' || text[i] == '\\') {
                kds_text_add(out, "\\");
            }
            kds_text_add_bytes(out, text + i, 1);
        }
        kds_text_add(out, "\"");
    }
    out->failed = out->failed || copy.failed;
    kds_text_clear(&copy);
}

/* [a, b] or (a, b): split at commas outside of quotes. */
static void add_list(kds_text *out, const char *inside, size_t n)
{
    kds_text_add(out, "[");
    size_t first = 0;
    bool quoted = false;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && inside[i] == '"' && (i == 0 || inside[i - 1] != '\\')) {
            quoted = !quoted;
        }
        if (i == n || (inside[i] == ',' && !quoted)) {
            while (first < i && isspace((unsigned char)inside[first])) {
                first++;
            }
            add_value(out, inside + first, i - first);
            kds_text_add(out, i < n ? ", " : "");
            first = i + 1;
        }
    }
    kds_text_add(out, "]");
}

static bool is_path(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)p[i]) && strchr("_-.", p[i]) == NULL) {
            return false;
        }
    }
    return n > 0 && isalpha((unsigned char)p[0]);
}

kds_status kds_settings_override(settings *list, const char *assignment, report *problems, kds_error *err)
{
    static const char allowed[] = "allowed: key=value or key=[value,value], such as train.lr=0.1";
    kds_status status = KDS_OK;
    kds_text text = {0};
    settings fresh = {0};
    const char *path = skip_blanks(assignment);
    size_t n_path = strcspn(path, "=");
    const char *value = path[n_path] == '=' ? skip_blanks(path + n_path + 1) : "";
    while (n_path > 0 && isspace((unsigned char)path[n_path - 1])) {
        n_path--;
    }
    size_t n_value = strlen(value);
    while (n_value > 0 && isspace((unsigned char)value[n_value - 1])) {
        n_value--;
    }
    if (!is_path(path, n_path) || n_value == 0 || n_value > KDS_GRID_MAX_BYTES) {
        kds_report_add(problems, LINE_OF_OVERRIDE, "\"%.60s\" is not an assignment; %s", assignment, allowed);
        goto out;
    }
    if (value[0] == '{') {
        kds_report_add(problems, LINE_OF_OVERRIDE, "\"%.60s\": a group cannot be set as a whole; %s", assignment,
                       allowed);
        goto out;
    }

    kds_text_add(&text, "value = ");
    const char last = value[n_value - 1];
    if (n_value >= 2 && ((value[0] == '[' && last == ']') || (value[0] == '(' && last == ')'))) {
        add_list(&text, value + 1, n_value - 2);
    } else {
        add_value(&text, value, n_value);
    }
    if (text.failed) {
        KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for an assignment");
    }
    const int n_before = problems->n_problems;
    problems->assignment = assignment;
    status = read_text(&fresh, text.bytes, text.size, LINE_OF_OVERRIDE, problems, err);
    problems->assignment = NULL;
    if (status != KDS_OK || problems->n_problems > n_before) {
        goto out;
    }
    if (fresh.n_items != 1) { /* "1; more = 2" */
        kds_report_add(problems, LINE_OF_OVERRIDE, "\"%.60s\" is not an assignment; %s", assignment, allowed);
        goto out;
    }

    /* Later ones and the command line win: take away the file's setting of this path. */
    char name[MAX_PATH_CHARS];
    snprintf(name, sizeof name, "%.*s", (int)(n_path < MAX_PATH_CHARS ? n_path : MAX_PATH_CHARS - 1), path);
    int n_kept = 0;
    for (int i = 0; i < list->n_items; i++) {
        if (strcmp(list->items[i].path, name) != 0 || list->items[i].kind == SETTING_GROUP) {
            list->items[n_kept++] = list->items[i];
        }
    }
    list->n_items = n_kept;
    setting *one = NULL;
    const setting *from = &fresh.items[0];
    KDS_TRY(add_setting(list, name, from->kind, from->n_items, LINE_OF_OVERRIDE, &one, err));
    for (int i = 0; i < from->n_items; i++) {
        one->items[i] = from->items[i];
        if (from->items[i].kind == ITEM_TEXT) {
            char *own = kds_pool_take(&list->memory, strlen(from->items[i].text) + 1, 1, err);
            if (own == NULL) {
                status = KDS_MEMORY;
                goto out;
            }
            memcpy(own, from->items[i].text, strlen(from->items[i].text));
            one->items[i].text = own;
        }
    }
out:
    kds_settings_clear(&fresh);
    kds_text_clear(&text);
    return status;
}

void kds_settings_clear(settings *list)
{
    kds_pool_clear(&list->memory);
    *list = (settings){0};
}

void kds_item_to_text(const item *value, kds_text *out)
{
    switch (value->kind) {
    case ITEM_BOOL:
        kds_text_add(out, value->integer != 0 ? "true" : "false");
        break;
    case ITEM_INT:
        kds_text_addf(out, "%lld", (long long)value->integer);
        break;
    case ITEM_NUMBER:
        kds_text_add_number(out, value->number);
        if (value->number == trunc(value->number) && fabs(value->number) < 1e15) {
            kds_text_add(out, ".0"); /* as it was written */
        }
        break;
    case ITEM_TEXT: {
        kds_text_add(out, "\"");
        size_t n = 0;
        for (; value->text[n] != '\0' && n < MAX_TEXT_SHOWN; n++) {
            const char c = value->text[n];
            kds_text_add_bytes(out, iscntrl((unsigned char)c) ? "?" : &c, 1);
        }
        kds_text_add(out, value->text[n] != '\0' ? "...\"" : "\"");
        break;
    }
    case ITEM_OTHER:
        kds_text_add(out, "{ ... }");
        break;
    }
}
