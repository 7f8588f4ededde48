/** log p by the probability-flow ODE (Song et al. 2021, arXiv:2011.13456, eq. (39)). */
#ifndef VPSDE_LIKELIHOOD_H
#define VPSDE_LIKELIHOOD_H

#include <vpsde/solver.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vpsde_trace { VPSDE_TRACE_EXACT, VPSDE_TRACE_HUTCHINSON } vpsde_trace;
typedef enum vpsde_probe { VPSDE_PROBE_RADEMACHER, VPSDE_PROBE_GAUSSIAN } vpsde_probe;

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
    uint64_t seed;
    const double *x; /* (count, d) at t_min, already dequantised and scaled */
    size_t first, count;
    double bits_offset; /* bits_per_dim = -logp / (d log 2) + bits_offset */
    const int32_t *classes;
    size_t n_threads;
    vpsde_control control;
} vpsde_likelihood;

/** Runs. Columns: logp, prior_logp, delta_logp (nats), bits_per_dim, trace_stderr (nats; 0 for an
 *  exact trace, NaN for one probe), nfe, jvp, rejected, status. nfe counts the
 *  evaluations of eps that the ODE asks for, one a right-hand side; jvp the tangents that went with
 *  them. Returns as vpsde_sample; EINVAL for a t_min below vpsde_model_t_min. */
VPSDE_API vpsde_status vpsde_likelihood_run(const vpsde_likelihood *run, vpsde_sink *sink);

/** The same into an array: logp (count) nats. */
VPSDE_API vpsde_status vpsde_likelihood_array(const vpsde_likelihood *run, double *logp);

#ifdef __cplusplus
}
#endif
#endif
