/* What the samples of a comparison are measured with: reference, law, resamples. */
#ifndef VPSDE_EXPERIMENTS_COMPARE_BENCH_H
#define VPSDE_EXPERIMENTS_COMPARE_BENCH_H

#include "experiments/compare.h"

typedef struct vpsde_bench vpsde_bench;

vpsde_status vpsde_bench_create(vpsde_bench **out, const vpsde_setup *s, const vpsde_cli *cli);
void vpsde_bench_destroy(vpsde_bench *b); /* NULL is fine */

/* (count, d) the caller's to fill with the reference's samples, NULL when it is no solver. */
double *vpsde_bench_reference(vpsde_bench *b);

/* Resamples, and rows of the law, of this seed; the reference is filled already. */
vpsde_status vpsde_bench_seed(vpsde_bench *b, size_t seed);

/* The metrics of samples x (count, d), and the replicates (VPSDE_RESAMPLES) of metric `leading` unless
 * that is NULL. */
vpsde_status vpsde_bench_measure(vpsde_compare_row *row, double *replicate, size_t leading,
                                 vpsde_bench *b, const double *x, bool paired);

/* The same of an exact sample of this seed; NaN where the model draws none. */
vpsde_status vpsde_bench_floor(vpsde_compare_row *row, vpsde_bench *b);

#endif
