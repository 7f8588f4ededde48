#include "solvers/cvode_ode.h"

const vpsde_solver_type vpsde_solver_cvode_adams = {
    .name = "cvode-adams",
    .source = "SUNDIALS CVODE; Hindmarsh et al. 2005, ACM TOMS 31, 363",
    .doc = "Variable-order Adams-Moulton (1 to 12) of CVODE on the probability-flow ODE.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .params = vpsde_ode_params,
    .open = vpsde_cvode_open_adams,
    .close = vpsde_cvode_close,
    .integrate = vpsde_cvode_integrate,
};
