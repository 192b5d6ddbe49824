/*
 * One trial while it is being trained: what train.c (the loop), measure.c and measure_last.c (evaluation) and checkpoint.c share.
 *
 * Everything lies in one arena, measured first and allocated once; the loop never allocates.
 */
#ifndef KDSWEEP_RUN_H
#define KDSWEEP_RUN_H

#include "kdsweep/arena.h"
#include "kdsweep/distill.h"
#include "kdsweep/nn.h"
#include "kdsweep/train.h"
#include "pairs.h"

/* A multiplier update has several passes over data and may be interrupted between any two of them. */
typedef enum run_update_phase {
    UPDATE_DUE,        /* nothing done yet */
    UPDATE_MULTIPLIED, /* lambda is updated; the averaged iterate still wants its three passes */
    UPDATE_SUMMED_VALIDATION,
    UPDATE_SUMMED_TEST,
    UPDATE_DONE,
} run_update_phase;

/* Where the training stands: all of it goes into a checkpoint. */
typedef struct run_position {
    int32_t epoch;      /* 0-based; n_epochs when only the outputs are left */
    int32_t update;     /* run_update_phase of the update that is due after the last step, if one is */
    int64_t step;       /* taken in the epoch; steps_per_epoch when at most an update and its evaluation are left */
    int64_t n_updates;  /* multiplier updates so far */
    int64_t n_iterates; /* in the sums of the averaged iterate */
    int64_t n_summed;   /* training examples whose scores the update at hand has added */
    double loss_sum;    /* of the epoch so far: batch loss times its rows */
    double last_loss;   /* of the last batch, for the message of a divergence */
    double wall_seconds, cpu_seconds; /* of earlier runs of this trial */
} run_position;

typedef struct kds_run {
    const kds_trial_spec *spec;
    const kds_recipe *recipe;
    const kds_split_view *split;
    const kds_teacher_labels *teacher; /* NULL without */
    const kds_train_hooks *hooks;
    kds_trial_result *result;
    kds_model model;
    int32_t n_groups; /* of the data */
    kds_net *net;
    kds_model teacher_model; /* only of a teacher that runs live */
    kds_net *teacher_net;    /* the same; NULL: the cached labels serve */
    int32_t teacher_chunk;   /* rows that it takes at a time */
    kds_loss loss;
    bool averages;   /* robust_iterate = averaged, and an objective with multipliers */
    uint32_t stream; /* 1 for teachers: they share no random numbers with their students */
    int64_t steps_per_epoch;
    run_position position;
    double wall_start, cpu_start, checkpoint_due;

    int32_t evaluation_rows; /* rows of an evaluation chunk */
    int32_t max_rows;        /* of a batch or an evaluation chunk */
    float *d_logits;         /* [max_rows][n_classes] */
    float *teacher_rows;     /* [max_rows][n_classes] the teacher's logits of the batch */
    int32_t *examples;       /* [max_rows] */
    int32_t *label;          /* [max_rows] */
    int32_t *group;          /* [max_rows]; NULL without groups */
    int32_t *group_count;    /* [n_groups] training examples; NULL without groups */
    int32_t *validation_group_count;
    kds_augmentation *augmentation; /* [batch]; NULL when images stay as they are */
    int32_t *order;                 /* [n_train] this epoch's order: positions in split->train */
    float *logits;                  /* [max(n_validation, n_test)][n_classes] of the part that was evaluated last */
    int32_t *prediction;            /* [n_validation], then [n_test]: of the epoch that is being measured */
    int32_t *counts;                /* [split][class][predicted] of the epoch that is being measured */
    float *class_accuracy;          /* [split][class] */
    kds_pair_list *pairs;           /* for individual fairness; NULL when that is not measured. The trainer's */
    double *quality_sums;           /* [n_classes][KDS_QUALITY_SUMS] */
    double *log_weight;             /* [decision][class] */
    double *decision_work;          /* [kds_decision_work(n_classes)] */
    float *decision_weight;         /* [n_classes] */
    int32_t *decision_counts;       /* [class][predicted], for a row that has no room for them */
    uint64_t *sorted;               /* [2 max(n_validation, n_test)] */
    int32_t *part_label;            /* [max(n_validation, n_test)] of the part that was evaluated last */
    /* sums of scores over the iterates, for the averaged iterate; NULL unless `averages` */
    double *sum_validation, *sum_test; /* [n][n_classes] */
    double *sum_train;                 /* teachers only: what their students will learn from */
} kds_run;

/* True when the trial must stop now. */
bool kds_run_interrupted(const kds_run *run);

/* Passes over rows can be interrupted where they are long: after so many of them, some milliseconds; so at row i of such a pass. */
int64_t kds_run_rows_at_once(const kds_run *run);
bool kds_run_interrupted_at(const kds_run *run, int64_t i);

/* Logits of these examples, n_rows <= max_rows, as they are (never augmented), by the current parameters; valid until the net's next call.
 */
const float *kds_run_evaluate(kds_run *run, const int32_t *examples, int32_t n_rows);

/* The same for any number of examples, into out[n][n_classes]. False when interrupted: out is then incomplete, and nothing else has changed.
 */
bool kds_run_forward(kds_run *run, const int32_t *examples, int64_t n_examples, float *out);

/* Predictions of one part, of the epoch that is being measured. */
int32_t *kds_run_prediction(const kds_run *run, kds_split part);

/* End of an epoch: validation, curves, selections, test where something is selected; of the last epoch also what is measured of its scores alone
 * (quality, calibration, fairness, decisions). False when interrupted: it is all done again then, to the same bits. Sets *finite to whether the
 * validation loss is a number; nothing is recorded unless it is. */
bool kds_run_measure_epoch(kds_run *run, bool *finite);

/* ---- measure_last.c ---- */

/* The pairs of individual fairness are found once for many trials, here where the training can be interrupted. False when it was. */
bool kds_run_fill_pairs(kds_run *run);

/* From run->logits, which are gone afterwards, and the predictions: everything that is measured once. Validation comes first. Its decisions are
 * searched for, and made there, by the probabilities that its logits become; on test all are made by logits. False when interrupted. */
bool kds_run_measure_last(kds_run *run, kds_split split);

/* Of a trained teacher: quality on its training examples, by train_logits [n_train][n_classes], or by evaluating them anew where that is NULL.
 * Nothing of other roles. False when interrupted: it begins anew then. */
bool kds_run_measure_train(kds_run *run, const float *train_logits);

/* Take the memory of all this (works on a measuring arena); needs run->model. */
void kds_run_take_measures(kds_run *run, int64_t n_validation, int64_t n_test, kds_arena *arena);

/* ---- measure.c and checkpoint.c ---- */

/* The examples of one part. */
const int32_t *kds_run_part(const kds_run *run, kds_split part, int64_t *n_examples);

/* scores / n_iterates into out. */
void kds_run_average(const kds_run *run, const double *sum, int64_t n_examples, float *out);

/* Everything that training has changed, as bytes (kds_alloc; kds_free them), and back. KDS_MEMORY: the hook has been told. Restoring returns
 * false, having changed nothing, when the bytes are damaged or belong to something else. */
kds_status kds_run_save(const kds_run *run, void **bytes, size_t *n_bytes, kds_error *err);
bool kds_run_restore(kds_run *run, const void *bytes, size_t n_bytes);

#endif
