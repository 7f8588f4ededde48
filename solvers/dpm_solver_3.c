/* DPM-Solver-3, stages at lambda_i = lambda + r_i h:
 *     u1 = (alpha_1/alpha) x - sigma_1 (e^(r1 h) - 1) eps
 *     u2 = (alpha_2/alpha) x - sigma_2 (e^(r2 h) - 1) eps
 *          - sigma_2 (r2/r1) ((e^(r2 h) - 1)/(r2 h) - 1) (eps_1 - eps)
 *     x' = (alpha'/alpha) x - sigma' (e^h - 1) eps - (sigma'/r2) ((e^h - 1)/h - 1) (eps_2 - eps),
 * h = lambda' - lambda: exponential steps with the slope of eps over the stage before. A step to
 * sigma' = 0 is x' = x0hat, one call.
 * Source: Lu et al. 2022 (arXiv:2206.00927), algorithm 2 (r1 = 1/3, r2 = 2/3); others: its appendix
 * and code. ODE order 3 for r2 = 2/3 and any r1 (the weight 1/(2 r2) of eps_2 - eps has to
 * integrate (u/h)^2 as well), otherwise 2. */
#include <math.h>

#include "core/vec.h"
#include "solvers/exponential.h"

enum { R1, R2 };
static const vpsde_param params[] = {
    {.name = "r1",
     .value = 1.0 / 3,
     .min = 0,
     .max = 1,
     .open_min = true,
     .doc = "first stage, share of h"},
    {.name = "r2",
     .value = 2.0 / 3,
     .min = 0,
     .max = 1,
     .open_min = true,
     .doc = "second stage, share of h; order 3 at 2/3 alone"},
    {.name = NULL},
};

/* out = exponential step from x at s->at to `to` with f' = (eps_u - eps)/span */
static void advance(const vpsde_step *s, const vpsde_coef *to, double *out, const double *eps,
                    const double *eps_u, double span)
{
    const vpsde_exponential e = vpsde_exponential_eps(s->at, to);
    const double on_u = e.on[1] / span;
    vec_lin3(s->n * s->d, out, e.on_x, s->x, e.on[0] - on_u, eps, on_u, eps_u);
}

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *u = s->w[1], *eps_u = s->w[2];
    const double h = s->next->lambda - s->at->lambda;

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (!(s->next->sigma > 0)) {
        advance(s, s->next, s->x, eps, eps, h);
        return VPSDE_OK;
    }
    const double span1 = s->param[R1] * h, span2 = s->param[R2] * h;
    const vpsde_coef c1 = vpsde_process_at_lambda(s->process, s->at->lambda + span1);
    const vpsde_coef c2 = vpsde_process_at_lambda(s->process, s->at->lambda + span2);
    advance(s, &c1, u, eps, eps, span1);
    VPSDE_TRY(vpsde_eps(s, &c1, u, eps_u));
    advance(s, &c2, u, eps, eps_u, span1);
    VPSDE_TRY(vpsde_eps(s, &c2, u, eps_u));
    advance(s, s->next, s->x, eps, eps_u, span2);
    return VPSDE_OK;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (fabs(param[R2] - 2.0 / 3) > 1e-9) order->ode = 2;
}

const vpsde_solver_type vpsde_solver_dpm_solver_3 = {
    .name = "dpm-solver-3",
    .source = "Lu et al. 2022 (arXiv:2206.00927), algorithm 2",
    .doc = "DPM-Solver-3: singlestep, two stages in lambda, noise prediction.",
    .order = {.ode = 3},
    .orders = orders,
    .forms = (const char *const[]){"r1=0.5", "r2=0.9", NULL},
    .nfe_per_step = 3,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
