/* A model whose trainer knows the best answer to Gaussian data N(mean, spread^2): its output is theta
 * times that, plus a number for each class. */
#ifndef VPSDE_TESTS_TRAIN_ORACLE_H
#define VPSDE_TESTS_TRAIN_ORACLE_H

#include <stdatomic.h>
#include <stdlib.h>

#include "tests/train_fixture.h"

enum { N_CLASSES = 4, MANY = 1 << 20 };

static const double mean = 0.4, spread = 0.6;
enum { THETA, OF_NONE, OF_CLASS, N_FLOATS = OF_CLASS + N_CLASSES };
static struct {
    const vpsde_process *process;
    vpsde_prediction prediction;
    float weights[N_FLOATS];
    atomic_size_t n_changed;
    _Atomic(double) gradient_var, loss_mean, loss_var; /* of unnormalised sums, given the times */
} oracle;

static inline size_t n_floats(const vpsde_model *model)
{
    (void)model;
    return N_FLOATS;
}

static inline float *parameters(const vpsde_model *model)
{
    (void)model;
    return oracle.weights;
}

static inline void init(vpsde_model *model, uint64_t seed)
{
    (void)model, (void)seed;
    for (size_t e = 0; e < N_FLOATS; e++) oracle.weights[e] = e == THETA ? 1 : 0;
}

static inline vpsde_status changed(vpsde_model *model)
{
    (void)model;
    atomic_fetch_add(&oracle.n_changed, 1);
    return VPSDE_OK;
}

static inline vpsde_status workspace(void **ws, const vpsde_model *model)
{
    (void)model;
    *ws = NULL;
    return VPSDE_OK;
}

static inline void add(_Atomic(double) *to, double value)
{
    double old = atomic_load(to);
    while (!atomic_compare_exchange_weak(to, &old, old + value)) {
    }
}

/* E[target | x] = offset + slope (x - alpha mean), and the variance of what is left. */
typedef struct law {
    double offset, slope, left;
} law;

static inline law best(vpsde_prediction prediction, const vpsde_coef *c)
{
    const double s2 = spread * spread, var = c->alpha * c->alpha * s2 + c->sigma * c->sigma;
    const law laws[] = {
        [VPSDE_PREDICT_EPS] = {0, c->sigma / var, c->alpha * c->alpha * s2 / var},
        [VPSDE_PREDICT_X0] = {mean, c->alpha * s2 / var, s2 * c->sigma * c->sigma / var},
        [VPSDE_PREDICT_V] = {-c->sigma * mean, c->alpha * c->sigma * (1 - s2) / var, s2 / var}};
    return laws[prediction];
}

static inline vpsde_status gradient(const vpsde_model *model, void *ws, const vpsde_train_block *b,
                                    double *sum, float *g, float *dx)
{
    (void)ws, (void)dx;
    *sum = 0;
    for (size_t e = 0; e < b->n * model->dim; e++) {
        const size_t i = e / model->dim;
        const vpsde_coef c =
            vpsde_process_at(oracle.process, vpsde_process_t_of_label(oracle.process, b->label[i]));
        const law l = best(oracle.prediction, &c);
        const double w = b->weight ? (double)b->weight[i] : 1;
        const double answer = l.offset + l.slope * ((double)b->x[e] - c.alpha * mean);
        const size_t own = b->classes ? (size_t)(OF_CLASS + b->classes[i]) : OF_NONE;
        const double out = (double)oracle.weights[THETA] * answer + (double)oracle.weights[own];
        const double error = out - (double)b->target[e];
        const double var_x = c.alpha * c.alpha * spread * spread + c.sigma * c.sigma;
        const double square = l.offset * l.offset + l.slope * l.slope * var_x; /* E answer^2 */
        *sum += w * error * error;
        g[THETA] += (float)(2 * b->scale * w * error * answer);
        g[own] += (float)(2 * b->scale * w * error);
        add(&oracle.gradient_var, 4 * w * w * l.left * (square + 1));
        add(&oracle.loss_mean, w * l.left);
        add(&oracle.loss_var, 2 * w * w * l.left * l.left);
    }
    return VPSDE_OK;
}

static const vpsde_trainer_ops ops = {.block_rows = 8,
                                      .n_floats = n_floats,
                                      .parameters = parameters,
                                      .init = init,
                                      .changed = changed,
                                      .workspace_create = workspace,
                                      .workspace_destroy = free,
                                      .gradient = gradient};
static const vpsde_model_type type = {.name = "oracle", .trainer = &ops};

static inline vpsde_status gaussian_row(const void *context, size_t first, size_t n, double *x)
{
    const size_t d = *(const size_t *)context;
    vpsde_normals(x, 17, VPSDE_NOISE_TEST, first, n, 1, d);
    for (size_t e = 0; e < n * d; e++) x[e] = mean + spread * x[e];
    return VPSDE_OK;
}

/* Images of (1, 2, 5) with classes, rows drawn as they are asked for. */
static inline void begin_oracle(fixture *f)
{
    begin(f);
    vpsde_train_state_destroy(f->state);
    vpsde_model_destroy(f->model);
    f->model = calloc(1, sizeof(*f->model));
    assert_non_null(f->model);
    *f->model = (vpsde_model){
        .type = &type, .dim = 10, .rank = 3, .shape = {1, 2, 5}, .n_classes = N_CLASSES};
    init(f->model, 0);
    assert_ok(vpsde_train_state_create(&f->state, f->model));
    oracle.process = f->process;
    oracle.gradient_var = oracle.loss_mean = oracle.loss_var = 0;
    atomic_store(&oracle.n_changed, 0);
    f->training.x0 = NULL;
    f->training.source = (vpsde_row_source){.read = gaussian_row, .context = &f->model->dim};
    f->training.count = MANY;
}

static inline void choose(fixture *f, vpsde_prediction prediction, vpsde_weighting weighting)
{
    oracle.prediction = f->training.prediction = prediction;
    f->training.weighting = weighting;
}

#endif
