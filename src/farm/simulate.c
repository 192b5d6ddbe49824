/*
 * The forecast of `kdsweep plan`: the scheduler of the real run, driven by a heap of future ends of jobs instead of by ranks.
 * Messages take no time here; a worker with a job in reserve goes on at once, as a real one does.
 */
#include <math.h>

#include "kdsweep/arena.h"
#include "kdsweep/farm.h"

enum { N_RESERVE = 1 };

typedef struct sim_worker {
    double end;                  /* when held[0] ends */
    int32_t held[1 + N_RESERVE]; /* the first one runs */
    int n_held;
} sim_worker;

typedef struct simulation {
    const kds_farm_job *jobs;
    kds_sched *sched;
    double seconds_per_cost;
    double now;
    double busy;
    sim_worker *workers;
    int *running; /* heap of the workers that run a job: the one that ends first on top */
    int n_running;
} simulation;

static bool ends_before(const simulation *sim, int a, int b)
{
    const double end_a = sim->workers[a].end;
    const double end_b = sim->workers[b].end;
    return end_a != end_b ? end_a < end_b : a < b;
}

static void push_running(simulation *sim, int i_worker)
{
    int at = sim->n_running++;
    while (at > 0 && ends_before(sim, i_worker, sim->running[(at - 1) / 2])) {
        sim->running[at] = sim->running[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->running[at] = i_worker;
}

static int pop_running(simulation *sim)
{
    const int first = sim->running[0];
    const int moved = sim->running[--sim->n_running];
    int at = 0;
    for (int child = 1; child < sim->n_running; child = 2 * at + 1) {
        if (child + 1 < sim->n_running && ends_before(sim, sim->running[child + 1], sim->running[child])) {
            child++;
        }
        if (!ends_before(sim, sim->running[child], moved)) {
            break;
        }
        sim->running[at] = sim->running[child];
        at = child;
    }
    sim->running[at] = moved;
    return first;
}

static void start_first(simulation *sim, int i_worker)
{
    sim_worker *self = &sim->workers[i_worker];
    const double seconds = sim->jobs[self->held[0]].cost * sim->seconds_per_cost;
    self->end = sim->now + seconds;
    sim->busy += seconds;
    push_running(sim, i_worker);
}

static void obey(simulation *sim)
{
    kds_command command;
    while (kds_sched_next(sim->sched, &command)) {
        switch (command.kind) {
        case KDS_COMMAND_RUN: {
            sim_worker *self = &sim->workers[command.worker];
            self->held[self->n_held++] = command.job;
            if (self->n_held == 1) {
                start_first(sim, command.worker);
            }
            break;
        }
        case KDS_COMMAND_STOP:
            kds_sched_worker_left(sim->sched, command.worker);
            break;
        case KDS_COMMAND_SKIP:
            break;
        }
    }
}

static void end_first(simulation *sim)
{
    const int i_worker = pop_running(sim);
    sim_worker *self = &sim->workers[i_worker];
    const int32_t job = self->held[0];
    sim->now = self->end;
    self->n_held--;
    for (int i = 0; i < self->n_held; i++) {
        self->held[i] = self->held[i + 1];
    }
    if (self->n_held > 0) {
        start_first(sim, i_worker);
    }
    kds_sched_job_ended(sim->sched, i_worker, job, KDS_OUTCOME_DONE, sim->jobs[job].cost * sim->seconds_per_cost);
}

/* The longest chain of jobs that must follow one another, as cost. Children of an unusable parent never run. */
static double longest_chain(const kds_farm_job *jobs, int32_t n_jobs)
{
    double longest = 0.0;
    for (int32_t i = 0; i < n_jobs; i++) {
        double chain = 0.0;
        if (kds_farm_job_is_open(&jobs[i])) {
            chain = jobs[i].cost;
            const kds_farm_job *parent = jobs[i].parent >= 0 ? &jobs[jobs[i].parent] : NULL;
            if (parent != NULL && kds_farm_job_is_open(parent)) {
                chain += parent->cost;
            } else if (parent != NULL && parent->state == KDS_JOB_UNUSABLE) {
                chain = 0.0;
            }
        }
        longest = fmax(longest, chain);
    }
    return longest;
}

kds_status kds_farm_simulate(const kds_farm_job *jobs, int32_t n_jobs, int n_workers, double seconds_per_cost,
                             kds_farm_forecast *out, kds_error *err)
{
    kds_status status = KDS_OK;
    simulation sim = {.jobs = jobs, .seconds_per_cost = seconds_per_cost};
    *out = (kds_farm_forecast){.utilisation = 1.0};
    KDS_TRY(kds_sched_new(jobs, n_jobs, n_workers, N_RESERVE, &sim.sched, err));
    sim.workers = kds_alloc((size_t)n_workers, sizeof *sim.workers, err);
    sim.running = kds_alloc((size_t)n_workers, sizeof *sim.running, err);
    if (sim.workers == NULL || sim.running == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int i = 0; i < n_workers; i++) {
        kds_sched_worker_ready(sim.sched, i);
    }
    obey(&sim);
    while (sim.n_running > 0) {
        end_first(&sim);
        obey(&sim);
    }
    KDS_ASSERT(kds_sched_is_over(sim.sched));

    out->makespan = sim.now;
    out->busy = sim.busy;
    out->utilisation = sim.now > 0.0 ? sim.busy / (sim.now * n_workers) : 1.0;
    out->critical_path = longest_chain(jobs, n_jobs) * seconds_per_cost;
out:
    kds_sched_free(sim.sched);
    kds_free(sim.workers);
    kds_free(sim.running);
    return status;
}
