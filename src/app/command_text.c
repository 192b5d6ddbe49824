/* The commands that only print: keys, expand, status; and how every command ends. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "setup.h"

int kds_end_with(const kds_log *log, kds_status status, const kds_error *err)
{
    if (status == KDS_STOPPED) { /* not an error: what was asked for */
        kds_log_note(log, "%s", err->message);
        kds_log_note(log, "%s", err->hint);
    } else if (status != KDS_OK) {
        kds_log_error(log, err);
    }
    return kds_status_exit_code(status);
}

int kds_command_keys(const kds_options *options, kds_log *log)
{
    kds_text text = {0};
    (void)log;
    if (options->markdown) {
        kds_grid_keys_to_markdown(&text);
    } else {
        kds_grid_keys_to_text(&text);
    }
    fputs(kds_text_string(&text), stdout);
    kds_text_clear(&text);
    return 0;
}

int kds_command_expand(const kds_options *options, kds_log *log)
{
    kds_error err = KDS_ERROR_INIT;
    kds_setup setup;
    kds_status status = kds_setup_new(options, NULL, log, &setup, &err);
    if (status == KDS_OK) {
        kds_text line = {0};
        for (int32_t i = 0; i < setup.plan->n_jobs; i++) {
            kds_trial_spec spec;
            kds_plan_spec(setup.plan, i, &spec);
            line.size = 0;
            kds_trial_spec_to_json(&spec, &line);
            puts(kds_text_string(&line));
        }
        kds_text_clear(&line);
        kds_setup_clear(&setup);
        if (fflush(stdout) != 0) {
            status = kds_error_set(&err, KDS_IO, NULL, "cannot write to standard output");
        }
    }
    return kds_end_with(log, status, &err);
}

/* Seconds of work left, by the mean time of finished trials of the same role. NaN when nothing is known. */
static double work_left(int32_t n, const uint8_t *role, const uint8_t *state, const double *wall)
{
    double sum[KDS_N_ROLES] = {0}, left = 0;
    int n_timed[KDS_N_ROLES] = {0}, n_missing[KDS_N_ROLES] = {0};
    for (int32_t i = 0; i < n; i++) {
        if (state[i] == KDS_TRIAL_MISSING) {
            n_missing[role[i]]++;
        } else if (isfinite(wall[i])) {
            sum[role[i]] += wall[i];
            n_timed[role[i]]++;
        }
    }
    for (int r = 0; r < KDS_N_ROLES; r++) {
        if (n_missing[r] > 0) {
            left += n_timed[r] > 0 ? n_missing[r] * sum[r] / n_timed[r] : NAN;
        }
    }
    return left;
}

int kds_command_status(const kds_options *options, kds_log *log)
{
    enum { LISTED = 20 };
    kds_status status;
    kds_error err = KDS_ERROR_INIT;
    kds_reader *reader = NULL;
    kds_reader_info info;
    uint64_t *id = NULL;
    uint8_t *role = NULL, *state = NULL;
    double *wall = NULL, *finished = NULL;
    static const char *const role_words[KDS_N_ROLES] = {"teachers", "students", "baselines"};
    KDS_TRY(kds_reader_open(options->file, &reader, &err));
    kds_reader_get_info(reader, &info);
    KDS_TRY(kds_reader_columns(reader, &id, &role, &state, &wall, &finished, &err));

    int n[KDS_N_ROLES][4] = {{0}}, all[4] = {0};
    double last = NAN;
    for (int32_t i = 0; i < info.n_trials; i++) {
        if (role[i] >= KDS_N_ROLES) {
            KDS_FAIL(&err, KDS_FORMAT, "restore it from a copy", "%s is damaged: row %d has no role", options->file,
                     (int)i);
        }
        if (state[i] > KDS_TRIAL_FAILED) { /* a damaged byte: the next start trains that row again */
            state[i] = KDS_TRIAL_MISSING;
        }
        n[role[i]][state[i]]++;
        all[state[i]]++;
        last = state[i] != KDS_TRIAL_MISSING && !(finished[i] <= last) ? finished[i] : last;
    }
    printf("%s: %s\n\n%-10s %9s %9s %9s %9s %9s\n", options->file, info.title, "", "done", "diverged", "failed",
           "missing", "all");
    static const int order[KDS_N_ROLES] = {KDS_ROLE_TEACHER, KDS_ROLE_BASELINE, KDS_ROLE_STUDENT};
    for (int k = 0; k < KDS_N_ROLES; k++) {
        const int *row = n[order[k]];
        printf("%-10s %9d %9d %9d %9d %9d\n", role_words[order[k]], row[1], row[2], row[3], row[0],
               row[0] + row[1] + row[2] + row[3]);
    }
    printf("%-10s %9d %9d %9d %9d %9d\n\n", "all", all[1], all[2], all[3], all[0], info.n_trials);

    char text[KDS_NUMBER_CHARS], work[KDS_WORK_CHARS];
    kds_work_path(options->file, work, sizeof work);
    bool running = kds_work_is_locked(work);
    double left = work_left(info.n_trials, role, state, wall);
    printf("%s\n", running      ? "a sweep is at work on it"
                   : all[0] > 0 ? "nobody is at work on it: run the same command to go on"
                                : "complete");
    if (isfinite(last)) {
        printf("last finished trial: %s ago\n", kds_seconds_to_text(fmax(0, kds_clock_utc() - last), text));
    }
    if (all[0] > 0 && isfinite(left)) {
        printf("work left: about %s of one core", kds_seconds_to_text(left, text));
        if (running && info.n_ranks > 0) {
            printf(", %s on %d ranks", kds_seconds_to_text(left / info.n_ranks, text), info.n_ranks);
        }
        putchar('\n');
    }
    int n_listed = 0;
    for (int32_t i = 0; i < info.n_trials && n_listed < LISTED; i++) {
        if (state[i] == KDS_TRIAL_FAILED || state[i] == KDS_TRIAL_DIVERGED) {
            char reason[KDS_REASON_CHARS], hex[KDS_ID_CHARS];
            KDS_TRY(kds_reader_reason(reader, i, reason, &err));
            printf("%strial %d (%s) %s: %s\n", n_listed++ == 0 ? "\n" : "", (int)i, kds_trial_id_to_text(id[i], hex),
                   state[i] == KDS_TRIAL_DIVERGED ? "diverged" : "failed", reason);
        }
    }
    if (all[KDS_TRIAL_FAILED] + all[KDS_TRIAL_DIVERGED] > n_listed) {
        printf("... and %d more\n", all[KDS_TRIAL_FAILED] + all[KDS_TRIAL_DIVERGED] - n_listed);
    }
out:
    kds_free(id);
    kds_free(role);
    kds_free(state);
    kds_free(wall);
    kds_free(finished);
    kds_reader_close(reader);
    return kds_end_with(log, status, &err);
}
