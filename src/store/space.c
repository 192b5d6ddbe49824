/*
 * Room on the disk. A sweep must not find after days that its rows do not fit, so the file's blocks are reserved at the
 * start where that costs nothing.
 */
#define _GNU_SOURCE /* fallocate: posix_fallocate would write where the file system cannot reserve */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "layout.h"

kds_status kds_space_check(const char *path, double n_bytes, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text folder = {0};
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        kds_text_add(&folder, ".");
    } else {
        kds_text_add_bytes(&folder, path, slash == path ? 1 : (size_t)(slash - path));
    }
    struct statvfs about;
    if (statvfs(kds_text_string(&folder), &about) != 0) {
        const int why = errno;
        status = kds_error_set_errno(err, KDS_IO, why, "Make the folder, or choose another output with -o.",
                                     "cannot make '%s' in the folder '%s'", path, kds_text_string(&folder));
        goto out;
    }
    const double n_free = (double)about.f_bavail * (double)about.f_frsize;
    if (about.f_blocks > 0 && n_free < n_bytes) {
        char needed[KDS_NUMBER_CHARS];
        char available[KDS_NUMBER_CHARS];
        KDS_FAIL(
            err, KDS_IO,
            "Choose another output with -o, free some space, or store less: kdsweep plan shows what each variable takes.",
            "'%s' needs %s, but its file system has %s left", path, kds_bytes_to_text(n_bytes, needed),
            kds_bytes_to_text(n_free, available));
    }

out:
    kds_text_clear(&folder);
    return status;
}

kds_status kds_space_reserve(const char *path, kds_error *err)
{
    kds_status status = KDS_OK;
    struct stat about;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        const int why = errno;
        status = kds_error_set_errno(err, KDS_IO, why, NULL, "cannot open '%s' for writing", path);
        goto out;
    }
#ifdef __linux__
    if (about.st_size > 0 && fallocate(fd, 0, 0, about.st_size) != 0) {
        const int why = errno;
        /* Anything else means that this file system cannot reserve; then a full disk shows when a row is written. */
        if (why == ENOSPC || why == EDQUOT || why == EFBIG) {
            char needed[KDS_NUMBER_CHARS];
            status = kds_error_set_errno(
                err, KDS_IO, why, "Choose another output with -o, free some space, or store less.",
                "cannot reserve %s for '%s'", kds_bytes_to_text((double)about.st_size, needed), path);
        }
    }
#endif

out:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}
