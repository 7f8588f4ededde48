/* What the sampling driver does around a step: where samples start, what the log holds, what a step
 * may rely on, which rows a network sees. */
#include "tests/toy.h"

#include "models/mlp.h"
#include "sde/brownian.h"
#include "solvers/chain.h"

enum { COUNT = 40, DIM = 2, STEPS = 10 };

static vpsde_sampling run_of(const vpsde_process *process, toy *m, const char *solver,
                             const vpsde_grid *grid)
{
    return (vpsde_sampling){.process = process,
                            .model = &m->model,
                            .solver = vpsde_solver_find(solver),
                            .grid = grid,
                            .rtol = 1e-5,
                            .atol = 1e-5,
                            .seed = 11,
                            .count = COUNT,
                            .n_threads = 1};
}

static void sample(keep *out, const vpsde_sampling *run)
{
    keep_init(out);
    assert_ok(vpsde_sample(run, &out->sink));
    assert_true(keep_complete(out));
}

static vpsde_log whole_log(unsigned fields)
{
    return (vpsde_log){.n_times = SIZE_MAX, .fields = fields, .dtype = VPSDE_F64};
}

/* ---- starts -------------------------------------------------------------------------------- */

static void a_start_below_t_max_needs_states(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim", "gsl-rkf45"};
    static const double late[] = {0.5, 0.2, 1e-3}, full[] = {1 - 1e-13, 0.2, 1e-3};
    static double init[COUNT * DIM], x[COUNT * DIM];
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    vpsde_process *normal = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_process *exact = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid_at(normal, late, 2, VPSDE_LAST_STOP);
    vpsde_grid *whole = toy_grid_at(normal, full, 2, VPSDE_LAST_STOP);
    for (size_t s = 0; s < 2; s++) {
        vpsde_sampling run = run_of(normal, &m, solvers[s], grid);
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL,
                     "start states at t = 0.5 must be given (sampler.init): the prior is for "
                     "t_max = 1");
        run.init = init;
        assert_ok(vpsde_sample_array(&run, x));
        run.init = NULL;
        run.grid = whole;
        assert_ok(vpsde_sample_array(&run, x));
        run.grid = grid;
        run.process = exact;
        assert_ok(vpsde_sample_array(&run, x));
    }
    vpsde_grid_destroy(grid);
    vpsde_grid_destroy(whole);
    vpsde_process_destroy(normal);
    vpsde_process_destroy(exact);
}

/* Pilot chains of a grid that begins below t_max are exact draws or nothing. */
static void pilots_do_not_start_from_a_wrong_law(void **state)
{
    (void)state;
    static const double times[] = {0.3, 0.2, 0.1};
    static double init[COUNT * DIM], x[COUNT * DIM];
    toy draws, mute;
    double square[3];
    toy_gaussian(&draws, DIM, 0.7, 0.25, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    toy_gaussian(&mute, DIM, 0.7, 0.25, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid_at(process, times, 2, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &mute, "pc-langevin", grid);
    run.init = init;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "no law to start them from at t = 0.3");
    run.param = (const double[]){0.16, 1, 1, 0}; /* step: sigma needs no pilots */
    assert_ok(vpsde_sample_array(&run, x));
    run.model = &draws.model;
    vpsde_pilot pilot = {.run = &run, .n_threads = 1};
    assert_ok(vpsde_pilot_score_square(&pilot, vpsde_solver_find("reverse-diffusion"), square));
    const vpsde_coef *c = &grid->node[0]; /* E|s|^2 = d/V, relative variance of |s|^2 is 2/d */
    const double expected = DIM / (c->alpha * c->alpha * 0.25 + c->sigma * c->sigma);
    assert_close(square[0] / expected, 1, 6 * sqrt(2.0 / (DIM * VPSDE_PILOT_SAMPLES)));
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* Classes reach the pilot chains only when a sample of the run has one. */
static void pilots_have_classes_when_the_run_has(void **state)
{
    (void)state;
    toy m;
    int32_t classes[COUNT];
    double square[STEPS + 1];
    toy_mixture(&m, 0, 32);
    m.model.n_classes = 3;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "pc-langevin", grid);
    vpsde_pilot pilot = {.run = &run, .n_threads = 1};
    const vpsde_solver_type *predictor = vpsde_solver_find("reverse-diffusion");
    memset(classes, -1, sizeof(classes));
    assert_ok(vpsde_pilot_score_square(&pilot, predictor, square));
    assert_int_equal(atomic_load(&m.classes), 0);
    run.classes = classes;
    assert_ok(vpsde_pilot_score_square(&pilot, predictor, square));
    assert_int_equal(atomic_load(&m.classes), 0);
    classes[7] = 0;
    assert_ok(vpsde_pilot_score_square(&pilot, predictor, square));
    assert_int_equal(atomic_load(&m.classes), 3);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- the log ------------------------------------------------------------------------------- */

/* At sigma = 0 the model is not asked: x0hat = x, eps is unknown, Tweedie's step does nothing. */
static void data_is_not_denoised(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim", "euler-maruyama"};
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    m.blind_at_data = true;
    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    vpsde_grid *grid = toy_grid(process, "uniform-t", STEPS, VPSDE_LAST_TWEEDIE);
    for (size_t s = 0; s < 2; s++) {
        vpsde_sampling run = run_of(process, &m, solvers[s], grid);
        keep k;
        run.log = whole_log(VPSDE_LOG_X | VPSDE_LOG_EPS | VPSDE_LOG_X0);
        sample(&k, &run);
        const double *x = keep_column(&k, "x"), *x0 = keep_column(&k, "x0");
        const double *eps = keep_column(&k, "eps"), *final = keep_column(&k, "final");
        for (size_t i = 0; i < COUNT; i++) {
            const size_t last = (i * (STEPS + 1) + STEPS) * DIM;
            for (size_t j = 0; j < DIM; j++) {
                assert_true(isfinite(final[i * DIM + j]));
                assert_close(final[i * DIM + j], x[last + j], 0);
                assert_close(x0[last + j], x[last + j], 0);
                assert_true(isnan(eps[last + j]) && !isnan(eps[last - DIM + j]));
            }
            assert_int_equal(((const int32_t *)keep_column(&k, "nfe"))[i], STEPS);
            assert_int_equal(((const int32_t *)keep_column(&k, "nfe_log"))[i], 0);
        }
        keep_free(&k);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* Noise column of a run over `grid`: the increment of each sample's path over the step from a node,
 * scaled, up to node `drawn`; NaN from there on. */
static void check_noise(const vpsde_process *process, const vpsde_grid *grid, const char *solver,
                        const double *param, size_t drawn)
{
    static double z[COUNT * DIM];
    toy m;
    keep k;
    toy_mixture(&m, 0, 16);
    vpsde_sampling run = run_of(process, &m, solver, grid);
    run.param = param;
    run.log = whole_log(VPSDE_LOG_NOISE);
    sample(&k, &run);
    const double *noise = keep_column(&k, "noise");
    vpsde_brownian *path;
    assert_ok(vpsde_brownian_create(&path, COUNT, DIM));
    vpsde_brownian_place(path, run.seed, VPSDE_NOISE_DIFFUSION, 0, COUNT);
    for (size_t n = 0; n <= grid->n_steps; n++) {
        if (n < drawn) {
            vpsde_brownian_stretch(path, grid->node[n].b, grid->node[n + 1].b, z, NULL);
        }
        for (size_t e = 0; e < COUNT * DIM; e++) {
            const double got = noise[(e / DIM * (grid->n_steps + 1) + n) * DIM + e % DIM];
            assert_true(n < drawn ? got == z[e] : isnan(got));
        }
    }
    vpsde_brownian_destroy(path);
    keep_free(&k);
}

/* A form without driving noise has no such column. */
static void check_no_noise(const vpsde_process *process, const vpsde_grid *grid, const char *solver,
                           const double *param)
{
    toy m;
    keep k;
    toy_mixture(&m, 0, 16);
    vpsde_sampling run = run_of(process, &m, solver, grid);
    run.param = param;
    run.log = whole_log(VPSDE_LOG_X | VPSDE_LOG_NOISE);
    sample(&k, &run);
    assert_non_null(keep_column(&k, "x"));
    assert_null(keep_column(&k, "noise"));
    keep_free(&k);
}

static void the_log_has_the_noise_that_was_drawn(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *stop = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_grid *zero = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_EULER);
    assert_int_equal(zero->n_steps, STEPS + 1);
    check_no_noise(process, stop, "ddim", (double[]){0});
    check_no_noise(process, stop, "heun", NULL);
    check_noise(process, stop, "ddim", (double[]){1}, STEPS);
    check_noise(process, zero, "ddim", (double[]){1}, STEPS);
    check_noise(process, zero, "ancestral", (double[]){0}, STEPS);
    check_noise(process, zero, "ancestral", (double[]){1}, STEPS);
    check_noise(process, zero, "reverse-diffusion", NULL, STEPS + 1);
    check_noise(process, zero, "sra3", NULL, STEPS);
    check_noise(process, stop, "sra3", (double[]){1}, STEPS);
    check_noise(process, zero, "pc-langevin", NULL, STEPS + 1);
    check_noise(process, zero, "pc-langevin", (double[]){0.1, 1, 1, 3}, 0); /* predictor: ddim */
    check_noise(process, stop, "pc-langevin-compat", NULL, STEPS);
    vpsde_grid_destroy(stop);
    vpsde_grid_destroy(zero);
    vpsde_process_destroy(process);
}

static void failed_rows_have_no_noise(void **state)
{
    (void)state;
    static double init[COUNT * DIM];
    toy m;
    keep k;
    toy_mixture(&m, 0, 16);
    m.poison = 1e6;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "ancestral", grid);
    init[5 * DIM] = 1e9;
    run.init = init;
    run.log = whole_log(VPSDE_LOG_NOISE);
    keep_init(&k);
    assert_fails(vpsde_sample(&run, &k.sink), VPSDE_EPARTIAL, "sample 5");
    const double *noise = keep_column(&k, "noise");
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t n = 0; n <= STEPS; n++) {
            const double got = noise[(i * (STEPS + 1) + n) * DIM];
            assert_true(isnan(got) == (i == 5 || n == STEPS));
        }
    }
    keep_free(&k);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- what a step may rely on --------------------------------------------------------------- */

/* Leaves a mark in its scratch and looks for the marks of the step before. */
static vpsde_status step_marks(vpsde_step *s)
{
    if (memcmp(&s->node[s->k], s->at, sizeof(*s->at)) != 0 || s->node + s->k + 1 != s->next ||
        s->n_scratch != 2) {
        return vpsde_fail(VPSDE_EINTERNAL, "the step does not see its nodes or buffers");
    }
    const vpsde_block *block = s->block;
    for (size_t i = block->begin; s->k > 0 && i < block->begin + block->count; i++) {
        const double expected = block->status[i] == VPSDE_ROW_OK ? (double)s->k : 0;
        if (s->w[1][i * s->d] != expected) {
            return vpsde_fail(VPSDE_EINTERNAL, "row %zu of the scratch buffer has %g", i,
                              s->w[1][i * s->d]);
        }
    }
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, s->w[0]));
    for (size_t e = 0; e < s->n * s->d; e++) s->w[1][e] = (double)(s->k + 1);
    return VPSDE_OK;
}

static vpsde_status step_borrows(vpsde_step *s)
{
    if (s->n_scratch > 0) s->w[0][0] = 7;
    VPSDE_TRY(vpsde_step_as(s, vpsde_solver_find("reverse-diffusion"), 1));
    if (s->w[0][0] == 7) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINTERNAL, "the inner step used the outer one's buffer");
}

static vpsde_status step_borrows_pc(vpsde_step *s)
{
    return vpsde_step_as(s, vpsde_solver_find("pc-langevin"), 0);
}

static void a_step_sees_all_nodes_and_clean_buffers(void **state)
{
    (void)state;
    static const vpsde_solver_type type = {
        .name = "marks", .nfe_per_step = 1, .n_scratch = 2, .step = step_marks};
    static double init[COUNT * DIM], x[COUNT * DIM];
    toy m;
    toy_mixture(&m, 0, 16);
    m.poison = 1e6;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "ddim", grid);
    run.solver = &type;
    run.init = init;
    init[5 * DIM] = 1e9;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EPARTIAL, "sample 5");
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void a_step_inside_a_step_has_its_own_buffers(void **state)
{
    (void)state;
    static double a[COUNT * DIM], b[COUNT * DIM];
    vpsde_solver_type type = {.name = "borrows", .nfe_per_step = 1, .step = step_borrows};
    toy m;
    toy_mixture(&m, 0, 16);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "reverse-diffusion", grid);
    assert_ok(vpsde_sample_array(&run, a));
    run.solver = &type;
    for (type.n_scratch = 0; type.n_scratch < 3; type.n_scratch++) {
        assert_fails(vpsde_sample_array(&run, b), VPSDE_EINTERNAL,
                     "reverse-diffusion needs 2 scratch");
    }
    assert_fails(vpsde_sample_array(&run, b), VPSDE_EINTERNAL, "reverse-diffusion needs noise");
    type.flags = VPSDE_SOLVER_STOCHASTIC;
    assert_ok(vpsde_sample_array(&run, b));
    assert_memory_equal(a, b, sizeof(a));
    type.step = step_borrows_pc; /* its defaults need a table, ancestral's do not */
    assert_fails(vpsde_sample_array(&run, b), VPSDE_EINTERNAL, "cannot be a step of another");
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- kinds of solvers ---------------------------------------------------------------------- */

static void what_a_solver_can_do_decides_how_it_runs(void **state)
{
    (void)state;
    static double a[COUNT * DIM], b[COUNT * DIM];
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "gsl-rkf45", grid);
    assert_int_equal(vpsde_solver_nfe(run.solver, NULL, grid), 0);
    vpsde_sampling all = run;
    all.log = whole_log(VPSDE_LOG_X);
    assert_fails(vpsde_sample_array(&all, b), VPSDE_EINVAL, "gsl-rkf45 chooses its own steps");
    static const double bad[] = {0, -1, INFINITY, NAN};
    for (size_t q = 0; q < sizeof(bad) / sizeof(bad[0]); q++) {
        vpsde_sampling wrong = run;
        wrong.rtol = bad[q];
        assert_fails(vpsde_sample_array(&wrong, b), VPSDE_EINVAL, "finite rtol > 0 and atol > 0");
        wrong = run;
        wrong.atol = bad[q];
        assert_fails(vpsde_sample_array(&wrong, b), VPSDE_EINVAL, "finite rtol > 0 and atol > 0");
    }
    vpsde_solver_type type = *run.solver;
    type.integrate = NULL;
    run.solver = &type;
    assert_fails(vpsde_sample_array(&run, b), VPSDE_EINVAL, "neither a step nor an integrator");
    type.flags = 0;
    assert_fails(vpsde_sample_array(&run, b), VPSDE_EINVAL, "neither a step nor an integrator");
    run.solver = vpsde_solver_find("ddim");
    assert_ok(vpsde_sample_array(&run, a));
    type = *run.solver;
    type.flags |= VPSDE_SOLVER_ADAPTIVE; /* it steps all the same */
    run.solver = &type;
    assert_ok(vpsde_sample_array(&run, b));
    assert_memory_equal(a, b, sizeof(a));
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void small_runs_pay_for_their_rows_alone(void **state)
{
    (void)state;
    toy m;
    double x[DIM], y[DIM];
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    toy_mixture(&m, 0, 32);
    vpsde_sampling run = run_of(process, &m, "ancestral", grid);
    run.first = 37;
    run.count = 1;
    assert_ok(vpsde_sample_array(&run, x));
    assert_int_equal(atomic_load(&m.rows), 32 * STEPS);
    toy_mixture(&m, VPSDE_MODEL_ANY_ROWS, 32);
    assert_ok(vpsde_sample_array(&run, y));
    assert_int_equal(atomic_load(&m.rows), STEPS);
    assert_memory_equal(x, y, sizeof(x));
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* A network with a path of its own for few rows: padded or not, the same bits. */
static void an_mlp_has_the_same_bits_in_any_rows(void **state)
{
    (void)state;
    enum { MAX = 130, D = 3 };
    static const size_t counts[] = {1, 3, 4, 5, 63, 64, 65, MAX}, firsts[] = {0, 61};
    static double x[MAX * D], y[MAX * D];
    const vpsde_mlp_spec spec = {.dim = D, .hidden = 32, .layers = 2, .time_features = 8};
    vpsde_model *mlp, model;
    size_t rows, cols;
    assert_ok(vpsde_mlp_create(&mlp, &spec, 3));
    float *output = vpsde_mlp_tensor(mlp, "output.weight", &rows, &cols);
    assert_non_null(output);
    for (size_t e = 0; e < rows * cols; e++) output[e] = 0.01f * (float)(e % 17) - 0.08f;
    vpsde_model_type type = *mlp->type;
    model = *mlp;
    model.type = &type;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    for (size_t q = 0; q < sizeof(counts) / sizeof(counts[0]) * 2; q++) {
        vpsde_sampling run = {.process = process,
                              .model = &model,
                              .solver = vpsde_solver_find("ancestral"),
                              .grid = grid,
                              .first = firsts[q % 2],
                              .count = counts[q / 2],
                              .n_threads = 1};
        type.flags &= ~(unsigned)VPSDE_MODEL_ANY_ROWS;
        assert_ok(vpsde_sample_array(&run, x));
        type.flags |= VPSDE_MODEL_ANY_ROWS;
        assert_ok(vpsde_sample_array(&run, y));
        assert_memory_equal(x, y, run.count * D * sizeof(double));
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
    vpsde_model_destroy(mlp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_below_t_max_needs_states),
        cmocka_unit_test(pilots_do_not_start_from_a_wrong_law),
        cmocka_unit_test(pilots_have_classes_when_the_run_has),
        cmocka_unit_test(data_is_not_denoised),
        cmocka_unit_test(the_log_has_the_noise_that_was_drawn),
        cmocka_unit_test(failed_rows_have_no_noise),
        cmocka_unit_test(a_step_sees_all_nodes_and_clean_buffers),
        cmocka_unit_test(a_step_inside_a_step_has_its_own_buffers),
        cmocka_unit_test(what_a_solver_can_do_decides_how_it_runs),
        cmocka_unit_test(small_runs_pay_for_their_rows_alone),
        cmocka_unit_test(an_mlp_has_the_same_bits_in_any_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
