/* A comparison's results: one row a case (solver, budget, seed), as a table and on the terminal. */
#ifndef VPSDE_EXPERIMENTS_COMPARE_H
#define VPSDE_EXPERIMENTS_COMPARE_H

#include "analysis/metrics.h"
#include "experiments/setup.h"

typedef struct vpsde_compare_row {
    int32_t solver, seed, grid; /* seed -1: all of them */
    int64_t steps;              /* -1: chooses its own */
    double budget, rtol, atol;
    double nfe, jvp, rejected; /* means over the samples */
    int64_t failed;
    /* in the order of vpsde_metric_at, with the bounds of their 95 % intervals; NaN: not measured */
    double metric[VPSDE_METRICS_MAX], low[VPSDE_METRICS_MAX], high[VPSDE_METRICS_MAX];
    double bandwidth;         /* of the kernel of mmd */
    double wall_s, nfe_per_s; /* NaN for a case from before an interruption */
} vpsde_compare_row;

/* Who is best within a number of evaluations, by the leading metric, and is it so? The intervals of the
 * differences to all others hold together with 95 %: docs/comparing.md. */
typedef struct vpsde_verdict {
    double budget;
    int32_t best, next; /* entries; their number: nobody */
    double best_value, next_value;
    /* how much farther from the ideal the next one is, with its interval, of paired differences */
    double difference, low, high;
    uint64_t tied, failed;  /* bit i: entry i cannot be told from the best; is not ranked */
    int64_t ties, unranked; /* how many */
    uint8_t is_real;        /* the best is farther than chance from every other one */
} vpsde_verdict;

/* The order that an entry shows in a metric: minus the slope of log error against log evaluations. */
typedef struct vpsde_slope {
    int32_t solver, metric;
    double order, nfe_first, nfe_last; /* NaN below three levels in the window */
    int64_t points;
} vpsde_slope;

enum { VPSDE_BUDGETS_MAX = 12 };

/* Everything that follows from the cases. */
typedef struct vpsde_compare_summary {
    vpsde_compare_row *pooled; /* (levels) means over the seeds */
    vpsde_compare_row *floor;  /* (seeds + 1) an exact sample; the last of all seeds */
    vpsde_verdict verdict[VPSDE_BUDGETS_MAX];
    size_t n_verdicts;
    vpsde_slope *slope; /* (n_slopes) */
    size_t n_slopes;
} vpsde_compare_summary;

/* Number of cases; case = level x seeds + seed. */
size_t vpsde_compare_cases(const vpsde_setup *s);

bool vpsde_compare_wants(const vpsde_setup *s, size_t metric);

/* The metric that solvers are ranked by: that of the best rank which was asked for and which every entry
 * has, else the first such one, else the first that was asked for. */
size_t vpsde_compare_leading(const vpsde_setup *s);

/* The level of an entry with the most evaluations that stay within `budget`, or n_levels. */
size_t vpsde_compare_within(const vpsde_compare_summary *summary, const vpsde_setup *s,
                            size_t entry, double budget);

/* The same where the entry is ranked there: none of its samples failed. */
size_t vpsde_compare_ranked(const vpsde_compare_summary *summary, const vpsde_setup *s,
                            const vpsde_verdict *verdict, size_t entry);

/* How far a value of a metric is from the ideal; `floor`: an exact sample's. */
double vpsde_compare_error(size_t metric, double value, double floor);

/* The table /compare, announced to `sink`, and its rows. */
vpsde_status vpsde_compare_begin(vpsde_sink *sink, const vpsde_setup *s);
vpsde_status vpsde_compare_write(vpsde_sink *sink, const vpsde_setup *s, size_t number,
                                 const vpsde_compare_row *row);
/* Rows from before an interruption into rows (cases). */
vpsde_status vpsde_compare_load(vpsde_compare_row *rows, const vpsde_setup *s, vpsde_run *run);

/* The tables of the summary: /compare/pooled, floor, verdict, order. */
vpsde_status vpsde_compare_write_summary(vpsde_sink *sink, const vpsde_setup *s,
                                         const vpsde_compare_summary *summary);
/* The times of all cases, under /provenance/compare. */
vpsde_status vpsde_compare_times(vpsde_sink *sink, const vpsde_setup *s,
                                 const vpsde_compare_row *rows);

/* compare_summary.c: everything but the differences of the verdicts, which need samples. `floor` holds
 * the seeds' rows. */
vpsde_status vpsde_compare_summarise(vpsde_compare_summary *summary, const vpsde_setup *s,
                                     const vpsde_compare_row *rows);
void vpsde_compare_summary_free(vpsde_compare_summary *summary);

/* Below this, tolerances of an integration cost evaluations and give no digits where the network
 * computes in float32: docs/comparing.md. */
#define VPSDE_FLOAT32_TOLERANCE 1e-7

/* A line on stderr where the reference is asked for more than float32 has. */
void vpsde_compare_warn(const vpsde_setup *s);

/* Every level, then the errors against the evaluations. */
vpsde_status vpsde_compare_print(const vpsde_setup *s, const vpsde_compare_summary *summary);

#endif
