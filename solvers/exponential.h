/* Exponential integrators in lambda: what the samplers of the DPM-Solver family share.
 *
 * Over a step from `at` to the cleaner `next`, h = lambda' - lambda > 0, the semi-linear flow is
 *     eps: x' = (alpha'/alpha) x - sigma' int_0^h e^(h-u) eps du
 *     x0:  x' = (sigma'/sigma) e^(-eta h) x + alpha' (1+eta) int_0^h e^(-(1+eta)(h-u)) x0hat du
 *               + sigma' sqrt(1 - e^(-2 eta h)) z
 * (u = lambda past `at`; eta = 0: probability-flow ODE; eta = 1: reverse SDE). With f (eps or
 * x0hat) replaced by its Taylor polynomial at u = 0 that is
 *     x' = on_x x + on[0] f + on[1] f' + on[2] f'' + ... + noise z.
 * Methods differ in how they come by the derivatives: stages inside the step or values of earlier
 * nodes; vpsde_exponential_weights turns either into weights.
 * Source: Lu et al. 2022 (arXiv:2206.00927), proposition 3.1 and appendix B; Lu et al. 2022
 * (arXiv:2211.01095), proposition 4.1; Hochbruck & Ostermann 2010, Acta Numerica 19 (phi). */
#ifndef VPSDE_SOLVERS_EXPONENTIAL_H
#define VPSDE_SOLVERS_EXPONENTIAL_H

#include <vpsde/solver.h>

enum { VPSDE_EXPONENTIAL_TERMS = 5 };

/* phi_k(z) = int_0^1 e^((1-s) z) s^(k-1)/(k-1)! ds, k >= 1: phi_1 = (e^z - 1)/z,
 * phi_(k+1) = (phi_k - 1/k!)/z, phi_k(0) = 1/k!; full relative accuracy for either sign of z and
 * k <= 8, 0 and +inf at z = -inf and +inf. */
double vpsde_phi(unsigned k, double z);

/* One step's coefficients. In a step to sigma' = 0, where h = inf, the terms past the first are 0:
 * they grow without bound with h, so what is left is the limit of order 1, x' = x0hat. */
typedef struct vpsde_exponential {
    double h;                           /* lambda' - lambda; inf when sigma' = 0 */
    double on_x;                        /* of the state */
    double on[VPSDE_EXPONENTIAL_TERMS]; /* of f and its derivatives in lambda */
    double noise;                       /* of a standard normal z; 0 for eta = 0 */
} vpsde_exponential;

vpsde_exponential vpsde_exponential_eps(const vpsde_coef *at, const vpsde_coef *next);
vpsde_exponential vpsde_exponential_x0(const vpsde_coef *at, const vpsde_coef *next, double eta);

/* c (p) such that sum_j c_j f(tau_j) = sum_m on[m] f^(m)(0) for every polynomial f of degree < p:
 * the weights of values of f at the p <= VPSDE_EXPONENTIAL_TERMS distinct offsets tau (p) in lambda
 * from the start of the step; negative for earlier nodes. Bjoerck & Pereyra 1970. */
void vpsde_exponential_weights(size_t p, const double *tau, const double *on, double *c);

/* x0 <- x0hat = (x - sigma eps(x, c))/alpha, one network call. x0 must not be x. */
vpsde_status vpsde_x0hat(vpsde_step *s, const vpsde_coef *c, const double *x, double *x0);

/* x <- x0hat, one call: where every consistent method ends at sigma = 0. x0 is scratch. */
vpsde_status vpsde_step_to_data(vpsde_step *s, double *x0);

/* Does this step have to be of order 1: to sigma = 0, or the last one of VPSDE_LAST_LOWER_ORDER? */
bool vpsde_step_is_first_order(const vpsde_step *s);

/* Order of a p-step method's step: 1 where it has to be, fewer than p while history is short. */
size_t vpsde_multistep_order(const vpsde_step *s, size_t p);

/* The p-step method's step, x <- on_x x + sum_j c_j f_(k-j), with the values f of node k - j in
 * s->w[(k - j) % p], the present one included. */
void vpsde_multistep(vpsde_step *s, const vpsde_exponential *e, size_t p);

/* The same of a given order, at most vpsde_multistep_order(s, p). */
void vpsde_multistep_of(vpsde_step *s, const vpsde_exponential *e, size_t p, size_t order);

/* Order of a step of dpm-solver's own runs: runs below 10 steps end with lower orders, too. */
size_t vpsde_multistep_order_upstream(const vpsde_step *s, size_t p);

#endif
