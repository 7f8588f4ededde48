/* Sampling by adaptive integrators through vpsde_sample. */
#include "tests/check.h"

#include "solvers/ode.h"
#include "tests/ode_fixture.h"

static const char *const names[] = {"dopri5",      "gsl-rkf45",   "gsl-rkck", "gsl-rk8pd",
                                    "gsl-msadams", "cvode-adams", "cvode-bdf"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]), ROWS = 21, DIM = 2, TIMES = 9 };

enum { FINAL, NFE, REJECTED, NFE_LOG, STATUS, X, EPS, X0, STEPS, N_WANTED };
static const char *const wanted[N_WANTED] = {"final", "nfe", "rejected", "nfe_log", "status",
                                             "x",     "eps", "x0",       "steps"};

typedef struct catcher {
    double final[ROWS * DIM], x[ROWS * TIMES * DIM], eps[ROWS * TIMES * DIM],
        x0[ROWS * TIMES * DIM], steps[ROWS * TIMES];
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
    take(c, EPS, data, c->eps + at * wide, n * wide * sizeof(double));
    take(c, X0, data, c->x0 + at * wide, n * wide * sizeof(double));
    take(c, STEPS, data, c->steps + at * TIMES, n * TIMES * sizeof(double));
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
        run.log.n_times = TIMES;
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

/* From 0 at the start to all of them at the end; dopri5 has 2 evaluations at the start and 6 an attempt. */
static void steps_are_counted_along_the_path(void **state)
{
    static const char *const walks[] = {"gotta-go-fast", "dpm-adaptive"};
    static catcher c;
    (void)state;
    for (size_t m = 0; m < N_NAMES + 2; m++) {
        world w;
        world_make(&w, 1e-3, VPSDE_LAST_STOP);
        vpsde_sampling run = make_run(&w, m < N_NAMES ? names[m] : walks[m - N_NAMES], 1e-3);
        run.log = (vpsde_log){
            .n_times = TIMES, .fields = VPSDE_LOG_X | VPSDE_LOG_STEPS, .dtype = VPSDE_F64};
        assert_ok(run_all(&run, &c));
        assert_true(c.column[STEPS] != SIZE_MAX);
        for (size_t i = 0; i < ROWS; i++) {
            const double *at = c.steps + i * TIMES;
            assert_true(at[0] == 0 && at[TIMES - 1] == floor(at[TIMES - 1]));
            for (size_t k = 1; k < TIMES; k++) assert_true(at[k] > at[k - 1]);
            assert_true(at[TIMES - 1] > 1 && at[TIMES - 1] <= c.nfe[i]);
            if (m == 0) assert_true(at[TIMES - 1] == (c.nfe[i] - 2) / 6.0 - c.rejected[i]);
        }
        run.solver = vpsde_solver_find("ddim");
        assert_ok(run_all(&run, &c));
        assert_true(c.column[STEPS] == SIZE_MAX);
        world_free(&w);
    }
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

/* Beside a network that needs full calls. */
static void asks_for_no_row_in_vain(void **state)
{
    (void)state;
    for (int any = 0; any < 2; any++) {
        static catcher c;
        static line network;
        world w;
        long nfe = 0;
        world_make(&w, 1e-3, VPSDE_LAST_STOP);
        line_make(&network, DIM, any ? VPSDE_MODEL_ANY_ROWS : 0);
        vpsde_sampling run = make_run(&w, "dopri5", 1e-5);
        run.model = &network.model;
        assert_ok(run_all(&run, &c));
        for (size_t i = 0; i < ROWS; i++) nfe += c.nfe[i];
        if (any) assert_true(network.rows == nfe);
        if (!any) assert_true(network.rows == network.calls * POSING_ROWS && network.rows > nfe);
        world_free(&w);
    }
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
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "clock: lambda cannot reach t = 0");
    run.param = NULL;
    assert_ok(vpsde_sample_array(&run, x));
    const volatile int stop = 1;
    run.control.stop = &stop;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_ESTOPPED, "stopped");
    vpsde_process_destroy(to_data);
    world_free(&w);
}

/* ---- t = 0 ------------------------------------------------------------------------------------ */

/* x and x0 at node k of row i; eps there is NaN. */
static void check_data_end(const catcher *c, size_t i, size_t k)
{
    const size_t at = (i * TIMES + k) * DIM;
    assert_memory_equal(c->x0 + at, c->x + at, DIM * sizeof(double));
    for (size_t j = 0; j < DIM; j++) {
        assert_true(isfinite(c->x[at + j]) && isnan(c->eps[at + j]));
    }
}

/* At sigma = 0 the state is its own x0hat: no call, neither for the log nor as a last step. */
static void asks_nothing_at_the_data_end(void **state)
{
    (void)state;
    world w;
    catcher stop, tweedie;
    world_make(&w, 0, VPSDE_LAST_STOP);
    vpsde_sampling run = make_run(&w, "dopri5", 1e-5);
    run.log.n_times = TIMES;
    run.log.fields = VPSDE_LOG_X | VPSDE_LOG_EPS | VPSDE_LOG_X0;
    assert_ok(run_all(&run, &stop));
    world_free(&w);
    world_make(&w, 0, VPSDE_LAST_TWEEDIE);
    run = make_run(&w, "dopri5", 1e-5);
    assert_ok(run_all(&run, &tweedie));
    for (size_t i = 0; i < ROWS; i++) {
        check_data_end(&stop, i, TIMES - 1);
        assert_int_equal(stop.nfe_log[i], TIMES - 1);
        assert_int_equal(tweedie.nfe[i], stop.nfe[i]);
    }
    assert_memory_equal(stop.final, tweedie.final, sizeof(stop.final));
    world_free(&w);
}

/* A network of 50 DDPM steps knows labels 0 to 49. */
static void calls_networks_where_they_were_trained(void **state)
{
    (void)state;
    enum { N = 50 };
    const double tol = 1e-6;
    double x[ROWS * DIM];
    static line network;
    for (size_t m = 0; m < N_NAMES; m++) {
        catcher c;
        world w = {.process = make_ddpm(N, 1.0 / N), .mixture = NULL};
        line_make(&network, DIM, 0);
        network.model.process = *vpsde_process_get_spec(w.process);
        assert_ok(vpsde_grid_create(&w.grid, vpsde_grid_find("uniform-t"), w.process, TIMES - 2,
                                    NULL, NULL, VPSDE_LAST_EULER));
        assert_close(w.grid->node[TIMES - 1].t, 0, 0);
        vpsde_sampling run = make_run(&w, names[m], tol);
        run.model = &network.model;
        run.log.n_times = TIMES;
        run.log.fields = VPSDE_LOG_X | VPSDE_LOG_EPS | VPSDE_LOG_X0;
        assert_ok(run_all(&run, &c));
        assert_close(network.smallest_label, 0, 1e-9);
        for (size_t i = 0; i < ROWS; i++) {
            const size_t last = (i * TIMES + TIMES - 1) * DIM, before = last - DIM;
            check_data_end(&c, i, TIMES - 1);
            assert_int_equal(c.nfe_log[i], TIMES - 1);
            assert_memory_equal(c.x + last, c.final + i * DIM, DIM * sizeof(double));
            for (size_t j = 0; j < DIM; j++) assert_close(c.x[last + j], c.x0[before + j], 1e-9);
        }
        run.grid = NULL;
        run.log.n_times = 0;
        vpsde_process *further = make_ddpm(N, 0.999 / N);
        run.process = further;
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "at least 0.02");
        network.model.process.schedule = NULL; /* as process.override does */
        assert_ok(vpsde_sample_array(&run, x));
        vpsde_process_destroy(further);
        vpsde_grid_destroy(w.grid);
        vpsde_process_destroy(w.process);
    }
}

/* ---- clocks, parameters, names, stops --------------------------------------------------------- */

static void refuses_phi_where_it_is_blind(void **state)
{
    (void)state;
    double x[ROWS * DIM];
    static line model;
    const double lambda[2] = {2, 100000};
    world w = {.process = make_strong(160, 1e-3)};
    line_make(&model, DIM, VPSDE_MODEL_ANALYTIC);
    vpsde_sampling run = make_run(&w, "dopri5", 1e-7);
    run.model = &model.model;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "use clock: lambda");
    run.param = lambda;
    assert_ok(vpsde_sample_array(&run, x));
    const vpsde_coef c = vpsde_process_at(w.process, 1e-3);
    for (size_t i = 0; i < ROWS; i++) {
        double start[DIM];
        vpsde_normals(start, 3, VPSDE_NOISE_PRIOR, i, 1, 0, DIM);
        for (size_t j = 0; j < DIM; j++) {
            const double v = c.alpha * c.alpha * line_variance(j) + c.sigma * c.sigma;
            assert_close(x[i * DIM + j], sqrt(v) * start[j], 1e-5);
        }
    }
    vpsde_process_destroy(w.process);
    w.process = make_strong(70, 1e-3); /* alpha(1) = 2.4e-8 */
    run.process = w.process;
    run.param = NULL;
    assert_ok(vpsde_sample_array(&run, x));
    vpsde_process_destroy(w.process);
}

static double seen_gain;

static vpsde_status gain_integrate(vpsde_ode *ode)
{
    seen_gain = ode->param[0];
    assert_int_equal(ode->max_steps, 777);
    return vpsde_solver_find("dopri5")->integrate(ode);
}

/* An integrator's own parameter may come before the common ones. */
static void integrators_have_parameters_of_their_own(void **state)
{
    (void)state;
    static const vpsde_param table[] = {
        {.name = "gain", .kind = VPSDE_PARAM_REAL, .value = 0.5, .max = 9},
        VPSDE_ODE_PARAM_ROWS,
        {.name = NULL},
    };
    world w;
    double own[ROWS * DIM], plain[ROWS * DIM];
    const double param[3] = {2.5, 1, 777}, clock_t[2] = {1, 777};
    world_make(&w, 1e-3, VPSDE_LAST_STOP);
    vpsde_solver_type type = *vpsde_solver_find("dopri5");
    vpsde_sampling run = make_run(&w, "dopri5", 1e-5);
    run.param = clock_t;
    assert_ok(vpsde_sample_array(&run, plain));
    type.params = table;
    type.integrate = gain_integrate;
    run.solver = &type;
    run.param = param;
    assert_ok(vpsde_sample_array(&run, own));
    assert_close(seen_gain, 2.5, 0);
    assert_memory_equal(own, plain, sizeof(own));
    type.params = NULL;
    run.param = NULL;
    assert_fails(vpsde_sample_array(&run, own), VPSDE_EINVAL, "clock and max_steps");
    type.integrate = NULL;
    assert_fails(vpsde_sample_array(&run, own), VPSDE_EINVAL, "integra");
    world_free(&w);
}

static void refuses_labels_that_are_no_names(void **state)
{
    (void)state;
    static const char *const labels[] = {"My run/x", "a/b", "A", "x y", "", "/", "caf\xc3\xa9"};
    world w;
    double x[ROWS * DIM];
    world_make(&w, 1e-3, VPSDE_LAST_STOP);
    vpsde_sampling run = make_run(&w, "dopri5", 1e-4);
    for (size_t m = 0; m < sizeof(labels) / sizeof(labels[0]); m++) {
        run.label = labels[m];
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "[a-z0-9_-]");
        assert_fails(vpsde_sample(&run, NULL), VPSDE_EINVAL, "[a-z0-9_-]");
    }
    run.label = "my-run_2";
    assert_ok(vpsde_sample_array(&run, x));
    world_free(&w);
}

/* Within one integration, by row and by fiber. */
static void stops_within_an_integration(void **state)
{
    (void)state;
    world w;
    double x[ROWS * DIM];
    static line model;
    world_make(&w, 1e-3, VPSDE_LAST_STOP);
    for (size_t m = 0; m < N_NAMES; m++) {
        for (int network = 0; network < 2; network++) {
            for (long at = 1; at < 12; at += 2) {
                line_make(&model, DIM, network ? 0 : VPSDE_MODEL_ANALYTIC);
                model.stop_at = at;
                vpsde_sampling run = make_run(&w, names[m], 1e-9);
                run.model = &model.model;
                run.control.stop = &model.stop;
                assert_fails(vpsde_sample_array(&run, x), VPSDE_ESTOPPED, "stopped");
                assert_int_equal(model.calls, at);
            }
            line_make(&model, DIM, network ? 0 : VPSDE_MODEL_ANALYTIC);
            model.fail_at = 1; /* the reason arrives from the first evaluation on */
            vpsde_sampling run = make_run(&w, names[m], 1e-9);
            run.model = &model.model;
            assert_fails(vpsde_sample_array(&run, x), VPSDE_EINTERNAL, "the line broke");
        }
    }
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_exact_flow),
        cmocka_unit_test(steps_are_counted_along_the_path),
        cmocka_unit_test(logging_changes_no_bit),
        cmocka_unit_test(depends_on_nothing_but_its_index),
        cmocka_unit_test(asks_for_no_row_in_vain),
        cmocka_unit_test(flags_failures),
        cmocka_unit_test(goes_without_a_grid),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(asks_nothing_at_the_data_end),
        cmocka_unit_test(calls_networks_where_they_were_trained),
        cmocka_unit_test(refuses_phi_where_it_is_blind),
        cmocka_unit_test(integrators_have_parameters_of_their_own),
        cmocka_unit_test(refuses_labels_that_are_no_names),
        cmocka_unit_test(stops_within_an_integration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
