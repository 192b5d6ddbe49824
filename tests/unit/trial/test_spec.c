/*
 * Identity: exactly the keys with an effect count, equal meaning gives equal ids, and no id changes by accident.
 */
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

static kds_trial_spec example(kds_role role)
{
    kds_trial_spec spec = kds_trial_spec_default();
    spec.role = (int32_t)role;
    spec.seed = 3;
    spec.data.source = KDS_SOURCE_GAUSSIANS;
    strcpy(spec.teacher.model, "mlp:512-256");
    strcpy(spec.student.model, "mlp:64");
    return spec;
}

static bool applies(const char *name, const kds_trial_spec *spec)
{
    return kds_slot_applies(kds_slot_find(name), spec);
}

/* If one of these fails, identities have changed and finished sweeps cannot be resumed. Was that wanted? Then raise
 * KDS_NUMERICS_VERSION, and note the new numbers here. */
static void ids_are_stable(void **state)
{
    (void)state;
    kds_trial_spec spec = example(KDS_ROLE_TEACHER);
    assert_true(kds_trial_id(&spec) == 0x4576ad12ab2c306du);
    spec = example(KDS_ROLE_BASELINE);
    assert_true(kds_trial_id(&spec) == 0x54641e2d03f442c9u);
    spec = example(KDS_ROLE_STUDENT);
    assert_true(kds_trial_id(&spec) == 0x26379b2a122e195cu);
    spec.distill.temperature = 4.0;
    spec.student.objective = KDS_OBJECTIVE_TRADEOFF;
    spec.distill.validation_labels = KDS_LABELS_TEACHER;
    spec.student.schedule = KDS_SCHEDULE_STEP;
    spec.student.n_milestones = 2;
    spec.student.milestones[0] = 10.0;
    spec.student.milestones[1] = 20.0;
    spec.data.source = KDS_SOURCE_IDX;
    spec.data.imbalance_ratio = 100.0;
    assert_true(kds_trial_id(&spec) == 0x02430b0ff9a15f5cu);
    spec.data.source = KDS_SOURCE_CIFAR100;
    strcpy(spec.student.model, "resnet20x32");
    spec.data.augment_pad = 2;
    spec.data.augment_flip = 1;
    assert_true(kds_trial_id(&spec) == 0x6aa339fa1613fe8fu);
    char text[KDS_ID_CHARS];
    assert_string_equal(kds_trial_id_to_text(0x00ab, text), "00000000000000ab");
}

/* Each role: which keys have an effect in the plainest trial. */
static void roles_know_their_keys(void **state)
{
    (void)state;
    const kds_trial_spec teacher = example(KDS_ROLE_TEACHER);
    const kds_trial_spec student = example(KDS_ROLE_STUDENT);
    const kds_trial_spec baseline = example(KDS_ROLE_BASELINE);
    static const struct {
        const char *name;
        bool teacher, student, baseline;
    } all[] = {
        {"seed", true, true, true},
        {"teacher_seed", false, true, false},
        {"data_source", true, true, true},
        {"data_path", false, false, false},
        {"imbalance_ratio", true, true, true},
        {"imbalance_profile", false, false, false}, /* ratio 1 */
        {"cifar_labels", false, false, false},      /* other data */
        {"augment_pad", true, true, true},
        {"augment_flip", true, true, true},
        {"teacher_shortcut", false, false, false}, /* no residual network */
        {"student_norm_epsilon", false, false, false},
        {"augmented_labels", false, false, false}, /* nothing is augmented */
        {"gaussian_seed", true, true, true},
        {"teacher_model", true, true, false},
        {"student_model", false, true, true},
        {"teacher_robust_step", false, false, false},
        {"student_tradeoff", false, false, false},
        {"student_nesterov", false, true, true},
        {"student_decay_biases", false, true, true},
        {"student_milestones", false, false, false},
        {"temperature", false, true, false},
        {"mixing", false, true, false},
        {"tempered", false, false, false}, /* T = 1 */
        {"t_squared", false, false, false},
        {"validation_labels", false, false, false},
        {"validation_temperature", false, false, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(applies(all[i].name, &teacher), all[i].teacher);
        assert_int_equal(applies(all[i].name, &student), all[i].student);
        assert_int_equal(applies(all[i].name, &baseline), all[i].baseline);
    }
}

static void keys_wake_each_other(void **state)
{
    (void)state;
    kds_trial_spec s = example(KDS_ROLE_STUDENT);
    s.distill.temperature = 2.0;
    assert_true(applies("tempered", &s));
    assert_false(applies("t_squared", &s));
    s.distill.tempered = KDS_TEMPERED_BOTH;
    assert_true(applies("t_squared", &s));
    s.distill.mixing = 0.0;
    assert_false(applies("temperature", &s));
    assert_false(applies("tempered", &s));
    assert_false(applies("t_squared", &s));
    assert_true(applies("mixing", &s));

    s = example(KDS_ROLE_STUDENT);
    s.student.objective = KDS_OBJECTIVE_ROBUST;
    assert_true(applies("student_robust_step", &s));
    assert_false(applies("teacher_robust_step", &s));
    assert_false(applies("student_tradeoff", &s));
    assert_true(applies("validation_labels", &s));
    assert_false(applies("validation_temperature", &s));
    s.distill.validation_labels = KDS_LABELS_TEACHER;
    assert_true(applies("validation_temperature", &s));
    s.role = KDS_ROLE_BASELINE;
    assert_true(applies("student_robust_step", &s));
    assert_false(applies("validation_labels", &s));
    s.student.objective = KDS_OBJECTIVE_TRADEOFF;
    assert_true(applies("student_tradeoff", &s));
    assert_true(applies("student_robust_step", &s));

    s.student.schedule = KDS_SCHEDULE_STEP;
    assert_true(applies("student_milestones", &s) && applies("student_lr_decay", &s));
    s.student.momentum = 0.0;
    assert_false(applies("student_nesterov", &s));
    s.student.weight_decay = 0.0;
    assert_false(applies("student_decay_biases", &s));
    s.data.imbalance_ratio = 10.0;
    assert_true(applies("imbalance_profile", &s));
    s.data.source = KDS_SOURCE_IDX;
    assert_false(applies("gaussian_seed", &s));
    assert_false(applies("cifar_labels", &s));
    s.data.source = KDS_SOURCE_CIFAR10;
    assert_false(applies("cifar_labels", &s));
    s.data.source = KDS_SOURCE_CIFAR100;
    assert_true(applies("cifar_labels", &s));

    /* Keys of objectives: each recipe asks its own. */
    static const struct {
        int objective;
        const char *names[4];
    } of_objective[] = {
        {KDS_OBJECTIVE_LOGIT_ADJUSTED, {"tau"}},
        {KDS_OBJECTIVE_CLASS_BALANCED, {"beta", "reweight_from"}},
        {KDS_OBJECTIVE_LABEL_SMOOTHING, {"smoothing"}},
        {KDS_OBJECTIVE_FOCAL, {"focal_gamma"}},
        {KDS_OBJECTIVE_LDAM, {"ldam_margin", "ldam_scale", "beta", "reweight_from"}},
        {KDS_OBJECTIVE_GROUP_DRO, {"dro_groups", "dro_learns", "dro_adjustment", "robust_step"}},
        {KDS_OBJECTIVE_CVAR, {"cvar_fraction"}},
        {KDS_OBJECTIVE_BALANCED_KD, {"beta", "reweight_from"}},
    };
    for (size_t i = 0; i < sizeof of_objective / sizeof of_objective[0]; i++) {
        for (int k = 0; k < 4 && of_objective[i].names[k]; k++) {
            char name[64];
            snprintf(name, sizeof name, "student_%s", of_objective[i].names[k]);
            s = example(KDS_ROLE_STUDENT);
            assert_false(applies(name, &s));
            s.student.objective = of_objective[i].objective;
            assert_true(applies(name, &s));
            snprintf(name, sizeof name, "teacher_%s", of_objective[i].names[k]);
            assert_false(applies(name, &s));
        }
    }
    s = example(KDS_ROLE_STUDENT);
    s.student.objective = KDS_OBJECTIVE_GROUP_DRO;
    assert_true(applies("student_robust_every", &s) && !applies("validation_labels", &s));
    s.student.dro_learns = KDS_DRO_TRAINING;
    assert_true(!applies("student_robust_every", &s) && applies("student_robust_step", &s));

    /* And those of what a student does with its teacher. */
    s = example(KDS_ROLE_STUDENT);
    s.distill.temperature = 4;
    s.student.objective = KDS_OBJECTIVE_ADA_ALPHA;
    assert_true(applies("ada_scale", &s) && applies("ada_from", &s) && applies("tempered", &s));
    assert_true(!applies("mixing", &s) && !applies("one_hot_weight", &s));
    s.distill.ada_per = KDS_ADA_EXAMPLE;
    assert_false(applies("ada_from", &s));
    s.student.objective = KDS_OBJECTIVE_DKD;
    assert_true(applies("dkd_alpha", &s) && applies("temperature", &s) && !applies("tempered", &s));
    assert_true(!applies("dist_inter", &s) && !applies("ada_scale", &s) && applies("one_hot_weight", &s));
    s.distill.mixing = 0;
    assert_false(applies("dkd_alpha", &s));
    static const struct {
        int objective;
        const char *name;
        bool without_weight; /* of the teacher's labels */
    } of_labels[] = {
        {KDS_OBJECTIVE_ADA_MARGIN, "ada_scale", false},
        {KDS_OBJECTIVE_ADA_MARGIN, "ada_from", false},
        {KDS_OBJECTIVE_ADA_MARGIN, "ada_temperature", false},
        {KDS_OBJECTIVE_ADA_ALPHA, "ada_scale", true},
        {KDS_OBJECTIVE_ADA_ALPHA, "ada_from", true},
        {KDS_OBJECTIVE_ADA_ALPHA, "ada_temperature", true},
        {KDS_OBJECTIVE_BALANCED_KD, "student_beta", false},
        {KDS_OBJECTIVE_BALANCED_KD, "student_reweight_from", false},
        {KDS_OBJECTIVE_CLASS_BALANCED, "student_beta", true},
        {KDS_OBJECTIVE_LDAM, "student_reweight_from", true},
    };
    for (size_t i = 0; i < sizeof of_labels / sizeof of_labels[0]; i++) {
        s = example(KDS_ROLE_STUDENT);
        s.student.objective = of_labels[i].objective;
        assert_true(applies(of_labels[i].name, &s));
        s.distill.mixing = 0;
        assert_int_equal(applies(of_labels[i].name, &s), of_labels[i].without_weight);
        s.role = KDS_ROLE_BASELINE;
        bool is_taught = (kds_objective_traits(of_labels[i].objective) & KDS_OBJECTIVE_TAUGHT) != 0;
        assert_int_equal(applies(of_labels[i].name, &s), !is_taught);
    }
    for (int i = 0; i < 2; i++) {
        s = example(KDS_ROLE_TEACHER);
        s.teacher.objective = i == 0 ? KDS_OBJECTIVE_CLASS_BALANCED : KDS_OBJECTIVE_LDAM;
        assert_true(applies("teacher_beta", &s));
        s.role = KDS_ROLE_STUDENT;
        s.distill.mixing = 0;
        assert_true(applies("teacher_beta", &s) && !applies("student_beta", &s));
    }
    s.student.objective = KDS_OBJECTIVE_DKD;
    s.role = KDS_ROLE_BASELINE; /* settled: standard */
    kds_trial_spec_settle(&s);
    assert_int_equal(s.student.objective, KDS_OBJECTIVE_STANDARD);

    /* Keys of residual networks: each recipe asks its own model. */
    static const char *const of_resnet[] = {"shortcut", "norm_momentum", "norm_epsilon"};
    for (int i = 0; i < 3; i++) {
        char teacher[64];
        char student[64];
        snprintf(teacher, sizeof teacher, "teacher_%s", of_resnet[i]);
        snprintf(student, sizeof student, "student_%s", of_resnet[i]);
        s = example(KDS_ROLE_STUDENT);
        strcpy(s.student.model, "resnet20x32");
        assert_true(applies(student, &s) && !applies(teacher, &s));
        strcpy(s.student.model, "lenet5");
        strcpy(s.teacher.model, "resnet8");
        assert_true(!applies(student, &s) && applies(teacher, &s));
        s.role = KDS_ROLE_TEACHER;
        assert_true(!applies(student, &s) && applies(teacher, &s));
        s.role = KDS_ROLE_BASELINE;
        assert_true(!applies(student, &s) && !applies(teacher, &s));
    }
}

/* What the teacher sees matters when something is augmented and its labels have a weight. */
static void augmentation_wakes_the_labels(void **state)
{
    (void)state;
    for (int pad = 0; pad < 2; pad++) {
        for (int flip = 0; flip < 2; flip++) {
            for (int mixed = 0; mixed < 2; mixed++) {
                kds_trial_spec s = example(KDS_ROLE_STUDENT);
                s.data.source = KDS_SOURCE_IDX;
                s.data.augment_pad = 2 * pad;
                s.data.augment_flip = flip;
                s.distill.mixing = 0.25 * mixed;
                assert_int_equal(applies("augmented_labels", &s), mixed && (pad || flip));
                kds_trial_spec cached = s;
                cached.distill.augmented_labels = KDS_AUGMENTED_CACHED;
                assert_int_equal(kds_trial_id(&cached) != kds_trial_id(&s), mixed && (pad || flip));
                s.role = KDS_ROLE_TEACHER; /* its own training images are augmented, but it has no teacher */
                assert_false(applies("augmented_labels", &s));
                assert_true(applies("augment_pad", &s));
                s.role = KDS_ROLE_BASELINE;
                assert_false(applies("augmented_labels", &s));
                assert_true(applies("augment_flip", &s));
            }
        }
    }
}

static void equal_meaning_equal_id(void **state)
{
    (void)state;
    kds_trial_spec a = example(KDS_ROLE_STUDENT);
    kds_trial_spec b = a;
    strcpy(b.data.path, "/somewhere/else");
    assert_true(kds_trial_id(&a) == kds_trial_id(&b));
    b.teacher_seed = b.seed; /* what -1 means */
    assert_true(kds_trial_id(&a) == kds_trial_id(&b));
    b.teacher_seed = b.seed + 1;
    assert_true(kds_trial_id(&a) != kds_trial_id(&b));

    a.student.objective = KDS_OBJECTIVE_ROBUST;
    a.distill.validation_labels = KDS_LABELS_TEACHER;
    a.distill.temperature = 3.0;
    b = a;
    b.distill.validation_temperature = 3.0; /* what 0 means */
    assert_true(kds_trial_id(&a) == kds_trial_id(&b));
    b.distill.validation_temperature = 1.0;
    assert_true(kds_trial_id(&a) != kds_trial_id(&b));

    /* a = 0 is the balanced risk, but the objectives stay different trials; so does a student that ignores its teacher. */
    a = example(KDS_ROLE_STUDENT);
    b = a;
    a.student.objective = KDS_OBJECTIVE_TRADEOFF;
    a.student.tradeoff = 0.0;
    b.student.objective = KDS_OBJECTIVE_BALANCED;
    assert_true(kds_trial_id(&a) != kds_trial_id(&b));
    a = example(KDS_ROLE_STUDENT);
    a.distill.mixing = 0.0;
    b = kds_trial_baseline_of(&a);
    assert_true(kds_trial_id(&a) != kds_trial_id(&b));
}

/* A small generator of specs: each slot gets one of a few values, so that combinations of all rules are met. */
static uint64_t next_random(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33;
}

static void randomise(kds_trial_spec *spec, uint64_t *random)
{
    static const double numbers[] = {0.0, 0.5, 1.0};
    static const char *const texts[] = {"mlp:8", "resnet8", "lenet5"};
    static const double list[] = {1.0, 2.0};
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    *spec = kds_trial_spec_default();
    spec->role = (int32_t)(next_random(random) % KDS_N_ROLES);
    for (int i = 0; i < n_slots; i++) {
        kds_value value = {0};
        const unsigned pick = (unsigned)(next_random(random) % 3);
        switch (slots[i].type) {
        case KDS_KEY_BOOL:
            value.integer = pick % 2;
            break;
        case KDS_KEY_INT:
            value.integer = (int64_t)slots[i].minimum + pick;
            break;
        case KDS_KEY_CHOICE: {
            int n = 0;
            while (slots[i].choices[n] != NULL) {
                n++;
            }
            value.integer = (int64_t)(next_random(random) % (unsigned)n);
            break;
        }
        case KDS_KEY_NUMBER:
            value.number = slots[i].minimum_excluded && pick == 0 ? 0.25 : numbers[pick];
            break;
        case KDS_KEY_TEXT:
            value.text = texts[pick];
            break;
        case KDS_KEY_NUMBERS:
            value.numbers.items = list;
            value.numbers.n_items = (int32_t)pick;
            break;
        }
        kds_slot_set(&slots[i], spec, value);
    }
}

/* A key that applies changes the id; one that does not leaves it alone - whatever the other keys are. */
static void exactly_the_keys_that_apply_count(void **state)
{
    (void)state;
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    uint64_t random = 1;
    for (int i_spec = 0; i_spec < 1000; i_spec++) {
        kds_trial_spec a;
        kds_trial_spec b;
        randomise(&a, &random);
        randomise(&b, &random);
        kds_trial_spec_settle(&a);
        b.role = a.role;
        kds_trial_spec_settle(&b);
        for (int i = 0; i < n_slots; i++) {
            kds_trial_spec c = a;
            kds_slot_set(&slots[i], &c, kds_slot_get(&slots[i], &b));
            const bool same_value = kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], &a)) ==
                                    kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], &b));
            if (!kds_slot_applies(i, &a) || same_value) {
                assert_true(kds_trial_id(&c) == kds_trial_id(&a));
            } else {
                assert_true(kds_trial_id(&c) != kds_trial_id(&a));
            }
            /* Only keys that are marked so change what applies. */
            for (int j = 0; !slots[i].decides && j < n_slots; j++) {
                assert_int_equal(kds_slot_applies(j, &a), kds_slot_applies(j, &c));
            }
        }
    }
}

/* What settling does to a slot is known from this slot alone, or the slots that it depends on are marked: a planner that walks from value to
 * value adds the hashes of those that are not, as they stand. The seeds are the exception that plan.c knows of. */
static void only_deciding_slots_stand_for_others(void **state)
{
    (void)state;
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    const int seed = kds_slot_find("seed"), teacher_seed = kds_slot_find("teacher_seed");
    bool is_settled[256] = {false};
    assert_true(n_slots <= 256);
    uint64_t random = 4;
    for (int i_spec = 0; i_spec < 1000; i_spec++) {
        kds_trial_spec a;
        kds_trial_spec b;
        randomise(&a, &random);
        randomise(&b, &random);
        a.role = KDS_ROLE_STUDENT;
        a.distill.one_hot_weight = i_spec % 2 ? -1 : a.distill.one_hot_weight;
        kds_trial_spec settled = a;
        kds_trial_spec_settle(&settled);
        for (int i = 0; i < n_slots; i++) {
            const uint64_t raw = kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], &a));
            const bool changes = raw != kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], &settled));
            is_settled[i] = is_settled[i] || changes;
            assert_true(!changes || slots[i].decides || i == teacher_seed);
            kds_trial_spec c = a;
            kds_slot_set(&slots[i], &c, kds_slot_get(&slots[i], &b));
            kds_trial_spec_settle(&c);
            for (int j = 0; !slots[i].decides && j < n_slots; j++) {
                assert_true(j == i || (i == seed && j == teacher_seed) ||
                            kds_slot_value_hash(&slots[j], kds_slot_get(&slots[j], &c)) ==
                                kds_slot_value_hash(&slots[j], kds_slot_get(&slots[j], &settled)));
            }
        }
    }
    static const char *const names[] = {"teacher_seed", "one_hot_weight", "validation_temperature", "ada_temperature"};
    for (int i = 0; i < 4; i++) {
        assert_true(is_settled[kds_slot_find(names[i])]);
    }
}

static void canonical_keeps_the_id(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (int i = 0; i < 2000; i++) {
        kds_trial_spec spec;
        randomise(&spec, &random);
        kds_trial_spec canonical = spec;
        kds_trial_spec_canonical(&canonical);
        assert_true(kds_trial_id(&canonical) == kds_trial_id(&spec));
        assert_string_equal(canonical.data.path, spec.data.path);
        kds_trial_spec again = canonical;
        kds_trial_spec_canonical(&again);
        assert_memory_equal(&again, &canonical, sizeof again);
    }
}

/* Students of one teacher agree on it, whatever they are themselves. */
static void a_teacher_is_shared(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int i = 0; i < 500; i++) {
        kds_trial_spec a;
        kds_trial_spec b;
        randomise(&a, &random);
        randomise(&b, &random);
        a.role = KDS_ROLE_STUDENT;
        kds_trial_spec_settle(&a);
        b.role = KDS_ROLE_STUDENT;
        b.data = a.data;
        b.teacher = a.teacher;
        b.measure = a.measure;
        b.teacher_seed = a.teacher_seed;
        const kds_trial_spec of_a = kds_trial_teacher_of(&a);
        const kds_trial_spec of_b = kds_trial_teacher_of(&b);
        assert_memory_equal(&of_a, &of_b, sizeof of_a);
        assert_int_equal(of_a.role, KDS_ROLE_TEACHER);
        assert_int_equal(of_a.seed, a.teacher_seed);
        const kds_trial_spec baseline = kds_trial_baseline_of(&a);
        assert_int_equal(baseline.role, KDS_ROLE_BASELINE);
        assert_int_equal(baseline.seed, a.seed);
        assert_ptr_equal(kds_trial_recipe(&of_a), &of_a.teacher);
        assert_ptr_equal(kds_trial_recipe(&baseline), &baseline.student);
    }
}

static void text_and_json(void **state)
{
    (void)state;
    kds_trial_spec spec = example(KDS_ROLE_BASELINE);
    strcpy(spec.data.path, "/not/part/of/it");
    spec.data.source = KDS_SOURCE_IDX;
    kds_text text = {0};
    kds_trial_spec_to_text(&spec, &text);
    assert_string_equal(kds_text_string(&text), "kdsweep_numerics = 3\n"
                                                "role = \"baseline\"\n"
                                                "seeds = 3\n"
                                                "data.source = \"idx\"\n"
                                                "data.imbalance.ratio = 1\n"
                                                "data.imbalance.max_count = 0\n"
                                                "data.validation.from = \"test\"\n"
                                                "data.validation.fraction = 0.5\n"
                                                "data.split_seed = 0\n"
                                                "data.standardize = \"global\"\n"
                                                "data.augment.pad = 0\n"
                                                "data.augment.flip = false\n"
                                                "data.tint.colours = 0\n"
                                                "data.correlation.strength = 0\n"
                                                "measure.decisions = true\n"
                                                "measure.decision.tau = 1\n"
                                                "measure.decision.step = 0.1\n"
                                                "measure.decision.updates = 100\n"
                                                "measure.decision.risk = \"cross_entropy\"\n"
                                                "measure.decision.divergence = 0.2\n"
                                                "measure.individual.pairs = \"none\"\n"
                                                "student.model = \"mlp:64\"\n"
                                                "student.objective = \"standard\"\n"
                                                "student.train.epochs = 30\n"
                                                "student.train.batch = 128\n"
                                                "student.train.lr = 0.1\n"
                                                "student.train.momentum = 0.9\n"
                                                "student.train.nesterov = false\n"
                                                "student.train.weight_decay = 0.0001\n"
                                                "student.train.decay_biases = false\n"
                                                "student.train.schedule = \"cosine\"\n"
                                                "student.train.warmup = 0\n");
    kds_text_clear(&text);
    kds_trial_spec_to_json(&spec, &text);
    const char *json = kds_text_string(&text);
    char id[KDS_ID_CHARS];
    char start[80];
    snprintf(start, sizeof start, "{\"spec_id\": \"%s\", \"role\": \"baseline\", \"seed\": 3, \"data_source\": \"idx\"",
             kds_trial_id_to_text(kds_trial_id(&spec), id));
    assert_memory_equal(json, start, strlen(start));
    assert_non_null(strstr(json, ", \"student_lr\": 0.1, "));
    assert_true(json[strlen(json) - 1] == '}');
    assert_null(strchr(json, '\n'));
    kds_text_clear(&text);
}

static void assert_impossible(const kds_trial_spec *spec, const char *slot, const char *message)
{
    int i_slot = -2;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_trial_spec_check(spec, &i_slot, &err), KDS_GRID);
    assert_int_equal(i_slot, kds_slot_find(slot));
    assert_string_equal(err.message, message);
    assert_true(err.hint[0] != '\0');
}

static void impossible_combinations(void **state)
{
    (void)state;
    int i_slot = 0;
    kds_error err = KDS_ERROR_INIT;
    const kds_trial_spec good = example(KDS_ROLE_STUDENT);
    KDS_TEST_OK(kds_trial_spec_check(&good, &i_slot, &err), &err);

    kds_trial_spec s = good;
    s.student.warmup = 30.5;
    assert_impossible(&s, "student_warmup", "the warm-up is longer than the training (epochs = 30)");
    s.role = KDS_ROLE_TEACHER; /* is not trained by the student's recipe */
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
    s.teacher.warmup = 31;
    assert_impossible(&s, "teacher_warmup", "the warm-up is longer than the training (epochs = 30)");

    s = good;
    s.student.schedule = KDS_SCHEDULE_STEP;
    assert_impossible(&s, "student_milestones", "the step schedule needs milestones");
    s.student.n_milestones = 1;
    s.student.milestones[0] = 30.0;
    assert_impossible(&s, "student_milestones", "a milestone is not before the end of the training (epochs = 30)");
    s.student.milestones[0] = 29.0;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);

    s = good;
    strcpy(s.student.model, "cnn");
    assert_impossible(&s, "student_model", "\"cnn\" is not a model");
    s = good;
    s.data.imbalance_ratio = 501.0;
    assert_impossible(&s, "imbalance_ratio", "the smallest class would be empty (the largest has 500 examples)");
    s.data.imbalance_ratio = 500.0;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
    s.data.max_count = 100;
    assert_impossible(&s, "imbalance_ratio", "the smallest class would be empty (the largest has 100 examples)");
    s = good;
    strcpy(s.student.model, "resnet18");
    assert_impossible(&s, "student_model",
                      "\"resnet18\" is not a model; take resnet14 or resnet20: a CIFAR residual "
                      "network has depth 6k + 2");
    static const int files[] = {KDS_SOURCE_IDX, KDS_SOURCE_HDF5, KDS_SOURCE_CIFAR10, KDS_SOURCE_CIFAR100};
    for (int i = 0; i < 4; i++) {
        s = good;
        s.data.source = files[i];
        assert_impossible(&s, "data_path", "must be given for files");
    }

    /* What only images have, of data that are none; of files this is not known yet. */
    s = good;
    s.data.source = KDS_SOURCE_HDF5;
    strcpy(s.data.path, "x.h5");
    strcpy(s.student.model, "lenet5");
    s.data.augment_pad = 2;
    s.data.augment_flip = 1;
    s.data.standardize = KDS_STANDARDIZE_HALF;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
    s.data.source = KDS_SOURCE_GAUSSIANS;
    assert_impossible(&s, "student_model", "generated Gaussians are no images");
    strcpy(s.student.model, "mlp");
    assert_impossible(&s, "augment_pad", "generated Gaussians are no images");
    s.data.augment_pad = 0;
    assert_impossible(&s, "augment_flip", "generated Gaussians are no images");
    s.data.augment_flip = 0;
    assert_impossible(&s, "standardize", "generated Gaussians are no images");
    s.data.standardize = KDS_STANDARDIZE_CHANNEL;
    assert_impossible(&s, "standardize", "generated Gaussians are no images");
    s.data.standardize = KDS_STANDARDIZE_FEATURE;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
}

/* Objectives and weights that cannot be. */
static void impossible_objectives(void **state)
{
    (void)state;
    int i_slot = 0;
    kds_error err = KDS_ERROR_INIT;
    kds_trial_spec s = example(KDS_ROLE_STUDENT);
    s.distill.mixing = 0;
    s.distill.one_hot_weight = 0;
    assert_impossible(&s, "one_hot_weight", "neither the teacher's labels nor the one-hot labels have a weight");
    s.distill.one_hot_weight = -1;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
    s.distill.mixing = 9;
    for (int settled = 0; settled < 2; settled++) {
        assert_impossible(&s, "mixing", "more than 1 leaves none of 1 - mixing for the one-hot labels");
        kds_trial_spec_settle(&s);
    }
    s.distill.one_hot_weight = 0.1;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
    s.distill.mixing = 1;
    s.distill.ada_minimum = 0.5;
    s.distill.ada_maximum = 0.25;
    s.student.objective = KDS_OBJECTIVE_ADA_ALPHA;
    assert_impossible(&s, "ada_maximum", "the clip ends before it begins (student.ada.minimum = 0.5)");
    s.distill.ada_minimum = 0.25;
    KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
    for (int32_t objective = 0; objective < KDS_N_OBJECTIVES; objective++) {
        bool is_taught = (kds_objective_traits(objective) & KDS_OBJECTIVE_TAUGHT) != 0;
        s = example(KDS_ROLE_STUDENT);
        s.student.objective = objective;
        KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
        s = example(KDS_ROLE_TEACHER);
        s.teacher.objective = objective;
        if (is_taught) {
            char message[120];
            snprintf(message, sizeof message, "\"%s\" learns from a teacher, and a teacher has none",
                     kds_objective_name(objective));
            assert_impossible(&s, "teacher_objective", message);
        } else {
            KDS_TEST_OK(kds_trial_spec_check(&s, &i_slot, &err), &err);
        }
    }
}

/* A teacher that averages cannot label what nobody has seen; only where it would have to. */
static void live_labels_need_one_network(void **state)
{
    (void)state;
    static const char message[] = "a teacher that returns the average of its iterates cannot label augmented images";
    int i_slot = 0;
    kds_error err = KDS_ERROR_INIT;
    kds_trial_spec bad = example(KDS_ROLE_STUDENT);
    bad.data.source = KDS_SOURCE_CIFAR10;
    strcpy(bad.data.path, "x");
    bad.data.augment_flip = 1;
    bad.teacher.objective = KDS_OBJECTIVE_ROBUST;
    bad.teacher.robust_iterate = KDS_ITERATE_AVERAGED;
    assert_impossible(&bad, "augmented_labels", message);
    bad.teacher.objective = KDS_OBJECTIVE_TRADEOFF;
    assert_impossible(&bad, "augmented_labels", message);
    for (int i = 0; i < 7; i++) {
        kds_trial_spec good = bad;
        good.role = i == 0 ? KDS_ROLE_TEACHER : i == 1 ? KDS_ROLE_BASELINE : KDS_ROLE_STUDENT;
        good.data.augment_flip = i != 2;
        good.distill.mixing = i == 3 ? 0.0 : 1.0;
        good.distill.augmented_labels = i == 4 ? KDS_AUGMENTED_CACHED : KDS_AUGMENTED_LIVE;
        good.teacher.objective = i == 5 ? KDS_OBJECTIVE_BALANCED : KDS_OBJECTIVE_TRADEOFF;
        good.teacher.robust_iterate = i == 6 ? KDS_ITERATE_LAST : KDS_ITERATE_AVERAGED;
        KDS_TEST_OK(kds_trial_spec_check(&good, &i_slot, &err), &err);
        assert_int_equal(i_slot, -1);
    }
}

static void role_names(void **state)
{
    (void)state;
    assert_string_equal(kds_role_name(KDS_ROLE_TEACHER), "teacher");
    assert_string_equal(kds_role_name(KDS_ROLE_STUDENT), "student");
    assert_string_equal(kds_role_name(KDS_ROLE_BASELINE), "baseline");
    assert_non_null(slot_named("seed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_stable),
        cmocka_unit_test(roles_know_their_keys),
        cmocka_unit_test(keys_wake_each_other),
        cmocka_unit_test(augmentation_wakes_the_labels),
        cmocka_unit_test(equal_meaning_equal_id),
        cmocka_unit_test(exactly_the_keys_that_apply_count),
        cmocka_unit_test(only_deciding_slots_stand_for_others),
        cmocka_unit_test(canonical_keeps_the_id),
        cmocka_unit_test(a_teacher_is_shared),
        cmocka_unit_test(text_and_json),
        cmocka_unit_test(impossible_combinations),
        cmocka_unit_test(impossible_objectives),
        cmocka_unit_test(live_labels_need_one_network),
        cmocka_unit_test(role_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
