/* SRA3 with the signs of beta2 that torchsde's tableau has, against the order condition
 * beta2 . c1 = -1: in the clock t, where g = sqrt(beta) varies, the noise is
 *     g(t') W - (g(t) - g(t')) I10/h   instead of   g(t') W + (g(t) - g(t')) I10/h.
 * In b, where g = 1, nobody would see it.
 * Source: torchsde, _core/methods/tableaus/sra3.py; Roessler 2010 (SIAM J. Numer. Anal. 48). Strong
 * and weak order 1; claimed there: strong order 1.5. */
#include "solvers/sra.h"

const vpsde_sra vpsde_sra3_flipped = {
    .stages = 3,
    .alpha = {1.0 / 6, 1.0 / 6, 2.0 / 3},
    .beta1 = {1, 0, 0},
    .beta2 = {1, -1, 0},
    .a = {{0}, {1}, {1.0 / 4, 1.0 / 4}},
    .b = {{0}, {0}, {1, 1.0 / 2}},
    .c0 = {0, 1, 1.0 / 2},
    .c1 = {1, 0, 0},
};

static vpsde_status step(vpsde_step *s)
{
    return vpsde_sra_step(s, &vpsde_sra3_flipped, VPSDE_SRA_CLOCK_T);
}

const vpsde_solver_type vpsde_solver_sra3_compat = {
    .name = "sra3-compat",
    .source = "torchsde, _core/methods/tableaus/sra3.py; Roessler 2010 (SIAM J. Numer. Anal. 48)",
    .doc = "SRA3 in the clock t with torchsde's flipped beta2: weak order 1; for comparison only.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_COMPAT,
    .order = {.strong = 1, .weak = 1},
    .claimed = {.strong = 1.5, .weak = 2},
    .nfe_per_step = 3,
    .n_scratch = VPSDE_SRA_SCRATCH,
    .step = step,
};
