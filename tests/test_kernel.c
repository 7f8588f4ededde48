/* Kernels in the log, x' = m + c z: of every solver that has one, at several of its forms, the stored mean, c
 * and noise make the next state, the mean knows nothing of the noise, and c is what the states of a linear
 * network show, step by step. Pilot samples that judge are resampled class by class. */
#include "tests/toy.h"

#include "experiments/thermo_judges.h"

enum { COUNT = 6, DIM = 2, STEPS = 8, NODES = STEPS + 1, STATES = COUNT * NODES * DIM };

typedef struct fixture {
    toy model;
    vpsde_process *process;
    vpsde_grid *grid;
    double init[COUNT * DIM];
    vpsde_sampling run;
} fixture;

static void set_up(fixture *f, double t_min)
{
    *f = (fixture){.process = toy_process_to(VPSDE_TERMINAL_EXACT, t_min)};
    toy_mixture(&f->model, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    f->grid = toy_grid(f->process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    for (size_t e = 0; e < COUNT * DIM; e++) f->init[e] = 0.3 * (double)e - 1;
    f->run = (vpsde_sampling){.process = f->process,
                              .model = &f->model.model,
                              .grid = f->grid,
                              .init = f->init,
                              .count = COUNT,
                              .n_threads = 1,
                              .log = {.n_times = SIZE_MAX,
                                      .fields = VPSDE_LOG_X | VPSDE_LOG_NOISE | VPSDE_LOG_KERNEL,
                                      .dtype = VPSDE_F64}};
}

static void tear_down(fixture *f)
{
    vpsde_grid_destroy(f->grid);
    vpsde_process_destroy(f->process);
}

/* kernel_std of the run just announced, from its time axis. */
static double std_of[NODES];
static vpsde_sink *kept;

static vpsde_status watch_begin(void *self, const vpsde_table *table)
{
    const vpsde_axis *axis = &table->axes[0];
    (void)self;
    memset(std_of, 0, sizeof(std_of));
    for (size_t c = 0; c < axis->n_coordinates; c++) {
        if (strcmp(axis->coordinates[c].name, "kernel_std") != 0) continue;
        memcpy(std_of, axis->coordinates[c].values, axis->length * sizeof(double));
    }
    return kept->begin(kept->self, table);
}

static vpsde_status sample(keep *out, const vpsde_sampling *run)
{
    keep_init(out);
    kept = &out->sink;
    vpsde_sink watch = out->sink;
    watch.begin = watch_begin;
    return vpsde_sample(run, &watch);
}

/* "eta=1, start=upstream" over the solver's defaults. */
static void set_params(double *param, const vpsde_solver_type *solver, const char *form)
{
    char text[256];
    vpsde_param_defaults(param, solver->params);
    snprintf(text, sizeof(text), "%s", form);
    for (char *word = strtok(text, ", "); word; word = strtok(NULL, ", ")) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        const int at = vpsde_param_find(solver->params, word);
        assert_true(at >= 0);
        double number = strtod(value, NULL);
        if (solver->params[at].kind == VPSDE_PARAM_CHOICE) {
            const char *choices = solver->params[at].choices;
            number = 0;
            for (const char *c = choices; c < strstr(choices, value); c++) number += *c == '|';
        }
        assert_ok(vpsde_param_set(param, solver->params, word, number));
    }
}

/* The law of one run, and that two runs of other noise from one state share the first step's mean. */
static void check_form(fixture *f, const double *param)
{
    keep first, second;
    f->run.param = param;
    f->run.seed = 3;
    assert_ok(sample(&second, &f->run));
    f->run.seed = 4;
    assert_ok(sample(&first, &f->run));
    const double *x = keep_column(&first, "x"), *z = keep_column(&first, "noise");
    const double *mean = keep_column(&first, "kernel_mean");
    const double *other = keep_column(&second, "kernel_mean"), *y = keep_column(&second, "x");
    assert_true(isnan(std_of[STEPS]));
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < NODES; k++) {
            for (size_t j = 0; j < DIM; j++) {
                const size_t e = (i * NODES + k) * DIM + j;
                if (k == STEPS) {
                    assert_true(isnan(mean[e]));
                    continue;
                }
                const double kick = std_of[k] > 0 ? std_of[k] * z[e] : 0;
                assert_close(x[e + DIM], mean[e] + kick, 1e-13 * (1 + fabs(x[e + DIM])));
                if (k > 0) continue;
                assert_close(mean[e], other[e], 1e-13 * (1 + fabs(mean[e])));
                assert_true(std_of[0] == 0 || fabs(x[e + DIM] - y[e + DIM]) > 1e-9);
            }
        }
    }
    keep_free(&first);
    keep_free(&second);
}

static void end_at_data(fixture *f)
{
    vpsde_grid_destroy(f->grid);
    f->grid = toy_grid(f->process, "uniform-lambda", STEPS - 1, VPSDE_LAST_EULER);
    f->run.grid = f->grid;
    assert_int_equal(f->grid->n_steps, STEPS);
}

/* Every form that makes noise and tells kernels; returns how many. */
static size_t for_all_forms(fixture *f, void (*look)(fixture *f, const double *param))
{
    size_t n = 0;
    for (size_t s = 0; (f->run.solver = vpsde_solver_at(s)) != NULL; s++) {
        const vpsde_solver_type *solver = f->run.solver;
        double param[VPSDE_PARAM_MAX];
        if (!solver->kernel_std) continue;
        const bool stages = strcmp(solver->name, "sde-dpmpp-3m") == 0;
        if (!stages) {
            set_params(param, solver, "");
            if (vpsde_solver_is_stochastic(solver, param)) look(f, param), n++;
        }
        for (size_t form = 0; solver->forms && solver->forms[form]; form++) {
            set_params(param, solver, solver->forms[form]);
            const bool two = stages && param[1] == 0; /* start=keep */
            const bool adams = strcmp(solver->name, "sa-solver") == 0 && param[1] == 3 &&
                               param[2] == 0 && param[5] == 0;
            if (two || adams || !vpsde_solver_is_stochastic(solver, param)) continue;
            look(f, param);
            n++;
        }
    }
    return n;
}

static void the_log_tells_kernels(void **state)
{
    (void)state;
    fixture f;
    size_t n = 0;
    set_up(&f, 1e-2);
    for (int to_data = 0; to_data < 2; to_data++) {
        if (to_data) end_at_data(&f);
        n += for_all_forms(&f, check_form);
    }
    tear_down(&f);
    assert_true(n >= 40);
}

/* eps = sigma x (1/2 + alpha): no Gaussian's, but what a solver makes of it is linear in all states so far and in
 * the step's noise, the same for every component. */
static vpsde_status linear_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    (void)ws;
    for (size_t i = 0; i < e->n; i++) {
        const vpsde_coef *c = &e->coef[i * e->coef_stride];
        for (size_t j = 0; j < model->dim; j++) {
            const size_t at = i * model->dim + j;
            e->eps[at] = c->sigma * (0.5 + c->alpha) * e->x[at];
            if (e->range) e->range[at] = 0.5;
        }
    }
    return VPSDE_OK;
}

enum { MANY = 24, VALUES = MANY * DIM };

static void node_of(double out[VALUES], const double *column, size_t k)
{
    for (size_t e = 0; e < VALUES; e++) out[e] = column[(e / DIM * NODES + k) * DIM + e % DIM];
}

/* v less its part along unit vectors; returns its length. */
static double reject(double v[VALUES], double basis[][VALUES], size_t n)
{
    double square = 0;
    for (size_t q = 0; q < 2 * n; q++) { /* twice, against rounding */
        double along = 0;
        for (size_t e = 0; e < VALUES; e++) along += v[e] * basis[q % n][e];
        for (size_t e = 0; e < VALUES; e++) v[e] -= along * basis[q % n][e];
    }
    for (size_t e = 0; e < VALUES; e++) square += v[e] * v[e];
    return sqrt(square);
}

/* c of every step as the states show it: what x' and z have beside the states so far is c z and z. */
static void check_widths(fixture *f, const double *param)
{
    double basis[NODES][VALUES];
    keep k;
    f->run.param = param;
    assert_ok(sample(&k, &f->run));
    const double *x = keep_column(&k, "x"), *z = keep_column(&k, "noise");
    size_t n = 0;
    for (size_t step = 0; step < STEPS; step++) {
        double next[VALUES], noise[VALUES], *here = basis[n], dot = 0;
        node_of(here, x, step);
        const double before = reject(here, basis, 0), length = reject(here, basis, n);
        for (size_t e = 0; e < VALUES; e++) here[e] /= length;
        n += length > 1e-6 * before;
        node_of(next, x, step + 1);
        const double after = reject(next, basis, 0), left = reject(next, basis, n);
        if (!(std_of[step] > 0)) {
            assert_true(left <= 1e-9 * after);
            continue;
        }
        node_of(noise, z, step);
        const double own = reject(noise, basis, n);
        for (size_t e = 0; e < VALUES; e++) dot += next[e] * noise[e];
        assert_close(dot / (own * own), std_of[step], 1e-9);
        assert_close(left, std_of[step] * own, 1e-9);
    }
    keep_free(&k);
}

static void set_up_linear(fixture *f, double init[VALUES])
{
    set_up(f, 1e-2);
    f->model.type.eval = linear_eval;
    vpsde_normals(init, 8, VPSDE_NOISE_TEST, 0, MANY, 0, DIM);
    f->run.init = init;
    f->run.count = MANY;
}

static void the_states_show_widths(void **state)
{
    (void)state;
    fixture f;
    double init[VALUES];
    size_t n = 0;
    set_up_linear(&f, init);
    for (int to_data = 0; to_data < 2; to_data++) {
        if (to_data) end_at_data(&f);
        n += for_all_forms(&f, check_widths);
    }
    tear_down(&f);
    assert_true(n >= 40);
}

static void what_has_no_kernel_says_so(void **state)
{
    (void)state;
    static const char *const without[] = {"sra1",          "seeds-2", "stochastic-heun",
                                          "pc-langevin",   "shark",   "sde-dpmpp-3m",
                                          "gotta-go-fast", "pc-mala", "sra3"};
    fixture f;
    keep k;
    set_up(&f, 1e-2);
    f.run.rtol = f.run.atol = 1e-2;
    for (size_t s = 0; s < sizeof(without) / sizeof(*without); s++) {
        f.run.solver = vpsde_solver_find(without[s]);
        f.run.log.n_times = 3;
        if (f.run.solver->needs & ~f.run.model->type->flags) continue;
        assert_fails(sample(&k, &f.run), VPSDE_EINVAL,
                     "is no draw from one Gaussian of known width");
        keep_free(&k);
    }
    double param[VPSDE_PARAM_MAX];
    f.run.solver = vpsde_solver_find("ancestral");
    set_params(param, f.run.solver, "variance=large");
    f.run.param = param;
    check_form((f.run.log.n_times = SIZE_MAX, &f), param);
    f.run.param = NULL;
    f.run.solver = vpsde_solver_find("ddim");
    assert_ok(sample(&k, &f.run));
    assert_null(keep_column(&k, "kernel_mean"));
    assert_null(keep_column(&k, "noise"));
    keep_free(&k);
    tear_down(&f);
}

static void judges_are_resampled_within_classes(void **state)
{
    (void)state;
    enum { SAMPLES = 200, CLASSES = 5 };
    uint8_t times[SAMPLES];
    vpsde_judges j;
    bool differ = false;
    assert_ok(vpsde_judges_choose(&j, SAMPLES, CLASSES, 7));
    assert_int_equal(j.n, SAMPLES / 2);
    assert_int_equal(j.n_strata, CLASSES);
    for (size_t q = 0; q < 50; q++) {
        size_t of[CLASSES] = {0};
        memset(times, 0, sizeof(times));
        vpsde_judges_deal(&j, q, times);
        for (size_t i = 0; i < SAMPLES; i++) {
            of[i % CLASSES] += times[i];
            differ |= times[i] > 1;
            assert_true(times[i] == 0 || i / CLASSES % 2 == 1);
        }
        for (size_t c = 0; c < CLASSES; c++) assert_int_equal(of[c], SAMPLES / 2 / CLASSES);
    }
    assert_true(differ);
    vpsde_judges_close(&j);
    assert_ok(vpsde_judges_choose(&j, 11, CLASSES, 7)); /* one judge a class */
    assert_int_equal(j.n_strata, 1);
    vpsde_judges_close(&j);
    assert_ok(vpsde_judges_choose(&j, 9, 0, 7));
    assert_int_equal(j.n, 4);
    vpsde_judges_close(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_tells_kernels),
        cmocka_unit_test(the_states_show_widths),
        cmocka_unit_test(what_has_no_kernel_says_so),
        cmocka_unit_test(judges_are_resampled_within_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
