/* Multistep DPM-Solver-3, h = lambda' - lambda, with Newton's divided differences e[0,1], e[0,1,2]
 * of eps in lambda over the last three nodes, h_-1 = lambda - lambda_-1:
 *     x' = (alpha'/alpha) x - sigma' [h phi_1(h) eps + h^2 phi_2(h) eps' + h^3 phi_3(h) eps''],
 *     eps' = e[0,1] + h_-1 e[0,1,2],   eps'' = 2 e[0,1,2].
 * The published code has half that eps'': dpm-solver-3m-compat. A first step of order 2
 * (DPM-Solver-2; then 2M taylor) keeps order 3, one of order 1 does not. A last step to sigma' = 0
 * is of order 1.
 * Source: code of Lu et al. 2022 (arXiv:2206.00927, 2211.01095; dpm-solver,
 * multistep_dpm_solver_third_update). ODE order 3; 2 with start = upstream. */
#include "solvers/driver.h"
#include "solvers/exponential.h"
#include "solvers/starters.h"

extern const vpsde_solver_type vpsde_solver_dpm_solver_2;

enum { START };
enum { KEEP, UPSTREAM };
static const vpsde_param params[] = {
    {.name = "start",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "keep|upstream",
     .max = UPSTREAM,
     .doc = "first step: of order 2 by one more call, which keeps order 3; or of order 1"},
    {.name = NULL},
};

static const vpsde_start two_stages = {.steps = 1, .rk = 2};

static vpsde_status step(vpsde_step *s)
{
    if (s->param[START] == KEEP && vpsde_start_has(&two_stages, s)) {
        return vpsde_step_as(s, &vpsde_solver_dpm_solver_2, 0);
    }
    const vpsde_exponential e = vpsde_exponential_eps(s->at, s->next);
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, s->w[s->k % 3]));
    vpsde_multistep(s, &e, 3);
    return VPSDE_OK;
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return param[START] == KEEP ? vpsde_start_nfe(&two_stages, grid) : grid->n_steps;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    if (param[START] == KEEP) return;
    order->ode = 2;
    claimed->ode = 3;
}

const vpsde_solver_type vpsde_solver_dpm_solver_3m = {
    .name = "dpm-solver-3m",
    .source = "code of Lu et al. 2022 (arXiv:2206.00927), with the second difference's factor 2",
    .doc = "Multistep DPM-Solver of order 3 in lambda, noise prediction.",
    .order = {.ode = 3},
    .orders = orders,
    .forms = (const char *const[]){"start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = 3,
    .params = params,
    .step = step,
    .nfe = nfe,
};
