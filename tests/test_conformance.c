/* What every registered solver promises, whatever it computes: the loops run over the registry, so a
 * new solver is tested by being registered. */
#include "tests/toy.h"

enum { COUNT = 500, STEPS = 12, BLOCK_ROWS = 32 };

typedef struct world {
    vpsde_process *process;
    vpsde_grid *grid;
    toy model;
} world;

static int open_world(void **state)
{
    world *w = calloc(1, sizeof(*w));
    toy_mixture(&w->model, 0, BLOCK_ROWS); /* a network: fixed shape, padded */
    w->process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    w->grid = toy_grid(w->process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
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

/* What adaptive solvers are held to: the strong error of an SDE's solver costs calls in proportion. */
static double tolerance_of(const vpsde_solver_type *solver)
{
    return vpsde_solver_is_stochastic(solver, NULL) ? 0.05 : 1e-5;
}

static vpsde_sampling run_of(const world *w, const vpsde_solver_type *solver)
{
    return (vpsde_sampling){.process = w->process,
                            .model = &w->model.model,
                            .solver = solver,
                            .grid = w->grid,
                            .rtol = tolerance_of(solver),
                            .atol = tolerance_of(solver),
                            .seed = 5,
                            .count = COUNT,
                            .n_threads = 1};
}

static bool adaptive(const vpsde_solver_type *solver) { return vpsde_solver_is_adaptive(solver); }

static void sample(keep *out, const vpsde_sampling *run)
{
    keep_init(out);
    assert_ok(vpsde_sample(run, &out->sink));
    assert_true(keep_complete(out));
    assert_int_equal(out->ended, 1);
}

static void assert_same(const keep *a, const keep *b, size_t first, size_t n, const char *solver)
{
    static const char *const columns[] = {"final", "nfe", "jvp", "rejected", "status"};
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
        if (keep_same(a, b, columns[c], first, n)) continue;
        print_error("%s: column %s differs\n", solver, columns[c]);
        fail();
    }
}

static void tables_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        const vpsde_solver_type *s = vpsde_solver_at(i);
        assert_ptr_equal(vpsde_solver_find(s->name), s);
        assert_non_null(s->source);
        assert_non_null(s->doc);
        assert_int_equal((s->step != NULL) + (s->integrate != NULL) + (s->walk != NULL), 1);
        assert_true(adaptive(s) == (s->nfe_per_step == 0));
        assert_true(!adaptive(s) || s->flags & VPSDE_SOLVER_ADAPTIVE);
        assert_true(vpsde_param_count(s->params) <= VPSDE_PARAM_MAX);
        for (size_t p = 0; p < vpsde_param_count(s->params); p++) assert_non_null(s->params[p].doc);
        if (s->flags & VPSDE_SOLVER_COMPAT) assert_non_null(strstr(s->name, "-compat"));
    }
    assert_null(vpsde_solver_find("no-such-solver"));
}

static void bits_do_not_depend_on_threads(void **state)
{
    world *w = *state;
    static const size_t threads[] = {2, 3, 7};
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        keep one, many;
        sample(&one, &run);
        for (size_t t = 0; t < 3; t++) {
            run.n_threads = threads[t];
            sample(&many, &run);
            assert_same(&one, &many, 0, COUNT, run.solver->name);
            keep_free(&many);
        }
        keep_free(&one);
    }
    assert_int_equal(atomic_load(&w->model.odd), 0); /* always the full block */
}

static void a_sample_depends_on_its_index_alone(void **state)
{
    const world *w = *state;
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        keep all, head, middle;
        sample(&all, &run);
        run.count = 37;
        sample(&head, &run);
        assert_same(&head, &all, 0, 37, run.solver->name);
        run.first = 100;
        run.count = 50;
        sample(&middle, &run);
        assert_same(&middle, &all, 100, 50, run.solver->name);
        keep_free(&all);
        keep_free(&head);
        keep_free(&middle);
    }
}

static void closed_forms_give_the_same_bits_as_networks(void **state)
{
    const world *w = *state;
    toy direct;
    toy_mixture(&direct, VPSDE_MODEL_ANALYTIC, 0);
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        keep a, b;
        sample(&a, &run);
        run.model = &direct.model;
        sample(&b, &run);
        assert_same(&a, &b, 0, COUNT, run.solver->name);
        keep_free(&a);
        keep_free(&b);
    }
}

static void logging_changes_no_bit(void **state)
{
    const world *w = *state;
    const double times[] = {0.9, 0.2};
    const vpsde_log logs[] = {
        {.n_times = SIZE_MAX, .fields = VPSDE_LOG_X, .dtype = VPSDE_F64},
        {.n_times = 5,
         .fields = VPSDE_LOG_X | VPSDE_LOG_EPS | VPSDE_LOG_X0 | VPSDE_LOG_NOISE,
         .dtype = VPSDE_F32},
        {.n_times = 2, .times = times, .fields = VPSDE_LOG_X0, .dtype = VPSDE_F32},
    };
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        keep plain, logged;
        sample(&plain, &run);
        for (size_t l = 0; l < sizeof(logs) / sizeof(logs[0]); l++) {
            run.log = logs[l];
            if (l == 0 && adaptive(run.solver)) run.log.n_times = STEPS + 1;
            sample(&logged, &run);
            assert_same(&plain, &logged, 0, COUNT, run.solver->name);
            if (l == 0) {
                const double *x = keep_column(&logged, "x"), *end = keep_column(&logged, "final");
                for (size_t s = 0; s < COUNT; s++) {
                    const double *last = x + (s * (STEPS + 1) + STEPS) * 2;
                    for (size_t j = 0; j < 2; j++) assert_close(last[j], end[s * 2 + j], 0);
                }
            }
            keep_free(&logged);
        }
        keep_free(&plain);
    }
}

static void the_log_holds_what_it_says(void **state)
{
    const world *w = *state;
    vpsde_sampling run = run_of(w, vpsde_solver_find("reverse-diffusion"));
    keep k;
    run.first = 40;
    run.count = 60;
    run.log = (vpsde_log){.n_times = SIZE_MAX,
                          .fields = VPSDE_LOG_X | VPSDE_LOG_EPS | VPSDE_LOG_X0 | VPSDE_LOG_NOISE,
                          .dtype = VPSDE_F64};
    sample(&k, &run);
    const double *x = keep_column(&k, "x"), *eps = keep_column(&k, "eps");
    const double *x0 = keep_column(&k, "x0"), *z = keep_column(&k, "noise");
    for (size_t s = 0; s < run.count; s++) {
        for (size_t m = 0; m < STEPS; m++) {
            const vpsde_coef *c = &w->grid->node[m];
            const double B = -expm1(c[1].b - c->b);
            const size_t at = (s * (STEPS + 1) + m) * 2;
            double expected[2];
            toy_row(&w->model, c, 2, x + at, expected);
            for (size_t e = at; e < at + 2; e++) {
                assert_close(eps[e], expected[e - at], 0);
                assert_close(x0[e], (x[e] - c->sigma * eps[e]) / c->alpha, 1e-12 / c->alpha);
                const double next =
                    (2 - sqrt(1 - B)) * x[e] - B / c->sigma * eps[e] + sqrt(B) * z[e];
                assert_close(x[e + 2], next, 1e-13);
            }
        }
        assert_true(isnan(z[(s * (STEPS + 1) + STEPS) * 2]));
        assert_int_equal(((const int32_t *)keep_column(&k, "nfe_log"))[s], 1); /* at the end */
    }
    keep_free(&k);
}

/* ---- every form of every solver ------------------------------------------------------------ */

enum { FORMS_MAX = 32, FEW = 70 };

/* Parameters of form number `f` of a solver: its defaults, then each parameter alone at every other
 * value it can choose, or at both ends of its range. False past the last. */
static bool form_of(double param[VPSDE_PARAM_MAX], const vpsde_solver_type *solver, size_t f)
{
    vpsde_param_defaults(param, solver->params);
    if (f == 0) return true;
    for (size_t p = 0, past = 1; p < vpsde_param_count(solver->params); p++) {
        const vpsde_param *row = &solver->params[p];
        const bool choice = row->kind == VPSDE_PARAM_CHOICE;
        const size_t n = choice ? (size_t)row->max + 1 : 2;
        if (f - past < n) {
            param[p] = choice ? (double)(f - past) : f == past ? row->min : row->max;
            if (!choice && row->open_min && f == past) param[p] = (row->min + row->max) / 2;
            return true;
        }
        past += n;
    }
    return false;
}

/* The run with 1 and 3 threads: the same bits, everything finite, the ledger as foretold. */
static void check_run(vpsde_sampling run)
{
    keep one, three;
    sample(&one, &run);
    run.n_threads = 3;
    sample(&three, &run);
    assert_same(&one, &three, run.first, run.count, run.solver->name);
    const double *final = keep_column(&one, "final");
    const int32_t *nfe = keep_column(&one, "nfe"), *nfe_log = keep_column(&one, "nfe_log");
    for (size_t s = 0; s < run.count; s++) {
        for (size_t j = 0; j < run.model->dim; j++) {
            assert_true(isfinite(final[s * run.model->dim + j]));
        }
        assert_int_equal(nfe_log[s], 0);
        if (adaptive(run.solver)) continue;
        assert_int_equal(nfe[s], vpsde_solver_nfe(run.solver, run.param, run.grid));
    }
    keep_free(&one);
    keep_free(&three);
}

static void every_form_conforms_with_every_last_step(void **state)
{
    const world *w = *state;
    double param[VPSDE_PARAM_MAX];
    for (vpsde_last_step last = VPSDE_LAST_STOP; last <= VPSDE_LAST_LOWER_ORDER; last++) {
        vpsde_grid *grid = toy_grid(w->process, "uniform-lambda", STEPS, last);
        for (size_t i = 0; vpsde_solver_at(i); i++) {
            /* An integrator has no formula of its own for the last step, and few bounds that make
             * sense (max_steps: 1). */
            if (adaptive(vpsde_solver_at(i))) continue;
            for (size_t f = 0; form_of(param, vpsde_solver_at(i), f); f++) {
                vpsde_sampling run = run_of(w, vpsde_solver_at(i));
                run.grid = grid;
                run.param = param;
                run.count = FEW;
                assert_true(f < FORMS_MAX);
                check_run(run);
            }
        }
        vpsde_grid_destroy(grid);
    }
}

static void every_choice_of_an_integrator_conforms(void **state)
{
    const world *w = *state;
    double param[VPSDE_PARAM_MAX];
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        const vpsde_solver_type *solver = vpsde_solver_at(i);
        for (size_t p = 0; adaptive(solver) && p < vpsde_param_count(solver->params); p++) {
            const vpsde_param *row = &solver->params[p];
            for (double v = 0; row->kind == VPSDE_PARAM_CHOICE && v <= row->max; v++) {
                vpsde_sampling run = run_of(w, solver);
                vpsde_param_defaults(param, solver->params);
                param[p] = v;
                run.param = param;
                run.count = FEW;
                check_run(run);
            }
        }
        for (size_t f = 0; adaptive(solver) && solver->forms && solver->forms[f]; f++) {
            vpsde_sampling run = run_of(w, solver);
            vpsde_param_defaults(param, solver->params);
            assert_ok(vpsde_param_parse(param, solver->params, solver->forms[f]));
            run.param = param;
            run.count = FEW;
            check_run(run);
        }
    }
}

/* Grids that end at data, in one step and in several, every last step. */
static void runs_to_data_conform(void **state)
{
    const world *w = *state;
    static const size_t steps[] = {1, STEPS};
    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    for (size_t g = 0; g < 8; g++) {
        vpsde_grid *grid = toy_grid(process, "uniform-t", steps[g % 2], (vpsde_last_step)(g / 2));
        for (size_t i = 0; vpsde_solver_at(i); i++) {
            vpsde_sampling run = run_of(w, vpsde_solver_at(i));
            run.process = process;
            run.grid = grid;
            run.count = FEW;
            check_run(run);
        }
        vpsde_grid_destroy(grid);
    }
    vpsde_process_destroy(process);
}

static void small_and_far_runs_conform(void **state)
{
    const world *w = *state;
    toy line;
    toy_gaussian(&line, 1, 0.7, 0.25, 0, BLOCK_ROWS);
    vpsde_grid *one_step = toy_grid(w->process, "uniform-lambda", 1, VPSDE_LAST_TWEEDIE);
    vpsde_grid *euler = toy_grid(w->process, "uniform-lambda", STEPS, VPSDE_LAST_EULER);
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        run.count = FEW;
        run.first = (size_t)1 << 40;
        check_run(run);
        run.count = 1;
        check_run(run);
        run.first = 0;
        run.grid = one_step;
        check_run(run);
        run.model = &line.model;
        check_run(run);
        run.count = FEW;
        run.grid = euler;
        check_run(run);
    }
    vpsde_grid_destroy(one_step);
    vpsde_grid_destroy(euler);
}

/* The index 2^40 + s is not mistaken for s. */
static void far_samples_are_others(void **state)
{
    const world *w = *state;
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        double near[2], far[2];
        run.count = 1;
        assert_ok(vpsde_sample_array(&run, near));
        run.first = (size_t)1 << 40;
        assert_ok(vpsde_sample_array(&run, far));
        assert_true(near[0] != far[0] && near[1] != far[1]);
    }
}

/* Sample 17 starts where the model gives NaN: it alone is flagged and NaN. */
static void a_bad_sample_stays_alone(void **state)
{
    world *w = *state;
    static double init[COUNT * 2];
    vpsde_normals(init, 5, VPSDE_NOISE_TEST, 0, COUNT, 0, 2);
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        keep good, bad;
        run.init = init;
        sample(&good, &run);
        const double saved = init[17 * 2];
        init[17 * 2] = 1e9;
        w->model.poison = 1e6;
        keep_init(&bad);
        assert_fails(vpsde_sample(&run, &bad.sink), VPSDE_EPARTIAL, "(first: sample 17)");
        w->model.poison = 0;
        init[17 * 2] = saved;
        assert_non_null(strstr(vpsde_last_error(), "1 of 500 samples"));
        assert_true(keep_complete(&bad));
        assert_same(&bad, &good, 0, 17, run.solver->name);
        assert_same(&bad, &good, 18, COUNT - 18, run.solver->name);
        const uint8_t *status = keep_column(&bad, "status");
        const double *final = keep_column(&bad, "final");
        assert_int_not_equal(status[17], 0);
        if (!adaptive(run.solver)) assert_int_equal(status[17], 1);
        assert_true(isnan(final[17 * 2]) && isnan(final[17 * 2 + 1]));
        keep_free(&good);
        keep_free(&bad);
    }
}

static void a_failing_model_stops_the_run(void **state)
{
    world *w = *state;
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        run.n_threads = 2;
        atomic_store(&w->model.calls, 0);
        w->model.fail_after = 7;
        assert_fails(vpsde_sample(&run, NULL), VPSDE_EIO, "told to fail");
        w->model.fail_after = 0;
    }
}

static void stop_at_three(void *context, size_t done, size_t total)
{
    (void)total;
    if (done >= 3 * BLOCK_ROWS) *(volatile int *)context = 1;
}

static void a_run_stops_on_request(void **state)
{
    const world *w = *state;
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        volatile int stop = 0;
        vpsde_sampling run = run_of(w, vpsde_solver_at(i));
        keep k;
        run.control =
            (vpsde_control){.context = (void *)&stop, .progress = stop_at_three, .stop = &stop};
        keep_init(&k);
        assert_fails(vpsde_sample(&run, &k.sink), VPSDE_ESTOPPED, "stopped");
        assert_false(keep_complete(&k));
        keep_free(&k);
    }
}

static void bad_requests_are_refused(void **state)
{
    const world *w = *state;
    const int32_t classes[2] = {0, 0};
    const double eta[] = {2};
    double x[4];
    vpsde_sampling run = run_of(w, vpsde_solver_find("ddim")), bad;
    run.count = 2;
    bad = run, bad.count = 0;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "count: must be 1 or more");
    bad = run, bad.first = SIZE_MAX - 1;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "2^48");
    bad = run, bad.grid = NULL;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "ddim takes fixed steps");
    bad = run, bad.model = NULL;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "model is not set");
    bad = run, bad.param = eta;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "ddim: eta");
    bad = run, bad.classes = classes;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "class of sample 0");
    bad = run, bad.log.dtype = VPSDE_I32;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "log.dtype");
    bad = run, bad.n_threads = 100000;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL, "threads");
    vpsde_process *exact = toy_process(VPSDE_TERMINAL_EXACT);
    bad = run, bad.process = exact;
    assert_fails(vpsde_sample_array(&bad, x), VPSDE_EINVAL,
                 "terminal: exact needs a model that draws");
    vpsde_process_destroy(exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_complete),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_threads, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_sample_depends_on_its_index_alone, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(closed_forms_give_the_same_bits_as_networks, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(logging_changes_no_bit, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_log_holds_what_it_says, open_world, close_world),
        cmocka_unit_test_setup_teardown(every_form_conforms_with_every_last_step, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(every_choice_of_an_integrator_conforms, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(runs_to_data_conform, open_world, close_world),
        cmocka_unit_test_setup_teardown(small_and_far_runs_conform, open_world, close_world),
        cmocka_unit_test_setup_teardown(far_samples_are_others, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_bad_sample_stays_alone, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_failing_model_stops_the_run, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_run_stops_on_request, open_world, close_world),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
