/* What a step asks of a trainer: times, weights, lanes, rates. */
#include "tests/check.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "tests/train_fixture.h"

static double loss_of(const vpsde_model *model, void *ws, const vpsde_train_block *b, float *g)
{
    double sum;
    assert_ok(model->type->trainer->gradient(model, ws, b, &sum, g, NULL));
    return sum * b->scale;
}

/* Weights multiply a row's squares, gradients add up, and an mlp has no classes. */
static void blocks_are_weighted_and_added(void **state)
{
    enum { N = 5 };
    const double label[N] = {3, 400, 77, 900, 12};
    const int32_t classes[N] = {0};
    const float x[N * D] = {1, 2, -1, 0.5F, 0, 0, 3, 1, -2, 2}, target[N * D] = {1, 0, 2, -1, 1};
    const float two[N] = {2, 2, 2, 2, 2}, first[N] = {1};
    static fixture f;
    void *ws;
    (void)state;
    begin(&f);
    const vpsde_trainer_ops *const ops = f.model->type->trainer;
    const size_t n = f.state->n;
    float *const g = calloc(n, sizeof(float)), *const twice = calloc(n, sizeof(float));
    float *const added = calloc(n, sizeof(float));
    assert_true(g && twice && added);
    assert_ok(ops->workspace_create(&ws, f.model));
    vpsde_train_block b = {.n = N, .label = label, .x = x, .target = target, .scale = 0.5};
    const double loss = loss_of(f.model, ws, &b, g);
    (void)loss_of(f.model, ws, &b, added);
    (void)loss_of(f.model, ws, &b, added);
    b.weight = two;
    assert_close(loss_of(f.model, ws, &b, twice), 2 * loss, 0);
    for (size_t e = 0; e < n; e++) {
        assert_close((double)twice[e], 2 * (double)g[e], 0);
        assert_close((double)added[e], 2 * (double)g[e], 1e-5);
    }
    b.weight = first;
    const double of_first = loss_of(f.model, ws, &b, added);
    b.n = 1;
    b.weight = NULL;
    assert_close(loss_of(f.model, ws, &b, added), of_first, 0);
    b.classes = classes;
    double sum;
    assert_fails(ops->gradient(f.model, ws, &b, &sum, g, NULL), VPSDE_EINVAL, "classes");
    ops->workspace_destroy(ws);
    free(g);
    free(twice);
    free(added);
    end(&f);
}

/* A model whose trainer only writes down what it is asked: one row a block, one float, gradient 1. */
enum { SPY_CALLS = 4000, SPY_FLOATS = 16 };
static struct {
    atomic_size_t n;
    double label[SPY_CALLS];
    const float *x[SPY_CALLS];
    float *gradient[SPY_CALLS];
    float weights[SPY_FLOATS];
} spy;

static size_t spy_floats(const vpsde_model *model)
{
    (void)model;
    return SPY_FLOATS;
}

static float *spy_parameters(const vpsde_model *model)
{
    (void)model;
    return spy.weights;
}

static vpsde_status spy_workspace(void **ws, const vpsde_model *model)
{
    (void)model;
    *ws = NULL;
    return VPSDE_OK;
}

static vpsde_status spy_gradient(const vpsde_model *model, void *ws, const vpsde_train_block *b,
                                 double *sum, float *gradient, float *dx)
{
    const size_t call = atomic_fetch_add(&spy.n, 1);
    (void)model, (void)ws, (void)dx;
    *sum = 1;
    for (size_t e = 0; e < SPY_FLOATS; e++) gradient[e] += 1;
    if (call >= SPY_CALLS) return vpsde_fail(VPSDE_EINTERNAL, "too many calls");
    spy.label[call] = b->label[0];
    spy.x[call] = b->x;
    spy.gradient[call] = gradient;
    return VPSDE_OK;
}

static const vpsde_trainer_ops spy_ops = {.block_rows = 1,
                                          .n_floats = spy_floats,
                                          .parameters = spy_parameters,
                                          .workspace_create = spy_workspace,
                                          .workspace_destroy = free,
                                          .gradient = spy_gradient};
static const vpsde_model_type spy_type = {.name = "spy", .trainer = &spy_ops};

static void spied(fixture *f)
{
    atomic_store(&spy.n, 0);
    vpsde_train_state_destroy(f->state);
    vpsde_model_destroy(f->model);
    f->model = calloc(1, sizeof(*f->model));
    assert_non_null(f->model);
    f->model->type = &spy_type;
    f->model->dim = D;
    assert_ok(vpsde_train_state_create(&f->state, f->model));
}

/* A table that ends before t = 1 is trained at its own nodes i / N <= t_max, at each of them. */
static void tables_are_trained_at_their_nodes(void **state)
{
    static const double ends[] = {0.7, 0.75, 0.29, 1, 0.1};
    static const size_t nodes[] = {7, 7, 2, 10, 1};
    static fixture f;
    double betas[10];
    vpsde_process_spec spec;
    (void)state;
    for (size_t i = 0; i < 10; i++) betas[i] = 0.01 + 0.02 * (double)i;
    assert_ok(vpsde_process_spec_init(&spec, "table"));
    spec.betas = betas;
    spec.n_betas = 10;
    for (size_t k = 0; k < sizeof(ends) / sizeof(*ends); k++) {
        size_t seen[10] = {0};
        begin(&f);
        spied(&f);
        vpsde_process_destroy(f.process);
        spec.t_max = ends[k];
        assert_ok(vpsde_process_create(&f.process, &spec));
        f.training.process = f.process;
        f.training.last = 4;
        assert_ok(vpsde_train(&f.training, f.model, f.state));
        assert_int_equal(spy.n, 4 * f.training.batch);
        for (size_t c = 0; c < spy.n; c++) {
            const double label = spy.label[c]; /* N t - 1 */
            assert_true(label >= 0 && label < 10 && label == floor(label));
            seen[(size_t)label]++;
        }
        for (size_t i = 0; i < 10; i++) assert_true((seen[i] > 0) == (i < nodes[k]));
        end(&f);
    }
    begin(&f);
    vpsde_process_destroy(f.process);
    spec.t_max = 0.05;
    assert_ok(vpsde_process_create(&f.process, &spec));
    f.training.process = f.process;
    assert_fails(vpsde_train(&f.training, f.model, f.state), VPSDE_EINVAL, "t_max");
    end(&f);
}

/* However many blocks: eight sums, each over its own blocks in order. */
static void gradients_share_few_lanes(void **state)
{
    static fixture f;
    static history h;
    (void)state;
    begin(&f);
    spied(&f);
    f.training.last = 1;
    f.training.context = &h;
    f.training.report = remember;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    assert_int_equal(spy.n, f.training.batch);
    assert_close(h.at[0].gradient_norm, (double)f.training.batch * sqrt(SPY_FLOATS), 1e-9);
    const float *first = spy.x[0], *base = spy.gradient[0], *next[VPSDE_TRAIN_LANES] = {NULL};
    for (size_t c = 0; c < spy.n; c++) {
        if (spy.x[c] < first) first = spy.x[c];
        if (spy.gradient[c] < base) base = spy.gradient[c];
    }
    for (size_t c = 0; c < spy.n; c++) {
        const size_t lane = (size_t)(spy.gradient[c] - base) / SPY_FLOATS;
        assert_true(lane < VPSDE_TRAIN_LANES);
        const float *const due = next[lane] ? next[lane] : first + lane * D;
        assert_true(spy.x[c] == due);
        next[lane] = due + VPSDE_TRAIN_LANES * D;
    }
    end(&f);
}

static void warms_up_and_decays(void **state)
{
    vpsde_training t;
    (void)state;
    vpsde_training_init(&t);
    t.learning_rate = 0.01;
    t.warm_up = 100;
    t.steps = 1100;
    assert_close(vpsde_train_rate(&t, 1), 1e-4, 1e-18);
    assert_close(vpsde_train_rate(&t, 50), 5e-3, 1e-17);
    assert_close(vpsde_train_rate(&t, 100), 0.01, 1e-17);
    assert_close(vpsde_train_rate(&t, 1100), 0.01, 0);
    t.decay = VPSDE_DECAY_COSINE;
    assert_close(vpsde_train_rate(&t, 100), 0.01, 1e-17);
    assert_close(vpsde_train_rate(&t, 600), 0.005, 1e-12);
    assert_close(vpsde_train_rate(&t, 1100), 0, 1e-12);
    t.warm_up = 0;
    assert_close(vpsde_train_rate(&t, 1), 0.01, 1e-6);
    t.warm_up = t.steps = 50; /* all of it warm-up */
    assert_close(vpsde_train_rate(&t, 25), 0.005, 1e-17);
    assert_close(vpsde_train_rate(&t, 50), 0.01, 1e-17);
    assert_close(vpsde_train_rate(&t, 51), 0, 0);
    t.warm_up = 100;
    assert_close(vpsde_train_rate(&t, 50), 0.005, 1e-17);
    assert_close(vpsde_train_rate(&t, 101), 0, 0);
}

static void short_trainings_only_warm_up(void **state)
{
    static fixture f;
    static history h;
    (void)state;
    begin(&f);
    f.training.decay = VPSDE_DECAY_COSINE;
    f.training.steps = 5; /* of 20 warm-up steps */
    f.training.context = &h;
    f.training.report = remember;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    assert_true(f.state->step == 5);
    for (size_t k = 0; k < 5; k++) {
        assert_close(h.at[k].learning_rate, 3e-3 * (double)(k + 1) / 20, 1e-17);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_weighted_and_added),
        cmocka_unit_test(tables_are_trained_at_their_nodes),
        cmocka_unit_test(gradients_share_few_lanes),
        cmocka_unit_test(warms_up_and_decays),
        cmocka_unit_test(short_trainings_only_warm_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
