/*
 * Writing a complete, empty results file.
 */
#ifndef KDSWEEP_STORE_LAYOUT_H
#define KDSWEEP_STORE_LAYOUT_H

#include "kdsweep/store.h"

/* Make (or replace) the file `path` with everything that a layout says and no row written, and close it. `history` is the text of
 * the attribute. KDS_IO. */
kds_status kds_layout_write(const char *path, const kds_layout *layout, const char *history, kds_error *err);

/* Is there room for a file of n_bytes in the folder of `path`? KDS_IO names both sizes. Unknown counts as yes. */
kds_status kds_space_check(const char *path, double n_bytes, kds_error *err);

/* Reserve the blocks of a file that exists in its full size, where the file system can do that without writing. */
kds_status kds_space_reserve(const char *path, kds_error *err);

#endif
