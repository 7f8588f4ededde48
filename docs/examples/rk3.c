/* Kutta's third-order method on the probability-flow ODE in the clock phi,
 *     dx/dphi = v(x, phi) = (eps - sigma x)/alpha,  h = phi' - phi < 0:
 *     k1 = v(phi, x),  k2 = v(phi + h/2, x + h k1/2),  k3 = v(phi', x - h k1 + 2 h k2),
 *     x' = x + h (k1 + 4 k2 + k3)/6
 * A step to sigma = 0 is x' = x0hat, one call.
 * Source: Kutta 1901; Hairer, Norsett & Wanner 1993, sec. II.1. Order 3. */
#include "core/vec.h"
#include "solvers/exponential.h"

static vpsde_status velocity(vpsde_step *s, const vpsde_coef *c, const double *x, double *v)
{
    VPSDE_TRY(vpsde_eps(s, c, x, v));
    vpsde_velocity_phi(v, c, x, v, s->n * s->d);
    return VPSDE_OK;
}

static vpsde_status step(vpsde_step *s)
{
    double *k1 = s->w[0], *k2 = s->w[1], *k3 = s->w[2], *u = s->w[3];
    const size_t count = s->n * s->d;
    const double h = s->next->phi - s->at->phi;
    const vpsde_coef middle = vpsde_process_at_phi(s->process, s->at->phi + h / 2);

    if (!(s->next->sigma > 0)) return vpsde_step_to_data(s, k1);
    VPSDE_TRY(velocity(s, s->at, s->x, k1));
    vec_lin2(count, u, 1, s->x, h / 2, k1);
    VPSDE_TRY(velocity(s, &middle, u, k2));
    vec_lin3(count, u, 1, s->x, -h, k1, 2 * h, k2);
    VPSDE_TRY(velocity(s, s->next, u, k3));
    vec_lin4(count, s->x, 1, s->x, h / 6, k1, 4 * h / 6, k2, h / 6, k3);
    return VPSDE_OK;
}

extern const vpsde_solver_type vpsde_solver_rk3;
const vpsde_solver_type vpsde_solver_rk3 = {
    .name = "rk3",
    .source = "Kutta 1901; Hairer, Norsett & Wanner 1993, sec. II.1",
    .doc = "Kutta's third-order method on the probability-flow ODE in phi",
    .order = {.ode = 3},
    .nfe_per_step = 3,
    .n_scratch = 4,
    .step = step,
};
