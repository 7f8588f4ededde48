/* PLMS, pseudo linear multistep: DDIM's transfer with a combination of the last values of eps,
 *     v' = v + (rho' - rho) sum_j a_j eps_(k-j),   v = x/alpha,   rho = sigma/alpha.
 * The a_j of the paper are those of Adams-Bashforth for equal steps in t, and take no notice of how
 * rho bends in t: order 2 (plms-compat). Here eps is the polynomial in t through its last values
 * and the integral over rho exact: (rho' - rho) a_j = int_rho^rho' l_j(t(r)) dr, on any grid.
 * start: keep takes the first order - 2 steps by rho-RK, so the order is that of the formula;
 * upstream takes one step by Heun (pseudo improved Euler) and goes on with the history there is,
 * which leaves order 3 at order 4.
 * Source: Liu et al. 2022 (arXiv:2202.09778), F-PNDM; upstream start: Rombach et al. 2022
 * (latent-diffusion, plms.py). */
#include "solvers/adams.h"

static vpsde_start start_of(const double *param)
{
    const vpsde_start upstream = {.steps = 1, .rk = 2};
    return param[VPSDE_ADAMS_START] == VPSDE_ADAMS_KEEP
               ? vpsde_start_keep((size_t)param[VPSDE_ADAMS_ORDER])
               : upstream;
}

static vpsde_status step(vpsde_step *s)
{
    const vpsde_start start = start_of(s->param);
    return vpsde_adams_step(s, &vpsde_adams_t, (size_t)s->param[VPSDE_ADAMS_ORDER], &start);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    *order = (vpsde_orders){.ode = param[VPSDE_ADAMS_ORDER]};
    if (param[VPSDE_ADAMS_START] == VPSDE_ADAMS_KEEP || param[VPSDE_ADAMS_ORDER] <= 3) return;
    order->ode = 3;
    claimed->ode = param[VPSDE_ADAMS_ORDER];
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    const vpsde_start start = start_of(param);
    return vpsde_start_nfe(&start, grid);
}

const vpsde_solver_type vpsde_solver_plms = {
    .name = "plms",
    .source = "Liu et al. 2022 (arXiv:2202.09778), F-PNDM; coefficients of the grid",
    .doc = "PLMS with the coefficients of the grid: eps a polynomial in t.",
    .order = {.ode = 4},
    .orders = orders,
    .forms = (const char *const[]){"order=1", "order=2", "order=3", "start=upstream",
                                   "order=3, start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_ADAMS_SCRATCH,
    .params = vpsde_adams_params,
    .step = step,
    .nfe = nfe,
};
