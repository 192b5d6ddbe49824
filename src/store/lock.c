/*
 * The lock of a sweep: two bytes of <work>/lock, by fcntl. Such locks vanish with their process, however it ends, and work over NFS.
 *
 *   byte 0   root, exclusive: one sweep at a time
 *   byte 1   every rank, shared: somebody of this sweep still lives
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "kdsweep/store.h"

struct kds_lock {
    int fd;
    bool is_held; /* false on a file system without locks */
};

enum { BYTE_ROOT, BYTE_LIVES };

typedef enum attempt { TAKEN, REFUSED, NO_LOCKS } attempt;

static attempt try_byte(int fd, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int done = 0;
    do {
        done = fcntl(fd, F_SETLK, &lock);
    } while (done != 0 && errno == EINTR);
    if (done == 0) {
        return TAKEN;
    }
    return errno == EACCES || errno == EAGAIN ? REFUSED : NO_LOCKS;
}

static void sleep_a_little(void)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 50 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

/* Who holds it, in the words that they left; at most one line. */
static void read_holder(int fd, char *text, size_t size)
{
    const ssize_t n = pread(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0') {
        snprintf(text, size, "another process");
    }
}

static void write_holder(int fd)
{
    char host[128] = "unknown";
    char now[32] = "";
    char line[256];
    gethostname(host, sizeof host - 1);
    const time_t seconds = time(NULL);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    const int n = snprintf(line, sizeof line, "host %s, process %ld, since %s\n", host, (long)getpid(), now);
    /* Words for people only: the lock holds without them. */
    if (n > 0 && ftruncate(fd, 0) == 0) {
        const ssize_t written = pwrite(fd, line, (size_t)n, 0);
        (void)written;
    }
}

static kds_status open_lock(const char *work, kds_lock **out, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text path = {0};
    kds_lock *lock = kds_alloc(1, sizeof *lock, err);
    if (lock == NULL) {
        return KDS_MEMORY;
    }
    lock->fd = -1;
    *out = NULL;
    KDS_TRY(kds_folder_make(work, err));
    kds_text_addf(&path, "%s/lock", work);
    lock->fd = open(kds_text_string(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock->fd < 0) {
        const int why = errno;
        status = kds_error_set_errno(err, KDS_IO, why, "Is the folder of the output writable?", "cannot open '%s'",
                                     kds_text_string(&path));
        goto out;
    }
    *out = lock;
    lock = NULL;
out:
    kds_lock_release(lock);
    kds_text_clear(&path);
    return status;
}

kds_status kds_lock_take(const char *work, double patience, kds_lock **out, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_lock *lock = NULL;
    char holder[256];
    *out = NULL;
    KDS_TRY(open_lock(work, &lock, err));
    attempt got = try_byte(lock->fd, F_WRLCK, BYTE_ROOT);
    if (got == REFUSED) {
        read_holder(lock->fd, holder, sizeof holder);
        KDS_FAIL(err, KDS_CONFLICT, "Wait for it, stop it, or write to another file with -o.",
                 "another kdsweep is running with the work folder '%s': %s", work, holder);
    }
    /* Byte 1 for us alone means that nobody of an earlier sweep lives; then keep it shared. */
    const double deadline = kds_clock_wall() + patience;
    while (got == TAKEN && (got = try_byte(lock->fd, F_WRLCK, BYTE_LIVES)) == REFUSED) {
        if (kds_clock_wall() >= deadline) {
            read_holder(lock->fd, holder, sizeof holder);
            KDS_FAIL(err, KDS_CONFLICT, "Wait until they have ended, or end them, and run the same command again.",
                     "processes of an earlier kdsweep (%s) still use the work folder '%s'", holder, work);
        }
        sleep_a_little();
        got = TAKEN;
    }
    if (got == TAKEN) {
        got = try_byte(lock->fd, F_RDLCK, BYTE_LIVES);
    }
    lock->is_held = got == TAKEN;
    write_holder(lock->fd);
    *out = lock;
    lock = NULL;
out:
    kds_lock_release(lock);
    return status;
}

kds_status kds_lock_join(const char *work, kds_lock **out, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_lock *lock = NULL;
    *out = NULL;
    KDS_TRY(open_lock(work, &lock, err));
    const attempt got = try_byte(lock->fd, F_RDLCK, BYTE_LIVES);
    if (got == REFUSED) {
        KDS_FAIL(err, KDS_CONFLICT, NULL, "another kdsweep is starting with the work folder '%s'", work);
    }
    lock->is_held = got == TAKEN;
    *out = lock;
    lock = NULL;
out:
    kds_lock_release(lock);
    return status;
}

bool kds_lock_is_held(const kds_lock *lock)
{
    return lock->is_held;
}

bool kds_work_is_locked(const char *work)
{
    kds_text path = {0};
    kds_text_addf(&path, "%s/lock", work);
    bool is_locked = false;
    /* Closing the file would drop the locks of this process on it: this is for processes that hold none. */
    const int fd = open(kds_text_string(&path), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = BYTE_ROOT, .l_len = 2};
        is_locked = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
        close(fd);
    }
    kds_text_clear(&path);
    return is_locked;
}

void kds_lock_release(kds_lock *lock)
{
    if (lock != NULL) {
        if (lock->fd >= 0) {
            close(lock->fd); /* the file stays: somebody may just have opened it */
        }
        kds_free(lock);
    }
}
