/* Student's distribution for whole degrees of freedom: Abramowitz & Stegun 1964, eqs. (26.7.3),
 * (26.7.4), and (26.7.5) where they are many. Truncation: the Fokker-Planck equation along fixed x,
 * d_b log p = (d + x.s + div s + |s|^2)/2 (Song et al. 2021, arXiv:2011.13456, in the clock b). */
#include "solvers/budget.h"

#include <math.h>

/* Measured over six integrators, six tolerances and two mixtures: docs/likelihood.md. */
static const double ode_safety = 2, ode_share = 2, rounding_safety = 4;

/* ---- Student --------------------------------------------------------------------------------- */

enum { NU_SUMMED = 400 };

/* P(|t| <= sqrt(nu) tan theta) */
static double student_within(size_t nu, double theta)
{
    const double s = sin(theta), c = cos(theta);
    const size_t odd = nu % 2;
    double term = odd ? c : 1, sum = 0;
    for (size_t m = odd; m + 2 <= nu; m += 2) {
        sum += term;
        term *= c * c * (double)(m + 1) / (double)(m + 2);
    }
    return odd ? 2 / M_PI * (theta + s * sum) : s * sum;
}

double vpsde_student_95(size_t nu)
{
    const double z = 1.959963984540054, n = (double)nu;
    if (nu > NU_SUMMED) {
        return z + (pow(z, 3) + z) / (4 * n) +
               (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * n * n) +
               (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / (384 * n * n * n);
    }
    double low = 0, high = M_PI / 2;
    while (high - low > 4e-16 * high) {
        const double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) break;
        *(student_within(nu, middle) < 0.95 ? &low : &high) = middle;
    }
    return sqrt(n) * tan(high);
}

double vpsde_probe_quantile(size_t k) { return k < 2 ? (double)NAN : vpsde_student_95(k - 1); }

double vpsde_trace_widening(size_t k) { return k < 2 ? 1 : sqrt(1 + 36 / (double)k); }

bool vpsde_few_signs(size_t k, size_t d) { return (d == 2 || d == 3) && k < 6; }

double vpsde_standard_error(const double *each, size_t k)
{
    double sum = 0, square = 0;
    if (k < 2) return (double)NAN;
    for (size_t m = 0; m < k; m++) sum += each[m];
    const double mean = sum / (double)k;
    for (size_t m = 0; m < k; m++) square += (each[m] - mean) * (each[m] - mean);
    return sqrt(square / (double)(k - 1) / (double)k);
}

/* ---- terms ----------------------------------------------------------------------------------- */

double vpsde_ode_error(double difference, double atol)
{
    return ode_safety * difference + ode_share * atol;
}

double vpsde_budget_truncation(double b, size_t d, double x_s, double div_s, double s_s)
{
    return -0.5 * b * ((double)d + x_s + div_s + s_s);
}

double vpsde_budget_terminal(double x_u0, double x_ux, double u0_u0, double div_u)
{
    return 0.5 * (x_u0 + x_ux - u0_u0 - div_u);
}

double vpsde_rounding_rate(const vpsde_rounding *r, const vpsde_coef *c, size_t d)
{
    const double unit = 0x1p-24, n = (double)d;
    if (!(c->sigma > 0)) return 0;
    const double of_eps = (r->eps_eps + r->j_j * r->x_x / n) / n;
    return unit / c->alpha * sqrt(r->eps_eps / (c->sigma * c->sigma) * of_eps + r->j_j);
}

double vpsde_rounding_floor(double integral, double count)
{
    return count > 0 ? rounding_safety * integral / sqrt(count) : 0;
}

void vpsde_budget_add(vpsde_error_budget *b, size_t k)
{
    const double widening = vpsde_trace_widening(k);
    b->numerical_error = b->ode_error + widening * b->trace_halfwidth + b->float32_floor;
    b->total = b->numerical_error + fabs(b->truncation) + widening * b->truncation_halfwidth +
               fabs(b->terminal) + fabs(b->dequantisation_gap) + b->dequantisation_halfwidth;
}
