/* DPM-Solver++(3M), D = x0hat, h = lambda' - lambda, with Newton's divided differences D[0,1],
 * D[0,1,2] in lambda over the last three nodes, h_-1 = lambda - lambda_-1:
 *     x' = (sigma'/sigma) x + alpha' [h phi_1(-h) D + h^2 phi_2(-h) D' + h^3 phi_3(-h) D''],
 *     D' = D[0,1] + h_-1 D[0,1,2],   D'' = 2 D[0,1,2].
 * The published code has half that D'': dpmpp-3m-compat. A first step of order 2 (2S; then 2M
 * taylor) keeps order 3, one of order 1 as in k-diffusion does not. A last step to sigma' = 0 is of
 * order 1.
 * Source: Lu et al. 2022 (arXiv:2211.01095), section 4 and its code. ODE order 3; 2 with
 * start = upstream. */
#include "solvers/driver.h"
#include "solvers/exponential.h"
#include "solvers/starters.h"

extern const vpsde_solver_type vpsde_solver_dpmpp_2s;

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
        return vpsde_step_as(s, &vpsde_solver_dpmpp_2s, 0);
    }
    const vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, 0);
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[s->k % 3]));
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

const vpsde_solver_type vpsde_solver_dpmpp_3m = {
    .name = "dpmpp-3m",
    .source = "Lu et al. 2022 (arXiv:2211.01095), code, with the second difference's factor 2",
    .doc = "DPM-Solver++(3M): three-step exponential Adams in lambda, data prediction.",
    .order = {.ode = 3},
    .orders = orders,
    .forms = (const char *const[]){"start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = 3,
    .params = params,
    .step = step,
    .nfe = nfe,
};
