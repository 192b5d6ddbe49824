/* What is said when a sweep ends. */
#ifndef KDSWEEP_SUMMARY_H
#define KDSWEEP_SUMMARY_H

#include "kdsweep/farm.h"
#include "kdsweep/log.h"
#include "setup.h"

typedef struct kds_end_counts {
    int n_done, n_diverged, n_failed, n_missing;
} kds_end_counts;

/*
 * Reads the results file back and tells: how many of what, the configuration with the best worst-class accuracy at each imbalance ratio
 * (chosen on validation, told on test), how busy the ranks were, what to run next.
 */
kds_status kds_summary_tell(const kds_setup *setup, const kds_log *log, int n_ranks, const kds_farm_report *report,
                            double busy_seconds, kds_end_counts *counts, kds_error *err);

#endif
