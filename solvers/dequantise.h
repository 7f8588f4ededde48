/* Data on levels: start points of the flow inside a row's level, and what several of them say about
 * the probability of that level. docs/likelihood.md says what the terms mean. */
#ifndef VPSDE_SOLVERS_DEQUANTISE_H
#define VPSDE_SOLVERS_DEQUANTISE_H

#include <vpsde/likelihood.h>

#include "solvers/flow.h"

/* The same for all rows of a run. */
typedef struct vpsde_dequantiser {
    vpsde_dequantization how; /* draws >= 1 */
    size_t d;
    double alpha, sigma;          /* at t_min */
    double tau;                   /* half a level's width in units of sigma/alpha */
    double within, tail;          /* of N(0, 1): P(|u| <= tau), P(u > tau) */
    double log_density, log_cell; /* nats a dimension: of N(u; 0, 1)/within at u = 0; of
                                     sigma over the width */
} vpsde_dequantiser;

/* EINVAL for levels without a width or a t_min of 0 where sigma > 0 is needed. */
vpsde_status vpsde_dequantiser_init(vpsde_dequantiser *q, const vpsde_dequantization *how,
                                    const vpsde_coef *start, size_t d);

/* The start point x (d) that the uniforms v (d) choose for the data x0 (d): may be v itself.
 * Returns -log r(x) - d log width, so that log p(x) plus it is a log weight log w of the mean
 * density of the level: E w is the model's mass on the level over width^d. */
double vpsde_dequantise_at(const vpsde_dequantiser *q, const double *x0, const double *v,
                           double *x);

/* The same with draw number `draw` of the noise of row `row`. */
double vpsde_dequantise(const vpsde_dequantiser *q, uint64_t seed, uint64_t row, size_t draw,
                        const double *x0, double *x);

/* K draws of one row, added one after another. */
typedef struct vpsde_draws {
    size_t n;
    vpsde_row_status status;
    double top;                   /* largest log w */
    double mean, square;          /* of log w: mean, sum of squared deviations */
    double weight, weight_square; /* sums of w/w_top and its square */
    double prior, delta;          /* sums weighted with w/w_top, of these and of the budget */
    vpsde_error_budget budget;
    uint64_t n_rhs, n_rejected;
} vpsde_draws;

void vpsde_draws_begin(vpsde_draws *draws);
/* One solve, and what vpsde_dequantise returned for it. */
void vpsde_draws_add(vpsde_draws *draws, double correction, const vpsde_flow_result *result);
/* All draws as one result; the row's log p, the log of the mean of w, goes to *logp. */
void vpsde_draws_end(const vpsde_draws *draws, const vpsde_dequantiser *q,
                     vpsde_flow_result *result, double *logp);

#endif
