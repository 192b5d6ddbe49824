/*
 * Learning-rate schedules: exact values, at every edge.
 */
#include <math.h>

#include "kds_test.h"
#include "kdsweep/nn.h"

static void constant(void **state)
{
    (void)state;
    kds_recipe recipe = {.lr = 0.1,
                         .epochs = 3,
                         .schedule = KDS_SCHEDULE_CONSTANT,
                         .lr_decay = 0.5,
                         .n_milestones = 1,
                         .milestones = {1}};
    for (int64_t step = 0; step < 30; step++) {
        KDS_TEST_NEAR(kds_schedule_lr(&recipe, step, 10), 0.1, 0);
    }
}

/* Two epochs of four steps: 1/8 of the peak on the first step, the peak on the eighth and after it. */
static void warm_up(void **state)
{
    (void)state;
    kds_recipe recipe = {.lr = 0.8, .epochs = 5, .warmup = 2, .schedule = KDS_SCHEDULE_CONSTANT};
    for (int64_t step = 0; step < 20; step++) {
        KDS_TEST_NEAR(kds_schedule_lr(&recipe, step, 4), step < 8 ? 0.8 * (double)(step + 1) / 8 : 0.8, 1e-16);
    }
    /* half an epoch of five steps: 2.5 steps; never above the peak */
    recipe.warmup = 0.5;
    const double wanted[] = {0.8 * 0.4, 0.8 * 0.8, 0.8, 0.8};
    for (int64_t step = 0; step < 4; step++) {
        KDS_TEST_NEAR(kds_schedule_lr(&recipe, step, 5), wanted[step], 1e-16);
    }
    /* all of the training */
    recipe.warmup = 5;
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 19, 4), 0.8, 0);
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 0, 4), 0.04, 1e-17);
    recipe.schedule = KDS_SCHEDULE_COSINE;
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 19, 4), 0.8, 0);
}

/* Times 0.1 from the first step of the epoch with that number (0-based), i.e. after so many epochs. */
static void milestones(void **state)
{
    (void)state;
    kds_recipe recipe = {.lr = 1,
                         .epochs = 10,
                         .warmup = 1,
                         .schedule = KDS_SCHEDULE_STEP,
                         .lr_decay = 0.1,
                         .n_milestones = 3,
                         .milestones = {3, 6, 8}};
    for (int64_t step = 7; step < 70; step++) {
        double wanted = step < 21 ? 1 : step < 42 ? 0.1 : step < 56 ? 0.01 : 0.001;
        KDS_TEST_NEAR(kds_schedule_lr(&recipe, step, 7), wanted, 1e-15 * wanted);
    }
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 0, 7), 1.0 / 7, 1e-16);
    recipe.milestones[0] = 2.5; /* within an epoch */
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 9, 4), 1, 0);
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 10, 4), 0.1, 1e-16);
}

/* From the peak behind the warm-up towards 0 at the end, half of it in the middle. */
static void cosine(void **state)
{
    (void)state;
    kds_recipe recipe = {.lr = 2, .epochs = 8, .schedule = KDS_SCHEDULE_COSINE};
    for (int64_t step = 0; step < 80; step++) {
        double wanted = 2 * 0.5 * (1 + cos(acos(-1.0) * (double)step / 80));
        KDS_TEST_NEAR(kds_schedule_lr(&recipe, step, 10), wanted, 1e-15);
    }
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 0, 10), 2, 0);
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 40, 10), 1, 1e-15);
    assert_true(kds_schedule_lr(&recipe, 79, 10) > 0 && kds_schedule_lr(&recipe, 79, 10) < 0.001);
    recipe.warmup = 2;
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 19, 10), 2, 0);
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 20, 10), 2, 0);
    KDS_TEST_NEAR(kds_schedule_lr(&recipe, 50, 10), 1, 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(constant), cmocka_unit_test(warm_up),
                                       cmocka_unit_test(milestones), cmocka_unit_test(cosine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
