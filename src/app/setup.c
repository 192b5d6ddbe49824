#include "setup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kdsweep/arena.h"
#include "kdsweep/hash.h"
#include "kdsweep/train.h"

/* Class by predicted counts take 6 * classes^2 numbers a row: beyond this many classes only on request. */
enum { COUNTS_BY_DEFAULT_CLASSES = 128 };

kds_status kds_setup_new(const kds_options *options, kds_launch *launch, const kds_log *log, kds_setup *out,
                         kds_error *err)
{
    kds_status status = KDS_OK;
    char *bytes = NULL;
    size_t n_bytes = 0;
    kds_text problems = {0};
    *out = (kds_setup){0};
    if (!launch || kds_launch_rank(launch) == 0) {
        status = kds_file_read(options->file, &bytes, &n_bytes, err);
        if (status == KDS_OK && n_bytes > 8 && memcmp(bytes, "\x89HDF\r\n\x1a\n", 8) == 0) {
            status = kds_error_set(err, KDS_GRID, "kdsweep status and kdsweep verify read results files",
                                   "%s is an HDF5 file, not a grid", options->file);
        }
    }
    if (launch) {
        void *shared = bytes;
        KDS_TRY(kds_launch_agree(launch, status, err));
        status = kds_launch_broadcast(launch, &shared, &n_bytes, err);
        bytes = shared;
    }
    if (status == KDS_OK) {
        status = kds_grid_parse(bytes, n_bytes, options->file, options->overrides, options->n_overrides, &out->grid,
                                &problems, err);
    }
    if (status == KDS_GRID && problems.size > 0) {
        /* The list is complete here; the record holds only what fits. */
        int n_problems = 0;
        for (const char *line = kds_text_string(&problems); *line;) {
            const char *end = strchr(line, '\n');
            size_t length = end ? (size_t)(end - line) : strlen(line);
            kds_error one = KDS_ERROR_INIT;
            kds_error_set(&one, KDS_GRID, NULL, "%.*s", (int)length, line);
            kds_log_error(log, &one);
            n_problems++;
            line += length + (end != NULL);
        }
        kds_error_clear(err);
        kds_error_set(err, KDS_GRID, "`kdsweep keys' lists every key; nothing was trained or written",
                      "%s: %d problem%s", options->file, n_problems, n_problems == 1 ? "" : "s");
    }
    KDS_TRY(status);
    KDS_TRY(kds_plan_new(out->grid, &out->plan, err));
    out->output = options->output ? options->output : out->grid->output;
out:
    kds_text_clear(&problems);
    kds_free(bytes);
    if (status != KDS_OK) {
        kds_setup_clear(out);
    }
    return status;
}

void kds_setup_clear(kds_setup *setup)
{
    kds_plan_free(setup->plan);
    kds_grid_free(setup->grid);
    *setup = (kds_setup){0};
}

void kds_row_plan_make(const kds_plan *plan, const kds_survey *survey, const kds_dataset *dataset, int64_t n_validation,
                       int64_t n_test, kds_row_plan *out)
{
    const kds_grid *grid = plan->grid;
    bool few = dataset->n_classes <= COUNTS_BY_DEFAULT_CLASSES;
    *out = (kds_row_plan){
        .shape = {.n_classes = dataset->n_classes,
                  .n_groups = dataset->n_groups,
                  .n_epochs = survey->n_epochs,
                  .n_validation = n_validation,
                  .n_test = n_test,
                  .with_counts = grid->store_counts == KDS_STORE_YES || (grid->store_counts == KDS_STORE_AUTO && few),
                  .with_decisions = grid->base.measure.decisions != 0, /* never an axis */
                  .with_logits = grid->store_logits == KDS_STORE_YES},
        .with_predictions = grid->store_predictions != KDS_STORE_NO,
        .with_parameters = grid->store_parameters == KDS_STORE_YES,
    };
    out->shape.with_group_counts = dataset->n_groups > 0 && (grid->store_group_counts == KDS_STORE_YES ||
                                                             (grid->store_group_counts == KDS_STORE_AUTO && few));
    if (out->with_parameters) {
        out->shape.n_parameters = survey->n_values;
    }
}

void kds_setup_split_sizes(const kds_data_spec *spec, const kds_dataset *sizes, int64_t *n_validation, int64_t *n_test)
{
    int64_t from = spec->validation_from == KDS_VALIDATION_FROM_TEST ? sizes->n_test : sizes->n_train;
    *n_validation = (int64_t)floor(spec->validation_fraction * (double)from + 0.5);
    *n_test = sizes->n_test - (spec->validation_from == KDS_VALIDATION_FROM_TEST ? *n_validation : 0);
}

/* The other half of a key for both, or -1 where this slot has a value of its own. */
static int other_half(const kds_grid *grid, int i_slot)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int k = 0; k < n_slots && grid->shared[i_slot]; k++) {
        if (k != i_slot && grid->shared[k] && strcmp(slots[k].shared_path, slots[i_slot].shared_path) == 0) {
            return k;
        }
    }
    return -1;
}

/* Which trials agree in everything that decides about other keys: a number of role and values. */
static uint64_t deciding_number(const kds_grid *grid, const bool decides[KDS_MAX_AXES], const kds_job *job)
{
    uint64_t left = job->combination, number = job->role;
    for (int i = grid->n_axes - 1; i >= 0; i--) {
        const uint64_t n_values = (uint64_t)grid->axes[i].n_values;
        if (decides[i]) {
            number = number * n_values + left % n_values;
        }
        left /= n_values;
    }
    return number;
}

void kds_setup_list_idle_keys(const kds_plan *plan, kds_text *out)
{
    enum { N_SEEN = 4096 };
    const kds_grid *grid = plan->grid;
    int n_slots, n_open = 0, open[KDS_MAX_SLOTS]; /* keys of which no trial has been found that uses them */
    const kds_slot *slots = kds_slots(&n_slots);
    bool decides[KDS_MAX_AXES] = {false};
    uint64_t seen[N_SEEN] = {0}; /* numbers + 1: a few are enough, and a number that was forgotten is looked at again */
    for (int i = 0; i < grid->n_axes; i++) {
        for (int k = 0; k < grid->axes[i].n_slots; k++) {
            decides[i] = decides[i] || slots[grid->axes[i].slots[k]].decides;
        }
    }
    for (int k = 0; k < n_slots; k++) {
        const bool is_path = strcmp(slots[k].name, "data_path") == 0; /* where the data lie is no part of a trial */
        if (grid->given[k] && !(is_path && !kds_data_spec_generates(&grid->base.data))) {
            open[n_open++] = k;
        }
    }
    for (int32_t i = 0; i < plan->n_jobs && n_open > 0; i++) {
        const uint64_t number = deciding_number(grid, decides, &plan->jobs[i]);
        uint64_t *place = &seen[kds_hash64_fold(0, number) % N_SEEN];
        if (*place == number + 1) {
            continue;
        }
        *place = number + 1;
        kds_trial_spec spec;
        kds_plan_spec(plan, i, &spec);
        for (int k = n_open - 1; k >= 0; k--) {
            const int other = other_half(grid, open[k]);
            if (kds_slot_applies(open[k], &spec) || (other >= 0 && kds_slot_applies(other, &spec))) {
                n_open--;
                memmove(open + k, open + k + 1, (size_t)(n_open - k) * sizeof open[0]);
            }
        }
    }
    for (int k = 0; k < n_open; k++) {
        const int other = other_half(grid, open[k]);
        if (other < 0 || other > open[k]) { /* of two halves, the first */
            const kds_slot *slot = &slots[open[k]];
            kds_text_addf(out, "%s\n", grid->shared[open[k]] ? slot->shared_path : slot->path);
        }
    }
}

/* ---- splits -------------------------------------------------------------------------------------------------------- */

bool kds_setup_is_of_data(const kds_axis *axis)
{
    int n_slots;
    return strncmp(kds_slots(&n_slots)[axis->slots[0]].path, "data.", 5) == 0;
}

/* The number of a job's combination of the axes of the data alone. */
static uint64_t data_combination(const kds_grid *grid, const kds_job *job)
{
    uint64_t left = job->combination, number = 0, stride = 1;
    for (int i = grid->n_axes - 1; i >= 0; i--) {
        const uint64_t n_values = (uint64_t)grid->axes[i].n_values;
        if (kds_setup_is_of_data(&grid->axes[i])) {
            number += left % n_values * stride;
            stride *= n_values;
        }
        left /= n_values;
    }
    return number;
}

/* "data.augment.pad = 2, data.imbalance.ratio = 100: "; nothing without an axis of the data. */
static void describe_data(const kds_grid *grid, const kds_trial_spec *spec, kds_text *out)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    for (int i = 0; i < grid->n_axes; i++) {
        if (kds_setup_is_of_data(&grid->axes[i]) && kds_slot_applies(grid->axes[i].slots[0], spec)) {
            const kds_slot *slot = &slots[grid->axes[i].slots[0]];
            kds_text_addf(out, "%s%s = ", out->size > 0 ? ", " : "", grid->axes[i].path);
            kds_slot_value_to_text(slot, kds_slot_get(slot, spec), true, out);
        }
    }
    if (out->size > 0) {
        kds_text_add(out, ": ");
    }
}

kds_status kds_setup_check_splits(const kds_plan *plan, const kds_dataset *dataset, kds_error *err)
{
    enum { MAX_SPLITS = 64 }; /* some milliseconds each */
    kds_status status = KDS_OK;
    kds_text values = {0};
    uint64_t seen[MAX_SPLITS], n_all = 1;
    int n_seen = 0;
    for (int i = 0; i < plan->grid->n_axes; i++) {
        n_all *= kds_setup_is_of_data(&plan->grid->axes[i]) ? (uint64_t)plan->grid->axes[i].n_values : 1;
    }
    for (int32_t i = 0; i < plan->n_jobs && n_seen < MAX_SPLITS && (uint64_t)n_seen < n_all; i++) {
        uint64_t number = data_combination(plan->grid, &plan->jobs[i]);
        int k = 0;
        while (k < n_seen && seen[k] != number) {
            k++;
        }
        if (k < n_seen) {
            continue;
        }
        seen[n_seen++] = number;
        kds_trial_spec spec;
        kds_error why = KDS_ERROR_INIT;
        kds_plan_spec(plan, i, &spec);
        status = dataset->label ? kds_split_check(dataset, &spec.data, &why)
                                : kds_split_check_sizes(dataset, &spec.data, &why);
        if (status != KDS_OK) {
            describe_data(plan->grid, &spec, &values);
            KDS_FAIL(err, status, why.hint, "%s%s", kds_text_string(&values), why.message);
        }
    }
out:
    kds_text_clear(&values);
    return status;
}

/* ---- survey -------------------------------------------------------------------------------------------------------- */

typedef struct survey_context {
    const kds_dataset *sizes;
    kds_survey *survey;
    kds_error *err;
    kds_status status; /* of the first trial that cannot be */
} survey_context;

/* Training examples of one trial, and those of its last class; classes, and groups within them, are taken as equally large. */
static int64_t train_size(const kds_data_spec *spec, const kds_dataset *sizes, int64_t *n_last)
{
    int64_t n_left = sizes->n_train, n = 0;
    *n_last = 0;
    if (spec->validation_from == KDS_VALIDATION_FROM_TRAIN) {
        n_left -= (int64_t)floor(spec->validation_fraction * (double)sizes->n_train + 0.5);
    }
    int64_t per_class = (n_left + sizes->n_classes - 1) / sizes->n_classes;
    if (spec->correlation_strength > 0 && sizes->n_groups > 0) {
        int64_t per_cell = (n_left + (int64_t)sizes->n_classes * sizes->n_groups - 1) /
                           ((int64_t)sizes->n_classes * sizes->n_groups);
        /* Strength 1 needs them of one group. */
        *n_last = spec->correlation_count > 0 ? spec->correlation_count : per_cell;
        n = *n_last * sizes->n_classes;
        return n < n_left ? n : n_left;
    }
    int64_t n_max = spec->max_count > 0 && spec->max_count < per_class ? spec->max_count : per_class;
    for (int y = 0; y < sizes->n_classes; y++) {
        *n_last = kds_long_tail_count((kds_profile)spec->profile, spec->imbalance_ratio, n_max, y, sizes->n_classes,
                                      per_class);
        n += *n_last;
    }
    return n < n_left ? n : n_left;
}

/* A kds_plan_cost_of that also notes the largest of everything. */
static double look_at(void *context, const kds_trial_spec *spec)
{
    survey_context *self = context;
    kds_status status;
    kds_survey *survey = self->survey;
    const kds_dataset *sizes = self->sizes;
    const kds_recipe *recipe = kds_trial_recipe(spec);
    int64_t n_validation, n_test, n_last, n_train = train_size(&spec->data, sizes, &n_last), n_values;
    size_t workspace;
    double flops = 1;
    kds_setup_split_sizes(&spec->data, sizes, &n_validation, &n_test);
    const kds_data_shape shape = kds_dataset_shape(sizes);
    KDS_TRY(kds_train_flops(spec, &shape, n_train, n_validation, n_test, &flops, self->err));
    KDS_TRY(kds_train_workspace(spec, &shape, n_train, n_validation, n_test, &workspace, self->err));
    KDS_TRY(kds_train_n_values(recipe, &shape, &n_values, self->err));
    double artifact = 4.0 * ((double)(n_train + n_validation) * sizes->n_classes + (double)n_values);
    survey->n_epochs = recipe->epochs > survey->n_epochs ? recipe->epochs : survey->n_epochs;
    survey->n_values = n_values > survey->n_values ? n_values : survey->n_values;
    survey->workspace = fmax(survey->workspace, (double)workspace);
    survey->checkpoint = fmax(survey->checkpoint, kds_train_checkpoint_bytes(spec, n_values, sizes->n_classes, n_train,
                                                                             n_validation, n_test));
    survey->largest_ratio = fmax(survey->largest_ratio, spec->data.imbalance_ratio);
    survey->smallest_class = n_last < survey->smallest_class ? n_last : survey->smallest_class;
    if (spec->role == KDS_ROLE_TEACHER) {
        survey->artifact = fmax(survey->artifact, artifact);
    }
out:
    self->status = self->status == KDS_OK ? status : self->status;
    return flops;
}

kds_status kds_survey_new(const kds_plan *plan, const kds_dataset *dataset, kds_survey *out, kds_error *err)
{
    kds_status status;
    *out = (kds_survey){.smallest_class = INT64_MAX};
    survey_context context = {dataset, out, err, KDS_OK};
    out->costs = kds_alloc((size_t)plan->n_jobs, sizeof *out->costs, err);
    if (!out->costs) {
        return KDS_MEMORY;
    }
    KDS_TRY(kds_plan_costs(plan, look_at, &context, out->costs, err));
    KDS_TRY(context.status);
out:
    if (status != KDS_OK) {
        kds_survey_clear(out);
    }
    return status;
}

void kds_survey_clear(kds_survey *survey)
{
    kds_free(survey->costs);
    survey->costs = NULL;
}
