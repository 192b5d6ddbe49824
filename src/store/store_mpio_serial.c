/*
 * Stands for store_mpio.c in a build without parallel HDF5.
 */
#include "store_mpio.h"

kds_status kds_store_open_mpi(const char *path, const kds_layout *layout, kds_store_communicator communicator,
                              kds_store **out, kds_error *err)
{
    (void)layout;
    (void)communicator;
    *out = NULL;
    return kds_error_set(err, KDS_UNSUPPORTED, "use --writer root, or build with a parallel HDF5",
                         "'%s' cannot be opened by several ranks: this kdsweep was built without parallel HDF5", path);
}
