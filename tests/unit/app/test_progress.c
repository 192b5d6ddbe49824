/*
 * The progress line and its percentage.
 */
#include "progress.h"

#include <math.h>
#include <stdio.h>

#include "kds_test.h"

static const kds_sched_progress early = {
    .n_total = 2, .n_running = 1, .n_waiting = 1, .n_workers = 1, .n_busy = 1, .cost_total = 20.0, .seconds_left = NAN};

static void check_line(const kds_sched_progress *now, const char *expected)
{
    char line[192];
    kds_progress_line(now, line, sizeof line);
    assert_string_equal(line, expected);
}

static void lines(void **state)
{
    (void)state;
    kds_sched_progress now = early;
    check_line(&now, "0 of 2 done, 2 left, 1/1 ranks busy"); /* nothing is known */
    now.seconds_left = 42.4;                                 /* before anything is done */
    check_line(&now, "42 s to go: 0 of 2 done, 2 left, 1/1 ranks busy");
    now.seconds_left = 0.0;
    check_line(&now, "1 s to go: 0 of 2 done, 2 left, 1/1 ranks busy");
    now = (kds_sched_progress){.n_total = 354,
                               .n_finished_before = 20,
                               .n_done = 100,
                               .n_unusable = 1,
                               .n_skipped = 1,
                               .n_running = 64,
                               .n_waiting = 168,
                               .n_workers = 64,
                               .n_busy = 64,
                               .seconds_left = 725.0};
    check_line(&now, "12 min 5 s to go: 120 of 354 done, 2 failed, 232 left, 64/64 ranks busy");
}

static void fraction_never_falls(void **state)
{
    (void)state;
    kds_progress progress = {0};
    kds_sched_progress now = early;
    KDS_TEST_NEAR(kds_progress_fraction(&progress, &now), 0.0, 0.0);
    now.cost_running = 5.0;
    KDS_TEST_NEAR(kds_progress_fraction(&progress, &now), 0.25, 1e-12);
    now.cost_running = 4.0; /* the estimate was too good */
    KDS_TEST_NEAR(kds_progress_fraction(&progress, &now), 0.25, 1e-12);
    now.cost_done = 10.0;
    now.cost_running = 0.0;
    now.n_done = now.n_waiting = 1;
    now.n_running = 0;
    KDS_TEST_NEAR(kds_progress_fraction(&progress, &now), 0.5, 1e-12);
    now.cost_running = 10.0; /* all steps are done, but not the trial */
    char percent[8];
    snprintf(percent, sizeof percent, "%.0f", 100.0 * kds_progress_fraction(&progress, &now));
    assert_string_equal(percent, "99");
    now.n_waiting = 0;
    now.n_done = 2;
    KDS_TEST_NEAR(kds_progress_fraction(&progress, &now), 1.0, 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(fraction_never_falls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
