/* How fast is a core of this machine at the trials of a plan? */
#ifndef KDSWEEP_CALIBRATE_H
#define KDSWEEP_CALIBRATE_H

#include "kdsweep/kernels.h"
#include "kdsweep/plan.h"

/*
 * Train a few mini-batches of the models of this plan (generated inputs, at most MAX_CALIBRATED different ones, a quarter of a second each)
 * and give the seconds per floating-point operation, weighted by what the plan spends on each. costs: [n_jobs] of the plan.
 */
kds_status kds_calibrate(const kds_plan *plan, const double *costs, const kds_kernels *kernels, int32_t n_features,
                         int32_t n_classes, double *seconds_per_flop, kds_error *err);

#endif
