/* Measured orders of convergence: what `vpsde verify` stands on.
 *
 * Every registered solver, and every one of its `forms`, is run on problems with exact answers at
 * step counts that double; the order is the slope of log error against log steps at the fine end of
 * the window in which the error is a small share of the answer and well above rounding. What is
 * reported is the least favourable problem.
 *   ode     the flow map of a Gaussian (uniform lambda grid) and of a rotated product of mixtures
 *           (lambda grid of smoothly varying steps), against x_s = F_s^-1(F_t(x_t)) a factor
 *   strong  rms distance of end states to the exact ones along the same Brownian paths,
 *           grids equally spaced in b. Gaussian: exact, by what each elementary normal of the path
 *           does. Mixture: sampled paths, against a fine run of SRA1 (Roessler 2010, strong order
 *           1.5) written out in orders_strong.c
 *   weak    law of the end state, without Monte Carlo. Two Gaussians: mean and variance of the
 *           affine chain, multistep included. Mixture, single-step solvers: E f(x) for smooth f by
 *           backward Chapman-Kolmogorov quadrature
 * Solvers that choose their own steps: their formula over the intervals of such grids, with
 * tolerances that accept every step. A form that solves another SDE of the family, less noise and
 * less score, is compared with that one. */
#ifndef VPSDE_SOLVERS_ORDERS_H
#define VPSDE_SOLVERS_ORDERS_H

#include <vpsde/solver.h>

typedef enum vpsde_order_kind {
    VPSDE_ORDER_NONE, /* the form declares no order: nothing is measured, nothing can miss */
    VPSDE_ORDER_ODE,
    VPSDE_ORDER_STRONG,
    VPSDE_ORDER_WEAK,
    VPSDE_N_ORDER_KINDS
} vpsde_order_kind;

/* "none", "ode", "strong", "weak" */
extern const char *const vpsde_order_kind_name[VPSDE_N_ORDER_KINDS];

enum { VPSDE_ORDERS_CURVE = 12, VPSDE_ORDERS_TEXT = 96 };

/* One problem's errors: n points, budgets rising. */
typedef struct vpsde_orders_curve {
    const char *problem; /* "gaussian", "narrow gaussian", "mixture" */
    size_t n, n_used;    /* the last n_used in the window are what `order` is from */
    double steps[VPSDE_ORDERS_CURVE], nfe[VPSDE_ORDERS_CURVE], error[VPSDE_ORDERS_CURVE];
    double order; /* NaN: too few points in the window (exact, or never accurate) */
    bool exact;   /* no error above rounding */
} vpsde_orders_curve;

enum { VPSDE_ORDERS_PROBLEMS = 3 };

/* One row of the table: a solver at parameters, one kind of order. */
typedef struct vpsde_orders_case {
    const vpsde_solver_type *solver;
    char form[VPSDE_ORDERS_TEXT]; /* "" for the defaults */
    double param[VPSDE_PARAM_MAX];
    vpsde_order_kind kind;
    double declared; /* 0: has none, for all that is claimed */
    double claimed;  /* 0: nobody claims anything else */
    double tolerance;
    /* what was measured */
    double measured; /* NaN: nothing could be */
    bool pass;       /* measured within the tolerance of declared; declared 0: short of the claim */
    size_t n_curves, worst; /* curve[worst] is the least favourable */
    vpsde_orders_curve curve[VPSDE_ORDERS_PROBLEMS];
} vpsde_orders_case;

/* The rows of these solvers (n_types 0: of every registered one), in order: of each its defaults
 * and its forms, every kind that is declared, or claimed by others. `cases` (n) fresh, to be freed.
 * EINTERNAL for a form that its own table of parameters refuses. */
vpsde_status vpsde_orders_plan(vpsde_orders_case **cases, size_t *n,
                               const vpsde_solver_type *const *types, size_t n_types);

/* Measures every row; a row that misses is not a failure of this function. Deterministic: the same
 * numbers for any number of threads. ENOMEM, ESTOPPED, what a step returns. */
vpsde_status vpsde_orders_measure(vpsde_orders_case *cases, size_t n, size_t n_threads,
                                  const vpsde_control *control);

#endif
