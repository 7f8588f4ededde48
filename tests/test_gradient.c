/* grad_x log p by sensitivities against exact scores: where the terminal law is p_T itself, the two are
 * one (science: grad_x log p^ODE(x) = s(x, t_min)). */
#include "tests/ode_fixture.h"
#include "tests/toy.h"

#include <vpsde/gradient.h>

enum { ROWS = 20 };

static void exact_scores(const vpsde_model *model, const vpsde_process *process, size_t d,
                         const double *x, double *score)
{
    const vpsde_coef c = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
    void *ws;
    assert_ok(vpsde_model_workspace_create(&ws, model, ROWS, 0));
    const vpsde_eval e = {.n = ROWS, .coef = &c, .x = x, .eps = score};
    assert_ok(vpsde_model_eval(model, ws, &e));
    for (size_t i = 0; i < ROWS * d; i++) score[i] /= -c.sigma;
    vpsde_model_workspace_destroy(model, ws);
}

static vpsde_likelihood run_of(const vpsde_model *model, const vpsde_process *process,
                               const char *integrator, double tol, const double *x)
{
    return (vpsde_likelihood){.process = process,
                              .model = model,
                              .integrator = vpsde_solver_find(integrator),
                              .rtol = tol,
                              .atol = tol,
                              .x = x,
                              .count = ROWS};
}

/* Largest |grad - score| over max(1, |score|); and |logp - log p_t_min|. */
static double gap(const vpsde_model *model, const vpsde_process *process, const char *integrator,
                  double tol)
{
    const size_t d = model->dim;
    double *x = calloc(2 * ROWS * d, sizeof(double)), *score = x + ROWS * d, largest = 0;
    assert_non_null(x);
    const vpsde_coef c = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
    assert_ok(model->type->draw(model, &c, 5, VPSDE_NOISE_TEST, 0, ROWS, x));
    exact_scores(model, process, d, x, score);
    const vpsde_likelihood run = run_of(model, process, integrator, tol, x);
    keep k;
    keep_init(&k);
    assert_ok(vpsde_gradient_run(&run, &k.sink));
    const double *gradient = keep_column(&k, "grad_logp"), *logp = keep_column(&k, "logp");
    for (size_t e = 0; e < ROWS * d; e++) {
        largest = fmax(largest, fabs(gradient[e] - score[e]) / fmax(1, fabs(score[e])));
    }
    for (size_t i = 0; i < ROWS; i++) {
        double exact;
        assert_ok(vpsde_model_log_p(model, 1, &c, x + i * d, &exact));
        largest = fmax(largest, fabs(logp[i] - exact));
    }
    keep_free(&k);
    free(x);
    return largest;
}

static void the_gradient_is_the_score(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    vpsde_model *model;
    const double weight = 1, mean[3] = {0.5, -1, 0.2},
                 cov[9] = {0.5, 0.2, 0, 0.2, 0.3, 0.1, 0, 0.1, 0.05};
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 3, &weight, mean, cov));
    assert_true(gap(model, process, "gsl-rk8pd", 1e-12) < 1e-10);
    vpsde_model_destroy(model);
    for (size_t d = 2; d <= 8; d *= 4) {
        model = make_mixture(d);
        assert_true(gap(model, process, "gsl-rk8pd", 1e-12) < 1e-10);
        assert_true(gap(model, process, "dopri5", 1e-8) < 1e-6);
        assert_true(gap(model, process, "cvode-adams", 1e-8) < 1e-5);
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* From N(0, I), where no density's score is: differences of log p itself. */
static void the_gradient_is_of_logp(void **state)
{
    (void)state;
    enum { D = 2, POINTS = 1 + 2 * D };
    const double h = 1e-4, at[D] = {0.3, -0.7};
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model = make_mixture(D);
    double x[POINTS * D], logp[POINTS];
    for (size_t i = 0; i < POINTS; i++) {
        for (size_t j = 0; j < D; j++) x[i * D + j] = at[j];
    }
    for (size_t j = 0; j < D; j++) {
        x[(1 + 2 * j) * D + j] += h;
        x[(2 + 2 * j) * D + j] -= h;
    }
    vpsde_likelihood run = run_of(model, process, "gsl-rk8pd", 1e-13, x);
    run.count = POINTS;
    keep k;
    keep_init(&k);
    assert_ok(vpsde_gradient_run(&run, &k.sink));
    assert_ok(vpsde_likelihood_array(&run, logp));
    const double *gradient = keep_column(&k, "grad_logp");
    assert_close(((const double *)keep_column(&k, "logp"))[0], logp[0], 1e-10);
    for (size_t j = 0; j < D; j++) {
        assert_close(gradient[j], (logp[1 + 2 * j] - logp[2 + 2 * j]) / (2 * h), 1e-6);
    }
    keep_free(&k);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* The closed form against differences of the closed-form divergence. */
static void the_divergence_has_this_gradient(void **state)
{
    (void)state;
    enum { D = 5, POINTS = 1 + 2 * D };
    const double h = 1e-5;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = make_mixture(D);
    double x[POINTS * D], eps[POINTS * D], div[POINTS], ddiv[POINTS * D];
    void *ws;
    assert_ok(vpsde_model_workspace_create(&ws, model, POINTS, 0));
    for (double t = 0.01; t < 1; t *= 3) {
        const vpsde_coef c = vpsde_process_at(process, t);
        for (size_t e = 0; e < POINTS * D; e++) x[e] = 0.2 * cos(3.0 * (double)(e % D));
        for (size_t j = 0; j < D; j++) {
            x[(1 + 2 * j) * D + j] += h;
            x[(2 + 2 * j) * D + j] -= h;
        }
        const vpsde_eval e = {
            .n = POINTS, .coef = &c, .x = x, .eps = eps, .div = div, .ddiv = ddiv};
        assert_ok(vpsde_model_eval(model, ws, &e));
        for (size_t j = 0; j < D; j++) {
            const double difference = (div[1 + 2 * j] - div[2 + 2 * j]) / (2 * h);
            assert_close(ddiv[j], difference, 1e-6 * fmax(1, fabs(difference)));
        }
    }
    vpsde_model_workspace_destroy(model, ws);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* A row has the same bits alone, and failures are told. */
static void rows_and_failures(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = make_mixture(2);
    double x[2 * ROWS];
    for (size_t e = 0; e < 2 * ROWS; e++) x[e] = sin((double)e);
    vpsde_likelihood run = run_of(model, process, "dopri5", 1e-6, x), alone = run;
    keep all, one, bad;
    keep_init(&all);
    keep_init(&one);
    keep_init(&bad);
    assert_ok(vpsde_gradient_run(&run, &all.sink));
    alone.first = 3;
    alone.count = 1;
    alone.x = x + 2 * 3;
    assert_ok(vpsde_gradient_run(&alone, &one.sink));
    assert_true(keep_same(&one, &all, "grad_logp", 3, 1));
    x[2] = (double)NAN;
    assert_fails(vpsde_gradient_run(&run, &bad.sink), VPSDE_EPARTIAL, "1 of 20 rows");
    assert_true(isnan(((const double *)keep_column(&bad, "grad_logp"))[3]));
    assert_true(keep_same(&one, &bad, "grad_logp", 3, 1));
    keep_free(&all);
    keep_free(&one);
    keep_free(&bad);
    vpsde_model posing = *model;
    vpsde_model_type type = *model->type;
    type.flags &= ~(unsigned)VPSDE_MODEL_DIV_GRADIENT;
    posing.type = &type;
    run.model = &posing;
    assert_fails(vpsde_gradient_run(&run, NULL), VPSDE_EINVAL, "third derivatives");
    double ddiv[2], eps[2];
    void *ws;
    const vpsde_coef c = vpsde_process_at(process, 0.5);
    assert_ok(vpsde_model_workspace_create(&ws, &posing, 1, 0));
    const vpsde_eval e = {.n = 1, .coef = &c, .x = x, .eps = eps, .ddiv = ddiv};
    assert_fails(vpsde_model_eval(&posing, ws, &e), VPSDE_EINVAL, "gradient of its divergence");
    vpsde_model_workspace_destroy(&posing, ws);
    run.model = model;
    run.dequantization = (vpsde_dequantization){VPSDE_DEQUANTIZE_UNIFORM, 0.1, 1};
    assert_fails(vpsde_gradient_run(&run, NULL), VPSDE_EINVAL, "no dequantization");
    run.process = NULL;
    assert_fails(vpsde_gradient_run(&run, NULL), VPSDE_EINVAL, "process is not set");
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_the_score),
        cmocka_unit_test(the_gradient_is_of_logp),
        cmocka_unit_test(the_divergence_has_this_gradient),
        cmocka_unit_test(rows_and_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
