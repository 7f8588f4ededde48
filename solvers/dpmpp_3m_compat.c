/* DPM-Solver++(3M) as its code, k-diffusion and diffusers have it: dpmpp-3m with D'' = D[0,1,2],
 * half of what the quadratic through the last three values has, so that the leading error is of
 * order 2.
 * Starts with order 1, then 2M midpoint; a last step to sigma' = 0 is of order 1, and runs below
 * 10 steps end with 2M midpoint and order 1 in any case.
 * Source: dpm-solver, multistep_dpm_solver_third_update (x_t = ... + alpha phi_2 D1 - alpha phi_3
 * D2 with D2 = h^2 D''/2). ODE order 2; claims 3. */
#include "solvers/exponential.h"

static vpsde_status step(vpsde_step *s)
{
    const size_t order = vpsde_multistep_order_upstream(s, 3);
    vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, 0);
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[s->k % 3]));
    if (order == 2) e.on[1] = e.h / 2 * e.on[0];
    e.on[2] /= 2;
    vpsde_multistep_of(s, &e, 3, order);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpmpp_3m_compat = {
    .name = "dpmpp-3m-compat",
    .source = "code of Lu et al. 2022 (arXiv:2211.01095), multistep third update",
    .doc = "DPM-Solver++(3M) as published: the second difference at half its weight.",
    .flags = VPSDE_SOLVER_COMPAT,
    .order = {.ode = 2},
    .claimed = {.ode = 3},
    .nfe_per_step = 1,
    .n_scratch = 3,
    .step = step,
};
