/* Where a run's time goes, seen from outside: a model, a solver and a sink that stand in for the run's
 * own, do the same work, and read the clock before and after a call. Runs that are not watched pay
 * nothing. One watched run at a time. */
#ifndef VPSDE_EXPERIMENTS_BENCH_CLOCK_H
#define VPSDE_EXPERIMENTS_BENCH_CLOCK_H

#include <vpsde/solver.h>

/* Seconds summed over threads, the clock's own left out. */
typedef struct vpsde_bench_times {
    double network; /* the model's evaluations */
    double noise;   /* driving noise and draws of fixed steps */
    double solver;  /* steps without the two above; of an adaptive solver all that its threads do
                       between their start and end but the network and the log */
    double log;     /* between two steps, and in the sink */
    double open;    /* workspaces of the model */
    double clock;   /* reading it */
    double rows;    /* of all network calls, padding included */
    double flows;   /* the same with tangents: rows (1 + k) */
} vpsde_bench_times;

typedef struct vpsde_bench_clock {
    vpsde_model model;
    vpsde_model_type model_type;
    vpsde_solver_type solver;
    vpsde_sink sink;
    const vpsde_model_type *own_model;
    const vpsde_solver_type *own_solver;
    double read; /* seconds of one reading */
} vpsde_bench_clock;

/* Makes *run use the clock's stand-ins, and `clock->sink` stand for `sink` (NULL: run it without one). `clock`
 * stays where it is until vpsde_bench_clock_stop(). */
void vpsde_bench_clock_start(vpsde_bench_clock *clock, vpsde_sampling *run, vpsde_sink *sink);
void vpsde_bench_clock_stop(vpsde_bench_times *times);

#endif
