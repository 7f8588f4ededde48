/* Arithmetic of a likelihood's error budget: what each term is made of, without solvers or models.
 * docs/likelihood.md says what the terms mean. */
#ifndef VPSDE_SOLVERS_BUDGET_H
#define VPSDE_SOLVERS_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/likelihood.h>

/* The solves that tell the ODE's error have their tolerances this much looser: two, because one
 * difference is small by chance in a tenth of the rows. */
enum { VPSDE_BUDGET_RUNGS = 2 };
static const double vpsde_budget_looser[VPSDE_BUDGET_RUNGS] = {10, 30};

/* All in nats; NaN where a term is not known. */
typedef struct vpsde_error_budget {
    double ode_error;
    double trace_stderr, trace_halfwidth;
    double float32_floor;
    double numerical_error;          /* their bound: of logp as the model's own log p at t_min */
    double truncation;               /* log p_0 - log p_{t_min} at x, signed */
    double truncation_halfwidth;     /* of its trace, and what first order leaves out; no column */
    double terminal;                 /* log p_T(x_T) - log N(x_T; 0, I), signed */
    double dequantisation_gap;       /* of the bound, on average */
    double dequantisation_halfwidth; /* of 95 % or more, over its draws */
    double total;                    /* of logp as log p_0 */
} vpsde_error_budget;

/* |t| below which Student's t with nu >= 1 degrees of freedom lies with probability 95 %. */
double vpsde_student_95(size_t nu);

/* Half the 95 % interval around the mean of k probes, in standard errors of that mean; NaN for one. */
double vpsde_probe_quantile(size_t k);

/* By how much that is widened in a bound: Student's interval takes v^T B v for normal. The most skewed
 * there is, chi-squared with one degree of freedom (B of rank one, Gaussian probes), it covers in 81 to
 * 95 of 100 cases; widened, in 95 to 97, for every k >= 2 (simulated). */
double vpsde_trace_widening(size_t k);

/* Standard error of the mean of each[0 .. k - 1]; NaN for k = 1. */
double vpsde_standard_error(const double *each, size_t k);

/* Whether k Rademacher probes are too few for an interval in d dimensions: with few values to take, all
 * k lie on the same side with probability 2^(1 - k), and then say that there is no other. */
bool vpsde_few_signs(size_t k, size_t d);

/* From the largest difference between the result and the looser solves of one row, and the tolerance of
 * the result in nats. */
double vpsde_ode_error(double difference, double atol);

/* log p_0 - log p_b at one x to first order in b, from d_b log p = (d + x.s + div s + |s|^2)/2. */
double vpsde_budget_truncation(double b, size_t d, double x_s, double div_s, double s_s);

/* log p_T(x) - log N(x; 0, I) to second order in alpha, from u(y) = y + s(y) = grad of that difference:
 * the quadratic through u(0) and u(x) with trace div u, normalised. */
double vpsde_budget_terminal(double x_u0, double x_ux, double u0_u0, double div_u);

/* Standard deviation of what float32 does to the right-hand side of log p, per unit of phi. */
typedef struct vpsde_rounding {
    double eps_eps, x_x; /* |eps|^2, |x|^2 */
    double j_j;          /* squared Frobenius norm of J_eps, or an estimate of it */
} vpsde_rounding;
double vpsde_rounding_rate(const vpsde_rounding *r, const vpsde_coef *c, size_t d);

/* The floor, from the integral of that rate over phi and the number of evaluations that made it up. */
double vpsde_rounding_floor(double integral, double count);

/* numerical_error and total, of a row with k probes (0: exact trace). */
void vpsde_budget_add(vpsde_error_budget *budget, size_t k);

#endif
