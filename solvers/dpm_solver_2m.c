/* Multistep DPM-Solver-2, h = lambda' - lambda, eps_-1 of the node before, h_-1 steps back:
 *     x' = (alpha'/alpha) x - sigma' (e^h - 1) eps - c (eps - eps_-1)/h_-1,
 *     midpoint: c = sigma' (e^h - 1) h/2
 *     taylor:   c = sigma' (e^h - 1 - h), the integral of a linear eps
 * First step and a last one to sigma' = 0 of order 1.
 * Source: Lu et al. 2022, code of arXiv:2206.00927 and 2211.01095 (dpm-solver,
 * multistep_dpm_solver_second_update with algorithm_type dpmsolver). ODE order 2. */
#include "solvers/exponential.h"

enum { VARIANT };
enum { MIDPOINT, TAYLOR };
static const vpsde_param params[] = {
    {.name = "variant",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "midpoint|taylor",
     .max = TAYLOR,
     .doc = "weight of the slope: half of the first one's, or the integral of u"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    vpsde_exponential e = vpsde_exponential_eps(s->at, s->next);
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, s->w[s->k % 2]));
    if (s->param[VARIANT] == MIDPOINT) e.on[1] = e.h / 2 * e.on[0];
    vpsde_multistep(s, &e, 2);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpm_solver_2m = {
    .name = "dpm-solver-2m",
    .source = "code of Lu et al. 2022 (arXiv:2206.00927), multistep second update",
    .doc = "Multistep DPM-Solver of order 2 in lambda, noise prediction.",
    .order = {.ode = 2},
    .forms = (const char *const[]){"variant=taylor", NULL},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = params,
    .step = step,
};
