/*
 * No more checkpoints than ranks at the start of a run: those that stay are the ones with most training in them, of trials that will go on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoints.h"
#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/store.h"

enum { N_JOBS = 8 };

/* Work folder and plan of a sweep with N_JOBS trials. */
typedef struct bench {
    char folder[KDS_TEST_PATH], work[KDS_TEST_PATH + 32];
    kds_grid *grid;
    kds_plan *plan;
    bool is_open[N_JOBS];
} bench;

static void set_up(bench *b)
{
    static const char text[] = "data = { source = \"gaussians\"; }; teacher = { model = \"mlp:8\"; };\n"
                               "student = { model = \"mlp\"; baseline = false; }; seeds = [1, 2, 3, 4];\n";
    kds_error err = KDS_ERROR_INIT;
    kds_test_folder_make(b->folder);
    snprintf(b->work, sizeof b->work, "%s/a.work", b->folder);
    KDS_TEST_OK(kds_grid_parse(text, sizeof text - 1, "g.cfg", NULL, 0, &b->grid, NULL, &err), &err);
    KDS_TEST_OK(kds_plan_new(b->grid, &b->plan, &err), &err);
    assert_int_equal(b->plan->n_jobs, N_JOBS);
    memset(b->is_open, true, sizeof b->is_open);
}

static void tear_down(bench *b)
{
    kds_plan_free(b->plan);
    kds_grid_free(b->grid);
    kds_test_folder_remove(b->folder);
}

static void leave(const bench *b, uint64_t id, double seconds)
{
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_checkpoint_write(b->work, id, seconds, &id, sizeof id, &err), &err);
}

/* Are exactly the checkpoints of these jobs there, whole? `wanted` has a bit for each. */
static void check_left(const bench *b, unsigned wanted)
{
    uint64_t ids[2 * N_JOBS];
    int n_wanted = 0;
    for (int32_t i = 0; i < N_JOBS; i++) {
        void *bytes;
        size_t n_bytes;
        kds_checkpoint_read(b->work, b->plan->jobs[i].id, &bytes, &n_bytes);
        assert_int_equal(bytes != NULL, wanted >> i & 1);
        if (bytes != NULL) {
            assert_int_equal(n_bytes, sizeof(uint64_t));
            assert_memory_equal(bytes, &b->plan->jobs[i].id, n_bytes);
            n_wanted++;
        }
        kds_free(bytes);
    }
    assert_int_equal(kds_checkpoint_list(b->work, ids, 2 * N_JOBS), n_wanted);
}

static void most_training_stays(void **state)
{
    (void)state;
    bench b;
    set_up(&b);
    static const double seconds[N_JOBS] = {5, 80, 0.5, 7, 300, 6, 80, 1};
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 3, NULL); /* no folder yet */
    for (int i = 0; i < N_JOBS; i++) {
        leave(&b, b.plan->jobs[i].id, seconds[i]);
    }
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 8, NULL);
    check_left(&b, 0xff);
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 4, NULL);
    check_left(&b, 1u << 1 | 1u << 3 | 1u << 4 | 1u << 6);
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 1, NULL);
    check_left(&b, 1u << 4);
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 1, NULL);
    check_left(&b, 1u << 4);
    tear_down(&b);
}

/* Of trials that are finished, or not of this plan: they go however much is in them, and take nobody's place. */
static void nobody_goes_on(void **state)
{
    (void)state;
    bench b;
    set_up(&b);
    for (int i = 0; i < 4; i++) {
        leave(&b, b.plan->jobs[i].id, 10 + i);
    }
    leave(&b, 42, 1e6);
    b.is_open[3] = false;
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 3, NULL);
    check_left(&b, 7);
    tear_down(&b);
}

/* One that is cut short holds nothing to go on with: it is the first to go. So is one without training. */
static void damaged_go_first(void **state)
{
    (void)state;
    bench b;
    kds_error err = KDS_ERROR_INIT;
    set_up(&b);
    for (int i = 0; i < 3; i++) {
        leave(&b, b.plan->jobs[i].id, 10 * (3 - i));
    }
    char path[KDS_TEST_PATH + 96], *content;
    size_t n_bytes;
    snprintf(path, sizeof path, "%s/checkpoints/%016llx.ckpt", b.work, (unsigned long long)b.plan->jobs[0].id);
    KDS_TEST_OK(kds_file_read(path, &content, &n_bytes, &err), &err);
    n_bytes--;
    const void *const pieces[] = {content};
    KDS_TEST_OK(kds_file_write_atomic(path, pieces, &n_bytes, 1, &err), &err);
    kds_free(content);
    leave(&b, b.plan->jobs[5].id, 0);
    kds_checkpoints_thin(b.work, b.plan, b.is_open, 2, NULL);
    check_left(&b, 1u << 1 | 1u << 2);
    tear_down(&b);
}

/* Each with the number of its trial and its seconds, in the order of the trials; those of no trial first. */
static void all_are_found(void **state)
{
    (void)state;
    bench b;
    kds_error err = KDS_ERROR_INIT;
    kds_checkpoint_entry *list;
    int n;
    set_up(&b);
    KDS_TEST_OK(kds_checkpoints_find(b.work, b.plan, &list, &n, &err), &err);
    assert_null(list);
    assert_int_equal(n, 0);
    leave(&b, b.plan->jobs[6].id, 3);
    leave(&b, 42, 9);
    leave(&b, b.plan->jobs[0].id, 7);
    KDS_TEST_OK(kds_checkpoints_find(b.work, b.plan, &list, &n, &err), &err);
    assert_int_equal(n, 3);
    const int32_t jobs[] = {-1, 0, 6};
    const double seconds[] = {9, 7, 3};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(list[k].job, jobs[k]);
        assert_true(list[k].id == (k == 0 ? 42 : b.plan->jobs[jobs[k]].id));
        assert_true(list[k].seconds == seconds[k]);
    }
    kds_free(list);
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(most_training_stays), cmocka_unit_test(nobody_goes_on),
                                       cmocka_unit_test(damaged_go_first), cmocka_unit_test(all_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
