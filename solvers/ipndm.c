/* iPNDM: DDIM with eps replaced by a combination of its last values, first steps with the history
 * there is:
 *     v' = v + (rho' - rho) sum_j a_j eps_(k-j),   v = x/alpha,   rho = sigma/alpha.
 * The a_j of the paper are those of Adams-Bashforth for equal steps in rho, which no grid in use
 * has (ipndm-compat: order 2). Here they are those of the grid, as ipndm_v has them at order 2, so
 * this is lms: every combination of order p of values at given nodes is the same one.
 * Source: Zhang & Chen 2022 (arXiv:2204.13902), iPNDM; Liu et al. 2022 (arXiv:2202.09778). */
#include "solvers/adams.h"

static vpsde_status step(vpsde_step *s)
{
    const vpsde_start start = vpsde_adams_start(s->param);
    return vpsde_adams_step(s, &vpsde_adams_rho, (size_t)s->param[VPSDE_ADAMS_ORDER], &start);
}

const vpsde_solver_type vpsde_solver_ipndm = {
    .name = "ipndm",
    .source = "Zhang & Chen 2022 (arXiv:2204.13902), iPNDM; coefficients of the grid",
    .doc = "iPNDM with the coefficients of the grid: Adams-Bashforth in sigma/alpha.",
    .order = {.ode = 4},
    .orders = vpsde_adams_orders,
    .forms = (const char *const[]){"order=1", "order=2", "order=3", "start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_ADAMS_SCRATCH,
    .params = vpsde_adams_params,
    .step = step,
    .nfe = vpsde_adams_nfe,
};
