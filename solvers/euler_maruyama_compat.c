/* Euler-Maruyama as score_sde ships it: N nodes linspace(1, t_min, N), and every step as long as
 * 1/N, whatever lies between the nodes,
 *     x' = x + h beta(t_k) (x/2 + s) + sqrt(h beta(t_k)) z,   h = t_max/N,
 * without noise in the step to sigma = 0. N counts the nodes where the network is called: with
 * last_step: euler on uniform-t this is score_sde's whole loop, its last step being the one to
 * data. The N steps cover t_max, not t_max - t_min: with t_min = 1/N they fit; below, the end state
 * has the law of another time, however many the steps. So there is no order to declare.
 * Source: score_sde sampling.py, EulerMaruyamaPredictor (dt = -1 / rsde.N). Claimed:
 * Euler-Maruyama's orders. */
#include <math.h>

#include "core/vec.h"
#include "solvers/driver.h"

static double stride(const vpsde_step *s)
{
    const bool ends_at_zero = !(s->node[s->n_steps].sigma > 0);
    const double n_calls = (double)(s->n_steps + !ends_at_zero);
    return s->at->beta * vpsde_process_t_max(s->process) / n_calls;
}

static double kernel_std(const vpsde_step *s) { return s->next->sigma > 0 ? sqrt(stride(s)) : 0; }

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const double h = stride(s);
    const double on_x = 1 + h / 2, on_eps = -h / s->at->sigma;

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (!(s->next->sigma > 0)) {
        vec_lin2(s->n * s->d, s->x, on_x, s->x, on_eps, eps);
        return VPSDE_OK;
    }
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin3(s->n * s->d, s->x, on_x, s->x, on_eps, eps, kernel_std(s), z);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_euler_maruyama_compat = {
    .name = "euler-maruyama-compat",
    .source = "score_sde sampling.py, EulerMaruyamaPredictor; Song et al. 2021 (arXiv:2011.13456)",
    .doc = "score_sde's Euler-Maruyama, steps of 1/N on any grid: ends at another time; for "
           "comparison only.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_COMPAT,
    .claimed = {.strong = 1, .weak = 1},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .step = step,
    .kernel_std = kernel_std,
};
