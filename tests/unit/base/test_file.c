/*
 * Files: read what is there, write all or nothing, leave no temporary file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/text.h"

static char folder[KDS_TEST_PATH];
static char path[KDS_TEST_PATH + 64];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    kds_test_folder_make(folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kds_test_folder_remove(folder);
    return 0;
}

static kds_status write_string(const char *name, const char *string, kds_error *err)
{
    const void *pieces[1] = {string};
    const size_t sizes[1] = {strlen(string)};
    return kds_file_write_atomic(in_folder(name), pieces, sizes, 1, err);
}

static void expect_content(const char *name, const char *content, size_t size)
{
    kds_error err = KDS_ERROR_INIT;
    char *bytes = NULL;
    size_t n_bytes = 0;
    KDS_TEST_OK(kds_file_read(in_folder(name), &bytes, &n_bytes, &err), &err);
    assert_int_equal(n_bytes, size);
    assert_memory_equal(bytes, content, size);
    assert_int_equal(bytes[n_bytes], 0);
    kds_free(bytes);
}

static void written_is_read(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    const void *pieces[] = {"head\0", NULL, "tail"};
    const size_t sizes[] = {5, 0, 4};
    KDS_TEST_OK(kds_file_write_atomic(in_folder("a"), pieces, sizes, 3, &err), &err);
    expect_content("a", "head\0tail", 9);
    KDS_TEST_OK(write_string("a", "new", &err), &err);
    expect_content("a", "new", 3);
    KDS_TEST_OK(kds_file_write_atomic(in_folder("empty"), NULL, NULL, 0, &err), &err);
    expect_content("empty", "", 0);
    assert_int_equal(kds_test_folder_count(folder), 2);
}

static void large_file(void **state)
{
    (void)state;
    enum { SIZE = 3 * 65536 + 17 };
    kds_error err = KDS_ERROR_INIT;
    char *big = kds_alloc(SIZE, 1, &err);
    assert_non_null(big);
    for (int i = 0; i < SIZE; i++) {
        big[i] = (char)(i * 31);
    }
    const void *pieces[] = {big, big};
    const size_t sizes[] = {SIZE, 1};
    KDS_TEST_OK(kds_file_write_atomic(in_folder("big"), pieces, sizes, 2, &err), &err);
    char *bytes = NULL;
    size_t n_bytes = 0;
    KDS_TEST_OK(kds_file_read(in_folder("big"), &bytes, &n_bytes, &err), &err);
    assert_int_equal(n_bytes, SIZE + 1);
    assert_memory_equal(bytes, big, SIZE);
    kds_free(bytes);
    kds_free(big);
}

/* A pipe has no size: the reader has to grow. */
static void pipe_is_read(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    kds_error err = KDS_ERROR_INIT;
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        FILE *pipe_end = fopen(path, "wb");
        for (int i = 0; pipe_end != NULL && i < SIZE; i++) {
            fputc('a' + i % 26, pipe_end);
        }
        if (pipe_end != NULL) {
            fclose(pipe_end);
        }
        _exit(0);
    }
    char *bytes = NULL;
    size_t n_bytes = 0;
    KDS_TEST_OK(kds_file_read(path, &bytes, &n_bytes, &err), &err);
    assert_int_equal(n_bytes, SIZE);
    assert_int_equal(bytes[SIZE - 1], 'a' + (SIZE - 1) % 26);
    kds_free(bytes);
}

static void missing_file_is_told(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    char *bytes = (char *)1;
    size_t n_bytes = 1;
    assert_int_equal(kds_file_read(in_folder("no"), &bytes, &n_bytes, &err), KDS_IO);
    assert_null(bytes);
    assert_int_equal(n_bytes, 0);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, strerror(ENOENT)));
    kds_error_clear(&err);
    assert_int_equal(kds_file_read(folder, &bytes, &n_bytes, &err), KDS_IO);
    assert_non_null(strstr(err.message, strerror(EISDIR)));
}

static void failure_leaves_nothing(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    /* the target is a folder: everything works but the rename */
    assert_int_equal(mkdir(in_folder("target"), 0777), 0);
    assert_int_equal(write_string("target", "x", &err), KDS_IO);
    assert_int_equal(err.status, KDS_IO);
    assert_true(strlen(err.hint) > 0);
    assert_int_equal(kds_test_folder_count(folder), 1);
    /* the folder is not there */
    kds_error_clear(&err);
    assert_int_equal(write_string("nowhere/file", "x", &err), KDS_IO);
    assert_int_equal(kds_test_folder_count(folder), 1);
    /* a write fails in the middle: no file may be longer than 6 bytes */
    kds_error_clear(&err);
    KDS_TEST_OK(write_string("old", "old", &err), &err);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 6, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const void *pieces[] = {"good", "too much"};
    const size_t sizes[] = {4, 8};
    const kds_status status = kds_file_write_atomic(in_folder("old"), pieces, sizes, 2, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, KDS_IO);
    assert_non_null(strstr(err.message, strerror(EFBIG)));
    expect_content("old", "old", 3);
    assert_int_equal(kds_test_folder_count(folder), 2);
}

static void name_without_folder(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    char before[KDS_TEST_PATH];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    const void *pieces[] = {"x"};
    const size_t sizes[] = {1};
    const kds_status status = kds_file_write_atomic("here", pieces, sizes, 1, &err);
    assert_int_equal(chdir(before), 0);
    KDS_TEST_OK(status, &err);
    expect_content("here", "x", 1);
}

static void leftover_is_no_obstacle(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    char name[64];
    for (unsigned i = 0; i < 64; i++) { /* what a dead process with our number may have left */
        snprintf(name, sizeof name, "a.tmp.%ld.%u", (long)getpid(), i);
        const int fd = open(in_folder(name), O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    KDS_TEST_OK(write_string("a", "fresh", &err), &err);
    expect_content("a", "fresh", 5);
    assert_int_equal(kds_test_folder_count(folder), 65);
}

static void folders_are_made(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    KDS_TEST_OK(kds_folder_make(in_folder("x/y//z/"), &err), &err);
    struct stat about;
    assert_int_equal(stat(in_folder("x/y/z"), &about), 0);
    assert_true(S_ISDIR(about.st_mode));
    KDS_TEST_OK(kds_folder_make(in_folder("x/y/z"), &err), &err);
    KDS_TEST_OK(kds_folder_make("/", &err), &err);
    KDS_TEST_OK(kds_folder_make(".", &err), &err);
    KDS_TEST_OK(write_string("file", "x", &err), &err);
    assert_int_equal(kds_folder_make(in_folder("file"), &err), KDS_IO);
    assert_non_null(strstr(err.message, "not a folder"));
    kds_error_clear(&err);
    assert_int_equal(kds_folder_make(in_folder("file/below"), &err), KDS_IO);
    kds_error_clear(&err);
    assert_int_equal(kds_folder_make("", &err), KDS_IO);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(written_is_read),        IN_FOLDER(large_file),
        IN_FOLDER(pipe_is_read),           IN_FOLDER(missing_file_is_told),
        IN_FOLDER(failure_leaves_nothing), IN_FOLDER(name_without_folder),
        IN_FOLDER(folders_are_made),       IN_FOLDER(leftover_is_no_obstacle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
