#include "solvers/gsl_ode.h"

const vpsde_solver_type vpsde_solver_gsl_rkf45 = {
    .name = "gsl-rkf45",
    .source = "GNU Scientific Library; Fehlberg 1969, NASA TR R-315",
    .doc = "Embedded Runge-Kutta-Fehlberg 4(5) of GSL on the probability-flow ODE.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .order = {.ode = 5},
    .params = vpsde_ode_params,
    .open = vpsde_gsl_open_rkf45,
    .close = vpsde_gsl_close,
    .integrate = vpsde_gsl_integrate,
};
