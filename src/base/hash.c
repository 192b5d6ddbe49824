/*
 * XXH64, written from its published description (Y. Collet, "xxHash fast digest algorithm", version 0.1.1), and CRC-32
 * with eight tables (M. E. Kounavis, F. L. Berry, "A systematic approach to building high performance software-based CRC
 * generators", 2005). Words are put together byte by byte, so that the byte order of the machine plays no role;
 * compilers make one load of it.
 */
#include "kdsweep/hash.h"

#include <pthread.h>

static const uint64_t PRIME_1 = 0x9E3779B185EBCA87u;
static const uint64_t PRIME_2 = 0xC2B2AE3D27D4EB4Fu;
static const uint64_t PRIME_3 = 0x165667B19E3779F9u;
static const uint64_t PRIME_4 = 0x85EBCA77C2B2AE63u;
static const uint64_t PRIME_5 = 0x27D4EB2F165667C5u;

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t read_u64(const unsigned char *p)
{
    return (uint64_t)read_u32(p) | (uint64_t)read_u32(p + 4) << 32;
}

static uint64_t rotate_left(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static uint64_t lane_round(uint64_t accumulator, uint64_t lane)
{
    return rotate_left(accumulator + lane * PRIME_2, 31) * PRIME_1;
}

static uint64_t merge(uint64_t accumulator, uint64_t lane)
{
    return (accumulator ^ lane_round(0, lane)) * PRIME_1 + PRIME_4;
}

static uint64_t avalanche(uint64_t x)
{
    x ^= x >> 33;
    x *= PRIME_2;
    x ^= x >> 29;
    x *= PRIME_3;
    x ^= x >> 32;
    return x;
}

uint64_t kds_hash64(const void *bytes, size_t n_bytes, uint64_t seed)
{
    const unsigned char *p = bytes;
    size_t n_left = n_bytes;
    uint64_t x;
    if (n_bytes >= 32) {
        uint64_t lanes[4] = {seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1};
        for (; n_left >= 32; n_left -= 32, p += 32) {
            for (int i = 0; i < 4; i++) {
                lanes[i] = lane_round(lanes[i], read_u64(p + 8 * i));
            }
        }
        x = rotate_left(lanes[0], 1) + rotate_left(lanes[1], 7) + rotate_left(lanes[2], 12) + rotate_left(lanes[3], 18);
        for (int i = 0; i < 4; i++) {
            x = merge(x, lanes[i]);
        }
    } else {
        x = seed + PRIME_5;
    }
    x += (uint64_t)n_bytes;
    for (; n_left >= 8; n_left -= 8, p += 8) {
        x = rotate_left(x ^ lane_round(0, read_u64(p)), 27) * PRIME_1 + PRIME_4;
    }
    if (n_left >= 4) {
        x = rotate_left(x ^ (uint64_t)read_u32(p) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        n_left -= 4;
        p += 4;
    }
    for (; n_left > 0; n_left--, p++) {
        x = rotate_left(x ^ (uint64_t)*p * PRIME_5, 11) * PRIME_1;
    }
    return avalanche(x);
}

uint64_t kds_hash64_fold(uint64_t hash, uint64_t value)
{
    /* The value is the text, the hash so far the seed. */
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
    return kds_hash64(bytes, sizeof bytes, hash);
}

/* crc_table[k][b]: the remainder of byte b with k zero bytes behind it. */
static uint32_t crc_table[8][256];
static pthread_once_t crc_table_once = PTHREAD_ONCE_INIT;

static void make_crc_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t remainder = b;
        for (int i_bit = 0; i_bit < 8; i_bit++) {
            remainder = remainder >> 1 ^ ((remainder & 1u) != 0 ? 0xEDB88320u : 0u);
        }
        crc_table[0][b] = remainder;
    }
    for (int k = 1; k < 8; k++) {
        for (int b = 0; b < 256; b++) {
            const uint32_t before = crc_table[k - 1][b];
            crc_table[k][b] = before >> 8 ^ crc_table[0][before & 0xFFu];
        }
    }
}

uint32_t kds_crc32(uint32_t crc, const void *bytes, size_t n_bytes)
{
    pthread_once(&crc_table_once, make_crc_table);
    const unsigned char *p = bytes;
    uint32_t x = ~crc;
    for (; n_bytes >= 8; n_bytes -= 8, p += 8) {
        const uint32_t low = x ^ read_u32(p);
        const uint32_t high = read_u32(p + 4);
        x = crc_table[7][low & 0xFFu] ^ crc_table[6][low >> 8 & 0xFFu] ^ crc_table[5][low >> 16 & 0xFFu] ^
            crc_table[4][low >> 24] ^ crc_table[3][high & 0xFFu] ^ crc_table[2][high >> 8 & 0xFFu] ^
            crc_table[1][high >> 16 & 0xFFu] ^ crc_table[0][high >> 24];
    }
    for (; n_bytes > 0; n_bytes--, p++) {
        x = x >> 8 ^ crc_table[0][(x ^ *p) & 0xFFu];
    }
    return ~x;
}
