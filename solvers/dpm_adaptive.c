/* DPM-Solver with steps of its own: singlestep orders p - 1 and p share their evaluations, their
 * difference is the error, and the walk goes on from order p. With h = lambda_t - lambda_s,
 *     DPM-1: x_t = (alpha_t/alpha_s) x - sigma_t (e^h - 1) eps_s
 *     DPM-2: DPM-1 - (sigma_t/(2 r1)) (e^h - 1) (eps_1 - eps_s)
 *     DPM-3: DPM-1 - (sigma_t/r2) ((e^h - 1)/h - 1) (eps_2 - eps_s),
 * eps_1 at lambda_s + r1 h by DPM-1, eps_2 at lambda_s + r2 h from
 *     u2 = (DPM-1 there) - (sigma_2 r2/r1) ((e^{r2 h} - 1)/(r2 h) - 1) (eps_1 - eps_s).
 * Pair 12: r1 = 1/2; pair 23: r1 = 1/3, r2 = 2/3. The next h is theta h E^{-1/p} (at most tenfold).
 * Source: Lu et al. 2022 (arXiv:2206.00927), algorithms 1, 2 and appendix C. Order p.
 *
 * Stored states between the ends of a step: the cubic Hermite polynomial in phi =
 * atan(sigma/alpha), where dx/dphi = (eps - sigma x)/alpha; of order 3. */
#include "core/vec.h"
#include "solvers/exponential.h"
#include "solvers/walk.h"

enum { ORDER, THETA, H0 };
static const vpsde_param params[] = {
    {.name = "order",
     .kind = VPSDE_PARAM_INT,
     .value = 3,
     .min = 2,
     .max = 3,
     .doc = "order of the result: 3 (pair of orders 2 and 3) or 2 (pair of 1 and 2)"},
    {.name = "theta",
     .value = 0.9,
     .min = 0,
     .max = 1,
     .open_min = true,
     .doc = "safety factor of the next step"},
    {.name = "h0", .value = 0.05, .min = 0, .max = 10, .open_min = true, .doc = "first h"},
    VPSDE_WALK_PARAM_ROW,
    {.name = NULL},
};

static double lambda_of(const vpsde_coef *c) { return c->lambda; }

/* out = DPM-1 + on_d (eps_r - eps_s), eps_r NULL: DPM-1 */
static void dpm(const vpsde_walk *w, const vpsde_exponential *e, double on_d, const double *eps_r,
                double *out)
{
    vec_lin2(w->d, out, e->on_x, w->x, e->on[0] - on_d, w->eps);
    if (eps_r) vec_lin2(w->d, out, 1, out, on_d, eps_r);
}

static vpsde_status pair_12(vpsde_walk *w, const vpsde_coef *s, const vpsde_coef *t)
{
    const double r1 = 1.0 / 2;
    const vpsde_exponential e = vpsde_exponential_eps(s, t);
    const vpsde_coef c1 = vpsde_process_at_lambda(w->process, s->lambda + r1 * e.h);
    const vpsde_exponential e1 = vpsde_exponential_eps(s, &c1);
    double *u = w->w[0], *eps_1 = w->w[1];
    dpm(w, &e1, 0, NULL, u);
    VPSDE_TRY(vpsde_walk_eps(w, &c1, u, eps_1));
    dpm(w, &e, 0, NULL, w->low);
    dpm(w, &e, e.on[0] / (2 * r1), eps_1, w->high);
    return VPSDE_OK;
}

static vpsde_status pair_23(vpsde_walk *w, const vpsde_coef *s, const vpsde_coef *t)
{
    const double r1 = 1.0 / 3, r2 = 2.0 / 3;
    const vpsde_exponential e = vpsde_exponential_eps(s, t);
    const vpsde_coef c1 = vpsde_process_at_lambda(w->process, s->lambda + r1 * e.h);
    const vpsde_coef c2 = vpsde_process_at_lambda(w->process, s->lambda + r2 * e.h);
    const vpsde_exponential e1 = vpsde_exponential_eps(s, &c1), e2 = vpsde_exponential_eps(s, &c2);
    double *u = w->w[0], *eps_1 = w->w[1], *eps_2 = w->w[2];
    dpm(w, &e1, 0, NULL, u);
    VPSDE_TRY(vpsde_walk_eps(w, &c1, u, eps_1));
    dpm(w, &e2, e2.on[1] / (r1 * e.h), eps_1, u);
    VPSDE_TRY(vpsde_walk_eps(w, &c2, u, eps_2));
    dpm(w, &e, e.on[0] / (2 * r1), eps_1, w->low);
    dpm(w, &e, e.on[1] / (r2 * e.h), eps_2, w->high);
    return VPSDE_OK;
}

static void fill_in(vpsde_walk *w, const vpsde_coef *s, const vpsde_coef *t, const vpsde_coef *at,
                    double *out)
{
    const double step = t->phi - s->phi, u = (at->phi - s->phi) / step, v = 1 - u;
    const double on_s = v * v * (1 + 2 * u), slope_s = step * u * v * v / s->alpha;
    const double on_t = u * u * (1 + 2 * v), slope_t = -step * u * u * v / t->alpha;
    vec_lin4(w->d, out, on_s - slope_s * s->sigma, w->x, slope_s, w->eps, on_t - slope_t * t->sigma,
             w->high, slope_t, w->eps_next);
}

static vpsde_status walk(vpsde_walk *w)
{
    const vpsde_walk_rule rule = {
        .value = lambda_of,
        .at = vpsde_process_at_lambda,
        .first = w->param[H0],
        .theta = w->param[THETA],
        .power = 1 / w->param[ORDER],
        .grow_max = 10,
        .attempt = w->param[ORDER] < 3 ? pair_12 : pair_23,
        .fill_in = fill_in,
        .fills_with_next = true,
    };
    return vpsde_walk_by(w, &rule);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    order->ode = param[ORDER];
}

const vpsde_solver_type vpsde_solver_dpm_adaptive = {
    .name = "dpm-adaptive",
    .source = "Lu et al. 2022 (arXiv:2206.00927), appendix C",
    .doc = "DPM-Solver-23 or -12 with error control per sample, in lambda.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .order = {.ode = 3},
    .orders = orders,
    .forms = (const char *const[]){"order=2", NULL},
    .n_scratch = 3,
    .params = params,
    .walk = walk,
};
