/*
 * What the farm costs: the scheduler alone, a sweep of short fake trials between ranks, a tick, and ranks that wait.
 *
 *   mpirun --oversubscribe -np 64 build/release/tests/bench_farm [trials per rank]
 *
 * Prints each number beside its goal; never fails because of time.
 */
#include <stdio.h>

#if KDSWEEP_WITH_MPI

#include <mpi.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "farm_mpi.h"
#include "kdsweep/clock.h"
#include "kdsweep/farm.h"

static int my_rank;
static int n_ranks;

static void fail(const char *what)
{
    fprintf(stderr, "bench_farm: rank %d: %s\n", my_rank, what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void sleep_for(double seconds)
{
    const struct timespec span = {.tv_sec = (time_t)seconds,
                                  .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&span, NULL);
}

/* Processor seconds of this process, user and system. */
static double processor_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* All meet without burning the processors that others still need. */
static void meet(void)
{
    MPI_Request request;
    int flag = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (;;) {
        MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
        if (flag) {
            break;
        }
        sleep_for(5e-3);
    }
}

static double sum_over_ranks(double mine)
{
    double sum = 0.0;
    MPI_Reduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    return sum;
}

static void show(const char *what, double value, const char *unit, const char *relation, double goal)
{
    const bool is_met = relation[0] == '<' ? value < goal : value > goal;
    printf("  %-52s %10.3f %-8s goal %s %-8g %5.2f of it  %s\n", what, value, unit, relation, goal, value / goal,
           is_met ? "" : "MISSED");
}

/* ---- the scheduler alone --------------------------------------------------------------------------------------------- */

static void bench_scheduler(int32_t n_teachers, int n_workers)
{
    const int32_t n_jobs = 1000000;
    kds_farm_job *jobs = calloc((size_t)n_jobs, sizeof *jobs);
    if (jobs == NULL) {
        fail("no memory");
        return;
    }
    for (int32_t i = 0; i < n_jobs; i++) {
        jobs[i].parent = i < n_teachers || n_teachers == 0 ? -1 : i % n_teachers;
        jobs[i].cost = (i < n_teachers ? 10.0 : 1.0) * (1.0 + (double)((uint32_t)i * 2654435761u >> 8) * 0x1p-24);
    }
    kds_farm_forecast forecast;
    kds_error err = KDS_ERROR_INIT;
    const double before = kds_clock_wall();
    if (kds_farm_simulate(jobs, n_jobs, n_workers, 1.0, &forecast, &err) != KDS_OK) {
        fail(err.message);
    }
    char what[96];
    snprintf(what, sizeof what, "scheduler: %d jobs, %d teachers, %d workers", (int)n_jobs, (int)n_teachers, n_workers);
    show(what, (kds_clock_wall() - before) / n_jobs * 1e9, "ns/job", "<", 2000.0);
    free(jobs);
}

/* ---- fake trials ----------------------------------------------------------------------------------------------------- */

typedef struct fake {
    double trial_seconds;
    double batch_seconds; /* 0: ticks without a pause, which are counted */
    long n_ticks;
    /* while waiting, from must_stop: how much processor has gone when, once the wait has settled */
    double settles_after; /* seconds */
    double begun;
    double settled_at;
    double settled_processor;
    double last_at; /* not the end of the wait, which is another matter */
    double last_processor;
} fake;

static void run(void *context, int32_t job, kds_tick tick, kds_outcome *outcome)
{
    fake *f = context;
    (void)job;
    const double begun = kds_clock_wall();
    const double end = begun + f->trial_seconds;
    for (double now = begun; now < end; now = kds_clock_wall()) {
        if (f->batch_seconds > 0.0) {
            sleep_for(f->batch_seconds < end - now ? f->batch_seconds : end - now);
        }
        tick.call(tick.context);
        f->n_ticks++;
    }
    outcome->kind = KDS_OUTCOME_DONE;
    outcome->seconds = kds_clock_wall() - begun;
}

static bool must_stop(void *context)
{
    fake *f = context;
    const double now = kds_clock_wall();
    if (f->settles_after > 0.0 && now > f->begun + f->settles_after) {
        f->last_at = now;
        f->last_processor = processor_seconds();
        if (f->settled_at == 0.0) {
            f->settled_at = f->last_at;
            f->settled_processor = f->last_processor;
        }
    }
    return false;
}

static kds_farm_report sweep(fake *f, int32_t n_jobs, int32_t n_teachers)
{
    kds_farm_job *jobs = calloc((size_t)n_jobs, sizeof *jobs);
    if (jobs == NULL) {
        fail("no memory");
        exit(1);
    }
    for (int32_t i = 0; i < n_jobs; i++) {
        jobs[i] = (kds_farm_job){.parent = i < n_teachers || n_teachers == 0 ? -1 : i % n_teachers, .cost = 1.0};
    }
    const kds_farm_config config = {.jobs = jobs, .n_jobs = n_jobs, .n_reserve = 1};
    const kds_farm_callbacks callbacks = {.context = f, .run = run, .must_stop = must_stop};
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    meet();
    f->begun = kds_clock_wall();
    if (kds_farm_run_mpi(MPI_COMM_WORLD, &config, &callbacks, &report, &err) != KDS_OK) {
        fail(err.message);
    }
    free(jobs);
    return report;
}

static void bench_short_trials(int n_per_rank)
{
    fake f = {.trial_seconds = 20e-3, .batch_seconds = 2e-3};
    const int32_t n_jobs = (int32_t)n_per_rank * n_ranks;
    const double processor_before = processor_seconds();
    const kds_farm_report report = sweep(&f, n_jobs, n_ranks);
    const double processor = processor_seconds() - processor_before;
    const double busy = sum_over_ranks(report.busy_seconds);
    if (my_rank == 0) {
        printf("%d ranks, %d trials of 20 ms in mini-batches of 2 ms, %.2f s:\n", n_ranks, (int)n_jobs,
               report.wall_seconds);
        show("coordinator per trial", report.coordinator_seconds / n_jobs * 1e6, "us", "<", 50.0);
        show("root's processor per trial, its own trials included", processor / n_jobs * 1e6, "us", "<", 50.0);
        show("utilisation", 100.0 * busy / (report.wall_seconds * n_ranks), "%", ">", 97.0);
    }
}

static void bench_tick(void)
{
    fake f = {.trial_seconds = 0.2};
    const kds_farm_report report = sweep(&f, 2, 0); /* rank 0 and one more, at the same time */
    double ns = f.n_ticks > 0 ? report.busy_seconds / (double)f.n_ticks * 1e9 : 0.0;
    if (my_rank == 0 && f.n_ticks > 0) {
        ns = (report.busy_seconds + report.coordinator_seconds) / (double)f.n_ticks * 1e9;
        show("one tick on the root (two clocks of the bench in it)", ns, "ns", "<", 1000.0);
        ns = 0.0;
    }
    const double others = sum_over_ranks(ns);
    if (my_rank == 0 && others > 0.0) {
        show("one tick on another rank (the same)", others, "ns", "<", 1000.0);
    }
}

static void bench_waiting(void)
{
    fake f = {.trial_seconds = 5.0, .batch_seconds = 20e-3, .settles_after = 1.0};
    const kds_farm_report report = sweep(&f, 1, 0);
    const bool has_waited = f.n_ticks == 0 && f.last_at > f.settled_at;
    const double share = has_waited ? (f.last_processor - f.settled_processor) / (f.last_at - f.settled_at) : 0.0;
    const double sum = sum_over_ranks(share);
    const double n_waiting = sum_over_ranks(has_waited ? 1.0 : 0.0);
    if (my_rank == 0) {
        printf("%g ranks wait for a trial of %.0f s; it took them %.3f s to end after it:\n", n_waiting,
               f.trial_seconds, report.wall_seconds - f.trial_seconds);
        show("processor of all waiting ranks together", 100.0 * sum, "% core", "<", 2.0);
    }
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &my_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const int n_per_rank = argc > 1 ? atoi(argv[1]) : 100;
    if (my_rank == 0) {
        printf("one process:\n");
        bench_scheduler(0, 64);
        bench_scheduler(1000, 64);
        bench_scheduler(1000, 4096);
        fflush(stdout);
    }
    bench_short_trials(n_per_rank > 0 ? n_per_rank : 100);
    bench_tick();
    bench_waiting();
    MPI_Finalize();
    return 0;
}

#else

int main(void)
{
    puts("bench_farm: a build without MPI: nothing to measure");
    return 0;
}

#endif
