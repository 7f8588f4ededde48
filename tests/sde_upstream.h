/* Upstream codes of the reverse SDE written out for one sample in one dimension: k-diffusion and
 * diffusers in the variables x/alpha and sigma/alpha, SA-Solver by quadrature. Noise is numbers 0, 1,
 * ... of VPSDE_NOISE_TEST, seed LIST_SEED. */
#ifndef VPSDE_TESTS_SDE_UPSTREAM_H
#define VPSDE_TESTS_SDE_UPSTREAM_H

#include "tests/sde_fixture.h"

/* ---- k-diffusion written out ---------------------------------------------------------------- */

/* One sample in its variables: x is x/alpha, sigma is sigma/alpha, t = -log sigma = lambda. */
typedef struct kd {
    const toy *m;
    const vpsde_process *process;
    const vpsde_grid *grid;
    uint64_t sample;
    uint32_t calls; /* of the noise sampler */
} kd;

static inline double kd_sigma(const kd *r, size_t k)
{
    return r->grid->node[k].sigma / r->grid->node[k].alpha;
}

static inline double kd_denoised(const kd *r, double x, double sigma)
{
    const vpsde_coef c = vpsde_process_at_lambda(r->process, -log(sigma));
    double eps, scaled = c.alpha * x;
    toy_row(r->m, &c, 1, &scaled, &eps);
    return x - sigma * eps;
}

static inline double kd_noise(kd *r)
{
    double z;
    vpsde_normals(&z, LIST_SEED, VPSDE_NOISE_TEST, r->sample, 1, r->calls++, 1);
    return z;
}

/* sample_dpmpp_3m_sde: on_d2 replaces its -phi_3 by `factor` of that; order 2 is its
 * sample_dpmpp_2m_sde with solver_type heun. */
static inline double kd_3m_sde(kd *r, double x, double eta, size_t order, double factor)
{
    double denoised_1 = 0, denoised_2 = 0, h_1 = 0, h_2 = 0;
    for (size_t k = 0; k < r->grid->n_steps; k++) {
        const double sigma = kd_sigma(r, k), next = kd_sigma(r, k + 1);
        const double denoised = kd_denoised(r, x, sigma);
        const double h = log(sigma) - log(next), h_eta = h * (eta + 1);
        x = exp(-h_eta) * x - expm1(-h_eta) * denoised;
        const double phi_2 = expm1(-h_eta) / h_eta + 1, phi_3 = phi_2 / h_eta - 0.5;
        if (k > 1 && order == 3) {
            const double r0 = h_1 / h, r1 = h_2 / h;
            const double d1_0 = (denoised - denoised_1) / r0, d1_1 = (denoised_1 - denoised_2) / r1;
            const double d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1);
            const double d2 = (d1_0 - d1_1) / (r0 + r1);
            x += phi_2 * d1 - factor * phi_3 * d2;
        } else if (k > 0) {
            x += phi_2 * (denoised - denoised_1) / (h_1 / h);
        }
        if (eta > 0) x += kd_noise(r) * next * sqrt(-expm1(-2 * h * eta));
        denoised_2 = denoised_1;
        denoised_1 = denoised;
        h_2 = h_1;
        h_1 = h;
    }
    return x;
}

/* sample_dpmpp_2m_sde, solver_type midpoint, and with `third` diffusers' update of order 3 of
 * sde-dpmsolver++ after it, in the same variables. */
static inline double kd_midpoint(kd *r, double x, double eta, bool third)
{
    double old = 0, older = 0, h_last = 0, h_before = 0;
    for (size_t k = 0; k < r->grid->n_steps; k++) {
        const double sigma = kd_sigma(r, k), next = kd_sigma(r, k + 1);
        const double denoised = kd_denoised(r, x, sigma);
        const double h = log(sigma) - log(next), eta_h = eta * h;
        x = next / sigma * exp(-eta_h) * x - expm1(-h - eta_h) * denoised;
        if (third && k > 1) {
            const double r0 = h_last / h, r1 = h_before / h;
            const double D1_0 = 1 / r0 * (denoised - old), D1_1 = 1 / r1 * (old - older);
            const double D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1);
            const double D2 = 1 / (r0 + r1) * (D1_0 - D1_1);
            x += ((1.0 - exp(-2.0 * h)) / (-2.0 * h) + 1.0) * D1;
            x += ((1.0 - exp(-2.0 * h) - 2.0 * h) / (2.0 * h * 2.0 * h) - 0.5) * D2;
        } else if (k > 0) {
            x += 0.5 * -expm1(-h - eta_h) * (1 / (h_last / h)) * (denoised - old);
        }
        if (eta > 0) x += kd_noise(r) * next * sqrt(-expm1(-2 * eta_h));
        older = old;
        old = denoised;
        h_before = h_last;
        h_last = h;
    }
    return x;
}

/* get_ancestral_step at eta = 1 */
static inline double kd_up(double from, double to)
{
    return sqrt(to * to * (from * from - to * to) / (from * from));
}

/* sample_dpmpp_sde at eta = 1. On the path its second noise is made of both stretches. */
static inline double kd_dpmpp_sde(kd *r, double x, bool independent)
{
    const double fac = 1 / (2 * 0.5);
    for (size_t k = 0; k < r->grid->n_steps; k++) {
        const double sigma = kd_sigma(r, k), next = kd_sigma(r, k + 1);
        const double mid = exp(0.5 * (log(sigma) + log(next)));
        const double denoised = kd_denoised(r, x, sigma), z1 = kd_noise(r), z2 = kd_noise(r);
        const double down = mid * mid / sigma, down_next = next * next / sigma;
        const double x_2 =
            down / sigma * x - expm1(log(down) - log(sigma)) * denoised + kd_up(sigma, mid) * z1;
        const double denoised_2 = kd_denoised(r, x_2, mid);
        const double denoised_d = (1 - fac) * denoised + fac * denoised_2;
        const double carried = (next * next) / (mid * mid) * kd_up(sigma, mid) * z1;
        const double noise =
            independent ? kd_up(sigma, next) * z2 : carried + kd_up(mid, next) * z2;
        x = down_next / sigma * x - expm1(log(down_next) - log(sigma)) * denoised_d + noise;
    }
    return x;
}

/* ComfyUI's sample_seeds_3, r_1 = 1/3, r_2 = 2/3, with its ei_h_phi_2(hh) = (e^hh - 1 - hh)/hh. */
static inline double kd_phi_2(double hh) { return (expm1(hh) - hh) / hh; }

static inline double kd_seeds_3(kd *r, double x, double eta)
{
    const double r_1 = 1. / 3, r_2 = 2. / 3;
    for (size_t k = 0; k < r->grid->n_steps; k++) {
        const double sigma = kd_sigma(r, k), next = kd_sigma(r, k + 1);
        const double h = log(sigma / next), h_eta = h * (eta + 1), third = exp(-h_eta / 3);
        const double sigma_1 = sigma * exp(-r_1 * h), sigma_2 = sigma * exp(-r_2 * h);
        const double spread = sqrt(-expm1(-2 * eta * h / 3));
        const double n_1 = sigma_1 * spread * kd_noise(r);
        const double n_2 = third * n_1 + sigma_2 * spread * kd_noise(r);
        const double n_3 = third * n_2 + next * spread * kd_noise(r);
        const double denoised = kd_denoised(r, x, sigma);
        const double x_2 = exp(-r_1 * h_eta) * x - expm1(-r_1 * h_eta) * denoised + n_1;
        const double denoised_2 = kd_denoised(r, x_2, sigma_1);
        const double a3_2 = r_2 / r_1 * kd_phi_2(-r_2 * h_eta);
        const double a3_1 = expm1(-r_2 * h_eta) - a3_2;
        const double x_3 = exp(-r_2 * h_eta) * x - (a3_1 * denoised + a3_2 * denoised_2) + n_2;
        const double denoised_3 = kd_denoised(r, x_3, sigma_2);
        const double b3 = kd_phi_2(-h_eta) / r_2, b1 = expm1(-h_eta) - b3;
        x = exp(-h_eta) * x - (b1 * denoised + b3 * denoised_3) + n_3;
    }
    return x;
}

/* b_i by Simpson's rule on the interpolated exponential integral of the step from -> to. */
static inline double adams_weight(const vpsde_coef *from, const vpsde_coef *to, double tau2,
                                  const double *lambda, size_t n, size_t i)
{
    enum { PANELS = 400 };
    const double h = (to->lambda - from->lambda) / PANELS;
    double sum = 0;
    for (size_t p = 0; p <= PANELS; p++) {
        const double at = from->lambda + (double)p * h;
        double l = 1;
        for (size_t j = 0; j < n; j++) {
            if (j != i) l *= (at - lambda[j]) / (lambda[i] - lambda[j]);
        }
        const double rule = p == 0 || p == PANELS ? 1 : p % 2 ? 4 : 2;
        sum += rule * h / 3 * (1 + tau2) * exp(-tau2 * (to->lambda - at)) * to->sigma * exp(at) * l;
    }
    return sum;
}

static inline double adams(const vpsde_grid *g, size_t step, size_t newest, size_t n, double tau2,
                           double base, const double *x0, double z)
{
    const vpsde_coef *from = &g->node[step], *to = from + 1;
    const double h = to->lambda - from->lambda;
    double lambda[3] = {0}, x = to->sigma / from->sigma * exp(-tau2 * h) * base;
    for (size_t j = 0; j < n; j++) lambda[j] = g->node[newest - j].lambda;
    for (size_t j = 0; j < n; j++) {
        x += adams_weight(from, to, tau2, lambda, n, j) * x0[newest - j];
    }
    return x + to->sigma * sqrt(-expm1(-2 * tau2 * h)) * z;
}

/* Algorithm 1, PEC: x0hat of predicted states, z of the predictor again in the corrector. */
static inline double sa_written_out(const toy *m, const vpsde_grid *g, double x, uint64_t sample,
                                    size_t predictor, size_t corrector, double tau2)
{
    double x0[STEPS_MAX], eps, base = x, z = 0;
    for (size_t k = 0; k < g->n_steps; k++) {
        const vpsde_coef *c = &g->node[k];
        toy_row(m, c, 1, &x, &eps);
        x0[k] = (x - c->sigma * eps) / c->alpha;
        const size_t p = predictor < k + 1 ? predictor : k + 1;
        const size_t q = corrector < k + 1 ? corrector : k + 1;
        if (k > 0) base = adams(g, k - 1, k, q, tau2, base, x0, z);
        if (tau2 > 0) vpsde_normals(&z, LIST_SEED, VPSDE_NOISE_TEST, sample, 1, (uint32_t)k, 1);
        x = adams(g, k, k, p, tau2, base, x0, z);
    }
    return x;
}

#endif
