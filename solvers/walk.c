#include "solvers/walk.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "sde/brownian.h"
#include "solvers/batch.h"

/* sigma = 1e-6: x0hat is off by about the variance there over that of the data. */
const double vpsde_walk_lambda_end = 13.8;

/* An error without bound says nothing about the right size. */
static const double shrink_min = 0.1;

/* Beside the solver's scratch. */
enum { EPS, EPS_NEXT, LOW, HIGH, PREVIOUS, N_OWN };

static double *own(const vpsde_walk *w, size_t which) { return w->memory[which]; }

vpsde_status vpsde_walk_open(vpsde_walk *w, const vpsde_solver_type *type, const double *param,
                             size_t d)
{
    const size_t n = N_OWN + type->n_scratch;
    w->d = d;
    VPSDE_TRY(vpsde_alloc(&w->memory, n, sizeof(*w->memory)));
    size_t all;
    VPSDE_TRY(vpsde_size_mul(&all, n, d, "buffers of a walk"));
    VPSDE_TRY(vpsde_alloc(&w->memory[0], all, sizeof(double)));
    for (size_t b = 1; b < n; b++) w->memory[b] = w->memory[0] + b * d;
    w->w = w->memory + N_OWN;
    if (!vpsde_solver_is_stochastic(type, param)) return VPSDE_OK;
    return vpsde_brownian_create(&w->path, 1, d);
}

void vpsde_walk_close(vpsde_walk *w)
{
    vpsde_brownian_destroy(w->path);
    if (w->memory) free(w->memory[0]);
    free(w->memory);
}

vpsde_status vpsde_walk_check(const vpsde_solver_type *type)
{
    if (vpsde_param_find(type->params, "max_steps") >= 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "%s must declare the parameter max_steps", type->name);
}

static vpsde_status give_up(const vpsde_walk *w, const vpsde_coef *at, const char *why)
{
    return vpsde_fail(VPSDE_ENUMERIC,
                      "the walk from t = %g to %g stopped at %g after %llu steps: %s", w->start.t,
                      w->end.t, at->t, (unsigned long long)w->n_accepted, why);
}

static vpsde_status not_finite(vpsde_walk *w, const vpsde_coef *at, const char *what)
{
    w->non_finite = true;
    return give_up(w, at, what);
}

vpsde_status vpsde_walk_run(const vpsde_solver_type *type, vpsde_walk *w, uint64_t seed,
                            uint64_t sample)
{
    w->n_accepted = w->n_rejected = w->n_draws = w->n_eps_log = 0;
    w->log_next = 0;
    w->non_finite = false;
    w->failed = VPSDE_OK;
    w->seed = seed;
    if (w->path) vpsde_brownian_place(w->path, seed, VPSDE_NOISE_DIFFUSION, sample, 1);
    if (!vec_is_finite(w->d, w->x)) return not_finite(w, &w->start, "the start is not finite");
    const vpsde_status status = w->start.t > w->end.t ? type->walk(w) : VPSDE_OK;
    if (w->failed != VPSDE_OK) return w->failed;
    VPSDE_TRY(status);
    if (!vec_is_finite(w->d, w->x)) return not_finite(w, &w->end, "the result is not finite");
    for (; w->log_next < w->n_log; w->log_next++) { /* beyond the end */
        vec_copy(w->d, w->log_x + w->log_next * w->d, w->x);
        if (w->log_steps) w->log_steps[w->log_next] = (double)w->n_accepted;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_walk_eps(vpsde_walk *w, const vpsde_coef *c, const double *x, double *eps)
{
    if (w->failed != VPSDE_OK) return w->failed;
    if (!vec_is_finite(w->d, x)) return VPSDE_ENUMERIC;
    w->failed = vpsde_lane_eval(w->lane, c, x, NULL);
    VPSDE_TRY(w->failed);
    vec_copy(w->d, eps, w->lane->eps);
    return vec_is_finite(w->d, eps) ? VPSDE_OK : VPSDE_ENUMERIC;
}

void vpsde_walk_noise(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to, double *z,
                      double *area)
{
    vpsde_brownian_stretch(w->path, from->b, to->b, z, area);
}

void vpsde_walk_draw(vpsde_walk *w, double *z)
{
    vpsde_normals(z, w->seed, VPSDE_NOISE_CORRECTOR, w->lane->sample, 1, (uint32_t)w->n_draws++,
                  w->d);
}

/* ---- step control --------------------------------------------------------------------------- */

/* Not a number counts as infinite. */
static double error_of(const vpsde_walk *w, const double *previous)
{
    double sum = 0;
    for (size_t j = 0; j < w->d; j++) {
        const double size = fmax(fabs(w->low[j]), fabs(previous[j]));
        const double ratio = (w->high[j] - w->low[j]) / fmax(w->atol, w->rtol * size);
        sum += ratio * ratio;
    }
    return isnan(sum) ? HUGE_VAL : sqrt(sum / (double)w->d);
}

/* The shortest stretch below b whose ends lie in different smallest intervals of the tree. */
static double finest(double b) { return ldexp(fmin(1, b), -VPSDE_BROWNIAN_DEPTH); }

/* Where a step of length *size leads: to the end, half way when the rest would be a sliver. */
static vpsde_status reach(const vpsde_walk *w, const vpsde_walk_rule *rule, const vpsde_coef *from,
                          double *size, vpsde_coef *to)
{
    const double here = rule->value(from), left = rule->value(&w->end) - here;
    *to = w->end;
    if (*size * 1.01 >= fabs(left)) {
        *size = fabs(left);
        return VPSDE_OK;
    }
    *size = fmin(*size, fabs(left) / 2);
    *to = rule->at(w->process, here + copysign(*size, left));
    if (rule->on_path && from->b - to->b < finest(from->b)) {
        return give_up(w, from, "the step is shorter than the Brownian path resolves");
    }
    if (!(to->t < from->t)) return give_up(w, from, "the step cannot become smaller");
    return VPSDE_OK;
}

/* E of one attempt, infinite where it was not finite. */
static vpsde_status try_step(vpsde_walk *w, const vpsde_walk_rule *rule, const vpsde_coef *from,
                             const vpsde_coef *to, double *error)
{
    const vpsde_status status = rule->attempt(w, from, to);
    if (w->failed != VPSDE_OK) return w->failed;
    *error = status == VPSDE_OK ? error_of(w, own(w, PREVIOUS)) : HUGE_VAL;
    return VPSDE_OK;
}

static bool log_due(const vpsde_walk *w, const vpsde_coef *to)
{
    return w->log_next < w->n_log && w->log_at[w->log_next].t >= to->t;
}

/* At the next log point, inside the step to come. */
static void log_steps(vpsde_walk *w, double share)
{
    if (w->log_steps) w->log_steps[w->log_next] = (double)w->n_accepted + share;
}

/* From `from` to `to`, with what the log wants between. eps at the end is for the log alone. */
static vpsde_status accept(vpsde_walk *w, const vpsde_walk_rule *rule, const vpsde_coef *from,
                           const vpsde_coef *to)
{
    const bool logs = log_due(w, to), ends = !(to->t > w->end.t);
    if (!ends || (logs && rule->fills_with_next)) {
        w->n_eps_log += ends;
        const vpsde_status status = vpsde_walk_eps(w, to, w->high, own(w, EPS_NEXT));
        if (w->failed != VPSDE_OK) return w->failed;
        if (status != VPSDE_OK) return not_finite(w, to, "x or eps is not finite");
    }
    for (; log_due(w, to); w->log_next++) {
        const vpsde_coef *at = &w->log_at[w->log_next];
        const double begin = rule->value(from), share = rule->value(at) - begin;
        rule->fill_in(w, from, to, at, w->log_x + w->log_next * w->d);
        log_steps(w, share / (rule->value(to) - begin));
    }
    vec_copy(w->d, w->x, w->high);
    vec_copy(w->d, own(w, PREVIOUS), w->low);
    vec_copy(w->d, own(w, EPS), own(w, EPS_NEXT));
    w->n_accepted++;
    return VPSDE_OK;
}

vpsde_status vpsde_walk_by(vpsde_walk *w, const vpsde_walk_rule *rule)
{
    vpsde_coef from = w->start, to;
    double size = rule->first, error;
    w->eps = own(w, EPS);
    w->eps_next = own(w, EPS_NEXT);
    w->low = own(w, LOW);
    w->high = own(w, HIGH);
    vec_copy(w->d, own(w, PREVIOUS), w->x);
    const vpsde_status status = vpsde_walk_eps(w, &from, w->x, own(w, EPS));
    if (w->failed != VPSDE_OK) return w->failed;
    if (status != VPSDE_OK) return not_finite(w, &from, "eps is not finite");
    while (from.t > w->end.t) {
        if (w->n_accepted + w->n_rejected >= w->max_steps) {
            return give_up(w, &from, "max_steps reached");
        }
        VPSDE_TRY(reach(w, rule, &from, &size, &to));
        VPSDE_TRY(try_step(w, rule, &from, &to, &error));
        const double factor = rule->theta * pow(error, -rule->power);
        size *= fmin(fmax(factor, shrink_min), rule->grow_max);
        if (error > 1) {
            w->n_rejected++;
            continue;
        }
        VPSDE_TRY(accept(w, rule, &from, &to));
        from = to;
    }
    return VPSDE_OK;
}
