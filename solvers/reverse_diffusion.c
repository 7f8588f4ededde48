/* Reverse-diffusion predictor: the forward chain x_{i+1} = sqrt(1 - B) x_i + sqrt(B) z run back,
 *     x' = (2 - sqrt(1 - B)) x + B s + sqrt(B) z,   s = -eps/sigma,
 *     B = 1 - alpha_k^2/alpha_{k+1}^2,   sqrt(1 - B) = exp(-(b_k - b_{k+1})/2),
 * B being beta_i of the actual stride.
 * Source: Song et al. 2021 (arXiv:2011.13456), appendix E, eq. (46) and algorithm 3. Strong and
 * weak order 1. */
#include <math.h>

#include <vpsde/solver.h>

#include "core/vec.h"
#include "solvers/clock.h"

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const double B = vpsde_stride_beta(s->at, s->next);

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin3(s->n * s->d, s->x, 2 - sqrt(1 - B), s->x, -B / s->at->sigma, eps, sqrt(B), z);
    return VPSDE_OK;
}

static double kernel_std(const vpsde_step *s) { return sqrt(vpsde_stride_beta(s->at, s->next)); }

const vpsde_solver_type vpsde_solver_reverse_diffusion = {
    .name = "reverse-diffusion",
    .source = "Song et al. 2021 (arXiv:2011.13456), appendix E, eq. (46)",
    .doc = "The forward chain's own discretisation, run backwards (the predictor of score_sde).",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 1},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .step = step,
    .kernel_std = kernel_std,
};
