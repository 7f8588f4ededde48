/* Metrics: how far a solver's samples are from the reference, or from the law they should have. One
 * file each with one const table, one line in registry.def. docs/comparing.md has the definitions. */
#ifndef VPSDE_ANALYSIS_METRICS_H
#define VPSDE_ANALYSIS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <vpsde/model.h>
#include <vpsde/sink.h>

#include "analysis/bootstrap.h"

enum { VPSDE_METRICS_MAX = 16 };

/* What a metric cannot do without. */
enum {
    VPSDE_METRIC_PAIRED = 1u << 0, /* reference rows of the same start states and Brownian paths */
    VPSDE_METRIC_TARGET = 1u << 1, /* rows of the law */
    VPSDE_METRIC_LOG_P = 1u << 2,  /* a model that knows log p, and whose law is meant */
    VPSDE_METRIC_SCORE = 1u << 3,  /* a model that differentiates its score, at sigma > 0 */
    VPSDE_METRIC_DATA = 1u << 4    /* the data set */
};

/* The law of features of the data: see frechet_dct.c. */
typedef struct vpsde_features vpsde_features;

/* What a metric sees; what it does not need may be NULL. Rows with one number belong together. */
typedef struct vpsde_metric_input {
    size_t n, d;              /* rows that ended well, 1 or more; values of each */
    const size_t *number;     /* (n) which sample a row is */
    size_t samples;           /* all, those included that failed */
    const double *x;          /* (n, d) */
    const double *distance;   /* (n) |x_i - reference_i|_2 */
    const double *target;     /* (n, d) rows of the law, independent of x or of the same starts */
    const double *mean;       /* (d) exact, where it is known */
    const double *covariance; /* (d, d) likewise */
    double bandwidth;         /* of the kernel of mmd: vpsde_bandwidth() of the target */
    uint64_t seed;            /* of random numbers beside those of the samples */
    const vpsde_model *model;
    vpsde_coef end;         /* the time at which x stands */
    const int32_t *classes; /* (n), or NULL: none */
    const vpsde_row_source *data;
    size_t data_first, data_count;
    const vpsde_features *features; /* of the data */
    const volatile int *stop;       /* non-zero asks to give up: ESTOPPED; NULL: never */
} vpsde_metric_input;

typedef struct vpsde_metric {
    const char *name; /* [a-z0-9-]; the column of the run file has _ for - */
    const char *units, *description;
    unsigned needs;
    double ideal;   /* of a sample of the right law; NaN: what an exact sample has */
    size_t dim_max; /* 0: any */
    unsigned rank;  /* 1: the first choice to rank solvers by, 2: the next; 0: no choice */
    vpsde_status (*measure)(vpsde_statistic *out, const vpsde_metric_input *in);
} vpsde_metric;

const vpsde_metric *vpsde_metric_at(size_t index); /* or NULL past the end */

/* ESTOPPED when the input asks to give up; looks every 1024th row. */
vpsde_status vpsde_metric_look(const vpsde_metric_input *in, size_t row);

/* distance (n): |x_i - reference_i|_2 of the rows (n, d). */
void vpsde_distances(double *distance, const double *x, const double *reference, size_t n,
                     size_t d);

/* The p-quantile, 0 <= p <= 1, of ascending values (n >= 1): linear between the order statistics at
 * p (n - 1) (Hyndman & Fan 1996, type 7: numpy's and R's default). */
double vpsde_quantile(const double *ascending, size_t n, double p);

/* Median distance of different rows of the first 512: the heuristic for a Gaussian kernel's width
 * (Gretton et al. 2012, section 8). 1 where that is 0. */
vpsde_status vpsde_bandwidth(double *out, const double *rows, size_t n, size_t d);

/* Mean and covariance of the features of rows first .. first + count - 1 of the data. Image shape
 * (channel, row, column), or (1, 1, d) for rows that are no images. */
vpsde_status vpsde_features_create(vpsde_features **out, const vpsde_row_source *data, size_t first,
                                   size_t count, const size_t shape[3]);
void vpsde_features_destroy(vpsde_features *f); /* NULL is fine */

/* A quantile of the distances as a statistic. */
vpsde_status vpsde_measure_quantile(vpsde_statistic *out, const vpsde_metric_input *in, double p);

/* The mean over pairs i != j of k(x_i, y_j) + k(y_i, x_j) - k(x_i, x_j) - k(y_i, y_j), y the target:
 * unbiased for 2 E k(x, y) - E k(x, x') - E k(y, y') also where x_i and y_i depend on each other (Gretton
 * et al. 2012, Lemma 6). `kernel` turns m squared distances into k. At most the first
 * vpsde_pair_rows(d) rows, for it takes n^2 d operations. */
typedef void (*vpsde_kernel_fn)(double *square, size_t m, double bandwidth);
vpsde_status vpsde_measure_pairs(vpsde_statistic *out, const vpsde_metric_input *in,
                                 vpsde_kernel_fn kernel);
size_t vpsde_pair_rows(size_t d);

#endif
