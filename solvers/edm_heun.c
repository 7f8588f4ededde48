/* EDM's stochastic sampler: churn up to a noisier time, then Heun's step down, for v = x/alpha in
 * rho = sigma/alpha (dv/drho = eps):
 *     rho^ = (1 + g) rho,   v^ = v + S_noise sqrt(rho^^2 - rho^2) z,
 *     g = min(S_churn/N, sqrt(2) - 1) where rho is in [S_min, S_max], else 0,
 *     v~ = v^ + (rho' - rho^) eps(v^, rho^),
 *     v' = v^ + (rho' - rho^)/2 [eps(v^, rho^) + eps(v~, rho')].
 * The step to sigma = 0 is Euler's. rho^ ends at t_max, where the process does.
 * Churn keeps the law of x_t exactly, so the end's law is of order 2 at S_noise = 1, with or
 * without; at other S_noise it is another law, and no order is declared.
 * Source: Karras et al. 2022 (arXiv:2206.00364), algorithm 2. */
#include <math.h>

#include <vpsde/solver.h>

#include "core/vec.h"

enum { S_CHURN, S_MIN, S_MAX, S_NOISE };
static const vpsde_param params[] = {
    {.name = "s_churn",
     .value = 0,
     .min = 0,
     .max = 1e6,
     .doc = "total amount of churn, over all steps"},
    {.name = "s_min",
     .value = 0,
     .min = 0,
     .max = 1e30,
     .doc = "smallest sigma/alpha that is churned"},
    {.name = "s_max",
     .value = 1e30,
     .min = 0,
     .max = 1e30,
     .doc = "largest sigma/alpha that is churned"},
    {.name = "s_noise", .value = 1, .min = 0, .max = 2, .doc = "scale of the churn's noise"},
    {.name = NULL},
};

static double rho_of(const vpsde_coef *c) { return c->sigma / c->alpha; }

static vpsde_coef churned(const vpsde_step *s)
{
    const double rho = rho_of(s->at);
    const double g = fmin(s->param[S_CHURN] / (double)s->n_steps, sqrt(2) - 1);
    if (!(g > 0) || rho < s->param[S_MIN] || rho > s->param[S_MAX]) return *s->at;
    const vpsde_coef end = vpsde_process_at(s->process, vpsde_process_t_max(s->process));
    const double lambda = s->at->lambda - log1p(g);
    return lambda > end.lambda ? vpsde_process_at_lambda(s->process, lambda) : end;
}

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *euler = s->w[1], *eps1 = s->w[2];
    const size_t count = s->n * s->d;
    const vpsde_coef up = churned(s);
    const double rho = rho_of(s->at), rho_up = rho_of(&up), h = rho_of(s->next) - rho_up;
    const double keep = s->next->alpha / up.alpha;

    if (rho_up > rho) {
        const double spread = s->param[S_NOISE] * sqrt((rho_up - rho) * (rho_up + rho));
        vpsde_step_draw(s, 0, eps);
        vec_lin2(count, s->x, up.alpha / s->at->alpha, s->x, up.alpha * spread, eps);
    }
    VPSDE_TRY(vpsde_eps(s, &up, s->x, eps));
    if (!(s->next->sigma > 0)) {
        vec_lin2(count, s->x, keep, s->x, s->next->alpha * h, eps);
        return VPSDE_OK;
    }
    vec_lin2(count, euler, keep, s->x, s->next->alpha * h, eps);
    VPSDE_TRY(vpsde_eps(s, s->next, euler, eps1));
    vec_lin3(count, s->x, keep, s->x, s->next->alpha * h / 2, eps, s->next->alpha * h / 2, eps1);
    return VPSDE_OK;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[S_CHURN] > 0) *order = (vpsde_orders){.weak = param[S_NOISE] == 1 ? 2 : 0};
}

const vpsde_solver_type vpsde_solver_edm_heun = {
    .name = "edm-heun",
    .source = "Karras et al. 2022 (arXiv:2206.00364), algorithm 2",
    .doc = "EDM: Heun's method for x/alpha in sigma/alpha, with churn.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.ode = 2},
    .orders = orders,
    .forms = (const char *const[]){"s_churn=4", NULL},
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
