/* What all integrators share: the ledger, the log, the clocks.
 *
 * In any clock s the probability-flow ODE is dx/ds = (dphi/ds) F, F = (eps - sigma x)/alpha, with
 *     dphi/dt = beta alpha / (2 sigma),   dphi/dlambda = -alpha sigma
 * from b = -2 log cos phi and lambda = -log tan phi. */
#include "solvers/ode.h"

#include <math.h>

#include "core/vec.h"

const vpsde_param vpsde_ode_params[] = {VPSDE_ODE_PARAM_ROWS, {.name = NULL}};

/* Integrators creep up to a place where the right-hand side ends in about this many short steps. */
enum { CREEP_STEPS = 64 };

vpsde_status vpsde_ode_run(const vpsde_solver_type *type, vpsde_ode *ode)
{
    ode->n_rhs = ode->n_accepted = ode->n_rejected = ode->bad_step = 0;
    ode->log_next = 0;
    ode->non_finite = false;
    ode->failed = VPSDE_OK;
    if (!vec_is_finite(ode->dim, ode->y)) {
        ode->non_finite = true;
        return vpsde_ode_give_up(ode, ode->s_start, "the start is not finite");
    }
    if (ode->s_start == ode->s_end) return VPSDE_OK;
    const vpsde_status status = type->integrate(ode);
    if (ode->failed != VPSDE_OK) return ode->failed;
    ode->non_finite = status != VPSDE_OK && ode->bad_step > 0 &&
                      ode->n_accepted + 1 - ode->bad_step < CREEP_STEPS;
    VPSDE_TRY(status);
    if (vec_is_finite(ode->dim, ode->y)) return VPSDE_OK;
    ode->non_finite = true;
    return vpsde_ode_give_up(ode, ode->s_end, "the result is not finite");
}

static vpsde_status evaluate(vpsde_ode *ode, double s, const double *y, double *dy)
{
    if (!vec_is_finite(ode->dim, y)) return VPSDE_ENUMERIC;
    ode->n_rhs++;
    ode->failed = ode->rhs(ode, s, y, dy);
    VPSDE_TRY(ode->failed);
    return vec_is_finite(ode->dim, dy) ? VPSDE_OK : VPSDE_ENUMERIC;
}

vpsde_status vpsde_ode_eval(vpsde_ode *ode, double s, const double *y, double *dy)
{
    if (ode->failed != VPSDE_OK) return ode->failed;
    const vpsde_status status = evaluate(ode, s, y, dy);
    if (status != VPSDE_OK) ode->bad_step = ode->n_accepted + 1;
    return status;
}

bool vpsde_ode_log_due(const vpsde_ode *ode, double s, double *at)
{
    if (ode->log_next == ode->n_log) return false;
    *at = ode->log_s[ode->log_next];
    return ode->s_end > ode->s_start ? *at <= s : *at >= s;
}

void vpsde_ode_log_step(vpsde_ode *ode, uint64_t before, double s_from, double s_to)
{
    ode->log_step.before = before;
    ode->log_step.from = s_from;
    ode->log_step.to = s_to;
}

double *vpsde_ode_log_take(vpsde_ode *ode)
{
    const size_t m = ode->log_next++;
    if (ode->log_steps) {
        const double from = ode->log_step.from, length = ode->log_step.to - from;
        ode->log_steps[m] = (double)ode->log_step.before + (ode->log_s[m] - from) / length;
    }
    return ode->log_y + m * ode->log_dim;
}

/* With L_q the Lagrange polynomial that is 1 at s_q and l = L_q'(s_q) = sum 1/(s_q - s_p):
 *     sum_q L_q^2 ((1 - 2 l (s - s_q)) y_q + (s - s_q) f_q). */
static void hermite(const vpsde_ode_point *point, size_t n, double s, size_t dim, double *out)
{
    for (size_t q = 0; q < n; q++) {
        double lagrange = 1, slope = 0;
        for (size_t p = 0; p < n; p++) {
            if (p == q) continue;
            lagrange *= (s - point[p].s) / (point[q].s - point[p].s);
            slope += 1 / (point[q].s - point[p].s);
        }
        const double square = lagrange * lagrange, away = s - point[q].s;
        const double value = square * (1 - 2 * slope * away), tangent = square * away;
        if (q == 0)
            vec_lin2(dim, out, value, point[q].y, tangent, point[q].f);
        else
            vec_lin3(dim, out, 1, out, value, point[q].y, tangent, point[q].f);
    }
}

void vpsde_ode_log_hermite(vpsde_ode *ode, const vpsde_ode_point *point, size_t n)
{
    for (double at; vpsde_ode_log_due(ode, point[n - 1].s, &at);) {
        hermite(point, n, at, ode->log_dim, vpsde_ode_log_take(ode));
    }
}

vpsde_status vpsde_ode_give_up(const vpsde_ode *ode, double s, const char *why)
{
    return vpsde_fail(VPSDE_ENUMERIC,
                      "integration from %g to %g stopped at %g after %llu steps: %s", ode->s_start,
                      ode->s_end, s, (unsigned long long)ode->n_accepted, why);
}

static double phi_value(const vpsde_coef *c) { return c->phi; }
static double phi_rate(const vpsde_coef *c)
{
    (void)c;
    return 1;
}
static double t_value(const vpsde_coef *c) { return c->t; }
static double t_rate(const vpsde_coef *c) { return 0.5 * c->beta * c->alpha / c->sigma; }
static double lambda_value(const vpsde_coef *c) { return c->lambda; }
static double lambda_rate(const vpsde_coef *c) { return -c->alpha * c->sigma; }

static const vpsde_clock clocks[] = {
    {.name = "phi", .value = phi_value, .at = vpsde_process_at_phi, .rate = phi_rate},
    {.name = "t", .needs_noise = true, .value = t_value, .at = vpsde_process_at, .rate = t_rate},
    {.name = "lambda",
     .needs_noise = true,
     .value = lambda_value,
     .at = vpsde_process_at_lambda,
     .rate = lambda_rate},
};

/* phi is stored near pi/2 to one rounding error of that, eps, and alpha = cos phi to eps/alpha of
 * itself: below this alpha less than eight digits are left, and at eps none. */
static const double alpha_min_phi = 1e-8;

vpsde_status vpsde_ode_clock(const vpsde_clock **clock, const vpsde_solver_type *type,
                             const double *param, const vpsde_coef *noisy, const vpsde_coef *clean)
{
    *clock = &clocks[(size_t)param[vpsde_param_find(type->params, "clock")]];
    if ((*clock)->needs_noise && !(clean->sigma > 0)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "clock: %s cannot reach t = 0, where sigma is 0; use phi, or t_min > 0",
                          (*clock)->name);
    }
    if (*clock == &clocks[0] && noisy->alpha < alpha_min_phi) {
        return vpsde_fail(VPSDE_EINVAL,
                          "clock: phi cannot tell times apart near t = %g, where alpha is %.2g and "
                          "must be at least %g; use clock: lambda",
                          noisy->t, noisy->alpha, alpha_min_phi);
    }
    return VPSDE_OK;
}

size_t vpsde_ode_max_steps(const vpsde_solver_type *type, const double *param)
{
    return (size_t)param[vpsde_param_find(type->params, "max_steps")];
}

vpsde_status vpsde_ode_check_type(const vpsde_solver_type *type, const char *what)
{
    if (type->step && !type->integrate) {
        return vpsde_fail(VPSDE_EINVAL,
                          "%s takes fixed steps; %s needs an adaptive integrator such as dopri5",
                          type->name, what);
    }
    if (!type->integrate || type->flags & VPSDE_SOLVER_STOCHASTIC) {
        return vpsde_fail(VPSDE_EINVAL,
                          "%s does not integrate the probability-flow ODE; %s needs an integrator "
                          "such as dopri5",
                          type->name, what);
    }
    if (vpsde_param_find(type->params, "clock") < 0 ||
        vpsde_param_find(type->params, "max_steps") < 0) {
        return vpsde_fail(VPSDE_EINVAL, "%s must declare the parameters clock and max_steps",
                          type->name);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_ode_check_tolerances(const vpsde_solver_type *type, double rtol, double atol)
{
    if (rtol > 0 && atol > 0 && isfinite(rtol) && isfinite(atol)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "%s needs finite rtol > 0 and atol > 0, got %g and %g",
                      type->name, rtol, atol);
}
