/* Seconds that only grow: for durations, not for dates; and those that this process computed. */
#ifndef VPSDE_CORE_CLOCK_H
#define VPSDE_CORE_CLOCK_H

#include <time.h>

static inline double vpsde_clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline double vpsde_cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
