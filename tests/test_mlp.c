#include "tests/check.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/config.h"
#include "models/mlp.h"
#include "models/train.h"

enum { ROWS = 64, DIM_MAX = 16, K_MAX = 8 };

typedef struct batch {
    size_t n, k, d;
    vpsde_coef coef[ROWS];
    double x[ROWS * DIM_MAX], dx[ROWS * K_MAX * DIM_MAX];
    double eps[ROWS * DIM_MAX], deps[ROWS * K_MAX * DIM_MAX];
} batch;

/* A network whose output layer is not 0. */
static vpsde_model *network(size_t dim, size_t hidden, size_t layers, size_t features)
{
    vpsde_model *model;
    const vpsde_mlp_spec spec = {
        .dim = dim, .hidden = hidden, .layers = layers, .time_features = features};
    assert_ok(vpsde_mlp_create(&model, &spec, 5));
    const char *const last[] = {"output.weight", "output.bias"};
    for (size_t p = 0; p < 2; p++) {
        size_t rows, cols;
        float *const w = vpsde_mlp_tensor(model, last[p], &rows, &cols);
        assert_non_null(w);
        for (size_t e = 0; e < rows * cols; e++) {
            double u;
            vpsde_uniforms(&u, 6, VPSDE_NOISE_TEST, e, 1, (uint32_t)p, 1);
            w[e] = (float)(u - 0.5);
        }
    }
    return model;
}

static void draw(batch *b, size_t n, size_t k, size_t d, uint64_t seed)
{
    b->n = n;
    b->k = k;
    b->d = d;
    for (size_t i = 0; i < n; i++) {
        double u;
        vpsde_uniforms(&u, seed, VPSDE_NOISE_TEST, i, 1, 0, 1);
        b->coef[i] = (vpsde_coef){.label = 999 * u};
    }
    vpsde_normals(b->x, seed, VPSDE_NOISE_TEST, 0, n, 1, d);
    vpsde_normals(b->dx, seed, VPSDE_NOISE_TEST, 0, n, 2, k * d);
}

static void eval(const vpsde_model *model, void *ws, batch *b, size_t stride)
{
    const vpsde_eval e = {.n = b->n,
                          .k = b->k,
                          .coef = b->coef,
                          .coef_stride = stride,
                          .x = b->x,
                          .dx = b->k ? b->dx : NULL,
                          .eps = b->eps,
                          .deps = b->k ? b->deps : NULL};
    assert_ok(vpsde_model_eval(model, ws, &e));
}

static void eval_once(const vpsde_model *model, batch *b, size_t stride)
{
    void *ws;
    assert_ok(vpsde_model_workspace_create(&ws, model, ROWS, b->k));
    eval(model, ws, b, stride);
    vpsde_model_workspace_destroy(model, ws);
}

static double silu(double u) { return u / (1 + exp(-u)); }

/* y = W x + b from the tensors `name`.weight and .bias, in double */
static void naive_linear(vpsde_model *model, const char *name, const double *x, double *y)
{
    char full[64];
    size_t rows, cols, one;
    (void)snprintf(full, sizeof(full), "%s.weight", name);
    const float *const w = vpsde_mlp_tensor(model, full, &rows, &cols);
    (void)snprintf(full, sizeof(full), "%s.bias", name);
    const float *const bias = vpsde_mlp_tensor(model, full, &rows, &one);
    for (size_t f = 0; f < rows; f++) {
        y[f] = (double)bias[f];
        for (size_t j = 0; j < cols; j++) y[f] += (double)w[f * cols + j] * x[j];
    }
}

/* The equations at the head of models/mlp.c, one row. */
static void naive(vpsde_model *model, size_t hidden, size_t layers, size_t features, double label,
                  const double *x, double *eps)
{
    double f[64], e[64], h[64], u[64], v[64];
    const size_t half = features / 2;
    for (size_t k = 0; k < half; k++) {
        const double w = exp(-log(10000.0) * (double)k / (double)half);
        f[k] = cos(w * label);
        f[half + k] = sin(w * label);
    }
    naive_linear(model, "time.0", f, u);
    for (size_t c = 0; c < hidden; c++) u[c] = silu(u[c]);
    naive_linear(model, "time.2", u, e);
    naive_linear(model, "input", x, h);
    for (size_t c = 0; c < hidden; c++) h[c] += e[c];
    for (size_t l = 0; l < layers; l++) {
        char name[32];
        for (size_t c = 0; c < hidden; c++) u[c] = silu(h[c]);
        (void)snprintf(name, sizeof(name), "layers.%zu.linear1", l);
        naive_linear(model, name, u, v);
        for (size_t c = 0; c < hidden; c++) v[c] = silu(v[c] + e[c]);
        (void)snprintf(name, sizeof(name), "layers.%zu.linear2", l);
        naive_linear(model, name, v, u);
        for (size_t c = 0; c < hidden; c++) h[c] += u[c];
    }
    for (size_t c = 0; c < hidden; c++) u[c] = silu(h[c]);
    naive_linear(model, "output", u, eps);
}

static void equals_its_equations(void **state)
{
    enum { D = 3, HIDDEN = 24, LAYERS = 2, FEATURES = 10 };
    static batch b;
    (void)state;
    vpsde_model *const model = network(D, HIDDEN, LAYERS, FEATURES);
    draw(&b, 17, 0, D, 1);
    eval_once(model, &b, 1);
    for (size_t i = 0; i < b.n; i++) {
        double eps[D];
        naive(model, HIDDEN, LAYERS, FEATURES, b.coef[i].label, b.x + i * D, eps);
        for (size_t j = 0; j < D; j++) assert_close(b.eps[i * D + j], eps[j], 2e-6);
    }
    assert_int_equal(model->n_parameters,
                     24 * 10 + 24 + 24 * 24 + 24 + 24 * 3 + 24 + 4 * (24 * 24 + 24) + 3 * 24 + 3);
    vpsde_model_destroy(model);
}

static void starts_at_zero(void **state)
{
    static batch b;
    vpsde_model *model;
    (void)state;
    assert_ok(vpsde_mlp_create(&model, &(vpsde_mlp_spec){.dim = 2}, 1));
    draw(&b, 5, 2, 2, 1);
    eval_once(model, &b, 1);
    for (size_t e = 0; e < 10; e++) assert_true(b.eps[e] == 0);
    for (size_t e = 0; e < 20; e++) assert_true(b.deps[e] == 0);
    vpsde_model_destroy(model);
}

/* Rows `from` of `all` evaluated as n rows give the bits they had there. */
static void check_subset(const vpsde_model *model, const batch *all, const size_t *from, size_t n,
                         size_t k, bool shared)
{
    static batch b;
    const size_t d = all->d;
    b.n = n;
    b.k = k;
    b.d = d;
    for (size_t i = 0; i < n; i++) {
        b.coef[i] = all->coef[from[i]];
        memcpy(b.x + i * d, all->x + from[i] * d, d * sizeof(double));
        for (size_t m = 0; m < k; m++) {
            memcpy(b.dx + (i * k + m) * d, all->dx + (from[i] * all->k + m) * d,
                   d * sizeof(double));
        }
    }
    eval_once(model, &b, shared ? 0 : 1);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(b.eps + i * d, all->eps + from[i] * d, d * sizeof(double));
        for (size_t m = 0; m < k; m++) {
            assert_memory_equal(b.deps + (i * k + m) * d, all->deps + (from[i] * all->k + m) * d,
                                d * sizeof(double));
        }
    }
}

static void check_rows(size_t d, size_t hidden, size_t features)
{
    static batch all;
    vpsde_model *const model = network(d, hidden, 2, features);
    draw(&all, ROWS, 3, d, 3);
    eval_once(model, &all, 1);
    for (size_t n = 1; n <= ROWS; n++) {
        size_t from[ROWS];
        double u[ROWS];
        vpsde_uniforms(u, 8, VPSDE_NOISE_TEST, n, 1, 0, ROWS);
        for (size_t i = 0; i < n; i++) from[i] = (size_t)(u[i] * ROWS);
        check_subset(model, &all, from, n, n % 4, false);
    }
    for (size_t i = 0; i < ROWS; i++) check_subset(model, &all, &i, 1, i % 2, true);
    vpsde_model_destroy(model);
}

static void a_row_knows_nothing_but_itself(void **state)
{
    (void)state;
    check_rows(2, 128, 64);
    check_rows(1, 16, 2);
    check_rows(13, 37, 10);
    check_rows(7, 130, 34);
}

/* More rows than one chunk, and one shared time against the same time in every row. */
static void shares_a_time(void **state)
{
    enum { N = 150, D = 5 };
    static double x[N * D], own[N * D], shared[N * D];
    static vpsde_coef coef[N];
    void *ws;
    (void)state;
    vpsde_model *const model = network(D, 64, 3, 32);
    vpsde_normals(x, 2, VPSDE_NOISE_TEST, 0, N, 0, D);
    for (size_t i = 0; i < N; i++) coef[i].label = 412.7;
    assert_ok(vpsde_model_workspace_create(&ws, model, N, 0));
    vpsde_eval e = {.n = N, .coef = coef, .coef_stride = 1, .x = x, .eps = own};
    assert_ok(vpsde_model_eval(model, ws, &e));
    e.coef_stride = 0;
    e.eps = shared;
    assert_ok(vpsde_model_eval(model, ws, &e));
    assert_memory_equal(own, shared, sizeof(own));
    vpsde_model_workspace_destroy(model, ws);
    vpsde_model_destroy(model);
}

static void tangents_are_derivatives(void **state)
{
    enum { D = 6 };
    const double h = 1e-2;
    static batch b, plus, minus;
    (void)state;
    vpsde_model *const model = network(D, 48, 2, 16);
    draw(&b, 21, 2, D, 4);
    eval_once(model, &b, 1);
    for (size_t m = 0; m < b.k; m++) {
        plus = b;
        minus = b;
        plus.k = minus.k = 0;
        for (size_t i = 0; i < b.n; i++) {
            for (size_t j = 0; j < D; j++) {
                plus.x[i * D + j] += h * b.dx[(i * b.k + m) * D + j];
                minus.x[i * D + j] -= h * b.dx[(i * b.k + m) * D + j];
            }
        }
        eval_once(model, &plus, 1);
        eval_once(model, &minus, 1);
        for (size_t i = 0; i < b.n; i++) {
            for (size_t j = 0; j < D; j++) {
                const double slope = (plus.eps[i * D + j] - minus.eps[i * D + j]) / (2 * h);
                assert_close(b.deps[(i * b.k + m) * D + j], slope, 3e-4);
            }
        }
    }
    vpsde_model_destroy(model);
}

/* <u, J v> = <J^T u, v>, J^T u from the trainer's reverse mode: with target = eps - u the loss
 * gradient in eps is 2 scale u. */
static void adjoint_agrees(void **state)
{
    enum { D = 6, N = 40 };
    static batch b;
    static float x[N * D], target[N * D], dx[N * D];
    static double label[N], u[N * D];
    double sum, forward = 0, reverse = 0, size = 0;
    void *ws;
    (void)state;
    vpsde_model *const model = network(D, 48, 2, 16);
    const vpsde_trainer_ops *const ops = model->type->trainer;
    draw(&b, N, 1, D, 9);
    eval_once(model, &b, 1);
    vpsde_normals(u, 10, VPSDE_NOISE_TEST, 0, N, 0, D);
    for (size_t i = 0; i < N; i++) label[i] = b.coef[i].label;
    for (size_t e = 0; e < N * D; e++) {
        x[e] = (float)b.x[e];
        target[e] = (float)(b.eps[e] - u[e]);
        u[e] = b.eps[e] - (double)target[e];
    }
    float *const gradient = calloc(ops->n_floats(model), sizeof(float));
    assert_non_null(gradient);
    assert_ok(ops->workspace_create(&ws, model));
    const vpsde_train_block block = {
        .n = N, .label = label, .x = x, .target = target, .scale = 0.5};
    assert_ok(ops->gradient(model, ws, &block, &sum, gradient, dx));
    for (size_t e = 0; e < N * D; e++) {
        forward += u[e] * b.deps[e];
        reverse += (double)dx[e] * b.dx[e];
        size += fabs(u[e] * b.deps[e]);
    }
    assert_close(forward, reverse, 1e-5 * size);
    ops->workspace_destroy(ws);
    free(gradient);
    vpsde_model_destroy(model);
}

/* Linear in the tangents, and the value does not see them. */
static void tangents_are_linear(void **state)
{
    enum { D = 4 };
    static batch b, plain;
    (void)state;
    vpsde_model *const model = network(D, 32, 2, 8);
    draw(&b, 60, 3, D, 12);
    for (size_t i = 0; i < b.n; i++) {
        for (size_t j = 0; j < D; j++) {
            double *const v = b.dx + i * b.k * D + j;
            v[2 * D] = 2 * v[0];
        }
    }
    plain = b;
    plain.k = 0;
    eval_once(model, &b, 0);
    eval_once(model, &plain, 0);
    assert_memory_equal(b.eps, plain.eps, b.n * D * sizeof(double));
    for (size_t i = 0; i < b.n; i++) {
        for (size_t j = 0; j < D; j++) {
            const double *const v = b.deps + i * b.k * D + j;
            assert_true(v[2 * D] == 2 * v[0]);
        }
    }
    vpsde_model_destroy(model);
}

static void refuses_sizes(void **state)
{
    vpsde_model *model;
    (void)state;
    assert_fails(vpsde_mlp_create(&model, &(vpsde_mlp_spec){0}, 0), VPSDE_EINVAL, "dim");
    assert_fails(vpsde_mlp_create(&model, &(vpsde_mlp_spec){.dim = 2, .hidden = 9000}, 0),
                 VPSDE_EINVAL, "hidden: must be in [1, 8192], got 9000");
    assert_fails(vpsde_mlp_create(&model, &(vpsde_mlp_spec){.dim = 2, .layers = 300}, 0),
                 VPSDE_EINVAL, "layers");
    assert_fails(vpsde_mlp_create(&model, &(vpsde_mlp_spec){.dim = 2, .time_features = 7}, 0),
                 VPSDE_EINVAL, "even, got 7");
}

static void reads_its_configuration(void **state)
{
    static const char text[] = "dim: 3\nhidden: 20\nlayers: 1\n";
    static const char odd[] = "dim: 3\ntime_features: 5\n";
    const vpsde_model_type *const type = vpsde_model_type_find("mlp");
    vpsde_config *config;
    vpsde_model *model;
    (void)state;
    assert_non_null(type);
    assert_ok(vpsde_config_parse(&config, text, sizeof(text) - 1, "test", "/", NULL, 0));
    assert_ok(type->configure(&model, config));
    assert_int_equal(model->dim, 3);
    assert_int_equal(model->n_parameters, 20 * 64 + 20 + 20 * 20 + 20 + 60 + 20 + 840 + 63);
    assert_ok(vpsde_config_check(config));
    vpsde_model_destroy(model);
    vpsde_config_close(config);
    assert_ok(vpsde_config_parse(&config, odd, sizeof(odd) - 1, "test", "/", NULL, 0));
    assert_fails(type->configure(&model, config), VPSDE_ECONFIG, "even");
    vpsde_config_close(config);
    assert_ok(vpsde_config_parse(&config, "{}", 2, "test", "/", NULL, 0));
    assert_fails(type->configure(&model, config), VPSDE_ECONFIG, "dim");
    vpsde_config_close(config);
}

/* Two products of 8 x 3 at the ends, two of 8 x 8 a layer, two operations a multiply-add. */
static void tells_its_work_and_its_layers(void **state)
{
    char *lines;
    (void)state;
    vpsde_model *const model = network(3, 8, 2, 4);
    assert_close(vpsde_model_flops(model), 2 * (2 * 8 * 3 + 2 * 2 * 8 * 8), 0);
    assert_ok(model->type->describe(&lines, model));
    assert_string_equal(lines, "network      residual SiLU, 2 layers of 8, 4 time features\n");
    free(lines);
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_its_equations),
        cmocka_unit_test(starts_at_zero),
        cmocka_unit_test(a_row_knows_nothing_but_itself),
        cmocka_unit_test(shares_a_time),
        cmocka_unit_test(tangents_are_derivatives),
        cmocka_unit_test(adjoint_agrees),
        cmocka_unit_test(tangents_are_linear),
        cmocka_unit_test(tells_its_work_and_its_layers),
        cmocka_unit_test(refuses_sizes),
        cmocka_unit_test(reads_its_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
