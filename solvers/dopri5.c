/* Dormand-Prince 5(4), first same as last, with proportional-integral step control, Hairer's
 * initial step and his fourth-order dense output.
 * Source: Dormand & Prince 1980, J. Comput. Appl. Math. 6, 19; Hairer, Norsett & Wanner 1993,
 * "Solving Ordinary Differential Equations I", table II.5.2, section II.4 (control, first step),
 * eq. (II.6.12) (dense output). Order 5. */
#include "solvers/ode.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"

enum { STAGES = 7, WORK = STAGES + 2 };

static const double node[STAGES] = {0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
static const double row[STAGES][STAGES - 1] = {
    {0},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84},
};
static const double error[STAGES] = {
    71.0 / 57600, 0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525, -1.0 / 40,
};
static const double dense[STAGES] = {
    -12715105075.0 / 11282082432,  0,
    87487479700.0 / 32700410799,   -10690763975.0 / 1880347072,
    701980252875.0 / 199316789632, -1453857185.0 / 822651844,
    69997945.0 / 29380423,
};

/* Hairer's dopri5: beta is the integral part of the control. */
static const double beta_pi = 0.04, safety = 0.9, grow_max = 10, shrink_max = 5;

typedef struct work {
    double *k[STAGES], *y1, *trial;
    double memory[];
} work;

static vpsde_status dopri5_open(void **state, size_t dim)
{
    work *w;
    size_t count;
    VPSDE_TRY(vpsde_size_mul(&count, WORK, dim, "dopri5: dimension"));
    VPSDE_TRY(vpsde_alloc(&w, count + sizeof(*w) / sizeof(double) + 1, sizeof(double)));
    for (size_t q = 0; q < STAGES; q++) w->k[q] = w->memory + q * dim;
    w->y1 = w->memory + STAGES * dim;
    w->trial = w->y1 + dim;
    *state = w;
    return VPSDE_OK;
}

static void dopri5_close(void *state) { free(state); }

/* out = base + h sum_q a[q] k[q], over the stages with a coefficient. */
static void combine(size_t dim, double *out, const double *base, double h, const double *a,
                    double *const *k, size_t n)
{
    for (size_t j = 0; j < dim; j++) {
        double sum = 0;
        for (size_t q = 0; q < n; q++) sum += a[q] * k[q][j];
        out[j] = (base ? base[j] : 0) + h * sum;
    }
}

/* max |v_j| / (atol_j + rtol_j max(|a_j|, |b_j|)); NaN counts as infinite. */
static double scaled_norm(const vpsde_ode *ode, const double *v, const double *a, const double *b)
{
    double largest = 0;
    for (size_t j = 0; j < ode->dim; j++) {
        const double scale = ode->atol[j] + ode->rtol[j] * fmax(fabs(a[j]), fabs(b[j]));
        const double ratio = fabs(v[j]) / scale;
        if (!(ratio <= largest)) largest = isnan(ratio) ? HUGE_VAL : ratio;
    }
    return largest;
}

/* Hairer et al. 1993, section II.4: |h|, from the sizes of y, f and a first difference of f. */
static vpsde_status first_step(vpsde_ode *ode, work *w, double direction, double *h)
{
    const double span = fabs(ode->s_end - ode->s_start);
    const double d0 = scaled_norm(ode, ode->y, ode->y, ode->y);
    const double d1 = scaled_norm(ode, w->k[0], ode->y, ode->y);
    const double guess = fmin(d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1, span);
    vec_lin2(ode->dim, w->trial, 1, ode->y, direction * guess, w->k[0]);
    const vpsde_status status =
        vpsde_ode_eval(ode, ode->s_start + direction * guess, w->trial, w->k[1]);
    if (ode->failed != VPSDE_OK) return ode->failed;
    *h = guess;
    if (status != VPSDE_OK) return VPSDE_OK; /* too far already: the step control shrinks it */
    vec_lin2(ode->dim, w->k[1], 1, w->k[1], -1, w->k[0]);
    const double d2 = scaled_norm(ode, w->k[1], ode->y, ode->y) / guess;
    const double largest = fmax(d1, d2);
    const double second =
        largest <= 1e-15 ? fmax(1e-6, guess * 1e-3) : pow(0.01 / largest, 1.0 / 5);
    *h = fmin(fmin(100 * guess, second), span);
    return VPSDE_OK;
}

/* One attempt: y1, k[6] = f(s + h, y1) and the scaled error; infinite when a stage is not
 * finite. */
static vpsde_status attempt(vpsde_ode *ode, work *w, double s, double h, double *err)
{
    *err = HUGE_VAL;
    for (size_t q = 1; q < STAGES; q++) {
        double *at = q + 1 < STAGES ? w->trial : w->y1;
        combine(ode->dim, at, ode->y, h, row[q], w->k, q);
        const vpsde_status status = vpsde_ode_eval(ode, s + node[q] * h, at, w->k[q]);
        if (ode->failed != VPSDE_OK) return ode->failed;
        if (status != VPSDE_OK) return VPSDE_OK;
    }
    combine(ode->dim, w->trial, NULL, h, error, w->k, STAGES);
    *err = scaled_norm(ode, w->trial, ode->y, w->y1);
    return VPSDE_OK;
}

/* Hairer's contd5: y0 + u (r2 + v (r3 + u (r4 + v r5))), v = 1 - u. */
static void log_points(vpsde_ode *ode, const work *w, double s, double h, double s_new)
{
    vpsde_ode_log_step(ode, ode->n_accepted, s, s_new);
    for (double at; vpsde_ode_log_due(ode, s_new, &at);) {
        const double u = (at - s) / h, v = 1 - u;
        double *out = vpsde_ode_log_take(ode);
        combine(ode->log_dim, out, NULL, h, dense, w->k, STAGES);
        for (size_t j = 0; j < ode->log_dim; j++) {
            const double r2 = w->y1[j] - ode->y[j], r3 = h * w->k[0][j] - r2;
            const double r4 = r2 - h * w->k[STAGES - 1][j] - r3;
            out[j] = ode->y[j] + u * (r2 + v * (r3 + u * (r4 + v * out[j])));
        }
    }
}

static void accept(vpsde_ode *ode, work *w)
{
    double *first = w->k[0];
    w->k[0] = w->k[STAGES - 1];
    w->k[STAGES - 1] = first;
    vec_copy(ode->dim, ode->y, w->y1);
    ode->n_accepted++;
}

static vpsde_status dopri5_integrate(vpsde_ode *ode)
{
    work *w = ode->state;
    const double direction = ode->s_end > ode->s_start ? 1 : -1;
    double s = ode->s_start, size = 0, err_old = 1e-4;
    bool rejected = false;
    if (vpsde_ode_eval(ode, s, ode->y, w->k[0]) != VPSDE_OK) {
        if (ode->failed != VPSDE_OK) return ode->failed;
        return vpsde_ode_give_up(ode, s, "the right-hand side is not finite");
    }
    VPSDE_TRY(first_step(ode, w, direction, &size));
    while (s != ode->s_end) {
        if (ode->n_accepted + ode->n_rejected >= ode->max_steps) {
            return vpsde_ode_give_up(ode, s, "max_steps reached");
        }
        const double left = fabs(ode->s_end - s);
        const bool last = size * 1.01 >= left;
        const double h = direction * (last ? left : size);
        const double s_new = last ? ode->s_end : s + h;
        if (s_new == s) return vpsde_ode_give_up(ode, s, "the step cannot become smaller");
        double err;
        VPSDE_TRY(attempt(ode, w, s, h, &err));
        const double integral = pow(err, 0.2 - 0.75 * beta_pi);
        if (err > 1) {
            size = fabs(h) / fmin(shrink_max, integral / safety);
            ode->n_rejected++;
            rejected = true;
            continue;
        }
        log_points(ode, w, s, h, s_new);
        accept(ode, w);
        const double factor = integral / pow(err_old, beta_pi) / safety;
        const double next = fabs(h) / fmax(1 / grow_max, fmin(shrink_max, factor));
        size = rejected ? fmin(next, fabs(h)) : next;
        err_old = fmax(err, 1e-4);
        rejected = false;
        s = s_new;
    }
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dopri5 = {
    .name = "dopri5",
    .source = "Dormand & Prince 1980; Hairer, Norsett & Wanner 1993, table II.5.2",
    .doc = "Native embedded Runge-Kutta 5(4) on the probability-flow ODE, step control per sample.",
    .flags = VPSDE_SOLVER_ADAPTIVE,
    .order = {.ode = 5},
    .params = vpsde_ode_params,
    .open = dopri5_open,
    .close = dopri5_close,
    .integrate = dopri5_integrate,
};
