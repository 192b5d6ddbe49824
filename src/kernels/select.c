/* Which table to use: what is built, what this machine can do, what the user asks for. */
#include <stdlib.h>
#include <string.h>

#include "kernels_internal.h"

static const char *const isa_names[KDS_N_ISAS] = {"scalar", "avx2", "avx512"};

const char *kds_isa_name(kds_isa isa)
{
    return (unsigned)isa < KDS_N_ISAS ? isa_names[isa] : "unknown";
}

kds_status kds_kernels_level(kds_isa isa, kds_kernels *out, kds_error *err)
{
    kds_kernels_fill_scalar(out);
    if (isa != KDS_ISA_SCALAR) {
        return kds_error_set(err, KDS_UNSUPPORTED, "use KDSWEEP_ISA=scalar or leave it unset",
                             "the %s kernels are not in this build", kds_isa_name(isa));
    }
    return KDS_OK;
}

kds_status kds_kernels_select(kds_kernels *out, kds_error *err)
{
    const char *wanted = getenv("KDSWEEP_ISA");
    if (wanted && *wanted) {
        for (int isa = 0; isa < KDS_N_ISAS; isa++) {
            if (strcmp(wanted, isa_names[isa]) == 0) {
                return kds_kernels_level((kds_isa)isa, out, err);
            }
        }
        return kds_error_set(err, KDS_USAGE,
                             "allowed: scalar, avx2, avx512; unset: the best that this machine supports",
                             "KDSWEEP_ISA: unknown level \"%s\"", wanted);
    }
    for (int isa = KDS_N_ISAS - 1; isa > KDS_ISA_SCALAR; isa--) {
        if (kds_kernels_level((kds_isa)isa, out, NULL) == KDS_OK) {
            return KDS_OK;
        }
    }
    return kds_kernels_level(KDS_ISA_SCALAR, out, err);
}
