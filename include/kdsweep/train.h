/*
 * One trial: spec + data + teacher's labels -> result. Knows nothing of files, ranks or other trials.
 */
#ifndef KDSWEEP_TRAIN_H
#define KDSWEEP_TRAIN_H

#include <stdint.h>

#include "kdsweep/data.h"
#include "kdsweep/kernels.h"
#include "kdsweep/status.h"
#include "kdsweep/trial.h"

/* What a student gets of its teacher, and what a teacher leaves for its students. Borrowed or filled, [n][n_classes]. */
typedef struct kds_teacher_labels {
    const float *train_logits;      /* in the order of kds_split_view.train */
    const float *validation_logits; /* in the order of kds_split_view.validation */
    const float *values;            /* [n_values] of the teacher's model; needed when kds_trial_teaches_live */
} kds_teacher_labels;

/* Where a teacher's labels go when it has been trained; caller's arrays of the right size, or all NULL. */
typedef struct kds_train_outputs {
    float *train_logits;
    float *validation_logits;
    float *values; /* [n_values]: kds_model */
} kds_train_outputs;

typedef struct kds_trainer kds_trainer;

/* A trainer is made once per rank and reused: it keeps its arena as long as it is large enough. */
kds_status kds_trainer_new(const kds_kernels *kernels, kds_trainer **out, kds_error *err);
void kds_trainer_free(kds_trainer *trainer);

/* Between mini-batches: return true to interrupt. */
typedef struct kds_train_hooks {
    bool (*interrupt)(void *context);
    /* Every `checkpoint_seconds` (0: never), and when interrupted after at least `checkpoint_after` seconds of training: keep these
     * bytes, replacing the trial's earlier ones. bytes NULL: there was no memory for so many. Failure is not fatal. */
    void (*checkpoint)(void *context, const void *bytes, size_t n_bytes);
    double checkpoint_seconds;
    double checkpoint_after;
    void *context;
    double *fraction; /* kept up to date: steps done of all, those before a checkpoint too. May be NULL */
} kds_train_hooks;

/*
 * Train and measure one trial. `checkpoint` (may be NULL): bytes of an earlier interruption; if they do not belong to this spec and
 * split, or are damaged, the trial starts over.
 * result->status is DONE or DIVERGED (with reason) and everything but rank, host and finished_at is filled when KDS_OK is returned.
 * KDS_STOPPED: interrupted. KDS_MEMORY: no workspace. KDS_GRID: the spec does not fit the data.
 */
kds_status kds_train_trial(kds_trainer *trainer, const kds_trial_spec *spec, const kds_split_view *split,
                           const kds_teacher_labels *teacher, const void *checkpoint, size_t n_checkpoint,
                           const kds_train_hooks *hooks, const kds_train_outputs *outputs, kds_trial_result *result,
                           kds_error *err);

/* Seconds of training in a checkpoint that the hook was given, those of earlier runs included as far as the trial went on with them. */
double kds_train_checkpoint_seconds(const void *bytes);

/* Bytes of such a checkpoint, about: without the packed row, and without what pads the network's memory. n_values: of the trial's model. A
 * checkpoint is there beside the workspace while it is being written. */
double kds_train_checkpoint_bytes(const kds_trial_spec *spec, int64_t n_values, int32_t n_classes, int64_t n_train,
                                  int64_t n_validation, int64_t n_test);

/* Does this student's teacher run on each augmented batch? Otherwise its cached labels are all that a step needs. Even then the labels of
 * the multiplier update and the teacher's marginal (methods 2.2) are the cached ones, of the images as they are: a marginal belongs to the
 * data, and validation is never augmented. KDS_GRID from training and sizes if the teacher returns the average of its iterates. */
bool kds_trial_teaches_live(const kds_trial_spec *spec);

/* Stored values (parameters and running statistics) of a recipe's model on these data. KDS_GRID for a model that does not fit. */
kds_status kds_train_n_values(const kds_recipe *recipe, const kds_data_shape *data, int64_t *out, kds_error *err);

/* Bytes of memory that kds_train_trial takes for this trial: exact. Its workspace, and its own pairs for individual fairness where they are measured.
 * A trainer keeps the pairs of earlier trials too, as long as all of them together have no more than 32 MB (KDS_PAIR_CACHE_BYTES): these are not in it. */
kds_status kds_train_workspace(const kds_trial_spec *spec, const kds_data_shape *data, int64_t n_train,
                               int64_t n_validation, int64_t n_test, size_t *out, kds_error *err);

/* Floating-point operations (multiply-adds times two) of this trial: training, evaluation, multiplier updates, a live teacher; and what
 * measuring the last epoch costs (decisions, calibration), as the operations that take as long. Without pairs: they serve many trials. */
kds_status kds_train_flops(const kds_trial_spec *spec, const kds_data_shape *data, int64_t n_train,
                           int64_t n_validation, int64_t n_test, double *out, kds_error *err);

#endif
