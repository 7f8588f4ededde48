/* A network call for the log is the step's too, wherever that asks the same: what the log costs then, and
 * that nothing else differs. */
#include "tests/toy.h"

#include "solvers/chain.h"

enum { COUNT = 40, DIM = 2, STEPS = 10, ROWS = 16 };

static vpsde_sampling run_of(const vpsde_process *process, const toy *m, const char *solver,
                             const vpsde_grid *grid, unsigned fields)
{
    return (vpsde_sampling){.process = process,
                            .model = &m->model,
                            .solver = vpsde_solver_find(solver),
                            .grid = grid,
                            .seed = 11,
                            .count = COUNT,
                            .log = {.n_times = SIZE_MAX, .fields = fields, .dtype = VPSDE_F64},
                            .n_threads = 1};
}

/* ---- one call ------------------------------------------------------------------------------ */

static vpsde_chain *chain_of(const vpsde_sampling *run, size_t count)
{
    static const double param[VPSDE_PARAM_MAX];
    vpsde_chain *chain;
    assert_ok(vpsde_chain_create(&chain, run, run->solver, param, NULL, &vpsde_noise_of_runs));
    vpsde_chain_place(chain, 0, count);
    vpsde_normals(vpsde_chain_rows(chain), 3, VPSDE_NOISE_PRIOR, 0, count, 0, DIM);
    vpsde_chain_stand(chain, 0);
    return chain;
}

/* One call after a peek: how often the network was asked for both, and that eps is what it says. */
static long asked(toy *m, vpsde_chain *chain, const vpsde_coef *c, double *range)
{
    static double eps[ROWS * DIM], row[DIM];
    vpsde_step *s = &chain->step;
    const size_t calls = chain->block.calls, calls_log = chain->block.calls_log;
    const long before = atomic_load(&m->calls);
    assert_ok(vpsde_eps_with(s, c, s->x, eps, range, NULL));
    for (size_t i = 0; i < s->n; i++) {
        toy_row(m, c, DIM, s->x + i * DIM, row);
        assert_memory_equal(row, eps + i * DIM, sizeof(row));
    }
    const long real = atomic_load(&m->calls) - before;
    assert_int_equal(chain->block.calls - calls, 1);
    assert_int_equal(chain->block.calls_log - calls_log, real - 1);
    return real;
}

static void a_peek_is_taken_by_the_same_question_alone(void **state)
{
    (void)state;
    static double range[ROWS * DIM];
    toy m;
    const double *eps;
    toy_mixture(&m, 0, ROWS);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "ddim", grid, VPSDE_LOG_X0);
    vpsde_chain *chain = chain_of(&run, 9);
    const vpsde_coef *at = chain->step.at;
    double *x = chain->step.x;
    x[3 * DIM] = 0;
    assert_int_equal(asked(&m, chain, at, NULL), 1); /* nothing was looked at */
    assert_ok(vpsde_chain_peek(chain, &eps));
    assert_int_equal(asked(&m, chain, at, NULL), 0);
    assert_int_equal(asked(&m, chain, at, NULL), 1); /* it is good for one call */
    assert_ok(vpsde_chain_peek(chain, &eps));
    assert_int_equal(asked(&m, chain, at + 1, NULL), 1);
    assert_ok(vpsde_chain_peek(chain, &eps));
    assert_int_equal(asked(&m, chain, at, range), 1);
    assert_ok(vpsde_chain_peek(chain, &eps));
    x[3 * DIM] = -0.0;
    assert_int_equal(asked(&m, chain, at, NULL), 1);
    assert_ok(vpsde_chain_peek(chain, &eps));
    x[(ROWS - 1) * DIM + 1] = 1e-300; /* a padding row */
    assert_int_equal(asked(&m, chain, at, NULL), 1);
    assert_ok(vpsde_chain_peek(chain, &eps));
    vpsde_chain_place(chain, 9, 7);
    assert_int_equal(asked(&m, chain, at, NULL), 1);
    vpsde_chain_destroy(chain);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* Rows that fail are flagged by the call that takes the peek, as by one that asks. */
static void a_taken_peek_flags_failed_rows(void **state)
{
    (void)state;
    toy m;
    const double *eps;
    toy_mixture(&m, 0, ROWS);
    m.poison = 100;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = run_of(process, &m, "ddim", grid, VPSDE_LOG_EPS);
    vpsde_chain *chain = chain_of(&run, 9);
    static double taken[ROWS * DIM];
    vpsde_chain_rows(chain)[2 * DIM] = 1e3;
    assert_ok(vpsde_chain_peek(chain, &eps));
    assert_true(isnan(eps[2 * DIM]));
    assert_int_equal(chain->status[2], VPSDE_ROW_OK);
    assert_ok(vpsde_eps(&chain->step, chain->step.at, chain->step.x, taken));
    assert_int_equal(atomic_load(&m.calls), 1);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(chain->status[i], i == 2 ? VPSDE_ROW_NON_FINITE : VPSDE_ROW_OK);
    }
    vpsde_chain_destroy(chain);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* Network calls of a run in one block, and its columns. */
static long calls_of(keep *out, toy *m, const vpsde_sampling *run)
{
    atomic_store(&m->calls, 0);
    keep_init(out);
    assert_ok(vpsde_sample(run, &out->sink));
    assert_true(keep_complete(out));
    return atomic_load(&m->calls);
}

/* Logging eps at all nodes leaves states and nfe as they are; nfe_log is what it costs in truth.
 * Returns that. */
static int32_t cost_of_eps(toy *m, vpsde_sampling run)
{
    static const struct {
        const char *name;
        size_t bytes;
    } same[] = {{"final", DIM * sizeof(double)},
                {"nfe", sizeof(int32_t)},
                {"status", 1},
                {"x", (STEPS + 1) * DIM * sizeof(double)}};
    keep without, with;
    const long calls = calls_of(&without, m, &run);
    run.log.fields |= VPSDE_LOG_EPS | VPSDE_LOG_X0;
    const long more = calls_of(&with, m, &run) - calls;
    const int32_t *log = keep_column(&with, "nfe_log"), *none = keep_column(&without, "nfe_log");
    const double *x = keep_column(&with, "x"), *eps = keep_column(&with, "eps");
    for (size_t c = 0; c < sizeof(same) / sizeof(same[0]); c++) {
        assert_memory_equal(keep_column(&with, same[c].name), keep_column(&without, same[c].name),
                            run.count * same[c].bytes);
    }
    for (size_t i = 0; i < run.count; i++) {
        assert_int_equal(none[i], 0);
        assert_int_equal(log[i], more);
    }
    for (size_t i = 0; run.guidance == 0 && i < run.count * (STEPS + 1); i++) {
        double row[DIM];
        toy_row(m, &run.grid->node[i % (STEPS + 1)], DIM, x + i * DIM, row);
        assert_memory_equal(row, eps + i * DIM, sizeof(row));
    }
    const int32_t cost = log[0];
    keep_free(&without);
    keep_free(&with);
    return cost;
}

/* Solvers whose step begins with the network at its node pay for the last node alone, where Tweedie's
 * step takes that too. */
static void the_log_and_the_step_share_a_call(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim",     "euler-maruyama", "heun",
                                          "dpmpp-2m", "pc-langevin",    "edm-heun"};
    static const double data[COUNT * DIM] = {0.5, -1};
    static const uint8_t known[DIM] = {0, 1};
    toy m;
    int32_t classes[COUNT] = {0};
    toy_mixture(&m, 0, 64);
    m.model.n_classes = 1;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t s = 0; s < sizeof(solvers) / sizeof(solvers[0]); s++) {
        const vpsde_last_step last = s % 2 ? VPSDE_LAST_TWEEDIE : VPSDE_LAST_STOP;
        vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, last);
        vpsde_sampling run = run_of(process, &m, solvers[s], grid, VPSDE_LOG_X);
        const int32_t cost = last == VPSDE_LAST_STOP;
        assert_int_equal(cost_of_eps(&m, run), cost);
        run.inpaint = (vpsde_inpaint){.known = known, .data = data};
        assert_int_equal(cost_of_eps(&m, run), cost);
        run.inpaint.jump_length = 2;
        run.inpaint.resamples = 3;
        assert_int_equal(cost_of_eps(&m, run), cost);
        run.inpaint = (vpsde_inpaint){0};
        run.classes = classes;
        run.guidance = 0.5;
        assert_int_equal(cost_of_eps(&m, run), 2 * cost);
        vpsde_grid_destroy(grid);
    }
    vpsde_process_destroy(process);
}

static void logging_costs_every_solver_what_it_says(void **state)
{
    (void)state;
    toy m;
    const vpsde_solver_type *solver;
    toy_mixture(&m, 0, 64);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_TWEEDIE);
    for (size_t s = 0; (solver = vpsde_solver_at(s)) != NULL; s++) {
        if (vpsde_solver_is_adaptive(solver)) continue;
        const int32_t cost = cost_of_eps(&m, run_of(process, &m, solver->name, grid, VPSDE_LOG_X));
        const bool elsewhere =
            strcmp(solver->name, "shark") == 0; /* its first call is off the node */
        assert_int_equal(cost, elsewhere ? STEPS : 0);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peek_is_taken_by_the_same_question_alone),
        cmocka_unit_test(a_taken_peek_flags_failed_rows),
        cmocka_unit_test(the_log_and_the_step_share_a_call),
        cmocka_unit_test(logging_costs_every_solver_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
