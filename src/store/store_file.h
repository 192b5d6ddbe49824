/*
 * A results file that is open for writing rows, whoever opened it: shared by the serial store and its MPI twin.
 */
#ifndef KDSWEEP_STORE_FILE_H
#define KDSWEEP_STORE_FILE_H

#include "rows.h"

struct kds_store {
    hid_t file;
    kds_rows rows; /* a slab of one row */
    /* Called by kds_store_close after the file is closed, NULL in the serial store: agrees on `status` with the other ranks and frees
     * what the twin keeps. */
    kds_status (*finish)(void *twin, kds_status status, kds_error *err);
    void *twin;
};

/* Make a store of an open file, which it owns from then on. When this fails the file is still the caller's: closing it may be
 * collective. */
kds_status kds_store_of_file(hid_t file, const kds_layout *layout, kds_store **out, kds_error *err);

#endif
