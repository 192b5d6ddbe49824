/* How far the sweep is: one live line on a terminal, a plain line now and then elsewhere. Rank 0 only. */
#ifndef KDSWEEP_PROGRESS_H
#define KDSWEEP_PROGRESS_H

#include "kdsweep/farm.h"
#include "kdsweep/log.h"
#include "options.h"

typedef struct kds_progress {
    kds_progress_mode mode; /* AUTO has been resolved */
    double start, next;     /* monotonic seconds: when the sweep began, when to write again */
    double last_fraction;
    bool line_is_up; /* the live line is on the screen */
    int width;
} kds_progress;

void kds_progress_init(kds_progress *progress, kds_progress_mode mode, kds_log_level level);

/* Show, if it is time to. */
void kds_progress_show(kds_progress *progress, const kds_sched_progress *now);

/* Take the live line away, so that something else can be written. A kds_log.before; context: the kds_progress. */
void kds_progress_hide(void *progress);

/* The line itself, for tests: "12 min to go: 120 of 354 done, 2 failed, 232 left, 64/64 ranks busy". */
void kds_progress_line(const kds_sched_progress *now, double elapsed, char *line, size_t size);

#endif
