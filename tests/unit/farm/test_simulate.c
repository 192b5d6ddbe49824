/*
 * The forecast: schedules that can be worked out by hand, bounds, and a million jobs.
 */
#include "kdsweep/farm.h"

#include <stdlib.h>

#include "kds_test.h"
#include "kdsweep/rng.h"

static kds_farm_forecast forecast(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, double seconds_per_cost)
{
    kds_error err = KDS_ERROR_INIT;
    kds_farm_forecast out;
    KDS_TEST_OK(kds_farm_simulate(jobs, n_jobs, n_workers, seconds_per_cost, &out, &err), &err);
    return out;
}

static void by_hand(void **state)
{
    (void)state;
    /* Teacher 0 (2), its students 1, 2 (3 each), a leaf 3 (4). Two workers: 0 1 | 3 2. */
    const kds_farm_job jobs[] = {{-1, 0, 2.0}, {0, 0, 3.0}, {0, 0, 3.0}, {-1, 0, 4.0}};
    kds_farm_forecast f = forecast(jobs, 4, 2, 10.0);
    KDS_TEST_NEAR(f.makespan, 70.0, 1e-9);
    KDS_TEST_NEAR(f.busy, 120.0, 1e-9);
    KDS_TEST_NEAR(f.utilisation, 120.0 / 140.0, 1e-12);
    KDS_TEST_NEAR(f.critical_path, 50.0, 1e-9);

    f = forecast(jobs, 4, 1, 1.0);
    KDS_TEST_NEAR(f.makespan, 12.0, 1e-9);
    KDS_TEST_NEAR(f.utilisation, 1.0, 1e-12);

    f = forecast(jobs, 4, 100, 1.0); /* 0, then 1 and 2 side by side */
    KDS_TEST_NEAR(f.makespan, 5.0, 1e-9);
}

static void what_is_finished_takes_no_time(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {
        {-1, KDS_JOB_FINISHED, 2.0},
        {0, KDS_JOB_WAITING, 3.0}, /* a student of a finished teacher */
        {-1, KDS_JOB_UNUSABLE, 2.0},
        {2, KDS_JOB_WAITING, 50.0}, /* a student that will be skipped */
    };
    const kds_farm_forecast f = forecast(jobs, 4, 2, 1.0);
    KDS_TEST_NEAR(f.makespan, 3.0, 1e-12);
    KDS_TEST_NEAR(f.critical_path, 3.0, 1e-12);
    const kds_farm_forecast nothing = forecast(jobs, 1, 3, 1.0);
    KDS_TEST_NEAR(nothing.makespan, 0.0, 0.0);
    KDS_TEST_NEAR(nothing.utilisation, 1.0, 0.0);
}

static void impossible_jobs_are_refused(void **state)
{
    (void)state;
    const kds_farm_job job = {-1, 0, -1.0};
    kds_error err = KDS_ERROR_INIT;
    kds_farm_forecast out;
    assert_int_equal(kds_farm_simulate(&job, 1, 1, 1.0, &out, &err), KDS_INTERNAL);
}

/* A large sweep: nobody idles but for the last jobs. */
static void a_million_jobs(void **state)
{
    (void)state;
    enum { N_JOBS = 1000000, N_TEACHERS = 1000 };
    kds_farm_job *jobs = malloc(N_JOBS * sizeof *jobs);
    assert_non_null(jobs);
    kds_rng rng = kds_rng_make(1, KDS_RNG_GENERATE, 0);
    for (int32_t i = 0; i < N_JOBS; i++) {
        jobs[i].parent = i < N_TEACHERS ? -1 : i % N_TEACHERS;
        jobs[i].state = KDS_JOB_WAITING;
        jobs[i].cost = (i < N_TEACHERS ? 10.0 : 1.0) * (1.0 + (double)kds_rng_below(&rng, 3));
    }
    const kds_farm_forecast f = forecast(jobs, N_JOBS, 64, 1.0);
    assert_true(f.utilisation > 0.9999);
    assert_true(f.utilisation <= 1.0 + 1e-9);
    const kds_farm_forecast wide = forecast(jobs, N_JOBS, 4096, 1.0);
    assert_true(wide.utilisation > 0.85); /* 1000 teachers on 4096 workers: most wait for a teacher once */
    KDS_TEST_NEAR(wide.busy, f.busy, 1e-6 * f.busy);
    free(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(what_is_finished_takes_no_time),
        cmocka_unit_test(impossible_jobs_are_refused),
        cmocka_unit_test(a_million_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
