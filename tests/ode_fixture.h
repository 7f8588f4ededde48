/* Mixtures, and the same mixture posing as a network: no closed-form flag, rows in blocks, so that
 * fibers and full calls are exercised. */
#ifndef VPSDE_TESTS_ODE_FIXTURE_H
#define VPSDE_TESTS_ODE_FIXTURE_H

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
    type->flags &= ~(unsigned)(VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE);
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

#endif
