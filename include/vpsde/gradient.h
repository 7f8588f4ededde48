/** Derivatives of the likelihood: grad_x log p by the probability-flow ODE and its forward
 *  sensitivities. For closed-form models. */
#ifndef VPSDE_GRADIENT_H
#define VPSDE_GRADIENT_H

#include <vpsde/likelihood.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The gradient, with respect to x at t_min, of the logp that vpsde_likelihood_run computes for
 *  each row: for an exact terminal law the model's score. One integration a row of 1 + 2 d + d^2
 *  equations, all controlled: log p by logp_atol, the others by atol and rtol.
 *  Columns: grad_logp (row, dim...; float64), logp (nats), nfe (one a right-hand side), jvp,
 *  rejected, status. Of the run, trace, probes, budget, seed, dequantization (none only) and
 *  bits_offset are not used. EINVAL for a model without VPSDE_MODEL_DIV_GRADIENT and JVP; else as
 *  vpsde_likelihood_run. */
VPSDE_API vpsde_status vpsde_gradient_run(const vpsde_likelihood *run, vpsde_sink *sink);

#ifdef __cplusplus
}
#endif
#endif
