/* PLMS as published: DDIM with eps replaced by
 *     eps;   (3 eps - eps_1)/2;   (23 eps - 16 eps_1 + 5 eps_2)/12;
 *     (55 eps - 59 eps_1 + 37 eps_2 - 9 eps_3)/24
 * (eps_j: j nodes ago), the Adams-Bashforth coefficients of equal steps in t, applied to
 * sigma/alpha: order 2 on every grid where sigma/alpha is not uniform. plms is the right one.
 * start: heun, one pseudo improved Euler step (PLMS); prk, three pseudo Runge-Kutta steps of four
 * calls whose middle stages stand halfway in t (F-PNDM).
 * Source: Liu et al. 2022 (arXiv:2202.09778), F-PNDM; Rombach et al. 2022 (latent-diffusion,
 * plms.py). */
#include "solvers/adams.h"

enum { ORDER, START };
static const vpsde_param params[] = {
    VPSDE_ADAMS_ORDER_ROW(4),
    {.name = "start",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "heun|prk",
     .max = 1,
     .doc = "first steps: one of Heun, or three of pseudo Runge-Kutta"},
    {.name = NULL},
};

static const vpsde_start starts[] = {{.steps = 1, .rk = 2}, {.steps = 3, .rk = 4, .mid_t = true}};

static vpsde_status step(vpsde_step *s)
{
    return vpsde_adams_step(s, &vpsde_adams_index, (size_t)s->param[ORDER],
                            &starts[(size_t)s->param[START]]);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    const double p = param[ORDER];
    *order = (vpsde_orders){.ode = p < 2 ? p : 2};
    *claimed = (vpsde_orders){.ode = p > 2 ? p : 0};
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return vpsde_start_nfe(&starts[(size_t)param[START]], grid);
}

const vpsde_solver_type vpsde_solver_plms_compat = {
    .name = "plms-compat",
    .source = "Liu et al. 2022 (arXiv:2202.09778), F-PNDM; latent-diffusion, plms.py",
    .doc = "PLMS (PNDM) as published: constant Adams-Bashforth coefficients on every grid.",
    .flags = VPSDE_SOLVER_COMPAT,
    .order = {.ode = 2},
    .claimed = {.ode = 4},
    .orders = orders,
    .forms = (const char *const[]){"order=1", "order=2", "order=3", "start=prk", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_ADAMS_SCRATCH,
    .params = params,
    .step = step,
    .nfe = nfe,
};
