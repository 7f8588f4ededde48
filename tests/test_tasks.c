/* Encoding: the probability-flow ODE from data to noise, and back; spherical interpolation. */
#include "tests/toy.h"

#include "analysis/metrics.h"
#include "core/slerp.h"
#include "core/vec.h"

enum { ROWS = 21, D = 2 };
static const double mu = 0.7, variance = 0.3;

static vpsde_grid *make_grid(const vpsde_process *process, size_t n, vpsde_last_step last_step)
{
    vpsde_grid *grid;
    assert_ok(vpsde_grid_create(&grid, vpsde_grid_find("uniform-lambda"), process, n, NULL, NULL,
                                last_step));
    return grid;
}

static vpsde_grid *make_reversed(const vpsde_process *process, size_t n)
{
    vpsde_grid *down = make_grid(process, n, VPSDE_LAST_STOP), *up;
    assert_ok(vpsde_grid_reversed(&up, down));
    assert_true(vpsde_grid_encodes(up) && !vpsde_grid_encodes(down));
    for (size_t k = 0; k <= n; k++) assert_memory_equal(&up->node[k], &down->node[n - k], 8);
    vpsde_grid_destroy(down);
    return up;
}

/* The flow of N(mu, v): w(x) = alpha' mu + sqrt(V'/V) (x - alpha mu), V = alpha^2 v + sigma^2. */
static double flow_map(const vpsde_coef *from, const vpsde_coef *to, double x)
{
    const double v = from->alpha * from->alpha * variance + from->sigma * from->sigma;
    const double v1 = to->alpha * to->alpha * variance + to->sigma * to->sigma;
    return to->alpha * mu + sqrt(v1 / v) * (x - from->alpha * mu);
}

static void fill_rows(double *x, size_t n)
{
    vpsde_normals(x, 5, VPSDE_NOISE_TEST, 0, n / D, 0, D);
    for (size_t e = 0; e < n; e++) x[e] = mu + sqrt(variance) * x[e];
}

/* Largest error of the run's final states against the closed form. */
static double encode_error(const vpsde_sampling *run)
{
    double z[ROWS * D], most = 0;
    assert_ok(vpsde_sample_array(run, z));
    const vpsde_grid *g = run->grid;
    for (size_t e = 0; e < run->count * D; e++) {
        const double exact = flow_map(&g->node[0], &g->node[g->n_steps], run->init[e]);
        most = fmax(most, fabs(z[e] - exact));
    }
    return most;
}

static void check_slope(vpsde_sampling *run, const char *form, double order)
{
    vpsde_grid *coarse = make_reversed(run->process, 80);
    vpsde_grid *fine = make_reversed(run->process, 160);
    run->grid = coarse;
    const double before = encode_error(run);
    run->grid = fine;
    const double after = encode_error(run), slope = log2(before / after);
    if (slope < order - 0.35) {
        fail_msg("%s {%s}: encodes with order %.2f, declared %g (errors %.2g, %.2g)",
                 run->solver->name, form, slope, order, before, after);
    }
    vpsde_grid_destroy(coarse);
    vpsde_grid_destroy(fine);
}

/* Every deterministic form of every fixed-step solver goes both ways with the order it declares. */
static void every_form_encodes_with_its_order(void **state)
{
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    toy model;
    double x[ROWS * D];
    size_t n_checked = 0;
    (void)state;
    toy_gaussian(&model, D, mu, variance, VPSDE_MODEL_ANALYTIC, 0);
    fill_rows(x, ROWS * D);
    for (size_t s = 0; vpsde_solver_at(s); s++) {
        const vpsde_solver_type *solver = vpsde_solver_at(s);
        for (size_t f = 0; solver->step && (f == 0 || (solver->forms && solver->forms[f - 1]));
             f++) {
            const char *form = f ? solver->forms[f - 1] : "";
            double param[VPSDE_PARAM_MAX];
            vpsde_orders order;
            vpsde_param_defaults(param, solver->params);
            if (f) assert_ok(vpsde_param_parse(param, solver->params, form));
            vpsde_solver_orders(solver, param, &order, NULL);
            if (vpsde_solver_is_stochastic(solver, param) || !(order.ode > 0)) continue;
            vpsde_sampling run = {.process = process,
                                  .model = &model.model,
                                  .solver = solver,
                                  .param = param,
                                  .count = ROWS,
                                  .init = x,
                                  .n_threads = 1};
            check_slope(&run, form, order.ode);
            n_checked++;
        }
    }
    assert_true(n_checked >= 20);
    vpsde_process_destroy(process);
}

/* In proportion to the tolerance: measured 0.001 (gsl-rk8pd) to 100 (gsl-msadams) times. */
static void every_integrator_encodes_the_closed_form(void **state)
{
    static const double tolerances[] = {1e-6, 1e-9};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *up = make_reversed(process, 4);
    toy model;
    double x[ROWS * D];
    (void)state;
    toy_gaussian(&model, D, mu, variance, VPSDE_MODEL_ANALYTIC, 0);
    fill_rows(x, ROWS * D);
    for (size_t s = 0; vpsde_solver_at(s); s++) {
        for (size_t t = 0; vpsde_solver_at(s)->integrate && t < 2; t++) {
            const vpsde_sampling run = {.process = process,
                                        .model = &model.model,
                                        .solver = vpsde_solver_at(s),
                                        .rtol = tolerances[t],
                                        .atol = tolerances[t],
                                        .grid = up,
                                        .count = ROWS,
                                        .init = x,
                                        .n_threads = 1};
            const double error = encode_error(&run) / tolerances[t];
            if (error > 200) fail_msg("%s: off by %.3g tolerances", run.solver->name, error);
        }
    }
    vpsde_grid_destroy(up);
    vpsde_process_destroy(process);
}

/* ---- there and back ---------------------------------------------------------------------------- */

enum { TRIP_ROWS = 1000, TRIP_DIM = 8 };

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Data -> latents -> data as the verbs do it (a tenth of the tolerance): median within 10 and 99 %
 * within 50 tolerances. */
static void check_round_trip(const vpsde_process *process, const vpsde_model *model,
                             const char *solver, double tolerance)
{
    static double x[TRIP_ROWS * TRIP_DIM], z[TRIP_ROWS * TRIP_DIM], back[TRIP_ROWS * TRIP_DIM];
    double error[TRIP_ROWS];
    const size_t d = model->dim;
    vpsde_grid *down = make_grid(process, 4, VPSDE_LAST_STOP), *up;
    assert_ok(vpsde_grid_reversed(&up, down));
    assert_ok(model->type->draw(model, &up->node[0], 11, VPSDE_NOISE_TEST, 0, TRIP_ROWS, x));
    vpsde_sampling run = {.process = process,
                          .model = model,
                          .solver = vpsde_solver_find(solver),
                          .rtol = 0.1 * tolerance,
                          .atol = 0.1 * tolerance,
                          .grid = up,
                          .count = TRIP_ROWS,
                          .init = x,
                          .n_threads = 2};
    assert_ok(vpsde_sample_array(&run, z));
    run.grid = down;
    run.init = z;
    assert_ok(vpsde_sample_array(&run, back));
    for (size_t i = 0; i < TRIP_ROWS; i++) {
        error[i] = 0;
        for (size_t j = 0; j < d; j++) {
            error[i] = fmax(error[i], fabs(back[i * d + j] - x[i * d + j]) / tolerance);
        }
    }
    qsort(error, TRIP_ROWS, sizeof(*error), ascending);
    const double median = vpsde_quantile(error, TRIP_ROWS, 0.5);
    const double p99 = vpsde_quantile(error, TRIP_ROWS, 0.99);
    if (!(median <= 10 && p99 <= 50)) {
        fail_msg("%s at %g in %zu dimensions: median %.3g, 99 %% %.3g tolerances", solver,
                 tolerance, d, median, p99);
    }
    vpsde_grid_destroy(down);
    vpsde_grid_destroy(up);
}

/* experiments/ring.yaml, and three Gaussians in 8 dimensions. */
static void make_models(vpsde_model *model[2])
{
    double weight[8], mean[3 * TRIP_DIM], cov[8 * 4] = {0}, wide[3 * TRIP_DIM * TRIP_DIM] = {0};
    for (size_t k = 0; k < 8; k++) {
        weight[k] = 0.125;
        mean[2 * k] = cos(0.7853981633974483 * (double)k);
        mean[2 * k + 1] = sin(0.7853981633974483 * (double)k);
        cov[4 * k] = cov[4 * k + 3] = 0.01;
    }
    assert_ok(vpsde_gaussian_mixture_create(&model[0], 8, 2, weight, mean, cov));
    static const double weights[3] = {0.2, 0.3, 0.5}, variances[3] = {0.05, 0.2, 0.1};
    for (size_t e = 0; e < 3 * TRIP_DIM; e++) mean[e] = 1.5 * sin(1.7 * (double)(e + 1));
    for (size_t k = 0; k < 3; k++) {
        for (size_t j = 0; j < TRIP_DIM; j++) {
            wide[(k * TRIP_DIM + j) * TRIP_DIM + j] = variances[k];
        }
    }
    assert_ok(vpsde_gaussian_mixture_create(&model[1], 3, TRIP_DIM, weights, mean, wide));
}

static void decoding_returns_the_data(void **state)
{
    static const char *const solvers[] = {"dopri5", "gsl-rk8pd", "cvode-adams"};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model[2];
    (void)state;
    make_models(model);
    for (size_t m = 0; m < 2; m++) {
        for (size_t s = 0; s < 3; s++) {
            check_round_trip(process, model[m], solvers[s], 1e-5);
            check_round_trip(process, model[m], solvers[s], 1e-7);
        }
        vpsde_model_destroy(model[m]);
    }
    vpsde_process_destroy(process);
}

/* ---- promises ---------------------------------------------------------------------------------- */

static const char *const some[] = {"ddim", "dpmpp-3m", "dopri5", "cvode-adams"};
enum { N_SOME = sizeof(some) / sizeof(some[0]) };

static vpsde_sampling some_run(const vpsde_process *process, const vpsde_model *model, size_t s,
                               const vpsde_grid *up, const double *x)
{
    return (vpsde_sampling){.process = process,
                            .model = model,
                            .solver = vpsde_solver_find(some[s]),
                            .rtol = 1e-6,
                            .atol = 1e-6,
                            .grid = up,
                            .count = ROWS,
                            .init = x,
                            .n_threads = 1};
}

/* A latent has the same bits alone, beside any neighbours, from a network in blocks, with any number
 * of threads, logged or not. */
static void a_latent_depends_on_its_row_alone(void **state)
{
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *up = make_reversed(process, 12);
    toy closed, network;
    double x[ROWS * D], all[ROWS * D], z[ROWS * D];
    (void)state;
    toy_mixture(&closed, VPSDE_MODEL_ANALYTIC, 0);
    toy_mixture(&network, 0, 4);
    fill_rows(x, ROWS * D);
    for (size_t s = 0; s < N_SOME; s++) {
        vpsde_sampling run = some_run(process, &closed.model, s, up, x);
        assert_ok(vpsde_sample_array(&run, all));
        run.model = &network.model;
        run.n_threads = 3;
        run.log = (vpsde_log){.n_times = 5, .fields = VPSDE_LOG_X | VPSDE_LOG_EPS};
        assert_ok(vpsde_sample_array(&run, z));
        assert_memory_equal(z, all, sizeof(all));
        run.log.n_times = 0;
        run.first = 5;
        run.count = 1;
        run.init = x + 7 * D;
        assert_ok(vpsde_sample_array(&run, z));
        assert_memory_equal(z, all + 7 * D, D * sizeof(double));
    }
    vpsde_grid_destroy(up);
    vpsde_process_destroy(process);
}

typedef struct seen {
    double first[D], last[D], final[D], t[2];
    size_t x_column, final_column, n_times;
    bool direction;
} seen;

static vpsde_status see_table(void *self, const vpsde_table *table)
{
    seen *v = self;
    for (size_t c = 0; c < table->n_columns; c++) {
        if (strcmp(table->columns[c].name, "x") == 0) v->x_column = c;
        if (strcmp(table->columns[c].name, "final") == 0) v->final_column = c;
    }
    for (size_t f = 0; f < table->n_facts; f++) {
        if (strcmp(table->facts[f].name, "direction") != 0) continue;
        v->direction = strcmp(table->facts[f].text, "data-to-noise") == 0;
    }
    const vpsde_axis *time = &table->axes[0];
    assert_string_equal(time->name, "time");
    assert_string_equal(time->description, "stored node, data to noise");
    v->n_times = time->length;
    v->t[0] = time->coordinates[0].values[0];
    v->t[1] = time->coordinates[0].values[time->length - 1];
    return VPSDE_OK;
}

static vpsde_status see_rows(void *self, size_t first, size_t n, const void *const *data)
{
    seen *v = self;
    const double *x = data[v->x_column];
    (void)n;
    if (first > 0) return VPSDE_OK;
    vec_copy(D, v->first, x);
    vec_copy(D, v->last, x + (v->n_times - 1) * D);
    vec_copy(D, v->final, data[v->final_column]);
    return VPSDE_OK;
}

static vpsde_status see_end(void *self, const vpsde_fact *facts, size_t n)
{
    (void)self, (void)facts, (void)n;
    return VPSDE_OK;
}

static void the_log_goes_from_data_to_noise(void **state)
{
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *up = make_reversed(process, 12);
    toy model;
    double x[ROWS * D];
    (void)state;
    toy_mixture(&model, VPSDE_MODEL_ANALYTIC, 0);
    fill_rows(x, ROWS * D);
    for (size_t s = 0; s < N_SOME; s++) {
        seen v = {0};
        vpsde_sink sink = {.self = &v, .begin = see_table, .write = see_rows, .end = see_end};
        vpsde_sampling run = some_run(process, &model.model, s, up, x);
        run.log = (vpsde_log){.n_times = 4, .fields = VPSDE_LOG_X | VPSDE_LOG_X0};
        assert_ok(vpsde_sample(&run, &sink));
        assert_true(v.direction && v.n_times == 4);
        assert_true(v.t[0] == up->node[0].t && v.t[1] == up->node[12].t);
        assert_memory_equal(v.first, x, sizeof(v.first));
        assert_memory_equal(v.last, v.final, sizeof(v.last));
    }
    vpsde_grid_destroy(up);
    vpsde_process_destroy(process);
}

static void refuse(const vpsde_sampling *run, const char *solver, const vpsde_grid *down,
                   const char *words)
{
    double z[ROWS * D];
    vpsde_grid *up;
    vpsde_sampling with = *run;
    assert_ok(vpsde_grid_reversed(&up, down));
    with.grid = up;
    with.solver = vpsde_solver_find(solver);
    assert_fails(vpsde_sample_array(&with, z), VPSDE_EINVAL, words);
    vpsde_grid_destroy(up);
}

static void what_cannot_encode_is_told(void **state)
{
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_process *to_zero = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    vpsde_grid *down = make_grid(process, 4, VPSDE_LAST_STOP), *zero;
    vpsde_grid *tweedie = make_grid(process, 4, VPSDE_LAST_TWEEDIE);
    vpsde_grid *euler = make_grid(process, 4, VPSDE_LAST_EULER);
    toy model;
    double x[ROWS * D];
    (void)state;
    toy_mixture(&model, VPSDE_MODEL_ANALYTIC, 0);
    fill_rows(x, ROWS * D);
    assert_ok(vpsde_grid_create(&zero, vpsde_grid_find("uniform-t"), to_zero, 4, NULL, NULL,
                                VPSDE_LAST_STOP));
    vpsde_sampling run = some_run(process, &model.model, 0, down, x);
    refuse(&run, "euler-maruyama", down,
           "euler-maruyama cannot encode: the way from data to noise");
    refuse(&run, "dpm-adaptive", down, "dpm-adaptive cannot encode");
    refuse(&run, "ddim", tweedie,
           "last_step: encoding begins at t_min; expected stop, got tweedie");
    refuse(&run, "dopri5", euler, "expected stop, got euler");
    run.process = to_zero;
    refuse(&run, "heun", zero, "heun has no step from t = 0");
    run.process = process;
    run.init = NULL;
    refuse(&run, "ddim", down, "must be given");
    vpsde_grid_destroy(down);
    vpsde_grid_destroy(zero);
    vpsde_grid_destroy(tweedie);
    vpsde_grid_destroy(euler);
    vpsde_process_destroy(process);
    vpsde_process_destroy(to_zero);
}

/* An integrator starts at sigma = 0 itself where the model is known there. */
static void integrators_encode_from_t_0(void **state)
{
    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    vpsde_grid *down, *up;
    toy model;
    double x[ROWS * D];
    (void)state;
    toy_gaussian(&model, D, mu, variance, VPSDE_MODEL_ANALYTIC, 0);
    fill_rows(x, ROWS * D);
    assert_ok(vpsde_grid_create(&down, vpsde_grid_find("uniform-t"), process, 4, NULL, NULL,
                                VPSDE_LAST_STOP));
    assert_ok(vpsde_grid_reversed(&up, down));
    vpsde_sampling run = some_run(process, &model.model, 2, up, x);
    assert_true(encode_error(&run) < 1e-4);
    vpsde_grid_destroy(down);
    vpsde_grid_destroy(up);
    vpsde_process_destroy(process);
}

/* ---- spherical interpolation -------------------------------------------------------------------- */

static double length(size_t d, const double *x) { return sqrt(vec_dot(d, x, x)); }

static void slerp_follows_the_great_circle(void **state)
{
    static const double a[3] = {2, 0, 0}, b[3] = {0, 2, 0}, c[3] = {0, 0, 6};
    double out[3];
    (void)state;
    vpsde_slerp(3, out, a, b, 0.25);
    assert_close(out[0], 2 * cos(0.39269908169872414), 1e-15);
    assert_close(out[1], 2 * sin(0.39269908169872414), 1e-15);
    vpsde_slerp(3, out, a, c, 0.5); /* the norm half way between 2 and 6 */
    assert_close(out[0], 4 * 0.7071067811865476, 1e-14);
    assert_close(out[2], 4 * 0.7071067811865476, 1e-14);
    vpsde_slerp(3, out, a, c, 0);
    assert_memory_equal(out, a, sizeof(a));
    vpsde_slerp(3, out, a, c, 1);
    assert_memory_equal(out, c, sizeof(c));
}

/* At every angle the norm is that of the ends, and steps are of equal length. */
static void slerp_is_safe_at_every_angle(void **state)
{
    const double pi = 3.14159265358979323846;
    const double angles[] = {0, 1e-300, 1e-16,     1e-9,         0.99e-7,      1.01e-7,    1e-4, 1,
                             2, 3,      pi - 1e-4, pi - 1.01e-7, pi - 0.99e-7, pi - 1e-12, pi};
    (void)state;
    for (size_t i = 0; i < sizeof(angles) / sizeof(angles[0]); i++) {
        const double theta = angles[i], a[2] = {3 * cos(0.3), 3 * sin(0.3)};
        const double b[2] = {3 * cos(0.3 + theta), 3 * sin(0.3 + theta)};
        double last[2], out[2], step = 2 * 3 * sin(theta / 8);
        vec_copy(2, last, a);
        for (size_t k = 1; k <= 4; k++) {
            vpsde_slerp(2, out, a, b, (double)k / 4);
            const double moved[2] = {out[0] - last[0], out[1] - last[1]};
            assert_close(length(2, out), 3, 1e-8);
            assert_close(length(2, moved), step, 1e-6);
            vec_copy(2, last, out);
        }
    }
}

static void slerp_takes_what_has_no_direction(void **state)
{
    static const double zero[2] = {0, 0}, a[2] = {1, 2}, one[1] = {1}, minus[1] = {-3};
    double out[2];
    (void)state;
    vpsde_slerp(2, out, zero, a, 0.5);
    assert_true(out[0] == 0.5 && out[1] == 1);
    vpsde_slerp(2, out, zero, zero, 0.5);
    assert_true(out[0] == 0 && out[1] == 0);
    vpsde_slerp(1, out, one, minus, 0.25); /* a circle of one dimension is two points */
    assert_true(isfinite(out[0]));
    vpsde_slerp(1, out, one, minus, 1);
    assert_true(out[0] == -3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_encodes_with_its_order),
        cmocka_unit_test(every_integrator_encodes_the_closed_form),
        cmocka_unit_test(decoding_returns_the_data),
        cmocka_unit_test(a_latent_depends_on_its_row_alone),
        cmocka_unit_test(the_log_goes_from_data_to_noise),
        cmocka_unit_test(what_cannot_encode_is_told),
        cmocka_unit_test(integrators_encode_from_t_0),
        cmocka_unit_test(slerp_follows_the_great_circle),
        cmocka_unit_test(slerp_is_safe_at_every_angle),
        cmocka_unit_test(slerp_takes_what_has_no_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
