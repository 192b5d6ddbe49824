/* The checkpoints of a sweep: which may stay. */
#ifndef KDSWEEP_CHECKPOINTS_H
#define KDSWEEP_CHECKPOINTS_H

#include "kdsweep/log.h"
#include "kdsweep/plan.h"

/*
 * At the start of a run, under the lock: leave no more than one checkpoint for each rank, those with most training in them. Those of trials
 * that nobody will go on with (not of this plan, or not is_open) go first. is_open: [n_jobs]; a trial that waits for a later run is open, too,
 * so that --only leaves the checkpoints of the trials that it leaves out alone, as far as there are ranks for them.
 *
 * A run adds at most one for each rank (kds_worker_run). Until the next start there may be more than ranks all the same: those of trials that
 * nobody has gone on with so far, because --only left them out or because their teacher's labels were lost and came first. What is lost is told.
 */
void kds_checkpoints_thin(const char *work, const kds_plan *plan, const bool *is_open, int n_ranks, const kds_log *log);

/* A trial of a plan that has a checkpoint. */
typedef struct kds_checkpoint_entry {
    uint64_t id;
    int32_t job; /* -1: of no trial of the plan */
    double seconds;
} kds_checkpoint_entry;

/* All checkpoints that there are (beyond 4096, any), in the order of their jobs. *list: kds_free it; NULL without any. */
kds_status kds_checkpoints_find(const char *work, const kds_plan *plan, kds_checkpoint_entry **list, int *n,
                                kds_error *err);

#endif
