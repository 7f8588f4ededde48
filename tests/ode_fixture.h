/* Mixtures, and the same mixture posing as a network: no closed-form flag, rows in blocks, so that
 * fibers and full calls are exercised. */
#ifndef VPSDE_TESTS_ODE_FIXTURE_H
#define VPSDE_TESTS_ODE_FIXTURE_H

#include <stdatomic.h>
#include <stdlib.h>

#include <vpsde/likelihood.h>

#include "core/mem.h"
#include "tests/check.h"

enum { POSING_ROWS = 8 };

/* Three components with full covariances in d dimensions. */
static inline vpsde_model *make_mixture(size_t d)
{
    enum { K = 3 };
    const double weights[K] = {0.3, 0.45, 0.25};
    double *means = calloc(K * d, sizeof(double)), *cov = calloc(K * d * d, sizeof(double));
    vpsde_model *model = NULL;
    assert_true(means && cov);
    for (size_t k = 0; k < K; k++) {
        for (size_t i = 0; i < d; i++) {
            means[k * d + i] = 1.2 * sin(1.7 * (double)(i + 1) * (double)(k + 1)) / sqrt((double)d);
            for (size_t j = 0; j < d; j++) {
                const double near = exp(-fabs((double)i - (double)j));
                cov[(k * d + i) * d + j] = (0.08 + 0.05 * (double)k) * (near + (i == j) * 0.4);
            }
        }
    }
    assert_ok(vpsde_gaussian_mixture_create(&model, K, d, weights, means, cov));
    free(means);
    free(cov);
    return model;
}

static inline vpsde_process *make_process(double t_min, vpsde_terminal terminal)
{
    vpsde_process_spec spec;
    vpsde_process *process = NULL;
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    spec.t_min = t_min;
    spec.terminal = terminal;
    assert_ok(vpsde_process_create(&process, &spec));
    return process;
}

static inline vpsde_status posing_ws(void **ws, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    const vpsde_model *inner = model->impl;
    return inner->type->workspace_create(ws, inner, rows, tangents);
}

/* Full calls only: what a network insists on. */
static inline vpsde_status posing_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    if (e->n != model->block_rows) {
        return vpsde_fail(VPSDE_EINTERNAL, "%zu rows, not a full call", e->n);
    }
    const vpsde_model *inner = model->impl;
    return inner->type->eval(inner, ws, e);
}

static inline vpsde_status posing_log_p(const vpsde_model *model, size_t n, const vpsde_coef *c,
                                        const double *x, double *logp)
{
    return vpsde_model_log_p(model->impl, n, c, x, logp);
}

static inline vpsde_status posing_draw(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                                       vpsde_purpose purpose, uint64_t first, size_t n, double *x)
{
    const vpsde_model *inner = model->impl;
    return inner->type->draw(inner, c, seed, purpose, first, n, x);
}

/* `inner` with the closed-form divergence and cheapness hidden; borrowed, lives in `own`. */
static inline const vpsde_model *pose_as_network(vpsde_model *own, vpsde_model_type *type,
                                                 vpsde_model *inner)
{
    *type = *inner->type;
    type->name = "posing";
    type->flags &=
        ~(unsigned)(VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE | VPSDE_MODEL_ANY_ROWS);
    type->workspace_create = posing_ws;
    type->eval = posing_eval;
    type->log_p = posing_log_p;
    type->draw = posing_draw;
    *own = *inner;
    own->type = type;
    own->impl = inner;
    own->block_rows = POSING_ROWS;
    return own;
}

/* N(0, diag(v)) in any dimension, cheap: eps_j = sigma x_j / (alpha^2 v_j + sigma^2). Counts calls and rows,
 * notes the smallest label of the real rows (one thread), and asks to stop after some calls. */
typedef struct line {
    vpsde_model model;
    vpsde_model_type type;
    atomic_long calls, rows;
    size_t most_tangents; /* of a call */
    double smallest_label;
    long stop_at, fail_at; /* 0: never */
    volatile int stop;
} line;

static inline double line_variance(size_t j) { return 0.05 + 0.3 * (double)(j % 7); }

static inline vpsde_status line_ws(void **ws, const vpsde_model *model, size_t rows,
                                   size_t tangents)
{
    (void)model, (void)rows, (void)tangents;
    *ws = NULL;
    return VPSDE_OK;
}

static inline void line_ws_destroy(void *ws) { (void)ws; }

static inline vpsde_status line_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    line *own = model->impl;
    const size_t d = model->dim;
    (void)ws;
    const long call = atomic_fetch_add(&own->calls, 1) + 1;
    atomic_fetch_add(&own->rows, (long)e->n);
    if (call == own->fail_at) return vpsde_fail(VPSDE_EINTERNAL, "the line broke");
    if (call == own->stop_at) own->stop = 1;
    if (e->k > own->most_tangents) own->most_tangents = e->k;
    for (size_t i = 0; i < e->n; i++) {
        const vpsde_coef *c = &e->coef[i * e->coef_stride];
        own->smallest_label = fmin(own->smallest_label, c->label);
        if (e->div) e->div[i] = 0;
        for (size_t j = 0; j < d; j++) {
            const double slope =
                c->sigma / (c->alpha * c->alpha * line_variance(j) + c->sigma * c->sigma);
            e->eps[i * d + j] = slope * e->x[i * d + j];
            if (e->div) e->div[i] += slope;
            for (size_t m = 0; m < e->k; m++) {
                const size_t at = (i * e->k + m) * d + j;
                e->deps[at] = slope * e->dx[at];
            }
        }
    }
    return VPSDE_OK;
}

static inline void line_make(line *own, size_t d, unsigned flags)
{
    *own = (line){.smallest_label = HUGE_VAL};
    own->type = (vpsde_model_type){
        .name = "line",
        .flags = flags | VPSDE_MODEL_JVP,
        .workspace_create = line_ws,
        .workspace_destroy = line_ws_destroy,
        .eval = line_eval,
    };
    own->model = (vpsde_model){
        .type = &own->type,
        .dim = d,
        .rank = 1,
        .shape = {d},
        .block_rows = POSING_ROWS,
        .impl = own,
    };
}

/* Of integrating from `from` to `to` without error: int div F = sum_j log(V_j(to)/V_j(from))/2. */
static inline double line_delta(size_t d, const vpsde_coef *from, const vpsde_coef *to)
{
    double sum = 0;
    for (size_t j = 0; j < d; j++) {
        const double v = line_variance(j);
        sum += 0.5 * log((to->alpha * to->alpha * v + to->sigma * to->sigma) /
                         (from->alpha * from->alpha * v + from->sigma * from->sigma));
    }
    return sum;
}

/* A process of `n` DDPM steps. */
static inline vpsde_process *make_ddpm(double n, double t_min)
{
    vpsde_process_spec spec;
    vpsde_process *process = NULL;
    assert_ok(vpsde_process_spec_init(&spec, "ddpm-linear"));
    assert_ok(vpsde_param_set(spec.param, spec.schedule->params, "steps", n));
    spec.t_min = t_min;
    assert_ok(vpsde_process_create(&process, &spec));
    return process;
}

/* vp-linear with so large a beta_max that alpha(1) = exp(-0.05 - beta_max/4). */
static inline vpsde_process *make_strong(double beta_max, double t_min)
{
    vpsde_process_spec spec;
    vpsde_process *process = NULL;
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    assert_ok(vpsde_param_set(spec.param, spec.schedule->params, "beta_max", beta_max));
    spec.t_min = t_min;
    assert_ok(vpsde_process_create(&process, &spec));
    return process;
}

#endif
