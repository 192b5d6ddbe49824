/*
 * Settings + key table -> kds_grid. Problems are collected, not returned one at a time: who made three mistakes wants to know all
 * three before the next job waits in the queue.
 */
#include "kdsweep/grid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grid_keys.h"
#include "grid_settings.h"

enum { MAX_PROBLEMS_OF_A_KEY = 5 };

/* One setting of the file, read as values of its key. */
typedef struct reading {
    const setting *from;
    const key *known; /* NULL: unknown, already told */
    kds_value *values;
    int n_values;
    bool is_axis;
} reading;

typedef struct parser {
    kds_grid *grid;
    pool *memory; /* of the grid */
    report problems;
    settings list;
    key keys[KEYS_MAX];
    int n_keys;
    reading *readings;              /* one for each setting */
    int by_own_path[KDS_MAX_SLOTS]; /* reading that gives the slot's value, or -1 */
    int by_shared_path[KDS_MAX_SLOTS];
} parser;

/* ---- one value ----------------------------------------------------------------------------------------------------- */

static bool to_integer(const item *from, int64_t *out)
{
    if (from->kind == ITEM_INT) {
        *out = from->integer;
        return true;
    }
    /* 2^53: beyond it, what was written need not be what was read. */
    if (from->kind == ITEM_NUMBER && from->number == trunc(from->number) && fabs(from->number) <= 0x1p53) {
        *out = (int64_t)from->number;
        return true;
    }
    return false;
}

static bool to_number(const item *from, double *out)
{
    *out = from->kind == ITEM_INT ? (double)from->integer : from->number;
    return from->kind == ITEM_INT || from->kind == ITEM_NUMBER;
}

static bool to_choice(const kds_slot *slot, const item *from, int64_t *out)
{
    if (slot->choices == kds_keys_store_words && from->kind == ITEM_BOOL) {
        *out = from->integer != 0 ? KDS_STORE_YES : KDS_STORE_NO;
        return true;
    }
    for (int i = 0; from->kind == ITEM_TEXT && slot->choices[i] != NULL; i++) {
        if (strcmp(slot->choices[i], from->text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Read an item as a value of a slot. If it is none, `wrong` gets a few words. */
static bool to_value(const kds_slot *slot, const item *from, kds_value *out, kds_text *wrong)
{
    bool right_type = false;
    switch (slot->type) {
    case KDS_KEY_BOOL:
        out->integer = from->integer;
        right_type = from->kind == ITEM_BOOL;
        break;
    case KDS_KEY_INT:
        right_type = to_integer(from, &out->integer);
        if (!right_type && from->kind == ITEM_NUMBER) {
            kds_text_add(wrong, from->number == trunc(from->number) ? "out of range" : "not a whole number");
            return false;
        }
        break;
    case KDS_KEY_NUMBER:
        right_type = to_number(from, &out->number);
        break;
    case KDS_KEY_CHOICE:
        right_type = to_choice(slot, from, &out->integer);
        if (!right_type && from->kind == ITEM_TEXT) {
            const char *nearest = kds_nearest_word(from->text, slot->choices);
            kds_text_add(wrong, "unknown word");
            if (nearest != NULL) {
                kds_text_addf(wrong, ", did you mean \"%s\"?", nearest);
            }
            return false;
        }
        break;
    case KDS_KEY_TEXT:
        out->text = from->text;
        right_type = from->kind == ITEM_TEXT;
        /* Only a text whose default is empty may be left empty: data.path. */
        if (right_type && from->text[0] == '\0' && !slot->is_model &&
            (slot->default_text == NULL || strcmp(slot->default_text, "\"\"") != 0)) {
            kds_text_add(wrong, "empty");
            return false;
        }
        break;
    case KDS_KEY_NUMBERS:
        break;
    }
    if (!right_type) {
        kds_text_add(wrong, "wrong type");
        return false;
    }
    return kds_slot_accepts(slot, *out, wrong);
}

/* ---- one setting --------------------------------------------------------------------------------------------------- */

/* "file:line: key = value: what is wrong; allowed: ..." */
static void tell_value(parser *p, const reading *r, const item *value, const char *wrong)
{
    kds_text shown = {0};
    kds_text allowed = {0};
    if (value != NULL) {
        kds_item_to_text(value, &shown);
    }
    kds_slot_allowed_to_text(r->known->slot, &allowed);
    if (r->from->line == LINE_OF_OVERRIDE && value != NULL && value->kind == ITEM_TEXT &&
        strchr(value->text, ',') != NULL) {
        kds_text_add(&allowed, "; a list is written [a,b]");
    }
    kds_report_add(&p->problems, r->from->line, "%s = %s: %s; allowed: %s", r->from->path,
                   value != NULL ? kds_text_string(&shown) : "[ ... ]", wrong, kds_text_string(&allowed));
    kds_text_clear(&shown);
    kds_text_clear(&allowed);
}

/* The settings' memory goes when the grid has been read: bring a text over to the grid's. */
static kds_status keep_text(parser *p, kds_value *value, kds_error *err)
{
    const size_t size = strlen(value->text) + 1;
    char *own = kds_pool_take(p->memory, size, 1, err);
    if (own == NULL) {
        return KDS_MEMORY;
    }
    memcpy(own, value->text, size);
    value->text = own;
    return KDS_OK;
}

static kds_status read_values(parser *p, reading *r, kds_error *err)
{
    kds_status status = KDS_OK;
    int n_told = 0;
    r->values = kds_pool_take(p->memory, (size_t)r->from->n_items, sizeof *r->values, err);
    if (r->values == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int i = 0; i < r->from->n_items; i++) {
        kds_text wrong = {0};
        if (to_value(r->known->slot, &r->from->items[i], &r->values[r->n_values], &wrong)) {
            r->n_values++;
        } else if (n_told++ < MAX_PROBLEMS_OF_A_KEY) {
            tell_value(p, r, &r->from->items[i], kds_text_string(&wrong));
        }
        kds_text_clear(&wrong);
    }
    if (n_told > MAX_PROBLEMS_OF_A_KEY) {
        kds_report_add(&p->problems, r->from->line, "%s: %d more of its values are wrong", r->from->path,
                       n_told - MAX_PROBLEMS_OF_A_KEY);
    }
    for (int i = 0; i < r->n_values && r->known->slot->type == KDS_KEY_TEXT; i++) {
        KDS_TRY(keep_text(p, &r->values[i], err));
    }
out:
    return status;
}

static kds_status read_numbers(parser *p, reading *r, kds_error *err)
{
    kds_status status = KDS_OK;
    const int n_items = r->from->n_items;
    double *items = kds_pool_take(p->memory, (size_t)n_items, sizeof *items, err);
    r->values = kds_pool_take(p->memory, 1, sizeof *r->values, err);
    if (items == NULL || r->values == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int i = 0; i < n_items; i++) {
        if (!to_number(&r->from->items[i], &items[i])) {
            tell_value(p, r, &r->from->items[i],
                       r->from->items[i].kind == ITEM_OTHER ? "not a number; it is no axis" : "wrong type");
            goto out;
        }
    }
    kds_text wrong = {0};
    r->values[0].numbers.items = items;
    r->values[0].numbers.n_items = n_items;
    if (kds_slot_accepts(r->known->slot, r->values[0], &wrong)) {
        r->n_values = 1;
    } else {
        tell_value(p, r, n_items == 1 ? &r->from->items[0] : NULL, kds_text_string(&wrong));
    }
    kds_text_clear(&wrong);
out:
    return status;
}

typedef struct ranked {
    uint64_t hash;
    int i_value;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a;
    const ranked *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->i_value > y->i_value) - (x->i_value < y->i_value);
}

/* By sorted hashes, because a list of a hundred thousand seeds is a reasonable one. */
static kds_status check_repeats(parser *p, const reading *r, kds_error *err)
{
    kds_status status = KDS_OK;
    pool scratch = {0};
    int n_told = 0;
    ranked *order = kds_pool_take(&scratch, (size_t)r->n_values, sizeof *order, err);
    bool *repeats = kds_pool_take(&scratch, (size_t)r->n_values, sizeof *repeats, err);
    if (order == NULL || repeats == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int i = 0; i < r->n_values; i++) {
        order[i] = (ranked){kds_slot_value_hash(r->known->slot, r->values[i]), i};
    }
    qsort(order, (size_t)r->n_values, sizeof *order, compare_ranked);
    for (int i = 1; i < r->n_values; i++) {
        if (order[i].hash == order[i - 1].hash && (i == 1 || order[i].hash != order[i - 2].hash)) {
            repeats[order[i].i_value] = true; /* the second of its kind; it stands for the others too */
        }
    }
    for (int i = 0; i < r->n_values && n_told < MAX_PROBLEMS_OF_A_KEY; i++) {
        if (repeats[i]) {
            kds_text shown = {0};
            kds_slot_value_to_text(r->known->slot, r->values[i], true, &shown);
            kds_report_add(&p->problems, r->from->line, "%s = %.80s: repeated in the list; allowed: each value once",
                           r->from->path, kds_text_string(&shown));
            kds_text_clear(&shown);
            n_told++;
        }
    }
out:
    kds_pool_clear(&scratch);
    return status;
}

static kds_status read_setting(parser *p, reading *r, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_slot *slot = r->known->slot;
    const setting *from = r->from;
    if (from->kind == SETTING_GROUP) {
        kds_text allowed = {0};
        kds_slot_allowed_to_text(slot, &allowed);
        kds_report_add(&p->problems, from->line, "%s = { ... }: this key is no group; allowed: %s", from->path,
                       kds_text_string(&allowed));
        kds_text_clear(&allowed);
        goto out;
    }
    if (slot->type == KDS_KEY_NUMBERS) {
        KDS_TRY(read_numbers(p, r, err));
        goto out;
    }
    if (from->kind == SETTING_LIST && !slot->sweepable) {
        tell_value(p, r, NULL, "this key takes no list");
        goto out;
    }
    if (from->n_items == 0) {
        kds_report_add(&p->problems, from->line, "%s = []: an empty list; allowed: at least one value", from->path);
        goto out;
    }
    const int n_before = p->problems.n_problems;
    KDS_TRY(read_values(p, r, err));
    r->is_axis = from->kind == SETTING_LIST;
    if (r->is_axis) {
        KDS_TRY(check_repeats(p, r, err));
    }
    if (slot->offset == offsetof(kds_trial_spec, teacher_seed) && r->known->n_slots == 1 && r->is_axis) {
        for (int i = 0; i < r->n_values; i++) {
            if (r->values[i].integer < 0) {
                kds_report_add(&p->problems, from->line,
                               "%s = -1: -1 means the trial's own seed, and cannot stand in a list; "
                               "allowed: seeds >= 0",
                               from->path);
            }
        }
    }
    if (p->problems.n_problems > n_before) {
        r->n_values = 0; /* not to be used */
    }
out:
    return status;
}

/* ---- which key ----------------------------------------------------------------------------------------------------- */

static const key *find_key(const parser *p, const char *path)
{
    for (int i = 0; i < p->n_keys; i++) {
        if (strcmp(p->keys[i].path, path) == 0) {
            return &p->keys[i];
        }
    }
    return NULL;
}

static void tell_unknown(parser *p, const setting *s)
{
    const char *nearest = kds_keys_nearest(p->keys, p->n_keys, s->path);
    kds_text shown = {0};
    if (s->kind == SETTING_SCALAR) {
        kds_item_to_text(&s->items[0], &shown);
    } else {
        kds_text_add(&shown, s->kind == SETTING_LIST ? "[ ... ]" : "{ ... }");
    }
    if (kds_keys_is_group(p->keys, p->n_keys, s->path)) {
        kds_text members = {0};
        char inside[KDS_PATH_CHARS];
        snprintf(inside, sizeof inside, "%s.", s->path);
        kds_keys_siblings(p->keys, p->n_keys, inside, &members);
        kds_report_add(&p->problems, s->line, "%s = %s: this key is a group; allowed: %s = { ... } with %s", s->path,
                       kds_text_string(&shown), s->path, kds_text_string(&members));
        kds_text_clear(&members);
    } else if (nearest != NULL && s->kind != SETTING_GROUP) {
        kds_report_add(&p->problems, s->line, "%.200s = %s: unknown key; did you mean %s?", s->path,
                       kds_text_string(&shown), nearest);
    } else {
        kds_text siblings = {0};
        const int n = (int)kds_keys_siblings(p->keys, p->n_keys, s->path, &siblings);
        kds_report_add(&p->problems, s->line, "%.200s = %s: unknown %s; allowed%s%.*s: %s", s->path,
                       kds_text_string(&shown), s->kind == SETTING_GROUP ? "group" : "key", n > 0 ? " in " : "",
                       n > 0 ? n - 1 : 0, s->path, kds_text_string(&siblings));
        kds_text_clear(&siblings);
    }
    kds_text_clear(&shown);
}

/* Does the setting lie in a group that has been told as unknown, or in a key that has been told as no group? Then one message is
 * enough. Groups stand before their members. */
static bool is_inside(const setting *s, const setting *group)
{
    const size_t n = strlen(group->path);
    return group->kind == SETTING_GROUP && strncmp(s->path, group->path, n) == 0 && s->path[n] == '.';
}

static kds_status read_all(parser *p, kds_error *err)
{
    kds_status status = KDS_OK;
    const setting *bad_group = NULL;
    for (int i = 0; i < p->list.n_items; i++) {
        const setting *s = &p->list.items[i];
        reading *r = &p->readings[i];
        r->from = s;
        if (bad_group != NULL && is_inside(s, bad_group)) {
            continue;
        }
        r->known = find_key(p, s->path);
        if (r->known == NULL) {
            if (s->kind != SETTING_GROUP || !kds_keys_is_group(p->keys, p->n_keys, s->path)) {
                tell_unknown(p, s);
                bad_group = s->kind == SETTING_GROUP ? s : bad_group;
            }
            continue;
        }
        if (s->kind == SETTING_GROUP) {
            bad_group = s;
        }
        const reading *earlier = NULL;
        for (int j = 0; j < i && earlier == NULL; j++) {
            earlier = p->readings[j].known == r->known ? &p->readings[j] : NULL;
        }
        if (earlier != NULL) {
            kds_report_add(&p->problems, s->line, "%s: given twice, first in line %d; allowed: each key once", s->path,
                           earlier->from->line);
            r->known = NULL;
            continue;
        }
        KDS_TRY(read_setting(p, r, err));
        for (int j = 0; j < r->known->n_slots; j++) {
            const bool shared = strcmp(r->known->path, r->known->slot->path) != 0;
            (shared ? p->by_shared_path : p->by_own_path)[r->known->slots[j]] = i;
        }
    }
out:
    return status;
}

/* ---- settings to grid ---------------------------------------------------------------------------------------------- */

static void set_sweep_key(kds_grid *grid, const kds_slot *slot, kds_value value)
{
    char *field = (char *)grid + slot->offset;
    if (slot->type == KDS_KEY_TEXT) {
        memcpy(field, value.text, strlen(value.text) + 1); /* kds_slot_accepts has seen that it fits */
    } else if (slot->type == KDS_KEY_BOOL) {
        *(bool *)(void *)field = value.integer != 0;
    } else {
        *(kds_store_choice *)(void *)field = (kds_store_choice)value.integer;
    }
}

/* The reading that gives a slot its value, or -1 for the default. */
static int chosen(const parser *p, int i_slot)
{
    return p->by_own_path[i_slot] >= 0 ? p->by_own_path[i_slot] : p->by_shared_path[i_slot];
}

static void add_axis(parser *p, int i_slot, const reading *r)
{
    kds_grid *grid = p->grid;
    for (int i = 0; i < grid->n_axes; i++) {
        if (grid->axes[i].values == r->values) { /* the student's half of a shared key */
            grid->axes[i].slots[grid->axes[i].n_slots++] = i_slot;
            return;
        }
    }
    if (grid->n_axes == KDS_MAX_AXES) {
        kds_report_add(&p->problems, r->from->line, "%s: one axis too many; allowed: %d keys with lists", r->from->path,
                       KDS_MAX_AXES);
        return;
    }
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    grid->axes[grid->n_axes++] = (kds_axis){.path = r->known->path,
                                            .name = slots[i_slot].name,
                                            .slots = {i_slot},
                                            .n_slots = 1,
                                            .n_values = r->n_values,
                                            .values = r->values};
}

static void set_slots(parser *p)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < n_slots; i++) {
        const int i_reading = chosen(p, i);
        if (i_reading < 0) {
            if (slots[i].default_text == NULL) {
                kds_text allowed = {0};
                kds_slot_allowed_to_text(&slots[i], &allowed);
                kds_report_add(&p->problems, LINE_OF_FILE, "%s: missing; allowed: %s", slots[i].path,
                               kds_text_string(&allowed));
                kds_text_clear(&allowed);
            }
            continue;
        }
        const reading *r = &p->readings[i_reading];
        p->grid->lines[i] = r->from->line;
        p->grid->given[i] = true;
        p->grid->shared[i] = p->by_own_path[i] < 0;
        if (r->n_values > 0) {
            kds_slot_set(&slots[i], &p->grid->base, r->values[0]);
            if (r->is_axis) {
                add_axis(p, i, r);
            }
        }
    }
}

/* A list that does nothing is a sweep that is not run: say so. (A single value that is overridden twice is harmless.) */
static void check_shadowed(parser *p)
{
    for (int i = 0; i < p->list.n_items; i++) {
        const reading *r = &p->readings[i];
        bool used = r->known == NULL || r->known->n_slots == 0 || !r->is_axis;
        for (int j = 0; !used && j < r->known->n_slots; j++) {
            used = chosen(p, r->known->slots[j]) == i;
        }
        if (!used) {
            kds_report_add(&p->problems, r->from->line,
                           "%s: this list has no effect, teacher.%s and student.%s override it", r->from->path,
                           r->from->path, r->from->path);
        }
    }
}

static void check_path(parser *p)
{
    const kds_trial_spec *base = &p->grid->base;
    const int i_source = kds_slot_find("data_source");
    const int i_path = kds_slot_find("data_path");
    const int i_reading = chosen(p, i_source);
    if (i_reading < 0 || p->readings[i_reading].n_values == 0 || kds_data_spec_generates(&base->data) ||
        base->data.path[0] != '\0' || (chosen(p, i_path) >= 0 && p->readings[chosen(p, i_path)].n_values == 0)) {
        return; /* given, not needed, or something else has been told about it */
    }
    static const char *const places[] = {
        [KDS_SOURCE_IDX] = "folder with the idx files",
        [KDS_SOURCE_HDF5] = "HDF5 file of the data",
        [KDS_SOURCE_CIFAR10] = "folder with CIFAR-10's binary version",
        [KDS_SOURCE_CIFAR100] = "folder with CIFAR-100's binary version",
    };
    kds_report_add(&p->problems, LINE_OF_FILE, "data.path: missing; allowed: the %s", places[base->data.source]);
}

static void set_sweep_keys(parser *p)
{
    kds_grid *grid = p->grid;
    const char *slash = strrchr(p->problems.file, '/');
    const char *stem = slash != NULL ? slash + 1 : p->problems.file;
    const char *dot = strrchr(stem, '.');
    const size_t n = dot != NULL && dot > stem ? (size_t)(dot - stem) : strlen(stem);
    const int n_stem = n < sizeof grid->name - 8 ? (int)n : (int)sizeof grid->name - 8;
    snprintf(grid->name, sizeof grid->name, "%.*s", n_stem, stem);
    snprintf(grid->output, sizeof grid->output, "%.*s.h5", n_stem, stem);
    snprintf(grid->file, sizeof grid->file, "%s", p->problems.file);
    grid->baseline = true;
    for (int i = 0; i < p->list.n_items; i++) {
        const reading *r = &p->readings[i];
        if (r->known != NULL && r->known->n_slots == 0 && r->n_values > 0) {
            set_sweep_key(grid, r->known->slot, r->values[0]);
        }
    }
}

/* ---- resolved text ------------------------------------------------------------------------------------------------- */

static const kds_axis *axis_of(const kds_grid *grid, int i_slot)
{
    for (int i = 0; i < grid->n_axes; i++) {
        for (int j = 0; j < grid->axes[i].n_slots; j++) {
            if (grid->axes[i].slots[j] == i_slot) {
                return &grid->axes[i];
            }
        }
    }
    return NULL;
}

static void add_resolved_axis(const kds_slot *slot, const kds_axis *axis, kds_text *out)
{
    kds_text_addf(out, "%s = [", axis->path);
    for (int i = 0; i < axis->n_values; i++) {
        kds_text_add(out, i > 0 ? ", " : "");
        kds_slot_value_to_text(slot, axis->values[i], true, out);
    }
    kds_text_add(out, "];\n");
}

static void resolve(const kds_grid *grid, kds_text *out)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < n_slots; i++) {
        const kds_axis *axis = axis_of(grid, i);
        if (axis == NULL) {
            kds_text_addf(out, "%s = ", slots[i].path);
            kds_slot_value_to_text(&slots[i], kds_slot_get(&slots[i], &grid->base), true, out);
            kds_text_add(out, ";\n");
        } else if (axis->slots[0] == i) {
            add_resolved_axis(&slots[i], axis, out);
        }
    }
    const kds_store_choice stores[] = {grid->store_counts, grid->store_group_counts, grid->store_predictions,
                                       grid->store_logits, grid->store_parameters};
    kds_text_addf(out, "student.baseline = %s;\n", grid->baseline ? "true" : "false");
    for (int i = 0; i < 5; i++) {
        kds_text_addf(out, "%s = \"%s\";\n", kds_keys_of_sweep()[KEYS_N_SWEEP - 5 + i].path,
                      kds_keys_store_words[stores[i]]);
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

/* The message holds as many whole lines as fit; the rest is counted. */
static kds_status reject(const report *problems, kds_error *err)
{
    char message[sizeof err->message];
    const char *lines = kds_text_string(&problems->lines);
    size_t n = 0;
    int n_told = 0;
    const size_t room = sizeof message - 40; /* for the count of the rest */
    for (const char *end = strchr(lines, '\n'); end != NULL; end = strchr(end + 1, '\n')) {
        if ((size_t)(end - lines) > room) {
            break;
        }
        n = (size_t)(end - lines);
        n_told++;
    }
    if (n_told == 0) { /* one line that is longer than the message */
        snprintf(message, sizeof message, "%.*s", (int)room, lines);
    } else if (n_told == problems->n_problems) {
        snprintf(message, sizeof message, "%.*s", (int)n, lines);
    } else {
        snprintf(message, sizeof message, "%.*s\n... and %d more", (int)n, lines, problems->n_problems - n_told);
    }
    return kds_error_set(err, KDS_GRID, "kdsweep --help shows every key, its range and its default.", "%s", message);
}

static kds_status build(parser *p, const char *bytes, size_t n_bytes, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_grid *grid = p->grid;
    kds_text resolved = {0};
    p->n_keys = kds_keys_list(p->keys);
    p->readings = kds_pool_take(&p->list.memory, (size_t)p->list.n_items, sizeof *p->readings, err);
    if (p->readings == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int i = 0; i < KDS_MAX_SLOTS; i++) {
        p->by_own_path[i] = -1;
        p->by_shared_path[i] = -1;
    }
    KDS_TRY(read_all(p, err));
    grid->base = kds_trial_spec_default();
    set_slots(p);
    set_sweep_keys(p);
    check_shadowed(p);
    check_path(p);
    if (p->problems.n_problems > 0) {
        goto out; /* told by the caller */
    }

    resolve(grid, &resolved);
    grid->teacher_seed_fixed = grid->base.teacher_seed >= 0;
    grid->text = kds_pool_take(p->memory, n_bytes + 1, 1, err);
    grid->resolved = kds_pool_take(p->memory, resolved.size + 1, 1, err);
    if (grid->text == NULL || grid->resolved == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    if (resolved.failed) {
        KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the resolved grid");
    }
    if (n_bytes > 0) {
        memcpy(grid->text, bytes, n_bytes);
    }
    memcpy(grid->resolved, kds_text_string(&resolved), resolved.size);
out:
    kds_text_clear(&resolved);
    return status;
}

kds_status kds_grid_parse(const char *bytes, size_t n_bytes, const char *name, const kds_override *overrides,
                          int n_overrides, kds_grid **out, kds_text *problems, kds_error *err)
{
    kds_status status = KDS_OK;
    pool own = {0};
    *out = NULL;
    parser *p = kds_pool_take(&own, 1, sizeof *p, err); /* too large for some stacks */
    kds_grid *grid = calloc(1, sizeof *grid);
    pool *memory = calloc(1, sizeof *memory);
    if (p == NULL || grid == NULL || memory == NULL) {
        free(grid);
        free(memory);
        grid = NULL;
        KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the grid");
    }
    grid->memory = memory;
    p->grid = grid;
    p->memory = memory;
    p->problems.file = name;

    KDS_TRY(kds_settings_read(&p->list, bytes, n_bytes, &p->problems, err));
    if (p->problems.n_problems == 0) {
        for (int i = 0; i < n_overrides; i++) {
            KDS_TRY(kds_settings_override(&p->list, overrides[i].assignment, &p->problems, err));
        }
        KDS_TRY(build(p, bytes, n_bytes, err));
    }
    if (p->problems.n_problems > 0) {
        if (problems != NULL) {
            kds_text_add(problems, kds_text_string(&p->problems.lines));
        }
        status = reject(&p->problems, err);
        goto out;
    }
    *out = grid;
    grid = NULL;
out:
    kds_grid_free(grid);
    if (p != NULL) {
        kds_settings_clear(&p->list);
        kds_text_clear(&p->problems.lines);
    }
    kds_pool_clear(&own);
    return status;
}

void kds_grid_free(kds_grid *grid)
{
    if (grid != NULL) {
        pool *memory = grid->memory;
        if (memory != NULL) {
            kds_pool_clear(memory);
            free(memory);
        }
        free(grid);
    }
}
