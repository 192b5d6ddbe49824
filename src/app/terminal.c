#define _GNU_SOURCE /* struct winsize */
#include "terminal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_WIDTH = 80, MAX_ANCESTORS = 4 };

static int width_of(int descriptor)
{
    struct winsize size;
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : DEFAULT_WIDTH;
}

/* The name and the parent of a process of this host, as far as Linux tells. */
static bool look_up(long pid, char name[32], long *parent)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    bool found = false;
    const char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL; /* "pid (name) state parent ..." */
    const char *start = end ? strchr(line, '(') : NULL;
    if (start && sscanf(end + 1, " %*c %ld", parent) == 1) {
        snprintf(name, 32, "%.*s", (int)(end - start - 1), start + 1);
        found = true;
    }
    fclose(file);
    return found;
}

static bool is_launcher(const char *name)
{
    static const char *const launchers[] = {"mpirun", "mpiexec", "orterun", "prterun", "srun"};
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        if (strncmp(name, launchers[i], strlen(launchers[i])) == 0) { /* mpirun.openmpi, mpiexec.hydra, ... */
            return true;
        }
    }
    return false;
}

bool kds_terminal_is_stderr(int *width)
{
    if (isatty(STDERR_FILENO)) {
        if (width) {
            *width = width_of(STDERR_FILENO);
        }
        return true;
    }
    long pid = (long)getppid();
    for (int i = 0; i < MAX_ANCESTORS && pid > 1; i++) {
        char name[32], path[64];
        long parent;
        if (!look_up(pid, name, &parent)) {
            return false;
        }
        if (is_launcher(name)) {
            snprintf(path, sizeof path, "/proc/%ld/fd/2", pid);
            int descriptor = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
            bool is_terminal = descriptor >= 0 && isatty(descriptor);
            if (is_terminal && width) {
                *width = width_of(descriptor);
            }
            if (descriptor >= 0) {
                close(descriptor);
            }
            return is_terminal;
        }
        pid = parent;
    }
    return false;
}
