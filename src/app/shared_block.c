#define _GNU_SOURCE /* memfd_create */
#include "shared_block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kdsweep/arena.h"

void *kds_shared_block_allocate(void *context, size_t size, kds_error *err)
{
    kds_shared_block *block = context;
    void *base = MAP_FAILED;
    int descriptor = -1;
#ifdef MFD_CLOEXEC
    descriptor = memfd_create("kdsweep-data", MFD_CLOEXEC);
    if (descriptor >= 0 && ftruncate(descriptor, (off_t)size) == 0) {
        base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    }
#endif
    if (base == MAP_FAILED) {
        if (descriptor >= 0) {
            close(descriptor);
        }
        base = kds_alloc(1, size, err);
        descriptor = -1;
    }
    *block = (kds_shared_block){descriptor, base, base ? size : 0};
    return base;
}

void kds_shared_block_name(const kds_shared_block *block, char name[KDS_SHARED_NAME_CHARS])
{
    name[0] = '\0';
    if (block->descriptor >= 0) {
        snprintf(name, KDS_SHARED_NAME_CHARS, "/proc/%ld/fd/%d", (long)getpid(), block->descriptor);
    }
}

kds_status kds_shared_block_attach(kds_shared_block *block, const char *name, size_t size, kds_error *err)
{
    int descriptor = open(name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return kds_error_set_errno(err, KDS_IO, errno, NULL,
                                   "cannot open the data set that another rank of this node has loaded (%s)", name);
    }
    struct stat about; /* in another process namespace the name may mean some other file */
    if (fstat(descriptor, &about) != 0 || (size_t)about.st_size < size) {
        close(descriptor);
        return kds_error_set(err, KDS_IO, NULL, "%s is not the data set of another rank", name);
    }
    void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (base == MAP_FAILED) {
        int saved = errno;
        close(descriptor);
        return kds_error_set_errno(err, KDS_IO, saved, NULL,
                                   "cannot map the data set that another rank of this node has loaded");
    }
    *block = (kds_shared_block){descriptor, base, size};
    return KDS_OK;
}

void kds_shared_block_seal(kds_shared_block *block)
{
    if (block->descriptor >= 0) {
        mprotect(block->base, block->size, PROT_READ);
    }
}

void kds_shared_block_clear(kds_shared_block *block)
{
    if (block->descriptor >= 0) {
        munmap(block->base, block->size);
        close(block->descriptor);
    } else {
        kds_free(block->base);
    }
    *block = (kds_shared_block)KDS_SHARED_BLOCK_INIT;
}
