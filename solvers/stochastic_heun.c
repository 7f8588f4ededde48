/* Heun's method on the reverse SDE in the b clock, dx = f(x, b) db + dw, f = x/2 - eps/sigma:
 *     x~ = x + h f(x, b) + W,   x' = x + (h/2)[f(x, b) + f(x~, b')] + W,   h = b - b'.
 * A step to sigma = 0, where f has no value, is x' = x0hat with one call.
 * Source: Kloeden & Platen 1992, section 15.1 (additive noise). Strong order 1, weak order 2. */
#include <math.h>

#include "core/vec.h"
#include "solvers/clock.h"
#include "solvers/exponential.h"

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *euler = s->w[1], *eps1 = s->w[2], *z = s->w[3];
    const size_t count = s->n * s->d;
    const double h = vpsde_stride_b(s->at, s->next), sigma = s->at->sigma;

    if (!(s->next->sigma > 0)) return vpsde_step_to_data(s, eps);
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin3(count, euler, 1 + h / 2, s->x, -h / sigma, eps, sqrt(h), z);
    VPSDE_TRY(vpsde_eps(s, s->next, euler, eps1));
    vec_lin4(count, s->x, 1 + h / 4, s->x, -h / 2 / sigma, eps, h / 4, euler,
             -h / 2 / s->next->sigma, eps1);
    vec_lin2(count, s->x, 1, s->x, sqrt(h), z);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_stochastic_heun = {
    .name = "stochastic-heun",
    .source = "Kloeden & Platen 1992, section 15.1",
    .doc = "Explicit trapezoid for the reverse SDE with additive noise.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 2},
    .nfe_per_step = 2,
    .n_scratch = 4,
    .step = step,
};
