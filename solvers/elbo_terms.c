/* Terms of Ho et al. 2020 (arXiv:2006.11239), eqs. (5) - (8) and (13), on any strided chain:
 *     L_{t-1} = sum_j [ (r - 1 - log r)/2 ] + m^2 |x0hat - x0|^2 / (2 v),   r = posterior var / v,
 * m the posterior mean's coefficient of x0; L_0 the Gaussian density N(x0; x0hat, v_1) or its mass
 * on a level. Importance ratios: Sohl-Dickstein et al. 2015 (arXiv:1503.03585), section 2.3. */
#include "solvers/elbo_terms.h"

#include <math.h>

#include "core/vec.h"

static const double log_2pi = 1.83787706640934548356;

/* What x0hat leaves open of x0, a dimension: (sigma/alpha)^2 (1 - E|eps|^2/d), never below 0. */
static double open_variance(const vpsde_coef *c, double eps_square, size_t d)
{
    const double rho = c->sigma / c->alpha;
    return rho * rho * fmax(1 - eps_square / (double)d, 0);
}

static double model_variance(const vpsde_elbo_step *s, vpsde_elbo_variance variance, double open)
{
    if (variance == VPSDE_ELBO_LARGE) return s->q.beta;
    if (variance == VPSDE_ELBO_SMALL) return s->q.var;
    return s->q.var + s->q.m_x0 * s->q.m_x0 * open;
}

/* The trapezoidal rule in log snr = 2 lambda between x_1 and x_T. Beyond, the integrand of I-MMSE
 * falls as 1/snr and as snr: the ends stand for those tails too. */
static double log_snr_share(const vpsde_grid *grid, size_t t)
{
    const vpsde_coef *at = &grid->node[grid->n_steps - t];
    const double cleaner = t > 1 ? at[1].lambda - at->lambda : 1;
    const double noisier = t < grid->n_steps ? at->lambda - at[-1].lambda : 1;
    return cleaner + noisier;
}

void vpsde_elbo_steps(vpsde_elbo_step *step, const vpsde_grid *grid, vpsde_elbo_variance variance,
                      const double *eps_square, size_t d)
{
    const size_t n = grid->n_steps;
    for (size_t t = 1; t <= n; t++) {
        vpsde_elbo_step *s = &step[t - 1];
        const vpsde_coef *at = &grid->node[n - t], *before = &grid->node[n - t + 1];
        *s = (vpsde_elbo_step){.at = at,
                               .q = vpsde_posterior_at(at, before),
                               .a = exp((before->b - at->b) / 2),
                               .log_snr = log_snr_share(grid, t)};
        const double open = eps_square ? open_variance(at, eps_square[n - t], d) : 0;
        s->v = model_variance(s, variance, open);
    }
    /* improved-diffusion's choice for the variance that would be 0 */
    if (!(step[0].v > 0)) step[0].v = n > 1 ? step[1].q.var : step[0].q.beta;
}

double vpsde_elbo_prior(const vpsde_coef *end, size_t d, const double *x0)
{
    const double variance = end->sigma * end->sigma;
    const double mean_square = end->alpha * end->alpha * vec_dot(d, x0, x0);
    return 0.5 * (mean_square + (double)d * (variance - 1 - log(variance)));
}

double vpsde_elbo_kl(const vpsde_elbo_step *s, size_t d, double mse_x0)
{
    const double r = s->q.var / s->v;
    return (double)d * (r - 1 - log(r)) / 2 + s->q.m_x0 * s->q.m_x0 * mse_x0 / (2 * s->v);
}

/* log erfc(a): the function itself underflows beyond 26; there its asymptotic series (Abramowitz &
 * Stegun 7.1.23), whose first left-out term is below 1e-9. */
static double log_erfc(double a)
{
    if (a < 25) return log(erfc(a));
    const double u = 1 / (2 * a * a);
    return -a * a - log(a) - 0.5 * log(M_PI) + log1p(-u * (1 - 3 * u * (1 - 5 * u)));
}

/* log of the mass of N(0, 1) between low and high, either of which may be infinite. */
static double log_mass(double low, double high)
{
    if (low < 0 && high > 0) {
        return log1p(-0.5 * erfc(-low * M_SQRT1_2) - 0.5 * erfc(high * M_SQRT1_2));
    }
    const double a = (low >= 0 ? low : -high) * M_SQRT1_2, b = (low >= 0 ? high : -low) * M_SQRT1_2;
    const double near = log_erfc(a);
    return near - M_LN2 + (isinf(b) ? 0 : log1p(-exp(log_erfc(b) - near)));
}

static double level_cost(const vpsde_levels *levels, double sd, double x0, double mean)
{
    const double top = levels->low + levels->width * (double)(levels->n - 1);
    const double half = levels->width / 2;
    const bool first = levels->low + half > x0;
    const bool last = x0 > top - half;
    const double low = first ? -INFINITY : (x0 - half - mean) / sd;
    const double high = last ? INFINITY : (x0 + half - mean) / sd;
    return -log_mass(low, high);
}

double vpsde_elbo_data(const vpsde_elbo_step *first, const vpsde_levels *levels, size_t d,
                       const double *x0, const double *x0hat)
{
    double sum = 0;
    if (levels->width > 0) {
        for (size_t j = 0; j < d; j++) sum += level_cost(levels, sqrt(first->v), x0[j], x0hat[j]);
        return sum;
    }
    for (size_t j = 0; j < d; j++) sum += (x0[j] - x0hat[j]) * (x0[j] - x0hat[j]);
    return sum / (2 * first->v) + (double)d * (log_2pi + log(first->v)) / 2;
}

/* log q(x_t | x_{t-1}) */
static double log_forward(const vpsde_elbo_step *s, size_t d, const double *z)
{
    return -0.5 * (vec_dot(d, z, z) + (double)d * (log_2pi + log(s->q.beta)));
}

double vpsde_elbo_ratio(const vpsde_elbo_step *s, size_t d, const double *x_before, const double *x,
                        const double *x0hat, const double *z)
{
    double square = 0;
    for (size_t j = 0; j < d; j++) {
        const double r = x_before[j] - s->q.m_x0 * x0hat[j] - s->q.m_xt * x[j];
        square += r * r;
    }
    const double log_model = -square / (2 * s->v) - (double)d * (log_2pi + log(s->v)) / 2;
    return log_model - log_forward(s, d, z);
}

double vpsde_elbo_ratio_data(const vpsde_elbo_step *first, size_t d, double l_0, const double *z)
{
    return -l_0 - log_forward(first, d, z);
}
