/*
 * What the tests of the kernels share: buffers between guard pages, nasty numbers, and a loop over the built instruction sets.
 *
 * A buffer lies against the guard page in front of it or behind it, so that reading or writing one byte too far on that side is a
 * fault; on the other side, where there is slack, every byte must stay as it was. Against the page behind it, its start takes every
 * alignment that the length allows.
 */
#ifndef KERNEL_CASE_H
#define KERNEL_CASE_H

#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kds_test.h"
#include "kdsweep/kernels.h"
#include "kdsweep/rng.h"

#define UNIT_ROUNDOFF 0x1p-24 /* of a float: one rounding changes x by at most this times |x| */
#define TINY 0x1p-148         /* what roundings of denormals may add */

typedef enum place { AT_FRONT, AT_BACK, N_PLACES } place;

typedef struct area {
    unsigned char *bytes; /* between the guard pages */
    size_t size;
    unsigned char *start; /* of the buffer that lies in it now */
    size_t n_bytes;
} area;

/* An area for buffers of up to `size` bytes. */
static inline area area_make(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    area made = {.size = (size + page - 1) / page * page};
    int zero = open("/dev/zero", O_RDWR);
    assert_true(zero >= 0);
    unsigned char *map = mmap(NULL, made.size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    close(zero);
    assert_int_equal(mprotect(map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(map + page + made.size, page, PROT_NONE), 0);
    made.bytes = map + page;
    return made;
}

static inline void area_free(area *a)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap(a->bytes - page, a->size + 2 * page);
}

enum { UNTOUCHED = 0xA5 };

/* Put a buffer of n_bytes into the area. */
static inline void *area_place(area *a, size_t n_bytes, place where)
{
    assert_true(n_bytes <= a->size);
    memset(a->bytes, UNTOUCHED, a->size);
    a->start = where == AT_FRONT ? a->bytes : a->bytes + a->size - n_bytes;
    a->n_bytes = n_bytes;
    return a->start;
}

/* The slack around the buffer is as it was. */
static inline void area_check(const area *a)
{
    for (const unsigned char *p = a->bytes; p < a->bytes + a->size; p++) {
        if (p == a->start) {
            p += a->n_bytes;
            if (p >= a->bytes + a->size) {
                break;
            }
        }
        if (*p != UNTOUCHED) {
            fail_msg("byte %ld relative to a buffer of %zu bytes was written", (long)(p - a->start), a->n_bytes);
        }
    }
}

/* The place of a float that no kernel may write is as it was. */
static inline void assert_untouched(const float *p)
{
    unsigned char bytes[sizeof *p];
    memcpy(bytes, p, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(bytes[i], UNTOUCHED);
    }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static inline float random_normal(kds_rng *rng)
{
    return (float)kds_rng_normal(rng);
}

/* Any magnitude that a float has, denormals included, either sign. */
static inline float random_any(kds_rng *rng)
{
    uint64_t bits = kds_rng_next_u64(rng);
    float magnitude = ldexpf(1.0f + (float)(bits & 0xFFFF) / 65536.0f, (int)(bits >> 32 & 0xFF) % 250 - 148 + 24);
    return bits >> 63 ? -magnitude : magnitude;
}

/* Numbers that break what is not careful. */
static const float nasty[] = {NAN,       -NAN,     INFINITY,  -INFINITY,  0.0f,    -0.0f,  FLT_MAX, -FLT_MAX,
                              FLT_MIN,   -FLT_MIN, 0x1p-149f, -0x1p-149f, 1.0f,    -1.0f,  1e30f,   -1e30f,
                              0x1p-130f, 88.7f,    -87.0f,    -87.4f,     -103.9f, 3.4e38f};
enum { N_NASTY = sizeof nasty / sizeof nasty[0] };

/* Fillings of a buffer: the tolerances hold for all, but sums of the last two may overflow. */
typedef enum filling { ORDINARY, ANY, NASTY, N_FILLINGS } filling;

static inline float random_number(kds_rng *rng, filling how)
{
    switch (how) {
    case ANY:
        return random_any(rng);
    case NASTY:
        return nasty[kds_rng_below(rng, N_NASTY)];
    default:
        return random_normal(rng);
    }
}

/* Equal as numbers, or both NaN. */
static inline int same(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* ---- instruction sets -------------------------------------------------------------------------------------------- */

/* Run `test` with the table of every level that this build and this machine have; the scalar one is always there. */
static inline void for_each_level(void (*test)(const kds_kernels *k))
{
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        kds_kernels k;
        kds_error err = KDS_ERROR_INIT;
        kds_status status = kds_kernels_level((kds_isa)isa, &k, &err);
        if (isa == KDS_ISA_SCALAR) {
            KDS_TEST_OK(status, &err);
        }
        if (status == KDS_OK) {
            assert_int_equal(k.isa, isa);
            print_message("           level %s\n", kds_isa_name((kds_isa)isa));
            test(&k);
        } else {
            assert_int_equal(status, KDS_UNSUPPORTED);
        }
    }
}

/* The lengths to try: every remainder of every vector width and unrolling, then some larger ones. */
static const int32_t lengths[] = {
    0,  1,  2,  3,  4,  5,  6,   7,   8,   9,   10,  11,  12,  13,  14,  15,  16,  17,   18,   19,  20, 21, 22,
    23, 24, 25, 26, 27, 28, 29,  30,  31,  32,  33,  34,  35,  36,  37,  38,  39,  40,   41,   42,  43, 44, 45,
    46, 47, 48, 49, 50, 51, 52,  53,  54,  55,  56,  57,  58,  59,  60,  61,  62,  63,   64,   65,  66, 67, 68,
    69, 70, 71, 95, 96, 97, 127, 128, 129, 191, 192, 193, 255, 256, 257, 511, 513, 1000, 1024, 1027};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0], MAX_LENGTH = 1027 };

#endif
