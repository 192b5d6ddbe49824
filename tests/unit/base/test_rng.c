/*
 * Random numbers: the published known answers, the meaning of a stream, and statistics with fixed seeds (so a pass today
 * is a pass for ever; bounds are 5 standard errors).
 */
#include "kdsweep/rng.h"

#include <math.h>
#include <string.h>

#include "kds_test.h"

/* kat_vectors of Random123 1.14 (Salmon et al.), lines "philox4x32 10". */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4];
        uint32_t key[2];
        uint32_t out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        kds_philox4x32(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

/* The layout of key and counter is part of every result: it must never change. */
static void stream_layout(void **state)
{
    (void)state;
    const uint32_t counter[4] = {6, 1, 0x12345678, KDS_RNG_SHUFFLE};
    const uint32_t key[2] = {0x89abcdef, 0x01234567};
    uint32_t out[4];
    kds_philox4x32(counter, key, out);
    kds_rng rng = kds_rng_make(0x0123456789abcdef, KDS_RNG_SHUFFLE, 0x12345678);
    assert_int_equal(rng.index, 0);
    rng.index = 0x100000006;
    assert_true(kds_rng_next_u64(&rng) == ((uint64_t)out[1] << 32 | out[0]));
    assert_int_equal(rng.index, 0x100000007);
}

static void streams_differ(void **state)
{
    (void)state;
    kds_rng streams[] = {kds_rng_make(1, KDS_RNG_SPLIT, 0), kds_rng_make(2, KDS_RNG_SPLIT, 0),
                         kds_rng_make(1, KDS_RNG_SHUFFLE, 0), kds_rng_make(1, KDS_RNG_SPLIT, 1)};
    uint64_t values[4];
    for (int i = 0; i < 4; i++) {
        values[i] = kds_rng_next_u64(&streams[i]);
        for (int j = 0; j < i; j++) {
            assert_true(values[i] != values[j]);
        }
    }
    kds_rng again = kds_rng_make(1, KDS_RNG_SPLIT, 1);
    assert_true(kds_rng_next_u64(&again) == values[3]);
}

static void uniform_statistics(void **state)
{
    (void)state;
    enum { N = 400000, BINS = 64 };
    kds_rng rng = kds_rng_make(11, KDS_RNG_GENERATE, 0);
    double sum = 0.0;
    double squares = 0.0;
    double products = 0.0;
    double before = 0.5;
    int bins[BINS] = {0};
    for (int i = 0; i < N; i++) {
        const double u = kds_rng_uniform(&rng);
        assert_true(u > 0.0 && u < 1.0);
        sum += u - 0.5;
        squares += (u - 0.5) * (u - 0.5);
        products += (u - 0.5) * (before - 0.5);
        before = u;
        bins[(int)(u * BINS)]++;
    }
    assert_int_equal(rng.index, N);
    KDS_TEST_NEAR(sum / N, 0.0, 5.0 * sqrt(1.0 / 12.0 / N));
    KDS_TEST_NEAR(squares / N, 1.0 / 12.0, 5.0 * sqrt(1.0 / 180.0 / N));
    KDS_TEST_NEAR(products / N, 0.0, 5.0 * (1.0 / 12.0) * sqrt(1.0 / N));
    double chi_squared = 0.0;
    for (int i = 0; i < BINS; i++) {
        const double expected = (double)N / BINS;
        chi_squared += (bins[i] - expected) * (bins[i] - expected) / expected;
    }
    KDS_TEST_NEAR(chi_squared, BINS - 1, 5.0 * sqrt(2.0 * (BINS - 1)));
}

static void normal_statistics(void **state)
{
    (void)state;
    enum { N = 400000 };
    kds_rng rng = kds_rng_make(12, KDS_RNG_GENERATE, 0);
    double moments[4] = {0};
    int n_beyond_2 = 0;
    for (int i = 0; i < N; i++) {
        const double z = kds_rng_normal(&rng);
        assert_true(isfinite(z));
        for (int k = 0; k < 4; k++) {
            moments[k] += pow(z, k + 1);
        }
        n_beyond_2 += fabs(z) > 2.0;
    }
    assert_int_equal(rng.index, N);
    KDS_TEST_NEAR(moments[0] / N, 0.0, 5.0 * sqrt(1.0 / N));
    KDS_TEST_NEAR(moments[1] / N, 1.0, 5.0 * sqrt(2.0 / N));
    KDS_TEST_NEAR(moments[2] / N, 0.0, 5.0 * sqrt(15.0 / N));
    KDS_TEST_NEAR(moments[3] / N, 3.0, 5.0 * sqrt(96.0 / N));
    const double p = 0.045500263896358;
    KDS_TEST_NEAR((double)n_beyond_2 / N, p, 5.0 * sqrt(p * (1.0 - p) / N));
}

static void below_is_unbiased(void **state)
{
    (void)state;
    enum { N = 300000, SIDES = 7 };
    kds_rng rng = kds_rng_make(13, KDS_RNG_GENERATE, 0);
    int counts[SIDES] = {0};
    for (int i = 0; i < N; i++) {
        const uint64_t k = kds_rng_below(&rng, SIDES);
        assert_true(k < SIDES);
        counts[k]++;
    }
    for (int i = 0; i < SIDES; i++) {
        KDS_TEST_NEAR((double)counts[i] / N, 1.0 / SIDES, 5.0 * sqrt(1.0 / SIDES / N));
    }
    /* n = 3/4 of 2^64: a modulo without rejection would draw the lowest third twice as often (1/2 of all, not 1/3). */
    const uint64_t n = (uint64_t)3 << 62;
    int n_low = 0;
    for (int i = 0; i < N; i++) {
        const uint64_t k = kds_rng_below(&rng, n);
        assert_true(k < n);
        n_low += k < n / 3;
    }
    KDS_TEST_NEAR((double)n_low / N, 1.0 / 3.0, 5.0 * sqrt(2.0 / 9.0 / N));
    assert_int_equal(kds_rng_below(&rng, 1), 0);
}

static void below_zero(void *argument)
{
    kds_rng_below(argument, 0);
}

static void below_zero_is_a_bug(void **state)
{
    (void)state;
    kds_rng rng = kds_rng_make(1, KDS_RNG_SPLIT, 0);
    assert_true(kds_test_aborts(below_zero, &rng));
}

static void shuffle_is_a_fair_permutation(void **state)
{
    (void)state;
    enum { N = 5, REPEATS = 60000 };
    int places[N][N] = {{0}};
    kds_rng rng = kds_rng_make(14, KDS_RNG_SHUFFLE, 3);
    for (int i = 0; i < REPEATS; i++) {
        int32_t items[N] = {0, 1, 2, 3, 4};
        kds_rng_shuffle(&rng, items, N);
        unsigned seen = 0;
        for (int j = 0; j < N; j++) {
            assert_in_range(items[j], 0, N - 1);
            seen |= 1u << items[j];
            places[j][items[j]]++;
        }
        assert_int_equal(seen, (1u << N) - 1);
    }
    for (int j = 0; j < N; j++) {
        for (int k = 0; k < N; k++) {
            KDS_TEST_NEAR((double)places[j][k] / REPEATS, 0.2, 5.0 * sqrt(0.2 * 0.8 / REPEATS));
        }
    }
    int32_t one = 42;
    const uint64_t index = rng.index;
    kds_rng_shuffle(&rng, &one, 1);
    kds_rng_shuffle(&rng, NULL, 0);
    assert_int_equal(one, 42);
    assert_int_equal(rng.index, index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),       cmocka_unit_test(stream_layout),
        cmocka_unit_test(streams_differ),      cmocka_unit_test(uniform_statistics),
        cmocka_unit_test(normal_statistics),   cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(below_zero_is_a_bug), cmocka_unit_test(shuffle_is_a_fair_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
