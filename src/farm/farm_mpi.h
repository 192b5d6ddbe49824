/*
 * The MPI transport of the farm: rank 0 coordinates and works, the others work.
 */
#ifndef KDSWEEP_FARM_MPI_H
#define KDSWEEP_FARM_MPI_H

#include <mpi.h>

#include "kdsweep/farm.h"

/*
 * Collective: every rank of `comm` calls it with the same config, and all leave it together, when the root says so. Works at
 * any number of ranks; one rank sends no message. Messages travel on a duplicate of `comm`.
 *
 * Between the start and the end there is no collective. Ranks that wait sleep. A rank whose must_stop is true, or that LOST a
 * job, stops all; each rank stops at its second tick after that, at the latest, or where ticks come faster than every 0.2 ms, as
 * soon. A rank that waits for work hears of it within an eighth of the time that it has waited, at most 0.15 s.
 *
 * Every rank returns the same status, see kds_farm_run_loopback. KDS_IO with report->transport_failed: MPI failed on this rank;
 * other ranks may wait for it for ever, so the caller must end the job (MPI_Abort). KDS_MEMORY is agreed upon before the first
 * job. KDS_UNSUPPORTED: config->max_bytes is more than one message carries (2^31 - 1).
 */
kds_status kds_farm_run_mpi(MPI_Comm comm, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                            kds_farm_report *report, kds_error *err);

#endif
