/* Denormal numbers are 0 between kds_denormals_to_zero and kds_denormals_restore, and only there. */
#include <float.h>

#include "kds_test.h"
#include "kdsweep/kernels.h"

/* Through volatile objects: the compiler does not know that the calls around it matter to a multiplication. */
static float product_of(float a, float b)
{
    volatile float x = a, y = b, product = x * y;
    return product;
}

static void flushes_and_restores(void **state)
{
    (void)state;
    const float denormal = FLT_MIN / 4;
    assert_true(product_of(denormal, 4.0f) == FLT_MIN);
    assert_true(product_of(FLT_MIN, 0.25f) == denormal);
#if defined(__x86_64__) || defined(__aarch64__)
    const uint64_t mode = kds_denormals_to_zero();
    const float of_operand = product_of(denormal, 4.0f), of_result = product_of(FLT_MIN, 0.25f);
    const float normal = product_of(FLT_MIN, 4.0f);
    const uint64_t again = kds_denormals_to_zero(); /* nests */
    kds_denormals_restore(again);
    const float still = product_of(denormal, 4.0f);
    kds_denormals_restore(mode);
    assert_true(of_operand == 0.0f);
    assert_true(of_result == 0.0f);
    assert_true(normal == 4 * FLT_MIN);
    assert_true(still == 0.0f);
#endif
    assert_true(product_of(denormal, 4.0f) == FLT_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(flushes_and_restores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
