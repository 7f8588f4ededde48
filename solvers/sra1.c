/* SRA1 on the reverse SDE: in the b clock, with W and H of the step (solvers/sra.h),
 *     k1 = f(x, b),  k2 = f(x + (3/4) h k1 + (3/2)(W/2 + H), b - (3/4) h),
 *     x' = x + h (k1/3 + 2 k2/3) + W.
 * In the clock t, where the noise is sqrt(beta) dw, W and H stand for the integrals of the path on
 * t, of which the path on b says the law and, to strong order 1, the values.
 * Source: Roessler 2010 (SIAM J. Numer. Anal. 48), section 6.4. Strong order 1.5, weak order 2. */
#include "solvers/sra.h"

const vpsde_sra vpsde_sra1 = {
    .stages = 2,
    .alpha = {1.0 / 3, 2.0 / 3},
    .beta1 = {1, 0},
    .beta2 = {-1, 1},
    .a = {{0}, {3.0 / 4}},
    .b = {{0}, {3.0 / 2}},
    .c0 = {0, 3.0 / 4},
    .c1 = {1, 0},
};

static vpsde_status step(vpsde_step *s)
{
    return vpsde_sra_step(s, &vpsde_sra1, (vpsde_sra_clock)s->param[0]);
}

const vpsde_solver_type vpsde_solver_sra1 = {
    .name = "sra1",
    .source = "Roessler 2010 (SIAM J. Numer. Anal. 48), SRA1",
    .doc = "Two-stage stochastic Runge-Kutta method for additive noise, with Levy area.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1.5, .weak = 2},
    .orders = vpsde_sra_orders,
    .forms = (const char *const[]){"clock=t", NULL},
    .nfe_per_step = 2,
    .n_scratch = VPSDE_SRA_SCRATCH,
    .params = vpsde_sra_params,
    .step = step,
};
