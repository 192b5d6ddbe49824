#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kdsweep/clock.h"
#include "kdsweep/text.h"
#include "terminal.h"

static const double live_interval = 0.2, plain_interval = 30.0, plain_fraction = 0.1;

void kds_progress_init(kds_progress *progress, kds_progress_mode mode, kds_log_level level)
{
    if (level == KDS_LOG_QUIET && mode == KDS_PROGRESS_AUTO) {
        mode = KDS_PROGRESS_NONE;
    }
    int width = 80;
    bool on_terminal = kds_terminal_is_stderr(&width);
    if (mode == KDS_PROGRESS_AUTO) {
        mode = on_terminal ? KDS_PROGRESS_BAR : KDS_PROGRESS_PLAIN;
    }
    double now = kds_clock_wall();
    *progress = (kds_progress){
        .mode = mode, .start = now, .next = now + (mode == KDS_PROGRESS_BAR ? live_interval : plain_interval)};
    progress->width = width;
}

void kds_progress_line(const kds_sched_progress *now, char *line, size_t size)
{
    char eta[KDS_NUMBER_CHARS], done[KDS_NUMBER_CHARS], total[KDS_NUMBER_CHARS], left[KDS_NUMBER_CHARS];
    int n_left = now->n_waiting + now->n_running, n_failed = now->n_unusable + now->n_skipped;
    kds_text text = {0};
    /* The most wanted comes first: a narrow terminal cuts the rest. */
    if (n_left > 0 && !isnan(now->seconds_left)) {
        double seconds = fmax(1, now->seconds_left);
        if (seconds < 60) {
            snprintf(eta, sizeof eta, "%.0f s", seconds);
        } else {
            kds_seconds_to_text(seconds, eta);
        }
        kds_text_addf(&text, "%s to go: ", eta);
    }
    kds_text_addf(&text, "%s of %s done", kds_count_to_text(now->n_total - n_left - n_failed, done),
                  kds_count_to_text(now->n_total, total));
    if (n_failed > 0) {
        kds_text_addf(&text, ", %d failed", n_failed);
    }
    kds_text_addf(&text, ", %s left, %d/%d ranks busy", kds_count_to_text(n_left, left), now->n_busy, now->n_workers);
    snprintf(line, size, "%s", kds_text_string(&text));
    kds_text_clear(&text);
}

void kds_progress_hide(void *context)
{
    kds_progress *progress = context;
    if (progress->line_is_up) {
        fputs("\r\033[K", stderr);
        progress->line_is_up = false;
    }
}

double kds_progress_fraction(kds_progress *progress, const kds_sched_progress *now)
{
    if (now->n_waiting + now->n_running == 0 || now->cost_total <= 0) {
        return 1;
    }
    /* By cost, not by number: a teacher may take as long as fifty students. */
    const double most = 0.994; /* what "%.0f %%" does not round to 100 */
    double fraction = fmin((now->cost_done + now->cost_running) / now->cost_total, most);
    progress->fraction = fmax(progress->fraction, fraction);
    return progress->fraction;
}

void kds_progress_show(kds_progress *progress, const kds_sched_progress *now)
{
    if (progress->mode == KDS_PROGRESS_NONE) {
        return;
    }
    double time = kds_clock_wall(), elapsed = time - progress->start;
    double fraction = kds_progress_fraction(progress, now);
    bool over = now->n_waiting + now->n_running == 0;
    bool stepped = progress->mode == KDS_PROGRESS_PLAIN && fraction - progress->last_fraction >= plain_fraction &&
                   elapsed > 2;
    if (over || (time < progress->next && !stepped)) {
        return; /* when it is over the summary follows */
    }
    progress->next = time + (progress->mode == KDS_PROGRESS_BAR ? live_interval : plain_interval);
    progress->last_fraction = fraction;
    char line[192];
    kds_progress_line(now, line, sizeof line);
    if (progress->mode == KDS_PROGRESS_PLAIN) {
        fprintf(stderr, "kdsweep: %3.0f %%, %s\n", 100 * fraction, line);
        return;
    }
    enum { BAR = 16 };
    char bar[BAR + 1];
    int filled = (int)(fraction * BAR);
    for (int i = 0; i < BAR; i++) {
        bar[i] = i < filled ? '#' : '.';
    }
    bar[BAR] = '\0';
    int room = progress->width - BAR - 11;
    fprintf(stderr, "\r\033[K[%s] %3.0f %%, %.*s", bar, 100 * fraction, room > 0 ? room : 0, line);
    fflush(stderr);
    progress->line_is_up = true;
}
