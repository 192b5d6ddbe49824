/*
 * The list of keys, guesses about misspelt ones, and the table for people.
 */
#include "grid_keys.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

const char *const kds_keys_store_words[] = {"auto", "yes", "no", NULL};

#define STORE(member, words)                                                                                       \
    {                                                                                                              \
        .path = "store." #member, .name = "store_" #member, .type = KDS_KEY_CHOICE,                                \
        .offset = offsetof(kds_grid, store_##member), .choices = kds_keys_store_words, .default_text = "\"auto\"", \
        .units = "1", .meaning = words                                                                             \
    }

static const kds_slot table[KEYS_N_SWEEP] = {
    {.path = "name",
     .name = "name",
     .type = KDS_KEY_TEXT,
     .offset = offsetof(kds_grid, name),
     .size = sizeof((kds_grid *)0)->name,
     .default_text = "the grid file's stem",
     .units = "1",
     .meaning = "title of the sweep"},
    {.path = "output",
     .name = "output",
     .type = KDS_KEY_TEXT,
     .offset = offsetof(kds_grid, output),
     .size = sizeof((kds_grid *)0)->output,
     .default_text = "the grid file's stem + .h5",
     .units = "1",
     .meaning = "results file; relative to the current folder"},
    {.path = "student.baseline",
     .name = "baseline",
     .type = KDS_KEY_BOOL,
     .offset = offsetof(kds_grid, baseline),
     .minimum = 0,
     .maximum = 1,
     .default_text = "true",
     .units = "1",
     .meaning = "train each student also without a teacher"},
    STORE(counts, "confusion matrices, from which every class metric can be computed"),
    STORE(group_counts, "confusion matrices of each group"),
    STORE(predictions, "predicted class of every test example"),
    STORE(logits, "scores of the returned model on the test examples, last epoch"),
    STORE(parameters, "weights of the last iterate"),
};

const kds_slot *kds_keys_of_sweep(void)
{
    return table;
}

static int find(const key *keys, int n_keys, const char *path)
{
    for (int i = 0; i < n_keys; i++) {
        if (strcmp(keys[i].path, path) == 0) {
            return i;
        }
    }
    return -1;
}

int kds_keys_list(key keys[KEYS_MAX])
{
    int n_keys = 0;
    for (int i = 0; i < 2; i++) { /* name, output: first in the file, so first in the list */
        keys[n_keys++] = (key){.path = table[i].path, .slot = &table[i]};
    }
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < n_slots; i++) {
        keys[n_keys++] = (key){.path = slots[i].path, .slot = &slots[i], .slots = {i}, .n_slots = 1};
    }
    for (int i = 0; i < n_slots; i++) {
        if (slots[i].shared_path != NULL) {
            const int known = find(keys, n_keys, slots[i].shared_path);
            if (known < 0) {
                keys[n_keys++] = (key){.path = slots[i].shared_path, .slot = &slots[i], .slots = {i}, .n_slots = 1};
            } else {
                keys[known].slots[keys[known].n_slots++] = i;
            }
        }
    }
    for (int i = 2; i < KEYS_N_SWEEP; i++) {
        keys[n_keys++] = (key){.path = table[i].path, .slot = &table[i]};
    }
    return n_keys;
}

/* ---- guesses ------------------------------------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

static size_t group_length(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? (size_t)(dot - path) : 0;
}

static size_t common_start(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] != '\0' && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* The key whose last part is this word; of several the one that begins most like the path. A key for both comes before teacher's and
 * student's own when neither is named. */
static const char *with_last_part(const key *keys, int n_keys, const char *path, const char *word)
{
    const char *best = NULL;
    for (int i = 0; i < n_keys; i++) {
        if (strcmp(last_part(keys[i].path), word) != 0) {
            continue;
        }
        const size_t n = common_start(keys[i].path, path);
        const size_t n_best = best != NULL ? common_start(best, path) : 0;
        if (best == NULL || n > n_best || (n == n_best && strlen(keys[i].path) < strlen(best))) {
            best = keys[i].path;
        }
    }
    return best;
}

/* What other programs call our keys. */
static const char *translate(const char *word)
{
    static const char *const words[][2] = {
        {"learning_rate", "lr"},     {"batch_size", "batch"},        {"num_epochs", "epochs"},
        {"n_epochs", "epochs"},      {"wd", "weight_decay"},         {"alpha", "mixing"},
        {"T", "temperature"},        {"tau", "temperature"},         {"loss", "objective"},
        {"arch", "model"},           {"architecture", "model"},      {"dataset", "source"},
        {"warmup_epochs", "warmup"}, {"imbalance_ratio", "ratio"},   {"gamma", "lr_decay"},
        {"seed", "seeds"},           {"max_per_class", "max_count"}, {"T_val", "validation_temperature"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i][0], word) == 0) {
            return words[i][1];
        }
    }
    return word;
}

/* The nearest last part among the keys of the group that is `n_group` bytes of `path` (SIZE_MAX: among all), or NULL. */
static const char *nearest_last_part(const key *keys, int n_keys, const char *path, size_t n_group)
{
    const char *words[KEYS_MAX + 1];
    int n_words = 0;
    for (int i = 0; i < n_keys; i++) {
        const bool inside = group_length(keys[i].path) == n_group && strncmp(keys[i].path, path, n_group) == 0;
        if (inside || n_group == SIZE_MAX) {
            words[n_words++] = last_part(keys[i].path);
        }
    }
    words[n_words] = NULL;
    return kds_nearest_word(last_part(path), words);
}

/* Last parts only are compared: in a whole path, the part that is right makes every wrong one look near. */
const char *kds_keys_nearest(const key *keys, int n_keys, const char *path)
{
    const char *word = nearest_last_part(keys, n_keys, path, group_length(path));
    if (word == NULL) {
        word = translate(last_part(path));
    }
    const char *nearest = with_last_part(keys, n_keys, path, word);
    if (nearest == NULL) {
        word = nearest_last_part(keys, n_keys, path, SIZE_MAX);
        nearest = word != NULL ? with_last_part(keys, n_keys, path, word) : NULL;
    }
    return nearest;
}

bool kds_keys_is_group(const key *keys, int n_keys, const char *path)
{
    const size_t n = strlen(path);
    for (int i = 0; i < n_keys; i++) {
        if (strncmp(keys[i].path, path, n) == 0 && keys[i].path[n] == '.') {
            return true;
        }
    }
    return false;
}

size_t kds_keys_siblings(const key *keys, int n_keys, const char *path, kds_text *out)
{
    size_t n = 0; /* length of the longest known group that path lies in, with its dot */
    for (size_t i = 0; path[i] != '\0'; i++) {
        for (int j = 0; path[i] == '.' && j < n_keys && n <= i; j++) {
            n = strncmp(keys[j].path, path, i + 1) == 0 ? i + 1 : n;
        }
    }
    const char *before = "";
    size_t n_before = 0;
    for (int i = 0; i < n_keys; i++) {
        const char *rest = keys[i].path + n;
        if (strncmp(keys[i].path, path, n) != 0) {
            continue;
        }
        /* Members of a group within are told by its name, once: they stand together or have been told. */
        const size_t n_rest = strcspn(rest, ".");
        bool told = n_rest == n_before && strncmp(rest, before, n_rest) == 0;
        for (int j = 0; j < i && !told; j++) {
            const char *earlier = keys[j].path + n;
            told = strncmp(keys[j].path, path, n) == 0 && strcspn(earlier, ".") == n_rest &&
                   strncmp(earlier, rest, n_rest) == 0;
        }
        if (!told) {
            kds_text_addf(out, "%s%.*s", out->size > 0 ? ", " : "", (int)n_rest, rest);
        }
        before = rest;
        n_before = n_rest;
    }
    return n;
}

/* ---- the table for people ------------------------------------------------------------------------------------------ */

/* One entry for each key to be shown: teacher's and student's own places of a shared key are told once, in the heading. */
static bool is_shown(const key *k)
{
    return k->slot->shared_path == NULL || strcmp(k->path, k->slot->shared_path) == 0;
}

/* "a number > 0; default 0.1; list allowed" */
static void add_kind(const kds_slot *slot, kds_text *out)
{
    kds_slot_allowed_to_text(slot, out);
    if (slot->default_text != NULL) {
        kds_text_addf(out, "; default %s", slot->default_text);
    } else {
        kds_text_add(out, "; must be given");
    }
    if (strcmp(slot->units, "1") != 0) {
        kds_text_addf(out, "; in %s", slot->units);
    }
    if (slot->sweepable) {
        kds_text_add(out, "; may be a list");
    }
}

/* Keys of one group stand together, groups in the order of their first key. `each` gets the group when it begins. */
typedef void show_key(kds_text *out, const key *k);
typedef void show_group(kds_text *out, const char *path, size_t n);

static void show_all(kds_text *out, show_group *begin, show_key *each)
{
    key keys[KEYS_MAX];
    const int n_keys = kds_keys_list(keys);
    bool done[KEYS_MAX] = {false};
    for (int i = 0; i < n_keys; i++) {
        if (done[i] || !is_shown(&keys[i])) {
            continue;
        }
        const size_t n = group_length(keys[i].path);
        begin(out, keys[i].path, n);
        for (int j = i; j < n_keys; j++) {
            if (is_shown(&keys[j]) && group_length(keys[j].path) == n && strncmp(keys[j].path, keys[i].path, n) == 0) {
                each(out, &keys[j]);
                done[j] = true;
            }
        }
    }
}

/* Do the keys of this group hold for teacher and student? */
static bool is_for_both(const char *group, size_t n)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < n_slots; i++) {
        const char *path = slots[i].shared_path;
        if (n > 0 && path != NULL && group_length(path) == n && strncmp(path, group, n) == 0) {
            return true;
        }
    }
    return false;
}

static void text_group(kds_text *out, const char *path, size_t n)
{
    if (n > 0) {
        kds_text_addf(out, "\n%.*s = { ... }", (int)n, path);
    } else {
        kds_text_add(out, "outside of groups");
    }
    if (is_for_both(path, n)) {
        kds_text_add(out, "   in teacher or student it overrides this one");
    }
    kds_text_add(out, "\n");
}

static void text_key(kds_text *out, const key *k)
{
    enum { INDENT = 26 };
    const char *name = k->path + group_length(k->path);
    name += *name == '.';
    kds_text_addf(out, "  %-*s", INDENT - 2, name);
    kds_text_add_wrapped(out, k->slot->meaning, INDENT, INDENT);
    kds_text kind = {0};
    add_kind(k->slot, &kind);
    kds_text_addf(out, "%*s", INDENT, "");
    kds_text_add_wrapped(out, kds_text_string(&kind), INDENT, INDENT);
    kds_text_clear(&kind);
}

typedef struct named {
    const char *name, *meaning;
    bool is_taught; /* an objective that only a student can have */
} named;

static const named objectives[] = {
#define X(name, word, traits, meaning) {#word, meaning, ((traits)&KDS_OBJECTIVE_TAUGHT) != 0},
    KDS_OBJECTIVES(X)
#undef X
};
static const named decisions[] = {
#define X(name, word, meaning) {#word, meaning, false},
    KDS_DECISIONS(X)
#undef X
};
enum { N_OBJECTIVES = sizeof objectives / sizeof objectives[0], N_DECISIONS = sizeof decisions / sizeof decisions[0] };

static void text_list(kds_text *out, const char *title, const named *list, int n)
{
    enum { INDENT = 26 };
    kds_text_addf(out, "\n%s\n", title);
    for (int i = 0; i < n; i++) {
        kds_text meaning = {0};
        kds_text_addf(&meaning, "%s%s", list[i].meaning, list[i].is_taught ? "; student only" : "");
        kds_text_addf(out, "  %-*s", INDENT - 2, list[i].name);
        kds_text_add_wrapped(out, kds_text_string(&meaning), INDENT, INDENT);
        kds_text_clear(&meaning);
    }
}

void kds_grid_keys_to_text(kds_text *out)
{
    show_all(out, text_group, text_key);
    text_list(out, "objectives", objectives, N_OBJECTIVES);
    text_list(out, "decisions after training (measure.decisions)", decisions, N_DECISIONS);
}

static void markdown_group(kds_text *out, const char *path, size_t n)
{
    (void)out;
    (void)path;
    (void)n;
}

/* A bar would end the cell; < and > might be taken for HTML. */
static void add_cell(kds_text *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '|':
            kds_text_add(out, "\\|");
            break;
        case '<':
            kds_text_add(out, "&lt;");
            break;
        case '>':
            kds_text_add(out, "&gt;");
            break;
        default:
            kds_text_add_bytes(out, p, 1);
        }
    }
}

static void markdown_key(kds_text *out, const key *k)
{
    const kds_slot *slot = k->slot;
    kds_text allowed = {0};
    kds_slot_allowed_to_text(slot, &allowed);
    kds_text_addf(out, "| `%s`%s | ", k->path, slot->shared_path != NULL ? " (T, S)" : "");
    add_cell(out, slot->meaning);
    kds_text_add(out, " | ");
    add_cell(out, kds_text_string(&allowed));
    kds_text_addf(out, " | %s%s%s | %s | %s |\n", slot->default_text != NULL ? "`" : "",
                  slot->default_text != NULL ? slot->default_text : "must be given",
                  slot->default_text != NULL ? "`" : "", slot->sweepable ? "yes" : "no",
                  strcmp(slot->units, "1") != 0 ? slot->units : "");
    kds_text_clear(&allowed);
}

static void markdown_list(kds_text *out, const char *title, const named *list, int n)
{
    kds_text_addf(out, "\n| %s | meaning |\n|---|---|\n", title);
    for (int i = 0; i < n; i++) {
        kds_text_addf(out, "| `%s`%s | ", list[i].name, list[i].is_taught ? " (students)" : "");
        add_cell(out, list[i].meaning);
        kds_text_add(out, " |\n");
    }
}

void kds_grid_keys_to_markdown(kds_text *out)
{
    kds_text_add(out, "| key | meaning | allowed | default | list? | unit |\n|---|---|---|---|---|---|\n");
    show_all(out, markdown_group, markdown_key);
    kds_text_add(out, "\n(T, S): `teacher.` or `student.` in front of the key overrides it for one of the two.\n");
    markdown_list(out, "objective", objectives, N_OBJECTIVES);
    markdown_list(out, "decision after training", decisions, N_DECISIONS);
}
