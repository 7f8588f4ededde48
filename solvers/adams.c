#include "solvers/adams.h"

#include <math.h>

#include "core/vec.h"
#include "solvers/exponential.h"

static double rho_of(const vpsde_coef *c) { return c->sigma / c->alpha; }

static double u_t(const vpsde_coef *node, size_t k) { return node[k].t; }
static double u_rho(const vpsde_coef *node, size_t k) { return rho_of(&node[k]); }
static double u_lambda(const vpsde_coef *node, size_t k) { return node[k].lambda; }
static double u_index(const vpsde_coef *node, size_t k)
{
    (void)node;
    return (double)k;
}

/* alpha' length^m/(m + 1)! (rho' - rho): u straight in rho, over a step of `length` in u. */
static void straight(const vpsde_step *s, double length, double *on)
{
    on[0] = s->next->alpha * (rho_of(s->next) - rho_of(s->at));
    for (size_t m = 1; m < VPSDE_ADAMS_MAX; m++) on[m] = on[m - 1] * length / (double)(m + 1);
}

static void moments_rho(const vpsde_step *s, double *on)
{
    straight(s, rho_of(s->next) - rho_of(s->at), on);
}

static void moments_index(const vpsde_step *s, double *on) { straight(s, 1, on); }

static void moments_log_rho(const vpsde_step *s, double *on)
{
    const vpsde_exponential e = vpsde_exponential_eps(s->at, s->next);
    for (size_t m = 0; m < VPSDE_ADAMS_MAX; m++) on[m] = e.on[m];
}

/* The moments of t(rho) have no closed form, but with rho = e^-lambda their integrand is analytic
 * for |Im lambda| < pi/2 wherever t(b) is for b > 0: 10-point Gauss-Legendre on panels of
 * |lambda| <= 1 is then exact to round-off (6.4^-20). The kinks of a table of betas leave 1e-8 in
 * a run of 2 steps, 1e-10 in one of 8. */
static void moments_t(const vpsde_step *s, double *on)
{
    static const double point[] = {0.1488743389816312, 0.4333953941292472, 0.6794095682990244,
                                   0.8650633666889845, 0.9739065285171717};
    static const double weight[] = {0.2955242247147529, 0.2692667193099964, 0.2190863625159820,
                                    0.1494513491505806, 0.0666713443086881};
    if (!(s->next->sigma > 0)) { /* of order 1 */
        straight(s, 0, on);
        return;
    }
    const double lambda = s->at->lambda, apart = s->next->lambda - lambda;
    const size_t panels = (size_t)ceil(fabs(apart));
    const double half = apart / (2 * (double)panels);

    for (size_t m = 0; m < VPSDE_ADAMS_MAX; m++) on[m] = 0;
    for (size_t p = 0; p < panels; p++) {
        for (size_t i = 0; i < 10; i++) {
            const double place = i < 5 ? point[i] : -point[i - 5];
            const double at = lambda + half * ((double)(2 * p + 1) + place);
            const double away = vpsde_process_at_lambda(s->process, at).t - s->at->t;
            double term = -s->next->alpha * half * weight[i % 5] * exp(-at);
            for (size_t m = 0; m < VPSDE_ADAMS_MAX; m++) {
                on[m] += term;
                term *= away / (double)(m + 1);
            }
        }
    }
}

const vpsde_adams_variable vpsde_adams_t = {u_t, moments_t};
const vpsde_adams_variable vpsde_adams_rho = {u_rho, moments_rho};
const vpsde_adams_variable vpsde_adams_log_rho = {u_lambda, moments_log_rho};
const vpsde_adams_variable vpsde_adams_index = {u_index, moments_index};

vpsde_status vpsde_adams_step(vpsde_step *s, const vpsde_adams_variable *variable, size_t p,
                              const vpsde_start *start)
{
    const size_t count = s->n * s->d, order = vpsde_multistep_order(s, p);
    double *eps = s->w[s->k % p];

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (vpsde_start_has(start, s)) return vpsde_rho_rk(s, start, eps, s->w + VPSDE_ADAMS_MAX);

    double on[VPSDE_ADAMS_MAX], away[VPSDE_ADAMS_MAX], c[VPSDE_ADAMS_MAX];
    variable->moments(s, on);
    for (size_t j = 0; j < order; j++) {
        away[j] = variable->u(s->node, s->k - j) - variable->u(s->node, s->k);
    }
    vpsde_exponential_weights(order, away, on, c);
    vec_lin2(count, s->x, s->next->alpha / s->at->alpha, s->x, c[0], eps);
    for (size_t j = 1; j < order; j++) {
        vec_lin2(count, s->x, 1, s->x, c[j], s->w[(s->k - j) % p]);
    }
    return VPSDE_OK;
}

/* ---- parameters of the family ---------------------------------------------------------------- */

const vpsde_param vpsde_adams_params[] = {
    VPSDE_ADAMS_ORDER_ROW(4),
    VPSDE_ADAMS_START_ROW,
    {.name = NULL},
};

vpsde_start vpsde_adams_start(const double *param)
{
    const vpsde_start none = {0};
    return param[VPSDE_ADAMS_START] == VPSDE_ADAMS_KEEP
               ? vpsde_start_keep((size_t)param[VPSDE_ADAMS_ORDER])
               : none;
}

void vpsde_adams_orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    const double p = param[VPSDE_ADAMS_ORDER];
    *order = (vpsde_orders){.ode = p};
    if (param[VPSDE_ADAMS_START] == VPSDE_ADAMS_KEEP || p < 3) return;
    order->ode = 2;
    claimed->ode = p;
}

size_t vpsde_adams_nfe(const double *param, const vpsde_grid *grid)
{
    const vpsde_start start = vpsde_adams_start(param);
    return vpsde_start_nfe(&start, grid);
}
