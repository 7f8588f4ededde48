/* DDPM ancestral sampling: draws x' from q(x' | x, x0hat), x0hat = (x - sigma eps)/alpha,
 *     x' = m_x0 x0hat + m_xt x + sqrt(v) z,
 *     v = beta~                                   (variance: small, the posterior's)
 *     v = beta = 1 - alpha_k^2/alpha_{k+1}^2      (large)
 *     v = beta~ + m_x0^2 (sigma/alpha)^2 (1 - sigma^2 E|s|^2/d)      (optimal: the second term is
 *         what x0 varies by given x; E|s|^2 from pilot chains; exact for isotropic Gaussians)
 *     v = exp(r log beta + (1 - r) log beta~), r in [0, 1] a dimension from the network
 *         (learned-range),
 * with the posterior recomputed for the actual stride, and no noise in a step to sigma = 0.
 * Source: Ho et al. 2020 (arXiv:2006.11239), eqs. (6), (7), section 3.2, algorithm 2; Bao et al.
 * 2022 (arXiv:2201.06503), theorem 1; Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. (15). Strong
 * and weak order 1. */
#include <math.h>

#include <vpsde/solver.h>

#include "core/vec.h"
#include "solvers/driver.h"

extern const vpsde_solver_type vpsde_solver_ancestral;

enum { VARIANCE };
enum { SMALL, LARGE, OPTIMAL, LEARNED_RANGE };
static const vpsde_param params[] = {
    {.name = "variance",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "small|large|optimal|learned-range",
     .max = 3,
     .doc = "variance of a step: the posterior's (small), the forward step's (large), the optimal "
            "one from pilot chains, or the network's own between the first two (learned-range)"},
    {.name = NULL},
};

static vpsde_status prepare(vpsde_pilot *pilot, double *table)
{
    const size_t variance = (size_t)pilot->param[VARIANCE];
    if (variance == OPTIMAL) {
        return vpsde_pilot_score_square(pilot, &vpsde_solver_ancestral, table);
    }
    const vpsde_model_type *model = pilot->run->model->type;
    if (variance != LEARNED_RANGE || model->flags & VPSDE_MODEL_RANGE) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "variance: learned-range needs a network that predicts variances, and %s "
                      "does not; expected small, large or optimal",
                      model->name);
}

/* Of the forms that have one for all dimensions. */
static double variance_of(const vpsde_step *s, const vpsde_posterior *q)
{
    if (s->param[VARIANCE] == LARGE) return q->beta;
    if (s->param[VARIANCE] == SMALL) return q->var;
    const double sigma = s->at->sigma, spread = q->m_x0 * sigma / s->at->alpha;
    const double explained = sigma * sigma * s->table[s->k] / (double)s->d; /* E|eps|^2/d */
    return q->var + spread * spread * fmax(1 - explained, 0);
}

/* z <- sqrt(v) z with v = exp(r log beta + (1 - r) log beta~) a dimension. */
static void scale_by_range(const vpsde_step *s, const vpsde_posterior *q, const double *r,
                           double *z)
{
    const double small = sqrt(q->var), ratio = log(q->beta / q->var) / 2;
    for (size_t e = 0; e < s->n * s->d; e++) z[e] *= small * exp(ratio * r[e]);
}

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const vpsde_posterior q = vpsde_posterior_at(s->at, s->next);
    const bool to_data = !(s->next->sigma > 0);
    const bool ranges = s->param[VARIANCE] == LEARNED_RANGE && !to_data;
    double *range = ranges ? s->w[2] : NULL;
    const double on_x = q.m_xt + q.m_x0 / s->at->alpha;
    const double on_eps = -q.m_x0 * s->at->sigma / s->at->alpha;

    VPSDE_TRY(vpsde_eps_with(s, s->at, s->x, eps, range, NULL));
    if (to_data) {
        vec_lin2(s->n * s->d, s->x, on_x, s->x, on_eps, eps);
        return VPSDE_OK;
    }
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    if (ranges) scale_by_range(s, &q, range, z);
    vec_lin3(s->n * s->d, s->x, on_x, s->x, on_eps, eps, ranges ? 1 : sqrt(variance_of(s, &q)), z);
    return VPSDE_OK;
}

static double kernel_std(const vpsde_step *s)
{
    if (!(s->next->sigma > 0)) return 0;
    if (s->param[VARIANCE] == LEARNED_RANGE) return (double)NAN;
    const vpsde_posterior q = vpsde_posterior_at(s->at, s->next);
    return sqrt(variance_of(s, &q));
}

const vpsde_solver_type vpsde_solver_ancestral = {
    .name = "ancestral",
    .source = "Ho et al. 2020 (arXiv:2006.11239), algorithm 2",
    .doc = "DDPM's sampler: draws from the posterior of the next node given the predicted data.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_PLAIN_DEFAULTS,
    .order = {.strong = 1, .weak = 1},
    .forms = (const char *const[]){"variance=large", "variance=optimal", NULL},
    .nfe_per_step = 1,
    .n_scratch = 3,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
    .prepare = prepare,
};
