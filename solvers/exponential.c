#include "solvers/exponential.h"

#include <float.h>
#include <math.h>

#include "core/vec.h"

/* Below: series without cancellation; above: the recursion, which loses nothing there. */
static const double SERIES_REACH = 8;

/* k! phi_k(z) = sum_j z^j k!/(k+j)!; by Kummer's transformation for z < 0:
 * e^z sum_j k/(k+j) (-z)^j / j!. Terms are positive either way. */
static double series(unsigned k, double z)
{
    double sum = 1, term = 1;
    for (unsigned j = 1; term > DBL_EPSILON / 8 * sum; j++) {
        term *= z < 0 ? -z / j : z / (k + j);
        sum += z < 0 ? term * k / (k + j) : term;
    }
    return z < 0 ? exp(z) * sum : sum;
}

double vpsde_phi(unsigned k, double z)
{
    double factorial = 1;
    if (fabs(z) < SERIES_REACH) {
        for (unsigned j = 2; j <= k; j++) factorial *= j;
        return series(k, z) / factorial;
    }
    if (isinf(z)) return z < 0 ? 0 : z;
    double phi = expm1(z) / z;
    for (unsigned j = 1; j < k; j++) {
        factorial *= j;
        phi = (phi - 1 / factorial) / z;
    }
    return phi;
}

vpsde_exponential vpsde_exponential_eps(const vpsde_coef *at, const vpsde_coef *next)
{
    vpsde_exponential e = {.h = next->lambda - at->lambda, .on_x = next->alpha / at->alpha};
    if (!(next->sigma > 0)) {
        e.on[0] = -next->alpha / at->alpha * at->sigma;
        return e;
    }
    double power = -next->sigma;
    for (unsigned m = 0; m < VPSDE_EXPONENTIAL_TERMS; m++) {
        power *= e.h;
        e.on[m] = power * vpsde_phi(m + 1, e.h);
    }
    return e;
}

vpsde_exponential vpsde_exponential_x0(const vpsde_coef *at, const vpsde_coef *next, double eta)
{
    vpsde_exponential e = {.h = next->lambda - at->lambda};
    if (!(next->sigma > 0)) {
        e.on[0] = next->alpha;
        return e;
    }
    const double z = -(1 + eta) * e.h;
    e.on_x = next->sigma / at->sigma * exp(-eta * e.h);
    e.noise = next->sigma * sqrt(-expm1(-2 * eta * e.h));
    double power = next->alpha * (1 + eta);
    for (unsigned m = 0; m < VPSDE_EXPONENTIAL_TERMS; m++) {
        power *= e.h;
        e.on[m] = power * vpsde_phi(m + 1, z);
    }
    return e;
}

void vpsde_exponential_weights(size_t p, const double *tau, const double *on, double *c)
{
    double factorial = 1;
    for (size_t m = 0; m < p; m++) {
        c[m] = factorial * on[m]; /* sum_j c_j tau_j^m = m! on[m] */
        factorial *= (double)(m + 1);
    }
    for (size_t m = 0; m + 1 < p; m++) {
        for (size_t i = p - 1; i > m; i--) c[i] -= tau[m] * c[i - 1];
    }
    for (size_t m = p - 1; m-- > 0;) {
        for (size_t i = m + 1; i < p; i++) c[i] /= tau[i] - tau[i - m - 1];
        for (size_t i = m; i + 1 < p; i++) c[i] -= c[i + 1];
    }
}

vpsde_status vpsde_x0hat(vpsde_step *s, const vpsde_coef *c, const double *x, double *x0)
{
    VPSDE_TRY(vpsde_eps(s, c, x, x0));
    vec_lin2(s->n * s->d, x0, 1 / c->alpha, x, -c->sigma / c->alpha, x0);
    return VPSDE_OK;
}

vpsde_status vpsde_step_to_data(vpsde_step *s, double *x0)
{
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, x0));
    vec_copy(s->n * s->d, s->x, x0);
    return VPSDE_OK;
}

bool vpsde_step_is_first_order(const vpsde_step *s)
{
    const bool is_last = s->k + 1 == s->n_steps;
    return !(s->next->sigma > 0) || (is_last && s->last_step == VPSDE_LAST_LOWER_ORDER);
}

size_t vpsde_multistep_order(const vpsde_step *s, size_t p)
{
    if (vpsde_step_is_first_order(s)) return 1;
    return s->k + 1 < p ? s->k + 1 : p;
}

size_t vpsde_multistep_order_upstream(const vpsde_step *s, size_t p)
{
    const size_t order = vpsde_multistep_order(s, p), left = s->n_steps - s->k;
    return s->n_steps < 10 && left < order ? left : order;
}

void vpsde_multistep(vpsde_step *s, const vpsde_exponential *e, size_t p)
{
    vpsde_multistep_of(s, e, p, vpsde_multistep_order(s, p));
}

void vpsde_multistep_of(vpsde_step *s, const vpsde_exponential *e, size_t p, size_t order)
{
    const size_t count = s->n * s->d;
    double tau[VPSDE_EXPONENTIAL_TERMS] = {0}, c[VPSDE_EXPONENTIAL_TERMS];
    for (size_t j = 0; j < order; j++) tau[j] = s->node[s->k - j].lambda - s->at->lambda;
    vpsde_exponential_weights(order, tau, e->on, c);
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): an order is at least 1 */
    vec_lin2(count, s->x, e->on_x, s->x, c[0], s->w[s->k % p]);
    for (size_t j = 1; j < order; j++) {
        vec_lin2(count, s->x, 1, s->x, c[j], s->w[(s->k - j) % p]);
    }
}
