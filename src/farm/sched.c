/*
 * The coordinator: who runs what, and when. Events in, commands out; no clock, no messages, no threads.
 *
 *   jobs        parents (some job waits for them), leaves (the rest)
 *   queues      of jobs, the most urgent first: one of the parents, one for the leaves of each group
 *   groups      the open leaves by parent; group 0 holds the leaves without a parent
 *   open        heap of the groups that have a ready leaf, by their longest one
 *   idle        stack of the workers that hold nothing
 *   wanting     ring of the workers that have room for a reserve
 *
 * Every job is in exactly one place: in its queue (ready, or blocked in a group that is not released), in a worker's hand, or
 * nowhere (ended). So it cannot be given twice, and a job that comes back simply returns to its queue.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kdsweep/arena.h"
#include "kdsweep/farm.h"

/* A list schedule ends at most one longest job after the even split of the work. As long as the longest ready job is below
 * 1/PASS_OVER of an even share of what is left, it may be passed over for a shorter one (whose labels the worker holds). */
enum { PASS_OVER = 4 };

/* A job may lie in reserve when the ready work lasts this many times longer than needed (see may_reserve): costs may be wrong by
 * this factor. */
enum { RESERVE_MARGIN = 2 };

/* Workers with room for a reserve that are looked at after an event. Two, so that the ring empties faster than it fills. */
enum { OFFERS_PER_EVENT = 2 };

/* A running job that nobody tells anything about is taken to be this far at most, however long it has been running. */
static const double longest_share = 0.95;

/* So long a running job must be watched before its speed counts, in seconds: the first steps say little. */
static const double shortest_watch = 1.0;

typedef enum job_place {
    BEFORE,  /* needed no run */
    BLOCKED, /* in the queue of a group whose parent has not ended */
    READY,   /* in its queue, may be given */
    HELD,    /* in a worker's hand, running or in reserve */
    DONE,
    UNUSABLE,
    SKIPPED,
} job_place;

/* order[first .. first + n - 1], the most urgent first. What is taken leaves room in front for what comes back. */
typedef struct queue {
    int32_t first;
    int32_t n;
} queue;

/* What a worker has told of the job that it runs. */
typedef struct watch {
    bool is_told;
    double first, last; /* how far the job was, 0 .. 1 */
    double first_at;    /* when */
    double last_at;     /* when it had just become `last`: between its steps it stands still */
} watch;

/* The open leaves of one parent. */
typedef struct group {
    queue jobs;
    double longest;    /* urgency of the first job; while it is not released: the largest cost */
    double sum;        /* cost of all jobs at the start */
    int32_t n_holders; /* workers that hold the parent's artifacts */
    int32_t place;     /* index in `open`, -1: not there */
    int32_t next_skip; /* list of groups whose jobs are to be skipped, -1 at its end */
    bool is_released;  /* the parent has ended well, or there is none */
} group;

typedef struct worker {
    double held_cost;
    double began; /* when it began its first job, were it all done in one go */
    watch watch;  /* of its first job */
    int32_t n_held;
    int32_t group; /* whose parent's artifacts it holds, -1 none */
    bool is_ready;
    bool has_left;
    bool is_wanting; /* is in the ring */
} worker;

struct kds_sched {
    kds_arena arena;
    int32_t n_jobs;
    int32_t n_groups;
    int n_workers;
    int n_hand; /* 1 + n_reserve */

    /* per job */
    double *cost;
    double *urgency;   /* cost, and for a parent what waits behind it */
    int32_t *parent;   /* -1 none */
    int32_t *group_of; /* the group of its children, -1: no open child */
    int32_t *order;    /* [open jobs] the queues */
    uint8_t *place;    /* job_place */

    group *groups;
    int32_t *open; /* heap of groups */
    int32_t n_open;
    queue parents;
    int32_t first_skip;

    worker *workers;
    int32_t *held; /* [n_workers][n_hand], in the order given */
    int *idle;
    int n_idle;
    int *wanting; /* ring */
    int wanting_first;
    int n_wanting;
    int n_offers; /* looks at the ring that are left */
    int next_stop;
    int n_left;
    int n_busy;
    bool is_stopped;

    int32_t n_unended; /* jobs that still have to end or to be skipped */
    int32_t n_before, n_done, n_unusable, n_skipped;
    double cost_total, cost_done;
    double cost_unstarted;     /* blocked and ready */
    double cost_ready_parents; /* in the queue of parents */
    double cost_ready_leaves;  /* in the released groups */
    double measured_seconds, measured_cost;
    const float *seconds_before; /* borrowed; NULL: nothing */
    double now;
};

/* ---- queues of jobs -------------------------------------------------------------------------------------------------- */

/* Ties go to the smaller number, so that equal jobs run in the order of the rows and every run is the same. */
static bool precedes(double urgency_a, int32_t a, double urgency_b, int32_t b)
{
    return urgency_a != urgency_b ? urgency_a > urgency_b : a < b;
}

static int32_t first_of(const kds_sched *sched, const queue *jobs)
{
    KDS_ASSERT(jobs->n > 0);
    return sched->order[jobs->first];
}

static int32_t pop_job(const kds_sched *sched, queue *jobs)
{
    const int32_t job = first_of(sched, jobs);
    jobs->first++;
    jobs->n--;
    return job;
}

/* A job comes back. It was the first when it was taken, so only others that came back meanwhile can be before it: the search
 * for its place is short. */
static void push_job(kds_sched *sched, queue *jobs, int32_t job)
{
    const double *urgency = sched->urgency;
    int32_t at = --jobs->first;
    const int32_t end = jobs->first + ++jobs->n;
    while (at + 1 < end && !precedes(urgency[job], job, urgency[sched->order[at + 1]], sched->order[at + 1])) {
        sched->order[at] = sched->order[at + 1];
        at++;
    }
    sched->order[at] = job;
}

/* ---- the heap of groups ---------------------------------------------------------------------------------------------- */

/* Among groups with equally long jobs the one with fewer holders: workers spread, and each loads fewer teachers' labels. */
static bool group_precedes(const kds_sched *sched, int32_t i_a, int32_t i_b)
{
    const group *a = &sched->groups[i_a];
    const group *b = &sched->groups[i_b];
    return a->longest != b->longest       ? a->longest > b->longest
           : a->n_holders != b->n_holders ? a->n_holders < b->n_holders
                                          : i_a < i_b;
}

static void put_group(kds_sched *sched, int32_t at, int32_t i_group)
{
    sched->open[at] = i_group;
    sched->groups[i_group].place = at;
}

static void sift_group(kds_sched *sched, int32_t at, int32_t i_group)
{
    while (at > 0 && group_precedes(sched, i_group, sched->open[(at - 1) / 2])) {
        put_group(sched, at, sched->open[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (int64_t child = 2 * (int64_t)at + 1; child < sched->n_open; child = 2 * (int64_t)at + 1) {
        if (child + 1 < sched->n_open && group_precedes(sched, sched->open[child + 1], sched->open[child])) {
            child++;
        }
        if (!group_precedes(sched, sched->open[child], i_group)) {
            break;
        }
        put_group(sched, at, sched->open[child]);
        at = (int32_t)child;
    }
    put_group(sched, at, i_group);
}

/* Bring the heap in order after a group's jobs, holders or release changed. */
static void update_group(kds_sched *sched, int32_t i_group)
{
    group *self = &sched->groups[i_group];
    const bool belongs = self->is_released && self->jobs.n > 0;
    if (belongs) {
        self->longest = sched->urgency[first_of(sched, &self->jobs)];
    }
    if (belongs && self->place < 0) {
        sift_group(sched, sched->n_open++, i_group);
    } else if (belongs) {
        sift_group(sched, self->place, i_group);
    } else if (self->place >= 0) {
        const int32_t hole = self->place;
        const int32_t last = sched->open[--sched->n_open];
        self->place = -1;
        if (last != i_group) {
            sift_group(sched, hole, last);
        }
    }
}

/* ---- jobs ------------------------------------------------------------------------------------------------------------ */

static bool is_parent(const kds_sched *sched, int32_t job)
{
    return sched->group_of[job] >= 0;
}

/* The group that a leaf belongs to. */
static int32_t group_of_leaf(const kds_sched *sched, int32_t job)
{
    const int32_t parent = sched->parent[job];
    return parent < 0 ? 0 : sched->group_of[parent];
}

/* Back into its queue, as a job that may be given. */
static void make_ready(kds_sched *sched, int32_t job)
{
    sched->place[job] = READY;
    sched->cost_unstarted += sched->cost[job];
    if (is_parent(sched, job)) {
        push_job(sched, &sched->parents, job);
        sched->cost_ready_parents += sched->cost[job];
    } else {
        const int32_t i_group = group_of_leaf(sched, job);
        push_job(sched, &sched->groups[i_group].jobs, job);
        sched->cost_ready_leaves += sched->cost[job];
        update_group(sched, i_group);
    }
}

/* Where a job comes from: the queue of parents, else a group. */
enum { NOWHERE = -2, FROM_PARENTS = -1 };

/* The most urgent job of a queue leaves it. */
static int32_t take_job(kds_sched *sched, int32_t from)
{
    int32_t job;
    if (from == FROM_PARENTS) {
        job = pop_job(sched, &sched->parents);
        sched->cost_ready_parents -= sched->cost[job];
    } else {
        job = pop_job(sched, &sched->groups[from].jobs);
        sched->cost_ready_leaves -= sched->cost[job];
        update_group(sched, from);
    }
    sched->cost_unstarted -= sched->cost[job];
    return job;
}

/* Look at up to `n` more workers of the ring. A full round is always enough. */
static void add_offers(kds_sched *sched, int32_t n)
{
    const int32_t room = sched->n_workers - sched->n_offers;
    sched->n_offers += n < room ? n : room;
}

/* The children of a parent that has ended well may be given. */
static void release_children(kds_sched *sched, int32_t i_group)
{
    group *self = &sched->groups[i_group];
    const int32_t *jobs = sched->order + self->jobs.first;
    for (int32_t i = 0; i < self->jobs.n; i++) {
        sched->place[jobs[i]] = READY;
        sched->cost_ready_leaves += sched->cost[jobs[i]];
    }
    self->is_released = true;
    update_group(sched, i_group);
    /* Much work became ready at once: workers that were refused a reserve deserve another look. */
    add_offers(sched, self->jobs.n);
}

static void skip_children(kds_sched *sched, int32_t i_group)
{
    sched->groups[i_group].next_skip = sched->first_skip;
    sched->first_skip = i_group;
}

/* The next child of an unusable parent, -1 when there is none. */
static int32_t next_skipped(kds_sched *sched)
{
    while (sched->first_skip >= 0) {
        group *self = &sched->groups[sched->first_skip];
        if (self->jobs.n > 0) {
            const int32_t job = pop_job(sched, &self->jobs);
            sched->place[job] = SKIPPED;
            sched->cost_unstarted -= sched->cost[job];
            sched->cost_total -= sched->cost[job];
            sched->n_skipped++;
            sched->n_unended--;
            return job;
        }
        sched->first_skip = self->next_skip;
    }
    return -1;
}

/* ---- choosing -------------------------------------------------------------------------------------------------------- */

/* Where this worker's next job comes from. */
static int32_t choose(const kds_sched *sched, const worker *self)
{
    if (sched->n_open == 0) {
        return sched->parents.n > 0 ? FROM_PARENTS : NOWHERE;
    }
    const int32_t best = sched->open[0];
    const double longest = sched->groups[best].longest;
    if (sched->parents.n > 0 && sched->urgency[first_of(sched, &sched->parents)] >= longest) {
        return FROM_PARENTS;
    }
    const int32_t own = self->group;
    if (own >= 0 && sched->groups[own].place >= 0) {
        const bool is_longest_too = sched->groups[own].longest >= longest;
        const double share = sched->cost_unstarted / sched->n_workers;
        if (is_longest_too || PASS_OVER * longest <= share) {
            return own;
        }
    }
    return best;
}

/*
 * May the first job of this queue lie in this worker's reserve? Only if no worker can come to idle before this one has come to it.
 * Ready jobs that take `pool` in all and at most `longest` each keep all workers busy for pool / n_workers - longest at least.
 * So this is refused near the end, behind a long job, before a long job, and to a parent unless there are parents in plenty.
 * Behind a parent no leaf is put: when that parent ends, its own children are ready and its labels are there.
 */
static bool may_reserve(const kds_sched *sched, int i_worker, int32_t from)
{
    const worker *self = &sched->workers[i_worker];
    const int32_t last_held = sched->held[(size_t)i_worker * (size_t)sched->n_hand + (size_t)self->n_held - 1];
    if (from == FROM_PARENTS) {
        const double longest = sched->urgency[first_of(sched, &sched->parents)]; /* at least the cost of each */
        return sched->cost_ready_parents >= RESERVE_MARGIN * sched->n_workers * (self->held_cost + longest);
    }
    const double longest = sched->groups[sched->open[0]].longest;
    return !is_parent(sched, last_held) &&
           sched->cost_ready_leaves >= RESERVE_MARGIN * sched->n_workers * (self->held_cost + longest);
}

/* The worker now holds the artifacts of the parent of this group. */
static void hold_artifacts(kds_sched *sched, worker *self, int32_t i_group)
{
    if (self->group != i_group) {
        const int32_t before = self->group;
        self->group = i_group;
        sched->groups[i_group].n_holders++;
        update_group(sched, i_group);
        if (before >= 0) {
            sched->groups[before].n_holders--;
            update_group(sched, before);
        }
    }
}

static void want_reserve(kds_sched *sched, int i_worker, bool is_first)
{
    worker *self = &sched->workers[i_worker];
    if (!self->is_wanting && self->n_held > 0 && self->n_held < sched->n_hand) {
        const int n = sched->n_workers;
        if (is_first) {
            sched->wanting_first = (sched->wanting_first + n - 1) % n;
            sched->wanting[sched->wanting_first] = i_worker;
        } else {
            sched->wanting[(sched->wanting_first + sched->n_wanting) % n] = i_worker;
        }
        sched->n_wanting++;
        self->is_wanting = true;
    }
}

static int pop_wanting(kds_sched *sched)
{
    const int i_worker = sched->wanting[sched->wanting_first];
    sched->wanting_first = (sched->wanting_first + 1) % sched->n_workers;
    sched->n_wanting--;
    sched->workers[i_worker].is_wanting = false;
    return i_worker;
}

static double seconds_before(const kds_sched *sched, int32_t job)
{
    return sched->seconds_before != NULL ? (double)sched->seconds_before[job] : 0.0;
}

static int32_t first_held(const kds_sched *sched, int i_worker)
{
    KDS_ASSERT(sched->workers[i_worker].n_held > 0);
    return sched->held[(size_t)i_worker * (size_t)sched->n_hand];
}

/* Another job is now the worker's first: it begins to run. */
static void begin_first(kds_sched *sched, int i_worker)
{
    worker *self = &sched->workers[i_worker];
    self->began = sched->now - seconds_before(sched, first_held(sched, i_worker));
    self->watch.is_told = false;
}

static kds_command give(kds_sched *sched, int i_worker, int32_t from)
{
    worker *self = &sched->workers[i_worker];
    const int32_t job = take_job(sched, from);
    KDS_ASSERT(sched->place[job] == READY && self->n_held < sched->n_hand);
    sched->place[job] = HELD;
    sched->held[(size_t)i_worker * (size_t)sched->n_hand + (size_t)self->n_held] = job;
    self->n_held++;
    self->held_cost += sched->cost[job];
    if (self->n_held == 1) {
        sched->n_busy++;
        begin_first(sched, i_worker);
    }
    /* A leaf without a parent needs no artifacts and leaves those of the worker where they are. */
    const int32_t i_group = is_parent(sched, job) ? sched->group_of[job] : group_of_leaf(sched, job);
    if (i_group > 0) {
        hold_artifacts(sched, self, i_group);
    }
    want_reserve(sched, i_worker, true);
    return (kds_command){.kind = KDS_COMMAND_RUN, .worker = i_worker, .job = job};
}

static bool give_to_idle(kds_sched *sched, kds_command *out)
{
    while (sched->n_idle > 0) {
        const int i_worker = sched->idle[sched->n_idle - 1];
        const worker *self = &sched->workers[i_worker];
        if (self->has_left) {
            sched->n_idle--;
            continue;
        }
        const int32_t from = choose(sched, self);
        if (from == NOWHERE) {
            return false;
        }
        sched->n_idle--;
        *out = give(sched, i_worker, from);
        return true;
    }
    return false;
}

static bool give_reserve(kds_sched *sched, kds_command *out)
{
    for (; sched->n_offers > 0 && sched->n_wanting > 0; sched->n_offers--) {
        const int32_t i_worker = pop_wanting(sched);
        const worker *self = &sched->workers[i_worker];
        if (self->has_left || self->n_held == 0) {
            continue; /* it became idle, or left, while it was in the ring */
        }
        const int32_t from = choose(sched, self);
        if (from != NOWHERE && may_reserve(sched, i_worker, from)) {
            *out = give(sched, i_worker, from);
            return true;
        }
        want_reserve(sched, i_worker, false);
    }
    sched->n_offers = 0;
    return false;
}

static bool tell_to_stop(kds_sched *sched, kds_command *out)
{
    while (sched->next_stop < sched->n_workers) {
        const int i_worker = sched->next_stop++;
        if (!sched->workers[i_worker].has_left) {
            *out = (kds_command){.kind = KDS_COMMAND_STOP, .worker = i_worker, .job = -1};
            return true;
        }
    }
    return false;
}

bool kds_sched_next(kds_sched *sched, kds_command *out)
{
    if (!sched->is_stopped) {
        const int32_t skipped = next_skipped(sched);
        if (skipped >= 0) {
            *out = (kds_command){.kind = KDS_COMMAND_SKIP, .worker = -1, .job = skipped};
            return true;
        }
        if (give_to_idle(sched, out) || give_reserve(sched, out)) {
            return true;
        }
    }
    return (sched->is_stopped || sched->n_unended == 0) && tell_to_stop(sched, out);
}

/* ---- events ---------------------------------------------------------------------------------------------------------- */

static worker *worker_of(kds_sched *sched, int i_worker)
{
    KDS_ASSERT(i_worker >= 0 && i_worker < sched->n_workers);
    return &sched->workers[i_worker];
}

void kds_sched_worker_ready(kds_sched *sched, int i_worker)
{
    worker *self = worker_of(sched, i_worker);
    KDS_ASSERT(!self->is_ready && !self->has_left);
    self->is_ready = true;
    sched->idle[sched->n_idle++] = i_worker;
    add_offers(sched, OFFERS_PER_EVENT);
}

/* Take a job out of the worker's hand. The rest keeps its order. */
static void let_go(kds_sched *sched, int i_worker, int32_t job)
{
    worker *self = worker_of(sched, i_worker);
    int32_t *hand = sched->held + (size_t)i_worker * (size_t)sched->n_hand;
    int32_t at = 0;
    while (at < self->n_held && hand[at] != job) {
        at++;
    }
    KDS_ASSERT(at < self->n_held && sched->place[job] == HELD);
    self->n_held--;
    memmove(hand + at, hand + at + 1, (size_t)(self->n_held - at) * sizeof *hand);
    self->held_cost = self->n_held > 0 ? self->held_cost - sched->cost[job] : 0.0;
    sched->n_busy -= self->n_held == 0 ? 1 : 0;
    if (at == 0 && self->n_held > 0) {
        begin_first(sched, i_worker);
    }
}

void kds_sched_set_seconds_before(kds_sched *sched, const float *seconds)
{
    sched->seconds_before = seconds;
}

void kds_sched_time_is(kds_sched *sched, double now)
{
    sched->now = now;
}

void kds_sched_job_is_at(kds_sched *sched, int i_worker, double fraction)
{
    worker *self = worker_of(sched, i_worker);
    watch *it = &self->watch;
    KDS_ASSERT(self->n_held > 0);
    if (isnan(fraction)) {
        return;
    }
    KDS_ASSERT(fraction >= 0.0 && fraction <= 1.0);
    if (!it->is_told) {
        *it = (watch){true, fraction, fraction, sched->now, sched->now};
    } else if (fraction > it->last) {
        it->last = fraction;
        it->last_at = sched->now;
    }
}

void kds_sched_job_ended(kds_sched *sched, int i_worker, int32_t job, kds_outcome_kind kind, double seconds)
{
    KDS_ASSERT(job >= 0 && job < sched->n_jobs);
    let_go(sched, i_worker, job);
    switch (kind) {
    case KDS_OUTCOME_DONE:
        sched->place[job] = DONE;
        sched->n_done++;
        /* Only jobs that ran to their end measure the speed: a diverged one stops early. */
        if (isfinite(seconds) && seconds >= 0.0) {
            sched->measured_seconds += seconds + seconds_before(sched, job);
            sched->measured_cost += sched->cost[job];
        }
        break;
    case KDS_OUTCOME_UNUSABLE:
        sched->place[job] = UNUSABLE;
        sched->n_unusable++;
        break;
    case KDS_OUTCOME_LOST:
        kds_sched_stop(sched);
        make_ready(sched, job);
        break;
    case KDS_OUTCOME_INTERRUPTED:
        make_ready(sched, job);
        break;
    }
    if (kind == KDS_OUTCOME_DONE || kind == KDS_OUTCOME_UNUSABLE) {
        sched->n_unended--;
        sched->cost_done += sched->cost[job];
        if (is_parent(sched, job) && kind == KDS_OUTCOME_DONE) {
            release_children(sched, sched->group_of[job]);
        } else if (is_parent(sched, job)) {
            skip_children(sched, sched->group_of[job]);
        }
    }
    if (sched->workers[i_worker].n_held == 0) {
        sched->idle[sched->n_idle++] = i_worker;
    } else {
        want_reserve(sched, i_worker, true);
    }
    add_offers(sched, OFFERS_PER_EVENT);
}

void kds_sched_stop(kds_sched *sched)
{
    sched->is_stopped = true;
}

void kds_sched_worker_left(kds_sched *sched, int i_worker)
{
    worker *self = worker_of(sched, i_worker);
    KDS_ASSERT(!self->has_left);
    while (self->n_held > 0) {
        const int32_t job = sched->held[(size_t)i_worker * (size_t)sched->n_hand + (size_t)self->n_held - 1];
        let_go(sched, i_worker, job);
        make_ready(sched, job);
    }
    self->has_left = true;
    sched->n_left++;
    if (self->group >= 0) {
        sched->groups[self->group].n_holders--;
        update_group(sched, self->group);
    }
}

bool kds_sched_is_over(const kds_sched *sched)
{
    return sched->n_left == sched->n_workers;
}

/* ---- how far it is --------------------------------------------------------------------------------------------------- */

/* Seconds per cost of the job that this worker runs, NaN when it has not told enough. */
static double watched_speed(const kds_sched *sched, int i_worker)
{
    const watch *it = &sched->workers[i_worker].watch;
    if (sched->workers[i_worker].n_held == 0 || !it->is_told || it->last_at - it->first_at < shortest_watch) {
        return NAN;
    }
    return (it->last_at - it->first_at) / ((it->last - it->first) * sched->cost[first_held(sched, i_worker)]);
}

/* The same of all that is known: the jobs done and what has been watched of the running ones. */
static double known_speed(const kds_sched *sched)
{
    double seconds = sched->measured_seconds;
    double cost = sched->measured_cost;
    for (int i = 0; i < sched->n_workers; i++) {
        if (!isnan(watched_speed(sched, i))) {
            const watch *it = &sched->workers[i].watch;
            seconds += it->last_at - it->first_at;
            cost += (it->last - it->first) * sched->cost[first_held(sched, i)];
        }
    }
    return cost > 0.0 ? seconds / cost : NAN;
}

/* How much of the worker's first job is done, 0 .. 1. */
static double share_of_first(const kds_sched *sched, int i_worker, double seconds_per_cost)
{
    const worker *self = &sched->workers[i_worker];
    if (self->watch.is_told) {
        return self->watch.last;
    }
    const double seconds = seconds_per_cost * sched->cost[first_held(sched, i_worker)];
    const double passed = sched->now - self->began;
    return !(seconds > 0.0) || passed <= 0.0 ? 0.0 : fmin(passed / seconds, longest_share);
}

/* Cost of what can only follow this job, at best. */
static double cost_behind(const kds_sched *sched, int32_t job)
{
    if (!is_parent(sched, job)) {
        return 0.0;
    }
    const group *children = &sched->groups[sched->group_of[job]];
    return fmax(children->longest, children->sum / sched->n_workers);
}

/*
 * The running jobs, and when all will be done: not before the work that is left, evenly spread, nor before any worker is through with
 * what it holds and with what waits for that, nor before the longest of the ready jobs, once somebody is free to begin it. So a few
 * long jobs at the end are not taken for work that all share.
 */
static void estimate(const kds_sched *sched, kds_sched_progress *out)
{
    const double speed = known_speed(sched);
    double held_seconds = 0.0; /* of what the workers hold */
    double latest = 0.0;
    double first_free = INFINITY;
    for (int i = 0; i < sched->n_workers; i++) {
        const worker *self = &sched->workers[i];
        double seconds = 0.0;
        double behind = 0.0;
        if (self->n_held > 0) {
            const int32_t job = first_held(sched, i);
            const double share = share_of_first(sched, i, speed);
            const double own_speed = watched_speed(sched, i);
            out->cost_running += share * sched->cost[job];
            seconds = (1.0 - share) * sched->cost[job] * (isnan(own_speed) ? speed : own_speed) +
                      (self->held_cost - sched->cost[job]) * speed;
            behind = cost_behind(sched, job) * speed;
        }
        if (!self->has_left) {
            held_seconds += seconds;
            latest = fmax(latest, seconds + behind);
            first_free = fmin(first_free, seconds);
        }
    }
    double longest = 0.0; /* of what is ready */
    if (sched->parents.n > 0) {
        const int32_t job = first_of(sched, &sched->parents);
        longest = sched->cost[job] + cost_behind(sched, job);
    }
    if (sched->n_open > 0) {
        longest = fmax(longest, sched->cost[first_of(sched, &sched->groups[sched->open[0]].jobs)]);
    }
    out->seconds_left = NAN;
    if (!isnan(speed) && sched->n_left < sched->n_workers) {
        const double all = held_seconds + fmax(sched->cost_unstarted, 0.0) * speed;
        const double last = longest > 0.0 ? first_free + longest * speed : 0.0;
        out->seconds_left = fmax(all / (sched->n_workers - sched->n_left), fmax(latest, last));
    }
}

void kds_sched_get_progress(const kds_sched *sched, kds_sched_progress *out)
{
    *out = (kds_sched_progress){
        .n_total = sched->n_jobs,
        .n_finished_before = sched->n_before,
        .n_done = sched->n_done,
        .n_unusable = sched->n_unusable,
        .n_skipped = sched->n_skipped,
        .n_running = sched->n_busy,
        .n_waiting = sched->n_unended - sched->n_busy,
        .n_workers = sched->n_workers,
        .n_busy = sched->n_busy,
        .cost_total = sched->cost_total,
        .cost_done = sched->cost_done,
        .seconds_per_cost = sched->measured_cost > 0.0 ? sched->measured_seconds / sched->measured_cost : NAN,
    };
    estimate(sched, out);
}

/* ---- construction ---------------------------------------------------------------------------------------------------- */

static kds_status check_jobs(const kds_farm_job *jobs, int32_t n_jobs, kds_error *err)
{
    for (int32_t i = 0; i < n_jobs; i++) {
        const int32_t parent = jobs[i].parent;
        if (parent < -1 || parent >= n_jobs || (parent >= 0 && jobs[parent].parent != -1)) {
            return kds_error_set(err, KDS_INTERNAL, NULL, "job %d has the impossible parent %d", (int)i, (int)parent);
        }
        if (!isfinite(jobs[i].cost) || jobs[i].cost <= 0.0) {
            return kds_error_set(err, KDS_INTERNAL, NULL, "job %d has the impossible cost %g", (int)i, jobs[i].cost);
        }
        if (jobs[i].state > KDS_JOB_BEGUN) {
            return kds_error_set(err, KDS_INTERNAL, NULL, "job %d has the impossible state %d", (int)i,
                                 (int)jobs[i].state);
        }
    }
    return KDS_OK;
}

bool kds_farm_job_is_open(const kds_farm_job *job)
{
    return job->state == KDS_JOB_WAITING || job->state == KDS_JOB_BEGUN;
}

/* The memory layout; run twice, on a measuring arena and on the real one. */
static void lay_out(kds_sched *sched, kds_arena *arena, int32_t n_unended)
{
    const size_t n_jobs = (size_t)sched->n_jobs;
    const size_t n_groups = (size_t)sched->n_groups;
    const size_t n_workers = (size_t)sched->n_workers;
    sched->cost = KDS_ARENA_TAKE(arena, n_jobs, double);
    sched->urgency = KDS_ARENA_TAKE(arena, n_jobs, double);
    sched->parent = KDS_ARENA_TAKE(arena, n_jobs, int32_t);
    sched->group_of = KDS_ARENA_TAKE(arena, n_jobs, int32_t);
    sched->order = KDS_ARENA_TAKE(arena, (size_t)n_unended, int32_t);
    sched->place = KDS_ARENA_TAKE(arena, n_jobs, uint8_t);
    sched->groups = KDS_ARENA_TAKE(arena, n_groups, group);
    sched->open = KDS_ARENA_TAKE(arena, n_groups, int32_t);
    sched->workers = KDS_ARENA_TAKE(arena, n_workers, worker);
    sched->held = KDS_ARENA_TAKE(arena, n_workers * (size_t)sched->n_hand, int32_t);
    sched->idle = KDS_ARENA_TAKE(arena, n_workers, int);
    sched->wanting = KDS_ARENA_TAKE(arena, n_workers, int);
}

/* Copy the jobs and number the groups. A job without a child that is still to run is a leaf. */
static void make_groups(kds_sched *sched, const kds_farm_job *jobs)
{
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        sched->group_of[i] = -1;
        sched->parent[i] = jobs[i].parent;
        sched->cost[i] = jobs[i].cost;
        sched->place[i] = BEFORE;
    }
    int32_t n_groups = 1;
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        const int32_t parent = jobs[i].parent;
        if (kds_farm_job_is_open(&jobs[i]) && parent >= 0 && sched->group_of[parent] < 0) {
            sched->group_of[parent] = n_groups++;
        }
    }
    sched->n_groups = n_groups;
    for (int32_t i = 0; i < n_groups; i++) {
        sched->groups[i].place = -1;
        sched->groups[i].next_skip = -1;
    }
    sched->first_skip = -1;
}

/* The queue that a job belongs to. */
static queue *queue_of(kds_sched *sched, int32_t job)
{
    return is_parent(sched, job) ? &sched->parents : &sched->groups[group_of_leaf(sched, job)].jobs;
}

/* Count, and give each queue its part of `order`. */
static void place_queues(kds_sched *sched, const kds_farm_job *jobs)
{
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        if (!kds_farm_job_is_open(&jobs[i])) {
            sched->n_before++;
            continue;
        }
        sched->n_unended++;
        sched->cost_total += sched->cost[i];
        queue_of(sched, i)->n++;
        if (!is_parent(sched, i)) {
            group *home = &sched->groups[group_of_leaf(sched, i)];
            home->longest = fmax(home->longest, sched->cost[i]);
            home->sum += sched->cost[i];
        }
    }
    sched->cost_unstarted = sched->cost_total;
    int32_t first = 0;
    for (int32_t i = 0; i < sched->n_groups; i++) {
        queue *self = &sched->groups[i].jobs;
        self->first = first;
        first += self->n;
        self->n = 0; /* counts again while it is filled */
    }
    sched->parents = (queue){.first = first};
}

typedef struct sort_key {
    double urgency;
    int32_t job;
} sort_key;

static int compare_keys(const void *left, const void *right)
{
    const sort_key *a = left;
    const sort_key *b = right;
    return precedes(a->urgency, a->job, b->urgency, b->job) ? -1 : a->job == b->job ? 0 : 1;
}

/* One sort of all jobs puts every queue in order. */
static kds_status fill_queues(kds_sched *sched, const kds_farm_job *jobs, kds_error *err)
{
    sort_key *keys = kds_alloc((size_t)sched->n_unended, sizeof *keys, err);
    if (keys == NULL) {
        return KDS_MEMORY;
    }
    int32_t n_keys = 0;
    double largest = 0.0;
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        /* With what is behind a parent: the time its children need at best, when all workers are theirs. */
        sched->urgency[i] = sched->cost[i] + cost_behind(sched, i);
        largest = fmax(largest, sched->urgency[i]);
    }
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        if (jobs[i].state == KDS_JOB_BEGUN) {
            sched->urgency[i] += largest;
            if (sched->parent[i] >= 0) {
                sched->urgency[sched->parent[i]] += largest; /* a closed one is in no queue */
            }
        }
    }
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        if (kds_farm_job_is_open(&jobs[i])) {
            keys[n_keys++] = (sort_key){.urgency = sched->urgency[i], .job = i};
        }
    }
    qsort(keys, (size_t)n_keys, sizeof *keys, compare_keys);
    for (int32_t i = 0; i < n_keys; i++) {
        const int32_t job = keys[i].job;
        queue *home = queue_of(sched, job);
        sched->order[home->first + home->n++] = job;
        sched->place[job] = is_parent(sched, job) ? READY : BLOCKED;
        sched->cost_ready_parents += is_parent(sched, job) ? sched->cost[job] : 0.0;
    }
    kds_free(keys);
    return KDS_OK;
}

/* What may start, or can never start, because of what ended before. */
static void release_first(kds_sched *sched, const kds_farm_job *jobs)
{
    release_children(sched, 0); /* those without a parent */
    for (int32_t i = 0; i < sched->n_jobs; i++) {
        if (is_parent(sched, i) && jobs[i].state == KDS_JOB_FINISHED) {
            release_children(sched, sched->group_of[i]);
        } else if (is_parent(sched, i) && jobs[i].state == KDS_JOB_UNUSABLE) {
            skip_children(sched, sched->group_of[i]);
        }
    }
}

kds_status kds_sched_new(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, int n_reserve, kds_sched **out,
                         kds_error *err)
{
    kds_status status = KDS_OK;
    kds_sched *sched = NULL;
    *out = NULL;
    KDS_ASSERT(n_jobs >= 0 && n_workers > 0 && n_reserve >= 0);
    KDS_TRY(check_jobs(jobs, n_jobs, err));

    sched = kds_alloc(1, sizeof *sched, err);
    if (sched == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    sched->n_jobs = n_jobs;
    sched->n_workers = n_workers;
    sched->n_hand = 1 + n_reserve;
    int32_t n_unended = 0;
    int32_t n_children = 0; /* there are at most as many groups as jobs with a parent, and group 0 */
    for (int32_t i = 0; i < n_jobs; i++) {
        n_unended += kds_farm_job_is_open(&jobs[i]) ? 1 : 0;
        n_children += jobs[i].parent >= 0 ? 1 : 0;
    }
    const int32_t n_roots = n_jobs - n_children;
    sched->n_groups = 1 + (n_children < n_roots ? n_children : n_roots);

    kds_arena arena = kds_arena_measure();
    lay_out(sched, &arena, n_unended);
    KDS_TRY(kds_arena_init(&sched->arena, arena.used, err));
    arena = sched->arena;
    lay_out(sched, &arena, n_unended);
    for (int i = 0; i < n_workers; i++) {
        sched->workers[i].group = -1;
    }
    make_groups(sched, jobs);
    place_queues(sched, jobs);
    KDS_TRY(fill_queues(sched, jobs, err));
    release_first(sched, jobs);
    *out = sched;
    sched = NULL;
out:
    kds_sched_free(sched);
    return status;
}

void kds_sched_free(kds_sched *sched)
{
    if (sched != NULL) {
        kds_arena_clear(&sched->arena);
        kds_free(sched);
    }
}
