/* Networks that predict eps, x0, v or score are one network to everybody else. */
#include "tests/check.h"

#include <stdlib.h>

#include <vpsde/vpsde.h>

#include "core/safetensors.h"
#include "core/sink.h"
#include "models/mlp.h"
#include "models/train.h"
#include "tests/scratch.h"
#include "tests/sde_cases.h"

enum { D = 2, N = 64, K = 3, N_KINDS = 4 };

/* A mixture whose eval returns what a network of another kind would: x0 = (x - sigma eps)/alpha,
 * v = (eps - sigma x)/alpha (the same as alpha eps - sigma x0), score = -eps/sigma. */
typedef struct disguise {
    vpsde_model model;
    vpsde_model_type type;
    vpsde_model *truth;
} disguise;

static void out_of_eps(vpsde_prediction kind, const vpsde_coef *c, double *a, double *b)
{
    *a = kind == VPSDE_PREDICT_X0  ? 1 / c->alpha
         : kind == VPSDE_PREDICT_V ? -c->sigma / c->alpha
                                   : 0;
    *b = kind == VPSDE_PREDICT_X0      ? -c->sigma / c->alpha
         : kind == VPSDE_PREDICT_V     ? 1 / c->alpha
         : kind == VPSDE_PREDICT_SCORE ? -1 / c->sigma
                                       : 1;
}

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const disguise *m = model->impl;
    VPSDE_TRY(m->truth->type->eval(m->truth, ws, e));
    for (size_t i = 0; i < e->n; i++) {
        double a, b;
        out_of_eps(model->prediction, &e->coef[i * e->coef_stride], &a, &b);
        for (size_t j = i * D; j < (i + 1) * D; j++) e->eps[j] = a * e->x[j] + b * e->eps[j];
        for (size_t j = i * e->k * D; j < (i + 1) * e->k * D; j++) {
            e->deps[j] = a * e->dx[j] + b * e->deps[j];
        }
        if (e->div) e->div[i] = a * D + b * e->div[i];
    }
    return VPSDE_OK;
}

static vpsde_status workspace_create(void **ws, const vpsde_model *model, size_t rows, size_t k)
{
    const disguise *m = model->impl;
    return m->truth->type->workspace_create(ws, m->truth, rows, k);
}

static void make_disguise(disguise *m, vpsde_prediction kind)
{
    const double weights[2] = {0.3, 0.7}, means[2 * D] = {-2, 0, 2, 1};
    const double covariances[2 * D * D] = {0.1, 0.02, 0.02, 0.2, 0.25, -0.1, -0.1, 0.15};
    assert_ok(vpsde_gaussian_mixture_create(&m->truth, 2, D, weights, means, covariances));
    m->type = *m->truth->type;
    m->type.name = "disguise";
    m->type.eval = eval;
    m->type.workspace_create = workspace_create;
    m->model = *m->truth;
    m->model.type = &m->type;
    m->model.impl = m;
    m->model.prediction = kind;
}

/* eps, deps and div of every kind at N points, one time each. */
static void evaluate(const vpsde_model *model, const vpsde_coef *c, const double *x,
                     const double *dx, double *eps, double *deps, double *div)
{
    void *ws;
    const vpsde_eval e = {.n = N,
                          .k = K,
                          .coef = c,
                          .coef_stride = 1,
                          .x = x,
                          .dx = dx,
                          .eps = eps,
                          .deps = deps,
                          .div = div};
    assert_ok(vpsde_model_workspace_create(&ws, model, N, K));
    assert_ok(vpsde_model_eval(model, ws, &e));
    vpsde_model_workspace_destroy(model, ws);
}

static void all_kinds_are_one_model(void **state)
{
    (void)state;
    static double x[N * D], dx[N * K * D], eps[2][N * D], deps[2][N * K * D], div[2][N];
    vpsde_coef c[N];
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_normals(x, 1, VPSDE_NOISE_TEST, 0, N, 0, D);
    vpsde_normals(dx, 1, VPSDE_NOISE_TEST, 0, N, 1, K * D);
    for (size_t i = 0; i < N; i++) c[i] = vpsde_process_at(p, pow(1e-3, (double)i / (N - 1)));
    for (int kind = 0; kind < N_KINDS; kind++) {
        disguise m;
        make_disguise(&m, (vpsde_prediction)kind);
        evaluate(m.truth, c, x, dx, eps[0], deps[0], div[0]);
        evaluate(&m.model, c, x, dx, eps[1], deps[1], div[1]);
        for (size_t i = 0; i < N; i++) {
            /* x0 loses what x - alpha x0 cancels; v what eps - sigma x does, over alpha again */
            const double size = 8e-16 / c[i].sigma;
            for (size_t j = i * D; j < (i + 1) * D; j++) {
                assert_close(eps[1][j], eps[0][j], size * (2 + fabs(x[j])));
            }
            for (size_t j = i * K * D; j < (i + 1) * K * D; j++) {
                assert_close(deps[1][j], deps[0][j], 8 * size * (1 + fabs(deps[0][j])));
            }
            assert_close(div[1][i], div[0][i], 8 * size * (1 + fabs(div[0][i])));
        }
        vpsde_model_destroy(m.truth);
    }
    vpsde_process_destroy(p);
}

static void all_kinds_give_the_same_samples(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim", "heun", "euler-maruyama", "dopri5"};
    static double x[N_KINDS][N * D];
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *grid;
    assert_ok(vpsde_grid_create(&grid, vpsde_grid_find("uniform-lambda"), p, 20, NULL, NULL,
                                VPSDE_LAST_STOP));
    for (size_t s = 0; s < sizeof(solvers) / sizeof(solvers[0]); s++) {
        for (int kind = 0; kind < N_KINDS; kind++) {
            disguise m;
            make_disguise(&m, (vpsde_prediction)kind);
            const vpsde_sampling run = {.process = p,
                                        .model = &m.model,
                                        .solver = vpsde_solver_find(solvers[s]),
                                        .grid = grid,
                                        .rtol = 1e-6,
                                        .atol = 1e-6,
                                        .seed = 5,
                                        .count = N,
                                        .n_threads = 1};
            assert_ok(vpsde_sample_array(&run, x[kind]));
            /* the step sizes of dopri5 feel the round-off in its error estimates */
            const double bound = run.solver->integrate ? 1e-3 * run.rtol : 1e-12;
            for (size_t e = 0; e < N * D; e++) assert_close(x[kind][e], x[0][e], bound);
            vpsde_model_destroy(m.truth);
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* The likelihood takes divergences (and, without them, tangents) through the adapter. */
static void all_kinds_have_the_same_likelihood(void **state)
{
    (void)state;
    static double x[8 * D], logp[N_KINDS][8];
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_normals(x, 2, VPSDE_NOISE_TEST, 0, 8, 0, D);
    for (int kind = 0; kind < N_KINDS; kind++) {
        disguise m;
        make_disguise(&m, (vpsde_prediction)kind);
        if (kind % 2) m.type.flags &= ~(unsigned)VPSDE_MODEL_DIVERGENCE;
        const vpsde_likelihood run = {.process = p,
                                      .model = &m.model,
                                      .integrator = vpsde_solver_find("dopri5"),
                                      .rtol = 1e-8,
                                      .atol = 1e-8,
                                      .x = x,
                                      .count = 8,
                                      .n_threads = 1};
        vpsde_array_sink sink;
        vpsde_array_sink_init(&sink, "logp", logp[kind], sizeof(logp[kind]));
        assert_ok(vpsde_likelihood_run(&run, &sink.sink));
        for (size_t i = 0; i < 8; i++) assert_close(logp[kind][i], logp[0][i], 1e-10);
        vpsde_model_destroy(m.truth);
    }
    vpsde_process_destroy(p);
}

/* A constant network, at the ends of the process. */
static vpsde_status seven(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    (void)ws;
    for (size_t i = 0; i < e->n * model->dim; i++) e->eps[i] = 7;
    return VPSDE_OK;
}

static void the_ends_stay_finite(void **state)
{
    (void)state;
    const vpsde_model_type type = {.name = "seven", .eval = seven};
    vpsde_process_spec spec = case_spec(vpsde_schedule_find("vp-linear"));
    spec.param[1] = 200;
    vpsde_process *p = make(&spec);
    const double x = 0.5;
    const vpsde_coef end[2] = {vpsde_process_at(p, 0), vpsde_process_at(p, 1)};
    assert_true(end[0].sigma == 0 && end[1].alpha < 1e-20);
    const double expected[2][N_KINDS] = {{7, 0, 7, 0}, {7, x, x, -7}};
    for (size_t at = 0; at < 2; at++) {
        for (int kind = 0; kind < N_KINDS; kind++) {
            const vpsde_model model = {
                .type = &type, .dim = 1, .prediction = (vpsde_prediction)kind};
            double eps;
            void *ws;
            const vpsde_eval e = {.n = 1, .coef = &end[at], .x = &x, .eps = &eps};
            assert_ok(vpsde_model_workspace_create(&ws, &model, 1, 0));
            assert_ok(vpsde_model_eval(&model, ws, &e));
            assert_close(eps, expected[at][kind], 1e-15);
            vpsde_model_workspace_destroy(&model, ws);
        }
    }
    vpsde_process_destroy(p);
}

static void names_go_both_ways(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KINDS; kind++) {
        assert_int_equal(vpsde_prediction_find(vpsde_prediction_name((vpsde_prediction)kind)),
                         kind);
    }
    assert_string_equal(vpsde_prediction_name(VPSDE_PREDICT_X0), "x0");
    assert_string_equal(vpsde_prediction_name((vpsde_prediction)9), "unknown");
    assert_int_equal(vpsde_prediction_find("epsilon"), -1);
}

/* ---- checkpoints ------------------------------------------------------------------------------ */

/* The checkpoint `from` again with another word for what it predicts; NULL: with none. */
static void rewrite(const char *to, const char *from, const char *word)
{
    static const char *const keys[] = {"vpsde.kind", "vpsde.shape", "vpsde.hidden", "vpsde.layers",
                                       "vpsde.time_features"};
    enum { N_KEYS = sizeof(keys) / sizeof(keys[0]), TENSORS = 32 };
    vpsde_safetensors *file;
    vpsde_tensor_out tensor[TENSORS];
    vpsde_metadata fact[N_KEYS + 1];
    assert_ok(vpsde_safetensors_open(&file, from));
    const size_t n = vpsde_safetensors_count(file);
    assert_true(n <= TENSORS);
    for (size_t i = 0; i < n; i++) {
        const vpsde_tensor *t = vpsde_safetensors_at(file, i);
        tensor[i] = (vpsde_tensor_out){
            .name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(tensor[i].dims, t->dims, sizeof(t->dims));
    }
    for (size_t i = 0; i < N_KEYS; i++) {
        fact[i] = (vpsde_metadata){keys[i], vpsde_safetensors_metadata(file, keys[i])};
    }
    fact[N_KEYS] = (vpsde_metadata){"vpsde.prediction", word};
    assert_ok(vpsde_safetensors_write(to, tensor, n, fact, N_KEYS + (word != NULL)));
    vpsde_safetensors_close(file);
}

static void checkpoints_say_what_they_predict(void **state)
{
    (void)state;
    const vpsde_mlp_spec spec = {.dim = 2, .hidden = 8, .layers = 1, .time_features = 4};
    const char *const path = scratch_path("net.safetensors");
    const char *const other = scratch_path("other.safetensors");
    vpsde_model *model, *again;
    vpsde_safetensors *file;
    assert_ok(vpsde_mlp_create(&model, &spec, 0));
    assert_ok(model->type->trainer->save(model, path));
    assert_ok(vpsde_safetensors_open(&file, path));
    assert_string_equal(vpsde_safetensors_metadata(file, "vpsde.prediction"), "eps");
    vpsde_safetensors_close(file);
    assert_ok(vpsde_model_open(&again, path));
    assert_true(again->prediction == VPSDE_PREDICT_EPS && again->says_prediction);
    vpsde_model_destroy(again);
    for (int kind = 0; kind < N_KINDS; kind++) {
        rewrite(other, path, vpsde_prediction_name((vpsde_prediction)kind));
        assert_ok(vpsde_model_open(&again, other));
        assert_true(again->prediction == (vpsde_prediction)kind && again->says_prediction);
        vpsde_model_destroy(again);
    }
    rewrite(other, path, NULL);
    assert_ok(vpsde_model_open(&again, other));
    assert_true(again->prediction == VPSDE_PREDICT_EPS && !again->says_prediction);
    vpsde_model_destroy(again);
    rewrite(other, path, "noise");
    assert_fails(vpsde_model_open(&again, other), VPSDE_EDATA,
                 "metadata vpsde.prediction: expected eps, x0, v or score, got \"noise\"");
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_one_model),
        cmocka_unit_test(all_kinds_give_the_same_samples),
        cmocka_unit_test(all_kinds_have_the_same_likelihood),
        cmocka_unit_test(the_ends_stay_finite),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(checkpoints_say_what_they_predict),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
