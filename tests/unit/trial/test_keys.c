/*
 * The table of keys: every row is complete, and every value survives being set, read, shown and hashed.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/trial.h"

static const kds_slot *slot_named(const char *name)
{
    int n_slots;
    const int i = kds_slot_find(name);
    assert_true(i >= 0);
    return &kds_slots(&n_slots)[i];
}

static void assert_text(const kds_slot *slot, kds_value value, bool quoted, const char *expected)
{
    kds_text text = {0};
    kds_slot_value_to_text(slot, value, quoted, &text);
    assert_string_equal(kds_text_string(&text), expected);
    kds_text_clear(&text);
}

static void rows_are_complete(void **state)
{
    (void)state;
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    assert_true(n_slots > 0 && n_slots <= 96);
    for (int i = 0; i < n_slots; i++) {
        const kds_slot *s = &slots[i];
        assert_non_null(s->path);
        assert_non_null(s->name);
        assert_non_null(s->meaning);
        assert_true(strlen(s->meaning) > 5 && s->meaning[strlen(s->meaning) - 1] != '.');
        assert_non_null(s->units);
        assert_true(s->size > 0 && s->offset + s->size <= sizeof(kds_trial_spec));
        assert_int_equal(s->type == KDS_KEY_CHOICE, s->choices != NULL);
        assert_int_equal(s->type == KDS_KEY_NUMBERS, s->count_offset != 0);
        if (s->type == KDS_KEY_INT || s->type == KDS_KEY_NUMBER) {
            assert_true(s->minimum < s->maximum);
        }
        if (s->type == KDS_KEY_INT && s->size == sizeof(int32_t)) {
            assert_true(s->maximum <= 2147483647.0);
        }
        for (const char *c = s->name; *c != '\0'; c++) {
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        }
        /* What is shared is shared by name: "teacher." or "student." + the shared path. */
        if (s->shared_path != NULL) {
            assert_string_equal(s->path + 8, s->shared_path);
        }
        /* A slot that decides or is checked must say so about the teacher's and the student's alike. */
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(s->path, slots[j].path);
            assert_string_not_equal(s->name, slots[j].name);
            assert_true(s->offset != slots[j].offset);
            if (s->shared_path != NULL && slots[j].shared_path != NULL &&
                strcmp(s->shared_path, slots[j].shared_path) == 0) {
                assert_int_equal(s->decides, slots[j].decides);
                assert_int_equal(s->checked, slots[j].checked);
                assert_int_equal(s->type, slots[j].type);
            }
        }
    }
}

static void names_are_found(void **state)
{
    (void)state;
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < n_slots; i++) {
        assert_int_equal(kds_slot_find(slots[i].name), i);
    }
    assert_int_equal(kds_slot_find("no_such_key"), -1);
    assert_int_equal(kds_slot_find(""), -1);
    static const char *const contract[] = {"seed",        "teacher_objective", "student_objective",
                                           "temperature", "imbalance_ratio",   "teacher_model",
                                           "student_lr",  "teacher_seed",      NULL};
    for (int i = 0; contract[i] != NULL; i++) {
        assert_true(kds_slot_find(contract[i]) >= 0);
    }
}

static void defaults_are_accepted(void **state)
{
    (void)state;
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    const kds_trial_spec spec = kds_trial_spec_default();
    for (int i = 0; i < n_slots; i++) {
        if (slots[i].default_text != NULL) {
            const kds_value value = kds_slot_get(&slots[i], &spec);
            assert_true(kds_slot_accepts(&slots[i], value, NULL));
            if (strcmp(slots[i].default_text, "1e-4") == 0) {
                assert_true(value.number == 1e-4);
            } else {
                assert_text(&slots[i], value, true, slots[i].default_text);
            }
        }
    }
    assert_int_equal(spec.role, KDS_ROLE_STUDENT);
    assert_int_equal(spec.student.epochs, 30);
    assert_int_equal(spec.teacher.schedule, KDS_SCHEDULE_COSINE);
}

/* Words of the choices are in the order of their enums. */
static void choices_are_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int value;
        const char *word;
    } all[] = {
        {"data_source", KDS_SOURCE_IDX, "idx"},
        {"data_source", KDS_SOURCE_HDF5, "hdf5"},
        {"data_source", KDS_SOURCE_GAUSSIANS, "gaussians"},
        {"imbalance_profile", KDS_PROFILE_EXPONENTIAL, "exponential"},
        {"imbalance_profile", KDS_PROFILE_STEP, "step"},
        {"validation_from", KDS_VALIDATION_FROM_TEST, "test"},
        {"validation_from", KDS_VALIDATION_FROM_TRAIN, "train"},
        {"standardize", KDS_STANDARDIZE_NONE, "none"},
        {"standardize", KDS_STANDARDIZE_GLOBAL, "global"},
        {"standardize", KDS_STANDARDIZE_FEATURE, "feature"},
        {"student_objective", KDS_OBJECTIVE_STANDARD, "standard"},
        {"student_objective", KDS_OBJECTIVE_BALANCED, "balanced"},
        {"student_objective", KDS_OBJECTIVE_ROBUST, "robust"},
        {"teacher_objective", KDS_OBJECTIVE_TRADEOFF, "tradeoff"},
        {"teacher_schedule", KDS_SCHEDULE_CONSTANT, "constant"},
        {"teacher_schedule", KDS_SCHEDULE_STEP, "step"},
        {"teacher_schedule", KDS_SCHEDULE_COSINE, "cosine"},
        {"teacher_robust_risk", KDS_RISK_ZERO_ONE, "zero_one"},
        {"teacher_robust_risk", KDS_RISK_CROSS_ENTROPY, "cross_entropy"},
        {"teacher_robust_iterate", KDS_ITERATE_LAST, "last"},
        {"teacher_robust_iterate", KDS_ITERATE_AVERAGED, "averaged"},
        {"validation_labels", KDS_LABELS_ONE_HOT, "one_hot"},
        {"validation_labels", KDS_LABELS_TEACHER, "teacher"},
        {"tempered", KDS_TEMPERED_TEACHER, "teacher"},
        {"tempered", KDS_TEMPERED_BOTH, "both"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_string_equal(slot_named(all[i].name)->choices[all[i].value], all[i].word);
    }
}

/* Some value of the slot that is not its default. */
static kds_value other_value(const kds_slot *slot, const kds_trial_spec *spec)
{
    static const double numbers[] = {3.0, 7.5};
    kds_value value = kds_slot_get(slot, spec);
    switch (slot->type) {
    case KDS_KEY_BOOL:
        value.integer = !value.integer;
        break;
    case KDS_KEY_INT:
        value.integer += 3;
        break;
    case KDS_KEY_CHOICE:
        value.integer = value.integer == 0 ? 1 : 0;
        break;
    case KDS_KEY_NUMBER:
        value.number = value.number / 2 + 0.125;
        break;
    case KDS_KEY_TEXT:
        value.text = "mlp:7";
        break;
    case KDS_KEY_NUMBERS:
        value.numbers.items = numbers;
        value.numbers.n_items = 2;
        break;
    }
    return value;
}

static void set_changes_its_field_only(void **state)
{
    (void)state;
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    const kds_trial_spec before = kds_trial_spec_default();
    for (int i = 0; i < n_slots; i++) {
        kds_trial_spec spec = before;
        const kds_value value = other_value(&slots[i], &before);
        kds_slot_set(&slots[i], &spec, value);
        const uint64_t hash = kds_slot_value_hash(&slots[i], value);
        assert_true(kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], &spec)) == hash);
        assert_true(kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], &before)) != hash);
        for (int j = 0; j < n_slots; j++) {
            const bool same = kds_slot_value_hash(&slots[j], kds_slot_get(&slots[j], &spec)) ==
                              kds_slot_value_hash(&slots[j], kds_slot_get(&slots[j], &before));
            assert_int_equal(same, i != j);
        }
        kds_slot_set(&slots[i], &spec, kds_slot_get(&slots[i], &before));
        assert_memory_equal(&spec, &before, sizeof spec);
    }
}

static void values_as_text(void **state)
{
    (void)state;
    static const double milestones[] = {10.0, 20.5};
    const kds_slot *list = slot_named("student_milestones");
    assert_text(list, (kds_value){.numbers = {milestones, 2}}, true, "[10, 20.5]");
    assert_text(slot_named("seed"), (kds_value){.integer = 9007199254740991}, true, "9007199254740991");
    assert_text(slot_named("temperature"), (kds_value){.number = 4.5}, true, "4.5");
    assert_text(slot_named("student_objective"), (kds_value){.integer = 2}, true, "\"robust\"");
    assert_text(slot_named("student_objective"), (kds_value){.integer = 2}, false, "robust");
    assert_text(slot_named("t_squared"), (kds_value){.integer = 1}, false, "true");
    assert_text(slot_named("data_path"), (kds_value){.text = "a\"b\\c\nd"}, true, "\"a\\\"b\\\\c\\x0ad\"");
    assert_text(slot_named("data_path"), (kds_value){.text = "a\"b"}, false, "a\"b");
}

static void assert_allowed(const char *name, const char *expected)
{
    kds_text text = {0};
    kds_slot_allowed_to_text(slot_named(name), &text);
    assert_string_equal(kds_text_string(&text), expected);
    kds_text_clear(&text);
}

static void what_is_allowed(void **state)
{
    (void)state;
    assert_allowed("student_lr", "a number > 0 and <= 1000");
    assert_allowed("student_momentum", "a number >= 0 and < 1");
    assert_allowed("validation_fraction", "a number > 0 and < 1");
    assert_allowed("student_epochs", "a whole number >= 1 and <= 1000000");
    assert_allowed("t_squared", "true or false");
    assert_allowed("tempered", "\"teacher\" or \"both\"");
    assert_allowed("student_objective", "\"standard\", \"balanced\", \"robust\" or \"tradeoff\"");
    assert_allowed("teacher_model", "a model, such as \"mlp:512-256\" or \"mlp\"");
    assert_allowed("data_path", "a text of at most 511 bytes");
    assert_allowed("student_milestones", "an ascending list of at most 8 numbers > 0 and <= 1000000");
}

static void assert_refused(const char *name, kds_value value, const char *why)
{
    kds_text words = {0};
    assert_false(kds_slot_accepts(slot_named(name), value, &words));
    assert_string_equal(kds_text_string(&words), why);
    kds_text_clear(&words);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const double nine[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const double falling[] = {2, 1};
    assert_refused("student_lr", (kds_value){.number = 0.0}, "out of range");
    assert_refused("student_lr", (kds_value){.number = (double)NAN}, "out of range");
    assert_refused("student_lr", (kds_value){.number = (double)INFINITY}, "out of range");
    assert_refused("student_momentum", (kds_value){.number = 1.0}, "out of range");
    assert_refused("seed", (kds_value){.integer = -1}, "out of range");
    assert_refused("seed", (kds_value){.integer = INT64_MAX}, "out of range");
    assert_refused("student_epochs", (kds_value){.integer = 0}, "out of range");
    assert_refused("student_milestones", (kds_value){.numbers = {nine, 9}}, "too many numbers");
    assert_refused("student_milestones", (kds_value){.numbers = {falling, 2}}, "not ascending");
    assert_refused("teacher_model", (kds_value){.text = "resnet"}, "not a model");
    char path[KDS_PATH_CHARS + 1];
    memset(path, 'x', KDS_PATH_CHARS);
    path[KDS_PATH_CHARS] = '\0';
    assert_refused("data_path", (kds_value){.text = path}, "too long");
    path[KDS_PATH_CHARS - 1] = '\0';
    assert_true(kds_slot_accepts(slot_named("data_path"), (kds_value){.text = path}, NULL));
}

static void models_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int n_layers; /* -1: refused */
        int32_t first, last;
    } cases[] = {
        {"mlp", 0, 0, 0},
        {"mlp:", 0, 0, 0},
        {"mlp:512-256", 2, 512, 256},
        {"mlp:1", 1, 1, 1},
        {"mlp:65536", 1, 65536, 65536},
        {"", -1, 0, 0},
        {"ml", -1, 0, 0},
        {"mlp512", -1, 0, 0},
        {"mlp:512-", -1, 0, 0},
        {"mlp:-512", -1, 0, 0},
        {"mlp:0", -1, 0, 0},
        {"mlp:064", -1, 0, 0},
        {"mlp:65537", -1, 0, 0},
        {"mlp: 5", -1, 0, 0},
        {"mlp:5 ", -1, 0, 0},
        {"mlp:5--5", -1, 0, 0},
        {"MLP:5", -1, 0, 0},
        {"mlp:99999999999999999999", -1, 0, 0},
        {"mlp:1-2-3-4-5", -1, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t widths[4] = {0};
        int n = -7;
        kds_error err = KDS_ERROR_INIT;
        const kds_status status = kds_model_parse(cases[i].model, widths, 4, &n, &err);
        if (cases[i].n_layers < 0) {
            assert_int_equal(status, KDS_GRID);
            assert_int_equal(n, 0);
            assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
        } else {
            KDS_TEST_OK(status, &err);
            assert_int_equal(n, cases[i].n_layers);
            if (n > 0) {
                assert_int_equal(widths[0], cases[i].first);
                assert_int_equal(widths[n - 1], cases[i].last);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(defaults_are_accepted),
        cmocka_unit_test(choices_are_in_order),
        cmocka_unit_test(set_changes_its_field_only),
        cmocka_unit_test(values_as_text),
        cmocka_unit_test(what_is_allowed),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(models_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
