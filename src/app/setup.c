#include "setup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kdsweep/arena.h"
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

kds_status kds_row_plan_make(const kds_plan *plan, const kds_dataset *dataset, int64_t n_validation, int64_t n_test,
                             kds_row_plan *out, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_grid *grid = plan->grid;
    bool few = dataset->n_classes <= COUNTS_BY_DEFAULT_CLASSES;
    *out = (kds_row_plan){
        .shape = {.n_classes = dataset->n_classes,
                  .n_groups = dataset->n_groups,
                  .n_validation = n_validation,
                  .n_test = n_test,
                  .with_logits = grid->store_logits == KDS_STORE_YES},
        .with_counts = grid->store_counts == KDS_STORE_YES || (grid->store_counts == KDS_STORE_AUTO && few),
        .with_predictions = grid->store_predictions != KDS_STORE_NO,
        .with_parameters = grid->store_parameters == KDS_STORE_YES,
    };
    out->with_group_counts = dataset->n_groups > 0 && (grid->store_group_counts == KDS_STORE_YES ||
                                                       (grid->store_group_counts == KDS_STORE_AUTO && few));
    for (int32_t i = 0; i < plan->n_jobs; i++) {
        kds_trial_spec spec;
        kds_plan_spec(plan, i, &spec);
        const kds_recipe *recipe = kds_trial_recipe(&spec);
        out->shape.n_epochs = recipe->epochs > out->shape.n_epochs ? recipe->epochs : out->shape.n_epochs;
        if (out->with_parameters) {
            int64_t n;
            KDS_TRY(kds_train_n_parameters(recipe->model, dataset->n_features, dataset->n_classes, &n, err));
            out->shape.n_parameters = n > out->shape.n_parameters ? n : out->shape.n_parameters;
        }
    }
out:
    return status;
}

void kds_setup_split_sizes(const kds_data_spec *spec, const kds_dataset *sizes, int64_t *n_validation, int64_t *n_test)
{
    int64_t from = spec->validation_from == KDS_VALIDATION_FROM_TEST ? sizes->n_test : sizes->n_train;
    *n_validation = (int64_t)floor(spec->validation_fraction * (double)from + 0.5);
    *n_test = sizes->n_test - (spec->validation_from == KDS_VALIDATION_FROM_TEST ? *n_validation : 0);
}

int64_t kds_setup_train_size(const kds_data_spec *spec, const kds_dataset *sizes)
{
    int64_t n_left = sizes->n_train;
    if (spec->validation_from == KDS_VALIDATION_FROM_TRAIN) {
        n_left -= (int64_t)floor(spec->validation_fraction * (double)sizes->n_train + 0.5);
    }
    int64_t per_class = (n_left + sizes->n_classes - 1) / sizes->n_classes;
    int64_t n_max = spec->max_count > 0 && spec->max_count < per_class ? spec->max_count : per_class;
    int64_t n = 0;
    for (int y = 0; y < sizes->n_classes; y++) {
        n += kds_long_tail_count((kds_profile)spec->profile, spec->imbalance_ratio, n_max, y, sizes->n_classes,
                                 per_class);
    }
    return n < n_left ? n : n_left;
}

double kds_setup_cost(void *context, const kds_trial_spec *spec)
{
    const kds_dataset *sizes = context;
    int64_t n_validation, n_test;
    double flops = 0;
    kds_setup_split_sizes(&spec->data, sizes, &n_validation, &n_test);
    if (kds_train_flops(spec, sizes->n_features, sizes->n_classes, kds_setup_train_size(&spec->data, sizes),
                        n_validation, n_test, &flops, NULL) != KDS_OK) {
        return 1;
    }
    return flops;
}
