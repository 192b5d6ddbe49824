/*
 * The work folder: the lock between processes, artifacts and checkpoints and their damage.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "kdsweep/store.h"
#include "kdsweep/text.h"

static char folder[KDS_TEST_PATH];
static char work[KDS_TEST_PATH + 32];

static int make_folder(void **state)
{
    (void)state;
    kds_test_folder_make(folder);
    snprintf(work, sizeof work, "%s/a.work", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    kds_test_folder_remove(folder);
    return 0;
}

static void work_paths(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"results/a.h5", "results/a.work"},
        {"a.hdf5", "a.work"},
        {"a.b.h5", "a.b.work"},
        {"plain", "plain.work"},
        {"dir.h5/x", "dir.h5/x.work"},
        {"dir/.h5", "dir/.h5.work"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char path[64];
        kds_work_path(CASES[i][0], path, sizeof path);
        assert_string_equal(path, CASES[i][1]);
    }
}

/* ---- lock ------------------------------------------------------------------------------------------------------------ */

/* A process that takes or joins the lock, tells so, and holds it until it is killed. */
static pid_t start_holder(bool is_root)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        kds_lock *lock = NULL;
        const kds_status status = is_root ? kds_lock_take(work, 5, &lock, NULL) : kds_lock_join(work, &lock, NULL);
        const char told = status == KDS_OK ? 'y' : 'n';
        if (write(ends[1], &told, 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(ends[1]);
    char told = 0;
    assert_int_equal(read(ends[0], &told, 1), 1);
    assert_int_equal(told, 'y');
    close(ends[0]);
    return child;
}

static void end_holder(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void one_sweep_at_a_time(void **state)
{
    (void)state;
    assert_false(kds_work_is_locked(work));
    const pid_t root = start_holder(true);
    assert_true(kds_work_is_locked(work));
    kds_error err = KDS_ERROR_INIT;
    kds_lock *lock = NULL;
    assert_int_equal(kds_lock_take(work, 0, &lock, &err), KDS_CONFLICT);
    char process[32];
    snprintf(process, sizeof process, "process %ld", (long)root);
    assert_non_null(strstr(err.message, process));
    assert_null(lock);

    /* a killed holder holds nothing, its words are stale */
    end_holder(root);
    assert_false(kds_work_is_locked(work));
    kds_error_clear(&err);
    KDS_TEST_OK(kds_lock_take(work, 0, &lock, &err), &err);
    assert_true(kds_lock_is_held(lock));
    kds_lock_release(lock);
    kds_lock_release(NULL);
}

static void ranks_share_and_outlive(void **state)
{
    (void)state;
    const pid_t root = start_holder(true);
    const pid_t rank_1 = start_holder(false);
    const pid_t rank_2 = start_holder(false);
    end_holder(root);
    end_holder(rank_1);

    /* rank 2 lives on: a new root waits, in vain */
    kds_error err = KDS_ERROR_INIT;
    kds_lock *lock = NULL;
    const double before = kds_clock_wall();
    assert_int_equal(kds_lock_take(work, 0.3, &lock, &err), KDS_CONFLICT);
    assert_true(kds_clock_wall() - before >= 0.25);
    assert_non_null(strstr(err.message, "earlier"));

    /* it ends while the next root waits */
    const pid_t killer = fork();
    if (killer == 0) {
        const struct timespec pause_time = {.tv_nsec = 200000000};
        nanosleep(&pause_time, NULL);
        kill(rank_2, SIGKILL);
        _exit(0);
    }
    kds_error_clear(&err);
    KDS_TEST_OK(kds_lock_take(work, 20, &lock, &err), &err);
    waitpid(killer, NULL, 0);
    waitpid(rank_2, NULL, 0);
    kds_lock_release(lock);
}

/* ---- artifacts ------------------------------------------------------------------------------------------------------- */

static void artifacts_come_back(void **state)
{
    (void)state;
    enum { N_TRAIN = 5, N_VALIDATION = 3, N_CLASSES = 4, N_PARAMETERS = 7 };
    float train[N_TRAIN * N_CLASSES];
    float validation[N_VALIDATION * N_CLASSES];
    float parameters[N_PARAMETERS];
    for (int i = 0; i < N_TRAIN * N_CLASSES; i++) {
        train[i] = (float)i;
    }
    for (int i = 0; i < N_VALIDATION * N_CLASSES; i++) {
        validation[i] = (float)-i;
    }
    for (int i = 0; i < N_PARAMETERS; i++) {
        parameters[i] = 0.5f * (float)i;
    }
    const kds_artifact written = {
        .n_train = N_TRAIN,
        .n_validation = N_VALIDATION,
        .n_parameters = N_PARAMETERS,
        .n_classes = N_CLASSES,
        .train_logits = train,
        .validation_logits = validation,
        .parameters = parameters,
    };
    const uint64_t key = kds_artifact_key(1, 2, "avx2", "haswell");
    assert_true(key != kds_artifact_key(2, 2, "avx2", "haswell") && key != kds_artifact_key(1, 3, "avx2", "haswell"));
    assert_true(key != kds_artifact_key(1, 2, "scalar", "haswell") && key != kds_artifact_key(1, 2, "avx2", "zen"));
    kds_error err = KDS_ERROR_INIT;
    kds_artifact *read = NULL;
    assert_false(kds_artifact_exists(work, key));
    assert_int_equal(kds_artifact_read(work, key, &read, NULL), KDS_IO);
    KDS_TEST_OK(kds_artifact_write(work, key, &written, &err), &err);
    assert_true(kds_artifact_exists(work, key));
    KDS_TEST_OK(kds_artifact_read(work, key, &read, &err), &err);
    assert_int_equal(read->n_train, N_TRAIN);
    assert_int_equal(read->n_validation, N_VALIDATION);
    assert_int_equal(read->n_parameters, N_PARAMETERS);
    assert_int_equal(read->n_classes, N_CLASSES);
    assert_memory_equal(read->train_logits, train, sizeof train);
    assert_memory_equal(read->validation_logits, validation, sizeof validation);
    assert_memory_equal(read->parameters, parameters, sizeof parameters);
    kds_artifact_free(read);
    kds_artifact_free(NULL);

    /* any byte turned, any length but the whole */
    char path[KDS_TEST_PATH + 96];
    snprintf(path, sizeof path, "%s/teachers/%016llx.kdt", work, (unsigned long long)key);
    char *whole = NULL;
    size_t n_whole = 0;
    KDS_TEST_OK(kds_file_read(path, &whole, &n_whole, &err), &err);
    for (size_t i = 0; i < n_whole; i++) {
        whole[i] = (char)(whole[i] ^ 1);
        const void *const pieces[] = {whole};
        KDS_TEST_OK(kds_file_write_atomic(path, pieces, &n_whole, 1, &err), &err);
        assert_int_equal(kds_artifact_read(work, key, &read, NULL), KDS_FORMAT);
        assert_null(read);
        assert_int_equal(kds_artifact_exists(work, key), i >= 64); /* a cheap look sees the header only */
        whole[i] = (char)(whole[i] ^ 1);
    }
    for (size_t n = 0; n < n_whole; n += 9) {
        const void *const pieces[] = {whole};
        KDS_TEST_OK(kds_file_write_atomic(path, pieces, &n, 1, &err), &err);
        assert_int_equal(kds_artifact_read(work, key, &read, NULL), KDS_FORMAT);
        assert_false(kds_artifact_exists(work, key));
    }
    kds_free(whole);
}

static void checkpoints_come_back(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    void *read = NULL;
    size_t n_read = 7;
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 31);
    }
    kds_checkpoint_read(work, 42, &read, &n_read);
    assert_null(read);
    assert_int_equal(n_read, 0);
    KDS_TEST_OK(kds_checkpoint_write(work, 42, 1, "old", 3, &err), &err);
    assert_true(kds_checkpoint_seconds(work, 42) == 1);
    KDS_TEST_OK(kds_checkpoint_write(work, 42, 12.5, bytes, sizeof bytes, &err), &err);
    assert_true(kds_checkpoint_seconds(work, 42) == 12.5);
    assert_true(kds_checkpoint_seconds(work, 43) == 0);
    kds_checkpoint_read(work, 42, &read, &n_read);
    assert_int_equal(n_read, sizeof bytes);
    assert_memory_equal(read, bytes, sizeof bytes);
    kds_free(read);

    char path[KDS_TEST_PATH + 96];
    snprintf(path, sizeof path, "%s/checkpoints/%016llx.ckpt", work, 42ull);
    char *whole = NULL;
    size_t n_whole = 0;
    KDS_TEST_OK(kds_file_read(path, &whole, &n_whole, &err), &err);
    for (size_t i = 0; i < n_whole; i += 5) {
        whole[i] = (char)(whole[i] ^ 0x80);
        const void *const pieces[] = {whole};
        KDS_TEST_OK(kds_file_write_atomic(path, pieces, &n_whole, 1, &err), &err);
        kds_checkpoint_read(work, 42, &read, &n_read);
        assert_null(read);
        if (i < 48) { /* the head */
            assert_true(kds_checkpoint_seconds(work, 42) == 0);
        }
        whole[i] = (char)(whole[i] ^ 0x80);
    }
    kds_free(whole);
    kds_checkpoint_remove(work, 42);
    kds_checkpoint_remove(work, 42);
    kds_checkpoint_read(work, 42, &read, &n_read);
    assert_null(read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_paths),
        cmocka_unit_test_setup_teardown(one_sweep_at_a_time, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(ranks_share_and_outlive, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(artifacts_come_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(checkpoints_come_back, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
