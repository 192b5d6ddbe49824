/*
 * How far a sweep is and when it will end, in simulated time: exact where a worker tells of its job, an estimate for all others.
 */
#include "kdsweep/farm.h"

#include <math.h>
#include <stdlib.h>

#include "kds_test.h"

static const double cap = 0.95; /* of what an untold job may count */

static kds_sched *make(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, int n_reserve)
{
    kds_error err = KDS_ERROR_INIT;
    kds_sched *sched;
    KDS_TEST_OK(kds_sched_new(jobs, n_jobs, n_workers, n_reserve, &sched, &err), &err);
    return sched;
}

/* All are ready at `now`; what they are given is not looked at: equal jobs go by number. */
static void start(kds_sched *sched, int n_workers, double now)
{
    kds_command c;
    kds_sched_time_is(sched, now);
    for (int i = 0; i < n_workers; i++) {
        kds_sched_worker_ready(sched, i);
        while (kds_sched_next(sched, &c)) {
            assert_int_equal(c.kind, KDS_COMMAND_RUN);
        }
    }
}

static void end_job(kds_sched *sched, int worker, int32_t job, kds_outcome_kind kind, double seconds)
{
    kds_command c;
    kds_sched_job_ended(sched, worker, job, kind, seconds);
    while (kds_sched_next(sched, &c)) {
    }
}

static kds_sched_progress at(kds_sched *sched, double now)
{
    kds_sched_progress p;
    kds_sched_time_is(sched, now);
    kds_sched_get_progress(sched, &p);
    return p;
}

static kds_sched_progress told_at(kds_sched *sched, double now, int worker, double fraction)
{
    kds_sched_time_is(sched, now);
    kds_sched_job_is_at(sched, worker, fraction);
    return at(sched, now);
}

static void one_worker_is_exact(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 5.0}, {0, 0, 4.0}, {0, 0, 3.0}};
    const double seconds_per_cost = 2.0, all = 24.0, begin = 1000.0;
    kds_sched *sched = make(jobs, 3, 1, 0);
    start(sched, 1, begin);
    double before = 0.0;
    for (int job = 0; job < 3; job++) {
        const double seconds = jobs[job].cost * seconds_per_cost;
        for (double t = 0.0; t < seconds - 1e-9; t += 0.125) {
            const kds_sched_progress p = told_at(sched, begin + before + t, 0, t / seconds);
            KDS_TEST_NEAR(p.cost_done + p.cost_running, (before + t) / seconds_per_cost, 1e-9);
            if (before + t < 0.99) {
                assert_true(isnan(p.seconds_left)); /* too early to say */
            } else {
                KDS_TEST_NEAR(p.seconds_left, all - before - t, 1e-9);
            }
        }
        before += seconds;
        kds_sched_time_is(sched, begin + before);
        end_job(sched, 0, job, KDS_OUTCOME_DONE, seconds);
    }
    const kds_sched_progress p = at(sched, begin + all);
    KDS_TEST_NEAR(p.cost_done, p.cost_total, 0.0);
    KDS_TEST_NEAR(p.cost_running, 0.0, 0.0);
    KDS_TEST_NEAR(p.seconds_left, 0.0, 1e-12);
    kds_sched_free(sched);
}

static void unknown_is_nothing(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 5.0}, {-1, 0, 4.0}};
    kds_sched *sched = make(jobs, 2, 2, 0);
    kds_sched_progress p = at(sched, 0.0);
    assert_true(isnan(p.seconds_left));
    start(sched, 2, 0.0);
    p = at(sched, 100.0); /* nobody has told anything */
    KDS_TEST_NEAR(p.cost_running, 0.0, 0.0);
    assert_true(isnan(p.seconds_left));
    p = told_at(sched, 101.0, 0, NAN);
    assert_true(isnan(p.seconds_left));
    p = told_at(sched, 110.0, 0, 0.25); /* one look is a place, not a speed */
    KDS_TEST_NEAR(p.cost_running, 1.25, 1e-12);
    assert_true(isnan(p.seconds_left));
    kds_sched_free(sched);
}

/* Worker 0 tells; the others are as fast, until they do not end. */
static void others_are_estimated(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 10.0}, {-1, 0, 10.0}, {-1, 0, 10.0}, {-1, 0, 10.0}};
    kds_sched *sched = make(jobs, 4, 2, 0);
    start(sched, 2, 0.0);
    told_at(sched, 0.0, 0, 0.0);
    kds_sched_progress p = told_at(sched, 5.0, 0, 0.05); /* 10 s per unit */
    KDS_TEST_NEAR(p.cost_running, 0.5 + 0.5, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 195.0, 1e-9);
    p = told_at(sched, 50.0, 0, 0.5);
    KDS_TEST_NEAR(p.cost_running, 5.0 + 5.0, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 150.0, 1e-9);

    kds_sched_time_is(sched, 100.0);
    end_job(sched, 0, 0, KDS_OUTCOME_DONE, 100.0); /* worker 1 is late; worker 0 begins the third */
    p = at(sched, 100.0);
    KDS_TEST_NEAR(p.cost_done, 10.0, 0.0);
    KDS_TEST_NEAR(p.cost_running, cap * 10.0, 1e-9);
    p = at(sched, 150.0);
    KDS_TEST_NEAR(p.cost_running, cap * 10.0 + 5.0, 1e-9);
    kds_sched_time_is(sched, 150.0);
    end_job(sched, 1, 1, KDS_OUTCOME_DONE, 150.0); /* so it is 12.5 s per unit on the average */
    p = at(sched, 150.0);
    KDS_TEST_NEAR(p.cost_done, 20.0, 0.0);
    KDS_TEST_NEAR(p.cost_running, 50.0 / 12.5, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 125.0, 1e-9); /* the fourth has just begun */
    kds_sched_free(sched);
}

/* --max-time and go on: nobody begins at 0. */
static void resumed_jobs_go_on_from_where_they_were(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, KDS_JOB_BEGUN, 10.0}, {-1, KDS_JOB_BEGUN, 10.0}};
    const float seconds_before[] = {80.0F, 80.0F};
    kds_sched *sched = make(jobs, 2, 2, 1);
    kds_sched_set_seconds_before(sched, seconds_before);
    start(sched, 2, 7.0);
    told_at(sched, 7.0, 0, 0.8);
    kds_sched_progress p = told_at(sched, 9.0, 0, 0.82);
    KDS_TEST_NEAR(p.cost_running, 8.2 + 8.2, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 18.0, 1e-9);
    kds_sched_time_is(sched, 27.0);
    end_job(sched, 0, 0, KDS_OUTCOME_DONE, 20.0); /* this run's seconds */
    p = at(sched, 27.0);
    KDS_TEST_NEAR(p.seconds_per_cost, 10.0, 1e-9);
    KDS_TEST_NEAR(p.cost_running, cap * 10.0, 1e-9);
    kds_sched_free(sched);
}

static void a_reserve_does_not_run(void **state)
{
    (void)state;
    enum { N = 40 };
    kds_farm_job jobs[N];
    for (int i = 0; i < N; i++) {
        jobs[i] = (kds_farm_job){-1, 0, 1.0};
    }
    kds_sched *sched = make(jobs, N, 1, 1);
    start(sched, 1, 0.0); /* holds 0, and 1 in reserve */
    kds_sched_time_is(sched, 10.0);
    end_job(sched, 0, 0, KDS_OUTCOME_DONE, 10.0);
    kds_sched_progress p = at(sched, 10.0);
    assert_int_equal(p.n_running, 1);
    KDS_TEST_NEAR(p.cost_running, 0.0, 0.0); /* it has been there for 10 s, but in reserve */
    KDS_TEST_NEAR(p.seconds_left, 10.0 * (N - 1), 1e-9);
    p = at(sched, 14.0);
    KDS_TEST_NEAR(p.cost_running, 0.4, 1e-9);
    p = told_at(sched, 14.0, 0, 0.3); /* telling is about the job that runs */
    KDS_TEST_NEAR(p.cost_running, 0.3, 1e-9);
    kds_sched_time_is(sched, 20.0);
    end_job(sched, 0, 1, KDS_OUTCOME_DONE, 10.0);
    p = at(sched, 21.0); /* what was told of the last one is forgotten */
    KDS_TEST_NEAR(p.cost_running, 0.1, 1e-9);

    /* A reserve that is handed back takes nothing away; the running job does. */
    kds_sched_stop(sched);
    end_job(sched, 0, 3, KDS_OUTCOME_INTERRUPTED, 0.0);
    p = at(sched, 22.0);
    KDS_TEST_NEAR(p.cost_running, 0.2, 1e-9);
    end_job(sched, 0, 2, KDS_OUTCOME_INTERRUPTED, 2.0);
    p = at(sched, 22.0);
    KDS_TEST_NEAR(p.cost_running, 0.0, 0.0);
    KDS_TEST_NEAR(p.cost_done, 2.0, 0.0);
    kds_sched_worker_left(sched, 0);
    p = at(sched, 23.0);
    assert_true(isnan(p.seconds_left)); /* nobody is there */
    kds_sched_free(sched);
}

/* A job that comes back is given again and begins then. */
static void what_comes_back_begins_again(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 10.0}, {-1, 0, 10.0}, {-1, 0, 10.0}};
    kds_sched *sched = make(jobs, 3, 2, 0);
    start(sched, 2, 0.0);
    kds_sched_time_is(sched, 10.0);
    end_job(sched, 0, 0, KDS_OUTCOME_DONE, 10.0);
    kds_sched_progress p = at(sched, 15.0);
    KDS_TEST_NEAR(p.cost_running, cap * 10.0 + 5.0, 1e-9);
    kds_sched_worker_left(sched, 1); /* with job 1 in its hand */
    p = at(sched, 15.0);
    KDS_TEST_NEAR(p.cost_running, 5.0, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 15.0, 1e-9); /* one worker is left */
    kds_sched_time_is(sched, 16.0);
    end_job(sched, 0, 2, KDS_OUTCOME_INTERRUPTED, 6.0); /* without a stop: it is given job 1, the first of equals */
    p = at(sched, 18.0);
    KDS_TEST_NEAR(p.cost_running, 2.0, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 18.0, 1e-9);
    kds_sched_free(sched);
}

/* Many ranks do not make the last few trials any faster. */
static void long_tails(void **state)
{
    (void)state;
    enum { N_WORKERS = 8 };
    kds_farm_job jobs[N_WORKERS];
    for (int i = 0; i < N_WORKERS; i++) {
        jobs[i] = (kds_farm_job){-1, 0, i == 0 ? 100.0 : 1.0};
    }
    kds_sched *sched = make(jobs, N_WORKERS, N_WORKERS, 1);
    start(sched, N_WORKERS, 0.0);
    kds_sched_time_is(sched, 2.0);
    for (int i = 1; i < N_WORKERS; i++) {
        end_job(sched, i, i, KDS_OUTCOME_DONE, 2.0);
    }
    for (double now = 2.0; now < 180.0; now += 1.0) {
        const kds_sched_progress p = at(sched, now);
        KDS_TEST_NEAR(p.cost_done + p.cost_running, 7.0 + now / 2.0, 1e-9);
        KDS_TEST_NEAR(p.seconds_left, 200.0 - now, 1e-9);
    }
    /* Its own speed counts for what is left of it. */
    told_at(sched, 100.0, 0, 0.25);
    const kds_sched_progress p = told_at(sched, 104.0, 0, 0.26);
    KDS_TEST_NEAR(p.seconds_left, 74.0 * 4.0, 1e-9);
    kds_sched_free(sched);

    /* Three equal ones on two ranks take two rounds. A parent's children come after it. */
    const kds_farm_job three[] = {{-1, 0, 10.0}, {-1, 0, 10.0}, {-1, 0, 10.0}};
    const kds_farm_job family[] = {{-1, 0, 10.0}, {0, 0, 10.0}, {0, 0, 10.0}};
    for (int k = 0; k < 2; k++) {
        sched = make(k == 0 ? three : family, 3, 2, 1);
        start(sched, 2, 0.0);
        told_at(sched, 0.0, 0, 0.0);
        KDS_TEST_NEAR(told_at(sched, 4.0, 0, 0.4).seconds_left, 16.0, 1e-9);
        kds_sched_free(sched);
    }
}

static void diverged_and_skipped(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 10.0}, {0, 0, 5.0}, {0, 0, 5.0}, {-1, 0, 4.0}, {-1, 0, 4.0}};
    kds_sched *sched = make(jobs, 5, 1, 0);
    start(sched, 1, 0.0);
    told_at(sched, 0.0, 0, 0.0);
    told_at(sched, 4.0, 0, 0.4);
    kds_sched_time_is(sched, 5.0);
    end_job(sched, 0, 0, KDS_OUTCOME_UNUSABLE, 5.0);
    kds_sched_progress p = at(sched, 5.0);
    KDS_TEST_NEAR(p.cost_total, 18.0, 0.0);
    KDS_TEST_NEAR(p.cost_done, 10.0, 0.0);
    KDS_TEST_NEAR(p.cost_running, 0.0, 0.0);
    assert_true(isnan(p.seconds_left)); /* it stopped early: its time is no measure */
    kds_sched_time_is(sched, 9.0);
    end_job(sched, 0, 3, KDS_OUTCOME_DONE, 4.0);
    p = at(sched, 10.0);
    KDS_TEST_NEAR(p.cost_running, 1.0, 1e-9);
    KDS_TEST_NEAR(p.seconds_left, 3.0, 1e-9);
    kds_sched_free(sched);
}

/* A whole sweep at one speed: what is done never falls, and the end is foreseen. */
static void a_whole_sweep(void **state)
{
    (void)state;
    enum { N_TEACHERS = 4, N_JOBS = 84, N_WORKERS = 6 };
    kds_farm_job jobs[N_JOBS];
    for (int i = 0; i < N_JOBS; i++) {
        jobs[i] = (kds_farm_job){i < N_TEACHERS ? -1 : i % N_TEACHERS, 0, i < N_TEACHERS ? 30.0 : 10.0 + i % 7};
    }
    const double step = 0.25;
    double eta[4096]; /* by steps */
    int n_steps = 0;
    kds_sched *sched = make(jobs, N_JOBS, N_WORKERS, 1);
    int32_t held[N_WORKERS][2];
    int n_held[N_WORKERS] = {0};
    double since[N_WORKERS] = {0};
    double shown = 0.0;
    kds_sched_time_is(sched, 0.0);
    for (int i = N_WORKERS - 1; i >= 0; i--) { /* the last is the first to be given a job, as the root is */
        kds_sched_worker_ready(sched, i);
    }
    for (bool is_over = false; !is_over; n_steps++) {
        const double now = n_steps * step;
        kds_sched_time_is(sched, now);
        for (int i = 0; i < N_WORKERS; i++) {
            if (n_held[i] > 0 && now - since[i] >= jobs[held[i][0]].cost) {
                const int32_t job = held[i][0];
                held[i][0] = held[i][1];
                n_held[i]--;
                since[i] = now;
                kds_sched_job_ended(sched, i, job, KDS_OUTCOME_DONE, jobs[job].cost);
            }
            kds_command c;
            while (kds_sched_next(sched, &c)) {
                is_over = c.kind == KDS_COMMAND_STOP;
                if (!is_over) {
                    since[c.worker] = n_held[c.worker] == 0 ? now : since[c.worker];
                    held[c.worker][n_held[c.worker]++] = c.job;
                }
            }
        }
        if (n_held[0] > 0) {
            kds_sched_job_is_at(sched, 0, (now - since[0]) / jobs[held[0][0]].cost);
        }
        const kds_sched_progress p = at(sched, now);
        assert_true(p.cost_done + p.cost_running >= shown - 1e-9);
        shown = p.cost_done + p.cost_running;
        eta[n_steps] = p.seconds_left;
        assert_true(n_steps < 4095);
    }
    KDS_TEST_NEAR(shown, at(sched, 1e6).cost_total, 1e-9);
    for (int i = 0; i < n_steps; i++) {
        const double left = (n_steps - 1 - i) * step;
        if (isnan(eta[i]) != (i < 4)) { /* from the first second on */
            fail_msg("%g s left at %g s: %g", left, i * step, eta[i]);
        }
        if (i >= 4 && fabs(eta[i] - left) > 0.15 * left + 3.0) {
            fail_msg("%g s left at %g s, not %g", left, i * step, eta[i]);
        }
    }
    kds_sched_free(sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_is_exact),
        cmocka_unit_test(unknown_is_nothing),
        cmocka_unit_test(others_are_estimated),
        cmocka_unit_test(resumed_jobs_go_on_from_where_they_were),
        cmocka_unit_test(a_reserve_does_not_run),
        cmocka_unit_test(what_comes_back_begins_again),
        cmocka_unit_test(long_tails),
        cmocka_unit_test(diverged_and_skipped),
        cmocka_unit_test(a_whole_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
