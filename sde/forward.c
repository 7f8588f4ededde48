/* Transitions of the Ornstein-Uhlenbeck process between two nodes, exact for any stride:
 *   q(x_t | x_s)      = N(a x_s, 1 - a^2),  a = exp(-(b_t - b_s)/2)    Ho et al. 2020, eq. (4)
 *   q(x_s | x_t, x_0) = N(m_x0 x_0 + m_xt x_t, var)                   Ho et al. 2020, eqs. (6), (7)
 * Differences of b keep the digits that 1 - alpha_t^2 / alpha_s^2 would lose. */
#include <vpsde/process.h>

#include <math.h>

#include "core/vec.h"

void vpsde_forward(double *out, const vpsde_coef *from, const vpsde_coef *to, const double *x,
                   const double *z, size_t count)
{
    const double db = to->b - from->b;
    vec_lin2(count, out, exp(-0.5 * db), x, sqrt(-expm1(-db)), z);
}

vpsde_posterior vpsde_posterior_at(const vpsde_coef *t, const vpsde_coef *s)
{
    const double db = t->b - s->b, beta = -expm1(-db);
    const double var_t = -expm1(-t->b), var_s = -expm1(-s->b);
    return (vpsde_posterior){
        .m_x0 = s->alpha * beta / var_t,
        .m_xt = exp(-0.5 * db) * var_s / var_t,
        .var = beta * var_s / var_t,
        .beta = beta,
    };
}

VPSDE_VECTOR
static void velocity(size_t count, double *dx, double sigma, double inv_alpha, const double *x,
                     const double *eps)
{
    for (size_t e = 0; e < count; e++) dx[e] = (eps[e] - sigma * x[e]) * inv_alpha;
}

void vpsde_velocity_phi(double *dx, const vpsde_coef *c, const double *x, const double *eps,
                        size_t count)
{
    velocity(count, dx, c->sigma, 1 / c->alpha, x, eps);
}

double vpsde_prior_logp(const double *x, size_t d)
{
    const double log_2pi = 1.8378770664093454836;
    return -0.5 * (vec_dot(d, x, x) + (double)d * log_2pi);
}
