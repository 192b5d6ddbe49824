/*
 * What a worker leaves in the work folder: one checkpoint, and artifacts that it looks at before it uses them.
 */
#include <stdio.h>

#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "kdsweep/store.h"
#include "worker.h"

/* Two teachers and a student of each; job i + 2 is the student of teacher i. */
enum { N_JOBS = 4 };

typedef struct bench {
    char folder[KDS_TEST_PATH], work[KDS_TEST_PATH + 32];
    kds_grid *grid;
    kds_plan *plan;
    void *block;
    kds_dataset dataset;
    kds_survey survey;
    kds_row_plan rows;
    kds_kernels kernels;
    uint8_t status[N_JOBS];
    kds_worker *worker;
} bench;

static void set_up(bench *b, int n_epochs)
{
    char text[512];
    kds_error err = KDS_ERROR_INIT;
    size_t size;
    kds_trial_spec spec;
    int64_t n_validation, n_test;
    int n = snprintf(text, sizeof text,
                     "data = { source = \"gaussians\"; gaussians = { classes = 3; features = 8; train_per_class = 50; "
                     "test_per_class = 20; }; };\n"
                     "teacher = { model = \"mlp:8\"; }; student = { model = \"mlp:4\"; baseline = false; };\n"
                     "train = { epochs = %d; batch = 10; }; seeds = [1, 2];\n",
                     n_epochs);
    *b = (bench){0};
    kds_test_folder_make(b->folder);
    snprintf(b->work, sizeof b->work, "%s/a.work", b->folder);
    KDS_TEST_OK(kds_grid_parse(text, (size_t)n, "g.cfg", NULL, 0, &b->grid, NULL, &err), &err);
    KDS_TEST_OK(kds_plan_new(b->grid, &b->plan, &err), &err);
    assert_int_equal(b->plan->n_jobs, N_JOBS);
    kds_plan_spec(b->plan, 0, &spec);
    KDS_TEST_OK(kds_dataset_load(&spec.data, kds_data_allocate_heap, NULL, &b->block, &size, &err), &err);
    KDS_TEST_OK(kds_dataset_view(b->block, size, &b->dataset, &err), &err);
    KDS_TEST_OK(kds_survey_new(b->plan, &b->dataset, &b->survey, &err), &err);
    kds_setup_split_sizes(&spec.data, &b->dataset, &n_validation, &n_test);
    kds_row_plan_make(b->plan, &b->survey, &b->dataset, n_validation, n_test, &b->rows);
    KDS_TEST_OK(kds_blas_single_thread(&err), &err);
    KDS_TEST_OK(kds_kernels_select(&b->kernels, &err), &err);
    const kds_worker_config config = {.plan = b->plan,
                                      .dataset = &b->dataset,
                                      .rows = &b->rows,
                                      .kernels = &b->kernels,
                                      .work = b->work,
                                      .status = b->status};
    KDS_TEST_OK(kds_worker_new(&config, &b->worker, &err), &err);
}

static void tear_down(bench *b)
{
    kds_worker_free(b->worker);
    kds_survey_clear(&b->survey);
    kds_free(b->block);
    kds_plan_free(b->plan);
    kds_grid_free(b->grid);
    kds_test_folder_remove(b->folder);
}

static bool is_over(void *context)
{
    return kds_clock_wall() > *(const double *)context;
}

/* Run a job for so many seconds: more than leave no checkpoint, or 0: to its end. */
static void run(bench *b, int32_t job, double seconds, kds_outcome_kind wanted)
{
    kds_outcome outcome;
    double end = kds_clock_wall() + seconds;
    const kds_tick tick = {seconds > 0 ? is_over : NULL, &end};
    kds_worker_run(b->worker, job, tick, &outcome);
    assert_int_equal(outcome.kind, wanted);
}

/* `wanted` has a bit for each job. */
static void check_checkpoints(const bench *b, unsigned wanted)
{
    uint64_t ids[N_JOBS + 1];
    unsigned found = 0;
    int n = kds_checkpoint_list(b->work, ids, N_JOBS + 1);
    for (int k = 0; k < n; k++) {
        for (int32_t i = 0; i < N_JOBS; i++) {
            if (b->plan->jobs[i].id == ids[k]) {
                found |= 1u << i;
            }
        }
    }
    assert_int_equal(found, wanted);
}

static const double while_ = 0.3;

/* A worker that begins another job leaves no more than one checkpoint, however often it is interrupted. */
static void one_checkpoint_at_a_time(void **state)
{
    (void)state;
    bench b;
    set_up(&b, 1000000);
    run(&b, 0, while_, KDS_OUTCOME_INTERRUPTED);
    check_checkpoints(&b, 1);
    const double seconds = kds_checkpoint_seconds(b.work, b.plan->jobs[0].id);
    assert_true(seconds >= 0.25 && seconds < 60);
    run(&b, 0, 0.01, KDS_OUTCOME_INTERRUPTED); /* it goes on: the time before counts */
    assert_true(kds_checkpoint_seconds(b.work, b.plan->jobs[0].id) > seconds);
    run(&b, 1, while_, KDS_OUTCOME_INTERRUPTED);
    check_checkpoints(&b, 2);
    tear_down(&b);
}

/* A checkpoint of something else: the trial starts over, and the time that is told is its own. */
static void rejected_checkpoints_have_no_time(void **state)
{
    (void)state;
    bench b;
    kds_error err = KDS_ERROR_INIT;
    set_up(&b, 1000000);
    KDS_TEST_OK(kds_checkpoint_write(b.work, b.plan->jobs[0].id, 1e6, "else", 4, &err), &err);
    run(&b, 0, while_, KDS_OUTCOME_INTERRUPTED);
    const double seconds = kds_checkpoint_seconds(b.work, b.plan->jobs[0].id);
    assert_true(seconds >= 0.25 && seconds < 60);
    tear_down(&b);
}

/* A student was interrupted, and its teacher's labels are lost: while the teacher is trained again the student's checkpoint stays. */
static void a_student_keeps_its_own(void **state)
{
    (void)state;
    bench b;
    kds_error err = KDS_ERROR_INIT;
    set_up(&b, 1000000);
    /* The student's, as the same worker would have left it: teachers of this length never end. */
    KDS_TEST_OK(kds_checkpoint_write(b.work, b.plan->jobs[2].id, 5, "own", 3, &err), &err);
    run(&b, 2, while_, KDS_OUTCOME_INTERRUPTED); /* inside, its teacher */
    check_checkpoints(&b, 1 | 4);
    run(&b, 1, while_, KDS_OUTCOME_INTERRUPTED);
    check_checkpoints(&b, 2 | 4);
    tear_down(&b);
}

/* With the right key and the wrong number of stored values an artifact is as good as lost. */
static void artifacts_are_looked_at(void **state)
{
    (void)state;
    bench b;
    kds_error err = KDS_ERROR_INIT;
    uint64_t key;
    kds_artifact *artifact = NULL;
    set_up(&b, 2);
    run(&b, 0, 0, KDS_OUTCOME_DONE);
    KDS_TEST_OK(kds_worker_artifact_key(b.worker, 0, &key, &err), &err);
    KDS_TEST_OK(kds_artifact_read(b.work, key, &artifact, &err), &err);
    const int64_t n_values = artifact->n_parameters;
    assert_int_equal(n_values, 8 * 8 + 8 + 8 * 3 + 3);
    run(&b, 1, 0, KDS_OUTCOME_DONE); /* the worker has another teacher in hand */
    artifact->n_parameters = n_values - 1;
    KDS_TEST_OK(kds_artifact_write(b.work, key, artifact, &err), &err);
    kds_artifact_free(artifact);
    run(&b, 2, 0, KDS_OUTCOME_DONE);
    KDS_TEST_OK(kds_artifact_read(b.work, key, &artifact, &err), &err);
    assert_int_equal(artifact->n_parameters, n_values);
    kds_artifact_free(artifact);
    check_checkpoints(&b, 0);
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_checkpoint_at_a_time), cmocka_unit_test(rejected_checkpoints_have_no_time),
        cmocka_unit_test(a_student_keeps_its_own), cmocka_unit_test(artifacts_are_looked_at)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
