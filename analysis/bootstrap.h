/* The bootstrap (Efron & Tibshirani 1993) of the statistics that the metrics are made of.
 *
 * What is resampled are samples: a row of one solver, of another one, of the reference and of the
 * target that carry one number stay together, so replicates of two solvers under common noise may be
 * subtracted one by one. Samples are dealt to units (sample number modulo their number), which are
 * resampled whole; rows are independent, so units are as well, and the cost does not grow with the
 * samples. Numbers come from Philox addresses: nothing depends on threads or on what ran before. */
#ifndef VPSDE_ANALYSIS_BOOTSTRAP_H
#define VPSDE_ANALYSIS_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

enum {
    VPSDE_RESAMPLES = 2000,
    VPSDE_UNITS_MAX = 1024,     /* of means and quantiles */
    VPSDE_PAIR_UNITS_MAX = 128, /* of statistics of pairs of rows */
    VPSDE_COLUMNS_MAX = 2
};

typedef enum vpsde_statistic_kind {
    VPSDE_STATISTIC_MEANS,    /* a function of the means of columns */
    VPSDE_STATISTIC_QUANTILE, /* of the first column */
    VPSDE_STATISTIC_PAIRS     /* mean of a kernel over pairs of different rows */
} vpsde_statistic_kind;

/* A statistic of n rows that can be computed again from resampled ones. */
typedef struct vpsde_statistic {
    vpsde_statistic_kind kind;
    double value;         /* of the rows as they are */
    size_t n;             /* rows */
    const size_t *number; /* (n) the samples that they are of; borrowed */
    size_t n_columns;
    double *column; /* (n_columns, n) owned */
    /* MEANS: the statistic of the columns' means; NULL: the mean itself */
    double (*finish)(const double *mean);
    bool is_smooth; /* MEANS: BCa holds; else percentiles */
    double p;       /* QUANTILE: which, 0 to 1 */
    /* PAIRS: (VPSDE_PAIR_UNITS_MAX, VPSDE_PAIR_UNITS_MAX) owned: kernel and pairs summed over the rows of
     * unit u with those of unit v, symmetric; u == v does not count, for the copies of a unit in a
     * resample are not independent */
    double *kernel, *pairs;
} vpsde_statistic;

void vpsde_statistic_free(vpsde_statistic *s);

/* Room for the columns. */
vpsde_status vpsde_statistic_open(vpsde_statistic *s, size_t n, const size_t *number,
                                  size_t n_columns);
/* After the columns of MEANS are filled: the value. */
void vpsde_statistic_close(vpsde_statistic *s);

/* Which units each resample takes, for n samples. */
typedef struct vpsde_resampling {
    size_t units, pair_units;
    uint8_t *count, *pair_count; /* (VPSDE_RESAMPLES, units), (VPSDE_RESAMPLES, pair_units) */
} vpsde_resampling;

/* Units of n samples in statistics of pairs. */
size_t vpsde_pair_units(size_t n);

vpsde_status vpsde_resampling_create(vpsde_resampling **out, size_t n, uint64_t seed);
void vpsde_resampling_destroy(vpsde_resampling *r);

/* replicate[b] = the statistic of resample b, (VPSDE_RESAMPLES). `n` of the resampling is the number
 * of all samples, of which the statistic may lack some. */
vpsde_status vpsde_bootstrap(double *replicate, const vpsde_statistic *s,
                             const vpsde_resampling *r);

typedef struct vpsde_interval {
    double low, high;
} vpsde_interval;

/* The interval of nominal probability `level`: BCa (Efron 1987) with the jackknife's acceleration
 * over units where `s` is smooth, else percentiles. */
vpsde_status vpsde_bootstrap_interval(vpsde_interval *out, const vpsde_statistic *s,
                                      const vpsde_resampling *r, const double *replicate,
                                      double level);

/* Percentiles of replicates as they come. */
vpsde_status vpsde_percentile_interval(vpsde_interval *out, const double *replicate, double level);

/* The interval of the mean of n independent estimates from their own ones (Zou & Donner 2008,
 * Stat. Med. 27:1693). */
vpsde_interval vpsde_pool_intervals(double *mean, const double *value, const vpsde_interval *of,
                                    size_t n);

#endif
