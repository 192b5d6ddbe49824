/*
 * Hashes: known answers, every length and alignment, pieces against the whole.
 */
#include "kdsweep/hash.h"

#include <string.h>

#include "kds_test.h"

static const uint64_t SEED = 2654435761u;

/* The bytes of xxHash's own sanity check. */
static void fill(unsigned char *bytes, size_t n)
{
    uint64_t generator = 2654435761u;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (unsigned char)(generator >> 56);
        generator *= 11400714785074694797u;
    }
}

/* Answers of the reference implementation, xxHash 0.8. */
static void hash64_known_answers(void **state)
{
    (void)state;
    unsigned char bytes[222];
    fill(bytes, sizeof bytes);
    static const struct {
        size_t n;
        uint64_t unseeded;
        uint64_t seeded;
    } known[] = {
        {0, 0xEF46DB3751D8E999u, 0xAC75FDA2929B17EFu},   {1, 0xE934A84ADB052768u, 0x5014607643A9B4C3u},
        {4, 0x9136A0DCA57457EEu, 0xCAAB286BD8E9FDB5u},   {14, 0x8282DCC4994E35C8u, 0xC3BD6BF63DEB6DF0u},
        {222, 0xB641AE8CB691C174u, 0x20CB8AB7AE10C14Au},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_true(kds_hash64(bytes, known[i].n, 0) == known[i].unseeded);
        assert_true(kds_hash64(bytes, known[i].n, SEED) == known[i].seeded);
    }
    assert_true(kds_hash64("a", 1, 0) == 0xD24EC4F1A98C6E5Bu);
    assert_true(kds_hash64("abc", 3, 0) == 0x44BC2CF5AD770999u);
    assert_true(kds_hash64("Nobody inspects the spammish repetition", 39, 0) == 0xFBCEA83C8A378BF1u);
}

static void hash64_sees_every_bit(void **state)
{
    (void)state;
    unsigned char bytes[101];
    fill(bytes, sizeof bytes);
    for (size_t n = 1; n <= sizeof bytes; n++) {
        const uint64_t whole = kds_hash64(bytes, n, 5);
        for (size_t i = 0; i < n; i++) {
            bytes[i] ^= 0x10;
            assert_true(kds_hash64(bytes, n, 5) != whole);
            bytes[i] ^= 0x10;
        }
        assert_true(kds_hash64(bytes, n, 6) != whole);
        assert_true(kds_hash64(bytes, n - 1, 5) != whole);
    }
}

static void alignment_does_not_matter(void **state)
{
    (void)state;
    unsigned char bytes[100];
    unsigned char moved[116];
    fill(bytes, sizeof bytes);
    for (size_t shift = 0; shift < 16; shift++) {
        memcpy(moved + shift, bytes, sizeof bytes);
        for (size_t n = 0; n <= sizeof bytes; n++) {
            assert_true(kds_hash64(moved + shift, n, 9) == kds_hash64(bytes, n, 9));
            assert_int_equal(kds_crc32(0, moved + shift, n), kds_crc32(0, bytes, n));
        }
    }
}

static void fold_knows_order(void **state)
{
    (void)state;
    const uint64_t a = kds_hash64_fold(kds_hash64_fold(1, 2), 3);
    assert_true(a == kds_hash64_fold(kds_hash64_fold(1, 2), 3));
    assert_true(a != kds_hash64_fold(kds_hash64_fold(1, 3), 2));
    assert_true(kds_hash64_fold(0, 0) != kds_hash64_fold(0, 1));
    assert_true(kds_hash64_fold(0, 0) != kds_hash64_fold(1, 0));
    const unsigned char eight[8] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    assert_true(kds_hash64_fold(7, 0x1122334455667788u) == kds_hash64(eight, 8, 7));
}

/* One bit at a time, straight from the definition. */
static uint32_t slow_crc(const unsigned char *bytes, size_t n)
{
    uint32_t x = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        x ^= bytes[i];
        for (int i_bit = 0; i_bit < 8; i_bit++) {
            x = (x & 1u) != 0 ? x >> 1 ^ 0xEDB88320u : x >> 1;
        }
    }
    return ~x;
}

static void crc32_known_answers(void **state)
{
    (void)state;
    assert_int_equal(kds_crc32(0, "", 0), 0);
    assert_int_equal(kds_crc32(0, NULL, 0), 0);
    assert_int_equal(kds_crc32(0, "123456789", 9), 0xCBF43926u);
    assert_int_equal(kds_crc32(0, "The quick brown fox jumps over the lazy dog", 43), 0x414FA339u);
    unsigned char bytes[300];
    fill(bytes, sizeof bytes);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        assert_int_equal(kds_crc32(0, bytes, n), slow_crc(bytes, n));
    }
}

static void crc32_in_pieces(void **state)
{
    (void)state;
    unsigned char bytes[97];
    fill(bytes, sizeof bytes);
    const uint32_t whole = kds_crc32(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        assert_int_equal(kds_crc32(kds_crc32(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash64_known_answers),      cmocka_unit_test(hash64_sees_every_bit),
        cmocka_unit_test(alignment_does_not_matter), cmocka_unit_test(fold_knows_order),
        cmocka_unit_test(crc32_known_answers),       cmocka_unit_test(crc32_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
