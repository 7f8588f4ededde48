/* SRA3 on the reverse SDE: in the b clock, with W and H of the step (solvers/sra.h),
 *     k1 = f(x, b),  k2 = f(x + h k1, b - h),
 *     k3 = f(x + (h/4)(k1 + k2) + (3/2)(W/2 + H), b - h/2),
 *     x' = x + (h/6)(k1 + k2 + 4 k3) + W.
 * In the clock t as SRA1. Source: Roessler 2010 (SIAM J. Numer. Anal. 48), section 6.4. Strong
 * order 1.5, weak order 2; the drift alone is integrated to order 3. */
#include "solvers/sra.h"

const vpsde_sra vpsde_sra3 = {
    .stages = 3,
    .alpha = {1.0 / 6, 1.0 / 6, 2.0 / 3},
    .beta1 = {1, 0, 0},
    .beta2 = {-1, 1, 0},
    .a = {{0}, {1}, {1.0 / 4, 1.0 / 4}},
    .b = {{0}, {0}, {1, 1.0 / 2}},
    .c0 = {0, 1, 1.0 / 2},
    .c1 = {1, 0, 0},
};

static vpsde_status step(vpsde_step *s)
{
    return vpsde_sra_step(s, &vpsde_sra3, (vpsde_sra_clock)s->param[0]);
}

const vpsde_solver_type vpsde_solver_sra3 = {
    .name = "sra3",
    .source = "Roessler 2010 (SIAM J. Numer. Anal. 48), SRA3",
    .doc = "Three-stage stochastic Runge-Kutta method for additive noise, with Levy area.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1.5, .weak = 2},
    .orders = vpsde_sra_orders,
    .forms = (const char *const[]){"clock=t", NULL},
    .nfe_per_step = 3,
    .n_scratch = VPSDE_SRA_SCRATCH,
    .params = vpsde_sra_params,
    .step = step,
};
