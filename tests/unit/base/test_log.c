/*
 * Messages and clocks: who speaks, at which level, in which words.
 */
#include "kdsweep/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kds_test.h"
#include "kdsweep/clock.h"

static char said[8192];

/* Run `speak` with stderr in a temporary file and keep what it wrote in `said`. */
static void listen_to(void (*speak)(const kds_log *log), const kds_log *log)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    const int before = dup(STDERR_FILENO);
    assert_true(before >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    speak(log);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
}

static void speak_all(const kds_log *log)
{
    const kds_error err = {KDS_IO, "cannot open 'x'", "look for it"};
    const kds_error bare = {KDS_MEMORY, "", ""};
    kds_log_error(log, &err);
    kds_log_error(log, &bare);
    kds_log_warning(log, "w%d", 1);
    kds_log_note(log, "n%d", 2);
    kds_log_verbose(log, "v%d", 3);
}

#define ERRORS "kdsweep: error: cannot open 'x'\n  hint: look for it\nkdsweep: error: out of memory\n"

static void levels(void **state)
{
    (void)state;
    kds_log log = {.level = KDS_LOG_QUIET, .speaks = true};
    listen_to(speak_all, &log);
    assert_string_equal(said, ERRORS "kdsweep: warning: w1\n");
    log.level = KDS_LOG_NORMAL;
    listen_to(speak_all, &log);
    assert_string_equal(said, ERRORS "kdsweep: warning: w1\nkdsweep: n2\n");
    log.level = KDS_LOG_VERBOSE;
    listen_to(speak_all, &log);
    assert_string_equal(said, ERRORS "kdsweep: warning: w1\nkdsweep: n2\nkdsweep: v3\n");
}

static void silence(void **state)
{
    (void)state;
    const kds_log log = {.level = KDS_LOG_VERBOSE, .speaks = false};
    listen_to(speak_all, &log);
    assert_string_equal(said, "");
    listen_to(speak_all, NULL);
    assert_string_equal(said, "");
}

static void count_call(void *context)
{
    ++*(int *)context;
}

static void colour_and_progress_line(void **state)
{
    (void)state;
    int n_calls = 0;
    const kds_log log = {
        .level = KDS_LOG_NORMAL, .speaks = true, .colour = true, .before = count_call, .context = &n_calls};
    listen_to(speak_all, &log);
    assert_non_null(strstr(said, "kdsweep: \033[1;31merror\033[0m: cannot open 'x'\n"));
    assert_non_null(strstr(said, "kdsweep: \033[1;33mwarning\033[0m: w1\n"));
    assert_non_null(strstr(said, "kdsweep: n2\n"));
    assert_int_equal(n_calls, 4);
}

static void clocks_run(void **state)
{
    (void)state;
    const double wall = kds_clock_wall();
    const double cpu = kds_clock_cpu();
    volatile double sum = 0.0;
    while (kds_clock_cpu() < cpu + 0.01) {
        sum = sum + 1.0;
    }
    assert_true(kds_clock_wall() >= wall + 0.009);
    assert_true(kds_clock_utc() > 1.6e9);
    /* asleep: the wall clock goes on, the processor clock does not */
    const double wall_asleep = kds_clock_wall();
    const double cpu_asleep = kds_clock_cpu();
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 100000000};
    nanosleep(&pause, NULL);
    assert_true(kds_clock_wall() - wall_asleep >= 0.09);
    assert_true(kds_clock_cpu() - cpu_asleep < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(silence),
        cmocka_unit_test(colour_and_progress_line),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
