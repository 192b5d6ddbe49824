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

/* How much of it is wanted. */
typedef enum kds_layout_depth {
    KDS_LAYOUT_SHAPE, /* enough to open the file on a rank that did not make it */
    KDS_LAYOUT_SIZES, /* and which variables there are, without their values: enough for kds_store_bytes */
    KDS_LAYOUT_FULL,  /* everything that kds_store_prepare wants; needs split */
} kds_layout_depth;

/* dataset: loaded, or only probed; split: NULL unless FULL. KDS_MEMORY. */
kds_status kds_layout_make(const kds_plan *plan, const kds_row_plan *rows, const kds_dataset *dataset,
                           const kds_split_view *split, const kds_provenance *provenance, kds_layout_depth depth,
                           kds_layout_owner *out, kds_error *err);
void kds_layout_clear(kds_layout_owner *owner);

#endif
