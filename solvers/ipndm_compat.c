/* iPNDM as published: DDIM with eps replaced by
 *     eps;   (3 eps - eps_1)/2;   (23 eps - 16 eps_1 + 5 eps_2)/12;
 *     (55 eps - 59 eps_1 + 37 eps_2 - 9 eps_3)/24
 * (eps_j: j nodes ago), the Adams-Bashforth coefficients of equal steps in sigma/alpha, on every
 * grid; the first steps with the history there is. Where sigma/alpha is not uniform the second term
 * is right and the third is not: order 2, whatever the number of terms. ipndm is the right one.
 * Source: Zhang & Chen 2022 (arXiv:2204.13902), iPNDM; diffusers, IPNDMScheduler. */
#include "solvers/adams.h"

enum { ORDER };
static const vpsde_param params[] = {
    VPSDE_ADAMS_ORDER_ROW(4),
    {.name = NULL},
};

static const vpsde_start start = {0};

static vpsde_status step(vpsde_step *s)
{
    return vpsde_adams_step(s, &vpsde_adams_index, (size_t)s->param[ORDER], &start);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    const double p = param[ORDER];
    *order = (vpsde_orders){.ode = p < 2 ? p : 2};
    *claimed = (vpsde_orders){.ode = p > 2 ? p : 0};
}

const vpsde_solver_type vpsde_solver_ipndm_compat = {
    .name = "ipndm-compat",
    .source = "Zhang & Chen 2022 (arXiv:2204.13902), iPNDM; diffusers, IPNDMScheduler",
    .doc = "iPNDM as published: constant Adams-Bashforth coefficients on every grid.",
    .flags = VPSDE_SOLVER_COMPAT,
    .order = {.ode = 2},
    .claimed = {.ode = 4},
    .orders = orders,
    .forms = (const char *const[]){"order=1", "order=2", "order=3", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_ADAMS_SCRATCH,
    .params = params,
    .step = step,
};
