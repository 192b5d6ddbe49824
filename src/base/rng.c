/*
 * Philox4x32-10, after J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011, section 3.3 and table 2. Key: the seed. Counter: index (2 words), epoch, purpose.
 */
#include "kdsweep/rng.h"

#include <math.h>

#include "kdsweep/status.h"

/* One round: two 32 x 32 -> 64 bit products; the halves change places and take in the key. */
static void philox_round(uint32_t x[4], const uint32_t key[2])
{
    const uint64_t product_0 = (uint64_t)0xD2511F53u * x[0];
    const uint64_t product_1 = (uint64_t)0xCD9E8D57u * x[2];
    const uint32_t x_1 = x[1];
    const uint32_t x_3 = x[3];
    x[0] = (uint32_t)(product_1 >> 32) ^ x_1 ^ key[0];
    x[1] = (uint32_t)product_1;
    x[2] = (uint32_t)(product_0 >> 32) ^ x_3 ^ key[1];
    x[3] = (uint32_t)product_0;
}

void kds_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t x[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int i_round = 0; i_round < 10; i_round++) {
        philox_round(x, k);
        k[0] += 0x9E3779B9u; /* golden ratio */
        k[1] += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    for (int i = 0; i < 4; i++) {
        out[i] = x[i];
    }
}

kds_rng kds_rng_make(uint64_t seed, kds_purpose purpose, uint32_t epoch)
{
    return (kds_rng){.seed = seed, .purpose = (uint32_t)purpose, .epoch = epoch, .index = 0};
}

/* The next block as two 64-bit words. */
static void next_block(kds_rng *rng, uint64_t out[2])
{
    const uint32_t counter[4] = {(uint32_t)rng->index, (uint32_t)(rng->index >> 32), rng->epoch, rng->purpose};
    const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    uint32_t words[4];
    kds_philox4x32(counter, key, words);
    rng->index++;
    out[0] = words[0] | (uint64_t)words[1] << 32;
    out[1] = words[2] | (uint64_t)words[3] << 32;
}

static double to_open_unit(uint64_t bits)
{
    /* 52 of the bits and a half step: exact in a double, so that neither end is ever reached by rounding. */
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

uint64_t kds_rng_next_u64(kds_rng *rng)
{
    uint64_t block[2];
    next_block(rng, block);
    return block[0];
}

uint64_t kds_rng_below(kds_rng *rng, uint64_t n)
{
    KDS_ASSERT(n > 0);
    /* 2^64 mod n: the draws below it would make the small remainders more likely. */
    const uint64_t n_rejected = (0 - n) % n;
    for (;;) {
        const uint64_t draw = kds_rng_next_u64(rng);
        if (draw >= n_rejected) {
            return draw % n;
        }
    }
}

double kds_rng_uniform(kds_rng *rng)
{
    return to_open_unit(kds_rng_next_u64(rng));
}

double kds_rng_normal(kds_rng *rng)
{
    static const double two_pi = 6.283185307179586476925286766559;
    uint64_t block[2];
    next_block(rng, block);
    return sqrt(-2.0 * log(to_open_unit(block[0]))) * cos(two_pi * to_open_unit(block[1]));
}

void kds_rng_shuffle(kds_rng *rng, int32_t *items, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)kds_rng_below(rng, (uint64_t)i + 1);
        const int32_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}
