/* SDE-DPM-Solver++(3M): the parabola through x0hat of the last three nodes, integrated exactly,
 *     x' = (sigma'/sigma) e^(-eta h) x + alpha' (1 - e^(-H)) D_0 + alpha' phi_2 D1
 *          - 2 alpha' phi_3 D2 + sigma' sqrt(1 - e^(-2 eta h)) z,
 * D1 = h dx0hat/dlambda and D2 = h^2/2 d^2x0hat/dlambda^2 by divided differences, H = (1 + eta) h,
 * phi_2 = (e^(-H) - 1)/H + 1, phi_3 = phi_2/H - 1/2. Published codes lack the factor 2
 * (sde-dpmpp-3m-compat).
 * start = keep: the first step is one of two stages, without which the flow has order 2.
 * Source: k-diffusion, sample_dpmpp_3m_sde; Lu et al. 2022 (arXiv:2211.01095), proposition 4.1.
 * Strong order 1, weak order 2; ODE order 3 at eta = 0. */
#include <math.h>

#include "solvers/sde_exponential.h"
#include "solvers/starters.h"

enum { ETA, START };
enum { KEEP, UPSTREAM };
static const vpsde_param params[] = {
    {.name = "eta", .value = 1, .max = 10, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = "start",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "keep|upstream",
     .max = 1,
     .doc = "first step of two stages, which keeps order 3 at eta = 0, or of one"},
    {.name = NULL},
};

static const vpsde_start two_stages = {.steps = 1, .rk = 2};

static vpsde_status step(vpsde_step *s)
{
    double *x0 = s->w[s->k % 3], *u = s->w[1], *z = s->w[3];
    const double eta = s->param[ETA];
    const vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, eta);

    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, x0));
    if (s->param[START] == KEEP && vpsde_start_has(&two_stages, s)) {
        const vpsde_two_stages form = {.eta = eta, .r = 0.5};
        return vpsde_two_stage_step(s, &form, x0, u, z);
    }
    vpsde_multistep(s, &e, 3);
    vpsde_add_step_noise(s, e.noise, z);
    return VPSDE_OK;
}

/* A step of two stages puts noise through the network. */
static double kernel_std(const vpsde_step *s)
{
    const double eta = s->param[ETA];
    const bool stages = s->param[START] == KEEP && vpsde_start_has(&two_stages, s);
    return stages && eta > 0 ? (double)NAN : vpsde_exponential_std(s, eta);
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return param[START] == KEEP ? vpsde_start_nfe(&two_stages, grid) : grid->n_steps;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    if (param[ETA] > 0) return;
    *order = (vpsde_orders){.ode = param[START] == KEEP ? 3 : 2};
    if (param[START] == UPSTREAM) *claimed = (vpsde_orders){.ode = 3};
}

const vpsde_solver_type vpsde_solver_sde_dpmpp_3m = {
    .name = "sde-dpmpp-3m",
    .source = "k-diffusion, sample_dpmpp_3m_sde, with the factor 2 of the second derivative",
    .doc = "SDE-DPM-Solver++ with a parabola through three nodes.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 2},
    .orders = orders,
    .forms =
        (const char *const[]){"start=upstream", "eta=0", "eta=0, start=upstream", "eta=0.5", NULL},
    .nfe_per_step = 1,
    .n_scratch = 4,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
    .nfe = nfe,
};
