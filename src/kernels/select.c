/* Which table to use: what is built, what this machine can do, what the user asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels_internal.h"

/* The builtin asks the processor (CPUID) and whether the operating system keeps the wide registers (XGETBV), in GCC's library, which Clang
 * links as well, and in Clang's own. */
#if KDSWEEP_HAVE_AVX2
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

#if KDSWEEP_HAVE_AVX512
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma");
}
#endif

static int always(void)
{
    return 1;
}

/* Indexed by kds_isa; `fill` is NULL where a level is not built. */
static const struct level {
    const char *name;
    void (*fill)(kds_kernels *out);
    int (*runs_here)(void);
} levels[KDS_N_ISAS] = {
    [KDS_ISA_SCALAR] = {"scalar", kds_kernels_fill_scalar, always},
#if KDSWEEP_HAVE_AVX2
    [KDS_ISA_AVX2] = {"avx2", kds_kernels_fill_avx2, has_avx2},
#else
    [KDS_ISA_AVX2] = {"avx2", NULL, NULL},
#endif
#if KDSWEEP_HAVE_AVX512
    [KDS_ISA_AVX512] = {"avx512", kds_kernels_fill_avx512, has_avx512},
#else
    [KDS_ISA_AVX512] = {"avx512", NULL, NULL},
#endif
#if KDSWEEP_HAVE_NEON
    [KDS_ISA_NEON] = {"neon", kds_kernels_fill_neon, always}, /* every AArch64 has it */
#else
    [KDS_ISA_NEON] = {"neon", NULL, NULL},
#endif
};

const char *kds_isa_name(kds_isa isa)
{
    return (unsigned)isa < KDS_N_ISAS ? levels[isa].name : "unknown";
}

static int is_usable(int isa)
{
    return levels[isa].fill && levels[isa].runs_here();
}

/* "KDSWEEP_ISA: scalar, avx2, or unset for the best of them" */
static void usable_levels(size_t size, char *text)
{
    int length = snprintf(text, size, "KDSWEEP_ISA can be");
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        if (is_usable(isa) && length >= 0 && (size_t)length < size) {
            length += snprintf(text + length, size - (size_t)length, " %s,", levels[isa].name);
        }
    }
    if (length >= 0 && (size_t)length < size) {
        snprintf(text + length, size - (size_t)length, " or unset for the best of them");
    }
}

kds_status kds_kernels_level(kds_isa isa, kds_kernels *out, kds_error *err)
{
    if ((unsigned)isa < KDS_N_ISAS && is_usable((int)isa)) {
        levels[isa].fill(out);
        return KDS_OK;
    }
    char hint[160];
    usable_levels(sizeof hint, hint);
    if ((unsigned)isa >= KDS_N_ISAS || !levels[isa].fill) {
        return kds_error_set(err, KDS_UNSUPPORTED, hint, "the %s kernels are not in this build", kds_isa_name(isa));
    }
    return kds_error_set(err, KDS_UNSUPPORTED, hint,
                         "this processor, or its operating system, does not support the %s kernels", kds_isa_name(isa));
}

kds_status kds_kernels_select(kds_kernels *out, kds_error *err)
{
    const char *wanted = getenv("KDSWEEP_ISA");
    if (wanted && *wanted) {
        for (int isa = 0; isa < KDS_N_ISAS; isa++) {
            if (strcmp(wanted, levels[isa].name) == 0) {
                return kds_kernels_level((kds_isa)isa, out, err);
            }
        }
        char hint[160];
        usable_levels(sizeof hint, hint);
        return kds_error_set(err, KDS_USAGE, hint, "KDSWEEP_ISA: unknown level \"%s\"", wanted);
    }
    int best = KDS_N_ISAS - 1;
    while (!is_usable(best)) {
        best--; /* the scalar level always is */
    }
    return kds_kernels_level((kds_isa)best, out, err);
}
