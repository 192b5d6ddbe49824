/* How far the sweep is: one live line on a terminal, a plain line now and then elsewhere. Rank 0 only. */
#ifndef KDSWEEP_PROGRESS_H
#define KDSWEEP_PROGRESS_H

#include "kdsweep/farm.h"
#include "kdsweep/log.h"
#include "options.h"

typedef struct kds_progress {
    kds_progress_mode mode; /* AUTO has been resolved */
    double start, next;     /* monotonic seconds: when the sweep began, when to write again */
    /* the largest so far: that of the running jobs is an estimate, but what was shown is not taken back */
    double fraction;
    double last_fraction; /* in the last line */
    bool line_is_up;      /* the live line is on the screen */
    int width;
} kds_progress;

void kds_progress_init(kds_progress *progress, kds_progress_mode mode, kds_log_level level);

/* The fraction to show, 0 .. 1, which never falls; 1 when all is over, and only then does it read as 100 %. */
double kds_progress_fraction(kds_progress *progress, const kds_sched_progress *now);

/* Show, if it is time to. */
void kds_progress_show(kds_progress *progress, const kds_sched_progress *now);

/* Take the live line away, so that something else can be written. A kds_log.before; context: the kds_progress. */
void kds_progress_hide(void *progress);

/* The line itself, for tests: "12 min 5 s to go: 120 of 354 done, 2 failed, 232 left, 64/64 ranks busy". */
void kds_progress_line(const kds_sched_progress *now, char *line, size_t size);

#endif
