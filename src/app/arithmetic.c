#include "arithmetic.h"

#include <stdio.h>
#include <string.h>

void kds_arithmetic_blas(const kds_kernels *kernels, char text[KDS_BLAS_CHARS])
{
    const bool used = *kds_kernels_blas(kernels) != '\0';
    snprintf(text, KDS_BLAS_CHARS, "%s (%s)%s", kds_blas_version(), kds_blas_core(), used ? "" : ", not used");
}

void kds_arithmetic_to_text(const kds_kernels *kernels, char *text, size_t size)
{
    const char *blas = kds_kernels_blas(kernels);
    snprintf(text, size, "%s kernels%s%s", kds_isa_name(kernels->isa), *blas ? " and " : "", blas);
}

bool kds_arithmetic_is_same(const kds_kernels *kernels, const char *isa, const char *blas)
{
    const char *mine = kds_kernels_blas(kernels);
    return strcmp(isa, kds_isa_name(kernels->isa)) == 0 && (!*mine || strcmp(blas, mine) == 0);
}
