/* Inside of the order measurements (solvers/orders.h): the problems, and one file a kind. */
#ifndef VPSDE_SOLVERS_ORDERS_IMPL_H
#define VPSDE_SOLVERS_ORDERS_IMPL_H

#include "solvers/chain.h"
#include "solvers/orders.h"

/* ---- problems ------------------------------------------------------------------------------- */

enum { ORDERS_COMPONENTS = 2, ORDERS_POINTS = 24, ORDERS_PATHS = 512, ORDERS_SEED = 21 };

/* A 1-D mixture of Gaussians; its marginal at any time is one too. */
typedef struct orders_law {
    size_t n;
    double w[ORDERS_COMPONENTS], mu[ORDERS_COMPONENTS], v[ORDERS_COMPONENTS];
} orders_law;

double orders_density(const orders_law *law, const vpsde_coef *c, double x);
double orders_score(const orders_law *law, const vpsde_coef *c, double x);
double orders_cdf(const orders_law *law, const vpsde_coef *c, double x);
double orders_quantile(const orders_law *law, const vpsde_coef *c, double p);
double orders_mean(const orders_law *law, const vpsde_coef *c);
double orders_variance(const orders_law *law, const vpsde_coef *c);
/* E s(x)^2, the mean square of the score. */
double orders_score_square(const orders_law *law, const vpsde_coef *c);

/* x = R(angle) u with independent u_j of law[j]; d = 1: no rotation. */
typedef struct orders_problem {
    const char *name;
    size_t d;
    orders_law law[2];
    double angle;
    vpsde_model *model;
} orders_problem;

/* The probability-flow ODE's map from time t to s, x (d) in place. */
void orders_flow(const orders_problem *p, const vpsde_coef *t, const vpsde_coef *s, double *x);
/* Start states spread over the law at t: x (ORDERS_POINTS, d). */
void orders_points(const orders_problem *p, const vpsde_coef *t, double *x);

/* Where those are at s: end (ORDERS_POINTS, d); and root mean square distance of two such sets. */
void orders_ends(const orders_problem *p, const vpsde_coef *t, const vpsde_coef *s,
                 const double *start, double *end);
double orders_distance(const orders_problem *p, const double *x, const double *y);

enum {
    ORDERS_GAUSSIAN,
    ORDERS_NARROW,
    ORDERS_CLOSE,
    ORDERS_BENT,
    ORDERS_ROTATED,
    ORDERS_SHARP,
    ORDERS_N_PROBLEMS
};

/* Fine end states on ORDERS_BENT of dx = (x + (1 + chi^2) s)/2 db + chi dw. */
typedef struct orders_fine {
    double chi, x[ORDERS_PATHS];
} orders_fine;

typedef struct orders_lab {
    vpsde_process *process;
    orders_problem problem[ORDERS_N_PROBLEMS];
    orders_fine *fine; /* (n_fine) */
    size_t n_fine;
    const vpsde_control *control;
} orders_lab;

vpsde_status orders_lab_create(orders_lab **out, const vpsde_control *control);
void orders_lab_destroy(orders_lab *lab); /* NULL is fine */

/* A model with the bits of `of` that takes up to `rows` rows a call. */
typedef struct orders_wide_model {
    vpsde_model model;
    vpsde_model_type type;
} orders_wide_model;
void orders_widen(orders_wide_model *wide, const vpsde_model *of, size_t rows);

/* n steps between two times: equal in b, equal in lambda, or in lambda with smoothly varying
 * lengths (a factor of 3 between the longest and the shortest). */
typedef enum orders_spacing {
    ORDERS_IN_B,
    ORDERS_IN_LAMBDA,
    ORDERS_WARPED,
    ORDERS_WIDE /* equal in lambda, over more of it */
} orders_spacing;
vpsde_status orders_grid(vpsde_grid **out, const orders_lab *lab, orders_spacing spacing, size_t n);

/* A chain of the case's solver on that grid, with the exact table of E|s|^2 where it prepares one.
 * Everything in it is the run's to free with orders_run_close(). */
typedef struct orders_run {
    vpsde_grid *grid;
    double *table;
    orders_wide_model wide;
    vpsde_sampling sampling;
    vpsde_chain *chain;
} orders_run;
vpsde_status orders_run_open(orders_run *run, const orders_lab *lab, const vpsde_orders_case *c,
                             const orders_problem *p, orders_spacing spacing, size_t n_steps,
                             size_t rows, const vpsde_noise_source *noise);
void orders_run_close(orders_run *run);

/* ---- one file a kind: fills curve->steps, nfe, error, n ------------------------------------- */

typedef vpsde_status (*orders_measure)(vpsde_orders_curve *curve, const orders_lab *lab,
                                       const vpsde_orders_case *c);
vpsde_status orders_ode_gaussian(vpsde_orders_curve *curve, const orders_lab *lab,
                                 const vpsde_orders_case *c);
vpsde_status orders_ode_mixture(vpsde_orders_curve *curve, const orders_lab *lab,
                                const vpsde_orders_case *c);
vpsde_status orders_strong_gaussian(vpsde_orders_curve *curve, const orders_lab *lab,
                                    const vpsde_orders_case *c);
vpsde_status orders_strong_mixture(vpsde_orders_curve *curve, const orders_lab *lab,
                                   const vpsde_orders_case *c);
vpsde_status orders_weak_gaussian(vpsde_orders_curve *curve, const orders_lab *lab,
                                  const vpsde_orders_case *c);
vpsde_status orders_weak_narrow(vpsde_orders_curve *curve, const orders_lab *lab,
                                const vpsde_orders_case *c);
vpsde_status orders_weak_mixture(vpsde_orders_curve *curve, const orders_lab *lab,
                                 const vpsde_orders_case *c);

/* One step of a solver that chooses its own, its control of them switched off: x (n, d) of samples
 * 0 .. n - 1; adds a sample's network calls. */
vpsde_status orders_hop(const orders_lab *lab, const vpsde_orders_case *c, const orders_problem *p,
                        const vpsde_coef *from, const vpsde_coef *to, size_t n, double *x,
                        double *calls);
/* Such a step from node[0] to node[1] on a Gaussian, as x' = A x + c + g z. */
vpsde_status orders_hop_affine(double *A, double *c0, double *g, const orders_lab *lab,
                               const vpsde_orders_case *c, const orders_problem *p,
                               const vpsde_coef *node, double *calls);

/* The share of noise chi of the SDE dx = (x + (1 + chi^2) s)/2 db + chi dw that the case solves. */
vpsde_status orders_share_of_noise(double *chi, const orders_lab *lab, const vpsde_orders_case *c);

/* The fine end states for every share of noise that the strong cases have. */
vpsde_status orders_strong_prepare(orders_lab *lab, const vpsde_orders_case *cases, size_t n,
                                   size_t n_threads);

#endif
