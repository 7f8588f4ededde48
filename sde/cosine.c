/* alpha_bar(t) = f(t)/f(0), f(t) = cos^2((t + s)/(1 + s) pi/2); Nichol & Dhariwal 2021,
 * arXiv:2102.09672, eq. (17). With x = (pi/2) t/(1 + s) and a = (pi/2) s/(1 + s):
 *   b      = -2 log(cos(a + x)/cos a) = -2 log1p(-(2 sin^2(x/2) + sin x tan a)), small t;
 *          = -2 log(sin((pi/2)(1 - t)/(1 + s))/cos a), large t;
 *   beta   = pi/(1 + s) tan(a + x);
 *   tan(x/2) = u/(tan a + sqrt(tan^2 a + u(2 - u))), u = -expm1(-b/2), inverts the first line.
 * beta diverges at t = 1. The discrete chain clips beta_i; a continuous one has to stop: t_end is
 * 0.9946 as in the code of Lu et al. 2022 (arXiv:2206.00927), where beta = 370 and
 * lambda = -4.78, which is where a chain of N = 1000 steps clipped at 1 - exp(-0.37) = 0.31 turns
 * off its law. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "sde/registry.h"

enum { S, T_END };

static const vpsde_param params[] = {
    [S] = {.name = "s",
           .value = 0.008,
           .min = 1e-6,
           .max = 1,
           .doc = "Offset that keeps beta(0) = pi/(1 + s) tan(pi s/(2 + 2 s)) above zero."},
    [T_END] = {.name = "t_end",
               .value = 0.9946,
               .max = 0.999999,
               .open_min = true,
               .doc = "Where the process ends; beta diverges at t = 1."},
    {.name = NULL},
};

typedef struct cosine {
    double rate; /* (pi/2)/(1 + s) */
    double tan_a, cos_a;
} cosine;

static vpsde_status init(void **state, double *t_max, const double *param, const double *betas,
                         size_t n_betas)
{
    (void)betas, (void)n_betas;
    cosine *c;
    VPSDE_TRY(vpsde_alloc(&c, 1, sizeof(*c)));
    c->rate = M_PI_2 / (1 + param[S]);
    c->tan_a = tan(c->rate * param[S]);
    c->cos_a = cos(c->rate * param[S]);
    *state = c;
    *t_max = param[T_END];
    return VPSDE_OK;
}

static double b(const void *state, double t)
{
    const cosine *c = state;
    if (t > 0.5) return -2 * log(sin(c->rate * (1 - t)) / c->cos_a);
    const double x = c->rate * t, half = sin(0.5 * x);
    return -2 * log1p(-(2 * half * half + sin(x) * c->tan_a));
}

static double beta(const void *state, double t)
{
    const cosine *c = state;
    if (t > 0.5) return 2 * c->rate / tan(c->rate * (1 - t));
    const double tan_x = tan(c->rate * t);
    return 2 * c->rate * (c->tan_a + tan_x) / (1 - c->tan_a * tan_x);
}

static double t_of_b(const void *state, double value)
{
    const cosine *c = state;
    const double u = -expm1(-0.5 * value);
    const double half = u / (c->tan_a + sqrt(c->tan_a * c->tan_a + u * (2 - u)));
    return 2 * atan(half) / c->rate;
}

const vpsde_schedule_type vpsde_schedule_cosine = {
    .name = "cosine",
    .source = "Nichol & Dhariwal 2021, arXiv:2102.09672, eq. (17)",
    .doc = "alpha_bar falls as a squared cosine, stopped before its rate diverges.",
    .params = params,
    .init = init,
    .fini = free,
    .b = b,
    .beta = beta,
    .t_of_b = t_of_b,
};
