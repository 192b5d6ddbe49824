/*
 * Whole files and folders.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kdsweep/arena.h"
#include "kdsweep/text.h"

enum { MAX_TRANSFER = 1 << 30 }; /* bytes in one read or write: Linux takes no more than 2 GiB */

kds_status kds_file_read(const char *path, char **bytes, size_t *n_bytes, kds_error *err)
{
    kds_status status = KDS_OK;
    char *block = NULL;
    size_t used = 0;
    *bytes = NULL;
    *n_bytes = 0;

    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, NULL, "cannot open '%s'", path);
        goto out;
    }
    struct stat about;
    if (fstat(fd, &about) != 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, NULL, "cannot read '%s'", path);
        goto out;
    }
    /* The size is a first guess only: a pipe has none, and a file may grow meanwhile. */
    size_t capacity = S_ISREG(about.st_mode) && about.st_size > 0 ? (size_t)about.st_size + 2 : 65536;
    block = kds_alloc(capacity, 1, err);
    if (block == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (;;) {
        if (capacity - used < 2) {
            char *larger = kds_alloc(capacity * 2, 1, err);
            if (larger == NULL) {
                status = KDS_MEMORY;
                goto out;
            }
            memcpy(larger, block, used);
            kds_free(block);
            block = larger;
            capacity *= 2;
        }
        const size_t room = capacity - used - 1;
        const ssize_t n = read(fd, block + used, room < MAX_TRANSFER ? room : MAX_TRANSFER);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            used += (size_t)n;
        } else if (errno != EINTR) {
            status = kds_error_set_errno(err, KDS_IO, errno, NULL, "cannot read '%s'", path);
            goto out;
        }
    }
    block[used] = '\0';
    *bytes = block;
    *n_bytes = used;
    block = NULL;

out:
    kds_free(block);
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* Everything of one piece; errno tells why not. */
static bool write_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(fd, bytes, size < MAX_TRANSFER ? size : MAX_TRANSFER);
        if (n >= 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* The folder that holds `path`, in `folder`. */
static void add_folder_of(kds_text *folder, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        kds_text_add(folder, ".");
    } else if (slash == path) {
        kds_text_add(folder, "/");
    } else {
        kds_text_add_bytes(folder, path, (size_t)(slash - path));
    }
}

/* Make a rename last: sync the folder. A file system that cannot sync a folder says EINVAL, and has nothing to sync. */
static kds_status sync_folder(const char *folder, kds_error *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return kds_error_set_errno(err, KDS_IO, errno, NULL, "cannot open the folder '%s'", folder);
    }
    kds_status status = KDS_OK;
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) {
        status = kds_error_set_errno(err, KDS_IO, errno, NULL, "cannot sync the folder '%s'", folder);
    }
    close(fd);
    return status;
}

kds_status kds_file_write_atomic(const char *path, const void *const *pieces, const size_t *sizes, int n_pieces,
                                 kds_error *err)
{
    static atomic_uint counter;
    static const char hint[] = "Is there room on the disk, and may you write in this folder?";
    kds_status status = KDS_OK;
    kds_text temporary = {0};
    kds_text folder = {0};
    bool is_made = false;
    int fd = -1;

    add_folder_of(&folder, path);
    /* O_EXCL decides who owns a name: a process with our number on another node, or a file left by a dead one, only
     * costs another attempt. */
    for (int i_attempt = 0; fd < 0; i_attempt++) {
        kds_text_clear(&temporary);
        kds_text_addf(&temporary, "%s.tmp.%ld.%u", path, (long)getpid(), atomic_fetch_add(&counter, 1u));
        if (temporary.failed || folder.failed) {
            KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the name of a temporary file beside '%s'", path);
        }
        fd = open(temporary.bytes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EINTR && (errno != EEXIST || i_attempt >= 1000)) {
            status = kds_error_set_errno(err, KDS_IO, errno, hint, "cannot create '%s'", temporary.bytes);
            goto out;
        }
    }
    is_made = true;
    for (int i = 0; i < n_pieces; i++) {
        if (!write_all(fd, pieces[i], sizes[i])) {
            status = kds_error_set_errno(err, KDS_IO, errno, hint, "cannot write '%s'", path);
            goto out;
        }
    }
    if (fsync(fd) != 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, hint, "cannot write '%s'", path);
        goto out;
    }
    const int closed = close(fd);
    fd = -1;
    if (closed != 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, hint, "cannot write '%s'", path);
        goto out;
    }
    if (rename(temporary.bytes, path) != 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, hint, "cannot rename '%s' to '%s'", temporary.bytes, path);
        goto out;
    }
    is_made = false;
    KDS_TRY(sync_folder(folder.bytes, err));

out:
    if (fd >= 0) {
        close(fd);
    }
    if (is_made) {
        unlink(temporary.bytes);
    }
    kds_text_clear(&temporary);
    kds_text_clear(&folder);
    return status;
}

kds_status kds_folder_make(const char *path, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text prefix = {0};
    const size_t n = strlen(path);
    if (n == 0) {
        KDS_FAIL(err, KDS_IO, NULL, "the name of a folder is empty");
    }
    for (size_t i = 1; i <= n; i++) {
        if (i < n && (path[i] != '/' || path[i - 1] == '/')) {
            continue;
        }
        kds_text_clear(&prefix);
        kds_text_add_bytes(&prefix, path, i);
        if (prefix.failed) {
            KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the name of the folder '%s'", path);
        }
        /* Try first, look afterwards: so that several processes may make the same folder at once, and a folder above it
         * need not be ours to write in. */
        if (mkdir(prefix.bytes, 0777) != 0) {
            const int why = errno;
            struct stat about;
            if (stat(prefix.bytes, &about) != 0) {
                status = kds_error_set_errno(err, KDS_IO, why, NULL, "cannot make the folder '%s'", prefix.bytes);
                goto out;
            }
            if (!S_ISDIR(about.st_mode)) {
                KDS_FAIL(err, KDS_IO, NULL, "cannot make the folder '%s': '%s' is there and is not a folder", path,
                         prefix.bytes);
            }
        }
    }

out:
    kds_text_clear(&prefix);
    return status;
}
