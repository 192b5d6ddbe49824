/*
 * The root's desk: what the root of any transport does with the scheduler. It obeys commands (its own jobs it takes into its
 * hand, the others' go to the transport), has skips recorded, results delivered and progress shown, and remembers the first
 * failure. It knows no messages: the loopback is a desk with one worker, the MPI root a desk with a mailbox.
 */
#ifndef KDSWEEP_DESK_H
#define KDSWEEP_DESK_H

#include "kdsweep/farm.h"

/* The jobs that a rank holds, in the order they came; the first is run next. */
typedef struct kds_hand {
    int32_t *jobs; /* [n_max] */
    int n;
    int n_max;
} kds_hand;

kds_status kds_hand_init(kds_hand *hand, int n_reserve, kds_error *err);
void kds_hand_clear(kds_hand *hand);
void kds_hand_put(kds_hand *hand, int32_t job);
int32_t kds_hand_take(kds_hand *hand); /* the first; asserts that there is one */

typedef struct kds_desk {
    const kds_farm_config *config;
    const kds_farm_callbacks *callbacks;
    kds_sched *sched;
    kds_hand hand;     /* jobs of worker 0 */
    bool is_running;   /* worker 0 is inside run */
    bool must_leave;   /* worker 0 was told to stop */
    bool has_left;     /* worker 0 has left */
    kds_status status; /* the first failure, with its record in err */
    kds_error *err;
    /* A command for another worker; RUN or STOP. NULL when there is only worker 0. */
    void (*send)(void *transport, const kds_command *command);
    void *transport;
    double started;          /* wall clock */
    double shown;            /* wall clock of the last progress */
    double sat_down;         /* wall clock of the last kds_desk_sit_down */
    double desk_seconds;     /* between sitting down and getting up */
    double callback_seconds; /* of these: in deliver, skip and progress, which is no coordination */
    double busy_seconds;     /* in run, without what the desk took inside of ticks */
} kds_desk;

/* Does not yet give a command. */
kds_status kds_desk_init(kds_desk *desk, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                         int n_workers, kds_error *err);
void kds_desk_clear(kds_desk *desk);

/* All work at the desk is done between these two, which measure it; kds_desk_work and _open do it for themselves. */
void kds_desk_sit_down(kds_desk *desk);
void kds_desk_get_up(kds_desk *desk);

/* Announce worker 0, give the first commands. */
void kds_desk_open(kds_desk *desk);

/* Obey all commands that there are. After each event. */
void kds_desk_obey(kds_desk *desk);

/* Signal, time limit, progress: from every tick and while waiting. */
void kds_desk_look_up(kds_desk *desk);

/* A worker ended a job: deliver its bytes, tell the scheduler, obey. */
void kds_desk_job_ended(kds_desk *desk, int worker, int32_t job, const kds_outcome *outcome);

/* The sweep cannot go on: keep the record if it is the first (`status` not KDS_OK; `why` may be NULL), and stop all. */
void kds_desk_fail(kds_desk *desk, kds_status status, const kds_error *why);

/* Worker 0: run the next job in hand, or hand back what it holds and leave. False when there was nothing to do. */
bool kds_desk_work(kds_desk *desk, kds_tick tick);

/* Show the last progress and fill what the desk knows of the report. */
void kds_desk_close(kds_desk *desk, kds_farm_report *report);

#endif
