/* SDE-DPM-Solver++(1): x0hat frozen over the step,
 *     x' = (sigma'/sigma) e^(-eta h) x + alpha' (1 - e^(-(1+eta) h)) x0hat
 *          + sigma' sqrt(1 - e^(-2 eta h)) z,   h = lambda' - lambda.
 * eta = 1 is ancestral sampling with the small variance, eta = 0 is DDIM.
 * Source: Lu et al. 2022 (arXiv:2211.01095), SDE-DPM-Solver++. Strong and weak order 1; ODE order 1
 * at eta = 0. */
#include "core/vec.h"
#include "solvers/sde_exponential.h"

enum { ETA };
static const vpsde_param params[] = {
    {.name = "eta", .value = 1, .max = 10, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    double *x0 = s->w[0], *z = s->w[1];
    const vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, s->param[ETA]);

    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, x0));
    vec_lin2(s->n * s->d, s->x, e.on_x, s->x, e.on[0], x0);
    vpsde_add_step_noise(s, e.noise, z);
    return VPSDE_OK;
}

static double kernel_std(const vpsde_step *s) { return vpsde_exponential_std(s, s->param[ETA]); }

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[ETA] == 0) *order = (vpsde_orders){.ode = 1};
}

const vpsde_solver_type vpsde_solver_sde_dpmpp_1 = {
    .name = "sde-dpmpp-1",
    .source = "Lu et al. 2022 (arXiv:2211.01095), SDE-DPM-Solver++",
    .doc = "SDE-DPM-Solver++ of order 1.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 1},
    .orders = orders,
    .forms = (const char *const[]){"eta=0", "eta=0.5", NULL},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
};
