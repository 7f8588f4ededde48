/* Heun's method (explicit trapezoid) for the probability-flow ODE dx/du = F(x, u) in a clock u,
 *     x~ = x + h F(x, u),   x' = x + (h/2) [F(x, u) + F(x~, u')],   h = u' - u:
 *     phi:    F = (eps - sigma x)/alpha
 *     t:      F = -(beta/2)(x - eps/sigma)
 *     lambda: F = sigma^2 x - sigma eps
 * A step to sigma = 0 is x' = x0hat = (x - sigma eps)/alpha: Euler's in sigma/alpha, finite in
 * every clock, one call.
 * Source: Song et al. 2021 (arXiv:2011.13456), eq. (13); Karras et al. 2022 (arXiv:2206.00364),
 * algorithm 1 (the method, and its Euler step to 0). Order 2. */
#include "core/vec.h"
#include "solvers/exponential.h"
#include "solvers/slope.h"

enum { CLOCK };
static const vpsde_param params[] = {
    {.name = "clock",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = VPSDE_SLOPE_CHOICES,
     .max = VPSDE_SLOPE_CLOCKS - 1,
     .doc = "variable of integration"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *euler = s->w[1], *eps1 = s->w[2];
    const size_t count = s->n * s->d;

    if (!(s->next->sigma > 0)) return vpsde_step_to_data(s, eps);
    const vpsde_slope_clock *clock = &vpsde_slope_clocks[(size_t)s->param[CLOCK]];
    const vpsde_slope f = clock->at(s->at), f1 = clock->at(s->next);
    const double h = f1.u - f.u;

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vec_lin2(count, euler, 1 + h * f.on_x, s->x, h * f.on_eps, eps);
    VPSDE_TRY(vpsde_eps(s, s->next, euler, eps1));
    vec_lin4(count, s->x, 1 + h / 2 * f.on_x, s->x, h / 2 * f.on_eps, eps, h / 2 * f1.on_x, euler,
             h / 2 * f1.on_eps, eps1);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_heun = {
    .name = "heun",
    .source = "Karras et al. 2022 (arXiv:2206.00364), algorithm 1",
    .doc = "Explicit trapezoid for the probability-flow ODE.",
    .order = {.ode = 2},
    .forms = (const char *const[]){"clock=t", "clock=lambda", NULL},
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
