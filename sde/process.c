/* The process: a schedule's b(t) and what follows from it.
 *
 * alpha = exp(-b/2), sigma^2 = -expm1(-b) (1 - exp(-b) would cancel at small t),
 * lambda = log(alpha/sigma), phi = atan2(sigma, alpha), and their inverses
 * b = log1p(exp(-2 lambda)) = -2 log cos phi. b and lambda keep full relative accuracy; phi near
 * pi/2 keeps alpha = cos phi to 1e-16/alpha of itself and loses b with it (solvers/ode.c draws the
 * line). */
#include <vpsde/process.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "sde/registry.h"

enum { NAMES_MAX = 32, N_CONTINUOUS = 1000 };

static const double rounding = 1e-12; /* how far outside [0, t_max] still means the end */
static const double b_limit = 700;    /* beyond it exp(-b) leaves the range of a double */

struct vpsde_process {
    vpsde_process_spec spec; /* resolved */
    double *betas;
    void *state;
    vpsde_coef end; /* at t_max */
    size_t n_ddpm;
};

vpsde_status vpsde_process_spec_init(vpsde_process_spec *spec, const char *schedule)
{
    const vpsde_schedule_type *type = vpsde_schedule_find(schedule);
    if (!type) {
        const char *names[NAMES_MAX];
        size_t count = 0;
        for (; count < NAMES_MAX && vpsde_schedule_at(count); count++) {
            names[count] = vpsde_schedule_at(count)->name;
        }
        const char *near = vpsde_nearest(schedule, names, count);
        return vpsde_fail(VPSDE_EINVAL, "unknown schedule '%s'; did you mean %s?", schedule,
                          near ? near : names[0]);
    }
    *spec = (vpsde_process_spec){
        .schedule = type,
        .t_min = 1e-3,
        .label_scale = type->n_ddpm ? 0 : N_CONTINUOUS,
        .label_offset = -1,
    };
    vpsde_param_defaults(spec->param, type->params);
    return VPSDE_OK;
}

static vpsde_status check_spec(const vpsde_process_spec *spec)
{
    const vpsde_schedule_type *type = spec->schedule;
    if (!type) return vpsde_fail(VPSDE_EINVAL, "schedule: must be given, got none");
    for (size_t i = 0; i < vpsde_param_count(type->params); i++) {
        double checked[VPSDE_PARAM_MAX];
        VPSDE_TRY(vpsde_param_set(checked, type->params, type->params[i].name, spec->param[i]));
    }
    if (type->takes_betas && (!spec->betas || spec->n_betas == 0)) {
        return vpsde_fail(VPSDE_EINVAL, "betas: schedule %s needs at least one, got none",
                          type->name);
    }
    if (!type->takes_betas && spec->betas) {
        return vpsde_fail(VPSDE_EINVAL, "betas: schedule %s takes none, got %zu", type->name,
                          spec->n_betas);
    }
    if (spec->terminal != VPSDE_TERMINAL_STANDARD_NORMAL &&
        spec->terminal != VPSDE_TERMINAL_EXACT) {
        return vpsde_fail(VPSDE_EINVAL, "terminal: must be standard-normal or exact, got code %d",
                          (int)spec->terminal);
    }
    if (!(spec->label_scale >= 0) || !isfinite(spec->label_scale)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "label_scale: must be > 0, or 0 for the schedule's own, "
                          "got %g",
                          spec->label_scale);
    }
    if (!isfinite(spec->label_offset)) {
        return vpsde_fail(VPSDE_EINVAL, "label_offset: must be finite, got %g", spec->label_offset);
    }
    return VPSDE_OK;
}

/* Times of the interval; `own` is the schedule's end. */
static vpsde_status check_times(vpsde_process_spec *spec, double own)
{
    if (!(spec->t_max >= 0 && spec->t_max <= own)) {
        return vpsde_fail(VPSDE_EINVAL, "t_max: must be in (0, %g], or 0 for %g, got %g", own, own,
                          spec->t_max);
    }
    if (spec->t_max == 0) spec->t_max = own;
    if (!(spec->t_min >= 0 && spec->t_min < spec->t_max)) {
        return vpsde_fail(VPSDE_EINVAL, "t_min: must be in [0, %g), got %g", spec->t_max,
                          spec->t_min);
    }
    return VPSDE_OK;
}

static double lambda_of_b(double b)
{
    return b < 1 ? -0.5 * log(expm1(b)) : -0.5 * (b + log(-expm1(-b)));
}

static double b_of_lambda(double lambda)
{
    return lambda > 0 ? log1p(exp(-2 * lambda)) : -2 * lambda + log1p(exp(2 * lambda));
}

static vpsde_coef coef(const vpsde_process *p, double t, double b)
{
    const double alpha = exp(-0.5 * b), sigma = sqrt(-expm1(-b));
    return (vpsde_coef){
        .t = t,
        .b = b,
        .beta = p->spec.schedule->beta(p->state, t),
        .alpha = alpha,
        .sigma = sigma,
        .lambda = lambda_of_b(b),
        .phi = atan2(sigma, alpha),
        .label = vpsde_process_label(p, t),
    };
}

static vpsde_status build(vpsde_process *p, const vpsde_process_spec *spec)
{
    const vpsde_schedule_type *type = spec->schedule;
    double own;
    p->spec = *spec;
    if (type->takes_betas) {
        VPSDE_TRY(vpsde_alloc(&p->betas, spec->n_betas, sizeof(*p->betas)));
        memcpy(p->betas, spec->betas, spec->n_betas * sizeof(*p->betas));
    }
    p->spec.betas = p->betas;
    p->spec.n_betas = type->takes_betas ? spec->n_betas : 0;
    VPSDE_TRY(type->init(&p->state, &own, p->spec.param, p->betas, p->spec.n_betas));
    VPSDE_TRY(check_times(&p->spec, own));
    p->n_ddpm = type->n_ddpm ? type->n_ddpm(p->state) : 0;
    if (p->spec.label_scale == 0) {
        p->spec.label_scale = (double)(p->n_ddpm ? p->n_ddpm : N_CONTINUOUS);
    }
    const double b_end = type->b(p->state, p->spec.t_max);
    if (!(b_end <= b_limit)) {
        return vpsde_fail(VPSDE_EINVAL, "schedule %s: b(t_max) must be at most %g, got %g",
                          type->name, b_limit, b_end);
    }
    p->end = coef(p, p->spec.t_max, b_end);
    return VPSDE_OK;
}

vpsde_status vpsde_process_create(vpsde_process **out, const vpsde_process_spec *spec)
{
    vpsde_process *p;
    *out = NULL;
    VPSDE_TRY(check_spec(spec));
    VPSDE_TRY(vpsde_alloc(&p, 1, sizeof(*p)));
    const vpsde_status status = build(p, spec);
    if (status != VPSDE_OK) {
        vpsde_process_destroy(p);
        return status;
    }
    *out = p;
    return VPSDE_OK;
}

void vpsde_process_destroy(vpsde_process *process)
{
    if (!process) return;
    if (process->state && process->spec.schedule->fini)
        process->spec.schedule->fini(process->state);
    free(process->betas);
    free(process);
}

const vpsde_process_spec *vpsde_process_get_spec(const vpsde_process *process)
{
    return &process->spec;
}

double vpsde_process_t_max(const vpsde_process *process) { return process->spec.t_max; }

size_t vpsde_process_n_ddpm(const vpsde_process *process) { return process->n_ddpm; }

static vpsde_coef nowhere(void)
{
    const double nan = (double)NAN;
    return (vpsde_coef){.t = nan,
                        .b = nan,
                        .beta = nan,
                        .alpha = nan,
                        .sigma = nan,
                        .lambda = nan,
                        .phi = nan,
                        .label = nan};
}

/* Where a clock that runs from 0 to `last` shows `value`: inside, or at an end by rounding. */
typedef enum place { INSIDE, AT_ZERO, AT_END, OUTSIDE } place;

static place locate(double value, double last)
{
    if (value > 0 && value < last) return INSIDE;
    if (fabs(value) <= rounding * last) return AT_ZERO;
    if (value > 0 && value <= last * (1 + rounding)) return AT_END;
    return OUTSIDE;
}

/* The coefficients for the places that are not inside. */
static vpsde_coef border(const vpsde_process *p, place where)
{
    if (where == AT_ZERO) return coef(p, 0, 0);
    return where == AT_END ? p->end : nowhere();
}

vpsde_coef vpsde_process_at(const vpsde_process *process, double t)
{
    const place where = locate(t, process->spec.t_max);
    if (where != INSIDE) return border(process, where);
    return coef(process, t, process->spec.schedule->b(process->state, t));
}

static double t_of_b(const vpsde_process *p, double b)
{
    const double t = p->spec.schedule->t_of_b(p->state, b);
    return t > p->spec.t_max ? p->spec.t_max : t; /* not fmin, which would swallow a NaN */
}

vpsde_coef vpsde_process_at_b(const vpsde_process *process, double b)
{
    const place where = locate(b, process->end.b);
    if (where != INSIDE) return border(process, where);
    return coef(process, t_of_b(process, b), b);
}

vpsde_coef vpsde_process_at_lambda(const vpsde_process *process, double lambda)
{
    const double last = process->end.lambda;
    if (lambda <= last) {
        const double slack = rounding * fmax(1, fabs(last));
        return border(process, lambda >= last - slack ? AT_END : OUTSIDE);
    }
    const double b = b_of_lambda(lambda);
    vpsde_coef c = coef(process, t_of_b(process, b), b);
    c.lambda = lambda;
    return c;
}

vpsde_coef vpsde_process_at_phi(const vpsde_process *process, double phi)
{
    const place where = locate(phi, process->end.phi);
    if (where != INSIDE) return border(process, where);
    const double sigma = sin(phi), alpha = cos(phi);
    const double b = sigma < alpha ? -log1p(-sigma * sigma) : -2 * log(alpha);
    const double t = t_of_b(process, b);
    return (vpsde_coef){
        .t = t,
        .b = b,
        .beta = process->spec.schedule->beta(process->state, t),
        .alpha = alpha,
        .sigma = sigma,
        .lambda = log(alpha / sigma),
        .phi = phi,
        .label = vpsde_process_label(process, t),
    };
}
