/*
 * Arena: one aligned block that is measured first and allocated once.
 *
 * Use it twice with the same code: first on a measuring arena (no memory; every take returns NULL and is counted),
 * then on a real one of exactly that size. A training loop that has its arena never allocates.
 */
#ifndef KDSWEEP_ARENA_H
#define KDSWEEP_ARENA_H

#include "kdsweep/status.h"

enum { KDS_ALIGNMENT = 64 }; /* bytes: a cache line, and one AVX-512 register */

typedef struct kds_arena {
    unsigned char *base; /* NULL while measuring */
    size_t size;         /* bytes that base holds */
    size_t used;         /* bytes taken so far, each take rounded up to KDS_ALIGNMENT */
} kds_arena;

/* A measuring arena. */
kds_arena kds_arena_measure(void);

/* Allocate `size` bytes, zeroed. KDS_MEMORY when the system has none. */
kds_status kds_arena_init(kds_arena *arena, size_t size, kds_error *err);

/* Take `n_items` items of `item_size` bytes, aligned to KDS_ALIGNMENT. NULL on a measuring arena; taking more than was
 * measured is a bug (asserts). */
void *kds_arena_take(kds_arena *arena, size_t n_items, size_t item_size);

#define KDS_ARENA_TAKE(arena, n_items, type) ((type *)kds_arena_take((arena), (n_items), sizeof(type)))

void kds_arena_clear(kds_arena *arena);

/* Number of heap blocks ever allocated through kds_arena_init and kds_alloc by this process: a test compares it before
 * and after a training loop. */
long kds_alloc_count(void);

/* Zeroed heap memory of n_items * item_size bytes, aligned to KDS_ALIGNMENT; overflow-safe; NULL with a record when
 * there is none. Release with kds_free. */
void *kds_alloc(size_t n_items, size_t item_size, kds_error *err);
void kds_free(void *pointer);

#endif
