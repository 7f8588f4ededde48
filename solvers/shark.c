/* ShARK, the shifted additive-noise Runge-Kutta method, on the reverse SDE in the b clock
 * dx = f(x, b) db + dw, f = x/2 - eps/sigma, with W and H of the step, h = b - b':
 *     y1 = x + H,                          k1 = f(y1, b),
 *     y2 = y1 + (5/6)(h k1 + W),           k2 = f(y2, b - (5/6) h),
 *     x' = x + h ((2/5) k1 + (3/5) k2) + W.
 * A step to sigma = 0 is x' = x0hat with one call.
 * Source: Foster, dos Reis & Strange 2024 (arXiv:2210.17543), section 6. Strong order 1.5, weak
 * order 2. */
#include <math.h>

#include "core/vec.h"
#include "solvers/clock.h"
#include "solvers/exponential.h"

/* F <- f(x, c) */
static vpsde_status drift(vpsde_step *s, const vpsde_coef *c, const double *x, double *F)
{
    VPSDE_TRY(vpsde_eps(s, c, x, F));
    vec_lin2(s->n * s->d, F, 0.5, x, -1 / c->sigma, F);
    return VPSDE_OK;
}

static vpsde_status step(vpsde_step *s)
{
    double *k1 = s->w[0], *k2 = s->w[1], *y = s->w[2], *z = s->w[3], *area = s->w[4];
    const size_t count = s->n * s->d;
    const double h = vpsde_stride_b(s->at, s->next), root = sqrt(h);

    if (!(s->next->sigma > 0)) return vpsde_step_to_data(s, k1);
    const vpsde_coef c = vpsde_process_at_b(s->process, s->at->b - 5 * h / 6);
    vpsde_step_noise(s, s->at, s->next, z, area);
    vec_lin2(count, y, 1, s->x, root / sqrt(12), area);
    VPSDE_TRY(drift(s, s->at, y, k1));
    vec_lin3(count, y, 1, y, 5 * h / 6, k1, 5 * root / 6, z);
    VPSDE_TRY(drift(s, &c, y, k2));
    vec_lin4(count, s->x, 1, s->x, 2 * h / 5, k1, 3 * h / 5, k2, root, z);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_shark = {
    .name = "shark",
    .source = "Foster, dos Reis & Strange 2024 (arXiv:2210.17543), section 6",
    .doc = "Shifted additive-noise Runge-Kutta method, with Levy area.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1.5, .weak = 2},
    .nfe_per_step = 2,
    .n_scratch = 5,
    .step = step,
};
