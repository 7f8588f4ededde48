/* DDPM ancestral sampling: draws x' from q(x' | x, x0hat), x0hat = (x - sigma eps)/alpha,
 *     x' = m_x0 x0hat + m_xt x + sqrt(v) z,
 *     v = beta~ (variance: small) or beta = 1 - alpha_k^2/alpha_{k+1}^2 (variance: large),
 * with the posterior recomputed for the actual stride, and no noise in a step to sigma = 0.
 * Source: Ho et al. 2020 (arXiv:2006.11239), eqs. (6), (7), section 3.2, algorithm 2. Strong and
 * weak order 1. */
#include <math.h>

#include <vpsde/solver.h>

#include "core/vec.h"

enum { VARIANCE };
static const vpsde_param params[] = {
    {.name = "variance",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "small|large",
     .max = 1,
     .doc = "variance of a step: the posterior's (small) or the forward step's (large)"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const vpsde_posterior q = vpsde_posterior_at(s->at, s->next);
    const double variance = s->param[VARIANCE] == 0 ? q.var : q.beta;
    const double v = s->next->sigma > 0 ? variance : 0;
    const double on_x = q.m_xt + q.m_x0 / s->at->alpha;
    const double on_eps = -q.m_x0 * s->at->sigma / s->at->alpha;

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (!(v > 0)) {
        vec_lin2(s->n * s->d, s->x, on_x, s->x, on_eps, eps);
        return VPSDE_OK;
    }
    vpsde_step_noise(s, VPSDE_NOISE_DIFFUSION, 0, z);
    vec_lin3(s->n * s->d, s->x, on_x, s->x, on_eps, eps, sqrt(v), z);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_ancestral = {
    .name = "ancestral",
    .source = "Ho et al. 2020 (arXiv:2006.11239), algorithm 2",
    .doc = "DDPM's sampler: draws from the posterior of the next node given the predicted data.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .strong_order = 1,
    .weak_order = 1,
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = params,
    .step = step,
};
