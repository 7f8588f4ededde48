/* The double well at every time: a density that solves the Fokker-Planck equation, whose score, slope
 * and draws belong to it. */
#include <math.h>
#include <stdlib.h>

#include "core/config.h"
#include "tests/ode_fixture.h"

static vpsde_status configured(vpsde_model **model, const char *text)
{
    vpsde_config *root;
    *model = NULL;
    VPSDE_TRY(vpsde_config_parse(&root, text, strlen(text), "test.yaml", ".", NULL, 0));
    vpsde_status status = vpsde_model_type_find("double-well")->configure(model, root);
    if (status == VPSDE_OK) status = vpsde_config_check(root);
    vpsde_config_close(root);
    return status;
}

static vpsde_model *well(double a)
{
    char text[32];
    vpsde_model *model;
    snprintf(text, sizeof(text), "a: %g", a);
    assert_ok(configured(&model, text));
    return model;
}

typedef struct values {
    double eps, slope, div, bend, logp;
} values;

static values at(const vpsde_model *model, const vpsde_coef *c, double x)
{
    const double one = 1;
    values v;
    void *ws;
    const vpsde_eval e = {.n = 1,
                          .k = 1,
                          .coef = c,
                          .x = &x,
                          .dx = &one,
                          .eps = &v.eps,
                          .deps = &v.slope,
                          .div = &v.div,
                          .ddiv = &v.bend,
                          .logp = &v.logp};
    assert_ok(vpsde_model_workspace_create(&ws, model, 1, 1));
    assert_ok(vpsde_model_eval(model, ws, &e));
    vpsde_model_workspace_destroy(model, ws);
    return v;
}

static const double sharpness[] = {0.3, 5, 200};
enum { WELLS = 3 };

/* Of p_t: its integral over a fine grid, by the trapezoidal rule, of f. */
static double integral(const vpsde_model *model, const vpsde_coef *c, double (*f)(double))
{
    enum { N = 6000 };
    const double edge = 8, h = 2 * edge / N;
    double sum = 0;
    for (size_t i = 0; i <= N; i++) {
        double logp;
        const double x = -edge + (double)i * h;
        assert_ok(vpsde_model_log_p(model, 1, c, &x, &logp));
        sum += h * f(x) * exp(logp);
    }
    return sum;
}

static double one(double x) { return 1 + 0 * x; }
static double square(double x) { return x * x; }
static double fourth(double x) { return x * x * x * x; }

static void it_is_a_density(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    for (size_t w = 0; w < WELLS; w++) {
        vpsde_model *model = well(sharpness[w]);
        const vpsde_coef start = vpsde_process_at(process, 0);
        const double second = integral(model, &start, square);
        assert_close(integral(model, &start, one), 1, 1e-12);
        for (double t = 0.02; t <= 1; t *= 2.5) {
            const vpsde_coef c = vpsde_process_at(process, t);
            assert_close(integral(model, &c, one), 1, 1e-12);
            assert_close(integral(model, &c, square),
                         c.alpha * c.alpha * second + c.sigma * c.sigma, 1e-11);
        }
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* eps, its derivatives and log p are one another's; and d_b log p = (1 + x s + s' + s^2)/2. */
static void the_functions_fit(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    const double h = 1e-4;
    for (size_t w = 0; w < WELLS; w++) {
        vpsde_model *model = well(sharpness[w]);
        for (double t = 0.05; t <= 1; t *= 2) {
            const vpsde_coef c = vpsde_process_at(process, t);
            const vpsde_coef later = vpsde_process_at_b(process, c.b + h),
                             sooner = vpsde_process_at_b(process, c.b - h);
            for (double x = -3; x <= 3; x += 0.37) {
                const values v = at(model, &c, x), up = at(model, &c, x + h),
                             down = at(model, &c, x - h);
                const double s = -v.eps / c.sigma, ds = -v.div / c.sigma;
                const double rate =
                    (at(model, &later, x).logp - at(model, &sooner, x).logp) / (2 * h);
                const double size = 1 + fabs(s) + fabs(ds) + fabs(v.bend / c.sigma);
                assert_close((up.logp - down.logp) / (2 * h), s, 2e-5 * size);
                assert_close((up.eps - down.eps) / (2 * h), v.slope, 2e-5 * size);
                assert_close((up.div - down.div) / (2 * h), v.bend, 2e-4 * size * size);
                assert_close(rate, (1 + x * s + ds + s * s) / 2, 1e-4 * size * size);
                assert_true(v.slope == v.div);
                const values mirrored = at(model, &c, -x);
                assert_true(mirrored.eps == -v.eps && mirrored.div == v.div &&
                            mirrored.logp == v.logp && mirrored.bend == -v.bend);
            }
        }
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* At small noise it is the well's own score and density; at none these to the bit. */
static void near_the_data(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-7, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = well(5);
    const vpsde_coef none = vpsde_process_at(process, 0), little = vpsde_process_at(process, 1e-6);
    for (double x = -2; x <= 2; x += 0.21) {
        const double score = -20 * x * (x * x - 1), q = x * x - 1;
        const values v = at(model, &little, x), start = at(model, &none, x);
        assert_close(-v.eps / little.sigma, score, 1e-4 * (1 + fabs(score)));
        const double slope = -20 * (3 * x * x - 1); /* the first order in b */
        const double change = little.b / 2 * (1 + x * score + slope + score * score);
        assert_close(v.logp, start.logp + change, 2e-6);
        assert_close(start.logp - at(model, &none, 1).logp, -5 * q * q, 1e-13 * (1 + 5 * q * q));
        assert_true(start.eps == 0);
    }
    assert_true(isnan(at(model, &little, (double)NAN).eps));
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

static void draws_have_its_moments(void **state)
{
    enum { N = 200000 };
    (void)state;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    double *x = malloc(N * sizeof(*x));
    assert_non_null(x);
    for (size_t w = 0; w < WELLS; w++) {
        vpsde_model *model = well(sharpness[w]);
        for (double t = 0; t <= 0.3; t += 0.3) {
            const vpsde_coef c = vpsde_process_at(process, t);
            double mean = 0, second = 0;
            assert_ok(vpsde_model_draw(model, &c, 8, VPSDE_NOISE_TEST, 0, N, NULL, x));
            for (size_t i = 0; i < N; i++) {
                mean += x[i] / N;
                second += x[i] * x[i] / N;
            }
            const double m2 = integral(model, &c, square), m4 = integral(model, &c, fourth);
            assert_close(mean, 0, 6 * sqrt(m2 / N));
            assert_close(second, m2, 6 * sqrt((m4 - m2 * m2) / N));
            double alone; /* a draw has its own address */
            assert_ok(vpsde_model_draw(model, &c, 8, VPSDE_NOISE_TEST, 77, 1, NULL, &alone));
            assert_true(alone == x[77]);
        }
        vpsde_model_destroy(model);
    }
    free(x);
    vpsde_process_destroy(process);
}

/* Its log p by the flow is its log p. */
static void the_flow_knows_it(void **state)
{
    enum { ROWS = 12 };
    (void)state;
    double x[ROWS], flow[ROWS], exact[ROWS];
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = well(5);
    const vpsde_coef c = vpsde_process_at(process, 1e-3);
    assert_ok(vpsde_model_draw(model, &c, 9, VPSDE_NOISE_TEST, 0, ROWS, NULL, x));
    const vpsde_likelihood run = {.process = process,
                                  .model = model,
                                  .integrator = vpsde_solver_find("gsl-rk8pd"),
                                  .rtol = 1e-11,
                                  .atol = 1e-11,
                                  .x = x,
                                  .count = ROWS};
    assert_ok(vpsde_likelihood_array(&run, flow));
    assert_ok(vpsde_model_log_p(model, ROWS, &c, x, exact));
    for (size_t i = 0; i < ROWS; i++) assert_close(flow[i], exact[i], 1e-8);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

static void its_parameter(void **state)
{
    vpsde_model *model;
    (void)state;
    assert_fails(configured(&model, "a: 0"), VPSDE_ECONFIG, "a:");
    assert_fails(configured(&model, "depth: 5"), VPSDE_ECONFIG, "depth");
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_density),   cmocka_unit_test(the_functions_fit),
        cmocka_unit_test(near_the_data),     cmocka_unit_test(draws_have_its_moments),
        cmocka_unit_test(the_flow_knows_it), cmocka_unit_test(its_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
