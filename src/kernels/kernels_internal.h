/* What the files of the kernels module share. */
#ifndef KDSWEEP_KERNELS_INTERNAL_H
#define KDSWEEP_KERNELS_INTERNAL_H

#include "kdsweep/kernels.h"

/* Parts of the loops in vector_*.h: arguments that are constants at the call stay constants inside. */
#define INLINED static inline __attribute__((always_inline))

/* Fill every entry of a level's table. The vector levels exist only where they are built (KDSWEEP_HAVE_<ISA>), and their functions run only
 * where the processor has the instructions: select.c asks. */
void kds_kernels_fill_scalar(kds_kernels *out);
void kds_kernels_fill_avx2(kds_kernels *out);
void kds_kernels_fill_avx512(kds_kernels *out);
void kds_kernels_fill_neon(kds_kernels *out);

/* The products of the scalar table (product_scalar.c); kds_kernels_fill_scalar calls it. */
void kds_kernels_fill_scalar_products(kds_kernels *out);

/* The transforms of winograd_scalar.c, likewise. */
void kds_kernels_fill_scalar_winograd(kds_kernels *out);

/* sgd_step of the scalar table, for its product_step. */
void kds_scalar_sgd_step(int64_t n, const kds_sgd *sgd, const float *gradient, float *velocity, float *w);

#endif
