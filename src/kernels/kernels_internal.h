/* What the files of the kernels module share. */
#ifndef KDSWEEP_KERNELS_INTERNAL_H
#define KDSWEEP_KERNELS_INTERNAL_H

#include "kdsweep/kernels.h"

/* Fill every entry. Each level's file exports this one symbol. */
void kds_kernels_fill_scalar(kds_kernels *out);

#endif
