/*
 * Class sizes of the long tail against Python's int(n_max * ((1/ratio) ** (i/(m-1.0)))) and the published totals
 * (methods 0.1).
 */
#include "data_fixtures.h"

static int64_t total(double ratio, int64_t n_max, int n_classes)
{
    int64_t sum = 0;
    for (int i = 0; i < n_classes; i++) {
        sum += kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, ratio, n_max, i, n_classes, n_max);
    }
    return sum;
}

static void test_totals(void **state)
{
    (void)state;
    /* the right-hand column was computed by Python 3.11 */
    static const struct {
        double ratio;
        int64_t n_max;
        int n_classes;
        int64_t total;
    } cases[] = {
        {1, 5000, 10, 50000},  {10, 5000, 10, 20431},  {50, 5000, 10, 13996},
        {83, 5000, 10, 12788}, {100, 5000, 10, 12406}, {200, 5000, 10, 11203}, /* CIFAR-10 */
        {1, 500, 100, 50000},  {10, 500, 100, 19573},  {50, 500, 100, 12608},
        {83, 500, 100, 11273}, {100, 500, 100, 10847}, {200, 500, 100, 9502}, /* CIFAR-100 */
        {1, 500, 200, 100000}, {10, 500, 200, 39072},  {50, 500, 200, 25082},
        {83, 500, 200, 22403}, {100, 500, 200, 21549}, {200, 500, 200, 18836}, /* TinyImageNet */
        {1, 6000, 10, 60000},  {10, 6000, 10, 24516},  {50, 6000, 10, 16796},
        {83, 6000, 10, 15347}, {100, 6000, 10, 14886}, {200, 6000, 10, 13444}, /* Fashion-MNIST */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(total(cases[i].ratio, cases[i].n_max, cases[i].n_classes), cases[i].total);
    }
}

static void test_each_class(void **state)
{
    (void)state;
    static const struct {
        double ratio;
        int64_t counts[10];
    } cases[] = {
        {100, {5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50}},
        {10, {5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500}},
        {50, {5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100}},
        {83, {5000, 3060, 1872, 1146, 701, 429, 262, 160, 98, 60}},
        {200, {5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (int i = 0; i < 10; i++) {
            assert_int_equal(kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, cases[k].ratio, 5000, i, 10, 5000),
                             cases[k].counts[i]);
        }
    }
}

/* Where the exact value is an integer, the last bit decides; the numbers are Python's. */
static void test_exact_integers(void **state)
{
    (void)state;
    static const struct {
        double ratio;
        int64_t n_max;
        int i_class, n_classes;
        int64_t count;
    } cases[] = {
        {49, 343, 1, 2, 6},      /* 343 / 49 = 7 */
        {49, 343, 9, 10, 6},     /* the same */
        {64, 4096, 5, 7, 127},   /* 4096 / 64^(5/6) = 128 */
        {64, 4096, 10, 13, 127}, /* the same */
        {100, 5000, 9, 10, 50},  /* here it goes well */
        {10, 5000, 9, 10, 500},  {16, 4096, 1, 5, 2048}, {10000, 5000, 1, 3, 50}, {27, 729, 1, 4, 243},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, cases[i].ratio, cases[i].n_max, cases[i].i_class,
                                             cases[i].n_classes, cases[i].n_max),
                         cases[i].count);
    }
}

static void test_step(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kds_long_tail_count(KDS_PROFILE_STEP, 100, 5000, i, 10, 5000), i < 5 ? 5000 : 50);
    }
    for (int i = 0; i < 5; i++) { /* odd: the smaller half keeps all */
        assert_int_equal(kds_long_tail_count(KDS_PROFILE_STEP, 3, 100, i, 5, 100), i < 2 ? 100 : 33);
    }
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, 10, 5000, 0, 10, 300),
                     300); /* no more than there are */
    assert_int_equal(kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, 10, 5000, 9, 10, 600), 500);
    assert_int_equal(kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, 100, 50, 9, 10, 50), 0);
    assert_int_equal(kds_long_tail_count(KDS_PROFILE_EXPONENTIAL, 100, 50, 0, 1, 50), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_totals), cmocka_unit_test(test_each_class), cmocka_unit_test(test_exact_integers),
        cmocka_unit_test(test_step),   cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
