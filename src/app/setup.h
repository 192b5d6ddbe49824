/* From a grid file to a plan and the sizes of what it will make: what run, plan, expand and verify have in common. */
#ifndef KDSWEEP_SETUP_H
#define KDSWEEP_SETUP_H

#include "kdsweep/data.h"
#include "kdsweep/plan.h"
#include "kdsweep/store.h"
#include "launch.h"
#include "options.h"

typedef struct kds_setup {
    kds_grid *grid;
    kds_plan *plan;
    const char *output; /* --output, or the grid's */
} kds_setup;

/* Rank 0 reads the file, all parse the same bytes. launch may be NULL: this process alone. All problems of the grid go to `log`. */
kds_status kds_setup_new(const kds_options *options, kds_launch *launch, const kds_log *log, kds_setup *out,
                         kds_error *err);
void kds_setup_clear(kds_setup *setup);

/* What rows look like, from the plan, the data's sizes and the split. */
typedef struct kds_row_plan {
    kds_result_shape shape;
    bool with_counts, with_group_counts, with_predictions, with_parameters;
} kds_row_plan;
kds_status kds_row_plan_make(const kds_plan *plan, const kds_dataset *dataset, int64_t n_validation, int64_t n_test,
                             kds_row_plan *out, kds_error *err);

/* Examples that a validation split leaves, without loading anything (the rule of kds_split_new). */
void kds_setup_split_sizes(const kds_data_spec *spec, const kds_dataset *sizes, int64_t *n_validation, int64_t *n_test);

/* Training examples of one trial: long tail counts summed over equally large classes. An estimate where classes differ in size. */
int64_t kds_setup_train_size(const kds_data_spec *spec, const kds_dataset *sizes);

/* Cost in floating-point operations, for the scheduler. A kds_plan_cost_of; context: the probed or loaded kds_dataset. */
double kds_setup_cost(void *context, const kds_trial_spec *spec);

#endif
