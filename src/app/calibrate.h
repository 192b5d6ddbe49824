/* How fast is a core of this machine at the trials of a plan? */
#ifndef KDSWEEP_CALIBRATE_H
#define KDSWEEP_CALIBRATE_H

#include "kdsweep/kernels.h"
#include "kdsweep/plan.h"

/*
 * Train a few mini-batches of the models of this plan (generated inputs) and give the seconds per floating-point operation, weighted by what
 * the plan spends on each model. The dearest come first, at most MAX_CALIBRATED, until a few seconds are over. costs: [n_jobs] of the plan.
 */
kds_status kds_calibrate(const kds_plan *plan, const double *costs, const kds_kernels *kernels,
                         const kds_data_shape *data, double *seconds_per_flop, kds_error *err);

#endif
