/*
 * The farm: jobs onto ranks. It moves job numbers and opaque bytes and does not know what training is.
 *
 * All decisions are made by the coordinator (kds_sched), a pure state machine: events in, commands out, ranks are plain ints, no
 * clock, no MPI. Transports (loopback in one process, MPI between ranks, simulation in `kdsweep plan`) only carry.
 *
 * Worker 0 is the root: it runs jobs like the others and coordinates inside its ticks and between its jobs.
 */
#ifndef KDSWEEP_FARM_H
#define KDSWEEP_FARM_H

#include <stdint.h>

#include "kdsweep/status.h"

/* ---- what is to be done ---------------------------------------------------------------------------------------------- */

typedef enum kds_job_state {
    KDS_JOB_WAITING,  /* to be run, or waiting for its parent */
    KDS_JOB_FINISHED, /* needs no run: its row is in the file (a parent: its children may start) */
    KDS_JOB_UNUSABLE, /* finished as a row, but failed or diverged: its children cannot run */
    KDS_JOB_BEGUN,    /* as WAITING, but an earlier run left part of it: it goes before all others */
} kds_job_state;

typedef struct kds_farm_job {
    int32_t parent; /* job that must be finished first, or -1; a parent has no parent itself */
    uint8_t state;  /* kds_job_state at the start */
    double cost;    /* any unit, > 0 and finite; only relative sizes matter */
} kds_farm_job;

/* Does it have to run? */
bool kds_farm_job_is_open(const kds_farm_job *job);

typedef enum kds_outcome_kind {
    KDS_OUTCOME_DONE,
    KDS_OUTCOME_UNUSABLE,    /* finished as a row that says failed or diverged */
    KDS_OUTCOME_INTERRUPTED, /* stopped by a signal or the time limit; back to waiting */
    KDS_OUTCOME_LOST,        /* could not even be recorded (I/O): the sweep ends */
} kds_outcome_kind;

typedef struct kds_outcome {
    kds_outcome_kind kind;
    double seconds;         /* wall time of the run */
    const void *bytes;      /* for the root's `deliver`; borrowed until the next run */
    size_t n_bytes;         /* at most kds_farm_config.max_bytes */
    const kds_error *error; /* LOST: why, for the root to tell; may be NULL; borrowed until the next run */
} kds_outcome;

/* ---- the coordinator -------------------------------------------------------------------------------------------------- */

typedef struct kds_sched kds_sched;

typedef enum kds_command_kind {
    KDS_COMMAND_RUN,  /* give job to worker; it starts it now or puts it in reserve */
    KDS_COMMAND_SKIP, /* job will never run, its parent is unusable: let the root record that */
    KDS_COMMAND_STOP, /* worker: finish at once (interrupt what runs, hand back the reserve), then leave */
} kds_command_kind;

typedef struct kds_command {
    kds_command_kind kind;
    int32_t worker; /* -1 for SKIP */
    int32_t job;    /* -1 for STOP */
} kds_command;

/* `jobs` is read once. Workers are 0 .. n_workers-1 and hold at most 1 + n_reserve jobs each, to be run in the order given.
 * KDS_MEMORY; KDS_INTERNAL when the jobs are not a forest of depth two with costs > 0.
 *
 * Order: a job's urgency is its cost, for a parent plus what waits behind it (its largest child, or all its children spread
 * over all workers, whichever is more); the most urgent ready job goes first, parents first among equals; what was BEGUN, and the
 * parent that it waits for, are more urgent than all others. A worker is given
 * children of the parent whose artifacts it holds as long as the jobs passed over are short against the work left.
 * A reserve is given only where it can delay nothing: the coordinator cannot take it back.
 * A sweep of a million jobs on thousands of workers takes O(log n_jobs) per event and about 30 bytes per job. */
kds_status kds_sched_new(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, int n_reserve, kds_sched **out,
                         kds_error *err);
void kds_sched_free(kds_sched *sched);

/* What earlier runs spent on each job, seconds [n_jobs]; borrowed, NULL: nothing. Before the first event; only for the estimate of
 * how far a running job is. */
void kds_sched_set_seconds_before(kds_sched *sched, const float *seconds_before);

/* What time it is, in seconds since whenever: what happens from here on happens then. Only for the estimate of how far the running
 * jobs are: no decision depends on it. */
void kds_sched_time_is(kds_sched *sched, double now);

/* Events. A worker that becomes ready is announced once; then it reports every job it was given: one that it hands back
 * unstarted, or could not finish, as INTERRUPTED, which may be given again. LOST counts as INTERRUPTED, and stops everything.
 * An event that cannot be (a job the worker does not hold) is a bug and asserts. */
void kds_sched_worker_ready(kds_sched *sched, int worker);
void kds_sched_job_ended(kds_sched *sched, int worker, int32_t job, kds_outcome_kind kind, double seconds);
/* The worker's running job (the first it holds) is so far, 0 .. 1; NaN says nothing. Better than an estimate, for those that can
 * tell: all others are taken to be as fast as what is known. */
void kds_sched_job_is_at(kds_sched *sched, int worker, double fraction);
/* Stop everything: no job is given or skipped any more; STOP goes to every worker. Idempotent. */
void kds_sched_stop(kds_sched *sched);
/* The worker has left, usually after STOP, which also comes when nothing is left to do. Jobs it still held go back. */
void kds_sched_worker_left(kds_sched *sched, int worker);

/* The next command, false when there is none for now. After each event, drain it. STOP goes to every worker that has not left,
 * announced or not. */
bool kds_sched_next(kds_sched *sched, kds_command *out);

/* All workers have left. */
bool kds_sched_is_over(const kds_sched *sched);

typedef struct kds_sched_progress {
    /* n_total is the sum of the others. A job in a reserve is waiting; n_finished_before holds unusable rows, too. */
    int32_t n_total, n_finished_before, n_done, n_unusable, n_skipped, n_running, n_waiting;
    int n_workers, n_busy;
    double cost_total, cost_done; /* of the jobs that this run has to do; a skipped job is none */
    double seconds_per_cost;      /* of the jobs done so far, weighted by cost; NaN before the first is done */
    /* The parts of the running jobs that are done, told or estimated; not in cost_done. A job in a reserve has none. An estimate:
     * it may fall. */
    double cost_running;
    double seconds_left; /* an estimate, too; NaN before anything is known about the speed */
} kds_sched_progress;
void kds_sched_get_progress(const kds_sched *sched, kds_sched_progress *out);

/* ---- running it --------------------------------------------------------------------------------------------------------- */

/* Given to `run`, to be called between mini-batches. Returns true when the job must be interrupted now. On rank 0 it also serves
 * the other ranks, so it must not be held up for longer than a mini-batch or two. */
typedef struct kds_tick {
    bool (*call)(void *context);
    void *context;
} kds_tick;

typedef struct kds_farm_callbacks {
    void *context;
    /* Every rank: run one job to its end, keep its result or put it into outcome->bytes. */
    void (*run)(void *context, int32_t job, kds_tick tick, kds_outcome *outcome);
    /* Root only: bytes of a job that some rank ran (DONE or UNUSABLE, n_bytes > 0). Called before the job counts as done. KDS_IO
     * etc. ends the sweep. May be NULL when no job has bytes. */
    kds_status (*deliver)(void *context, int32_t job, const void *bytes, size_t n_bytes, kds_error *err);
    /* Root only: a job whose parent is unusable. May be NULL. A failure ends the sweep. */
    kds_status (*skip)(void *context, int32_t job, int32_t parent, kds_error *err);
    /* Every rank, from tick and while waiting: has a signal come or the time run out? May be NULL. One rank is enough: all stop. */
    bool (*must_stop)(void *context);
    /* Root only, from tick and while waiting, at most every 0.1 s, and once at the end: show progress. May call kds_sched_stop
     * (--stop-after). May be NULL. */
    void (*progress)(void *context, kds_sched *sched);
    /* Root only, before `progress` and while the root is inside `run`: how far is that job, 0 .. 1? NaN: unknown. May be NULL. */
    double (*how_far)(void *context);
} kds_farm_callbacks;

typedef struct kds_farm_config {
    const kds_farm_job *jobs;
    int32_t n_jobs;
    size_t max_bytes; /* largest outcome->bytes, the same on every rank; a rank holds a few buffers of this size */
    int n_reserve;    /* jobs a worker holds beside the one it runs; 1 hides the latency of a busy root */
    const float *seconds_before; /* root only, [n_jobs] or NULL: kds_sched_set_seconds_before */
} kds_farm_config;

typedef struct kds_farm_report {
    bool stopped;                /* some job was left */
    kds_sched_progress progress; /* root only */
    double wall_seconds;         /* first command to last worker's leave */
    double busy_seconds;         /* this rank, inside run (on the root without the coordinator's part) */
    /* root: time spent in the scheduler and in messages, not in run, not in the other callbacks */
    double coordinator_seconds;
    /* MPI itself failed here: other ranks may wait for ever, the caller must end the whole job */
    bool transport_failed;
} kds_farm_report;

/* One process: the loopback transport, the same scheduler.
 *
 * This and its MPI twin return KDS_OK when the sweep ended or was stopped (report->stopped), and the first failure of `deliver`,
 * of `skip` or of a LOST job otherwise. Under MPI every rank returns the same status (so that what follows may be collective);
 * the full record is on the root and on the rank that failed. */
kds_status kds_farm_run_loopback(const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                                 kds_farm_report *report, kds_error *err);

/* The MPI transport is declared in src/farm/farm_mpi.h (it takes a communicator). */

/* Simulate: the very scheduler with n_workers (and one job in reserve) on the given costs. Seconds = cost * seconds_per_cost. */
typedef struct kds_farm_forecast {
    double makespan;      /* seconds */
    double busy;          /* seconds, summed over workers */
    double utilisation;   /* busy / (makespan * n_workers); 1 when there is nothing to do */
    double critical_path; /* seconds: no number of ranks can be faster */
} kds_farm_forecast;
kds_status kds_farm_simulate(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, double seconds_per_cost,
                             kds_farm_forecast *out, kds_error *err);

#endif
