/*
 * One process or many: what the sweep needs of its ranks. Two translation units implement it, launch_mpi.c and launch_serial.c; nothing
 * here names MPI. A program that was not started by an MPI launcher is one rank and never initialises MPI.
 */
#ifndef KDSWEEP_LAUNCH_H
#define KDSWEEP_LAUNCH_H

#include "kdsweep/data.h"
#include "kdsweep/farm.h"
#include "kdsweep/log.h"
#include "kdsweep/store.h"

typedef struct kds_launch kds_launch;

/* Rank by the launcher's environment variables, before MPI is initialised; 0 without a launcher. */
int kds_launch_rank_hint(void);

/* `alone`: one rank, whatever the launcher says; nothing is collective. */
kds_status kds_launch_new(bool alone, kds_launch **out, kds_error *err);
int kds_launch_rank(const kds_launch *launch);
int kds_launch_n_ranks(const kds_launch *launch);

/* MPI library and version, or "none". Callable without a launch. */
const char *kds_launch_library(void);

/* Collective: when any rank has failed, every rank fails with the error of the lowest one that did. To be called before any collective
 * that a failed rank would miss. */
kds_status kds_launch_agree(kds_launch *launch, kds_status status, kds_error *err);

/* Collective: rank 0's bytes to all. On the others *bytes is allocated (kds_free). */
kds_status kds_launch_broadcast(kds_launch *launch, void **bytes, size_t *n_bytes, kds_error *err);

/* Collective: "node1 (32), node2 (32)" on rank 0 (caller clears). */
kds_status kds_launch_hosts(kds_launch *launch, kds_text *out, kds_error *err);

/* Collective: the largest number of ranks on one node. */
kds_status kds_launch_crowding(kds_launch *launch, int *n_ranks_of_node, kds_error *err);

/* Collective: the data set, loaded once per node into memory that the node's ranks share. Lives until kds_launch_end. */
kds_status kds_launch_dataset(kds_launch *launch, const kds_data_spec *spec, const kds_log *log, kds_dataset *out,
                              kds_error *err);

/* Collective: open the results file so that every rank can write its rows. KDS_UNSUPPORTED without parallel HDF5. */
kds_status kds_launch_open_store(kds_launch *launch, const char *path, const kds_layout *layout, kds_store **out,
                                 kds_error *err);

/* Collective: run the farm over all ranks. */
kds_status kds_launch_run_farm(kds_launch *launch, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                               kds_farm_report *report, kds_error *err);

/* Collective: sum over ranks, on rank 0. */
kds_status kds_launch_sum(kds_launch *launch, double *value, kds_error *err);

/* End the whole job at once: the ranks no longer agree, and waiting for each other would last for ever. */
_Noreturn void kds_launch_abort(kds_launch *launch, int exit_code);

/* Collective when the ranks still agree: leave MPI, release what is shared. */
void kds_launch_end(kds_launch *launch);

#endif
