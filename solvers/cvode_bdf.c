#include "solvers/cvode_ode.h"

const vpsde_solver_type vpsde_solver_cvode_bdf = {
    .name = "cvode-bdf",
    .source = "SUNDIALS CVODE; Hindmarsh et al. 2005, ACM TOMS 31, 363",
    .doc = "Variable-order BDF (1 to 5) of CVODE on the probability-flow ODE: a stiffness probe.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .params = vpsde_ode_params,
    .open = vpsde_cvode_open_bdf,
    .close = vpsde_cvode_close,
    .integrate = vpsde_cvode_integrate,
};
