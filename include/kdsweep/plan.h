/*
 * The plan: a grid expanded into jobs, each teacher once, every student behind its teacher.
 *
 * Rows are numbered teachers first, then baselines, then students, each in the order of the axes (last axis fastest, seeds
 * slowest), and that number is the job index everywhere: in the farm's messages, in the results file, in `expand`.
 * A million trials expand in a second: a job is a few numbers; its spec is made on demand.
 */
#ifndef KDSWEEP_PLAN_H
#define KDSWEEP_PLAN_H

#include "kdsweep/grid.h"
#include "kdsweep/status.h"
#include "kdsweep/trial.h"

typedef struct kds_job {
    uint64_t id;          /* spec id */
    int32_t teacher;      /* job of its teacher, -1 for teachers and baselines */
    int32_t baseline;     /* job of the same student without a teacher, -1 where there is none */
    uint8_t role;         /* kds_role */
    uint64_t combination; /* mixed-radix index into the axes (first combination that gave this job) */
} kds_job;

typedef struct kds_plan {
    const kds_grid *grid; /* borrowed */
    int32_t n_jobs;
    int32_t n_teachers, n_baselines, n_students;
    int64_t n_combinations; /* before de-duplication */
    kds_job *jobs;          /* [n_jobs] */
    void *memory;
} kds_plan;

/* KDS_GRID: nothing to do, an impossible combination (blamed with its key), or more than 2^31-1 jobs. */
kds_status kds_plan_new(const kds_grid *grid, kds_plan **out, kds_error *err);
void kds_plan_free(kds_plan *plan);

/* The spec of one job. */
void kds_plan_spec(const kds_plan *plan, int32_t i_job, kds_trial_spec *spec);

/* ---- cost ----------------------------------------------------------------------------------------------------------- */

/* Cost of one trial in any unit (kdsweep uses floating-point operations); supplied by who knows models and data. */
typedef double kds_plan_cost_of(void *context, const kds_trial_spec *spec);

/* Costs of all jobs, [n_jobs]. cost_of is called once for each distinct combination of the slots that can change a cost (all but
 * seeds, temperatures and the like: kds_slot.free_of_cost), so that a million jobs take well under a second. */
kds_status kds_plan_costs(const kds_plan *plan, kds_plan_cost_of *cost_of, void *context, double *costs,
                          kds_error *err);

#endif
