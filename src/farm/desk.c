/*
 * The root's desk. Everything here runs on one thread and is entered from two places only: the root's main loop and the tick
 * of the job that the root runs meanwhile.
 */
#include "desk.h"

#include <string.h>

#include "kdsweep/arena.h"
#include "kdsweep/clock.h"

static const double progress_every = 0.1; /* seconds */

/* ---- the hand -------------------------------------------------------------------------------------------------------- */

kds_status kds_hand_init(kds_hand *hand, int n_reserve, kds_error *err)
{
    *hand = (kds_hand){.n_max = 1 + n_reserve};
    hand->jobs = kds_alloc((size_t)hand->n_max, sizeof *hand->jobs, err);
    return hand->jobs != NULL ? KDS_OK : KDS_MEMORY;
}

void kds_hand_clear(kds_hand *hand)
{
    kds_free(hand->jobs);
    *hand = (kds_hand){0};
}

void kds_hand_put(kds_hand *hand, int32_t job)
{
    KDS_ASSERT(hand->n < hand->n_max);
    hand->jobs[hand->n++] = job;
}

int32_t kds_hand_take(kds_hand *hand)
{
    KDS_ASSERT(hand->n > 0);
    const int32_t job = hand->jobs[0];
    hand->n--;
    memmove(hand->jobs, hand->jobs + 1, (size_t)hand->n * sizeof *hand->jobs);
    return job;
}

/* ---- the desk -------------------------------------------------------------------------------------------------------- */

kds_status kds_desk_init(kds_desk *desk, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                         int n_workers, kds_error *err)
{
    kds_status status = KDS_OK;
    *desk = (kds_desk){.config = config, .callbacks = callbacks, .err = err};
    KDS_TRY(kds_hand_init(&desk->hand, config->n_reserve, err));
    KDS_TRY(kds_sched_new(config->jobs, config->n_jobs, n_workers, config->n_reserve, &desk->sched, err));
    kds_sched_set_seconds_before(desk->sched, config->seconds_before);
out:
    if (status != KDS_OK) {
        kds_desk_clear(desk);
    }
    return status;
}

void kds_desk_clear(kds_desk *desk)
{
    kds_sched_free(desk->sched);
    kds_hand_clear(&desk->hand);
    desk->sched = NULL;
}

void kds_desk_sit_down(kds_desk *desk)
{
    desk->sat_down = kds_clock_wall();
    kds_sched_time_is(desk->sched, desk->sat_down);
}

void kds_desk_get_up(kds_desk *desk)
{
    desk->desk_seconds += kds_clock_wall() - desk->sat_down;
}

void kds_desk_open(kds_desk *desk)
{
    kds_desk_sit_down(desk);
    desk->started = desk->sat_down;
    desk->shown = desk->sat_down;
    kds_sched_worker_ready(desk->sched, 0);
    kds_desk_obey(desk);
    kds_desk_get_up(desk);
}

void kds_desk_fail(kds_desk *desk, kds_status status, const kds_error *why)
{
    if (desk->status == KDS_OK) {
        desk->status = status;
        if (why != NULL) {
            kds_error_set(desk->err, status, why->hint, "%s", why->message);
        }
    }
    kds_sched_stop(desk->sched);
}

static void skip(kds_desk *desk, int32_t job)
{
    if (desk->callbacks->skip != NULL) {
        kds_error why = KDS_ERROR_INIT;
        const double before = kds_clock_wall();
        const int32_t parent = desk->config->jobs[job].parent;
        const kds_status status = desk->callbacks->skip(desk->callbacks->context, job, parent, &why);
        desk->callback_seconds += kds_clock_wall() - before;
        if (status != KDS_OK) {
            kds_desk_fail(desk, status, &why);
        }
    }
}

void kds_desk_obey(kds_desk *desk)
{
    kds_command command;
    while (kds_sched_next(desk->sched, &command)) {
        if (command.kind == KDS_COMMAND_SKIP) {
            skip(desk, command.job);
        } else if (command.worker != 0) {
            desk->send(desk->transport, &command);
        } else if (command.kind == KDS_COMMAND_RUN) {
            kds_hand_put(&desk->hand, command.job);
        } else {
            desk->must_leave = true;
        }
    }
}

void kds_desk_look_up(kds_desk *desk)
{
    const kds_farm_callbacks *callbacks = desk->callbacks;
    if (callbacks->must_stop != NULL && callbacks->must_stop(callbacks->context)) {
        kds_sched_stop(desk->sched);
        kds_desk_obey(desk);
    }
    const double now = kds_clock_wall();
    if (callbacks->progress != NULL && now - desk->shown >= progress_every) {
        desk->shown = now;
        if (desk->is_running && callbacks->how_far != NULL) {
            kds_sched_job_is_at(desk->sched, 0, callbacks->how_far(callbacks->context));
        }
        callbacks->progress(callbacks->context, desk->sched);
        desk->callback_seconds += kds_clock_wall() - now;
        kds_desk_obey(desk); /* it may have stopped the sweep */
    }
}

void kds_desk_job_ended(kds_desk *desk, int worker, int32_t job, const kds_outcome *outcome)
{
    const kds_farm_callbacks *callbacks = desk->callbacks;
    kds_outcome_kind kind = outcome->kind;
    const bool is_result = kind == KDS_OUTCOME_DONE || kind == KDS_OUTCOME_UNUSABLE;
    if (is_result && outcome->n_bytes > 0 && callbacks->deliver != NULL) {
        kds_error why = KDS_ERROR_INIT;
        const double before = kds_clock_wall();
        const kds_status status = callbacks->deliver(callbacks->context, job, outcome->bytes, outcome->n_bytes, &why);
        desk->callback_seconds += kds_clock_wall() - before;
        if (status != KDS_OK) {
            kds_desk_fail(desk, status, &why);
            kind = KDS_OUTCOME_LOST;
        }
    }
    if (outcome->kind == KDS_OUTCOME_LOST && outcome->error != NULL && outcome->error->status != KDS_OK) {
        kds_desk_fail(desk, outcome->error->status, outcome->error);
    } else if (outcome->kind == KDS_OUTCOME_LOST) {
        kds_error why = KDS_ERROR_INIT;
        kds_error_set(&why, KDS_IO, NULL, "the result of job %d could not be kept", (int)job);
        kds_desk_fail(desk, KDS_IO, &why);
    }
    kds_sched_job_ended(desk->sched, worker, job, kind, outcome->seconds);
    kds_desk_obey(desk);
}

bool kds_desk_work(kds_desk *desk, kds_tick tick)
{
    if (desk->hand.n > 0) {
        const int32_t job = kds_hand_take(&desk->hand);
        kds_outcome outcome = {.kind = KDS_OUTCOME_INTERRUPTED};
        if (!desk->must_leave) {
            const double before = kds_clock_wall() - desk->desk_seconds;
            desk->is_running = true;
            desk->callbacks->run(desk->callbacks->context, job, tick, &outcome);
            desk->is_running = false;
            desk->busy_seconds += kds_clock_wall() - desk->desk_seconds - before;
            KDS_ASSERT(outcome.n_bytes <= desk->config->max_bytes);
        }
        kds_desk_sit_down(desk);
        kds_desk_job_ended(desk, 0, job, &outcome);
        kds_desk_get_up(desk);
        return true;
    }
    if (desk->must_leave && !desk->has_left) {
        desk->has_left = true;
        kds_sched_worker_left(desk->sched, 0);
        return true;
    }
    return false;
}

void kds_desk_close(kds_desk *desk, kds_farm_report *report)
{
    if (desk->callbacks->progress != NULL) {
        desk->callbacks->progress(desk->callbacks->context, desk->sched);
    }
    kds_sched_get_progress(desk->sched, &report->progress);
    report->stopped = report->progress.n_waiting > 0;
    report->wall_seconds = kds_clock_wall() - desk->started;
    report->busy_seconds = desk->busy_seconds;
    report->coordinator_seconds = desk->desk_seconds - desk->callback_seconds;
}
