#include "experiments/thermo_step.h"

#include <math.h>

static double log_normal(double square, double variance, size_t d)
{
    return -(square / variance + (double)d * log(2 * M_PI * variance)) / 2;
}

static double log_kernel_ratio(const vpsde_thermo_step *e, size_t d)
{
    const double a = exp(-e->h / 2);
    double up = 0, down = 0;
    if (!e->mean) return (double)NAN;
    for (size_t j = 0; j < d; j++) {
        const double u = e->x[j] - a * e->xc[j], v = e->xc[j] - e->mean[j];
        up += u * u;
        down += v * v;
    }
    return log_normal(up, -expm1(-e->h), d) - log_normal(down, e->variance, d);
}

/* f = x + 2s, f_c = 2(x + s). The step's kernel k against that of the same force and noise from its other
 * end, k~(x|xc) = N(xc + f(xc) h/2, variance): of Euler-Maruyama
 *     log k(xc|x)/k~(x|xc) = (f + f')/2 . dx + (h/8)(|f'|^2 - |f|^2). */
void vpsde_thermo_drive(double gain[VPSDE_N_ALONG], const vpsde_thermo_step *e, size_t d)
{
    double heat = 0, work = 0, there = 0, back = 0;
    for (size_t j = 0; j < d; j++) {
        const double dx = e->xc[j] - e->x[j];
        const double f = e->x[j] + 2 * e->s[j], g = e->xc[j] + 2 * e->sc[j];
        const double u = e->xc[j] - e->mean[j], v = dx + e->h / 2 * g;
        heat += (f + g) / 2 * dx;
        work += (e->x[j] + e->s[j] + e->xc[j] + e->sc[j]) * dx;
        there += u * u;
        back += v * v;
    }
    gain[VPSDE_ALONG_HEAT] = heat;
    gain[VPSDE_ALONG_WORK] = work;
    gain[VPSDE_ALONG_KERNEL_HEAT] = (back - there) / (2 * e->variance);
    gain[VPSDE_ALONG_RATIO] = log_kernel_ratio(e, d);
    gain[VPSDE_ALONG_MARTINGALE] = 0;
}

/* f = -x; the exact transition is in detailed balance with pi, so both heats are one. The mean of xc given x
 * is that of Tweedie's formula, (x + (1 - a^2) s)/a. */
void vpsde_thermo_relax(double gain[VPSDE_N_ALONG], const vpsde_thermo_step *e, size_t d)
{
    const double a = exp(-e->h / 2), v = -expm1(-e->h);
    double heat = 0, noise = 0;
    for (size_t j = 0; j < d; j++) {
        heat -= (e->x[j] + e->xc[j]) / 2 * (e->x[j] - e->xc[j]);
        noise += (e->x[j] + e->s[j]) * (e->xc[j] - (e->x[j] + v * e->s[j]) / a);
    }
    gain[VPSDE_ALONG_HEAT] = gain[VPSDE_ALONG_KERNEL_HEAT] = heat;
    gain[VPSDE_ALONG_WORK] = 0;
    gain[VPSDE_ALONG_RATIO] = log_kernel_ratio(e, d);
    gain[VPSDE_ALONG_MARTINGALE] = noise;
}
