/* SA-Solver: stochastic Adams, x0hat of some nodes i interpolated and integrated exactly,
 *     x' = (sigma'/sigma) e^(-tau^2 h) x + sum_i b_i x0hat_i + sigma' sqrt(1 - e^(-2 tau^2 h)) z,
 *     b_i = alpha' (1 + tau^2) int_0^h e^(-(1 + tau^2)(h - u)) l_i(u) du.
 * The predictor takes the last `predictor_order` nodes. Once x0hat of the predicted state is known
 * the corrector takes the step anew from the corrected state before, with the same z and
 * `corrector_order` values, that one included (PEC: its x0hat is never evaluated again). So one
 * call serves two steps, and the last state is a predicted one. tau is that of the step's start.
 * diffusers: tau = 1 for 0.2 <= t <= 0.8; its tweak of the coefficients of order 2 is left out.
 * start = keep: where no corrector mends the first step of predictor 3, it has two stages.
 * Source: Xue et al. 2023 (arXiv:2309.05019), algorithm 1. ODE order at tau = 0: the smaller of
 * corrector_order and predictor_order + 1, without corrector predictor_order. For tau > 0 strong
 * order 1 and weak order the smaller of 2 and that. */
#include <math.h>

#include "core/vec.h"
#include "solvers/sde_exponential.h"
#include "solvers/starters.h"

enum { TAU, PREDICTOR, CORRECTOR, TAU_T_MIN, TAU_T_MAX, START };
enum { KEEP, UPSTREAM };
enum { HISTORY = 3, BASE = HISTORY, Z, N_BUFFERS };
static const vpsde_param params[] = {
    {.name = "tau", .value = 1, .max = 3, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = "predictor_order",
     .kind = VPSDE_PARAM_INT,
     .value = 2,
     .min = 1,
     .max = HISTORY,
     .doc = "nodes the predictor takes"},
    {.name = "corrector_order",
     .kind = VPSDE_PARAM_INT,
     .value = 2,
     .min = 0,
     .max = HISTORY,
     .doc = "values the corrector takes, the predicted one included; 0: no corrector"},
    {.name = "tau_t_min", .value = 0, .max = 1, .doc = "tau is 0 in steps from below this t"},
    {.name = "tau_t_max", .value = 1, .max = 1, .doc = "tau is 0 in steps from above this t"},
    {.name = "start",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "keep|upstream",
     .max = 1,
     .doc = "first step of predictor 3 without corrector: of two stages, or of one"},
    {.name = NULL},
};

static double eta_at(const double *param, const vpsde_coef *c)
{
    const bool within = c->t >= param[TAU_T_MIN] && c->t <= param[TAU_T_MAX];
    return within ? param[TAU] * param[TAU] : 0;
}

/* x' of the step from -> to through x0hat of the newest `order` nodes; z as it lies in s->w[Z]. */
static void adams(vpsde_step *s, const vpsde_coef *from, const vpsde_exponential *e,
                  const double *x, size_t order)
{
    const size_t count = s->n * s->d;
    double tau[HISTORY] = {0}, c[HISTORY];
    for (size_t j = 0; j < order; j++) tau[j] = s->node[s->k - j].lambda - from->lambda;
    vpsde_exponential_weights(order, tau, e->on, c);
    vec_lin2(count, s->x, e->on_x, x, c[0], s->w[s->k % HISTORY]);
    for (size_t j = 1; j < order; j++) {
        vec_lin2(count, s->x, 1, s->x, c[j], s->w[(s->k - j) % HISTORY]);
    }
    if (e->noise > 0) vec_lin2(count, s->x, 1, s->x, e->noise, s->w[Z]);
}

static const vpsde_start two_stages = {.steps = 1, .rk = 2};

static bool has_stages(const double *param)
{
    return param[START] == KEEP && param[PREDICTOR] == 3 && param[CORRECTOR] == 0;
}

static vpsde_status step(vpsde_step *s)
{
    double *x0 = s->w[s->k % HISTORY], *base = s->w[BASE], *z = s->w[Z];
    const size_t corrector = (size_t)s->param[CORRECTOR];
    const double eta = eta_at(s->param, s->at);
    const vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, eta);

    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, x0));
    if (has_stages(s->param) && vpsde_start_has(&two_stages, s)) {
        const vpsde_two_stages form = {.eta = eta, .r = 0.5};
        return vpsde_two_stage_step(s, &form, x0, base, z);
    }
    if (corrector > 0 && s->k > 0) {
        const vpsde_coef *before = s->at - 1;
        const vpsde_exponential e1 = vpsde_exponential_x0(before, s->at, eta_at(s->param, before));
        adams(s, before, &e1, base, corrector < s->k + 1 ? corrector : s->k + 1);
    }
    vec_copy(s->n * s->d, base, s->x);
    if (e.noise > 0) vpsde_step_noise(s, s->at, s->next, z, NULL);
    adams(s, s->at, &e, base, vpsde_multistep_order(s, (size_t)s->param[PREDICTOR]));
    return VPSDE_OK;
}

/* The corrected state and the predictor know the past alone; of two stages one sees noise. */
static double kernel_std(const vpsde_step *s)
{
    const double eta = eta_at(s->param, s->at);
    const bool stages = has_stages(s->param) && vpsde_start_has(&two_stages, s);
    return stages && eta > 0 ? (double)NAN : vpsde_exponential_std(s, eta);
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return has_stages(param) ? vpsde_start_nfe(&two_stages, grid) : grid->n_steps;
}

/* On an interval of t, where the noise begins moves with the grid: no strong order. */
static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    const double p = param[PREDICTOR], c = param[CORRECTOR];
    const bool one_step_start = p == 3 && c == 0 && !has_stages(param);
    const double ode = c > 0 ? fmin(c, p + 1) : p - one_step_start;
    const bool everywhere = param[TAU_T_MIN] == 0 && param[TAU_T_MAX] == 1;
    *order = (vpsde_orders){.ode = ode};
    if (param[TAU] > 0) *order = (vpsde_orders){.strong = everywhere, .weak = fmin(ode, 2)};
}

const vpsde_solver_type vpsde_solver_sa_solver = {
    .name = "sa-solver",
    .source = "Xue et al. 2023 (arXiv:2309.05019), algorithm 1",
    .doc = "Stochastic Adams predictor and corrector with one call a step.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 2},
    .orders = orders,
    .forms =
        (const char *const[]){
            "predictor_order=1, corrector_order=0", "predictor_order=1, corrector_order=1",
            "predictor_order=2, corrector_order=0", "predictor_order=3, corrector_order=0",
            "predictor_order=3, corrector_order=3", "tau_t_min=0.2, tau_t_max=0.8", "tau=0",
            "tau=0, predictor_order=1, corrector_order=2", "tau=0, corrector_order=0",
            "tau=0, predictor_order=3, corrector_order=3",
            "tau=0, predictor_order=3, corrector_order=0",
            "tau=0, predictor_order=3, corrector_order=0, start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = N_BUFFERS,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
    .nfe = nfe,
};
