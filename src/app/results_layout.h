/* The layout of the results file of one plan: coordinates over `trial`, names, provenance. */
#ifndef KDSWEEP_RESULTS_LAYOUT_H
#define KDSWEEP_RESULTS_LAYOUT_H

#include "kdsweep/data.h"
#include "setup.h"

typedef struct kds_layout_owner {
    kds_layout layout; /* points into the rest */
    void *memory;
} kds_layout_owner;

/* Provenance that only the caller knows. */
typedef struct kds_provenance {
    const char *isa, *blas, *mpi, *hosts, *command;
    int n_ranks;
} kds_provenance;

/*
 * Everything that kds_store_prepare wants. dataset and split may be a probed data set and NULL: then labels and names are left out, which is
 * enough for kds_store_bytes. `complete` false: only sizes, enough to open the file on a rank that did not make it.
 */
kds_status kds_layout_make(const kds_plan *plan, const kds_row_plan *rows, const kds_dataset *dataset,
                           const kds_split_view *split, const kds_provenance *provenance, bool complete,
                           kds_layout_owner *out, kds_error *err);
void kds_layout_clear(kds_layout_owner *owner);

#endif
