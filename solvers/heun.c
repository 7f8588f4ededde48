/* Heun's method (explicit trapezoid) for the probability-flow ODE dx/du = F(x, u) in a clock u,
 *     x~ = x + h F(x, u),   x' = x + (h/2) [F(x, u) + F(x~, u')],   h = u' - u:
 *     phi:    F = (eps - sigma x)/alpha
 *     t:      F = -(beta/2)(x - eps/sigma)
 *     lambda: F = sigma^2 x - sigma eps
 * A step to sigma = 0 is x' = x0hat = (x - sigma eps)/alpha: Euler's in sigma/alpha, finite in every
 * clock, one call.
 * Source: Song et al. 2021 (arXiv:2011.13456), eq. (13); Karras et al. 2022 (arXiv:2206.00364),
 * algorithm 1 (the method, and its Euler step to 0). Order 2. */
#include <vpsde/solver.h>

#include "core/vec.h"

/* F = x on_x + eps on_eps */
typedef struct slope {
    double u, on_x, on_eps;
} slope;

static slope slope_phi(const vpsde_coef *c)
{
    return (slope){.u = c->phi, .on_x = -c->sigma / c->alpha, .on_eps = 1 / c->alpha};
}

static slope slope_t(const vpsde_coef *c)
{
    return (slope){.u = c->t, .on_x = -c->beta / 2, .on_eps = c->beta / 2 / c->sigma};
}

static slope slope_lambda(const vpsde_coef *c)
{
    return (slope){.u = c->lambda, .on_x = c->sigma * c->sigma, .on_eps = -c->sigma};
}

enum { CLOCK };
static slope (*const slopes[])(const vpsde_coef *) = {slope_phi, slope_t, slope_lambda};
static const vpsde_param params[] = {
    {.name = "clock",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "phi|t|lambda",
     .max = 2,
     .doc = "variable of integration"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *euler = s->w[1], *eps1 = s->w[2];
    const size_t count = s->n * s->d;
    const double alpha = s->at->alpha, sigma = s->at->sigma;

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (!(s->next->sigma > 0)) {
        vec_lin2(count, s->x, 1 / alpha, s->x, -sigma / alpha, eps);
        return VPSDE_OK;
    }
    const slope f = slopes[(size_t)s->param[CLOCK]](s->at);
    const slope f1 = slopes[(size_t)s->param[CLOCK]](s->next);
    const double h = f1.u - f.u;
    vec_lin2(count, euler, 1 + h * f.on_x, s->x, h * f.on_eps, eps);
    VPSDE_TRY(vpsde_eps(s, s->next, euler, eps1));
    vec_lin4(count, s->x, 1 + h / 2 * f.on_x, s->x, h / 2 * f.on_eps, eps, h / 2 * f1.on_x, euler,
             h / 2 * f1.on_eps, eps1);
    return VPSDE_OK;
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    (void)param;
    const bool to_zero = !(grid->node[grid->n_steps].sigma > 0);
    return 2 * grid->n_steps - to_zero;
}

const vpsde_solver_type vpsde_solver_heun = {
    .name = "heun",
    .source = "Karras et al. 2022 (arXiv:2206.00364), algorithm 1",
    .doc = "Explicit trapezoid for the probability-flow ODE.",
    .ode_order = 2,
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
    .nfe = nfe,
};
