/* SDE-DPM-Solver++(3M) as two codes have it: x' = ... + alpha' phi_2 D1 + alpha' c D2 + noise in
 * the letters of sde_dpmpp_3m.c, where exactness wants c = 2 ((1 - e^(-H) - H)/H^2 + 1/2):
 *     diffusers:   c = (1 - e^(-H) - H)/H^2 - 1/2   -> -1 as H -> 0, where c should vanish
 *     k-diffusion: c = (1 - e^(-H) - H)/H^2 + 1/2   half of it
 * after a first step of order 1 and a second with one slope, of midpoint weights (diffusers) or
 * exact ones. diffusers has eta = 1 alone. Its c puts a weight of order 1 on second differences of
 * x0hat, of size sqrt(h) along a path: strong order 1/2 and weak order 1 on a Gaussian, and on a
 * mixture another law: where alpha dx0hat/dx > 1, between modes, errors grow from step to step
 * however small h is. So it has no order. k-diffusion: strong order 1, weak order 2; ODE order 2 at
 * eta = 0. Both claim 3.
 * Source: diffusers, scheduling_dpmsolver_multistep.py, sde-dpmsolver++ of order 3; k-diffusion,
 * sample_dpmpp_3m_sde. */
#include "solvers/sde_exponential.h"

enum { ETA, UPSTREAM };
enum { DIFFUSERS };
static const vpsde_param params[] = {
    {.name = "eta",
     .value = 1,
     .max = 10,
     .doc = "noise of k-diffusion; 1: the reverse SDE, 0: the flow. diffusers: 1 in any case"},
    {.name = "upstream",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "diffusers|k-diffusion",
     .max = 1,
     .doc = "whose formula"},
    {.name = NULL},
};

static double eta_of(const double *param) { return param[UPSTREAM] == DIFFUSERS ? 1 : param[ETA]; }

static double kernel_std(const vpsde_step *s) { return vpsde_exponential_std(s, eta_of(s->param)); }

static vpsde_status step(vpsde_step *s)
{
    const bool diffusers = s->param[UPSTREAM] == DIFFUSERS;
    vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, eta_of(s->param));
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[s->k % 3]));
    e.on[2] /= 2; /* on D'' = 2 D2/h^2 */
    if (diffusers) {
        e.on[2] -= s->next->alpha * e.h * e.h / 2;
        if (s->k == 1) e.on[1] = e.h / 2 * e.on[0];
    }
    vpsde_multistep(s, &e, 3);
    vpsde_add_step_noise(s, e.noise, s->w[3]);
    return VPSDE_OK;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    if (param[UPSTREAM] == DIFFUSERS) return;
    *order = (vpsde_orders){.strong = 1, .weak = 2};
    if (param[ETA] > 0) return;
    *order = (vpsde_orders){.ode = 2};
    *claimed = (vpsde_orders){.ode = 3};
}

const vpsde_solver_type vpsde_solver_sde_dpmpp_3m_compat = {
    .name = "sde-dpmpp-3m-compat",
    .source = "diffusers, scheduling_dpmsolver_multistep.py; k-diffusion, sample_dpmpp_3m_sde",
    .doc = "SDE-DPM-Solver++(3M) with the wrong coefficient of diffusers or of k-diffusion.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_COMPAT,
    .claimed = {.weak = 3},
    .orders = orders,
    .forms = (const char *const[]){"upstream=k-diffusion", "eta=0, upstream=k-diffusion", NULL},
    .nfe_per_step = 1,
    .n_scratch = 4,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
};
