/* Sampling by adaptive integrators through vpsde_sample. */
#include "tests/check.h"

#include "tests/ode_fixture.h"

static const char *const names[] = {"dopri5",      "gsl-rkf45",   "gsl-rkck", "gsl-rk8pd",
                                    "gsl-msadams", "cvode-adams", "cvode-bdf"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]), ROWS = 21, DIM = 2, TIMES = 9 };

enum { FINAL, NFE, REJECTED, NFE_LOG, STATUS, X, X0, N_WANTED };
static const char *const wanted[N_WANTED] = {"final",  "nfe", "rejected", "nfe_log",
                                             "status", "x",   "x0"};

typedef struct catcher {
    double final[ROWS * DIM], x[ROWS * TIMES * DIM], x0[ROWS * TIMES * DIM];
    int32_t nfe[ROWS], rejected[ROWS], nfe_log[ROWS];
    uint8_t status[ROWS];
    size_t first, n_times;
    size_t column[N_WANTED]; /* of the table, SIZE_MAX when it is not there */
    double block_fill;
} catcher;

static vpsde_status catch_begin(void *self, const vpsde_table *table)
{
    catcher *c = self;
    c->first = table->first;
    for (size_t w = 0; w < N_WANTED; w++) c->column[w] = SIZE_MAX;
    for (size_t q = 0; q < table->n_columns; q++) {
        for (size_t w = 0; w < N_WANTED; w++) {
            if (strcmp(table->columns[q].name, wanted[w]) == 0) c->column[w] = q;
        }
    }
    if (c->column[X] != SIZE_MAX) c->n_times = table->columns[c->column[X]].width / DIM;
    return VPSDE_OK;
}

static void take(const catcher *c, size_t w, const void *const *data, void *out, size_t bytes)
{
    if (c->column[w] != SIZE_MAX) memcpy(out, data[c->column[w]], bytes);
}

static vpsde_status catch_write(void *self, size_t first, size_t n, const void *const *data)
{
    catcher *c = self;
    const size_t at = first - c->first, wide = c->n_times * DIM;
    take(c, FINAL, data, c->final + at * DIM, n * DIM * sizeof(double));
    take(c, NFE, data, c->nfe + at, n * sizeof(int32_t));
    take(c, REJECTED, data, c->rejected + at, n * sizeof(int32_t));
    take(c, NFE_LOG, data, c->nfe_log + at, n * sizeof(int32_t));
    take(c, STATUS, data, c->status + at, n);
    take(c, X, data, c->x + at * wide, n * wide * sizeof(double));
    take(c, X0, data, c->x0 + at * wide, n * wide * sizeof(double));
    return VPSDE_OK;
}

static vpsde_status catch_end(void *self, const vpsde_fact *facts, size_t n)
{
    catcher *c = self;
    for (size_t f = 0; f < n; f++) {
        if (strcmp(facts[f].name, "block_fill") == 0) c->block_fill = facts[f].number;
    }
    return VPSDE_OK;
}

static vpsde_status run_all(const vpsde_sampling *run, catcher *c)
{
    memset(c, 0, sizeof(*c));
    vpsde_sink sink = {.self = c, .begin = catch_begin, .write = catch_write, .end = catch_end};
    return vpsde_sample(run, &sink);
}

typedef struct world {
    vpsde_process *process;
    vpsde_model *mixture;
    vpsde_grid *grid;
} world;

static void world_make(world *w, double t_min, vpsde_last_step last_step)
{
    w->process = make_process(t_min, VPSDE_TERMINAL_STANDARD_NORMAL);
    w->mixture = make_mixture(DIM);
    assert_ok(vpsde_grid_create(&w->grid, vpsde_grid_find("uniform-t"), w->process, TIMES - 1, NULL,
                                NULL, last_step));
}

static void world_free(world *w)
{
    vpsde_grid_destroy(w->grid);
    vpsde_model_destroy(w->mixture);
    vpsde_process_destroy(w->process);
}

static vpsde_sampling make_run(const world *w, const char *name, double tol)
{
    return (vpsde_sampling){
        .process = w->process,
        .model = w->mixture,
        .solver = vpsde_solver_find(name),
        .grid = w->grid,
        .rtol = tol,
        .atol = tol,
        .seed = 3,
        .count = ROWS,
        .log = {.dtype = VPSDE_F64},
        .n_threads = 1,
    };
}

/* One Gaussian: x(t) = alpha m + sqrt(V_t/V_T) (x_T - alpha_T m), V = alpha^2 v + sigma^2. */
static void follows_the_exact_flow(void **state)
{
    (void)state;
    const double weight[1] = {1}, mean[DIM] = {1.5, -0.5}, v = 0.3;
    const double cov[DIM * DIM] = {v, 0, 0, v};
    for (size_t m = 0; m < N_NAMES; m++) {
        for (size_t clock = 0; clock < 3; clock++) {
            world w;
            catcher c;
            world_make(&w, 1e-3, VPSDE_LAST_STOP);
            vpsde_model_destroy(w.mixture);
            assert_ok(vpsde_gaussian_mixture_create(&w.mixture, 1, DIM, weight, mean, cov));
            const double param[2] = {(double)clock, 100000};
            vpsde_sampling run = make_run(&w, names[m], 1e-7);
            run.param = param;
            run.log.n_times = TIMES;
            run.log.fields = VPSDE_LOG_X | VPSDE_LOG_X0;
            assert_ok(run_all(&run, &c));
            assert_int_equal(c.n_times, TIMES);
            const vpsde_coef *from = &w.grid->node[0];
            double worst[2] = {0, 0}; /* at the ends, between */
            for (size_t i = 0; i < ROWS; i++) {
                double start[DIM];
                vpsde_normals(start, 3, VPSDE_NOISE_PRIOR, i, 1, 0, DIM);
                for (size_t k = 0; k < TIMES; k++) {
                    const vpsde_coef *to = &w.grid->node[k];
                    const double grow =
                        sqrt((to->alpha * to->alpha * v + to->sigma * to->sigma) /
                             (from->alpha * from->alpha * v + from->sigma * from->sigma));
                    const bool inner = k > 0 && k + 1 < TIMES;
                    for (size_t j = 0; j < DIM; j++) {
                        const double exact =
                            to->alpha * mean[j] + grow * (start[j] - from->alpha * mean[j]);
                        const double x = c.x[(i * TIMES + k) * DIM + j];
                        worst[inner] = fmax(worst[inner], fabs(x - exact));
                    }
                }
                assert_memory_equal(c.x + (i * TIMES + TIMES - 1) * DIM, c.final + i * DIM,
                                    sizeof(start));
                assert_int_equal(c.nfe_log[i], TIMES);
                assert_int_equal(c.status[i], 0);
            }
            print_message("%s, clock %zu: ends %.1e, between %.1e, %d calls\n", names[m], clock,
                          worst[0], worst[1], (int)c.nfe[0]);
            assert_close(worst[0], 0, 1e-4);
            assert_close(worst[1], 0, 1e-3);
            world_free(&w);
        }
    }
}

static void logging_changes_no_bit(void **state)
{
    (void)state;
    world w;
    world_make(&w, 1e-3, VPSDE_LAST_TWEEDIE);
    for (size_t m = 0; m < N_NAMES; m++) {
        catcher silent, logged;
        vpsde_sampling run = make_run(&w, names[m], 1e-5);
        assert_ok(run_all(&run, &silent));
        run.log.n_times = SIZE_MAX;
        run.log.fields = VPSDE_LOG_X | VPSDE_LOG_EPS | VPSDE_LOG_X0 | VPSDE_LOG_NOISE;
        assert_ok(run_all(&run, &logged));
        assert_memory_equal(silent.final, logged.final, sizeof(silent.final));
        assert_memory_equal(silent.nfe, logged.nfe, sizeof(silent.nfe));
        assert_int_equal(silent.nfe_log[0], 0);
        for (size_t i = 0; i < ROWS; i++) { /* Tweedie's final state is the last node's x0 */
            const double *x0 = logged.x0 + (i * TIMES + TIMES - 1) * DIM;
            assert_close(logged.final[i * DIM], x0[0], 1e-14);
        }
    }
    world_free(&w);
}

static void depends_on_nothing_but_its_index(void **state)
{
    (void)state;
    static const size_t threads[] = {1, 2, 3, 7};
    world w;
    vpsde_model posing;
    vpsde_model_type type;
    world_make(&w, 1e-3, VPSDE_LAST_TWEEDIE);
    for (size_t m = 0; m < N_NAMES; m++) {
        catcher direct, other;
        vpsde_sampling run = make_run(&w, names[m], 1e-5);
        run.first = 13;
        run.log.n_times = 4;
        run.log.fields = VPSDE_LOG_X;
        assert_ok(run_all(&run, &direct));
        run.model = pose_as_network(&posing, &type, w.mixture);
        for (size_t q = 0; q < 4; q++) {
            run.n_threads = threads[q];
            assert_ok(run_all(&run, &other));
            assert_memory_equal(direct.final, other.final, sizeof(direct.final));
            assert_memory_equal(direct.x, other.x, sizeof(direct.x));
            assert_memory_equal(direct.nfe, other.nfe, sizeof(direct.nfe));
            assert_memory_equal(direct.rejected, other.rejected, sizeof(direct.rejected));
        }
        assert_true(other.block_fill > 0.3 && other.block_fill <= 1);
        for (size_t i = ROWS; i-- > 0;) {
            vpsde_sampling alone = run;
            alone.first = run.first + i;
            alone.count = 1;
            assert_ok(run_all(&alone, &other));
            assert_memory_equal(other.final, direct.final + i * DIM, DIM * sizeof(double));
        }
    }
    world_free(&w);
}

static void flags_failures(void **state)
{
    (void)state;
    world w;
    catcher c;
    vpsde_model posing;
    vpsde_model_type type;
    double init[ROWS * DIM] = {0};
    world_make(&w, 1e-3, VPSDE_LAST_STOP);
    init[4 * DIM] = (double)INFINITY;
    for (int network = 0; network < 2; network++) {
        vpsde_sampling run = make_run(&w, "gsl-rk8pd", 1e-5);
        if (network) run.model = pose_as_network(&posing, &type, w.mixture);
        run.init = init;
        run.log.n_times = 3;
        run.log.fields = VPSDE_LOG_X;
        assert_fails(run_all(&run, &c), VPSDE_EPARTIAL, "1 of 21 samples became non-finite");
        assert_int_equal(c.status[4], 1);
        assert_true(isnan(c.final[4 * DIM]) && isnan(c.x[4 * 3 * DIM]));
        assert_int_equal(c.status[5], 0);
        assert_true(isfinite(c.final[5 * DIM]));
        const double param[2] = {0, 4};
        run.init = NULL;
        run.param = param;
        assert_fails(run_all(&run, &c), VPSDE_EPARTIAL, "21 integrations failed");
        assert_int_equal(c.status[0], 2);
    }
    world_free(&w);
}

static void goes_without_a_grid(void **state)
{
    (void)state;
    world w;
    double with[ROWS * DIM], without[ROWS * DIM];
    world_make(&w, 1e-3, VPSDE_LAST_STOP);
    vpsde_sampling run = make_run(&w, "cvode-adams", 1e-5);
    assert_ok(vpsde_sample_array(&run, with));
    run.grid = NULL;
    assert_ok(vpsde_sample_array(&run, without));
    assert_memory_equal(with, without, sizeof(with));
    world_free(&w);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    world w;
    double x[ROWS * DIM];
    world_make(&w, 1e-3, VPSDE_LAST_STOP);
    vpsde_process *to_data = make_process(0, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_sampling run = make_run(&w, "dopri5", 0);
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "rtol > 0");
    const double lambda[2] = {2, 1000};
    run = make_run(&w, "dopri5", 1e-4);
    run.process = to_data;
    run.grid = NULL;
    run.param = lambda;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "clock: lambda cannot end at t = 0");
    run.param = NULL;
    assert_ok(vpsde_sample_array(&run, x));
    const volatile int stop = 1;
    run.control.stop = &stop;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_ESTOPPED, "stopped");
    vpsde_process_destroy(to_data);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_exact_flow),
        cmocka_unit_test(logging_changes_no_bit),
        cmocka_unit_test(depends_on_nothing_but_its_index),
        cmocka_unit_test(flags_failures),
        cmocka_unit_test(goes_without_a_grid),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
