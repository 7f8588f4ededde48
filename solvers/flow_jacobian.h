/* The encoder map E of the probability-flow ODE and its Jacobian, row by row: what tells whether E is a
 * Monge map, that is, the gradient of a convex function. */
#ifndef VPSDE_SOLVERS_FLOW_JACOBIAN_H
#define VPSDE_SOLVERS_FLOW_JACOBIAN_H

#include <vpsde/likelihood.h>

typedef struct vpsde_transport {
    vpsde_likelihood flow; /* process, model, integrator and its tolerances, rows, classes; the rest
                              is not used */
    const double *t;       /* (n_times) increasing, t_min to t_max: speeds are stored there */
    size_t n_times;        /* 2 or more */
} vpsde_transport;

/* Each row of more components is refused: d^2 equations. */
enum { VPSDE_TRANSPORT_DIM_MAX = 256 };

/* One integration a row of d + d^2 equations, dx/db = -(x + s)/2 and J' = -(I + H) J/2, all controlled.
 * Table /transport with the columns x and image = E(x) (dim), antisymmetry = |J - J^T|/|J|
 * (Frobenius), smallest_eigenvalue of (J + J^T)/2, log_det = log |det J| (nat; what the likelihood
 * calls delta_logp), speed_squared = |(x + s)/2|^2 (time), nfe, jvp, rejected, status. EINVAL for a
 * model without Jacobian products or of more than VPSDE_TRANSPORT_DIM_MAX components; else as
 * vpsde_likelihood_run. */
vpsde_status vpsde_transport_run(const vpsde_transport *run, vpsde_sink *sink);

#endif
