/* What the bits of a trial depend on beside spec and data: the instruction set and, where the kernels use it, OpenBLAS. */
#ifndef KDSWEEP_ARITHMETIC_H
#define KDSWEEP_ARITHMETIC_H

#include "kdsweep/kernels.h"

enum { KDS_BLAS_CHARS = 96 };

/* For the results file: "OpenBLAS 0.3.21 (SkylakeX)", with ", not used" where the kernels do without. */
void kds_arithmetic_blas(const kds_kernels *kernels, char text[KDS_BLAS_CHARS]);

/* In words: "avx512 kernels", "scalar kernels and OpenBLAS 0.3.21 (SkylakeX)". */
void kds_arithmetic_to_text(const kds_kernels *kernels, char *text, size_t size);

/* Would a file with this isa and this kds_arithmetic_blas get the same bits from these kernels? */
bool kds_arithmetic_is_same(const kds_kernels *kernels, const char *isa, const char *blas);

#endif
