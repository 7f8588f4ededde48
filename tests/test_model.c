#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include <vpsde/model.h>

#include "core/safetensors.h"

enum { D = 3, ROWS = 7 };

static vpsde_coef at(double b)
{
    return (vpsde_coef){.t = b, .b = b, .alpha = exp(-b / 2), .sigma = sqrt(-expm1(-b))};
}

static vpsde_model *oracle(void)
{
    static const double w[2] = {0.4, 0.6}, mean[2 * D] = {-1, 0, 1, 1, 0.5, -0.5};
    static const double covariance[2 * D * D] = {0.5, 0.1, 0, 0.1, 0.4, 0, 0, 0, 0.3,
                                                 0.2, 0,   0, 0,   0.3, 0, 0, 0, 0.4};
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, D, w, mean, covariance));
    return model;
}

typedef struct counted {
    const vpsde_model *model;
    size_t calls, rows, fail_at; /* fail_at: number of the call that fails, 0 for none */
} counted;

/* The oracle's score as a user would hand it in. */
static int score(void *context, size_t n, size_t dim, const vpsde_coef *c, const double *x,
                 double *s)
{
    counted *f = context;
    void *ws;
    const vpsde_eval e = {.n = n, .coef = c, .x = x, .eps = s};
    f->calls++;
    f->rows += n;
    if (f->calls == f->fail_at) return 42;
    assert_ok(vpsde_model_workspace_create(&ws, f->model, n, 0));
    assert_ok(vpsde_model_eval(f->model, ws, &e));
    vpsde_model_workspace_destroy(f->model, ws);
    for (size_t i = 0; i < n * dim; i++) s[i] /= -c->sigma;
    return 0;
}

static void a_score_function_is_a_model(void **state)
{
    enum { K = 2 };
    vpsde_model *exact = oracle(), *model;
    counted f = {.model = exact};
    double x[ROWS * D], dx[ROWS * K * D], eps[2][ROWS * D], deps[2][ROWS * K * D], div[2][ROWS];
    vpsde_coef c[ROWS];
    (void)state;
    assert_ok(vpsde_model_from_score(&model, D, score, &f));
    vpsde_normals(x, 1, VPSDE_NOISE_TEST, 0, ROWS, 0, D);
    vpsde_normals(dx, 1, VPSDE_NOISE_TEST, 0, ROWS, 1, K * D);
    memset(dx, 0, D * sizeof(*dx)); /* a tangent of length 0 */
    for (size_t i = 0; i < ROWS; i++) c[i] = at(0.05 + 0.3 * (double)i);
    for (size_t stride = 0; stride < 2; stride++) {
        const vpsde_model *const both[2] = {exact, model};
        f.calls = f.rows = 0;
        for (size_t q = 0; q < 2; q++) {
            void *ws;
            const vpsde_eval e = {.n = ROWS,
                                  .k = K,
                                  .coef = c,
                                  .coef_stride = stride,
                                  .x = x,
                                  .dx = dx,
                                  .eps = eps[q],
                                  .deps = deps[q],
                                  .div = div[q]};
            assert_ok(vpsde_model_workspace_create(&ws, both[q], ROWS, K));
            assert_ok(vpsde_model_eval(both[q], ws, &e));
            vpsde_model_workspace_destroy(both[q], ws);
        }
        assert_int_equal(f.calls, (stride ? ROWS : 1) * (1 + K + D)); /* one time, one call */
        for (size_t e = 0; e < ROWS * D; e++) assert_close(eps[1][e], eps[0][e], 1e-13);
        for (size_t e = 0; e < ROWS * K * D; e++) assert_close(deps[1][e], deps[0][e], 5e-10);
        for (size_t e = 0; e < D; e++) assert_true(deps[1][e] == 0);
        for (size_t i = 0; i < ROWS; i++) assert_close(div[1][i], div[0][i], 5e-10);
    }
    vpsde_model_destroy(model);
    vpsde_model_destroy(exact);
}

static void a_failing_score_stops_the_run(void **state)
{
    vpsde_model *exact = oracle(), *model;
    const vpsde_coef c = at(0.5);
    double x[D] = {0}, eps[D], deps[D], div;
    counted f = {.model = exact};
    void *ws;
    const vpsde_eval e = {
        .n = 1, .k = 1, .coef = &c, .x = x, .dx = x, .eps = eps, .deps = deps, .div = &div};
    (void)state;
    assert_ok(vpsde_model_from_score(&model, D, score, &f));
    assert_ok(vpsde_model_workspace_create(&ws, model, 1, 1));
    for (size_t stop = 1; stop <= 3; stop++) {
        f.calls = 0;
        f.fail_at = stop;
        assert_fails(vpsde_model_eval(model, ws, &e), VPSDE_ESTOPPED, "returned 42 at t = 0.5");
    }
    vpsde_model_workspace_destroy(model, ws);
    vpsde_model_destroy(model);
    vpsde_model_destroy(exact);
    assert_fails(vpsde_model_from_score(&model, 0, score, &f), VPSDE_EINVAL, "dimension");
    assert_fails(vpsde_model_from_score(&model, D, NULL, &f), VPSDE_EINVAL, "function");
}

static vpsde_status plain_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    (void)model, (void)ws, (void)e;
    return VPSDE_OK;
}

static void what_a_type_cannot_do_is_refused(void **state)
{
    static const vpsde_model_type plain = {.name = "plain", .eval = plain_eval};
    const vpsde_model bare = {.type = &plain, .dim = D};
    vpsde_model *model = oracle();
    const vpsde_coef c = at(0.5);
    double x[3 * D] = {0}, y[3 * D], div[3];
    void *ws;
    vpsde_eval e = {.n = 1, .coef = &c, .x = x, .eps = y};
    (void)state;
    assert_fails(vpsde_model_workspace_create(&ws, &bare, 0, 0), VPSDE_EINVAL, "at least 1");
    assert_fails(vpsde_model_workspace_create(&ws, &bare, 1, 1), VPSDE_EINVAL, "no tangents");
    assert_ok(vpsde_model_workspace_create(&ws, &bare, 1, 0));
    assert_ok(vpsde_model_eval(&bare, ws, &e));
    e.div = div;
    assert_fails(vpsde_model_eval(&bare, ws, &e), VPSDE_EINVAL, "no closed-form divergence");
    e.div = NULL;
    e.k = 1;
    assert_fails(vpsde_model_eval(&bare, ws, &e), VPSDE_EINVAL, "takes no tangents");
    assert_fails(vpsde_model_log_p(&bare, 1, &c, x, y), VPSDE_EINVAL, "density");
    vpsde_model_workspace_destroy(&bare, ws);

    assert_ok(vpsde_model_workspace_create(&ws, model, 2, 1));
    assert_fails(vpsde_model_eval(model, ws, &e), VPSDE_EINVAL, "need dx and deps");
    e.dx = x;
    e.deps = y;
    e.k = 2;
    assert_fails(vpsde_model_eval(model, ws, &e), VPSDE_EINVAL, "1 rows with 2 tangents");
    e.k = 0;
    e.n = 3;
    assert_fails(vpsde_model_eval(model, ws, &e), VPSDE_EINVAL, "made for 2 rows with 1 tangents");
    vpsde_model_workspace_destroy(model, ws);
    vpsde_model_workspace_destroy(model, NULL);
    vpsde_model_destroy(model);
    vpsde_model_destroy(NULL);
}

static void the_registry_is_consistent(void **state)
{
    const vpsde_model_type *type;
    size_t count = 0;
    (void)state;
    for (; (type = vpsde_model_type_at(count)) != NULL; count++) {
        assert_ptr_equal(vpsde_model_type_find(type->name), type);
        assert_non_null(type->source);
        assert_non_null(type->doc);
        assert_non_null(type->eval);
        assert_int_equal(!type->log_p, !(type->flags & VPSDE_MODEL_LOG_P));
        assert_int_equal(!type->draw, !(type->flags & VPSDE_MODEL_DRAW));
        assert_int_equal(!type->trainer, !(type->flags & VPSDE_MODEL_TRAINABLE));
    }
    assert_true(count > 0);
    assert_null(vpsde_model_type_at(count + 1000));
    assert_null(vpsde_model_type_find("gaussian_mixture"));
}

static void checkpoints_without_a_model_are_refused(void **state)
{
    char folder[] = "/tmp/vpsde-test-XXXXXX", path[64];
    const float value = 1;
    const vpsde_tensor_out tensor = {
        .name = "w", .dtype = "F32", .rank = 1, .dims = {1}, .data = &value};
    vpsde_metadata kind = {"vpsde.kind", "gaussian-mixture"};
    vpsde_model *model;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/m.safetensors", folder);
    assert_int_not_equal(vpsde_model_open(&model, path), VPSDE_OK);
    assert_null(model);
    assert_ok(vpsde_safetensors_write(path, &tensor, 1, NULL, 0));
    assert_fails(vpsde_model_open(&model, path), VPSDE_EDATA, "no metadata key vpsde.kind");
    assert_ok(vpsde_safetensors_write(path, &tensor, 1, &kind, 1));
    assert_fails(vpsde_model_open(&model, path), VPSDE_EDATA, "'gaussian-mixture'");
    kind.value = "zzzzzzzzzzzz";
    assert_ok(vpsde_safetensors_write(path, &tensor, 1, &kind, 1));
    assert_fails(vpsde_model_open(&model, path), VPSDE_EDATA, "'zzzzzzzzzzzz'");
    assert_null(model);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_score_function_is_a_model),
        cmocka_unit_test(a_failing_score_stops_the_run),
        cmocka_unit_test(what_a_type_cannot_do_is_refused),
        cmocka_unit_test(the_registry_is_consistent),
        cmocka_unit_test(checkpoints_without_a_model_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
