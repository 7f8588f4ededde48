/* DPM-Solver-1:
 *     x' = (alpha'/alpha) x - sigma' (e^h - 1) eps,   h = lambda' - lambda,
 * which is DDIM(0) in other letters.
 * Source: Lu et al. 2022 (arXiv:2206.00927), eq. (3.7). ODE order 1. */
#include "core/vec.h"
#include "solvers/exponential.h"

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0];
    const vpsde_exponential e = vpsde_exponential_eps(s->at, s->next);
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vec_lin2(s->n * s->d, s->x, e.on_x, s->x, e.on[0], eps);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpm_solver_1 = {
    .name = "dpm-solver-1",
    .source = "Lu et al. 2022 (arXiv:2206.00927), eq. (3.7)",
    .doc = "DPM-Solver-1: eps frozen over the step in lambda; DDIM at eta = 0.",
    .order = {.ode = 1},
    .nfe_per_step = 1,
    .n_scratch = 1,
    .step = step,
};
