/*
 * Aligned memory. Every heap block of the program that matters goes through kds_alloc, where it is counted.
 */
#define _DEFAULT_SOURCE /* madvise */
#include "kdsweep/arena.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_long n_allocated;

/* Matrices of a few MB are read with strides of a page or more: on 4 KB pages address translation shows (measured: the largest MLP
 * of tests/bench trains some 7 % faster on large pages). */
static const size_t huge_page = (size_t)2 << 20;

static void *allocate(size_t size)
{
#ifdef MADV_HUGEPAGE
    if (size >= 2 * huge_page) {
        void *pointer = aligned_alloc(huge_page, (size + huge_page - 1) & ~(huge_page - 1));
        if (pointer != NULL) {
            madvise(pointer, size, MADV_HUGEPAGE); /* advice: where it is not taken nothing is lost */
        }
        return pointer;
    }
#endif
    return aligned_alloc(KDS_ALIGNMENT, size);
}

/* `size` rounded up to KDS_ALIGNMENT; SIZE_MAX when that does not fit. */
static size_t round_up(size_t size)
{
    const size_t mask = (size_t)KDS_ALIGNMENT - 1;
    return size > SIZE_MAX - mask ? SIZE_MAX : (size + mask) & ~mask;
}

/* n_items * item_size; SIZE_MAX when that does not fit. */
static size_t product(size_t n_items, size_t item_size)
{
    return item_size != 0 && n_items > SIZE_MAX / item_size ? SIZE_MAX : n_items * item_size;
}

void *kds_alloc(size_t n_items, size_t item_size, kds_error *err)
{
    const size_t size = product(n_items, item_size);
    /* At least one byte's worth: a block of nothing is a block all the same, and NULL means failure only. */
    const size_t rounded = round_up(size == 0 ? 1 : size);
    void *pointer = rounded > PTRDIFF_MAX ? NULL : allocate(rounded);
    if (pointer == NULL) {
        kds_error_set(err, KDS_MEMORY, "Use fewer processes on this machine, a smaller model or a smaller batch.",
                      "no memory for %zu items of %zu bytes", n_items, item_size);
        return NULL;
    }
    memset(pointer, 0, rounded);
    atomic_fetch_add_explicit(&n_allocated, 1, memory_order_relaxed);
    return pointer;
}

void kds_free(void *pointer)
{
    free(pointer);
}

long kds_alloc_count(void)
{
    return atomic_load_explicit(&n_allocated, memory_order_relaxed);
}

kds_arena kds_arena_measure(void)
{
    return (kds_arena){.base = NULL, .size = 0, .used = 0};
}

kds_status kds_arena_init(kds_arena *arena, size_t size, kds_error *err)
{
    *arena = kds_arena_measure();
    /* An arena of nothing still gets a block: base == NULL means measuring. */
    arena->base = kds_alloc(size, 1, err);
    if (arena->base == NULL) {
        return KDS_MEMORY;
    }
    arena->size = size;
    return KDS_OK;
}

void *kds_arena_take(kds_arena *arena, size_t n_items, size_t item_size)
{
    const size_t size = round_up(product(n_items, item_size));
    const size_t offset = arena->used;
    if (arena->base == NULL) {
        /* While measuring, a sum that does not fit sticks at SIZE_MAX, so that kds_arena_init refuses it. */
        arena->used = size > SIZE_MAX - offset ? SIZE_MAX : offset + size;
        return NULL;
    }
    KDS_ASSERT(offset <= arena->size && size <= arena->size - offset);
    arena->used = offset + size;
    return arena->base + offset;
}

void kds_arena_clear(kds_arena *arena)
{
    if (arena != NULL) {
        kds_free(arena->base);
        *arena = kds_arena_measure();
    }
}
