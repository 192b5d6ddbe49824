/*
 * The three clocks of POSIX that are told apart here. They cannot fail on a system that has them.
 */
#include "kdsweep/clock.h"

#include <time.h>

#include "kdsweep/status.h"

static double read_clock(clockid_t id)
{
    struct timespec now;
    KDS_ASSERT(clock_gettime(id, &now) == 0);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double kds_clock_wall(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double kds_clock_cpu(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

double kds_clock_utc(void)
{
    return read_clock(CLOCK_REALTIME);
}
