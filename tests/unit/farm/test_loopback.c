/*
 * The farm in one process: callbacks in the right order with the right arguments, and every way to end early.
 */
#include "kdsweep/farm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kds_test.h"
#include "kdsweep/clock.h"

enum { N_JOBS = 12, N_TEACHERS = 2, N_TICKS = 3 };

typedef struct diary {
    int n_runs[N_JOBS];
    int n_delivered[N_JOBS];
    int n_skipped[N_JOBS];
    int n_ticks_after_stop;
    int n_progress;
    int n_ended;
    /* what shall happen; -1: never */
    int32_t unusable_job;
    int32_t lost_job;
    int32_t deliver_fails_at;
    int32_t skip_fails_at;
    int stop_after;          /* ended jobs: must_stop */
    int progress_stop_after; /* ended jobs: kds_sched_stop in progress */
    bool with_bytes;
    kds_error error;
    char bytes[32];
} diary;

static const diary quiet = {.unusable_job = -1,
                            .lost_job = -1,
                            .deliver_fails_at = -1,
                            .skip_fails_at = -1,
                            .stop_after = -1,
                            .progress_stop_after = -1};

static void run(void *context, int32_t job, kds_tick tick, kds_outcome *outcome)
{
    diary *d = context;
    for (int i = 0; i < N_TICKS; i++) {
        if (tick.call(tick.context)) {
            outcome->kind = KDS_OUTCOME_INTERRUPTED;
            d->n_ticks_after_stop += i;
            return;
        }
    }
    outcome->seconds = 0.5;
    if (job == d->lost_job) {
        kds_error_set(&d->error, KDS_FORMAT, "look there", "row %d is no row", (int)job);
        outcome->kind = KDS_OUTCOME_LOST;
        outcome->error = &d->error;
        return;
    }
    d->n_runs[job]++;
    d->n_ended++;
    outcome->kind = job == d->unusable_job ? KDS_OUTCOME_UNUSABLE : KDS_OUTCOME_DONE;
    if (d->with_bytes) {
        snprintf(d->bytes, sizeof d->bytes, "result of %d", (int)job);
        outcome->bytes = d->bytes;
        outcome->n_bytes = strlen(d->bytes);
    }
}

static kds_status deliver(void *context, int32_t job, const void *bytes, size_t n_bytes, kds_error *err)
{
    diary *d = context;
    char expected[32];
    snprintf(expected, sizeof expected, "result of %d", (int)job);
    assert_int_equal(n_bytes, strlen(expected));
    assert_memory_equal(bytes, expected, n_bytes);
    d->n_delivered[job]++;
    return job == d->deliver_fails_at ? kds_error_set(err, KDS_IO, NULL, "disk full at row %d", (int)job) : KDS_OK;
}

static kds_status skip_job(void *context, int32_t job, int32_t parent, kds_error *err)
{
    diary *d = context;
    assert_int_equal(parent, d->unusable_job);
    d->n_skipped[job]++;
    return job == d->skip_fails_at ? kds_error_set(err, KDS_IO, NULL, "cannot skip %d", (int)job) : KDS_OK;
}

static bool must_stop(void *context)
{
    const diary *d = context;
    return d->stop_after >= 0 && d->n_ended >= d->stop_after;
}

static void progress(void *context, kds_sched *sched)
{
    diary *d = context;
    d->n_progress++;
    if (d->progress_stop_after >= 0 && d->n_ended >= d->progress_stop_after) {
        kds_sched_stop(sched);
    }
}

static kds_status run_farm(diary *d, kds_farm_job *jobs, kds_farm_report *report, kds_error *err)
{
    for (int i = 0; i < N_JOBS; i++) {
        jobs[i] = (kds_farm_job){.parent = i < N_TEACHERS ? -1 : i % N_TEACHERS, .cost = i < N_TEACHERS ? 3.0 : 1.0};
    }
    const kds_farm_config config = {.jobs = jobs, .n_jobs = N_JOBS, .max_bytes = sizeof d->bytes, .n_reserve = 1};
    const kds_farm_callbacks callbacks = {
        .context = d, .run = run, .deliver = deliver, .skip = skip_job, .must_stop = must_stop, .progress = progress};
    return kds_farm_run_loopback(&config, &callbacks, report, err);
}

static void everything_once(void **state)
{
    (void)state;
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        diary d = quiet;
        d.with_bytes = with_bytes;
        kds_farm_job jobs[N_JOBS];
        kds_farm_report report;
        kds_error err = KDS_ERROR_INIT;
        KDS_TEST_OK(run_farm(&d, jobs, &report, &err), &err);
        for (int i = 0; i < N_JOBS; i++) {
            assert_int_equal(d.n_runs[i], 1);
            assert_int_equal(d.n_delivered[i], with_bytes);
            assert_int_equal(d.n_skipped[i], 0);
        }
        assert_false(report.stopped);
        assert_false(report.transport_failed);
        assert_int_equal(report.progress.n_done, N_JOBS);
        KDS_TEST_NEAR(report.progress.seconds_per_cost, 0.5 * N_JOBS / (2 * 3.0 + 10 * 1.0), 1e-12);
        assert_true(report.busy_seconds >= 0.0 && report.busy_seconds <= report.wall_seconds);
        assert_true(report.coordinator_seconds > 0.0 && report.coordinator_seconds <= report.wall_seconds);
        assert_true(d.n_progress >= 1); /* at the end, in any case */
    }
}

static void unusable_teacher(void **state)
{
    (void)state;
    diary d = quiet;
    d.unusable_job = 1;
    kds_farm_job jobs[N_JOBS];
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(run_farm(&d, jobs, &report, &err), &err);
    for (int i = 0; i < N_JOBS; i++) {
        const bool is_child = jobs[i].parent == 1;
        assert_int_equal(d.n_runs[i], is_child ? 0 : 1);
        assert_int_equal(d.n_skipped[i], is_child ? 1 : 0);
    }
    assert_false(report.stopped);
    assert_int_equal(report.progress.n_skipped, 5);
    assert_int_equal(report.progress.n_unusable, 1);
}

/* A signal: the running job hears of it at its next tick, the sweep is stopped but not failed. */
static void stopped_by_a_signal(void **state)
{
    (void)state;
    for (int after = 0; after < N_JOBS; after++) {
        diary d = quiet;
        d.stop_after = after;
        kds_farm_job jobs[N_JOBS];
        kds_farm_report report;
        kds_error err = KDS_ERROR_INIT;
        KDS_TEST_OK(run_farm(&d, jobs, &report, &err), &err);
        assert_true(report.stopped);
        assert_int_equal(d.n_ended, after);
        assert_int_equal(report.progress.n_done, after);
        assert_int_equal(report.progress.n_waiting, N_JOBS - after);
        assert_int_equal(report.progress.n_running, 0);
        assert_int_equal(d.n_ticks_after_stop, 0);
    }
}

static void lost_job_ends_the_sweep(void **state)
{
    (void)state;
    diary d = quiet;
    d.lost_job = 1;
    kds_farm_job jobs[N_JOBS];
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(run_farm(&d, jobs, &report, &err), KDS_FORMAT);
    assert_string_equal(err.message, "row 1 is no row");
    assert_string_equal(err.hint, "look there");
    assert_true(report.stopped);
    assert_int_equal(d.n_ended, 1);
}

static void failing_callbacks_end_the_sweep(void **state)
{
    (void)state;
    diary d = quiet;
    d.with_bytes = true;
    d.deliver_fails_at = 0;
    kds_farm_job jobs[N_JOBS];
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(run_farm(&d, jobs, &report, &err), KDS_IO);
    assert_string_equal(err.message, "disk full at row 0");
    assert_true(report.stopped);
    assert_int_equal(report.progress.n_done, 0); /* not delivered, not done */
    assert_int_equal(d.n_ended, 1);

    d = quiet;
    d.unusable_job = 0;
    d.skip_fails_at = 4;
    kds_error_clear(&err);
    assert_int_equal(run_farm(&d, jobs, &report, &err), KDS_IO);
    assert_string_equal(err.message, "cannot skip 4");
    assert_true(report.stopped);
}

/* ---- progress: a clock is needed, so the jobs wait for it ------------------------------------------------------------- */

static void run_until_shown(void *context, int32_t job, kds_tick tick, kds_outcome *outcome)
{
    diary *d = context;
    const int before = d->n_progress;
    bool interrupted = false;
    while (d->n_progress == before && !interrupted) {
        interrupted = tick.call(tick.context);
    }
    outcome->kind = interrupted ? KDS_OUTCOME_INTERRUPTED : KDS_OUTCOME_DONE;
    d->n_runs[job]++;
    d->n_ended += interrupted ? 0 : 1;
}

static void progress_may_stop(void **state)
{
    (void)state;
    diary d = quiet;
    d.progress_stop_after = 2;
    const kds_farm_job jobs[4] = {{-1, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}};
    const kds_farm_config config = {.jobs = jobs, .n_jobs = 4};
    const kds_farm_callbacks callbacks = {.context = &d, .run = run_until_shown, .progress = progress};
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_farm_run_loopback(&config, &callbacks, &report, &err), &err);
    assert_true(report.stopped);
    assert_int_equal(d.n_ended, 2);
    assert_int_equal(report.progress.n_done, 2);
    assert_true(report.wall_seconds >= 0.1 * (d.n_progress - 1)); /* at most every 0.1 s, and once at the end */
}

/* One long job among two: the sweep moves while it runs. */
typedef struct journey {
    double begun;      /* when the job that runs began; wall clock */
    double seconds;    /* that it takes */
    double early;      /* seconds until the time left was known, */
    double left_early; /* and what it was then */
    double done;
    int n_shown;
    int n_asked_outside;
    bool is_running;
} journey;

enum { JOURNEY_SECONDS = 3 }; /* of the first job; the second takes a third of it */

static void travel(void *context, int32_t job, kds_tick tick, kds_outcome *outcome)
{
    journey *j = context;
    j->seconds = job == 0 ? JOURNEY_SECONDS : JOURNEY_SECONDS / 3.0;
    j->begun = kds_clock_wall();
    j->is_running = true;
    while (kds_clock_wall() - j->begun < j->seconds) {
        assert_false(tick.call(tick.context));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    j->is_running = false;
    outcome->kind = KDS_OUTCOME_DONE;
    outcome->seconds = kds_clock_wall() - j->begun;
}

static double how_far(void *context)
{
    journey *j = context;
    j->n_asked_outside += !j->is_running;
    return fmin((kds_clock_wall() - j->begun) / j->seconds, 1.0);
}

static void watch_journey(void *context, kds_sched *sched)
{
    journey *j = context;
    kds_sched_progress p;
    kds_sched_get_progress(sched, &p);
    const double done = p.cost_done + p.cost_running;
    assert_true(done >= j->done - 1e-9 && done <= p.cost_total);
    j->n_shown += done > j->done && p.n_done == 0;
    j->done = done;
    if (!isnan(p.seconds_left) && j->left_early == 0.0) {
        j->left_early = p.seconds_left;
        j->early = kds_clock_wall() - j->begun;
        assert_int_equal(p.n_done, 0);
    }
}

static void a_long_job_moves(void **state)
{
    (void)state;
    journey j = {0};
    const kds_farm_job jobs[2] = {{-1, 0, 6.0}, {-1, 0, 2.0}};
    const kds_farm_config config = {.jobs = jobs, .n_jobs = 2};
    const kds_farm_callbacks callbacks = {.context = &j, .run = travel, .progress = watch_journey, .how_far = how_far};
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_farm_run_loopback(&config, &callbacks, &report, &err), &err);
    assert_true(j.n_shown >= 5); /* of some 20, on a busy machine */
    assert_int_equal(j.n_asked_outside, 0);
    KDS_TEST_NEAR(j.done, 8.0, 1e-9);
    assert_true(j.early >= 1.0 && j.early < JOURNEY_SECONDS);
    KDS_TEST_NEAR(j.left_early, JOURNEY_SECONDS + JOURNEY_SECONDS / 3.0 - j.early, 0.5);
}

static void impossible_jobs_are_refused(void **state)
{
    (void)state;
    const kds_farm_job job = {.parent = 0, .cost = 1.0};
    const kds_farm_config config = {.jobs = &job, .n_jobs = 1, .n_reserve = 1};
    const kds_farm_callbacks callbacks = {.run = run};
    kds_farm_report report;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_farm_run_loopback(&config, &callbacks, &report, &err), KDS_INTERNAL);
    assert_non_null(strstr(err.message, "impossible parent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_once),
        cmocka_unit_test(unusable_teacher),
        cmocka_unit_test(stopped_by_a_signal),
        cmocka_unit_test(lost_job_ends_the_sweep),
        cmocka_unit_test(failing_callbacks_end_the_sweep),
        cmocka_unit_test(progress_may_stop),
        cmocka_unit_test(a_long_job_moves),
        cmocka_unit_test(impossible_jobs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
