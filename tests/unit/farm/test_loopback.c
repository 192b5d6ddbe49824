/*
 * The farm in one process: callbacks in the right order with the right arguments, and every way to end early.
 */
#include "kdsweep/farm.h"

#include <stdio.h>
#include <string.h>

#include "kds_test.h"

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
        cmocka_unit_test(impossible_jobs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
