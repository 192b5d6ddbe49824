/*
 * The table of keys: every row is complete, and every value survives being set, read, shown and hashed.
 */
#include <ctype.h>
#include <math.h>
#include <stddef.h>
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
    assert_true(n_slots > 0 && n_slots <= 160);
    int n_pairs = 0;
    int n_student = 0; /* recipe keys; those of distillation have no counterpart */
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
        n_student += s->offset >= offsetof(kds_trial_spec, student) &&
                     s->offset < offsetof(kds_trial_spec, student) + sizeof(kds_recipe);
        /* What is shared is shared by name: "teacher." or "student." + the shared path. */
        if (s->shared_path != NULL) {
            assert_string_equal(s->path + 8, s->shared_path);
        }
        /* A slot that decides or is checked must say so about the teacher's and the student's alike. */
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(s->path, slots[j].path);
            assert_string_not_equal(s->name, slots[j].name);
            assert_true(s->offset != slots[j].offset);
            const size_t of_teacher = offsetof(kds_trial_spec, teacher);
            if (slots[j].offset >= of_teacher && slots[j].offset < of_teacher + sizeof(kds_recipe) &&
                s->offset - offsetof(kds_trial_spec, student) == slots[j].offset - of_teacher) {
                assert_int_equal(s->decides, slots[j].decides);
                assert_int_equal(s->checked, slots[j].checked);
                assert_int_equal(s->type, slots[j].type);
                assert_int_equal(s->free_of_cost, slots[j].free_of_cost);
                assert_string_equal(s->path + 8, slots[j].path + 8);
                n_pairs++;
            }
        }
    }
    assert_true(n_pairs > 20 && n_pairs == n_student);
}

/* What a planner may leave out of account when it works out costs. */
static void costs_are_marked(void **state)
{
    (void)state;
    static const char *const free_ones[] = {
        "seed", "temperature", "student_lr", "teacher_norm_momentum", "student_norm_epsilon", "standardize"};
    static const char *const costly[] = {
        "student_model",          "student_shortcut",      "student_epochs", "augment_pad",
        "augment_flip",           "augmented_labels",      "mixing",         "cifar_labels",
        "teacher_robust_iterate", "student_robust_iterate"};
    for (size_t i = 0; i < sizeof free_ones / sizeof free_ones[0]; i++) {
        assert_true(slot_named(free_ones[i])->free_of_cost);
    }
    for (size_t i = 0; i < sizeof costly / sizeof costly[0]; i++) {
        assert_false(slot_named(costly[i])->free_of_cost);
    }
}

/* The words of the objectives, their numbers and what is told of them are one list. */
static void objectives_are_one_list(void **state)
{
    (void)state;
    static const char *const first[] = {"standard", "balanced", "robust", "tradeoff"}; /* their order is in results */
    const char *const *words = slot_named("student_objective")->choices;
    assert_ptr_equal(words, slot_named("teacher_objective")->choices);
    for (int32_t i = 0; i < KDS_N_OBJECTIVES; i++) {
        const kds_recipe recipe = {.objective = i};
        assert_string_equal(words[i], kds_objective_name(i));
        assert_true(i >= 4 || strcmp(words[i], first[i]) == 0);
        assert_true(strlen(kds_objective_meaning(i)) > 5);
        assert_int_equal(kds_recipe_has_multipliers(&recipe),
                         i == KDS_OBJECTIVE_ROBUST || i == KDS_OBJECTIVE_TRADEOFF || i == KDS_OBJECTIVE_GROUP_DRO);
    }
    assert_null(words[KDS_N_OBJECTIVES]);
    kds_recipe recipe = {.objective = KDS_OBJECTIVE_GROUP_DRO};
    assert_true(kds_recipe_validates(&recipe) && !kds_recipe_of_groups(&recipe));
    recipe.dro_learns = KDS_DRO_TRAINING;
    recipe.dro_groups = KDS_DRO_GROUPS;
    assert_true(!kds_recipe_validates(&recipe) && kds_recipe_of_groups(&recipe));
    recipe.objective = KDS_OBJECTIVE_ROBUST;
    assert_true(kds_recipe_validates(&recipe) && !kds_recipe_of_groups(&recipe));
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
        {"data_source", KDS_SOURCE_CIFAR10, "cifar10"},
        {"data_source", KDS_SOURCE_CIFAR100, "cifar100"},
        {"cifar_labels", KDS_CIFAR_FINE, "fine"},
        {"cifar_labels", KDS_CIFAR_COARSE, "coarse"},
        {"imbalance_profile", KDS_PROFILE_EXPONENTIAL, "exponential"},
        {"imbalance_profile", KDS_PROFILE_STEP, "step"},
        {"validation_from", KDS_VALIDATION_FROM_TEST, "test"},
        {"validation_from", KDS_VALIDATION_FROM_TRAIN, "train"},
        {"standardize", KDS_STANDARDIZE_NONE, "none"},
        {"standardize", KDS_STANDARDIZE_GLOBAL, "global"},
        {"standardize", KDS_STANDARDIZE_FEATURE, "feature"},
        {"standardize", KDS_STANDARDIZE_CHANNEL, "channel"},
        {"standardize", KDS_STANDARDIZE_HALF, "half"},
        {"teacher_shortcut", KDS_SHORTCUT_ZERO_PAD, "zero_pad"},
        {"student_shortcut", KDS_SHORTCUT_PROJECTION, "projection"},
        {"augmented_labels", KDS_AUGMENTED_LIVE, "live"},
        {"augmented_labels", KDS_AUGMENTED_CACHED, "cached"},
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
    assert_allowed("student_dro_groups", "\"class\" or \"group\"");
    assert_allowed("augmented_labels", "\"live\" or \"cached\"");
    assert_allowed("ada_per", "\"class\" or \"example\"");
    assert_allowed("student_robust_risk", "\"zero_one\" or \"cross_entropy\"");
    assert_allowed("individual_norm", "\"l1\", \"l2\" or \"maximum\"");
    assert_allowed("teacher_model", "a model, such as \"mlp:512-256\", \"lenet5\" or \"resnet20\"");
    assert_allowed("augment_pad", "a whole number >= 0 and <= 32");
    assert_allowed("augment_flip", "true or false");
    assert_allowed("student_norm_momentum", "a number > 0 and <= 1");
    assert_allowed("teacher_norm_epsilon", "a number >= 1e-12 and <= 1");
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
    assert_refused("augment_pad", (kds_value){.integer = 33}, "out of range");
    assert_refused("student_norm_momentum", (kds_value){.number = 0.0}, "out of range");
    assert_refused("student_norm_epsilon", (kds_value){.number = 1e-13}, "out of range");
    assert_true(kds_slot_accepts(slot_named("teacher_norm_epsilon"), (kds_value){.number = 1e-12}, NULL));
    assert_true(kds_slot_accepts(slot_named("student_norm_momentum"), (kds_value){.number = 1.0}, NULL));
    assert_refused("teacher_model", (kds_value){.text = "cnn"}, "not a model");
    assert_refused("student_model", (kds_value){.text = "resnet18"},
                   "not a model; take resnet14 or resnet20: a CIFAR residual network has depth 6k + 2");
    assert_true(kds_slot_accepts(slot_named("student_model"), (kds_value){.text = "resnet20x32"}, NULL));
    char path[KDS_PATH_CHARS + 1];
    memset(path, 'x', KDS_PATH_CHARS);
    path[KDS_PATH_CHARS] = '\0';
    assert_refused("data_path", (kds_value){.text = path}, "too long");
    path[KDS_PATH_CHARS - 1] = '\0';
    assert_true(kds_slot_accepts(slot_named("data_path"), (kds_value){.text = path}, NULL));
}

/* What the parser says about a text that is no model; it leaves nothing behind. */
static void assert_no_model(const char *model, const char *message)
{
    kds_model_name name = {.family = 77, .n_hidden = 77, .blocks = 77};
    const kds_model_name nothing = {0};
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_model_parse(model, &name, &err), KDS_GRID);
    assert_string_equal(err.message, message);
    assert_non_null(strstr(err.hint, "\"resnet20x32\""));
    assert_memory_equal(&name, &nothing, sizeof name);
}

static kds_model_name parsed(const char *model)
{
    kds_model_name name;
    memset(&name, 0x55, sizeof name);
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_model_parse(model, &name, &err), &err);
    return name;
}

static void mlps_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int n_layers;
        int32_t first, last;
    } good[] = {
        {"mlp", 0, 0, 0},
        {"mlp:", 0, 0, 0},
        {"mlp:512-256", 2, 512, 256},
        {"mlp:1", 1, 1, 1},
        {"mlp:65536", 1, 65536, 65536},
        {"mlp:1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", 16, 1, 16},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const kds_model_name name = parsed(good[i].model);
        assert_int_equal(name.family, KDS_FAMILY_MLP);
        assert_int_equal(name.n_hidden, good[i].n_layers);
        if (name.n_hidden > 0) {
            assert_int_equal(name.widths[0], good[i].first);
            assert_int_equal(name.widths[name.n_hidden - 1], good[i].last);
        }
        assert_int_equal(name.blocks, 0);
    }
    static const char *const bad[] = {"mlp:512-", "mlp:0",    "mlp:064",  "mlp:65537",
                                      "mlp:5 ",   "mlp:5--5", "mlp:5x32", "mlp:99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "\"%s\" is not a model: widths are numbers from 1 to 65536", bad[i]);
        assert_no_model(bad[i], message);
    }
    assert_no_model("mlp:1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17",
                    "\"mlp:1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17\" has more than 16 hidden layers");
    static const char *const unknown[] = {"", "ml", "cnn", "net20", "lenet5 ", "lenet5x2", "lenet4", "mlp512x"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "\"%s\" is not a model", unknown[i]);
        assert_no_model(unknown[i], message);
    }
}

static void networks_of_images_are_parsed(void **state)
{
    (void)state;
    assert_int_equal(parsed("lenet5").family, KDS_FAMILY_LENET5);
    static const struct {
        const char *model;
        int32_t blocks, width;
    } good[] = {
        {"resnet8", 1, 16},        {"resnet20", 3, 16},   {"resnet56", 9, 16},
        {"resnet110", 18, 16},     {"resnet218", 36, 16}, {"resnet20x32", 3, 32},
        {"resnet8x1024", 1, 1024}, {"resnet14x1", 2, 1},  {"resnet20x16", 3, 16},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const kds_model_name name = parsed(good[i].model);
        assert_int_equal(name.family, KDS_FAMILY_RESNET);
        assert_int_equal(name.blocks, good[i].blocks);
        assert_int_equal(name.width, good[i].width);
        assert_int_equal(name.n_hidden, 0);
    }
    /* Every depth from 8 to 218: right, or the two around it are named. */
    for (int depth = 8; depth <= 218; depth++) {
        char model[32];
        char message[160];
        snprintf(model, sizeof model, "resnet%d", depth);
        if (depth % 6 == 2) {
            assert_int_equal(6 * parsed(model).blocks + 2, depth);
        } else {
            const int below = depth - (depth + 4) % 6;
            snprintf(
                message, sizeof message,
                "\"resnet%d\" is not a model; take resnet%d or resnet%d: a CIFAR residual network has depth 6k + 2",
                depth, below, below + 6);
            assert_no_model(model, message);
        }
    }
    assert_no_model("resnet18", "\"resnet18\" is not a model; take resnet14 or resnet20: a CIFAR residual network has "
                                "depth 6k + 2");
    assert_no_model("resnet2",
                    "\"resnet2\" is not a model; take resnet8: a CIFAR residual network has depth 6k + 2, from "
                    "8 to 218");
    assert_no_model("resnet224",
                    "\"resnet224\" is not a model; take resnet218: a CIFAR residual network has depth 6k + 2, "
                    "from 8 to 218");
    static const char *const no_depth[] = {
        "resnet", "resnetx32", "resnet-19x", "resnet020", "resnet20 ", "resnet20-32", "resnet99999999999999999999"};
    for (size_t i = 0; i < sizeof no_depth / sizeof no_depth[0]; i++) {
        char message[160];
        snprintf(message, sizeof message, "\"%s\" is not a model: its depth is missing, as in resnet20 or resnet20x32",
                 no_depth[i]);
        assert_no_model(no_depth[i], message);
    }
    static const char *const no_width[] = {"resnet20x",     "resnet20x0",   "resnet20x032",
                                           "resnet20x1025", "resnet20x32x", "resnet20x3 "};
    for (size_t i = 0; i < sizeof no_width / sizeof no_width[0]; i++) {
        char message[160];
        snprintf(message, sizeof message,
                 "\"%s\" is not a model: behind the x stand the channels of its first stage, from 1 to 1024",
                 no_width[i]);
        assert_no_model(no_width[i], message);
    }
}

/* Spelt as others spell them, they are refused all the same (one network, one name), but the right name is said. */
static void other_spellings_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *model, *meant;
    } cases[] = {
        {"mlp512", "mlp:512"},     {"MLP:5", "mlp:5"},        {"mlp-64-32", "mlp:64-32"},     {"mlp: 5", "mlp:5"},
        {"mlp:-512", "mlp:512"},   {"lenet", "lenet5"},       {"LeNet-5", "lenet5"},          {"ResNet20", "resnet20"},
        {"resnet-20", "resnet20"}, {"RESNET_56", "resnet56"}, {"ResNet-20x32", "resnet20x32"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "\"%s\" is not a model; take %s", cases[i].model, cases[i].meant);
        assert_no_model(cases[i].model, message);
        parsed(cases[i].meant);
    }
}

/* Names of one network have one hash, and only those: what the parser makes of them decides. */
static void one_network_has_one_identity(void **state)
{
    (void)state;
    static const char *const models[] = {
        "mlp",     "mlp:",       "mlp:16",       "mlp:1",      "mlp:512-256", "mlp:256-512",   "mlp:16-16",
        "lenet5",  "resnet20",   "resnet20x16",  "resnet20x1", "resnet20x6",  "resnet20x116",  "resnet20x160",
        "resnet8", "resnet8x16", "resnet110x16", "resnet110",  "resnet14x20", "resnet218x1024"};
    const size_t n = sizeof models / sizeof models[0];
    const kds_slot *slot = slot_named("student_model");
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            kds_model_name a = parsed(models[i]), b = parsed(models[j]);
            const bool same = a.family == b.family && a.n_hidden == b.n_hidden && a.blocks == b.blocks &&
                              a.width == b.width &&
                              memcmp(a.widths, b.widths, (size_t)a.n_hidden * sizeof a.widths[0]) == 0;
            const bool same_hash = kds_slot_value_hash(slot, (kds_value){.text = models[i]}) ==
                                   kds_slot_value_hash(slot, (kds_value){.text = models[j]});
            assert_int_equal(same, same_hash);
        }
        kds_trial_spec spec = kds_trial_spec_default();
        kds_slot_set(slot, &spec, (kds_value){.text = models[i]});
        kds_trial_spec canonical = spec;
        kds_trial_spec_canonical(&canonical);
        assert_true(kds_trial_id(&spec) == kds_trial_id(&canonical));
        for (size_t j = 0; j < i; j++) { /* one network, one spec */
            kds_trial_spec other = kds_trial_spec_default();
            kds_slot_set(slot, &other, (kds_value){.text = models[j]});
            const bool same = kds_trial_id(&spec) == kds_trial_id(&other);
            kds_trial_spec_canonical(&other);
            assert_int_equal(same, memcmp(&canonical, &other, sizeof other) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(costs_are_marked),
        cmocka_unit_test(objectives_are_one_list),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(defaults_are_accepted),
        cmocka_unit_test(choices_are_in_order),
        cmocka_unit_test(set_changes_its_field_only),
        cmocka_unit_test(values_as_text),
        cmocka_unit_test(what_is_allowed),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(mlps_are_parsed),
        cmocka_unit_test(networks_of_images_are_parsed),
        cmocka_unit_test(other_spellings_are_understood),
        cmocka_unit_test(one_network_has_one_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
