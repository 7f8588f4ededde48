/* Grids that calibrate themselves, and every grid with every last step on runs of few steps. */
#include "tests/toy.h"

#include "solvers/driver.h"
#include "tests/sde_cases.h"

static const double mu = 1, v = 0.25; /* toy_gaussian */
static const unsigned flags = VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW;

static vpsde_grid *calibrated(const vpsde_process *p, const vpsde_model *model, size_t n,
                              const double *param, size_t n_threads)
{
    vpsde_grid *grid;
    const vpsde_sampling run = {.process = p, .model = model, .seed = 11, .n_threads = n_threads};
    assert_ok(vpsde_grid_calibrate(&grid, vpsde_grid_find("equal-dissipation"), &run, n, param,
                                   NULL, VPSDE_LAST_STOP));
    return grid;
}

static double variance_at(double b) { return exp(-b) * v - expm1(-b); }

static double free_energy(double b, double mean)
{
    const double V = variance_at(b);
    return 0.5 * (V + exp(-b) * mean * mean - 1 - log(V));
}

static double uncertainty(double b) { return -0.5 * log(-expm1(-b) / variance_at(b)); }

/* Of a centred Gaussian the pilots know the rate but for one factor, <z^2>, which equal shares do not
 * feel: what is left is the first-order error of their DDIM, which falls with the nodes. */
static void centred_gaussian_to_first_order(void **state)
{
    (void)state;
    enum { N = 10 };
    static const double nodes[2] = {128, 512};
    toy m;
    double worst[2] = {0};
    toy_gaussian(&m, 1, 0, v, flags, 0);
    vpsde_process *p = case_process("vp-linear", 1e-3);
    for (size_t level = 0; level < 2; level++) {
        const double param[2] = {0, nodes[level]};
        vpsde_grid *grid = calibrated(p, &m.model, N, param, 1);
        const double all = free_energy(grid->node[N].b, 0) - free_energy(grid->node[0].b, 0);
        for (size_t k = 1; k < N; k++) {
            const double share =
                (free_energy(grid->node[k].b, 0) - free_energy(grid->node[0].b, 0)) / all;
            worst[level] = fmax(worst[level], fabs(share - (double)k / N));
        }
        assert_int_equal(grid->pilot_nfe, VPSDE_PILOT_SAMPLES * ((size_t)nodes[level] + 1));
        vpsde_grid_destroy(grid);
    }
    assert_true(worst[0] < 0.006);
    assert_close(log2(worst[0] / worst[1]) / 2, 1, 0.15);
    vpsde_process_destroy(p);
}

/* With a mean, rate = (alpha mu + a z)^2/2, a = sqrt(V) (1 - 1/V), the same z at all nodes: F as the
 * pilots see it is A + 2 <z> B + <z^2> C, of known variance. For the entropy it is exactly linear in
 * <z> and <z^2> too; its bound is measured in the same way. */
static void gaussian_within_the_pilots_statistics(void **state)
{
    (void)state;
    enum { N = 8, FINE = 4000 };
    static double B[FINE + 1], C[FINE + 1];
    const double param[2] = {0, 512};
    toy m;
    toy_gaussian(&m, 1, mu, v, flags, 0);
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *grid = calibrated(p, &m.model, N, param, 2);
    const vpsde_coef *first = &grid->node[0], *last = &grid->node[N];
    for (size_t q = 0; q < FINE; q++) {
        const double h = (last->lambda - first->lambda) / FINE;
        const vpsde_coef c = vpsde_process_at_lambda(p, first->lambda + ((double)q + 0.5) * h);
        const double V = variance_at(c.b), a = sqrt(V) * (1 - 1 / V);
        const double db = 2 * c.sigma * c.sigma * h;
        B[q + 1] = B[q] + 0.5 * c.alpha * mu * a * db;
        C[q + 1] = C[q] + 0.5 * a * a * db;
    }
    const double from = free_energy(first->b, mu), all = free_energy(last->b, mu) - from;
    for (size_t k = 1; k < N; k++) {
        const size_t q = (size_t)lround((grid->node[k].lambda - first->lambda) /
                                        (last->lambda - first->lambda) * FINE);
        const double share = (free_energy(grid->node[k].b, mu) - from) / all;
        const double dB = (B[q] - share * B[FINE]) / all, dC = (C[q] - share * C[FINE]) / all;
        const double variance = (4 * dB * dB + 2 * dC * dC) / VPSDE_PILOT_SAMPLES;
        assert_close(share, (double)k / N, 6 * sqrt(variance) + 0.002); /* + DDIM's bias, above */
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void entropy_of_a_gaussian(void **state)
{
    (void)state;
    enum { N = 10 };
    const double param[2] = {1, 512};
    toy m;
    toy_gaussian(&m, 3, 0, v, flags, 0);
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *grid = calibrated(p, &m.model, N, param, 1);
    const double from = uncertainty(grid->node[0].b), all = uncertainty(grid->node[N].b) - from;
    for (size_t k = 1; k < N; k++) {
        /* sigma^2 x.(x/V) - sigma^2 |x|^2/V^2 = sigma^2 (1 - 1/V) z^2: relative error of z^2 over 768
         * numbers, 5 %, of a part of the rate that is below 1 in 6 of the whole */
        const double share = (uncertainty(grid->node[k].b) - from) / all;
        assert_close(share, (double)k / N, 6 * sqrt(2.0 / (3 * VPSDE_PILOT_SAMPLES)) / 6 + 0.002);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void calibration_does_not_depend_on_threads(void **state)
{
    (void)state;
    toy network;
    toy_mixture(&network, 0, 32);
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *one = calibrated(p, &network.model, 12, NULL, 1),
               *two = calibrated(p, &network.model, 12, NULL, 2);
    assert_memory_equal(one->node, two->node, 13 * sizeof(*one->node));
    assert_true(one->param[1] == 128 && one->pilot_nfe == two->pilot_nfe);
    vpsde_grid_destroy(one);
    vpsde_grid_destroy(two);
    vpsde_process_destroy(p);
}

/* What the calibration spent is a fact of the run, with the grid's parameters. */
static vpsde_status count_begin(void *self, const vpsde_table *table)
{
    double *seen = self;
    for (size_t f = 0; f < table->n_facts; f++) {
        const vpsde_fact *fact = &table->facts[f];
        if (strcmp(fact->name, "pilot_nfe") == 0) seen[0] = fact->number;
        if (strcmp(fact->name, "grid_pilot_nodes") == 0) seen[1] = fact->number;
        if (strcmp(fact->name, "grid_rate") == 0) seen[2] = strcmp(fact->text, "entropy") == 0;
        if (strcmp(fact->name, "dynamic_threshold_min") == 0) seen[3] = fact->number;
    }
    return VPSDE_OK;
}

static vpsde_status count_write(void *self, size_t first, size_t n, const void *const *data)
{
    (void)self, (void)first, (void)n, (void)data;
    return VPSDE_OK;
}

static vpsde_status count_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self, (void)provenance, (void)n_facts;
    return VPSDE_OK;
}

static void the_run_says_what_was_spent(void **state)
{
    (void)state;
    const double param[2] = {1, 16};
    double seen[4] = {0};
    toy m;
    toy_mixture(&m, flags, 0);
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *grid = calibrated(p, &m.model, 5, param, 1);
    vpsde_sink sink = {.self = seen, .begin = count_begin, .write = count_write, .end = count_end};
    vpsde_sampling run = {.process = p,
                          .model = &m.model,
                          .solver = vpsde_solver_find("ddim"),
                          .grid = grid,
                          .count = 3,
                          .clip = {.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0.9, .min = 4}};
    assert_ok(vpsde_sample(&run, &sink));
    assert_true(seen[0] == 17 * VPSDE_PILOT_SAMPLES && seen[1] == 16 && seen[2] == 1);
    assert_true(seen[3] == 4);
    run.solver = vpsde_solver_find("pc-langevin"); /* whose own pilots come on top */
    assert_ok(vpsde_sample(&run, &sink));
    assert_true(seen[0] == (17 + 6) * VPSDE_PILOT_SAMPLES);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* ---- every grid, last step and schedule on few steps ------------------------------------------- */

static void check_nodes(const vpsde_grid *grid, const vpsde_process *p, size_t n,
                        vpsde_last_step last)
{
    const bool to_data = last == VPSDE_LAST_EULER;
    assert_true(grid->n_steps == n + to_data || (to_data && n > 1 && grid->n_steps == n));
    assert_true(grid->node[0].t == vpsde_process_t_max(p));
    assert_true(grid->node[grid->n_steps].t == (to_data ? 0 : vpsde_process_get_spec(p)->t_min));
    for (size_t k = 0; k < grid->n_steps; k++) {
        assert_true(grid->node[k + 1].t < grid->node[k].t);
        assert_true(grid->node[k + 1].lambda > grid->node[k].lambda);
    }
}

static void check_samples(const vpsde_process *p, const vpsde_model *model, const vpsde_grid *grid)
{
    static const char *const solvers[] = {"ddim", "heun", "ancestral"};
    double x[8];
    for (size_t s = 0; s < sizeof(solvers) / sizeof(solvers[0]); s++) {
        const vpsde_sampling run = {.process = p,
                                    .model = model,
                                    .solver = vpsde_solver_find(solvers[s]),
                                    .grid = grid,
                                    .count = 4,
                                    .n_threads = 1};
        assert_ok(vpsde_sample_array(&run, x));
        for (size_t e = 0; e < 8; e++) assert_true(isfinite(x[e]));
    }
}

/* In words that name the grid. */
static void check_refusal(vpsde_status status, const char *grid, const vpsde_grid *made)
{
    assert_int_equal(status, VPSDE_EINVAL);
    assert_null(made);
    assert_non_null(strstr(vpsde_last_error(), grid));
}

static void few_steps_work_with_every_grid(void **state)
{
    static const char *const schedules[] = {"vp-linear", "ddpm-linear", "cosine"};
    static const size_t steps[] = {1, 2, 3, 999, 1000};
    (void)state;
    toy m;
    vpsde_model *with_tangents;
    toy_mixture(&m, flags, 0);
    assert_ok(vpsde_gaussian_mixture_create(&with_tangents, 1, 1, (double[]){1}, (double[]){1},
                                            (double[]){0.25}));
    for (size_t s = 0; s < 3; s++) {
        vpsde_process *p = case_process(schedules[s], 1e-3);
        const double t_max = vpsde_process_t_max(p);
        vpsde_sampling run = {.process = p, .n_threads = 1};
        for (size_t i = 0; i < 5 * 4; i++) {
            const size_t n = steps[i / 4];
            const vpsde_last_step last = (vpsde_last_step)(i % 4);
            double times[1001];
            for (size_t k = 0; k <= n; k++) {
                times[k] = k == n ? 1e-3 : t_max * pow(1e-3 / t_max, (double)k / (double)n);
            }
            const vpsde_grid_type *type;
            for (size_t g = 0; (type = vpsde_grid_at(g)) != NULL; g++) {
                vpsde_grid *grid;
                run.model = type->by_metric ? with_tangents : &m.model;
                const vpsde_status status = vpsde_grid_calibrate(
                    &grid, type, &run, n, NULL, type->takes_times ? times : NULL, last);
                if (n > 3 && status != VPSDE_OK) {
                    check_refusal(status, type->name, grid);
                    continue;
                }
                assert_ok(status);
                check_nodes(grid, p, n, last);
                if (n <= 3) check_samples(p, &m.model, grid);
                vpsde_grid_destroy(grid);
            }
        }
        vpsde_process_destroy(p);
    }
    vpsde_model_destroy(with_tangents);
}

static void calibration_that_cannot_be(void **state)
{
    (void)state;
    toy standard, poisoned;
    vpsde_grid *grid;
    const double few[2] = {0, 3};
    const vpsde_grid_type *type = vpsde_grid_find("equal-dissipation");
    vpsde_process *p = case_process("vp-linear", 1e-3), *zero = case_process("vp-linear", 0);
    toy_gaussian(&standard, 2, 0, 1, flags, 0);
    toy_gaussian(&poisoned, 2, 0, 1, flags, 0);
    poisoned.poison = 1e-300;
    vpsde_sampling run = {.process = p, .model = &poisoned.model};
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_ENUMERIC, "grid equal-dissipation: pilot samples: E|s|^2 at t = 1");
    assert_null(grid);
    run.model = &standard.model;
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, few, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "pilot_nodes: must be in [8, 4096], got 3");
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 0, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "steps: must be in");
    run.process = zero;
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "needs t_min > 0");
    run.model = NULL;
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "model is not set");
    volatile int stop = 1;
    run = (vpsde_sampling){.process = p, .model = &poisoned.model, .control = {.stop = &stop}};
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_ESTOPPED, "stopped");
    vpsde_process_destroy(p);
    vpsde_process_destroy(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(centred_gaussian_to_first_order),
        cmocka_unit_test(gaussian_within_the_pilots_statistics),
        cmocka_unit_test(entropy_of_a_gaussian),
        cmocka_unit_test(calibration_does_not_depend_on_threads),
        cmocka_unit_test(the_run_says_what_was_spent),
        cmocka_unit_test(few_steps_work_with_every_grid),
        cmocka_unit_test(calibration_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
