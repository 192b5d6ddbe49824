/*
 * Ten steps of training against PyTorch in double precision, for every objective and convention: losses, multipliers and final
 * parameters. The numbers are in golden_*.txt, made by make_golden.py; an objective of KDS_OBJECTIVES that has no case fails.
 *
 * Largest errors measured (norm of the difference relative to the norm, over all cases and layers; scalar, AVX2 and AVX-512 kernels):
 * parameters 6.6e-7, what training changed in them 1.3e-6, losses 3.4e-7, multipliers 2e-7. Allowed: 1e-5. A key that a case gives moves
 * the parameters by at least 1e-3 of that change, a hundred times what is allowed (make_golden.py asserts it).
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_file.h"
#include "kdsweep/distill.h"
#include "kdsweep/nn.h"

enum {
    M = 5,
    N_FEATURES = 20,
    N_STEPS = 10,
    BATCH = 8,
    N_TRAIN = N_STEPS * BATCH,
    N_VALIDATION = 40,
    N_GROUPS = 3,
    UPDATE_EVERY = 2,
    STEPS_PER_EPOCH = 2,
    N_PARAMETERS = 605,
    N_CASES = 72
};

static void floats(const golden *g, const char *key, int n, float *out)
{
    static double values[N_TRAIN * N_FEATURES];
    assert_int_equal(array(g, key, n, values), n);
    for (int i = 0; i < n; i++) {
        out[i] = (float)values[i];
        assert_true((double)out[i] == values[i]); /* exact in single precision */
    }
}

static void labels(const golden *g, const char *key, int n, int32_t *out)
{
    double values[N_TRAIN];
    assert_int_equal(array(g, key, n, values), n);
    for (int i = 0; i < n; i++) {
        out[i] = (int32_t)values[i];
    }
}

typedef struct inputs {
    float x[N_TRAIN * N_FEATURES], teacher[N_TRAIN * M], validation_x[N_VALIDATION * N_FEATURES],
        validation_teacher[N_VALIDATION * M];
    float parameters[N_PARAMETERS];
    int32_t label[N_TRAIN], validation_label[N_VALIDATION], group[N_TRAIN], validation_group[N_VALIDATION];
} inputs;

static void read_inputs(inputs *in)
{
    static golden g;
    read_golden("golden_inputs.txt", &g);
    floats(&g, "x", N_TRAIN * N_FEATURES, in->x);
    floats(&g, "teacher", N_TRAIN * M, in->teacher);
    floats(&g, "validation_x", N_VALIDATION * N_FEATURES, in->validation_x);
    floats(&g, "validation_teacher", N_VALIDATION * M, in->validation_teacher);
    floats(&g, "parameters", N_PARAMETERS, in->parameters);
    labels(&g, "label", N_TRAIN, in->label);
    labels(&g, "validation_label", N_VALIDATION, in->validation_label);
    labels(&g, "group", N_TRAIN, in->group);
    labels(&g, "validation_group", N_VALIDATION, in->validation_group);
}

/* ---- one case ------------------------------------------------------------------------------------------------------- */

/* A key of the recipe, or of what a student does with its teacher, by its name in the results file. */
static void set_key(kds_trial_spec *spec, const char *key, const char *word)
{
    char name[96];
    int n_slots;
    snprintf(name, sizeof name, "student_%s", strcmp(key, "risk") == 0 ? "robust_risk" : key);
    int i_slot = kds_slot_find(name);
    i_slot = i_slot < 0 ? kds_slot_find(key) : i_slot;
    if (i_slot < 0) {
        fail_msg("no key %s", key);
        return;
    }
    const kds_slot *slot = &kds_slots(&n_slots)[i_slot];
    kds_value value = {0};
    if (slot->type == KDS_KEY_NUMBER) {
        value.number = strtod(word, NULL);
    } else if (slot->type == KDS_KEY_CHOICE) {
        while (slot->choices[value.integer] && strcmp(slot->choices[value.integer], word) != 0) {
            value.integer++;
        }
        assert_non_null(slot->choices[value.integer]);
    } else {
        value.integer = strtol(word, NULL, 10);
    }
    assert_true(kds_slot_accepts(slot, value, NULL));
    kds_slot_set(slot, spec, value);
}

/* The lines above the first array; keys that a file does not have are at their defaults. Canonical, as trials are trained: a key that is
 * wrongly said to have no effect changes the numbers. */
static kds_trial_spec read_spec(const golden *g)
{
    kds_trial_spec spec = kds_trial_spec_default();
    snprintf(spec.student.model, sizeof spec.student.model, "mlp:16-12");
    snprintf(spec.teacher.model, sizeof spec.teacher.model, "mlp");
    spec.role = number(g, "teacher") > 0 ? KDS_ROLE_STUDENT : KDS_ROLE_BASELINE;
    char key[64] = "", word[64];
    for (const char *line = strchr(g->text, '\n'); line && sscanf(line, "%63s %63s", key, word) == 2;
         line = strchr(line + 1, '\n')) {
        if (strcmp(key, "losses") == 0) {
            break;
        }
        if (strcmp(key, "teacher") != 0) {
            set_key(&spec, key, word);
        }
    }
    assert_string_equal(key, "losses");
    kds_trial_spec_canonical(&spec);
    return spec;
}

static double norm_of_difference(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = a[i] - (b ? b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

typedef struct errors {
    double parameters, change, losses, multipliers;
} errors;

static const float *forward(kds_net *net, const float *x, int32_t n_rows, kds_net_use use)
{
    for (int32_t i = 0; i < n_rows; i++) {
        memcpy(kds_net_input(net) + i * kds_net_input_pitch(net), x + i * N_FEATURES, N_FEATURES * sizeof *x);
    }
    return kds_net_forward(net, n_rows, use);
}

/* Examples from `first` on, of which the network has just made `logits`. */
static kds_loss_rows rows_of(bool of_validation, const inputs *in, bool has_teacher, int32_t first, int32_t n_rows,
                             const float *logits, int step)
{
    const float *teacher = (of_validation ? in->validation_teacher : in->teacher) + first * M;
    return (kds_loss_rows){.n_rows = n_rows,
                           .logits = logits,
                           .label = (of_validation ? in->validation_label : in->label) + first,
                           .group = (of_validation ? in->validation_group : in->group) + first,
                           .teacher_logits = has_teacher ? teacher : NULL,
                           .epoch = (double)step / STEPS_PER_EPOCH};
}

static void run_case(const inputs *in, const golden *g, const kds_trial_spec *spec, errors *worst)
{
    const kds_recipe *recipe = &spec->student;
    const bool has_teacher = spec->role == KDS_ROLE_STUDENT;

    kds_kernels kernels;
    static kds_model model;
    const kds_data_shape shape = {.n_features = N_FEATURES, .n_classes = M};
    kds_loss loss;
    kds_error err = KDS_ERROR_INIT;
    kds_arena arena = kds_arena_measure();
    KDS_TEST_OK(kds_kernels_select(&kernels, &err), &err);
    KDS_TEST_OK(kds_model_make(recipe, &shape, &model, &err), &err);
    assert_int_equal(model.n_parameters, N_PARAMETERS);
    kds_net_take(&model, &kernels, N_VALIDATION, KDS_NET_DIFFERENTIATES, &arena);
    kds_loss_take(&loss, M, N_GROUPS, N_VALIDATION, &arena);
    KDS_TEST_OK(kds_arena_init(&arena, arena.used, &err), &err);
    kds_net *net = kds_net_take(&model, &kernels, N_VALIDATION, KDS_NET_DIFFERENTIATES, &arena);
    kds_loss_take(&loss, M, N_GROUPS, N_VALIDATION, &arena);

    double prior[M] = {0};
    int32_t train_count[M] = {0}, group_count[N_GROUPS] = {0}, validation_count[M] = {0},
            validation_group_count[N_GROUPS] = {0};
    for (int i = 0; i < N_VALIDATION; i++) {
        validation_count[in->validation_label[i]]++;
        validation_group_count[in->validation_group[i]]++;
    }
    for (int i = 0; i < N_TRAIN; i++) {
        prior[in->label[i]] += 1.0 / N_TRAIN;
        train_count[in->label[i]]++;
        group_count[in->group[i]]++;
    }
    const kds_loss_inputs loss_inputs = {.kernels = &kernels,
                                         .recipe = recipe,
                                         .distill = has_teacher ? &spec->distill : NULL,
                                         .n_train = N_TRAIN,
                                         .n_validation = N_VALIDATION,
                                         .prior = prior,
                                         .train_count = train_count,
                                         .group_count = group_count,
                                         .validation_count = validation_count,
                                         .validation_group_count = validation_group_count,
                                         .teacher_train_logits = has_teacher ? in->teacher : NULL,
                                         .teacher_validation_logits = has_teacher ? in->validation_teacher : NULL,
                                         .train_label = in->label,
                                         .validation_label = in->validation_label};
    kds_net_init(net, 0, 0);
    kds_net_set_values(net, in->parameters);
    kds_loss_init(&loss, &loss_inputs);

    double losses[N_STEPS], multipliers[N_STEPS * M], wanted_losses[N_STEPS], wanted_multipliers[N_STEPS * M];
    const int n_multipliers = array(g, "multipliers", N_STEPS * M, wanted_multipliers) / N_STEPS;
    if (kds_recipe_has_multipliers(recipe)) {
        assert_int_equal(loss.n_multipliers, n_multipliers);
    }
    for (int step = 0; step < N_STEPS; step++) {
        if (kds_recipe_validates(recipe) && step % UPDATE_EVERY == 0) {
            kds_loss_update_begin(&loss);
            const float *logits = forward(net, in->validation_x, N_VALIDATION, KDS_NET_EVALUATES);
            const kds_loss_rows rows = rows_of(true, in, has_teacher, 0, N_VALIDATION, logits, step);
            kds_loss_update_add(&loss, &rows);
            kds_loss_update_end(&loss);
        }
        const int first = step * BATCH;
        float d_logits[BATCH * M];
        const float *logits = forward(net, in->x + first * N_FEATURES, BATCH, KDS_NET_TRAINS);
        const kds_loss_rows rows = rows_of(false, in, has_teacher, first, BATCH, logits, step);
        losses[step] = kds_loss_gradient(&loss, &rows, d_logits);
        kds_net_backward(net, BATCH, d_logits);
        kds_net_step(net, recipe, 0.1 - 0.004 * step);
        memcpy(multipliers + step * n_multipliers, loss.multiplier, (size_t)n_multipliers * sizeof *multipliers);
    }

    double wanted[N_PARAMETERS], got[N_PARAMETERS], start[N_PARAMETERS];
    float values[N_PARAMETERS];
    assert_int_equal(model.n_values, N_PARAMETERS);
    kds_net_get_values(net, values);
    assert_int_equal(array(g, "parameters", N_PARAMETERS, wanted), N_PARAMETERS);
    assert_int_equal(array(g, "losses", N_STEPS, wanted_losses), N_STEPS);
    for (int i = 0; i < N_PARAMETERS; i++) {
        got[i] = (double)values[i];
        start[i] = (double)in->parameters[i];
    }
    errors e = {0};
    for (int l = 0; l < model.n_layers; l++) {
        const kds_layer *layer = &model.layers[l];
        const int64_t from[2] = {layer->weights, layer->weights + layer->n_weights},
                      n[2] = {layer->n_weights, layer->channels};
        for (int part = 0; part < 2; part++) {
            double difference = norm_of_difference(n[part], got + from[part], wanted + from[part]);
            e.parameters = fmax(e.parameters, difference / norm_of_difference(n[part], wanted + from[part], NULL));
            e.change = fmax(e.change,
                            difference / norm_of_difference(n[part], wanted + from[part], start + from[part]));
        }
    }
    e.losses = norm_of_difference(N_STEPS, losses, wanted_losses) / norm_of_difference(N_STEPS, wanted_losses, NULL);
    e.multipliers = norm_of_difference(N_STEPS * n_multipliers, multipliers, wanted_multipliers) /
                    norm_of_difference(N_STEPS * n_multipliers, wanted_multipliers, NULL);
    print_message("           parameters %.1e, their change %.1e, losses %.1e, multipliers %.1e\n", e.parameters,
                  e.change, e.losses, e.multipliers);
    assert_true(e.parameters < 1e-5 && e.change < 1e-5 && e.losses < 1e-5 && e.multipliers < 1e-5);
    worst->parameters = fmax(worst->parameters, e.parameters);
    worst->change = fmax(worst->change, e.change);
    worst->losses = fmax(worst->losses, e.losses);
    worst->multipliers = fmax(worst->multipliers, e.multipliers);
    kds_arena_clear(&arena);
}

static void all_cases(void **state)
{
    (void)state;
    static inputs in;
    static golden g;
    errors worst = {0};
    bool seen[KDS_N_OBJECTIVES][2] = {{false}}; /* without, with a teacher */
    read_inputs(&in);
    DIR *folder = opendir(GOLDEN_FOLDER);
    assert_non_null(folder);
    int n_cases = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "golden_", 7) != 0 || length < 4 ||
            strcmp(entry->d_name + length - 4, ".txt") != 0 || strcmp(entry->d_name, "golden_inputs.txt") == 0) {
            continue;
        }
        print_message("%s\n", entry->d_name);
        read_golden(entry->d_name, &g);
        const kds_trial_spec spec = read_spec(&g);
        run_case(&in, &g, &spec, &worst);
        seen[spec.student.objective][spec.role == KDS_ROLE_STUDENT] = true;
        n_cases++;
    }
    closedir(folder);
    assert_int_equal(n_cases, N_CASES);
    for (int i = 0; i < KDS_N_OBJECTIVES; i++) {
        bool needs_teacher = (kds_objective_traits(i) & KDS_OBJECTIVE_TAUGHT) != 0;
        if (!seen[i][1] || !(seen[i][0] || needs_teacher)) {
            fail_msg("%s has no case %s a teacher", kds_objective_name(i), seen[i][1] ? "without" : "with");
        }
    }
    print_message("largest: parameters %.1e, their change %.1e, losses %.1e, multipliers %.1e\n", worst.parameters,
                  worst.change, worst.losses, worst.multipliers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
