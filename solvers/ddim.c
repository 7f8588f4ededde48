/* DDIM(eta):
 *     x' = alpha' x0hat + sqrt(sigma'^2 - s^2) eps + s z,   x0hat = (x - sigma eps)/alpha,
 *     s = eta (sigma'/sigma) sqrt(1 - alpha^2/alpha'^2).
 * eta = 0 is Euler's method for x/alpha in sigma/alpha (probability-flow ODE); eta = 1 is ancestral
 * sampling with the small variance.
 * Source: Song et al. 2020 (arXiv:2010.02502), eqs. (12), (16). ODE order 1; for eta > 0 strong and
 * weak order 1. */
#include <math.h>

#include <vpsde/solver.h>

#include "core/vec.h"
#include "solvers/clock.h"

enum { ETA };
static const vpsde_param params[] = {
    {.name = "eta", .value = 0, .min = 0, .max = 1, .doc = "share of the reverse SDE's noise"},
    {.name = NULL},
};

static double kernel_std(const vpsde_step *s)
{
    const double B = vpsde_stride_beta(s->at, s->next), ratio = s->next->sigma / s->at->sigma;
    return s->param[ETA] * ratio * sqrt(fmax(B, 0)); /* B < 0 towards noise */
}

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const vpsde_coef *c = s->at, *c1 = s->next;
    const double noise = kernel_std(s);
    const double direction = sqrt(fmax(c1->sigma * c1->sigma - noise * noise, 0));
    const double on_eps = direction - c->sigma * c1->alpha / c->alpha;

    VPSDE_TRY(vpsde_eps(s, c, s->x, eps));
    if (noise == 0) {
        vec_lin2(s->n * s->d, s->x, c1->alpha / c->alpha, s->x, on_eps, eps);
        return VPSDE_OK;
    }
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin3(s->n * s->d, s->x, c1->alpha / c->alpha, s->x, on_eps, eps, noise, z);
    return VPSDE_OK;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[ETA] > 0) *order = (vpsde_orders){.strong = 1, .weak = 1};
}

const vpsde_solver_type vpsde_solver_ddim = {
    .name = "ddim",
    .source = "Song et al. 2020 (arXiv:2010.02502), eq. (12)",
    .doc = "DDIM: eps frozen over the step; deterministic at eta = 0.",
    .order = {.ode = 1},
    .orders = orders,
    .forms = (const char *const[]){"eta=1", "eta=0.5", NULL},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
};
