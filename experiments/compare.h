/* A comparison's results: one row a case (solver, budget, seed), as a table and on the terminal. */
#ifndef VPSDE_EXPERIMENTS_COMPARE_H
#define VPSDE_EXPERIMENTS_COMPARE_H

#include "analysis/metrics.h"
#include "experiments/setup.h"

typedef struct vpsde_compare_row {
    int32_t solver, seed, grid;
    int64_t steps; /* -1: chooses its own */
    double budget, rtol, atol;
    double nfe, rejected; /* means over the samples */
    int64_t failed;
    double metric[VPSDE_METRICS_MAX]; /* in the order of vpsde_metric_at */
    double wall_s;                    /* NaN for a case from before an interruption */
} vpsde_compare_row;

/* Number of cases. */
size_t vpsde_compare_cases(const vpsde_setup *s);

/* The table /compare, announced to `sink`, and its rows. */
vpsde_status vpsde_compare_begin(vpsde_sink *sink, const vpsde_setup *s);
vpsde_status vpsde_compare_write(vpsde_sink *sink, const vpsde_setup *s, size_t number,
                                 const vpsde_compare_row *row);
/* Rows from before an interruption into rows (cases). */
vpsde_status vpsde_compare_load(vpsde_compare_row *rows, const vpsde_setup *s, vpsde_run *run);
/* The times of all cases, under /provenance/compare. */
vpsde_status vpsde_compare_times(vpsde_sink *sink, const vpsde_setup *s,
                                 const vpsde_compare_row *rows);

/* Every level, then the errors against the evaluations; means over the seeds. */
void vpsde_compare_print(const vpsde_setup *s, const vpsde_compare_row *rows);

#endif
