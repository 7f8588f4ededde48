/* Metrics: how far a solver's samples are from the reference. One file each with one const table, one
 * line in registry.def. */
#ifndef VPSDE_ANALYSIS_METRICS_H
#define VPSDE_ANALYSIS_METRICS_H

#include <stddef.h>

#include <vpsde/status.h>

enum { VPSDE_METRICS_MAX = 16 };

/* What a metric sees. Samples and reference start from the same states and run along the same
 * Brownian paths, so sample i has its own distance |x_i - reference_i|_2. */
typedef struct vpsde_metric_input {
    size_t n;               /* samples that ended well in both, 1 or more */
    const double *distance; /* (n) ascending */
} vpsde_metric_input;

typedef struct vpsde_metric {
    const char *name; /* [a-z0-9-]; the column of the run file has _ for - */
    const char *units, *description;
    vpsde_status (*eval)(double *out, const vpsde_metric_input *in);
} vpsde_metric;

const vpsde_metric *vpsde_metric_at(size_t index); /* or NULL past the end */

/* distance (n): |x_i - reference_i|_2 of the rows (n, d) where it is finite, ascending; returns how
 * many those are. */
size_t vpsde_distances(double *distance, const double *x, const double *reference, size_t n,
                       size_t d);

/* The p-quantile, 0 <= p <= 1, of ascending values (n >= 1): linear between the order statistics at
 * p (n - 1) (Hyndman & Fan 1996, type 7: numpy's and R's default). */
double vpsde_quantile(const double *ascending, size_t n, double p);

#endif
