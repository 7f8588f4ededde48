#include "solvers/gsl_ode.h"

const vpsde_solver_type vpsde_solver_gsl_msadams = {
    .name = "gsl-msadams",
    .source = "GNU Scientific Library; Brown, Byrne & Hindmarsh 1989, SIAM J. Sci. Stat. Comput. "
              "10, 1038",
    .doc = "Variable-order Adams predictor-corrector (orders 1 to 12) of GSL on the "
           "probability-flow ODE.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .params = vpsde_ode_params,
    .open = vpsde_gsl_open_msadams,
    .close = vpsde_gsl_close,
    .integrate = vpsde_gsl_integrate,
};
