/*
 * The training loop of one trial.
 *
 * The loop can be interrupted before every mini-batch and every evaluation chunk. Each interruption leaves the run at a position
 * (run_position) from which the same code goes on: what had been begun and not recorded is done again.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kdsweep/clock.h"
#include "kdsweep/rng.h"
#include "run.h"

struct kds_trainer {
    const kds_kernels *kernels;
    kds_arena arena; /* kept from trial to trial while it is large enough */
    kds_pair_cache pairs;
};

kds_status kds_trainer_new(const kds_kernels *kernels, kds_trainer **out, kds_error *err)
{
    *out = kds_alloc(1, sizeof **out, err);
    if (!*out) {
        return KDS_MEMORY;
    }
    (*out)->kernels = kernels;
    return KDS_OK;
}

void kds_trainer_free(kds_trainer *trainer)
{
    if (trainer) {
        kds_arena_clear(&trainer->arena);
        kds_pair_cache_clear(&trainer->pairs);
        kds_free(trainer);
    }
}

/* ---- the workspace ------------------------------------------------------------------------------------------------- */

/* The sizes that the workspace of a trial depends on. */
typedef struct workspace_sizes {
    int64_t n_train, n_validation, n_test;
} workspace_sizes;

bool kds_trial_teaches_live(const kds_trial_spec *spec)
{
    return kds_trial_learns_from_teacher(spec) && kds_data_augments(&spec->data) &&
           spec->distill.augmented_labels == KDS_AUGMENTED_LIVE;
}

/* The model of this trial, and its teacher's if that runs live. Needs run->spec and run->recipe. KDS_GRID also for what an objective asks of
 * the data and they do not have. */
static kds_status make_models(kds_run *run, const kds_data_shape *data, kds_error *err)
{
    kds_status status;
    run->n_groups = data->n_groups;
    if (kds_recipe_of_groups(run->recipe) && data->n_groups == 0) {
        KDS_FAIL(err, KDS_GRID, "Use group_dro.groups = \"class\", or data with groups.",
                 "objective \"%s\" with group_dro.groups = \"group\" on data without groups",
                 kds_objective_name(run->recipe->objective));
    }
    KDS_TRY(kds_model_make(run->recipe, data, &run->model, err));
    if (kds_trial_teaches_live(run->spec)) {
        KDS_TRY(kds_trial_check_live_labels(run->spec, err));
        KDS_TRY(kds_model_make(&run->spec->teacher, data, &run->teacher_model, err));
    }
out:
    return status;
}

/*
 * Rows of an evaluation chunk: large enough to fill the loops, small enough to stop quickly. A row of dense layers is a few thousand numbers,
 * one of a convolutional network all its maps: there activations are what memory is, and an image is work enough to need few at a time.
 */
static int32_t evaluation_rows(const kds_model *model)
{
    enum { DENSE_ROWS = 256, CONVOLUTION_ROWS = 32 };
    for (int l = 0; l < model->n_layers; l++) {
        if (model->layers[l].kind == KDS_LAYER_CONVOLUTION) {
            return CONVOLUTION_ROWS;
        }
    }
    return DENSE_ROWS;
}

/* Needs what make_models makes. Called on a measuring arena first. */
static void take_workspace(kds_run *run, const kds_kernels *kernels, const workspace_sizes *sizes, kds_arena *arena)
{
    size_t m = (size_t)run->model.n_classes, cells = m * m;
    size_t n_validation = (size_t)sizes->n_validation, n_test = (size_t)sizes->n_test;
    size_t n_evaluated = n_validation > n_test ? n_validation : n_test;
    int32_t batch = (int32_t)(run->recipe->batch < sizes->n_train ? run->recipe->batch : sizes->n_train);
    run->evaluation_rows = evaluation_rows(&run->model);
    run->max_rows = batch > run->evaluation_rows ? batch : run->evaluation_rows;
    size_t rows = (size_t)run->max_rows;
    run->averages = kds_recipe_averages(run->recipe);

    run->net = kds_net_take(&run->model, kernels, run->max_rows, KDS_NET_TRAINS, arena);
    run->teacher_net = NULL;
    if (kds_trial_teaches_live(run->spec)) {
        run->teacher_chunk = evaluation_rows(&run->teacher_model);
        run->teacher_chunk = run->teacher_chunk < batch ? run->teacher_chunk : batch;
        run->teacher_net = kds_net_take(&run->teacher_model, kernels, run->teacher_chunk, KDS_NET_EVALUATES, arena);
    }
    kds_loss_take(&run->loss, run->model.n_classes, run->n_groups, run->max_rows, arena);
    run->d_logits = KDS_ARENA_TAKE(arena, rows * m, float);
    run->teacher_rows = KDS_ARENA_TAKE(arena, rows * m, float);
    run->examples = KDS_ARENA_TAKE(arena, rows, int32_t);
    run->label = KDS_ARENA_TAKE(arena, rows, int32_t);
    run->group = run->group_count = run->validation_group_count = NULL;
    if (run->n_groups > 0) {
        run->group = KDS_ARENA_TAKE(arena, rows, int32_t);
        run->group_count = KDS_ARENA_TAKE(arena, (size_t)run->n_groups, int32_t);
        run->validation_group_count = KDS_ARENA_TAKE(arena, (size_t)run->n_groups, int32_t);
    }
    run->augmentation = kds_data_augments(&run->spec->data) ? KDS_ARENA_TAKE(arena, (size_t)batch, kds_augmentation)
                                                            : NULL;
    run->order = KDS_ARENA_TAKE(arena, (size_t)sizes->n_train, int32_t);
    run->logits = KDS_ARENA_TAKE(arena, n_evaluated * m, float);
    run->prediction = KDS_ARENA_TAKE(arena, n_validation + n_test, int32_t);
    run->counts = KDS_ARENA_TAKE(arena, KDS_N_SPLITS * cells, int32_t);
    run->class_accuracy = KDS_ARENA_TAKE(arena, KDS_N_SPLITS * m, float);
    kds_run_take_measures(run, sizes->n_validation, sizes->n_test, arena);
    run->sum_validation = run->sum_test = run->sum_train = NULL;
    if (run->averages) {
        run->sum_validation = KDS_ARENA_TAKE(arena, n_validation * m, double);
        run->sum_test = KDS_ARENA_TAKE(arena, n_test * m, double);
        if (run->spec->role == KDS_ROLE_TEACHER) {
            run->sum_train = KDS_ARENA_TAKE(arena, (size_t)sizes->n_train * m, double);
        }
    }
}

kds_status kds_train_workspace(const kds_trial_spec *spec, const kds_data_shape *data, int64_t n_train,
                               int64_t n_validation, int64_t n_test, size_t *out, kds_error *err)
{
    kds_status status;
    kds_run run = {.spec = spec, .recipe = kds_trial_recipe(spec)};
    kds_arena arena = kds_arena_measure();
    const workspace_sizes sizes = {n_train, n_validation, n_test};
    KDS_TRY(make_models(&run, data, err));
    take_workspace(&run, NULL, &sizes, &arena);
    *out = arena.used + kds_pair_list_bytes(spec, data->n_features, n_validation, n_test);
out:
    return status;
}

kds_status kds_train_n_values(const kds_recipe *recipe, const kds_data_shape *data, int64_t *out, kds_error *err)
{
    kds_status status;
    kds_model model;
    KDS_TRY(kds_model_make(recipe, data, &model, err));
    *out = model.n_values;
out:
    return status;
}

/*
 * What is measured of the last epoch alone, most of it not products, in the operations of products that take as long at 25 GFLOP/s: about what
 * the small networks do, whose trials it is a part of that matters. Measured for each number that a model gives; decisions have some work for
 * each example too, and may end earlier.
 */
static double measuring_flops(const kds_trial_spec *spec, int32_t n_classes, double n_validation, double n_test)
{
    static const double quality_and_calibration = 1000, look = 8, example = 10 * 8;
    const kds_measure_spec *measure = &spec->measure;
    double sum = quality_and_calibration * (n_validation + n_test) * n_classes;
    if (measure->decisions) {
        double of_post_shift = measure->decision_updates + 1;
        double of_drops = measure->decision_divergence > 0 ? measure->decision_updates + 2 : 2;
        double passes = of_post_shift + of_drops * (measure->decision_risk == KDS_RISK_CROSS_ENTROPY ? 2 : 1);
        sum += passes * n_validation * (n_classes * look + example);
    }
    return sum;
}

kds_status kds_train_flops(const kds_trial_spec *spec, const kds_data_shape *data, int64_t n_train,
                           int64_t n_validation, int64_t n_test, double *out, kds_error *err)
{
    kds_status status;
    const kds_recipe *recipe = kds_trial_recipe(spec);
    kds_run run = {.spec = spec, .recipe = recipe};
    KDS_TRY(make_models(&run, data, err));
    double forward = 2 * kds_model_forward_macs(&run.model), training = 2 * kds_model_training_macs(&run.model);
    double evaluated = (double)(n_validation + n_test);
    if (kds_trial_teaches_live(spec)) {
        training += 2 * kds_model_forward_macs(&run.teacher_model);
    }
    *out = recipe->epochs * ((double)n_train * training + evaluated * forward);
    *out += measuring_flops(spec, run.model.n_classes, (double)n_validation, (double)n_test);
    if (kds_recipe_validates(recipe)) {
        double n_steps = (double)recipe->epochs * ceil((double)n_train / recipe->batch);
        double examples = recipe->robust_batch > 0 ? fmin(recipe->robust_batch, (double)n_validation)
                                                   : (double)n_validation;
        if (kds_recipe_averages(recipe)) {
            examples += (double)n_validation + (double)n_test +
                        (spec->role == KDS_ROLE_TEACHER ? (double)n_train : 0.0);
        }
        *out += floor(n_steps / recipe->robust_every) * examples * forward;
    }
out:
    return status;
}

/* ---- multipliers ---------------------------------------------------------------------------------------------------------- */

/* Teacher's validation logits of the examples at these positions of the validation part, or NULL. */
static const float *teacher_validation_rows(kds_run *run, const int32_t *positions, int32_t n_rows)
{
    if (!run->loss.teacher_validates) {
        return NULL;
    }
    size_t m = (size_t)run->model.n_classes;
    for (int32_t i = 0; i < n_rows; i++) {
        memcpy(run->teacher_rows + (size_t)i * m, run->teacher->validation_logits + (size_t)positions[i] * m,
               m * sizeof(float));
    }
    return run->teacher_rows;
}

/* What a loss wants to know of run->examples, but for their logits. */
static kds_loss_rows rows_of(kds_run *run, int32_t n_rows)
{
    const kds_dataset *dataset = run->split->dataset;
    for (int32_t i = 0; i < n_rows; i++) {
        run->label[i] = dataset->label[run->examples[i]];
        if (run->group) {
            run->group[i] = dataset->group[run->examples[i]];
        }
    }
    return (kds_loss_rows){.n_rows = n_rows,
                           .label = run->label,
                           .group = run->group,
                           .epoch = run->position.epoch + (double)run->position.step / (double)run->steps_per_epoch};
}

/* lambda <- lambda exp(g R), R from validation examples: all of them, or a fresh random batch. False when interrupted: lambda is
 * unchanged. */
static bool multiply(kds_run *run)
{
    const kds_split_view *split = run->split;
    int64_t n = split->n_validation;
    bool sampled = run->recipe->robust_batch > 0 && run->recipe->robust_batch < n;
    kds_rng rng = kds_rng_make((uint64_t)run->spec->seed, KDS_RNG_VALIDATION_BATCH,
                               (uint32_t)run->position.n_updates * 2 + run->stream);
    if (sampled) {
        n = run->recipe->robust_batch;
    }
    kds_loss_update_begin(&run->loss);
    for (int64_t start = 0; start < n; start += run->evaluation_rows) {
        int32_t n_rows = n - start < run->evaluation_rows ? (int32_t)(n - start) : run->evaluation_rows;
        int32_t *positions = run->prediction; /* free until the next evaluation */
        if (kds_run_interrupted(run)) {
            return false;
        }
        for (int32_t i = 0; i < n_rows; i++) {
            positions[i] = sampled ? (int32_t)kds_rng_below(&rng, (uint64_t)split->n_validation) : (int32_t)(start + i);
            run->examples[i] = split->validation[positions[i]];
        }
        kds_loss_rows batch = rows_of(run, n_rows);
        batch.logits = kds_run_evaluate(run, run->examples, n_rows);
        batch.teacher_logits = teacher_validation_rows(run, positions, n_rows);
        kds_loss_update_add(&run->loss, &batch);
    }
    kds_loss_update_end(&run->loss);
    run->position.n_updates++;
    return true;
}

static void add_scores(double *sum, const float *logits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] += (double)logits[i];
    }
}

/* Add this iterate's scores on the training examples, a chunk at a time: run->logits does not hold them all. False when interrupted:
 * position.n_summed tells how many have been added. */
static bool add_train_scores(kds_run *run)
{
    size_t m = (size_t)run->model.n_classes;
    for (int64_t *i = &run->position.n_summed; *i < run->split->n_train;) {
        if (kds_run_interrupted(run)) {
            return false;
        }
        int64_t left = run->split->n_train - *i;
        int32_t n_rows = left < run->evaluation_rows ? (int32_t)left : run->evaluation_rows;
        add_scores(run->sum_train + (size_t)*i * m, kds_run_evaluate(run, run->split->train + *i, n_rows),
                   (size_t)n_rows * m);
        *i += n_rows;
    }
    run->position.n_summed = 0;
    return true;
}

/* One multiplier update with all that belongs to it. False when interrupted; position.update tells how far it came. */
static bool update_multipliers(kds_run *run)
{
    size_t m = (size_t)run->model.n_classes;
    int32_t *phase = &run->position.update;
    if (*phase == UPDATE_DUE) {
        if (!multiply(run)) {
            return false;
        }
        *phase = run->averages ? UPDATE_MULTIPLIED : UPDATE_DONE;
    }
    const kds_split parts[] = {KDS_SPLIT_VALIDATION, KDS_SPLIT_TEST};
    double *const sums[] = {run->sum_validation, run->sum_test};
    for (int p = 0; p < 2; p++) {
        if (*phase == UPDATE_MULTIPLIED + p) {
            int64_t n;
            const int32_t *examples = kds_run_part(run, parts[p], &n);
            if (!kds_run_forward(run, examples, n, run->logits)) {
                return false;
            }
            add_scores(sums[p], run->logits, (size_t)n * m);
            *phase = UPDATE_SUMMED_VALIDATION + p;
        }
    }
    if (*phase == UPDATE_SUMMED_TEST) {
        if (run->sum_train && !add_train_scores(run)) {
            return false;
        }
        run->position.n_iterates++;
        *phase = UPDATE_DONE;
    }
    return true;
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------ */

static void shuffle_epoch(kds_run *run)
{
    kds_rng rng = kds_rng_make((uint64_t)run->spec->seed, KDS_RNG_SHUFFLE,
                               (uint32_t)run->position.epoch * 2 + run->stream);
    for (int64_t i = 0; i < run->split->n_train; i++) {
        run->order[i] = (int32_t)i;
    }
    kds_rng_shuffle(&rng, run->order, run->split->n_train);
}

/* The batch of run->examples into the net's input, augmented if the spec wants it. A teacher and its student see other images, as they see
 * another order. */
static void gather_batch(kds_run *run, int32_t n_rows)
{
    const kds_trial_spec *spec = run->spec;
    const kds_kernels *kernels = kds_net_kernels(run->net);
    float *x = kds_net_input(run->net);
    int64_t pitch = kds_net_input_pitch(run->net);
    if (!run->augmentation) {
        kds_split_gather(run->split, kernels, run->examples, n_rows, pitch, x);
        return;
    }
    for (int32_t i = 0; i < n_rows; i++) {
        run->augmentation[i] = kds_augmentation_draw(&spec->data, (uint64_t)spec->seed, run->position.epoch,
                                                     run->stream, run->examples[i]);
    }
    kds_split_gather_augmented(run->split, kernels, run->examples, run->augmentation, n_rows, pitch, x);
}

/* A live teacher's logits of the batch in the net's input, into run->teacher_rows; in chunks, as the teacher is often the larger network. */
static void ask_teacher(kds_run *run, int32_t n_rows)
{
    size_t m = (size_t)run->model.n_classes;
    const float *from = kds_net_input(run->net);
    float *to = kds_net_input(run->teacher_net);
    int64_t from_pitch = kds_net_input_pitch(run->net), to_pitch = kds_net_input_pitch(run->teacher_net);
    for (int32_t start = 0; start < n_rows; start += run->teacher_chunk) {
        int32_t n = n_rows - start < run->teacher_chunk ? n_rows - start : run->teacher_chunk;
        for (int32_t i = 0; i < n; i++) {
            memcpy(to + i * to_pitch, from + (start + i) * from_pitch, (size_t)run->model.n_features * sizeof(float));
        }
        memcpy(run->teacher_rows + (size_t)start * m, kds_net_forward(run->teacher_net, n, KDS_NET_EVALUATES),
               (size_t)n * m * sizeof(float));
    }
}

/* One mini-batch. Returns its loss. The last batch of an epoch may be shorter; its gradient is the mean over its own rows. */
static double take_step(kds_run *run)
{
    const kds_split_view *split = run->split;
    size_t m = (size_t)run->model.n_classes;
    int64_t start = run->position.step * run->recipe->batch, left = split->n_train - start;
    int32_t n_rows = left < run->recipe->batch ? (int32_t)left : run->recipe->batch;
    for (int32_t i = 0; i < n_rows; i++) {
        int32_t position = run->order[start + i];
        run->examples[i] = split->train[position];
        if (run->loss.with_teacher && !run->teacher_net) {
            memcpy(run->teacher_rows + (size_t)i * m, run->teacher->train_logits + (size_t)position * m,
                   m * sizeof(float));
        }
    }
    gather_batch(run, n_rows);
    if (run->teacher_net) {
        ask_teacher(run, n_rows);
    }
    kds_loss_rows batch = rows_of(run, n_rows);
    batch.logits = kds_net_forward(run->net, n_rows, KDS_NET_TRAINS);
    batch.teacher_logits = run->loss.with_teacher ? run->teacher_rows : NULL;
    double loss = kds_loss_gradient(&run->loss, &batch, run->d_logits);
    int64_t step = run->position.epoch * run->steps_per_epoch + run->position.step;
    kds_net_backward_step(run->net, n_rows, run->d_logits, run->recipe,
                          kds_schedule_lr(run->recipe, step, run->steps_per_epoch));
    run->position.loss_sum += loss * n_rows;
    return loss;
}

/* ---- the trial ------------------------------------------------------------------------------------------------------------------ */

static void save_checkpoint(kds_run *run)
{
    void *bytes = NULL;
    size_t n_bytes = 0;
    double wall = run->position.wall_seconds, cpu = run->position.cpu_seconds;
    run->position.wall_seconds += kds_clock_wall() - run->wall_start;
    run->position.cpu_seconds += kds_clock_cpu() - run->cpu_start;
    if (kds_run_save(run, &bytes, &n_bytes, NULL) == KDS_OK) {
        run->hooks->checkpoint(run->hooks->context, bytes, n_bytes);
    }
    kds_free(bytes);
    run->position.wall_seconds = wall;
    run->position.cpu_seconds = cpu;
}

static void checkpoint_if_due(kds_run *run)
{
    if (!run->hooks || !run->hooks->checkpoint || run->hooks->checkpoint_seconds <= 0) {
        return;
    }
    double now = kds_clock_wall();
    if (now >= run->checkpoint_due) {
        save_checkpoint(run);
        run->checkpoint_due = now + run->hooks->checkpoint_seconds;
    }
}

static void keep_diverged(kds_run *run, const char *what)
{
    kds_trial_result *result = run->result;
    kds_result_shape shape = result->shape;
    size_t m = (size_t)shape.n_classes;
    char reason[KDS_REASON_CHARS] = "";
    int n = snprintf(
        reason, sizeof reason, "%s at epoch %d, step %lld of %lld", what, (int)run->position.epoch + 1,
        (long long)(run->position.step < run->steps_per_epoch ? run->position.step + 1 : run->steps_per_epoch),
        (long long)run->steps_per_epoch);
    if (isfinite(run->position.last_loss)) { /* not before the first step */
        snprintf(reason + n, sizeof reason - (size_t)n, "; last finite loss %.6g", run->position.last_loss);
    }

    /* Measures of a model that fell apart later are no result: only the curves up to there stay. */
    for (int s = 0; s < KDS_N_SELECTIONS; s++) {
        for (int part = 0; part < KDS_N_SPLITS; part++) {
            result->accuracy[s][part] = result->balanced_accuracy[s][part] = NAN;
            result->worst_class_accuracy[s][part] = result->loss[s][part] = NAN;
            result->worst_class[s][part] = -1;
        }
        result->selected_epoch[s] = 0;
    }
    size_t places = (size_t)KDS_N_SELECTIONS * KDS_N_SPLITS;
    for (size_t i = 0; i < places * m; i++) {
        result->class_accuracy[i] = NAN;
    }
    if (result->counts) {
        memset(result->counts, 0, places * m * m * sizeof(int32_t));
    }
    if (result->group_counts) {
        memset(result->group_counts, 0, places * (size_t)shape.n_groups * m * m * sizeof(int32_t));
    }
    for (size_t i = 0; i < (size_t)KDS_N_SELECTIONS * (size_t)shape.n_test; i++) {
        result->prediction[i] = -1;
    }
    result->status = KDS_TRIAL_DIVERGED;
    memcpy(result->reason, reason, sizeof reason);
}

static void tell_fraction(const kds_run *run)
{
    if (run->hooks && run->hooks->fraction) {
        int64_t n_steps = run->recipe->epochs * run->steps_per_epoch;
        int64_t done = run->position.epoch * run->steps_per_epoch + run->position.step;
        *run->hooks->fraction = n_steps > 0 ? (double)done / (double)n_steps : 1.0;
    }
}

/* Multipliers move after every robust.every steps, after the last step too where it is one of them. No update, and no iterate of an average,
 * comes from the untrained network: its normalisation knows nothing of the data yet. */
static bool is_update_due(const kds_run *run)
{
    const run_position *at = &run->position;
    return kds_recipe_validates(run->recipe) && at->step > 0 &&
           (at->epoch * run->steps_per_epoch + at->step) % run->recipe->robust_every == 0;
}

/* Train from run->position to the end. KDS_OK, KDS_DIVERGED (the result says why) or KDS_STOPPED. */
static kds_status train_epochs(kds_run *run)
{
    run_position *at = &run->position;
    while (at->epoch < run->recipe->epochs) {
        shuffle_epoch(run);
        for (;;) {
            if (is_update_due(run) && !update_multipliers(run)) {
                return KDS_STOPPED;
            }
            if (at->step == run->steps_per_epoch) {
                break;
            }
            tell_fraction(run);
            if (kds_run_interrupted(run)) {
                return KDS_STOPPED;
            }
            checkpoint_if_due(run);
            double loss = take_step(run);
            if (!isfinite(loss)) {
                keep_diverged(run, "the loss is not finite");
                return KDS_DIVERGED;
            }
            at->last_loss = loss;
            at->step++;
            at->update = UPDATE_DUE;
        }
        tell_fraction(run);
        bool finite;
        if (!kds_run_measure_epoch(run, &finite)) {
            return KDS_STOPPED;
        }
        if (!finite) {
            keep_diverged(run, "the validation loss is not finite");
            return KDS_DIVERGED;
        }
        at->epoch++;
        at->step = 0;
        at->loss_sum = 0;
    }
    return KDS_OK;
}

/* What a teacher leaves to its students: the scores of what this trial returns. */
static kds_status leave_outputs(kds_run *run, const kds_train_outputs *outputs)
{
    const kds_split_view *split = run->split;
    bool average = run->averages && run->position.n_iterates > 0;
    if (outputs->train_logits) {
        if (average && run->sum_train) {
            kds_run_average(run, run->sum_train, split->n_train, outputs->train_logits);
        } else if (!kds_run_forward(run, split->train, split->n_train, outputs->train_logits)) {
            return KDS_STOPPED;
        }
    }
    if (outputs->validation_logits) {
        if (average) {
            kds_run_average(run, run->sum_validation, split->n_validation, outputs->validation_logits);
        } else if (!kds_run_forward(run, split->validation, split->n_validation, outputs->validation_logits)) {
            return KDS_STOPPED;
        }
    }
    if (outputs->values) {
        kds_net_get_values(run->net, outputs->values);
    }
    return KDS_OK;
}

static void start_over(kds_run *run)
{
    kds_trial_result_reset(run->result);
    run->position = (run_position){.last_loss = NAN};
    kds_net_init(run->net, (uint64_t)run->spec->seed, run->stream);
    size_t m = (size_t)run->model.n_classes;
    if (run->averages) {
        memset(run->sum_validation, 0, (size_t)run->split->n_validation * m * sizeof(double));
        memset(run->sum_test, 0, (size_t)run->split->n_test * m * sizeof(double));
        if (run->sum_train) {
            memset(run->sum_train, 0, (size_t)run->split->n_train * m * sizeof(double));
        }
    }
    memcpy(run->result->train_count, run->split->train_count, m * sizeof(int32_t));
}

static void init_loss(kds_run *run, const kds_kernels *kernels, const kds_distill_spec *distill)
{
    const kds_split_view *split = run->split;
    const kds_dataset *dataset = split->dataset;
    int32_t *train_label = run->order, *validation_label = run->prediction; /* free until training begins */
    for (int32_t g = 0; g < run->n_groups; g++) {
        run->group_count[g] = run->validation_group_count[g] = 0;
    }
    for (int64_t i = 0; i < split->n_train; i++) {
        train_label[i] = dataset->label[split->train[i]];
        if (run->n_groups > 0) {
            run->group_count[dataset->group[split->train[i]]]++;
        }
    }
    for (int64_t i = 0; i < split->n_validation; i++) {
        validation_label[i] = dataset->label[split->validation[i]];
        if (run->n_groups > 0) {
            run->validation_group_count[dataset->group[split->validation[i]]]++;
        }
    }
    const kds_loss_inputs inputs = {
        .kernels = kernels,
        .recipe = run->recipe,
        .distill = distill,
        .n_train = split->n_train,
        .n_validation = split->n_validation,
        .prior = split->train_prior,
        .train_count = split->train_count,
        .group_count = run->group_count,
        .validation_count = split->validation_count,
        .validation_group_count = run->validation_group_count,
        .teacher_train_logits = distill ? run->teacher->train_logits : NULL,
        .teacher_validation_logits = distill ? run->teacher->validation_logits : NULL,
        .train_label = train_label,
        .validation_label = validation_label,
    };
    kds_loss_init(&run->loss, &inputs);
}

kds_status kds_train_trial(kds_trainer *trainer, const kds_trial_spec *spec, const kds_split_view *split,
                           const kds_teacher_labels *teacher, const void *checkpoint, size_t n_checkpoint,
                           const kds_train_hooks *hooks, const kds_train_outputs *outputs, kds_trial_result *result,
                           kds_error *err)
{
    kds_status status;
    const kds_dataset *dataset = split->dataset;
    const workspace_sizes sizes = {split->n_train, split->n_validation, split->n_test};
    kds_run run = {.spec = spec,
                   .recipe = kds_trial_recipe(spec),
                   .split = split,
                   .teacher = teacher,
                   .hooks = hooks,
                   .result = result};
    const kds_distill_spec *distill = spec->role == KDS_ROLE_STUDENT ? &spec->distill : NULL;
    KDS_ASSERT(!distill || teacher);
    KDS_ASSERT(!kds_trial_teaches_live(spec) || teacher->values);
    KDS_ASSERT(result->shape.n_classes == dataset->n_classes && result->shape.n_epochs >= run.recipe->epochs);
    KDS_ASSERT(result->shape.n_test == split->n_test && result->shape.n_groups == dataset->n_groups);
    KDS_ASSERT(result->shape.with_decisions || !spec->measure.decisions);

    const uint64_t denormals = kds_denormals_to_zero();
    run.wall_start = kds_clock_wall();
    run.cpu_start = kds_clock_cpu();
    run.checkpoint_due = hooks ? run.wall_start + hooks->checkpoint_seconds : 0;
    run.stream = spec->role == KDS_ROLE_TEACHER;
    run.steps_per_epoch = (split->n_train + run.recipe->batch - 1) / run.recipe->batch;
    const kds_data_shape shape = kds_dataset_shape(dataset);
    KDS_TRY(make_models(&run, &shape, err));
    KDS_ASSERT(!result->parameters || result->shape.n_parameters >= run.model.n_values);

    KDS_TRY(kds_pair_cache_get(&trainer->pairs, spec, split, &run.pairs, err));
    kds_arena measured = kds_arena_measure();
    take_workspace(&run, trainer->kernels, &sizes, &measured);
    if (measured.used > trainer->arena.size) {
        kds_arena_clear(&trainer->arena);
        KDS_TRY(kds_arena_init(&trainer->arena, measured.used, err));
    }
    trainer->arena.used = 0;
    take_workspace(&run, trainer->kernels, &sizes, &trainer->arena);
    init_loss(&run, trainer->kernels, distill);
    if (run.teacher_net) {
        kds_net_set_values(run.teacher_net, teacher->values);
    }

    start_over(&run);
    if (checkpoint) {
        kds_run_restore(&run, checkpoint, n_checkpoint); /* not ours or damaged: the trial starts over */
    }

    status = train_epochs(&run);
    if (status == KDS_OK && outputs) {
        status = leave_outputs(&run, outputs);
    }
    if (status == KDS_OK && !kds_run_measure_train(&run, outputs ? outputs->train_logits : NULL)) {
        status = KDS_STOPPED;
    }
    if (status == KDS_STOPPED) {
        double seconds = run.position.wall_seconds + kds_clock_wall() - run.wall_start;
        if (hooks && hooks->checkpoint && seconds >= hooks->checkpoint_after) {
            save_checkpoint(&run);
        }
        KDS_FAIL(err, KDS_STOPPED, NULL, "interrupted at epoch %d", (int)run.position.epoch + 1);
    }
    if (status == KDS_OK) {
        result->status = KDS_TRIAL_DONE;
        if (result->parameters) {
            kds_net_get_values(run.net, result->parameters);
        }
    }
    status = KDS_OK; /* a divergence is a result */
    result->wall_seconds = run.position.wall_seconds + kds_clock_wall() - run.wall_start;
    result->cpu_seconds = run.position.cpu_seconds + kds_clock_cpu() - run.cpu_start;
out:
    kds_denormals_restore(denormals);
    return status;
}
