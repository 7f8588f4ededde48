/* GSL's ode-initval2 behind vpsde_ode; the only header other files need. */
#ifndef VPSDE_SOLVERS_GSL_ODE_H
#define VPSDE_SOLVERS_GSL_ODE_H

#include "solvers/ode.h"

/* `open` of each method; vpsde_gsl_close and vpsde_gsl_integrate serve all. */
vpsde_status vpsde_gsl_open_rkf45(void **state, size_t dim);
vpsde_status vpsde_gsl_open_rkck(void **state, size_t dim);
vpsde_status vpsde_gsl_open_rk8pd(void **state, size_t dim);
vpsde_status vpsde_gsl_open_msadams(void **state, size_t dim);
void vpsde_gsl_close(void *state);
vpsde_status vpsde_gsl_integrate(vpsde_ode *ode);

/* "2.7.1", of the library that runs. */
const char *vpsde_gsl_version(void);

#endif
