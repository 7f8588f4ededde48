/* The classical Runge-Kutta method for the probability-flow ODE dx/du = F(x, u) in a clock u,
 *     k1 = F(x, u),   k2 = F(x + h/2 k1, u + h/2),   k3 = F(x + h/2 k2, u + h/2),
 *     k4 = F(x + h k3, u'),   x' = x + h (k1 + 2 k2 + 2 k3 + k4)/6,   h = u' - u:
 *     phi:    F = (eps - sigma x)/alpha
 *     t:      F = -(beta/2)(x - eps/sigma)
 *     lambda: F = sigma^2 x - sigma eps
 * A step to sigma = 0 is x' = x0hat = (x - sigma eps)/alpha: Euler's in sigma/alpha, one call.
 * Source: Kutta 1901; Hairer, Norsett & Wanner 1993, table II.1.2. Order 4. */
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

/* k <- F(y, u at c); k holds eps on the way. */
static vpsde_status slope(vpsde_step *s, const vpsde_coef *c, const double *y, double *k)
{
    const vpsde_slope f = vpsde_slope_clocks[(size_t)s->param[CLOCK]].at(c);
    VPSDE_TRY(vpsde_eps(s, c, y, k));
    vec_lin2(s->n * s->d, k, f.on_x, y, f.on_eps, k);
    return VPSDE_OK;
}

static vpsde_status step(vpsde_step *s)
{
    double *y = s->w[0], *k1 = s->w[1], *k2 = s->w[2], *k3 = s->w[3], *k4 = s->w[4];
    const size_t count = s->n * s->d;

    if (!(s->next->sigma > 0)) return vpsde_step_to_data(s, k1);
    const vpsde_slope_clock *clock = &vpsde_slope_clocks[(size_t)s->param[CLOCK]];
    const double u = clock->at(s->at).u, h = clock->at(s->next).u - u;
    const vpsde_coef half = clock->when(s->process, u + h / 2);
    VPSDE_TRY(slope(s, s->at, s->x, k1));
    vec_lin2(count, y, 1, s->x, h / 2, k1);
    VPSDE_TRY(slope(s, &half, y, k2));
    vec_lin2(count, y, 1, s->x, h / 2, k2);
    VPSDE_TRY(slope(s, &half, y, k3));
    vec_lin2(count, y, 1, s->x, h, k3);
    VPSDE_TRY(slope(s, s->next, y, k4));
    vec_lin4(count, y, h / 6, k1, h / 3, k2, h / 3, k3, h / 6, k4);
    vec_lin2(count, s->x, 1, s->x, 1, y);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_rk4 = {
    .name = "rk4",
    .source = "Hairer, Norsett & Wanner 1993, table II.1.2",
    .doc = "Classical Runge-Kutta of order 4 for the probability-flow ODE.",
    .order = {.ode = 4},
    .forms = (const char *const[]){"clock=t", "clock=lambda", NULL},
    .nfe_per_step = 4,
    .n_scratch = 5,
    .params = params,
    .step = step,
};
