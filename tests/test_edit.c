/* SDEdit: data noised to t0 by the forward process, and sampled down from there. */
#include "tests/toy.h"

enum { COUNT = 20000, NODES = 4000, FEW = 300 };

static vpsde_model *mixture(void)
{
    vpsde_model *m;
    const double weights[3] = {0.3, 0.5, 0.2}, means[3] = {-1.5, 0.5, 2},
                 variances[3] = {0.1, 0.3, 0.05};
    assert_ok(vpsde_gaussian_mixture_create(&m, 3, 1, weights, means, variances));
    return m;
}

static vpsde_grid *down_from(const vpsde_process *p, double t0, size_t n_steps,
                             vpsde_last_step last_step)
{
    vpsde_process_spec spec = *vpsde_process_get_spec(p);
    vpsde_process *part;
    spec.t_max = t0;
    assert_ok(vpsde_process_create(&part, &spec));
    vpsde_grid *grid = toy_grid(part, "uniform-lambda", n_steps, last_step);
    vpsde_process_destroy(part);
    return grid;
}

/* E|x_0 - E[x_0 | x_t]|^2 = E x_0^2 - E x0hat(x_t)^2 by the trapezoid rule, exact to rounding here. */
static double mmse(const vpsde_model *m, const vpsde_coef *c)
{
    static double x[NODES], eps[NODES], logp[NODES];
    const double low = -9, h = 18.0 / NODES;
    const double second = 0.3 * (2.25 + 0.1) + 0.5 * (0.25 + 0.3) + 0.2 * (4 + 0.05);
    void *ws;
    double sum = 0;
    for (size_t i = 0; i < NODES; i++) x[i] = low + h * (double)i;
    assert_ok(vpsde_model_workspace_create(&ws, m, NODES, 0));
    const vpsde_eval e = {.n = NODES, .coef = c, .x = x, .eps = eps, .logp = logp};
    assert_ok(vpsde_model_eval(m, ws, &e));
    vpsde_model_workspace_destroy(m, ws);
    for (size_t i = 0; i < NODES; i++) {
        const double x0 = (x[i] - c->sigma * eps[i]) / c->alpha;
        sum += h * exp(logp[i]) * x0 * x0;
    }
    return second - sum;
}

/* With the exact score the edited sample is another draw of x_0 given x_t0, so that
 * E|x_0 - x_0'|^2 = 2 mmse(t0). */
static void error_is_twice_the_mmse(void **state)
{
    (void)state;
    static const struct {
        const char *solver;
        double t0;
        size_t steps;
    } cases[] = {{"sra1", 0.1, 60}, {"sra1", 0.3, 80}, {"seeds-3", 0.3, 80}, {"sra3", 0.6, 80}};
    static double x0[COUNT], x[COUNT];
    vpsde_model *m = mixture();
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    const vpsde_coef data = vpsde_process_at(p, 0);
    assert_ok(vpsde_model_draw(m, &data, 77, VPSDE_NOISE_TEST, 0, COUNT, NULL, x0));
    for (size_t q = 0; q < sizeof(cases) / sizeof(cases[0]); q++) {
        vpsde_grid *grid = down_from(p, cases[q].t0, cases[q].steps, VPSDE_LAST_TWEEDIE);
        const vpsde_sampling run = {.process = p,
                                    .model = m,
                                    .solver = vpsde_solver_find(cases[q].solver),
                                    .grid = grid,
                                    .seed = 2 + q,
                                    .count = COUNT,
                                    .edit = x0,
                                    .n_threads = 2};
        double mean = 0, square = 0;
        assert_ok(vpsde_sample_array(&run, x));
        for (size_t i = 0; i < COUNT; i++) {
            const double error = (x[i] - x0[i]) * (x[i] - x0[i]);
            mean += error / COUNT;
            square += error * error / COUNT;
        }
        const double stderr_of = sqrt((square - mean * mean) / COUNT);
        const double expected = 2 * mmse(m, &grid->node[0]);
        print_message("%s from %g: %.4f +- %.4f, 2 mmse %.4f\n", cases[q].solver, cases[q].t0, mean,
                      stderr_of, expected);
        assert_close(mean, expected, 5 * stderr_of);
        vpsde_grid_destroy(grid);
    }
    vpsde_model_destroy(m);
    vpsde_process_destroy(p);
}

/* By the flow it is the flow map of the noised row, whose noise stands at its own address. */
static void by_the_flow_it_is_the_flow_map(void **state)
{
    (void)state;
    static const char *const solvers[] = {"gsl-rk8pd", "dopri5", "rk4"};
    static double x0[FEW], z[FEW], x[FEW], alone[1];
    const double mean = 0.4, variance = 0.3, t0 = 0.45;
    toy m;
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = down_from(p, t0, 400, VPSDE_LAST_STOP);
    vpsde_normals(x0, 1, VPSDE_NOISE_TEST, 0, FEW, 0, 1);
    for (size_t s = 0; s < 2 * sizeof(solvers) / sizeof(solvers[0]); s++) {
        toy_gaussian(&m, 1, mean, variance, s % 2 ? VPSDE_MODEL_ANALYTIC : 0, 64);
        vpsde_sampling run = {.process = p,
                              .model = &m.model,
                              .solver = vpsde_solver_find(solvers[s / 2]),
                              .grid = grid,
                              .rtol = 1e-11,
                              .atol = 1e-11,
                              .seed = 3,
                              .first = 10,
                              .count = FEW,
                              .edit = x0,
                              .n_threads = 2};
        assert_ok(vpsde_sample_array(&run, x));
        vpsde_normals(z, 3, VPSDE_NOISE_FORWARD, 10, FEW, 0, 1);
        const vpsde_coef *c = &grid->node[0], *end = &grid->node[grid->n_steps];
        const double v = c->alpha * c->alpha * variance + c->sigma * c->sigma;
        const double v_end = end->alpha * end->alpha * variance + end->sigma * end->sigma;
        for (size_t i = 0; i < FEW; i++) {
            const double noised = c->alpha * x0[i] + c->sigma * z[i];
            const double flowed = end->alpha * mean + sqrt(v_end / v) * (noised - c->alpha * mean);
            assert_close(x[i], flowed, 1e-7);
        }
        run.first = 10 + 123;
        run.count = 1;
        run.edit = x0 + 123;
        assert_ok(vpsde_sample_array(&run, alone));
        assert_true(alone[0] == x[123]);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void two_starts_are_refused(void **state)
{
    (void)state;
    const double x0[1] = {0};
    double x[1];
    toy m;
    toy_gaussian(&m, 1, 0, 1, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = down_from(p, 0.5, 4, VPSDE_LAST_STOP);
    vpsde_sampling run = {.process = p,
                          .model = &m.model,
                          .solver = vpsde_solver_find("ddim"),
                          .grid = grid,
                          .count = 1,
                          .init = x0,
                          .edit = x0};
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "init and edit both");
    run.init = run.edit = NULL;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "start states at t = 0.5");
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_twice_the_mmse),
        cmocka_unit_test(by_the_flow_it_is_the_flow_map),
        cmocka_unit_test(two_starts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
