/* What a rank does with a job: make its split, get its teacher's labels, train, keep the row. */
#ifndef KDSWEEP_WORKER_H
#define KDSWEEP_WORKER_H

#include "kdsweep/data.h"
#include "kdsweep/farm.h"
#include "kdsweep/log.h"
#include "kdsweep/plan.h"
#include "kdsweep/store.h"
#include "kdsweep/train.h"
#include "setup.h"

/* What a worker is made of; everything is borrowed. */
typedef struct kds_worker_config {
    const kds_plan *plan;
    const kds_dataset *dataset;
    const kds_row_plan *rows;
    const kds_kernels *kernels;
    const kds_log *log;
    const char *work; /* work folder */
    kds_store *store; /* where this rank writes rows; NULL: rows travel to rank 0 */
    /* [n_jobs] rows at the start: a teacher whose row is done is trained again for its labels only */
    const uint8_t *status;
    int rank;
    bool leaves_nothing; /* verify: no checkpoint is read or written, no artifact written */
} kds_worker_config;

typedef struct kds_worker kds_worker;

kds_status kds_worker_new(const kds_worker_config *config, kds_worker **out, kds_error *err);
void kds_worker_free(kds_worker *worker);

/* kds_farm_callbacks.run, with the worker as context. A trial that cannot be trained (no memory, say) is a row with status failed; a row
 * or an artifact that cannot be written is KDS_OUTCOME_LOST. A worker leaves at most one checkpoint behind: the one of a job that came to
 * nothing goes when another job's is written. */
void kds_worker_run(kds_worker *worker, int32_t job, kds_tick tick, kds_outcome *outcome);

/* kds_farm_callbacks.how_far: steps done of the trial that this worker is training, a teacher that is trained again for its labels not
 * counted; NaN before the first. */
double kds_worker_how_far(const kds_worker *worker);

/* Largest outcome->bytes. */
size_t kds_worker_max_bytes(const kds_row_plan *rows);

/* What the bytes of an outcome say when rows do not travel: why the trial is unusable. */
enum { KDS_WORKER_REASON_CHARS = 256 };

/* Train one job into `result`, whatever the file holds (verify). KDS_STOPPED when interrupted. */
kds_status kds_worker_train(kds_worker *worker, int32_t job, kds_tick tick, kds_trial_result *result, kds_error *err);

/* Key of the artifact of a teacher, needs its split. */
kds_status kds_worker_artifact_key(kds_worker *worker, int32_t teacher_job, uint64_t *key, kds_error *err);

/* "trial 12 (student, seed 3, ...)": how a trial is named in messages. */
void kds_job_describe(const kds_plan *plan, int32_t job, char *text, size_t size);

#endif
