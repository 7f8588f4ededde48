/* The terms of the discrete bound, one row and one chain at a time. */
#ifndef VPSDE_SOLVERS_ELBO_TERMS_H
#define VPSDE_SOLVERS_ELBO_TERMS_H

#include <vpsde/elbo.h>

/* Step t of the chain, from x_t to x_{t-1}. */
typedef struct vpsde_elbo_step {
    const vpsde_coef *at;
    vpsde_posterior q; /* of x_{t-1} given x_t and x0; q.var is 0 at t = 1 */
    double a;          /* alpha_t / alpha_{t-1}: x_t = a x_{t-1} + sqrt(q.beta) z */
    double v;          /* variance of p_theta(x_{t-1} | x_t) */
    double log_snr;    /* what the node stands for of an integral over log snr */
} vpsde_elbo_step;

/* step[t - 1] of t = 1 .. T = grid->n_steps. eps_square: E|eps|^2 at every node of the grid, for
 * VPSDE_ELBO_OPTIMAL alone. */
void vpsde_elbo_steps(vpsde_elbo_step *step, const vpsde_grid *grid, vpsde_elbo_variance variance,
                      const double *eps_square, size_t d);

/* KL(q(x_T | x0) | N(0, I)) */
double vpsde_elbo_prior(const vpsde_coef *end, size_t d, const double *x0);

/* KL(q(x_{t-1} | x_t, x0) | p_theta(x_{t-1} | x_t)), t > 1, from |x0hat - x0|^2. */
double vpsde_elbo_kl(const vpsde_elbo_step *s, size_t d, double mse_x0);

/* -log p_theta(x0 | x_1): a density, or the probability of x0's level. */
double vpsde_elbo_data(const vpsde_elbo_step *first, const vpsde_levels *levels, size_t d,
                       const double *x0, const double *x0hat);

/* log p_theta(x_{t-1} | x_t) - log q(x_t | x_{t-1}), t > 1, where x_t was made with noise z. */
double vpsde_elbo_ratio(const vpsde_elbo_step *s, size_t d, const double *x_before, const double *x,
                        const double *x0hat, const double *z);
/* The same at t = 1, from -log p_theta(x0 | x_1). */
double vpsde_elbo_ratio_data(const vpsde_elbo_step *first, size_t d, double l_0, const double *z);

#endif
