/*
 * A block of memory that other processes of this node can map: the data set.
 *
 * An anonymous file (memfd) rather than an MPI window or a file under /dev/shm: it leaves nothing behind however the processes end, and
 * it is not bounded by the small /dev/shm of a container. Others reach it through /proc/<pid>/fd/<n>.
 */
#ifndef KDSWEEP_SHARED_BLOCK_H
#define KDSWEEP_SHARED_BLOCK_H

#include "kdsweep/data.h"

enum { KDS_SHARED_NAME_CHARS = 64 };

typedef struct kds_shared_block {
    int descriptor; /* -1: private heap memory, nobody can attach */
    void *base;
    size_t size;
} kds_shared_block;

#define KDS_SHARED_BLOCK_INIT \
    {                         \
        -1, NULL, 0           \
    }

/* A kds_data_allocate; context: a kds_shared_block that is still empty. Falls back to private memory where the system has no memfd. */
kds_data_allocate kds_shared_block_allocate;

/* What others attach by; "" when it is private. */
void kds_shared_block_name(const kds_shared_block *block, char name[KDS_SHARED_NAME_CHARS]);

/* Map another process's block read-only. KDS_IO when that is not allowed here. */
kds_status kds_shared_block_attach(kds_shared_block *block, const char *name, size_t size, kds_error *err);

/* From now on this process only reads. */
void kds_shared_block_seal(kds_shared_block *block);

void kds_shared_block_clear(kds_shared_block *block);

#endif
