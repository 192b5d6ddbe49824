/*
 * The MPI twin of kds_store_open: every rank writes its own rows into the same file.
 */
#ifndef KDSWEEP_STORE_MPIO_H
#define KDSWEEP_STORE_MPIO_H

#include "kdsweep/store.h"

#if KDSWEEP_WITH_MPI
#include <mpi.h>
typedef MPI_Comm kds_store_communicator;
#else
typedef int kds_store_communicator; /* nobody has one */
#endif

/*
 * Collective over the communicator: open the prepared file with the MPI-IO driver. It succeeds on every rank or fails on every
 * rank, with the record of the lowest rank that failed. Afterwards kds_store_write_row and kds_store_forget_row are independent;
 * kds_store_close is collective. A process that ends without closing harms nobody's rows, but may make others wait in close.
 * KDS_IO, KDS_FORMAT as kds_store_open; KDS_UNSUPPORTED in a build without MPI.
 */
kds_status kds_store_open_mpi(const char *path, const kds_layout *layout, kds_store_communicator communicator,
                              kds_store **out, kds_error *err);

#endif
