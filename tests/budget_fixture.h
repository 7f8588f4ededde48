/* What error budgets are tested on: mixtures whose log p_0 is known, the same with a score rounded to
 * float32 as a network's is, and a sink that finds the columns by name. */
#ifndef VPSDE_TESTS_BUDGET_FIXTURE_H
#define VPSDE_TESTS_BUDGET_FIXTURE_H

#include "models/mlp.h"
#include "models/train.h"
#include "tests/ode_fixture.h"

enum { BUDGET_ROWS = 1000, BUDGET_COLUMNS = 14 };

/* Eight Gaussians of standard deviation 0.1 on the unit circle. */
static inline vpsde_model *make_ring(void)
{
    enum { K = 8 };
    double weights[K], means[K * 2], cov[K * 4] = {0};
    vpsde_model *model = NULL;
    for (size_t k = 0; k < K; k++) {
        const double angle = 2 * M_PI * (double)k / K;
        weights[k] = 1.0 / K;
        means[2 * k] = cos(angle);
        means[2 * k + 1] = sin(angle);
        cov[4 * k] = cov[4 * k + 3] = 0.01;
    }
    assert_ok(vpsde_gaussian_mixture_create(&model, K, 2, weights, means, cov));
    return model;
}

/* ---- rounding --------------------------------------------------------------------------------- */

static inline vpsde_status rounded_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const vpsde_model *inner = model->impl;
    const size_t d = model->dim;
    VPSDE_TRY(inner->type->eval(inner, ws, e));
    for (size_t i = 0; i < e->n * d; i++) e->eps[i] = (double)(float)e->eps[i];
    for (size_t i = 0; i < e->n * e->k * d; i++) e->deps[i] = (double)(float)e->deps[i];
    return VPSDE_OK;
}

/* `inner` as a network in float32; `hidden` hides log p too. */
static inline const vpsde_model *pose_as_float32(vpsde_model *own, vpsde_model_type *type,
                                                 vpsde_model *inner, bool hidden)
{
    pose_as_network(own, type, inner);
    type->name = "float32";
    type->flags |= VPSDE_MODEL_ANY_ROWS;
    if (hidden) type->flags &= ~(unsigned)VPSDE_MODEL_LOG_P;
    type->eval = rounded_eval;
    return own;
}

/* ---- columns ---------------------------------------------------------------------------------- */

static const char *const budget_names[BUDGET_COLUMNS] = {"logp",
                                                         "prior_logp",
                                                         "delta_logp",
                                                         "bits_per_dim",
                                                         "trace_stderr",
                                                         "trace_halfwidth",
                                                         "ode_error",
                                                         "float32_floor",
                                                         "numerical_error",
                                                         "truncation",
                                                         "terminal",
                                                         "dequantisation_gap",
                                                         "budget",
                                                         "nfe"};

enum {
    LOGP,
    PRIOR,
    DELTA,
    BITS,
    TRACE_STDERR,
    TRACE_HALFWIDTH,
    ODE_ERROR,
    FLOAT32_FLOOR,
    NUMERICAL_ERROR,
    TRUNCATION,
    TERMINAL,
    DEQUANTISATION_GAP,
    BUDGET,
    NFE
};

typedef struct columns {
    double value[BUDGET_COLUMNS][BUDGET_ROWS];
    int index[BUDGET_COLUMNS];
    size_t first;
} columns;

static inline vpsde_status columns_begin(void *self, const vpsde_table *table)
{
    columns *c = self;
    c->first = table->first;
    for (size_t q = 0; q < BUDGET_COLUMNS; q++) {
        c->index[q] = -1;
        for (size_t t = 0; t < table->n_columns; t++) {
            if (strcmp(table->columns[t].name, budget_names[q]) == 0) c->index[q] = (int)t;
        }
        assert_true(c->index[q] >= 0);
    }
    return VPSDE_OK;
}

static inline vpsde_status columns_write(void *self, size_t first, size_t n,
                                         const void *const *data)
{
    columns *c = self;
    const size_t at = first - c->first;
    assert_true(at + n <= BUDGET_ROWS);
    for (size_t q = 0; q < BUDGET_COLUMNS; q++) {
        const void *from = data[c->index[q]];
        for (size_t i = 0; i < n; i++) {
            c->value[q][at + i] =
                q == NFE ? (double)((const int32_t *)from)[i] : ((const double *)from)[i];
        }
    }
    return VPSDE_OK;
}

static inline vpsde_status run_columns(const vpsde_likelihood *run, columns *c)
{
    vpsde_sink sink = {.self = c, .begin = columns_begin, .write = columns_write};
    return vpsde_likelihood_run(run, &sink);
}

/* Share of the rows whose logp lies within `bound` of the truth. */
static inline double coverage(const columns *c, int bound, const double *truth, size_t n)
{
    size_t within = 0;
    for (size_t i = 0; i < n; i++) {
        within += fabs(c->value[LOGP][i] - truth[i]) <= c->value[bound][i];
    }
    return (double)within / (double)n;
}

/* ---- trained networks -------------------------------------------------------------------------- */

/* On 2,000 rows of `data`, drawn with 2 seed; weights drawn with seed, minibatches with 7 seed. */
static inline vpsde_model *train_network(const vpsde_process *process, vpsde_model *data,
                                         const vpsde_mlp_spec *spec, uint64_t seed, uint64_t steps)
{
    enum { COUNT = 2000 };
    const vpsde_coef c = vpsde_process_at(process, 0);
    const size_t n = COUNT * spec->dim;
    vpsde_model *model;
    vpsde_train_state *state;
    vpsde_training training;
    double *x = malloc(n * sizeof(double));
    float *x0 = malloc(n * sizeof(float));
    assert_true(x && x0);
    assert_ok(data->type->draw(data, &c, 2 * seed, VPSDE_NOISE_TEST, 0, COUNT, x));
    for (size_t e = 0; e < n; e++) x0[e] = (float)x[e];
    assert_ok(vpsde_mlp_create(&model, spec, seed));
    assert_ok(vpsde_train_state_create(&state, model));
    vpsde_training_init(&training);
    training.process = process;
    training.x0 = x0;
    training.count = COUNT;
    training.seed = 7 * seed;
    training.steps = steps;
    training.warm_up = 20;
    training.learning_rate = 3e-3;
    training.ema = 0.99;
    training.n_threads = 1;
    assert_ok(vpsde_train(&training, model, state));
    vpsde_train_state_destroy(state);
    free(x0);
    free(x);
    return model;
}

static inline vpsde_model *train_small_network(const vpsde_process *process, vpsde_model *ring,
                                               uint64_t steps)
{
    const vpsde_mlp_spec spec = {.dim = 2, .hidden = 32, .layers = 2, .time_features = 16};
    return train_network(process, ring, &spec, 3, steps);
}

#endif
