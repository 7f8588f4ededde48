#include "solvers/gsl_ode.h"

const vpsde_solver_type vpsde_solver_gsl_rkck = {
    .name = "gsl-rkck",
    .source = "GNU Scientific Library; Cash & Karp 1990, ACM TOMS 16, 201",
    .doc = "Embedded Runge-Kutta Cash-Karp 4(5) of GSL on the probability-flow ODE.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .order = {.ode = 5},
    .params = vpsde_ode_params,
    .open = vpsde_gsl_open_rkck,
    .close = vpsde_gsl_close,
    .integrate = vpsde_gsl_integrate,
};
