/* Solvers that choose their own steps without being ODE integrators: dpm-adaptive, gotta-go-fast and its
 * compat form. */
#include "tests/toy.h"

#include "sde/brownian.h"

enum { DIM = 2, FEW = 24, NODES = 8 };
static const double mu = 0.7, v0 = 0.25;

/* Parameters of dpm-adaptive and of the gotta-go-fast forms, with their defaults. */
enum { MAX_STEPS = 3 };
static const double order_2[] = {2, 0.9, 0.05, 100000};

typedef struct world {
    vpsde_process *process;
    vpsde_grid *grid;
    toy gaussian, mixture;
} world;

static int open_world(void **state)
{
    world *w = calloc(1, sizeof(*w));
    toy_gaussian(&w->gaussian, DIM, mu, v0, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    toy_mixture(&w->mixture, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    w->process = toy_process(VPSDE_TERMINAL_EXACT);
    w->grid = toy_grid(w->process, "uniform-lambda", NODES, VPSDE_LAST_STOP);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    world *w = *state;
    vpsde_grid_destroy(w->grid);
    vpsde_process_destroy(w->process);
    free(w);
    return 0;
}

static vpsde_sampling run_of(const world *w, const toy *model, const char *solver, double tol,
                             size_t count)
{
    return (vpsde_sampling){.process = w->process,
                            .model = &model->model,
                            .solver = vpsde_solver_find(solver),
                            .grid = w->grid,
                            .rtol = tol,
                            .atol = tol,
                            .seed = 11,
                            .count = count,
                            .n_threads = 1};
}

static void sample(keep *out, const vpsde_sampling *run)
{
    keep_init(out);
    assert_ok(vpsde_sample(run, &out->sink));
    assert_true(keep_complete(out));
}

static double mean_of(const keep *k, const char *column)
{
    const int32_t *value = keep_column(k, column);
    double sum = 0;
    for (size_t i = 0; i < k->count; i++) sum += value[i];
    return sum / (double)k->count;
}

static double rms(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t e = 0; e < count; e++) sum += (a[e] - b[e]) * (a[e] - b[e]);
    return sqrt(sum / (double)count);
}

/* Of log y against log x by least squares. */
static double slope(const double *x, const double *y, size_t n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i < n; i++) {
        const double a = log(x[i]), b = log(y[i]);
        sx += a, sy += b, sxx += a * a, sxy += a * b;
    }
    const double m = (double)n;
    return (m * sxy - sx * sy) / (m * sxx - sx * sx);
}

/* ---- dpm-adaptive -------------------------------------------------------------------------- */

/* x(t) = alpha mu + sqrt(V_t/V_T) (x_T - alpha_T mu), V = alpha^2 v + sigma^2. */
static void exact_flow(const world *w, double *x, size_t count)
{
    const vpsde_coef *a = &w->grid->node[0], *b = &w->grid->node[NODES];
    const double grow = sqrt((b->alpha * b->alpha * v0 + b->sigma * b->sigma) /
                             (a->alpha * a->alpha * v0 + a->sigma * a->sigma));
    for (size_t i = 0; i < count; i++) {
        assert_ok(
            w->gaussian.type.draw(&w->gaussian.model, a, 11, VPSDE_NOISE_PRIOR, i, 1, x + i * DIM));
        for (size_t e = i * DIM; e < (i + 1) * DIM; e++) {
            x[e] = b->alpha * mu + grow * (x[e] - a->alpha * mu);
        }
    }
}

/* Error against calls as the tolerance falls, in its asymptotic range, and error against tolerance. */
static void check_order(vpsde_sampling run, const double *exact, double order, double first)
{
    enum { LEVELS = 5 };
    double tol[LEVELS], error[LEVELS], nfe[LEVELS];
    for (size_t l = 0; l < LEVELS; l++) {
        keep k;
        run.rtol = run.atol = tol[l] = first * pow(10, -(double)l);
        sample(&k, &run);
        error[l] = rms(keep_column(&k, "final"), exact, FEW * DIM);
        nfe[l] = mean_of(&k, "nfe");
        print_message("order %g: tol %.0e, %6.0f calls, %4.1f rejected, error %.1e\n", order,
                      tol[l], nfe[l], mean_of(&k, "rejected"), error[l]);
        keep_free(&k);
    }
    const double measured = -slope(nfe, error, LEVELS);
    print_message("order %g: measured %.2f; error ~ tol^%.2f\n", order, measured,
                  slope(tol, error, LEVELS));
    assert_true(measured > order - 0.25 && measured < order + 0.6);
    assert_close(slope(tol, error, LEVELS), 1, 0.15);
}

static void dpm_adaptive_has_its_order(void **state)
{
    const world *w = *state;
    static double exact[FEW * DIM];
    exact_flow(w, exact, FEW);
    vpsde_sampling run = run_of(w, &w->gaussian, "dpm-adaptive", 1, FEW);
    check_order(run, exact, 3, 1e-7);
    run.param = order_2;
    check_order(run, exact, 2, 1e-5);
    vpsde_sampling reference = run_of(w, &w->mixture, "gsl-rk8pd", 1e-13, FEW);
    assert_ok(vpsde_sample_array(&reference, exact));
    run = run_of(w, &w->mixture, "dpm-adaptive", 1, FEW);
    check_order(run, exact, 3, 1e-7);
    run.param = order_2;
    check_order(run, exact, 2, 1e-5);
}

/* A first step as long as the whole way: one attempt of each pair is DPM-Solver's own step. */
static void one_step_is_a_step_of_dpm_solver(void **state)
{
    const world *w = *state;
    static const char *const steps[] = {"dpm-solver-2", "dpm-solver-3"};
    double a[DIM], b[DIM];
    const double times[] = {0.5, 0.45};
    const vpsde_coef c[2] = {vpsde_process_at(w->process, times[0]),
                             vpsde_process_at(w->process, times[1])};
    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_EXACT, times[1]);
    vpsde_grid *grid = toy_grid_at(process, times, 1, VPSDE_LAST_STOP);
    for (size_t p = 0; p < 2; p++) {
        const double param[] = {2 + (double)p, 0.9, c[1].lambda - c[0].lambda, 10};
        vpsde_sampling run = run_of(w, &w->mixture, "dpm-adaptive", 1, 1);
        run.process = process;
        run.grid = grid;
        run.param = param;
        assert_ok(vpsde_sample_array(&run, a));
        run.solver = vpsde_solver_find(steps[p]);
        run.param = NULL;
        assert_non_null(run.solver);
        assert_ok(vpsde_sample_array(&run, b));
        for (size_t j = 0; j < DIM; j++) assert_close(a[j], b[j], 1e-14);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* Stored states lie on the exact curve as well as the end does. */
static void dpm_adaptive_fills_in_its_log(void **state)
{
    const world *w = *state;
    double worst[2];
    for (int l = 0; l < 2; l++) {
        keep rough, fine;
        vpsde_sampling run = run_of(w, &w->gaussian, "dpm-adaptive", l ? 1e-6 : 1e-4, FEW);
        run.log = (vpsde_log){
            .n_times = NODES + 1, .fields = VPSDE_LOG_X | VPSDE_LOG_NOISE, .dtype = VPSDE_F64};
        sample(&rough, &run);
        assert_null(keep_column(&rough, "noise"));
        run.solver = vpsde_solver_find("gsl-rk8pd");
        run.rtol = run.atol = 1e-11;
        sample(&fine, &run);
        const double *a = keep_column(&rough, "x"), *b = keep_column(&fine, "x");
        worst[l] = 0;
        for (size_t e = 0; e < FEW * (NODES + 1) * DIM; e++) {
            worst[l] = fmax(worst[l], fabs(a[e] - b[e]));
        }
        assert_int_equal(((const int32_t *)keep_column(&rough, "nfe_log"))[0], 0);
        keep_free(&rough);
        keep_free(&fine);
    }
    print_message("stored states: worst %.1e at 1e-4, %.1e at 1e-6\n", worst[0], worst[1]);
    assert_true(worst[0] < 1e-3 && worst[1] < 1e-5);
}

/* ---- gotta-go-fast ------------------------------------------------------------------------- */

/* The tighter, the nearer to what Euler-Maruyama makes of the same Brownian paths: order 1 in the
 * calls. Fresh noise after rejections leaves the path for good. */
static void gotta_go_fast_follows_the_path(void **state)
{
    enum { LEVELS = 4, FINE = 16384 };
    const world *w = *state;
    static double reference[FEW * DIM];
    double error[LEVELS], nfe[LEVELS];
    vpsde_grid *fine = toy_grid(w->process, "uniform-lambda", FINE, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(w, &w->gaussian, "euler-maruyama", 1, FEW);
    run.grid = fine;
    assert_ok(vpsde_sample_array(&run, reference));
    for (int compat = 0; compat < 2; compat++) {
        for (size_t l = 0; l < LEVELS; l++) {
            keep k;
            const char *name = compat ? "gotta-go-fast-compat" : "gotta-go-fast";
            run = run_of(w, &w->gaussian, name, 0.1 * pow(5, -(double)l), FEW);
            sample(&k, &run);
            error[l] = rms(keep_column(&k, "final"), reference, FEW * DIM);
            nfe[l] = mean_of(&k, "nfe");
            print_message("%s: tol %.1e, %5.0f calls, %4.0f rejected, strong error %.1e\n", name,
                          run.rtol, nfe[l], mean_of(&k, "rejected"), error[l]);
            assert_true(mean_of(&k, "rejected") > 0);
            keep_free(&k);
        }
        print_message("measured strong order %.2f\n", -slope(nfe, error, LEVELS));
        if (compat) {
            assert_true(error[LEVELS - 1] > 0.3);
        } else {
            assert_close(-slope(nfe, error, LEVELS), 1, 0.3);
            assert_true(error[LEVELS - 1] < 5e-3);
        }
    }
    vpsde_grid_destroy(fine);
}

/* Standard errors by which mean and variance of the end states are off; exact start, so that the law at
 * the end is N(alpha mu, V). */
static void law_of(const world *w, const char *solver, double tol, size_t count, double off[2])
{
    const vpsde_coef *c = &w->grid->node[NODES];
    const double v = c->alpha * c->alpha * v0 + c->sigma * c->sigma, n = (double)(count * DIM);
    double *x = malloc(count * DIM * sizeof(*x)), sum = 0, square = 0;
    vpsde_sampling run = run_of(w, &w->gaussian, solver, tol, count);
    run.n_threads = 2;
    assert_ok(vpsde_sample_array(&run, x));
    for (size_t e = 0; e < count * DIM; e++) {
        sum += x[e];
        square += (x[e] - c->alpha * mu) * (x[e] - c->alpha * mu);
    }
    off[0] = (sum / n - c->alpha * mu) / sqrt(v / n);
    off[1] = (square / n / v - 1) / sqrt(2 / n);
    print_message("%s, tol %g: mean off by %.1f standard errors, variance by %.1f (%.1f %%)\n",
                  solver, tol, off[0], off[1], 100 * off[1] * sqrt(2 / n));
    free(x);
}

static void gotta_go_fast_has_the_right_law(void **state)
{
    const world *w = *state;
    double off[2];
    law_of(w, "gotta-go-fast", 5e-3, 3000, off);
    assert_true(fabs(off[0]) < 6 && fabs(off[1]) < 6);
    /* does not go away as the tolerance falls */
    law_of(w, "gotta-go-fast-compat", 0.1, 1500, off);
    assert_true(off[1] > 6);
    law_of(w, "gotta-go-fast-compat", 5e-3, 1500, off);
    assert_true(off[1] > 10);
}

/* States at the stored nodes are those of Euler-Maruyama along the path; the noise is the path's. */
static void gotta_go_fast_fills_in_its_log(void **state)
{
    enum { FINE = 8192 };
    const world *w = *state;
    keep coarse, fine, other;
    vpsde_sampling run = run_of(w, &w->gaussian, "gotta-go-fast", 3e-3, FEW);
    run.log = (vpsde_log){
        .n_times = NODES + 1, .fields = VPSDE_LOG_X | VPSDE_LOG_NOISE, .dtype = VPSDE_F64};
    sample(&coarse, &run);
    run.solver = vpsde_solver_find("gotta-go-fast-compat");
    sample(&other, &run);
    vpsde_grid *steps = toy_grid(w->process, "uniform-lambda", FINE, VPSDE_LAST_STOP);
    run.solver = vpsde_solver_find("euler-maruyama");
    run.grid = steps;
    run.log.fields = VPSDE_LOG_X;
    sample(&fine, &run);
    const double *a = keep_column(&coarse, "x"), *b = keep_column(&fine, "x");
    const double *z = keep_column(&coarse, "noise"), *none = keep_column(&other, "noise");
    print_message("stored states: rms %.1e from the path's\n", rms(a, b, FEW * (NODES + 1) * DIM));
    assert_true(rms(a, b, FEW * (NODES + 1) * DIM) < 0.02);
    vpsde_brownian *path;
    double stretch[DIM];
    assert_ok(vpsde_brownian_create(&path, 1, DIM));
    for (size_t i = 0; i < FEW; i++) {
        vpsde_brownian_place(path, 11, VPSDE_NOISE_DIFFUSION, i, 1);
        for (size_t m = 0; m <= NODES; m++) {
            const size_t at = (i * (NODES + 1) + m) * DIM;
            assert_true(isnan(none[at]));
            if (m == NODES) continue;
            vpsde_brownian_stretch(path, w->grid->node[m].b, w->grid->node[m + 1].b, stretch, NULL);
            for (size_t j = 0; j < DIM; j++) assert_close(z[at + j], stretch[j], 0);
        }
        assert_true(isnan(z[(i * (NODES + 1) + NODES) * DIM]));
    }
    vpsde_brownian_destroy(path);
    vpsde_grid_destroy(steps);
    keep_free(&coarse);
    keep_free(&other);
    keep_free(&fine);
}

/* ---- every walk ----------------------------------------------------------------------------- */

static const char *const walks[] = {"dpm-adaptive", "gotta-go-fast", "gotta-go-fast-compat"};
enum { N_WALKS = sizeof(walks) / sizeof(walks[0]) };

static void the_ledger_counts_every_call(void **state)
{
    world *w = *state;
    for (size_t q = 0; q < N_WALKS; q++) {
        for (vpsde_last_step last = VPSDE_LAST_STOP; last <= VPSDE_LAST_LOWER_ORDER; last++) {
            keep k;
            vpsde_grid *grid = toy_grid(w->process, "uniform-lambda", NODES, last);
            vpsde_sampling run = run_of(w, &w->mixture, walks[q], 0.05, FEW);
            run.grid = grid;
            run.log = (vpsde_log){.n_times = 5, .fields = VPSDE_LOG_X | VPSDE_LOG_X0};
            atomic_store(&w->mixture.rows, 0);
            sample(&k, &run);
            double sum = 0;
            sum += mean_of(&k, "nfe") + mean_of(&k, "nfe_log");
            assert_close(sum * FEW, (double)atomic_load(&w->mixture.rows), 1e-6);
            keep_free(&k);
            vpsde_grid_destroy(grid);
        }
    }
}

/* Last step: Tweedie's is the stored x0 of the last node; towards 0 the model is not called there. */
static void the_last_step_is_the_grids(void **state)
{
    world *w = *state;
    w->mixture.blind_at_data = true;
    for (size_t q = 0; q < N_WALKS; q++) {
        keep k;
        vpsde_grid *tweedie = toy_grid(w->process, "uniform-lambda", NODES, VPSDE_LAST_TWEEDIE);
        vpsde_grid *euler = toy_grid(w->process, "uniform-lambda", NODES, VPSDE_LAST_EULER);
        vpsde_sampling run = run_of(w, &w->mixture, walks[q], 0.05, FEW);
        run.log = (vpsde_log){.n_times = 2, .fields = VPSDE_LOG_X0, .dtype = VPSDE_F64};
        run.grid = tweedie;
        sample(&k, &run);
        const double *x0 = keep_column(&k, "x0"), *final = keep_column(&k, "final");
        for (size_t i = 0; i < FEW; i++) {
            assert_memory_equal(final + i * DIM, x0 + (2 * i + 1) * DIM, DIM * sizeof(*x0));
        }
        keep_free(&k);
        run.grid = euler;
        run.log.n_times = 0;
        sample(&k, &run);
        keep_free(&k);
        vpsde_grid_destroy(tweedie);
        vpsde_grid_destroy(euler);
    }
    w->mixture.blind_at_data = false;
}

static void failures_are_flagged(void **state)
{
    world *w = *state;
    for (size_t q = 0; q < N_WALKS; q++) {
        keep k;
        double param[VPSDE_PARAM_MAX];
        vpsde_sampling run = run_of(w, &w->mixture, walks[q], 1e-3, FEW);
        vpsde_param_defaults(param, run.solver->params);
        param[MAX_STEPS] = 5;
        run.param = param;
        keep_init(&k);
        assert_fails(vpsde_sample(&run, &k.sink), VPSDE_EPARTIAL, "24 integrations failed");
        assert_int_equal(((const uint8_t *)keep_column(&k, "status"))[3], 2);
        assert_true(isnan(((const double *)keep_column(&k, "final"))[3 * DIM]));
        keep_free(&k);
        run.param = NULL;
        w->mixture.poison = 1.5; /* NaN where samples get to on their way */
        keep_init(&k);
        assert_int_equal(vpsde_sample(&run, &k.sink), VPSDE_EPARTIAL);
        for (size_t i = 0; i < FEW; i++) {
            const double *x = (const double *)keep_column(&k, "final") + i * DIM;
            const uint8_t status = ((const uint8_t *)keep_column(&k, "status"))[i];
            assert_int_equal(status != 0, isnan(x[0]));
            assert_true(status != 0 || fabs(x[0]) <= 1.5);
        }
        w->mixture.poison = 0;
        keep_free(&k);
    }
}

/* A step no tolerance can meet ends the sample, not the run. */
static void hopeless_tolerances_end_the_sample(void **state)
{
    const world *w = *state;
    keep k;
    vpsde_sampling run = run_of(w, &w->mixture, "gotta-go-fast", 1e-14, 2);
    keep_init(&k);
    assert_fails(vpsde_sample(&run, &k.sink), VPSDE_EPARTIAL, "2 integrations failed");
    keep_free(&k);
}

static void nonsense_is_refused(void **state)
{
    const world *w = *state;
    double x[DIM];
    for (size_t q = 0; q < N_WALKS; q++) {
        vpsde_sampling run = run_of(w, &w->mixture, walks[q], 0, 1);
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "finite rtol > 0 and atol > 0");
        run = run_of(w, &w->mixture, walks[q], 1e-3, 1);
        run.log = (vpsde_log){.n_times = SIZE_MAX, .fields = VPSDE_LOG_X};
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "chooses its own steps");
        run.log.n_times = 0;
        vpsde_solver_type type = *run.solver;
        type.params = NULL;
        run.solver = &type;
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL,
                     "must declare the parameter max_steps");
        const vpsde_likelihood likelihood = {.process = w->process,
                                             .model = &w->mixture.model,
                                             .integrator = vpsde_solver_find(walks[q]),
                                             .rtol = 1e-3,
                                             .atol = 1e-3,
                                             .x = x,
                                             .count = 1};
        assert_fails(vpsde_likelihood_run(&likelihood, NULL), VPSDE_EINVAL, "such as dopri5");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dpm_adaptive_has_its_order),
        cmocka_unit_test(one_step_is_a_step_of_dpm_solver),
        cmocka_unit_test(dpm_adaptive_fills_in_its_log),
        cmocka_unit_test(gotta_go_fast_follows_the_path),
        cmocka_unit_test(gotta_go_fast_has_the_right_law),
        cmocka_unit_test(gotta_go_fast_fills_in_its_log),
        cmocka_unit_test(the_ledger_counts_every_call),
        cmocka_unit_test(the_last_step_is_the_grids),
        cmocka_unit_test(failures_are_flagged),
        cmocka_unit_test(hopeless_tolerances_end_the_sample),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
