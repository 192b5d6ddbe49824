/*
 * The farm between ranks. Each scenario is a sweep of fake jobs; afterwards the ranks compare notes in a reduction.
 * A scenario with endless jobs ends only because the stop works: the time limit of the test is its clock.
 *
 * kds-ranks: 1 2 3 5 64
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "farm_mpi.h"
#include "kdsweep/farm.h"

enum { MAX_JOBS = 400, ENDLESS = -1, NEVER = -1 };

/* A failed check ends all ranks at once. */
#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "rank %d: %s:%d: %s\n", my_rank, __func__, __LINE__, #condition); \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                     \
        }                                                                                     \
    } while (0)

static int my_rank;
static int n_ranks;

/* What one rank did in one sweep, and what it shall do. */
typedef struct notes {
    int n_runs[MAX_JOBS]; /* ended as DONE or UNUSABLE */
    int n_begun;
    int n_ticks;
    int n_ticks_since_stop; /* after this rank's tick said so for the first time */
    int n_delivered[MAX_JOBS];
    int n_skipped[MAX_JOBS];
    /* plan */
    int n_ticks_of_a_job; /* the mean; ENDLESS: until interrupted */
    int32_t unusable_job;
    bool loses;            /* its first job */
    bool wants_stop;       /* must_stop after a few ticks, or while it waits */
    int progress_stops_at; /* call, or NEVER */
    int n_progress;
    int32_t deliver_fails_at;
    size_t max_bytes;
    unsigned char *bytes;
    kds_error error;
} notes;

static notes make_notes(void)
{
    return (notes){.n_ticks_of_a_job = 4, .unusable_job = NEVER, .progress_stops_at = NEVER, .deliver_fails_at = NEVER};
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------- */

/* Sizes from 1 to max_bytes, so that some travel eagerly and some by rendezvous. */
static size_t size_of(const notes *n, int32_t job)
{
    return 1 + (size_t)job * 7919 % n->max_bytes;
}

static unsigned char byte_of(int32_t job, size_t i)
{
    return (unsigned char)((unsigned)job * 31 + i * 7 + (i >> 8));
}

static void run(void *context, int32_t job, kds_tick tick, kds_outcome *outcome)
{
    notes *n = context;
    n->n_begun++;
    const int n_ticks = n->n_ticks_of_a_job == ENDLESS ? ENDLESS : (job * 13) % (2 * n->n_ticks_of_a_job);
    for (int i = 0; n_ticks == ENDLESS || i < n_ticks; i++) {
        /* A mini-batch. It sleeps because 64 ranks share two cores here. */
        const struct timespec span = {.tv_nsec = 200000};
        nanosleep(&span, NULL);
        n->n_ticks++;
        if (tick.call(tick.context)) {
            n->n_ticks_since_stop++;
            CHECK(n->n_ticks_since_stop == 1); /* nothing is begun after it */
            outcome->kind = KDS_OUTCOME_INTERRUPTED;
            return;
        }
        if (n->loses && n->n_begun == 1 && i == 2) {
            kds_error_set(&n->error, KDS_FORMAT, "call the plumber", "rank %d lost job %d", my_rank, (int)job);
            outcome->kind = KDS_OUTCOME_LOST;
            outcome->error = &n->error;
            return;
        }
    }
    n->n_runs[job]++;
    outcome->kind = job == n->unusable_job ? KDS_OUTCOME_UNUSABLE : KDS_OUTCOME_DONE;
    outcome->seconds = 1e-3;
    if (n->max_bytes > 0) {
        outcome->n_bytes = size_of(n, job);
        outcome->bytes = n->bytes;
        for (size_t i = 0; i < outcome->n_bytes; i++) {
            n->bytes[i] = byte_of(job, i);
        }
    }
}

static kds_status deliver(void *context, int32_t job, const void *bytes, size_t n_bytes, kds_error *err)
{
    notes *n = context;
    const unsigned char *got = bytes;
    CHECK(my_rank == 0);
    CHECK(n_bytes == size_of(n, job));
    for (size_t i = 0; i < n_bytes; i++) {
        CHECK(got[i] == byte_of(job, i));
    }
    n->n_delivered[job]++;
    return job == n->deliver_fails_at ? kds_error_set(err, KDS_IO, "buy a disk", "disk full at job %d", (int)job)
                                      : KDS_OK;
}

static kds_status skip_job(void *context, int32_t job, int32_t parent, kds_error *err)
{
    notes *n = context;
    (void)err;
    CHECK(my_rank == 0);
    CHECK(parent == n->unusable_job);
    n->n_skipped[job]++;
    return KDS_OK;
}

static bool must_stop(void *context)
{
    const notes *n = context;
    return n->wants_stop && (n->n_ticks >= 3 || n->n_begun == 0);
}

static void progress(void *context, kds_sched *sched)
{
    notes *n = context;
    CHECK(my_rank == 0);
    if (n->n_progress++ == n->progress_stops_at) {
        kds_sched_stop(sched);
    }
}

/* ---- a sweep and its evaluation -------------------------------------------------------------------------------------- */

/* Sleeping: 64 ranks that spin in a collective on two cores take seconds for it. */
static void wait_for(MPI_Request request)
{
    int flag = 0;
    for (;;) {
        MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
        if (flag) {
            break;
        }
        const struct timespec span = {.tv_nsec = 500000};
        nanosleep(&span, NULL);
    }
}

static kds_status sweep(notes *n, const kds_farm_job *jobs, int32_t n_jobs, kds_farm_report *report, kds_error *err)
{
    CHECK(n_jobs <= MAX_JOBS);
    n->bytes = n->max_bytes > 0 ? malloc(n->max_bytes) : NULL;
    const kds_farm_config config = {.jobs = jobs, .n_jobs = n_jobs, .max_bytes = n->max_bytes, .n_reserve = 1};
    const kds_farm_callbacks callbacks = {
        .context = n, .run = run, .deliver = deliver, .skip = skip_job, .must_stop = must_stop, .progress = progress};
    const kds_status status = kds_farm_run_mpi(MPI_COMM_WORLD, &config, &callbacks, report, err);
    free(n->bytes);
    n->bytes = NULL;
    CHECK(!report->transport_failed);
    CHECK(err->status == status);
    int both[2] = {(int)status, report->stopped};
    MPI_Request request;
    MPI_Ibcast(both, 2, MPI_INT, 0, MPI_COMM_WORLD, &request);
    wait_for(request);
    CHECK(both[0] == (int)status && both[1] == report->stopped); /* all ranks agree */
    return status;
}

/* Teachers first, as many students behind each as come out; more parents than the reserve rule has room for. */
static void make_jobs(kds_farm_job *jobs, int32_t n_jobs, int32_t n_teachers)
{
    for (int32_t i = 0; i < n_jobs; i++) {
        jobs[i] = (kds_farm_job){.parent = i < n_teachers || i % 5 == 4 || n_teachers == 0 ? -1 : i % n_teachers,
                                 .cost = i < n_teachers ? 4.0 : 1.0 + i % 3};
    }
}

static void sum_up(const int *mine, int *sums)
{
    MPI_Request request;
    MPI_Iallreduce(mine, sums, MAX_JOBS, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request);
    wait_for(request);
}

static void check_ran_once(const notes *n, int32_t n_jobs)
{
    int sums[MAX_JOBS];
    sum_up(n->n_runs, sums);
    for (int32_t i = 0; i < n_jobs; i++) {
        CHECK(sums[i] == 1);
    }
}

/* ---- scenarios ------------------------------------------------------------------------------------------------------- */

static void every_job_once(void)
{
    kds_farm_job jobs[MAX_JOBS];
    make_jobs(jobs, MAX_JOBS, 17);
    notes n = make_notes();
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(&n, jobs, MAX_JOBS, &report, &err) == KDS_OK);
    CHECK(!report.stopped);
    check_ran_once(&n, MAX_JOBS);
    CHECK(report.busy_seconds >= 0.0 && report.busy_seconds <= report.wall_seconds);
    if (my_rank == 0) {
        CHECK(report.progress.n_done == MAX_JOBS);
        CHECK(report.progress.n_workers == n_ranks);
        CHECK(report.coordinator_seconds > 0.0);
        CHECK(n.n_progress >= 1);
    }
}

static void more_ranks_than_jobs(void)
{
    for (int32_t n_jobs = 0; n_jobs <= 3; n_jobs++) {
        kds_farm_job jobs[3];
        make_jobs(jobs, n_jobs, n_jobs > 1 ? 1 : 0);
        notes n = make_notes();
        kds_farm_report report;
        kds_error err = KDS_ERROR_INIT;
        CHECK(sweep(&n, jobs, n_jobs, &report, &err) == KDS_OK);
        CHECK(!report.stopped);
        check_ran_once(&n, n_jobs);
    }
}

static void bytes_arrive_intact(void)
{
    static const size_t sizes[] = {64, 300000};
    for (int k = 0; k < 2; k++) {
        const int32_t n_jobs = k == 0 ? MAX_JOBS : 150;
        kds_farm_job jobs[MAX_JOBS];
        make_jobs(jobs, n_jobs, 3);
        notes n = make_notes();
        n.max_bytes = sizes[k];
        kds_farm_report report;
        kds_error err = KDS_ERROR_INIT;
        CHECK(sweep(&n, jobs, n_jobs, &report, &err) == KDS_OK);
        check_ran_once(&n, n_jobs);
        for (int32_t i = 0; i < n_jobs; i++) {
            CHECK(n.n_delivered[i] == (my_rank == 0 ? 1 : 0));
        }
    }
}

static void unusable_parent(void)
{
    kds_farm_job jobs[60];
    make_jobs(jobs, 60, 4);
    notes n = make_notes();
    n.unusable_job = 2;
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(&n, jobs, 60, &report, &err) == KDS_OK);
    CHECK(!report.stopped);
    int runs[MAX_JOBS];
    int skips[MAX_JOBS];
    sum_up(n.n_runs, runs);
    sum_up(n.n_skipped, skips);
    for (int32_t i = 0; i < 60; i++) {
        CHECK(runs[i] == (jobs[i].parent == 2 ? 0 : 1));
        CHECK(skips[i] == (jobs[i].parent == 2 ? 1 : 0));
    }
}

/* Every job is endless until somebody stops the sweep. */
static void stop_by(notes *n, int32_t n_jobs)
{
    kds_farm_job jobs[MAX_JOBS];
    make_jobs(jobs, n_jobs, 0);
    n->n_ticks_of_a_job = ENDLESS;
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(n, jobs, n_jobs, &report, &err) == KDS_OK);
    CHECK(report.stopped);
    CHECK(n->n_ticks_since_stop == n->n_begun); /* what was begun was interrupted, and nothing was begun after that */
    if (my_rank == 0) {
        CHECK(report.progress.n_done == 0);
        CHECK(report.progress.n_waiting == n_jobs);
        CHECK(report.progress.n_running == 0);
    }
}

static void stop_by_each_side(void)
{
    const int asking[] = {n_ranks - 1, 0, n_ranks / 2};
    for (int k = 0; k < 3; k++) {
        notes n = make_notes();
        n.wants_stop = my_rank == asking[k];
        stop_by(&n, 3 * n_ranks < MAX_JOBS ? 3 * n_ranks : MAX_JOBS);
    }
    notes progress_stops = make_notes();
    progress_stops.progress_stops_at = 1;
    stop_by(&progress_stops, 3 * n_ranks);
    if (n_ranks > 1) { /* a rank that waits for work has a signal, too */
        notes idle = make_notes();
        idle.wants_stop = my_rank == n_ranks - 1;
        stop_by(&idle, 1);
    }
    notes all = make_notes();
    all.wants_stop = true;
    stop_by(&all, 2 * n_ranks);
}

/* Stop in the middle, go on with what ended: together every job has run exactly once. */
static void stop_and_go_on(void)
{
    enum { N_JOBS = 200 };
    kds_farm_job jobs[N_JOBS];
    make_jobs(jobs, N_JOBS, 6);
    int total[MAX_JOBS] = {0};
    int n_starts = 0;
    for (bool stopped = true; stopped; n_starts++) {
        notes n = make_notes();
        n.wants_stop = n_starts < 4 && my_rank == n_starts % n_ranks;
        kds_farm_report report;
        kds_error err = KDS_ERROR_INIT;
        CHECK(sweep(&n, jobs, N_JOBS, &report, &err) == KDS_OK);
        stopped = report.stopped;
        int sums[MAX_JOBS];
        sum_up(n.n_runs, sums);
        for (int32_t i = 0; i < N_JOBS; i++) {
            total[i] += sums[i];
            jobs[i].state = (uint8_t)(total[i] > 0 ? KDS_JOB_FINISHED : KDS_JOB_WAITING);
        }
    }
    CHECK(n_starts > 1);
    for (int32_t i = 0; i < N_JOBS; i++) {
        CHECK(total[i] == 1);
    }
}

static void lost_job(void)
{
    kds_farm_job jobs[MAX_JOBS];
    make_jobs(jobs, 3 * n_ranks, 0);
    notes n = make_notes();
    n.n_ticks_of_a_job = ENDLESS;
    n.loses = my_rank == n_ranks - 1;
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(&n, jobs, 3 * n_ranks, &report, &err) == KDS_FORMAT);
    CHECK(report.stopped);
    if (my_rank == 0) {
        char words[64];
        snprintf(words, sizeof words, "rank %d lost job", n_ranks - 1);
        CHECK(strstr(err.message, words) != NULL);
        CHECK(strcmp(err.hint, "call the plumber") == 0);
    }
}

/* All ranks lose a job at about the same time: one of them is told, nobody hangs. */
static void all_lose(void)
{
    kds_farm_job jobs[MAX_JOBS];
    make_jobs(jobs, 3 * n_ranks, 0);
    notes n = make_notes();
    n.n_ticks_of_a_job = ENDLESS;
    n.loses = true;
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(&n, jobs, 3 * n_ranks, &report, &err) == KDS_FORMAT);
    CHECK(my_rank != 0 || strstr(err.message, "lost job") != NULL);
}

static void root_cannot_keep_a_result(void)
{
    kds_farm_job jobs[100];
    make_jobs(jobs, 100, 5);
    notes n = make_notes();
    n.max_bytes = 5000;
    n.deliver_fails_at = 20;
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(&n, jobs, 100, &report, &err) == KDS_IO);
    CHECK(report.stopped);
    if (my_rank == 0) {
        CHECK(strcmp(err.message, "disk full at job 20") == 0);
    }
}

static void impossible_jobs_are_refused_everywhere(void)
{
    kds_farm_job job = {.parent = -1, .cost = -1.0};
    notes n = make_notes();
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    CHECK(sweep(&n, &job, 1, &report, &err) == KDS_INTERNAL);
    CHECK(n.n_begun == 0);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &my_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    static const struct {
        const char *name;
        void (*scenario)(void);
    } scenarios[] = {
        {"every_job_once", every_job_once},
        {"more_ranks_than_jobs", more_ranks_than_jobs},
        {"bytes_arrive_intact", bytes_arrive_intact},
        {"unusable_parent", unusable_parent},
        {"stop_by_each_side", stop_by_each_side},
        {"stop_and_go_on", stop_and_go_on},
        {"lost_job", lost_job},
        {"all_lose", all_lose},
        {"root_cannot_keep_a_result", root_cannot_keep_a_result},
        {"impossible_jobs_are_refused_everywhere", impossible_jobs_are_refused_everywhere},
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        const double before = MPI_Wtime();
        scenarios[i].scenario();
        if (my_rank == 0) {
            printf("%-40s %d ranks, %.2f s\n", scenarios[i].name, n_ranks, MPI_Wtime() - before);
            fflush(stdout);
        }
    }
    MPI_Finalize();
    return 0;
}
