/*
 * Helpers of the C tests.
 */
#include "kds_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kdsweep/text.h"

void kds_test_folder_make(char path[KDS_TEST_PATH])
{
    const char *parent = getenv("TMPDIR");
    snprintf(path, KDS_TEST_PATH, "%s/kdsweep-test-XXXXXX", parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (mkdtemp(path) == NULL) {
        fail_msg("cannot make a folder like %s", path);
    }
}

void kds_test_folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        kds_text inside = {0};
        kds_text_addf(&inside, "%s/%s", path, entry->d_name);
        struct stat about;
        if (lstat(kds_text_string(&inside), &about) == 0 && S_ISDIR(about.st_mode)) {
            kds_test_folder_remove(kds_text_string(&inside));
        } else {
            unlink(kds_text_string(&inside));
        }
        kds_text_clear(&inside);
    }
    closedir(folder);
    rmdir(path);
}

int kds_test_folder_count(const char *path)
{
    DIR *folder = opendir(path);
    assert_non_null(folder);
    int n = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(folder);
    return n;
}

bool kds_test_aborts(void (*function)(void *argument), void *argument)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY);
        if (nowhere >= 0) {
            dup2(nowhere, STDERR_FILENO);
        }
        signal(SIGABRT, SIG_DFL); /* cmocka catches signals */
        function(argument);
        _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT;
}

void kds_test_expect_ok(kds_status status, const kds_error *err, const char *call, const char *file, int line)
{
    if (status != KDS_OK) {
        print_error("%s:%d: %s: %s: %s (hint: %s)\n", file, line, call, kds_status_name(status),
                    err != NULL ? err->message : "", err != NULL ? err->hint : "");
        _fail(file, line);
    }
}

void kds_test_expect_near(double a, double b, double tolerance, const char *what, const char *file, int line)
{
    if (!(fabs(a - b) <= tolerance)) {
        print_error("%s:%d: %s is %.17g, not %.17g (off by %.3g, allowed %.3g)\n", file, line, what, a, b, fabs(a - b),
                    tolerance);
        _fail(file, line);
    }
}
