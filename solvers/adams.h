/* Adams-Bashforth for the probability-flow ODE dv/drho = eps, v = x/alpha, rho = sigma/alpha: eps
 * is replaced by the polynomial P(u) through its last p values in some variable u of time,
 *     x' = (alpha'/alpha) x + alpha' int_rho^rho' P(u(r)) dr
 *        = (alpha'/alpha) x + sum_j c_j eps_(k-j)
 * with exact integrals. Order p for every smooth u, on every smooth grid.
 * The steps that have to be of order 1 (to sigma = 0, VPSDE_LAST_LOWER_ORDER) are DDIM's.
 * Source: Zhang & Chen 2022 (arXiv:2204.13902), section 3 (DEIS). */
#ifndef VPSDE_SOLVERS_ADAMS_H
#define VPSDE_SOLVERS_ADAMS_H

#include "solvers/starters.h"

enum { VPSDE_ADAMS_MAX = 4, VPSDE_ADAMS_SCRATCH = VPSDE_ADAMS_MAX + VPSDE_START_SCRATCH };

typedef struct vpsde_adams_variable {
    double (*u)(const vpsde_coef *node, size_t k);
    /* on[m] = alpha' int (u - u_k)^m/m! drho over the step, m < VPSDE_ADAMS_MAX */
    void (*moments)(const vpsde_step *s, double *on);
} vpsde_adams_variable;

/* t and rho, and log(rho) = -lambda. */
extern const vpsde_adams_variable vpsde_adams_t, vpsde_adams_rho, vpsde_adams_log_rho;
/* The number of the node, with drho spread evenly over the step: the constant coefficients 1;
 * 3/2, -1/2; 23, -16, 5 (/12); 55, -59, 37, -9 (/24). Exact where rho is uniform; else order 2. */
extern const vpsde_adams_variable vpsde_adams_index;

/* Rows of the family's parameter tables, in this order and before any others. */
enum { VPSDE_ADAMS_ORDER, VPSDE_ADAMS_START, VPSDE_ADAMS_N_PARAMS };
enum { VPSDE_ADAMS_KEEP, VPSDE_ADAMS_UPSTREAM };
#define VPSDE_ADAMS_ORDER_ROW(p)                                                                   \
    {                                                                                              \
        .name = "order", .kind = VPSDE_PARAM_INT, .value = p, .min = 1, .max = VPSDE_ADAMS_MAX,    \
        .doc = "values of eps combined"                                                            \
    }
#define VPSDE_ADAMS_START_ROW                                                                      \
    {                                                                                              \
        .name = "start", .kind = VPSDE_PARAM_CHOICE, .choices = "keep|upstream",                   \
        .max = VPSDE_ADAMS_UPSTREAM,                                                               \
        .doc = "first steps: by Runge-Kutta in rho, or as upstream takes them"                     \
    }

/* Of methods whose upstream starts with the history there is: lms, ipndm, deis. */
vpsde_start vpsde_adams_start(const double *param);
void vpsde_adams_orders(const double *param, vpsde_orders *order, vpsde_orders *claimed);
size_t vpsde_adams_nfe(const double *param, const vpsde_grid *grid);
extern const vpsde_param vpsde_adams_params[]; /* order 4 and start */

/* One step of order p <= VPSDE_ADAMS_MAX after `start`; scratch: VPSDE_ADAMS_SCRATCH buffers. Where
 * history is short after the start, the order is what there is. */
vpsde_status vpsde_adams_step(vpsde_step *s, const vpsde_adams_variable *variable, size_t p,
                              const vpsde_start *start);

#endif
