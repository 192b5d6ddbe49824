/*
 * The error record: first failure wins, nothing overflows, every code has words and an exit code.
 */
#include <errno.h>
#include <string.h>

#include "kds_test.h"

static void first_failure_wins(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_error_set(&err, KDS_GRID, "look there", "line %d: %s", 7, "bad"), KDS_GRID);
    assert_int_equal(kds_error_set(&err, KDS_IO, "never seen", "later"), KDS_IO);
    assert_int_equal(kds_error_set_errno(&err, KDS_IO, ENOENT, NULL, "later still"), KDS_IO);
    assert_int_equal(err.status, KDS_GRID);
    assert_string_equal(err.message, "line 7: bad");
    assert_string_equal(err.hint, "look there");
    kds_error_clear(&err);
    assert_int_equal(err.status, KDS_OK);
    assert_string_equal(err.message, "");
    assert_string_equal(err.hint, "");
    kds_error_set(&err, KDS_IO, NULL, "now it counts");
    assert_string_equal(err.message, "now it counts");
    assert_string_equal(err.hint, "");
}

static void errno_is_told(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(kds_error_set_errno(&err, KDS_IO, ENOENT, "h", "cannot open '%s'", "x"), KDS_IO);
    char expected[256] = "cannot open 'x': ";
    strcat(expected, strerror(ENOENT));
    assert_string_equal(err.message, expected);
}

static void no_record_is_fine(void **state)
{
    (void)state;
    assert_int_equal(kds_error_set(NULL, KDS_MEMORY, "h", "m"), KDS_MEMORY);
    assert_int_equal(kds_error_set_errno(NULL, KDS_IO, EIO, "h", "m"), KDS_IO);
    kds_error_clear(NULL);
}

static void long_words_are_cut(void **state)
{
    (void)state;
    char words[4000];
    memset(words, 'a', sizeof words);
    words[sizeof words - 1] = '\0';
    kds_error err = KDS_ERROR_INIT;
    kds_error_set_errno(&err, KDS_IO, ENOENT, words, "%s", words);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(strlen(err.hint), sizeof err.hint - 1);
}

static void every_code_is_known(void **state)
{
    (void)state;
    for (int s = 0; s < KDS_N_STATUS; s++) {
        assert_true(strlen(kds_status_name((kds_status)s)) > 0);
        assert_true(strlen(kds_status_words((kds_status)s)) > 0);
        const int exit_code = kds_status_exit_code((kds_status)s);
        assert_true((exit_code >= 0 && exit_code <= 5) || exit_code == 75);
        assert_int_equal(exit_code == 0, s == KDS_OK);
    }
    assert_string_equal(kds_status_name(KDS_GRID), "GRID");
    assert_int_equal(kds_status_exit_code(KDS_USAGE), 1);
    assert_int_equal(kds_status_exit_code(KDS_GRID), 2);
    assert_int_equal(kds_status_exit_code(KDS_IO), 3);
    assert_int_equal(kds_status_exit_code(KDS_DIVERGED), 4);
    assert_int_equal(kds_status_exit_code(KDS_INTERNAL), 5);
    assert_int_equal(kds_status_exit_code(KDS_STOPPED), 75);
    assert_int_equal(kds_status_exit_code((kds_status)12345), 5);
    assert_string_equal(kds_status_name((kds_status)12345), "UNKNOWN");
}

static kds_status fails_with(kds_status wanted, kds_error *err)
{
    return wanted == KDS_OK ? KDS_OK : kds_error_set(err, wanted, NULL, "as wanted");
}

static kds_status two_steps(kds_status first, kds_status second, int *n_released, kds_error *err)
{
    kds_status status = KDS_OK;
    KDS_TRY(fails_with(first, err));
    if (second != KDS_OK) {
        KDS_FAIL(err, second, "hint", "second %d", 2);
    }
out:
    (*n_released)++;
    return status;
}

static void one_exit(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    int n_released = 0;
    assert_int_equal(two_steps(KDS_OK, KDS_OK, &n_released, &err), KDS_OK);
    assert_int_equal(two_steps(KDS_IO, KDS_OK, &n_released, &err), KDS_IO);
    assert_string_equal(err.message, "as wanted");
    kds_error_clear(&err);
    assert_int_equal(two_steps(KDS_OK, KDS_DATA, &n_released, &err), KDS_DATA);
    assert_string_equal(err.message, "second 2");
    assert_int_equal(n_released, 3);
}

static void assert_that(void *argument)
{
    KDS_ASSERT(*(int *)argument == 1);
}

static void set_ok(void *argument)
{
    kds_error_set(argument, KDS_OK, NULL, "no failure at all");
}

static void asserts_stay_on(void **state)
{
    (void)state;
    int zero = 0;
    int one = 1;
    kds_error err = KDS_ERROR_INIT;
    assert_true(kds_test_aborts(assert_that, &zero));
    assert_false(kds_test_aborts(assert_that, &one));
    assert_true(kds_test_aborts(set_ok, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_failure_wins),  cmocka_unit_test(errno_is_told),
        cmocka_unit_test(no_record_is_fine),   cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(every_code_is_known), cmocka_unit_test(one_exit),
        cmocka_unit_test(asserts_stay_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
