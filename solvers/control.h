/* A control variate for Hutchinson's probes: the Jacobian that eps would have if the data were
 * Gaussian with a given covariance, A_0 = sigma (alpha^2 Sigma + sigma^2 I)^-1, whose trace is known:
 *     tr J ~ v^T J v + (tr A_0 - v^T A_0 v).
 * Unbiased for any Sigma and for probes with E v v^T = I; without spread where the data are that
 * Gaussian. In the eigenvectors of Sigma it costs d multiplications a probe and evaluation. */
#ifndef VPSDE_SOLVERS_CONTROL_H
#define VPSDE_SOLVERS_CONTROL_H

#include <vpsde/process.h>

typedef struct vpsde_trace_control {
    size_t d;
    double *value;  /* (d) eigenvalues of Sigma, none below 0 */
    double *vector; /* (d, d) row j: the eigenvector of value[j] */
} vpsde_trace_control;

/* covariance (d, d), symmetric. ENUMERIC: it has no eigenvalues (entries that are not finite). */
vpsde_status vpsde_trace_control_create(vpsde_trace_control **out, size_t d,
                                        const double *covariance);
void vpsde_trace_control_destroy(vpsde_trace_control *control); /* NULL is fine */

/* square (d): (q_j . v)^2 of a probe v (d), for vpsde_trace_control_add. */
void vpsde_trace_control_project(const vpsde_trace_control *control, const double *v,
                                 double *square);

/* weight (d): eigenvalues of A_0 at c, the same for all probes. */
void vpsde_trace_control_at(const vpsde_trace_control *control, const vpsde_coef *c,
                            double *weight);

/* tr A_0 - v^T A_0 v of one probe. */
double vpsde_trace_control_add(const vpsde_trace_control *control, const double *weight,
                               const double *square);

#endif
