/** log p by the probability-flow ODE (Song et al. 2021, arXiv:2011.13456, eq. (39)). */
#ifndef VPSDE_LIKELIHOOD_H
#define VPSDE_LIKELIHOOD_H

#include <vpsde/solver.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vpsde_trace { VPSDE_TRACE_EXACT, VPSDE_TRACE_HUTCHINSON } vpsde_trace;
typedef enum vpsde_probe {
    VPSDE_PROBE_RADEMACHER,
    VPSDE_PROBE_GAUSSIAN,
    VPSDE_PROBE_SPHERE /* uniform on |v|^2 = d */
} vpsde_probe;

/** What stands for a row of data that lie on levels: a point of the row's level, drawn anew for
 *  each of `draws` solves. Their importance weights bound the probability P of the level, the
 *  tighter the more draws (Burda et al. 2016, arXiv:1509.00519). docs/likelihood.md. */
typedef enum vpsde_dequantization_kind {
    VPSDE_DEQUANTIZE_NONE,            /* x itself, at t_min */
    VPSDE_DEQUANTIZE_UNIFORM,         /* x + U(-width/2, width/2), at t_min */
    VPSDE_DEQUANTIZE_TRUNCATED_NORMAL /* alpha x + sigma u, u in TN(-tau, tau), which fills the
                                         level of x at t_min: tau = (width/2) alpha/sigma there
                                         (Zheng et al. 2023, arXiv:2305.03935) */
} vpsde_dequantization_kind;

typedef struct vpsde_dequantization {
    vpsde_dequantization_kind kind;
    double width; /* of a level, in units of x */
    size_t draws; /* K; 0: 1 */
} vpsde_dequantization;

/** One likelihood run over rows x (count, d). Zero-initialise, then set; pointers are borrowed.
 *
 *  log p_0(x) = log p_T(x_T) + int div F dphi along dx/dphi = F = (eps - sigma x)/alpha, from the
 *  process' t_min to t_max, one integration a row. Steps are controlled by the largest scaled
 *  component: those of x by atol + rtol |x|, and log p by logp_atol alone, however large it is, so
 *  that its error in nats follows logp_atol in every dimension. Of Hutchinson's probes the mean is
 *  controlled, not each one; the steps, and with them x(t) to within its tolerance, still depend on
 *  how many probes there are. */
typedef struct vpsde_likelihood {
    const char *label; /* group name; NULL: the integrator's name */
    const vpsde_process *process;
    const vpsde_model *model;
    const vpsde_solver_type *integrator; /* adaptive, of the probability-flow ODE */
    const double *param;
    double rtol, atol; /* of x */
    double logp_atol;  /* of log p, nats; 0: atol. Never relative */
    vpsde_trace trace;
    size_t probes; /* Hutchinson: k >= 1 */
    vpsde_probe probe;
    const double *covariance; /* (d, d) of data that are nearly Gaussian: control variate of the
                                 probes, which changes no expectation; NULL: none */
    bool budget; /* estimate every error: two looser solves more; changes no bit of logp */
    uint64_t seed;
    const double *x;         /* (count, d), or NULL: */
    vpsde_row_source source; /* rows first .. first + count - 1, as they are needed */
    size_t first, count;
    vpsde_dequantization dequantization;
    double bits_offset; /* bits_per_dim = -logp / (d log 2) + bits_offset */
    const int32_t *classes;
    size_t n_threads;
    vpsde_control control;
} vpsde_likelihood;

/** Runs. Columns: logp, prior_logp, delta_logp (nats), bits_per_dim; the terms of the budget, in
 *  nats: trace_stderr and trace_halfwidth (its two-sided 95 % interval by Student's t; 0 for an
 *  exact trace, NaN where too few tell no spread), ode_error, float32_floor, numerical_error (the
 *  sum of the last three, the half-width widened), truncation, terminal, dequantisation_gap and
 *  dequantisation_halfwidth (0 without dequantisation, NaN for one draw), and budget, the sum of
 *  all, in absolute values; dequantisation_logp; nfe, jvp, rejected, status.
 *  logp is log p at t_min of the model with its terminal law: numerical_error bounds its error as
 *  such, budget its error as log p_0. Of dequantised rows it is the draws' bound of log P, over
 *  width^d: log P = logp + d log width; prior_logp and delta_logp are then means over the draws by
 *  their weights, and logp = prior_logp + delta_logp + dequantisation_logp. Without `budget` all but the trace terms are NaN. nfe counts the
 *  evaluations of eps, one a right-hand side, of all solves; jvp the tangents that went with them.
 *  Returns as vpsde_sample; EINVAL for a t_min below vpsde_model_t_min. docs/likelihood.md. */
VPSDE_API vpsde_status vpsde_likelihood_run(const vpsde_likelihood *run, vpsde_sink *sink);

/** The same into an array: logp (count) nats. */
VPSDE_API vpsde_status vpsde_likelihood_array(const vpsde_likelihood *run, double *logp);

#ifdef __cplusplus
}
#endif
#endif
