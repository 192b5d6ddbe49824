/*
 * The arena: what was measured is what is used, to the byte; one heap block; too much is a bug.
 */
#include "kdsweep/arena.h"

#include <string.h>

#include "kds_test.h"

/* The code that is run twice. */
static size_t layout(kds_arena *arena, float **a, double **b, char **c)
{
    *a = KDS_ARENA_TAKE(arena, 17, float);
    *b = KDS_ARENA_TAKE(arena, 3, double);
    *c = KDS_ARENA_TAKE(arena, 0, char);
    *c = KDS_ARENA_TAKE(arena, 65, char);
    return arena->used;
}

static void measured_is_used(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    float *a;
    double *b;
    char *c;
    kds_arena arena = kds_arena_measure();
    const size_t size = layout(&arena, &a, &b, &c);
    assert_null(a);
    assert_null(b);
    assert_null(c);
    assert_int_equal(size, 128 + 64 + 0 + 128);

    const long n_before = kds_alloc_count();
    KDS_TEST_OK(kds_arena_init(&arena, size, &err), &err);
    assert_int_equal(kds_alloc_count(), n_before + 1);
    assert_int_equal(layout(&arena, &a, &b, &c), size);
    assert_int_equal(kds_alloc_count(), n_before + 1);
    assert_int_equal(arena.size, size);
    assert_int_equal((uintptr_t)a % KDS_ALIGNMENT, 0);
    assert_int_equal((uintptr_t)b % KDS_ALIGNMENT, 0);
    assert_int_equal((uintptr_t)c % KDS_ALIGNMENT, 0);
    assert_ptr_equal((char *)b, (char *)a + 128);
    assert_ptr_equal(c, (char *)b + 64);
    for (int i = 0; i < 17; i++) {
        assert_true(a[i] == 0.0f);
    }
    memset(arena.base, 0x5A, size); /* a sanitizer looks here */
    kds_arena_clear(&arena);
    assert_null(arena.base);
    kds_arena_clear(&arena);
    kds_arena_clear(NULL);
}

static void take_too_much(void *argument)
{
    kds_arena_take(argument, 1, 1);
}

static void take_wrapping(void *argument)
{
    kds_arena_take(argument, SIZE_MAX / 2, 4);
}

static void too_much_is_a_bug(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    kds_arena arena;
    KDS_TEST_OK(kds_arena_init(&arena, 64, &err), &err);
    assert_true(kds_test_aborts(take_wrapping, &arena));
    assert_non_null(kds_arena_take(&arena, 64, 1));
    assert_true(kds_test_aborts(take_too_much, &arena));
    kds_arena_clear(&arena);
    KDS_TEST_OK(kds_arena_init(&arena, 0, &err), &err);
    assert_true(kds_test_aborts(take_too_much, &arena));
    kds_arena_clear(&arena);
}

static void no_memory_is_a_status(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    kds_arena arena = kds_arena_measure();
    kds_arena_take(&arena, SIZE_MAX / 2, 4);
    kds_arena_take(&arena, 64, 1);
    assert_int_equal(arena.used, SIZE_MAX);
    assert_int_equal(kds_arena_init(&arena, arena.used, &err), KDS_MEMORY);
    assert_int_equal(err.status, KDS_MEMORY);
    assert_true(strlen(err.message) > 0);
    kds_error_clear(&err);
    assert_null(kds_alloc(SIZE_MAX / 4, 8, &err));
    assert_int_equal(err.status, KDS_MEMORY);
    assert_null(kds_alloc(SIZE_MAX, 1, NULL));
}

static void blocks_are_zeroed_and_aligned(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    for (size_t n = 0; n < 300; n++) {
        unsigned char *block = kds_alloc(n, 1, &err);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % KDS_ALIGNMENT, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(block[i], 0);
            block[i] = 0xFF;
        }
        kds_free(block);
    }
    kds_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_is_used),
        cmocka_unit_test(too_much_is_a_bug),
        cmocka_unit_test(no_memory_is_a_status),
        cmocka_unit_test(blocks_are_zeroed_and_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
