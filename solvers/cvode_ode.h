/* SUNDIALS' CVODE behind vpsde_ode; the only header other files need. */
#ifndef VPSDE_SOLVERS_CVODE_ODE_H
#define VPSDE_SOLVERS_CVODE_ODE_H

#include "solvers/ode.h"

/* Adams-Moulton with fixed-point iteration; BDF with Newton iteration, dense difference-quotient
 * Jacobian up to 64 equations and matrix-free GMRES above. */
vpsde_status vpsde_cvode_open_adams(void **state, size_t dim);
vpsde_status vpsde_cvode_open_bdf(void **state, size_t dim);
void vpsde_cvode_close(void *state);
vpsde_status vpsde_cvode_integrate(vpsde_ode *ode);

/* What every user of CVODE begins with: a context, and an integrator that prints nothing. 0, or
 * SUNDIALS' error. */
int vpsde_cvode_context(void **context);
int vpsde_cvode_silence(void *cvode, void *context);

/* "6.4.1", of the library that runs; "unknown" when it does not say. */
const char *vpsde_sundials_version(void);

#endif
