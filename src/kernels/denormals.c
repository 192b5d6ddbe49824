/* The processor's mode for denormal numbers. */
#include "kdsweep/kernels.h"

#if defined(__x86_64__)

enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 }; /* bits of MXCSR: results, operands */

uint64_t kds_denormals_to_zero(void)
{
    const unsigned mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(mode | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    return mode;
}

void kds_denormals_restore(uint64_t mode)
{
    __builtin_ia32_ldmxcsr((unsigned)mode);
}

#elif defined(__aarch64__)

uint64_t kds_denormals_to_zero(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | (UINT64_C(1) << 24))); /* FZ: operands and results */
    return mode;
}

void kds_denormals_restore(uint64_t mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}

#else

uint64_t kds_denormals_to_zero(void)
{
    return 0;
}

void kds_denormals_restore(uint64_t mode)
{
    (void)mode;
}

#endif
