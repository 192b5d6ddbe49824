/*
 * Two hashes: a 64-bit one for identities, a CRC for damage.
 */
#ifndef KDSWEEP_HASH_H
#define KDSWEEP_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 64-bit identity of a byte string: XXH64 (Collet), seeded. The same on every machine. */
uint64_t kds_hash64(const void *bytes, size_t n_bytes, uint64_t seed);

/* Fold one more 64-bit value into an identity; order matters. */
uint64_t kds_hash64_fold(uint64_t hash, uint64_t value);

/* CRC-32 (IEEE 802.3, as in zlib). Start with 0; feed pieces in order. */
uint32_t kds_crc32(uint32_t crc, const void *bytes, size_t n_bytes);

#endif
