/*
 * The coordinator against a model that knows nothing of heaps: every command is checked against what the rules allow, in random
 * orders of events, with failures, interruptions, stops and restarts; then the quality of its schedules.
 */
#include "kdsweep/farm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/arena.h"
#include "kdsweep/rng.h"

enum { MAX_HAND = 4, NOBODY = -1 };

/* ---- a world with workers, and the rules ----------------------------------------------------------------------------- */

typedef enum model_state { OPEN, GIVEN, ENDED_WELL, ENDED_BADLY, SKIPPED, BEFORE } model_state;

typedef struct model_worker {
    bool is_ready, was_stopped, has_left;
    int n_held;
    int32_t held[MAX_HAND]; /* the first one runs */
    double end;             /* of the first one, in the timed tests */
} model_worker;

typedef struct world {
    kds_farm_job *jobs;
    int32_t n_jobs;
    int n_workers, n_reserve;
    kds_sched *sched;
    model_state *states;
    int *n_runs; /* how often a job ended as DONE or UNUSABLE */
    model_worker *workers;
    bool is_stopped;
    int n_commands;
} world;

static void *make(size_t n, size_t size)
{
    void *memory = calloc(n > 0 ? n : 1, size);
    assert_non_null(memory);
    return memory;
}

static void world_open(world *w, kds_farm_job *jobs, int32_t n_jobs, int n_workers, int n_reserve)
{
    kds_error err = KDS_ERROR_INIT;
    assert_true(n_reserve < MAX_HAND);
    *w = (world){.jobs = jobs, .n_jobs = n_jobs, .n_workers = n_workers, .n_reserve = n_reserve};
    KDS_TEST_OK(kds_sched_new(jobs, n_jobs, n_workers, n_reserve, &w->sched, &err), &err);
    w->states = make((size_t)n_jobs, sizeof *w->states);
    w->n_runs = make((size_t)n_jobs, sizeof *w->n_runs);
    w->workers = make((size_t)n_workers, sizeof *w->workers);
    for (int32_t i = 0; i < n_jobs; i++) {
        w->states[i] = jobs[i].state == KDS_JOB_WAITING || jobs[i].state == KDS_JOB_BEGUN ? OPEN : BEFORE;
    }
}

static void world_close(world *w)
{
    kds_sched_free(w->sched);
    free(w->states);
    free(w->n_runs);
    free(w->workers);
}

static bool parent_is(const world *w, int32_t job, uint8_t before, model_state now)
{
    const int32_t parent = w->jobs[job].parent;
    return parent >= 0 &&
           (w->states[parent] == now || (w->states[parent] == BEFORE && w->jobs[parent].state == before));
}

static bool may_run(const world *w, int32_t job)
{
    return w->states[job] == OPEN && (w->jobs[job].parent < 0 || parent_is(w, job, KDS_JOB_FINISHED, ENDED_WELL));
}

static bool all_ended(const world *w)
{
    for (int32_t i = 0; i < w->n_jobs; i++) {
        if (w->states[i] == OPEN || w->states[i] == GIVEN) {
            return false;
        }
    }
    return true;
}

/* Take all commands; each must be allowed. */
static void obey(world *w)
{
    kds_command c;
    while (kds_sched_next(w->sched, &c)) {
        w->n_commands++;
        if (c.kind == KDS_COMMAND_SKIP) {
            assert_false(w->is_stopped);
            assert_int_equal(c.worker, -1);
            assert_int_equal(w->states[c.job], OPEN);
            assert_true(parent_is(w, c.job, KDS_JOB_UNUSABLE, ENDED_BADLY));
            w->states[c.job] = SKIPPED;
            continue;
        }
        assert_in_range(c.worker, 0, w->n_workers - 1);
        model_worker *self = &w->workers[c.worker];
        assert_false(self->has_left);
        if (c.kind == KDS_COMMAND_RUN) {
            assert_false(w->is_stopped);
            assert_true(self->is_ready && !self->was_stopped);
            assert_true(self->n_held < 1 + w->n_reserve);
            assert_true(may_run(w, c.job));
            w->states[c.job] = GIVEN;
            self->held[self->n_held++] = c.job;
        } else {
            assert_int_equal(c.kind, KDS_COMMAND_STOP);
            assert_int_equal(c.job, -1);
            assert_false(self->was_stopped);
            assert_true(w->is_stopped || all_ended(w));
            self->was_stopped = true;
        }
    }
}

/* What must hold when there is no command: nobody idles beside a job that could run, and the numbers are right. */
static void check_rest(const world *w)
{
    kds_sched_progress p;
    kds_sched_get_progress(w->sched, &p);
    int32_t count[BEFORE + 1] = {0};
    int32_t n_runnable = 0;
    for (int32_t i = 0; i < w->n_jobs; i++) {
        count[w->states[i]]++;
        n_runnable += may_run(w, i) ? 1 : 0;
    }
    int n_busy = 0;
    int n_idle = 0;
    for (int i = 0; i < w->n_workers; i++) {
        n_busy += w->workers[i].n_held > 0 ? 1 : 0;
        n_idle += w->workers[i].is_ready && !w->workers[i].has_left && w->workers[i].n_held == 0 ? 1 : 0;
    }
    assert_int_equal(p.n_total, w->n_jobs);
    assert_int_equal(p.n_finished_before, count[BEFORE]);
    assert_int_equal(p.n_done, count[ENDED_WELL]);
    assert_int_equal(p.n_unusable, count[ENDED_BADLY]);
    assert_int_equal(p.n_skipped, count[SKIPPED]);
    assert_int_equal(p.n_running, n_busy);
    assert_int_equal(p.n_busy, n_busy);
    assert_int_equal(p.n_waiting, count[OPEN] + count[GIVEN] - n_busy);
    assert_int_equal(p.n_workers, w->n_workers);
    assert_true(p.cost_running >= 0.0 && p.cost_done + p.cost_running <= p.cost_total * (1.0 + 1e-9));
    assert_true(isnan(p.seconds_left) || p.seconds_left >= 0.0);
    if (!w->is_stopped) {
        assert_false(n_idle > 0 && n_runnable > 0);
    }
}

static void world_ready(world *w, int i_worker)
{
    w->workers[i_worker].is_ready = true;
    kds_sched_worker_ready(w->sched, i_worker);
    obey(w);
}

/* The worker ends the job at this place of its hand. */
static void world_end(world *w, int i_worker, int at, kds_outcome_kind kind, double seconds)
{
    model_worker *self = &w->workers[i_worker];
    const int32_t job = self->held[at];
    self->n_held--;
    memmove(self->held + at, self->held + at + 1, (size_t)(self->n_held - at) * sizeof self->held[0]);
    if (kind == KDS_OUTCOME_DONE || kind == KDS_OUTCOME_UNUSABLE) {
        w->states[job] = kind == KDS_OUTCOME_DONE ? ENDED_WELL : ENDED_BADLY;
        w->n_runs[job]++;
    } else {
        w->states[job] = OPEN;
        w->is_stopped = w->is_stopped || kind == KDS_OUTCOME_LOST;
    }
    kds_sched_job_ended(w->sched, i_worker, job, kind, seconds);
    obey(w);
}

static void world_stop(world *w)
{
    w->is_stopped = true;
    kds_sched_stop(w->sched);
    obey(w);
}

static void world_leave(world *w, int i_worker)
{
    model_worker *self = &w->workers[i_worker];
    for (; self->n_held > 0; self->n_held--) {
        w->states[self->held[self->n_held - 1]] = OPEN;
    }
    self->has_left = true;
    kds_sched_worker_left(w->sched, i_worker);
    obey(w);
}

/* ---- random sweeps --------------------------------------------------------------------------------------------------- */

static int32_t below(kds_rng *rng, int32_t n)
{
    return (int32_t)kds_rng_below(rng, (uint64_t)n);
}

/* Jobs in random places: some parents, children of theirs anywhere, lonely leaves; equal and very unequal costs. */
static kds_farm_job *random_jobs(kds_rng *rng, int32_t n_jobs, bool with_states)
{
    kds_farm_job *jobs = make((size_t)n_jobs, sizeof *jobs);
    const int32_t n_parents = n_jobs > 0 ? below(rng, n_jobs / 3 + 1) : 0;
    const int shape = below(rng, 3);
    for (int32_t i = 0; i < n_jobs; i++) {
        jobs[i].parent = -1;
        jobs[i].cost = shape == 0 ? 1.0 : shape == 1 ? 1.0 + below(rng, 4) : exp(5.0 * kds_rng_uniform(rng));
        jobs[i].state = (uint8_t)(with_states && below(rng, 3) == 0 ? KDS_JOB_FINISHED : KDS_JOB_WAITING);
        if (with_states && below(rng, 20) == 0) {
            jobs[i].state = KDS_JOB_UNUSABLE;
        } else if (with_states && below(rng, 20) == 0) {
            jobs[i].state = KDS_JOB_BEGUN;
        }
    }
    for (int32_t i = n_parents; i < n_jobs && n_parents > 0; i++) {
        jobs[i].parent = below(rng, 4) > 0 ? below(rng, n_parents) : -1;
    }
    /* So far the parents come first; swap some pairs so that they may stand behind their children. */
    for (int32_t k = 0; k < n_parents; k++) {
        const int32_t a = below(rng, n_parents);
        const int32_t b = below(rng, n_jobs);
        if (jobs[a].parent != -1 || jobs[b].parent == a) {
            continue;
        }
        const kds_farm_job kept = jobs[a];
        jobs[a] = jobs[b];
        jobs[b] = kept;
        for (int32_t i = 0; i < n_jobs; i++) {
            jobs[i].parent = jobs[i].parent == a ? b : jobs[i].parent == b ? a : jobs[i].parent;
        }
    }
    return jobs;
}

typedef struct odds { /* in 1000 of the ends, of the steps */
    int unusable, interrupted, lost, stop, leave;
} odds;

/* Random events until nothing can happen. The last worker never leaves of its own accord, or the rest could not be done. */
static void play(world *w, kds_rng *rng, odds chance)
{
    obey(w);
    for (double now = 0.0; !kds_sched_is_over(w->sched); now += 0.1) {
        kds_sched_time_is(w->sched, now);
        const int i = below(rng, w->n_workers);
        model_worker *self = &w->workers[i];
        if (self->has_left) {
            continue;
        }
        if (self->was_stopped) {
            if (self->n_held > 0) { /* hands back in any order; the first one may still come to its end */
                const int at = below(rng, self->n_held);
                const bool ends = at == 0 && below(rng, 4) == 0;
                world_end(w, i, at, ends ? KDS_OUTCOME_DONE : KDS_OUTCOME_INTERRUPTED, 1.0);
            } else {
                world_leave(w, i);
            }
        } else if (!self->is_ready) {
            world_ready(w, i);
        } else if (self->n_held > 0) {
            if (below(rng, 4) == 0) {
                kds_sched_job_is_at(w->sched, i, kds_rng_uniform(rng));
            }
            const int dice = below(rng, 1000);
            const int unusable = chance.unusable;
            const int interrupted = unusable + chance.interrupted;
            const int lost = interrupted + chance.lost;
            world_end(w, i, 0,
                      dice < unusable      ? KDS_OUTCOME_UNUSABLE
                      : dice < interrupted ? KDS_OUTCOME_INTERRUPTED
                      : dice < lost        ? KDS_OUTCOME_LOST
                                           : KDS_OUTCOME_DONE,
                      kds_rng_uniform(rng));
        }
        if (below(rng, 1000) < chance.stop) {
            world_stop(w);
        }
        if (i != w->n_workers - 1 && !self->has_left && !self->was_stopped && below(rng, 1000) < chance.leave) {
            world_leave(w, i);
        }
        check_rest(w);
    }
    kds_command none;
    assert_false(kds_sched_next(w->sched, &none));
}

/* All jobs have ended, each exactly once. */
static void check_complete(const world *w)
{
    assert_true(all_ended(w));
    for (int32_t i = 0; i < w->n_jobs; i++) {
        const bool ran = w->states[i] == ENDED_WELL || w->states[i] == ENDED_BADLY;
        assert_int_equal(w->n_runs[i], ran ? 1 : 0);
    }
}

static void random_sweeps_end_exactly_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        kds_rng rng = kds_rng_make(seed, KDS_RNG_GENERATE, 0);
        const int32_t n_jobs = below(&rng, 120);
        kds_farm_job *jobs = random_jobs(&rng, n_jobs, seed % 2 == 1);
        world w;
        world_open(&w, jobs, n_jobs, 1 + below(&rng, 9), below(&rng, MAX_HAND));
        play(&w, &rng, (odds){.unusable = below(&rng, 200), .interrupted = below(&rng, 300), .leave = (int)(seed % 5)});
        check_complete(&w);
        kds_sched_progress p;
        kds_sched_get_progress(w.sched, &p);
        assert_true(fabs(p.cost_done - p.cost_total) <= 1e-9 * (1.0 + p.cost_total));
        world_close(&w);
        free(jobs);
    }
}

/* Stop at any moment, in any way; start again from what ended; in the end everything has ended exactly once. */
static void stop_and_go_on(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        kds_rng rng = kds_rng_make(seed, KDS_RNG_GENERATE, 1);
        const int32_t n_jobs = 1 + below(&rng, 100);
        kds_farm_job *jobs = random_jobs(&rng, n_jobs, false);
        int *n_ended = make((size_t)n_jobs, sizeof *n_ended);
        bool is_complete = false;
        for (int i_start = 0; !is_complete; i_start++) {
            world w;
            world_open(&w, jobs, n_jobs, 1 + below(&rng, 9), below(&rng, MAX_HAND));
            const bool may_stop = i_start < 20;
            play(&w, &rng,
                 (odds){.unusable = 30, .interrupted = 50, .lost = may_stop ? 10 : 0, .stop = may_stop ? 20 : 0});
            is_complete = all_ended(&w);
            for (int32_t i = 0; i < n_jobs; i++) {
                const model_state s = w.states[i];
                assert_true(w.n_runs[i] <= 1);
                n_ended[i] += s == ENDED_WELL || s == ENDED_BADLY || s == SKIPPED ? 1 : 0;
                if (s != OPEN && s != BEFORE) {
                    jobs[i].state = (uint8_t)(s == ENDED_WELL ? KDS_JOB_FINISHED : KDS_JOB_UNUSABLE);
                }
            }
            world_close(&w);
        }
        for (int32_t i = 0; i < n_jobs; i++) {
            assert_int_equal(n_ended[i], 1);
        }
        free(n_ended);
        free(jobs);
    }
}

/* Thousands of workers, more workers than jobs, jobs by the ten thousand. check_rest would be too slow here. */
static void thousands_of_workers(void **state)
{
    (void)state;
    static const int32_t n_jobs_of[] = {100, 30000};
    for (int k = 0; k < 2; k++) {
        kds_rng rng = kds_rng_make((uint64_t)k, KDS_RNG_GENERATE, 2);
        const int32_t n_jobs = n_jobs_of[k];
        kds_farm_job *jobs = make((size_t)n_jobs, sizeof *jobs);
        for (int32_t i = 0; i < n_jobs; i++) {
            jobs[i].parent = i < n_jobs / 20 ? -1 : below(&rng, n_jobs / 20);
            jobs[i].cost = 0.5 + kds_rng_uniform(&rng);
        }
        world w;
        world_open(&w, jobs, n_jobs, 4096, 1);
        for (int i = 0; i < w.n_workers; i++) {
            world_ready(&w, i);
        }
        for (bool is_idle = false; !is_idle;) {
            is_idle = true;
            for (int i = 0; i < w.n_workers; i++) {
                if (w.workers[i].n_held > 0) {
                    world_end(&w, i, 0, below(&rng, 100) == 0 ? KDS_OUTCOME_INTERRUPTED : KDS_OUTCOME_DONE, 1.0);
                    is_idle = false;
                }
            }
        }
        check_complete(&w);
        for (int i = 0; i < w.n_workers; i++) {
            assert_true(w.workers[i].was_stopped);
            world_leave(&w, i);
        }
        assert_true(kds_sched_is_over(w.sched));
        world_close(&w);
        free(jobs);
    }
}

/* A worker that never becomes ready holds up no job; it is told to stop like the others. */
static void silent_worker(void **state)
{
    (void)state;
    kds_farm_job jobs[10];
    for (int i = 0; i < 10; i++) {
        jobs[i] = (kds_farm_job){.parent = i < 2 ? -1 : i % 2, .cost = 1.0};
    }
    world w;
    world_open(&w, jobs, 10, 3, 1);
    world_ready(&w, 1);
    while (w.workers[1].n_held > 0) {
        world_end(&w, 1, 0, KDS_OUTCOME_DONE, 1.0);
        check_rest(&w);
    }
    check_complete(&w);
    for (int i = 0; i < 3; i++) {
        assert_true(w.workers[i].was_stopped);
        assert_false(kds_sched_is_over(w.sched));
        world_leave(&w, i);
    }
    assert_true(kds_sched_is_over(w.sched));
    world_close(&w);
}

static void nothing_to_do(void **state)
{
    (void)state;
    world w;
    kds_farm_job finished = {.parent = -1, .cost = 1.0, .state = KDS_JOB_FINISHED};
    for (int n = 0; n < 2; n++) {
        world_open(&w, &finished, n, 2, 1);
        kds_rng rng = kds_rng_make(0, KDS_RNG_GENERATE, 3);
        play(&w, &rng, (odds){0});
        assert_int_equal(w.n_commands, 2);
        world_close(&w);
    }
}

static void stop_is_idempotent(void **state)
{
    (void)state;
    kds_farm_job jobs[4] = {{-1, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}};
    world w;
    world_open(&w, jobs, 4, 2, 0);
    world_ready(&w, 0);
    world_stop(&w);
    world_stop(&w);
    assert_int_equal(w.n_commands, 3); /* one RUN, two STOPs */
    world_ready(&w, 1);                /* too late */
    assert_int_equal(w.workers[1].n_held, 0);
    world_end(&w, 0, 0, KDS_OUTCOME_INTERRUPTED, 0.0);
    world_leave(&w, 0);
    world_leave(&w, 1);
    assert_true(kds_sched_is_over(w.sched));
    world_close(&w);
}

/* ---- the order ------------------------------------------------------------------------------------------------------- */

static int32_t only_run(kds_sched *sched)
{
    kds_command c;
    assert_true(kds_sched_next(sched, &c));
    assert_int_equal(c.kind, KDS_COMMAND_RUN);
    kds_command more;
    assert_false(kds_sched_next(sched, &more));
    return c.job;
}

/* One worker: parents by what waits behind them, then the longest leaf; ties by number. */
static void order_of_one_worker(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {
        {-1, 0, 3.0}, /* 0: leaf, shorter than every critical path below */
        {-1, 0, 2.0}, /* 1: parent of 4 and 5: urgency 2 + 4 */
        {-1, 0, 2.0}, /* 2: parent of 6: urgency 2 + 9 */
        {-1, 0, 3.0}, /* 3: leaf */
        {1, 0, 2.0},  {1, 0, 2.0},
        {2, 0, 9.0},  {-1, 0, 20.0}, /* 7: a leaf longer than any path goes before the parents */
    };
    /* While 6 is long against the rest it goes at once; with 1 ended, its children are no longer than 0 and 3. */
    static const int32_t expected[] = {7, 2, 6, 1, 0, 3, 4, 5};
    kds_error err = KDS_ERROR_INIT;
    kds_sched *sched;
    KDS_TEST_OK(kds_sched_new(jobs, 8, 1, 0, &sched, &err), &err);
    kds_sched_worker_ready(sched, 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(only_run(sched), expected[i]);
        kds_sched_job_ended(sched, 0, expected[i], KDS_OUTCOME_DONE, 1.0);
    }
    kds_sched_free(sched);
}

/* What an earlier run began goes first, with the parent it waits for, and still measures what it costs. */
static void begun_jobs_go_first(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {
        {-1, 0, 50.0},
        {-1, 0, 10.0}, /* parent of 4 and 5 */
        {-1, 0, 1.0},  /* parent of 6, which was begun */
        {-1, KDS_JOB_BEGUN, 1.0},
        {1, 0, 30.0},
        {1, 0, 30.0},
        {2, KDS_JOB_BEGUN, 2.0},
    };
    static const int32_t expected[] = {2, 6, 3, 1, 0};
    kds_error err = KDS_ERROR_INIT;
    kds_sched *sched;
    KDS_TEST_OK(kds_sched_new(jobs, 7, 1, 0, &sched, &err), &err);
    kds_sched_worker_ready(sched, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(only_run(sched), expected[i]);
        kds_sched_job_ended(sched, 0, expected[i], KDS_OUTCOME_DONE, 1.0);
    }
    kds_sched_progress p;
    kds_sched_get_progress(sched, &p);
    KDS_TEST_NEAR(p.cost_total, 124.0, 0.0);
    KDS_TEST_NEAR(p.cost_done, 64.0, 0.0);
    kds_sched_free(sched);
}

/* Whoever trained a teacher goes on with its students, and stays with them, as long as nothing long waits. */
static void workers_stay_with_their_teacher(void **state)
{
    (void)state;
    enum { N_TEACHERS = 4, N_STUDENTS = 100, N_JOBS = N_TEACHERS * (1 + N_STUDENTS) };
    kds_farm_job jobs[N_JOBS];
    for (int i = 0; i < N_JOBS; i++) {
        jobs[i] = (kds_farm_job){.parent = i < N_TEACHERS ? -1 : i % N_TEACHERS, .cost = i < N_TEACHERS ? 5.0 : 1.0};
        jobs[i].cost += jobs[i].parent == 0 ? 1.0 : 0.0; /* longer ones wait all the time, but not much longer */
    }
    world w;
    world_open(&w, jobs, N_JOBS, N_TEACHERS, 1);
    int32_t teacher[N_TEACHERS];
    for (int i = 0; i < N_TEACHERS; i++) {
        world_ready(&w, i);
        teacher[i] = w.workers[i].held[0];
    }
    int n_changes = 0;
    for (int k = 0; k < N_STUDENTS; k++) {
        for (int i = 0; i < N_TEACHERS; i++) {
            assert_true(w.workers[i].n_held > 0);
            const int32_t job = w.workers[i].held[0];
            n_changes += job >= N_TEACHERS && jobs[job].parent != teacher[i] ? 1 : 0;
            world_end(&w, i, 0, KDS_OUTCOME_DONE, 1.0);
        }
    }
    assert_in_range(n_changes, 0, 20); /* only in the last tenth, where the longest go first */
    world_close(&w);
}

/* A much longer job is not left for the end just because the labels at hand belong to others. */
static void long_jobs_go_before_labels_at_hand(void **state)
{
    (void)state;
    kds_farm_job jobs[22];
    for (int i = 0; i < 22; i++) {
        jobs[i] = (kds_farm_job){.parent = i < 1 ? -1 : 0, .cost = 1.0};
    }
    jobs[21] = (kds_farm_job){.parent = -1, .cost = 10.0};
    world w;
    world_open(&w, jobs, 22, 2, 1);
    world_ready(&w, 0);
    assert_int_equal(w.workers[0].held[0], 0); /* 1 + 20/2 > 10 */
    world_end(&w, 0, 0, KDS_OUTCOME_DONE, 1.0);
    assert_int_equal(w.workers[0].held[0], 21);
    world_close(&w);
}

static void failed_parent_skips_its_children(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 1.0}, {0, 0, 1.0}, {0, 0, 1.0}, {0, KDS_JOB_FINISHED, 1.0}};
    kds_error err = KDS_ERROR_INIT;
    kds_sched *sched;
    KDS_TEST_OK(kds_sched_new(jobs, 4, 1, 1, &sched, &err), &err);
    kds_sched_worker_ready(sched, 0);
    assert_int_equal(only_run(sched), 0);
    kds_sched_job_ended(sched, 0, 0, KDS_OUTCOME_UNUSABLE, 1.0);
    kds_command c;
    for (int32_t job = 1; job <= 2; job++) {
        assert_true(kds_sched_next(sched, &c));
        assert_int_equal(c.kind, KDS_COMMAND_SKIP);
        assert_int_equal(c.job, job);
    }
    assert_true(kds_sched_next(sched, &c));
    assert_int_equal(c.kind, KDS_COMMAND_STOP);
    kds_sched_progress p;
    kds_sched_get_progress(sched, &p);
    assert_int_equal(p.n_skipped, 2);
    KDS_TEST_NEAR(p.cost_total, 1.0, 0.0);
    KDS_TEST_NEAR(p.cost_done, 1.0, 0.0);
    assert_true(isnan(p.seconds_per_cost)); /* nothing was done */
    kds_sched_free(sched);
}

static void speed_is_weighted_by_cost(void **state)
{
    (void)state;
    const kds_farm_job jobs[] = {{-1, 0, 8.0}, {-1, 0, 2.0}, {-1, 0, 1.0}};
    kds_error err = KDS_ERROR_INIT;
    kds_sched *sched;
    KDS_TEST_OK(kds_sched_new(jobs, 3, 1, 0, &sched, &err), &err);
    kds_sched_progress p;
    kds_sched_get_progress(sched, &p);
    assert_true(isnan(p.seconds_per_cost));
    kds_sched_worker_ready(sched, 0);
    static const double seconds[] = {16.0, 9.0};
    for (int i = 0; i < 2; i++) {
        kds_sched_job_ended(sched, 0, only_run(sched), KDS_OUTCOME_DONE, seconds[i]);
    }
    kds_sched_get_progress(sched, &p);
    KDS_TEST_NEAR(p.seconds_per_cost, 2.5, 1e-12);
    kds_sched_job_ended(sched, 0, only_run(sched), KDS_OUTCOME_UNUSABLE, 1000.0); /* how long it took says nothing */
    kds_sched_get_progress(sched, &p);
    KDS_TEST_NEAR(p.seconds_per_cost, 2.5, 1e-12);
    kds_sched_free(sched);
}

static void impossible_jobs_are_refused(void **state)
{
    (void)state;
    const kds_farm_job bad[][3] = {
        {{1, 0, 1.0}, {2, 0, 1.0}, {-1, 0, 1.0}},        /* a grandchild */
        {{3, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}},       /* no such parent */
        {{0, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}},       /* its own parent */
        {{-2, 0, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}},      /* no such word */
        {{-1, 0, 0.0}, {-1, 0, 1.0}, {-1, 0, 1.0}},      /* costs nothing */
        {{-1, 0, NAN}, {-1, 0, 1.0}, {-1, 0, 1.0}},      /* costs nonsense */
        {{-1, 0, INFINITY}, {-1, 0, 1.0}, {-1, 0, 1.0}}, /* never ends */
        {{-1, 17, 1.0}, {-1, 0, 1.0}, {-1, 0, 1.0}},     /* no such state */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kds_error err = KDS_ERROR_INIT;
        kds_sched *sched;
        assert_int_equal(kds_sched_new(bad[i], 3, 2, 1, &sched, &err), KDS_INTERNAL);
        assert_null(sched);
        assert_non_null(strstr(err.message, "job 0"));
    }
}

static void end_of_a_job_not_held(void *sched)
{
    kds_sched_job_ended(sched, 0, 0, KDS_OUTCOME_DONE, 1.0);
}

static void bugs_of_a_transport_are_caught(void **state)
{
    (void)state;
    const kds_farm_job job = {-1, 0, 1.0};
    kds_error err = KDS_ERROR_INIT;
    kds_sched *sched;
    KDS_TEST_OK(kds_sched_new(&job, 1, 1, 0, &sched, &err), &err);
    assert_true(kds_test_aborts(end_of_a_job_not_held, sched));
    kds_sched_free(sched);
}

/* ---- quality --------------------------------------------------------------------------------------------------------- */

/* Run in simulated time; a job takes cost * factor[job]. Checks at each event that no job lies in a reserve while a worker
 * idles, and returns the makespan. */
static double timed(kds_farm_job *jobs, int32_t n_jobs, int n_workers, const double *factor, int *n_reserves)
{
    world w;
    world_open(&w, jobs, n_jobs, n_workers, 1);
    int32_t *running = make((size_t)n_workers, sizeof *running); /* what was seen to run */
    double now = 0.0;
    *n_reserves = 0;
    for (int i = 0; i < n_workers; i++) {
        running[i] = NOBODY;
        w.workers[i].is_ready = true;
        kds_sched_worker_ready(w.sched, i);
    }
    obey(&w);
    for (;;) {
        int first = NOBODY;
        int n_idle = 0;
        int n_reserved = 0;
        for (int i = 0; i < n_workers; i++) {
            model_worker *self = &w.workers[i];
            if (self->n_held > 0 && running[i] != self->held[0]) {
                running[i] = self->held[0];
                self->end = now + jobs[running[i]].cost * (factor != NULL ? factor[running[i]] : 1.0);
            }
            n_idle += self->n_held == 0 ? 1 : 0;
            n_reserved += self->n_held > 1 ? 1 : 0;
            if (self->n_held > 0 && (first == NOBODY || self->end < w.workers[first].end)) {
                first = i;
            }
        }
        assert_false(n_idle > 0 && n_reserved > 0);
        *n_reserves += n_reserved;
        if (first == NOBODY) {
            break;
        }
        now = w.workers[first].end;
        world_end(&w, first, 0, KDS_OUTCOME_DONE, 1.0);
    }
    check_complete(&w);
    world_close(&w);
    free(running);
    return now;
}

/* No schedule is shorter than this. */
static double lower_bound(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, double *chain)
{
    double total = 0.0;
    *chain = 0.0;
    for (int32_t i = 0; i < n_jobs; i++) {
        total += jobs[i].cost;
        *chain = fmax(*chain, jobs[i].cost + (jobs[i].parent >= 0 ? jobs[jobs[i].parent].cost : 0.0));
    }
    return fmax(total / n_workers, *chain);
}

/* Graham's worst case for longest-first: 2m-1, 2m-1, ..., m+1, m+1, m, m, m on m workers. Best 3m, longest first 4m-1. */
static void grahams_worst_case(void **state)
{
    (void)state;
    for (int m = 2; m <= 20; m++) {
        kds_farm_job jobs[41];
        int n = 0;
        for (int length = 2 * m - 1; length > m; length--) {
            jobs[n++] = (kds_farm_job){-1, 0, length};
            jobs[n++] = (kds_farm_job){-1, 0, length};
        }
        for (int k = 0; k < 3; k++) {
            jobs[n++] = (kds_farm_job){-1, 0, m};
        }
        assert_int_equal(n, 2 * m + 1);
        int n_reserves;
        KDS_TEST_NEAR(timed(jobs, n, m, NULL, &n_reserves), 4.0 * m - 1.0, 1e-9);
    }
}

/* Every list schedule with chains ends within total/m + chain; with our order grids stay within 4/3 of the best. */
static void makespan_of_random_sweeps(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        kds_rng rng = kds_rng_make(seed, KDS_RNG_GENERATE, 4);
        const int32_t n_jobs = 1 + below(&rng, 400);
        const int n_workers = 1 + below(&rng, 16);
        kds_farm_job *jobs = random_jobs(&rng, n_jobs, false);
        double chain;
        const double bound = lower_bound(jobs, n_jobs, n_workers, &chain);
        int n_reserves;
        const double makespan = timed(jobs, n_jobs, n_workers, NULL, &n_reserves);
        assert_true(makespan >= bound * (1.0 - 1e-9));
        assert_true(makespan <= (bound + chain) * (1.0 + 1e-9));
        if (n_jobs >= 8 * n_workers && chain <= bound / 2.0) {
            assert_true(makespan <= 4.0 / 3.0 * bound);
        }
        free(jobs);
    }
}

/* The grid that kdsweep is for: few long teachers, students of mixed cost, and baselines. */
static void makespan_with_teachers(void **state)
{
    (void)state;
    for (int n_workers = 2; n_workers <= 64; n_workers *= 2) {
        enum { N_TEACHERS = 15, N_STUDENTS = 1500, N_JOBS = N_TEACHERS + N_STUDENTS + 100 };
        kds_farm_job *jobs = make(N_JOBS, sizeof *jobs);
        double *factor = make(N_JOBS, sizeof *factor);
        kds_rng rng = kds_rng_make((uint64_t)n_workers, KDS_RNG_GENERATE, 5);
        for (int i = 0; i < N_JOBS; i++) {
            const bool is_student = i >= N_TEACHERS && i < N_TEACHERS + N_STUDENTS;
            jobs[i].parent = is_student ? i % N_TEACHERS : -1;
            jobs[i].cost = i < N_TEACHERS ? 8.0 + 4.0 * (i % 3) : 1.0 + (i / N_TEACHERS) % 3;
            factor[i] = 1.0 + kds_rng_uniform(&rng); /* estimates are wrong by up to 2 */
        }
        double chain;
        const double bound = lower_bound(jobs, N_JOBS, n_workers, &chain);
        int n_reserves;
        assert_true(timed(jobs, N_JOBS, n_workers, NULL, &n_reserves) <= 1.1 * bound + (n_workers > 15 ? chain : 0.0));
        assert_true(n_reserves > 500); /* the reserve is in use, or the test above shows nothing */
        timed(jobs, N_JOBS, n_workers, factor, &n_reserves);
        free(factor);
        free(jobs);
    }
}

/* Parents in small numbers never lie in a reserve: their children would wait for nothing. */
static void few_parents_are_never_reserved(void **state)
{
    (void)state;
    kds_farm_job jobs[100];
    for (int i = 0; i < 100; i++) {
        jobs[i] = (kds_farm_job){.parent = i < 5 ? -1 : i % 5, .cost = i < 5 ? 10.0 : 1.0};
    }
    world w;
    world_open(&w, jobs, 100, 2, 1);
    world_ready(&w, 0);
    world_ready(&w, 1);
    while (!all_ended(&w)) {
        for (int i = 0; i < 2; i++) {
            assert_true(w.workers[i].n_held < 2 || w.workers[i].held[1] >= 5);
        }
        const int busy = w.workers[0].n_held >= w.workers[1].n_held ? 0 : 1;
        world_end(&w, busy, 0, KDS_OUTCOME_DONE, 1.0);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sweeps_end_exactly_once),
        cmocka_unit_test(stop_and_go_on),
        cmocka_unit_test(thousands_of_workers),
        cmocka_unit_test(silent_worker),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(stop_is_idempotent),
        cmocka_unit_test(order_of_one_worker),
        cmocka_unit_test(begun_jobs_go_first),
        cmocka_unit_test(workers_stay_with_their_teacher),
        cmocka_unit_test(long_jobs_go_before_labels_at_hand),
        cmocka_unit_test(failed_parent_skips_its_children),
        cmocka_unit_test(speed_is_weighted_by_cost),
        cmocka_unit_test(impossible_jobs_are_refused),
        cmocka_unit_test(bugs_of_a_transport_are_caught),
        cmocka_unit_test(grahams_worst_case),
        cmocka_unit_test(makespan_of_random_sweeps),
        cmocka_unit_test(makespan_with_teachers),
        cmocka_unit_test(few_parents_are_never_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
