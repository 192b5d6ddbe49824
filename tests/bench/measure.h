/*
 * Measuring, for the benchmarks alone: seconds per call, the FMA peak of the core, resident memory.
 */
#ifndef KDSWEEP_BENCH_MEASURE_H
#define KDSWEEP_BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "kdsweep/clock.h"

typedef void work(void *context);

/* Seconds per call: at least `minimum` calls and at least `seconds`, after warm-up calls for a tenth of that (at least one). */
static inline double seconds_per_call(work *call, void *context, double seconds, int64_t minimum)
{
    double start = kds_clock_wall(), elapsed;
    do {
        call(context);
    } while (kds_clock_wall() - start < 0.1 * seconds);
    int64_t n_calls = 0;
    start = kds_clock_wall();
    do {
        call(context);
        n_calls++;
        elapsed = kds_clock_wall() - start;
    } while (elapsed < seconds || n_calls < minimum);
    return elapsed / (double)n_calls;
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts `values`. */
static inline double median_of(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

/*
 * The peak: twelve independent accumulators cover latency times throughput of every core known to us (4 cycles, 2 a cycle). They are
 * the operands of one asm statement, so that no compiler spills them, splits them or finds out that nobody looks at the result.
 */
enum { PEAK_CHAINS = 12, PEAK_ITERATIONS = 100000 };

#define PEAK_OPERANDS(constraint)                                                                           \
    "+" constraint(c0), "+" constraint(c1), "+" constraint(c2), "+" constraint(c3), "+" constraint(c4),     \
        "+" constraint(c5), "+" constraint(c6), "+" constraint(c7), "+" constraint(c8), "+" constraint(c9), \
        "+" constraint(c10), "+" constraint(c11)

#define PEAK_LINES(LINE) \
    LINE(0) LINE(1) LINE(2) LINE(3) LINE(4) LINE(5) LINE(6) LINE(7) LINE(8) LINE(9) LINE(10) LINE(11)

#define PEAK_FUNCTION(name, target_words, lanes, constraint, LINE)                                               \
    target_words static inline int name(void)                                                                    \
    {                                                                                                            \
        typedef float vector __attribute__((vector_size(lanes * sizeof(float))));                                \
        vector x = (vector){0} + 1e-3f; /* squared it is not denormal */                                         \
        vector c0 = x, c1 = x, c2 = x, c3 = x, c4 = x, c5 = x, c6 = x, c7 = x, c8 = x, c9 = x, c10 = x, c11 = x; \
        for (int i = 0; i < PEAK_ITERATIONS; i++) {                                                              \
            __asm__ volatile(PEAK_LINES(LINE) : PEAK_OPERANDS(constraint) : [x] constraint(x));                  \
        }                                                                                                        \
        return lanes;                                                                                            \
    }

#if defined(__x86_64__)
#define PEAK_X86(i) "vfmadd231ps %[x], %[x], %" #i "\n\t"
PEAK_FUNCTION(peak_avx2, __attribute__((target("avx2,fma"))), 8, "x", PEAK_X86)
PEAK_FUNCTION(peak_avx512, __attribute__((target("avx512f"))), 16, "v", PEAK_X86)
#elif defined(__aarch64__)
#define PEAK_NEON(i) "fmla %" #i ".4s, %[x].4s, %[x].4s\n\t"
PEAK_FUNCTION(peak_neon, , 4, "w", PEAK_NEON)
#endif

/* GFLOP/s of the fastest of many runs of a fraction of a millisecond; 0 where we know no FMA instruction. */
static inline double peak_gflops(double seconds)
{
    int (*levels[2])(void) = {NULL, NULL};
    int n_levels = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        levels[n_levels++] = peak_avx2;
    }
    if (__builtin_cpu_supports("avx512f")) {
        levels[n_levels++] = peak_avx512; /* not always the faster: some cores have one such unit */
    }
#elif defined(__aarch64__)
    levels[n_levels++] = peak_neon;
#endif
    double best = 0.0, begun = kds_clock_wall();
    do {
        for (int i = 0; i < n_levels; i++) {
            double start = kds_clock_wall();
            double flops = 2.0 * levels[i]() * PEAK_CHAINS * PEAK_ITERATIONS;
            double gflops = 1e-9 * flops / (kds_clock_wall() - start);
            best = gflops > best ? gflops : best;
        }
    } while (n_levels > 0 && kds_clock_wall() - begun < seconds);
    return best;
}

/* Largest resident memory of this process so far, MiB; 0 if the system does not say. Not ru_maxrss, which inherits the parent's. */
static inline double peak_resident_mib(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    double kib = 0.0;
    char line[256];
    while (file && kib == 0.0 && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmHWM: %lf", &kib) != 1) {
            kib = 0.0;
        }
    }
    if (file) {
        fclose(file);
    }
    return kib / 1024.0;
}

#endif
