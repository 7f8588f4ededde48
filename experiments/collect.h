/* A sink that keeps the final states of one sampling in memory and adds up its ledger. */
#ifndef VPSDE_EXPERIMENTS_COLLECT_H
#define VPSDE_EXPERIMENTS_COLLECT_H

#include <vpsde/sink.h>

typedef struct vpsde_collect {
    vpsde_sink sink; /* pass &collect.sink; the struct must not move */
    double *x;       /* (count, dim) the caller's: final states, NaN where a sample failed */
    size_t first, dim;
    size_t final, nfe, jvp, rejected, status; /* their columns */
    double sum_nfe, sum_jvp, sum_rejected;    /* exact: sums of whole numbers */
    size_t n_failed;
} vpsde_collect;

void vpsde_collect_init(vpsde_collect *collect, double *x, size_t dim);

#endif
