#include "solvers/gsl_ode.h"

const vpsde_solver_type vpsde_solver_gsl_rk8pd = {
    .name = "gsl-rk8pd",
    .source = "GNU Scientific Library; Prince & Dormand 1981, J. Comput. Appl. Math. 7, 67",
    .doc = "Embedded Runge-Kutta Prince-Dormand 8(9) of GSL on the probability-flow ODE.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .order = {.ode = 8},
    .params = vpsde_ode_params,
    .open = vpsde_gsl_open_rk8pd,
    .close = vpsde_gsl_close,
    .integrate = vpsde_gsl_integrate,
};
