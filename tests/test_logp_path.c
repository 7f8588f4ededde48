/* The field logp of a log: what it says along the paths of exact scores is log p_t(x_t) of the model. */
#include "tests/ode_fixture.h"
#include "tests/toy.h"

enum { DIM = 2, SAMPLES = 200 };

typedef struct bench {
    vpsde_model *model;
    vpsde_process *process;
} bench;

static bench open_bench(double t_min)
{
    return (bench){.model = make_mixture(DIM),
                   .process = make_process(t_min, VPSDE_TERMINAL_EXACT)};
}

static void close_bench(bench *b)
{
    vpsde_model_destroy(b->model);
    vpsde_process_destroy(b->process);
}

static vpsde_sampling sampling_of(const bench *b, const char *solver, const vpsde_grid *grid)
{
    assert_non_null(vpsde_solver_find(solver));
    return (vpsde_sampling){
        .process = b->process,
        .model = b->model,
        .solver = vpsde_solver_find(solver),
        .grid = grid,
        .rtol = 1e-6,
        .atol = 1e-6,
        .seed = 7,
        .count = SAMPLES,
        .log = {.n_times = 9, .fields = VPSDE_LOG_X | VPSDE_LOG_LOGP, .dtype = VPSDE_F64},
    };
}

/* Mean over samples of the largest |logp - log p_t(x_t)| along the stored nodes after the first. */
static double error_of(const keep *k, const vpsde_sampling *run)
{
    const size_t d = run->model->dim, n_steps = run->grid->n_steps;
    const size_t n = run->log.n_times < n_steps + 1 ? run->log.n_times : n_steps + 1;
    const double *x = keep_column(k, "x"), *logp = keep_column(k, "logp");
    double sum = 0;
    assert_non_null(logp);
    for (size_t i = 0; i < run->count; i++) {
        double largest = 0;
        for (size_t m = 0; m < n; m++) {
            const size_t node =
                (size_t)lround((double)m * (double)n_steps / (double)(n > 1 ? n - 1 : 1));
            double exact;
            assert_ok(vpsde_model_log_p(run->model, 1, &run->grid->node[node], x + (i * n + m) * d,
                                        &exact));
            largest = fmax(largest, fabs(logp[i * n + m] - exact));
        }
        assert_true(isfinite(largest));
        sum += largest;
    }
    return sum / (double)run->count;
}

static double error_at(const bench *b, const char *solver, const char *grid_type, size_t n_steps)
{
    vpsde_grid *grid = toy_grid(b->process, grid_type, n_steps, VPSDE_LAST_STOP);
    const vpsde_sampling run = sampling_of(b, solver, grid);
    keep k;
    keep_init(&k);
    assert_ok(vpsde_sample(&run, &k.sink));
    const double error = error_of(&k, &run);
    keep_free(&k);
    vpsde_grid_destroy(grid);
    return error;
}

static void slope_is(const bench *b, const char *solver, size_t n, double order, double within)
{
    enum { LEVELS = 3 };
    double error[LEVELS];
    for (size_t l = 0; l < LEVELS; l++) error[l] = error_at(b, solver, "quadratic-t", n << l);
    const double slope = log2(error[LEVELS - 2] / error[LEVELS - 1]);
    print_message("%s: %.3g %.3g %.3g, slope %.3f\n", solver, error[0], error[1], error[2], slope);
    assert_true(fabs(slope - order) < within);
}

/* The formula holds along any path, so an exact score's log p is of order 2 whatever the solver's
 * order is: the trapezoid's. */
static void order_2_along_an_ode(void **state)
{
    (void)state;
    bench b = open_bench(1e-2);
    slope_is(&b, "heun", 64, 2, 0.2);
    slope_is(&b, "rk4", 64, 2, 0.2);
    slope_is(&b, "dpmpp-2m", 64, 2, 0.2);
    slope_is(&b, "ddim", 64, 2, 0.2);
    close_bench(&b);
}

static void order_1_along_an_sde(void **state)
{
    (void)state;
    bench b = open_bench(1e-2);
    slope_is(&b, "euler-maruyama", 100, 1, 0.2);
    slope_is(&b, "sra1", 100, 1, 0.2);
    close_bench(&b);
}

/* Errors of an integrator follow its tolerance, whatever number of states is stored. */
static void an_integrator_follows_its_tolerance(void **state)
{
    (void)state;
    static const char *const solvers[] = {"dopri5", "gsl-rk8pd", "cvode-adams"};
    bench b = open_bench(1e-3);
    vpsde_grid *grid = toy_grid(b.process, "uniform-t", 8, VPSDE_LAST_STOP);
    for (size_t q = 0; q < sizeof(solvers) / sizeof(*solvers); q++) {
        for (double tol = 1e-4; tol > 1e-9; tol *= 1e-2) {
            vpsde_sampling run = sampling_of(&b, solvers[q], grid);
            run.rtol = run.atol = tol;
            for (size_t n = 2; n <= 9; n += 7) {
                keep k;
                keep_init(&k);
                run.log.n_times = n;
                assert_ok(vpsde_sample(&run, &k.sink));
                assert_true(error_of(&k, &run) < 20 * tol);
                keep_free(&k);
            }
        }
    }
    vpsde_grid_destroy(grid);
    close_bench(&b);
}

/* Without a closed divergence, in blocks and fibers, the exact trace says the same; and nothing else of a
 * run feels that log p is logged. */
static void a_network_and_its_states(void **state)
{
    (void)state;
    static const char *const solvers[] = {"heun", "sra1", "dopri5"};
    bench b = open_bench(1e-2);
    vpsde_model posing;
    vpsde_model_type type;
    (void)pose_as_network(&posing, &type, b.model);
    type.flags &= ~(unsigned)VPSDE_MODEL_ANY_ROWS;
    vpsde_grid *grid = toy_grid(b.process, "quadratic-t", 64, VPSDE_LAST_STOP);
    for (size_t q = 0; q < sizeof(solvers) / sizeof(*solvers); q++) {
        vpsde_sampling run = sampling_of(&b, solvers[q], grid);
        keep closed, traced, plain, part;
        keep_init(&closed);
        keep_init(&traced);
        keep_init(&plain);
        keep_init(&part);
        run.count = 21;
        assert_ok(vpsde_sample(&run, &closed.sink));
        run.model = &posing;
        assert_ok(vpsde_sample(&run, &traced.sink));
        const double *one = keep_column(&closed, "logp"), *other = keep_column(&traced, "logp");
        for (size_t e = 0; e < run.count * 9; e++) assert_true(fabs(one[e] - other[e]) < 1e-9);
        const int32_t *jvp = keep_column(&traced, "jvp"), *calls = keep_column(&traced, "nfe_log");
        assert_true(calls[0] >= 9 && jvp[0] > 0);
        assert_int_equal(((const int32_t *)keep_column(&closed, "jvp"))[0], 0);
        vpsde_sampling without = run;
        without.log.fields = VPSDE_LOG_X;
        assert_ok(vpsde_sample(&without, &plain.sink));
        assert_true(keep_same(&plain, &traced, "x", 0, run.count));
        assert_true(keep_same(&plain, &traced, "final", 0, run.count));
        assert_true(keep_same(&plain, &traced, "nfe", 0, run.count));
        run.first = 5;
        run.count = 3;
        run.n_threads = 1;
        assert_ok(vpsde_sample(&run, &part.sink));
        assert_true(keep_same(&part, &traced, "logp", 5, 3));
        keep_free(&closed);
        keep_free(&traced);
        keep_free(&plain);
        keep_free(&part);
    }
    vpsde_grid_destroy(grid);
    close_bench(&b);
}

/* Of the differences between probes and exact trace, mean and standard error. */
static void differences(const vpsde_sampling *exact, const vpsde_sampling *probed, double *mean,
                        double *error)
{
    keep a, b;
    const size_t n = exact->log.n_times;
    double sum = 0, square = 0;
    keep_init(&a);
    keep_init(&b);
    assert_ok(vpsde_sample(exact, &a.sink));
    assert_ok(vpsde_sample(probed, &b.sink));
    const double *one = keep_column(&a, "logp"), *other = keep_column(&b, "logp");
    for (size_t i = 0; i < exact->count; i++) {
        const double gap = other[i * n + n - 1] - one[i * n + n - 1];
        sum += gap;
        square += gap * gap;
    }
    const double count = (double)exact->count;
    *mean = sum / count;
    *error = sqrt((square / count - *mean * *mean) / count);
    keep_free(&a);
    keep_free(&b);
}

static void probes_are_unbiased(void **state)
{
    (void)state;
    static const char *const solvers[] = {"heun", "euler-maruyama", "dopri5"};
    bench b = {.model = make_mixture(8), .process = make_process(1e-2, VPSDE_TERMINAL_EXACT)};
    vpsde_grid *grid = toy_grid(b.process, "quadratic-t", 50, VPSDE_LAST_STOP);
    for (size_t q = 0; q < sizeof(solvers) / sizeof(*solvers); q++) {
        double mean, error[2];
        for (size_t p = 0; p < 2; p++) {
            vpsde_sampling exact = sampling_of(&b, solvers[q], grid), probed;
            exact.count = 500;
            exact.log.n_times = 2;
            probed = exact;
            probed.log.probes = p ? 16 : 1;
            differences(&exact, &probed, &mean, &error[p]);
            assert_true(error[p] > 0 && fabs(mean) < 6 * error[p]);
        }
        /* 16 probes have a sixteenth of the variance; that of dopri5 is fixed along a solve */
        assert_true(error[1] < error[0] / 2.5);
    }
    vpsde_grid_destroy(grid);
    close_bench(&b);
}

/* From data to noise the start's log p is known last; and N(0, I) starts it where it stands for p_T. */
static void both_ways_and_both_terminals(void **state)
{
    (void)state;
    bench b = open_bench(1e-2);
    vpsde_process *normal = make_process(1e-2, VPSDE_TERMINAL_STANDARD_NORMAL);
    static const char *const solvers[] = {"heun", "dopri5"};
    for (size_t q = 0; q < 2; q++) {
        vpsde_grid *grid = toy_grid(b.process, "quadratic-t", 400, VPSDE_LAST_STOP), *reversed;
        assert_ok(vpsde_grid_reversed(&reversed, grid));
        vpsde_sampling run = sampling_of(&b, solvers[q], grid);
        keep down, up, other;
        keep_init(&down);
        keep_init(&up);
        keep_init(&other);
        run.count = 20;
        assert_ok(vpsde_sample(&run, &down.sink));
        vpsde_sampling back = run;
        back.grid = reversed;
        back.init = keep_column(&down, "final");
        assert_ok(vpsde_sample(&back, &up.sink));
        assert_true(error_of(&up, &back) < 1e-4);
        run.process = normal;
        run.init = keep_column(&up, "final");
        assert_ok(vpsde_sample(&run, &other.sink));
        const double *x = keep_column(&other, "x"), *logp = keep_column(&other, "logp");
        for (size_t i = 0; i < run.count; i++) {
            assert_true(fabs(logp[i * 9] - vpsde_prior_logp(x + i * 9 * DIM, DIM)) < 1e-13);
        }
        keep_free(&down);
        keep_free(&up);
        keep_free(&other);
        vpsde_grid_destroy(grid);
        vpsde_grid_destroy(reversed);
    }
    vpsde_process_destroy(normal);
    close_bench(&b);
}

/* At t = 0 the formula has no value in fixed steps; rows that failed have none at all. */
static void no_value_is_nan(void **state)
{
    (void)state;
    bench b = open_bench(1e-2);
    vpsde_grid *grid = toy_grid(b.process, "uniform-t", 20, VPSDE_LAST_EULER);
    vpsde_sampling run = sampling_of(&b, "ddim", grid);
    keep k;
    keep_init(&k);
    run.log.n_times = 2;
    assert_ok(vpsde_sample(&run, &k.sink));
    const double *logp = keep_column(&k, "logp");
    assert_true(isfinite(logp[0]) && isnan(logp[1]));
    keep_free(&k);
    vpsde_grid_destroy(grid);
    close_bench(&b);
}

static void refusals(void **state)
{
    (void)state;
    bench b = open_bench(1e-2);
    vpsde_process *normal = make_process(1e-2, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(b.process, "uniform-t", 20, VPSDE_LAST_STOP);
    static toy network;
    toy_mixture(&network, 0, 8);
    vpsde_sampling run = sampling_of(&b, "dpm-adaptive", grid);
    assert_fails(vpsde_sample(&run, NULL), VPSDE_EINVAL, "nodes of its own");
    run.solver = vpsde_solver_find("dopri5");
    run.clip = (vpsde_clip){.kind = VPSDE_CLIP_STATIC, .low = -1, .high = 1};
    assert_fails(vpsde_sample(&run, NULL), VPSDE_EINVAL, "clipped flow");
    run.solver = vpsde_solver_find("heun");
    assert_ok(vpsde_sample(&run, NULL));
    run.log.probes = 5000;
    assert_fails(vpsde_sample(&run, NULL), VPSDE_EINVAL, "5000 probes");
    run.log.probes = 0;
    run.model = &network.model;
    run.process = normal;
    assert_fails(vpsde_sample(&run, NULL), VPSDE_EINVAL, "no Jacobian products");
    network.type.flags &= ~(unsigned)VPSDE_MODEL_LOG_P;
    run.process = b.process;
    assert_fails(vpsde_sample(&run, NULL), VPSDE_EINVAL, "at the noise end");
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(normal);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_2_along_an_ode),
        cmocka_unit_test(order_1_along_an_sde),
        cmocka_unit_test(an_integrator_follows_its_tolerance),
        cmocka_unit_test(a_network_and_its_states),
        cmocka_unit_test(probes_are_unbiased),
        cmocka_unit_test(both_ways_and_both_terminals),
        cmocka_unit_test(no_value_is_nan),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
