/* DPM-Solver++(2M), D = x0hat, h = lambda' - lambda, D_-1 of the node before, h_-1 steps back:
 *     x' = (sigma'/sigma) x + alpha' (1 - e^-h) D + c (D - D_-1)/h_-1,
 *     midpoint: c = alpha' (1 - e^-h) h/2
 *     taylor:   c = alpha' (e^-h - 1 + h), the integral of a linear D
 * First step and a last one to sigma' = 0 of order 1.
 * Source: Lu et al. 2022 (arXiv:2211.01095), algorithm 2; taylor: its code ("solver_type") and
 * k-diffusion (sample_dpmpp_2m_sde, "heun"). ODE order 2. */
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
    vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, 0);
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[s->k % 2]));
    if (s->param[VARIANT] == MIDPOINT) e.on[1] = e.h / 2 * e.on[0];
    vpsde_multistep(s, &e, 2);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpmpp_2m = {
    .name = "dpmpp-2m",
    .source = "Lu et al. 2022 (arXiv:2211.01095), algorithm 2",
    .doc = "DPM-Solver++(2M): two-step exponential Adams in lambda, data prediction.",
    .order = {.ode = 2},
    .forms = (const char *const[]){"variant=taylor", NULL},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = params,
    .step = step,
};
