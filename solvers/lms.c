/* Linear multistep: Adams-Bashforth of variable step for v = x/alpha in rho = sigma/alpha,
 *     v' = v + sum_j c_j eps_(k-j),   c_j = int_rho^rho' l_j(r) dr,   dv/drho = eps,
 * with the integrals exact (upstream takes them by quadrature to 1e-4).
 * start: keep takes the first order - 2 steps by rho-RK, so the order is that of the formula;
 * upstream takes them with the history there is, which from order 3 on leaves order 2.
 * Source: k-diffusion, sample_lms (Crowson 2022); Hairer, Norsett & Wanner 1993, section III.5. */
#include "solvers/adams.h"

static vpsde_status step(vpsde_step *s)
{
    const vpsde_start start = vpsde_adams_start(s->param);
    return vpsde_adams_step(s, &vpsde_adams_rho, (size_t)s->param[VPSDE_ADAMS_ORDER], &start);
}

const vpsde_solver_type vpsde_solver_lms = {
    .name = "lms",
    .source = "k-diffusion, sample_lms; Hairer et al. 1993, section III.5",
    .doc = "Adams-Bashforth of variable step for x/alpha in sigma/alpha.",
    .order = {.ode = 4},
    .orders = vpsde_adams_orders,
    .forms = (const char *const[]){"order=1", "order=2", "order=3", "start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_ADAMS_SCRATCH,
    .params = vpsde_adams_params,
    .step = step,
    .nfe = vpsde_adams_nfe,
};
