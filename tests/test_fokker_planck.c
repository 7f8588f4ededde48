/* Fokker-Planck on cells against closed forms: mixtures forward and reverse, wrong and guided scores
 * whose law is known, N(0, I) as the exact steady state, and what is refused. */
#include "tests/toy.h"

#include "solvers/fokker_planck_cells.h"

enum { CELLS_MAX = 1600 };
static const double both_ends[] = {1e-3, 1};

static vpsde_model *mixture(size_t d)
{
    static const double weights[] = {0.3, 0.7}, means[] = {-1, 0, 1, 0.5};
    static const double covariances[] = {0.4, 0, 0, 0.4, 0.6, 0, 0, 0.6};
    static const double means_1[] = {-1, 1}, variances_1[] = {0.05, 0.1};
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, d, weights, d == 1 ? means_1 : means,
                                            d == 1 ? variances_1 : covariances));
    return model;
}

static vpsde_fokker_planck run_of(const vpsde_model *model, const vpsde_process *process,
                                  vpsde_fp_direction direction, size_t cells)
{
    return (vpsde_fokker_planck){.direction = direction,
                                 .process = process,
                                 .model = model,
                                 .low = {-7, -7},
                                 .high = {7, 7},
                                 .cells = {cells, cells},
                                 .times = both_ends,
                                 .n_times = 2,
                                 .tolerance = 1e-9,
                                 .class = -1,
                                 .n_threads = 1};
}

static void run_into(keep *k, const vpsde_fokker_planck *run)
{
    keep_init(k);
    assert_ok(vpsde_fokker_planck_run(run, &k->sink));
    assert_true(keep_complete(k));
    assert_int_equal(k->ended, 1);
}

static double number(const keep *k, const char *name, size_t time)
{
    const double *values = keep_column(k, name);
    assert_non_null(values);
    return values[time];
}

/* TV to the closed form at the run's end; mass and positivity on the way. */
static double distance(const vpsde_fokker_planck *run)
{
    keep k;
    run_into(&k, run);
    for (size_t time = 0; time < run->n_times; time++) {
        assert_close(number(&k, "mass", time), number(&k, "mass", 0), 1e-12);
        assert_true(number(&k, "min_density", time) > -1e-11);
    }
    const double tv = number(&k, "tv", run->n_times - 1);
    assert_close(number(&k, "tv", 0), 0, 1e-15);
    assert_close(number(&k, "mass_outside", 1), 0, 1e-10);
    assert_true(number(&k, "edge_mass", 1) < 1e-8);
    keep_free(&k);
    return tv;
}

/* ---- against mixtures ------------------------------------------------------------------------ */

static void the_error_falls_fourfold(void **state)
{
    (void)state;
    vpsde_model *model = mixture(1);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (int direction = 0; direction < VPSDE_N_FP_DIRECTIONS; direction++) {
        double before = 0;
        for (size_t cells = 200; cells <= 800; cells *= 2) {
            const vpsde_fokker_planck run = run_of(model, process, direction, cells);
            const double tv = distance(&run);
            if (before > 0) assert_close(before / tv, 4, 0.2);
            before = tv;
        }
        assert_true(before < 2e-4);
    }
    vpsde_process_destroy(process);
    vpsde_model_destroy(model);
}

static void two_dimensions_have_that_order_too(void **state)
{
    (void)state;
    vpsde_model *model = mixture(2);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (int direction = 0; direction < VPSDE_N_FP_DIRECTIONS; direction++) {
        vpsde_fokker_planck run = run_of(model, process, direction, 32);
        run.tolerance = 1e-7;
        const double coarse = distance(&run);
        run.cells[0] = run.cells[1] = 64;
        assert_close(coarse / distance(&run), 4, 0.2);
    }
    vpsde_process_destroy(process);
    vpsde_model_destroy(model);
}

/* Where the score is a sum over axes, so is A: the density is the product of its marginals. */
static void a_product_stays_one(void **state)
{
    (void)state;
    enum { NX = 60, NY = 40 };
    static const double one = 1, mean[] = {0.5, -1}, variance[] = {0.3, 0.6};
    static const double covariance[] = {0.3, 0, 0, 0.6};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_model *model;
    keep whole, part[2];
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 2, &one, mean, covariance));
    vpsde_fokker_planck run = run_of(model, process, VPSDE_FP_REVERSE, NX);
    run.cells[1] = NY;
    run.low[1] = -6;
    run_into(&whole, &run);
    vpsde_model_destroy(model);
    for (size_t a = 0; a < 2; a++) {
        assert_ok(vpsde_gaussian_mixture_create(&model, 1, 1, &one, &mean[a], &variance[a]));
        vpsde_fokker_planck along = run;
        along.model = model;
        along.low[0] = run.low[a];
        along.cells[0] = run.cells[a];
        run_into(&part[a], &along);
        vpsde_model_destroy(model);
    }
    const double *q = (const double *)keep_column(&whole, "density") + NX * NY;
    const double *x = (const double *)keep_column(&part[0], "density") + NX;
    const double *y = (const double *)keep_column(&part[1], "density") + NY;
    for (size_t e = 0; e < NX * NY; e++) assert_close(q[e], x[e / NY] * y[e % NY], 1e-7);
    keep_free(&whole);
    keep_free(&part[0]);
    keep_free(&part[1]);
    vpsde_process_destroy(process);
}

/* Forward from N(m, v): free energy, entropy, and the flux -(x p + p')/2 in closed form. */
static void a_gaussian_is_the_closed_form(void **state)
{
    (void)state;
    enum { CELLS = 800 };
    static const double one = 1, m = 0.5, v = 0.25, times[] = {1e-3, 0.2, 0.5};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_model *model;
    keep k;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 1, &one, &m, &v));
    vpsde_fokker_planck run = run_of(model, process, VPSDE_FP_FORWARD, CELLS);
    run.times = times;
    run.n_times = 3;
    run_into(&k, &run);
    const double *density = keep_column(&k, "density"), *flux = keep_column(&k, "flux");
    for (size_t time = 0; time < 3; time++) {
        const vpsde_coef c = vpsde_process_at(process, times[time]);
        const double V = c.alpha * c.alpha * v + c.sigma * c.sigma, mean = c.alpha * m;
        const double error = time == 0 ? 1e-10 : 2e-4; /* of order h^2 = 3e-4 once it has moved */
        assert_close(number(&k, "free_energy", time), 0.5 * (V - 1 - log(V) + mean * mean), error);
        assert_close(number(&k, "entropy", time), 0.5 * log(2 * M_PI * M_E * V), error);
        for (size_t e = 0; e < CELLS; e++) {
            const double x = -7 + ((double)e + 0.5) * 14 / CELLS;
            const double p = exp(-(x - mean) * (x - mean) / (2 * V)) / sqrt(2 * M_PI * V);
            assert_close(density[time * CELLS + e], p, time == 0 ? 1e-13 : 5e-4);
            assert_close(flux[time * CELLS + e], -(x - (x - mean) / V) * p / 2, 2e-3);
        }
    }
    keep_free(&k);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* A q = 0 for cells of N(0, I), to rounding. */
static void the_normal_law_stands_still(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (size_t d = 1; d <= 2; d++) {
        vpsde_model *model = mixture(d);
        const vpsde_fokker_planck run = run_of(model, process, VPSDE_FP_FORWARD, 40);
        vpsde_fp_cells cells;
        double q[CELLS_MAX], dq[CELLS_MAX], flux[2 * CELLS_MAX];
        assert_ok(vpsde_fp_cells_open(&cells, &run));
        const vpsde_linear_system system = vpsde_fp_cells_system(&cells);
        for (size_t e = 0; e < cells.n_cells; e++) {
            q[e] = exp(vpsde_prior_logp(cells.centre + e * d, d));
        }
        assert_ok(system.at(&cells, 0));
        system.apply(&cells, q, dq);
        vpsde_fp_cells_flux(&cells, q, flux);
        for (size_t e = 0; e < cells.n_cells; e++) assert_close(dq[e], 0, 1e-14);
        for (size_t e = 0; e < d * cells.n_cells; e++) assert_close(flux[e], 0, 1e-14);
        vpsde_fp_cells_close(&cells);
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* ---- wrong scores ---------------------------------------------------------------------------- */

static const double lam = 0.25, kappa = 1.1;

static double marginal(const vpsde_coef *c)
{
    return c->alpha * c->alpha * lam + c->sigma * c->sigma;
}

/* -x/(kappa V): the law stays Gaussian, and its variance obeys dv = (1 - 2/(kappa V)) v + 1. */
static int weak_score(void *context, size_t n, size_t dim, const vpsde_coef *c, const double *x,
                      double *score)
{
    (void)context;
    for (size_t e = 0; e < n * dim; e++) score[e] = -x[e] / (kappa * marginal(c));
    return 0;
}

static double slope(const vpsde_process *process, double b, double v)
{
    const vpsde_coef c = vpsde_process_at_b(process, b);
    return (1 - 2 / (kappa * marginal(&c))) * v + 1;
}

/* RK4 down from v = 1 at t = 1. */
static double weak_variance(const vpsde_process *process)
{
    enum { STEPS = 20000 };
    const double from = vpsde_process_at(process, 1).b, to = vpsde_process_at(process, 1e-3).b;
    const double h = (from - to) / STEPS;
    double v = 1;
    for (size_t k = 0; k < STEPS; k++) {
        const double b = to + (STEPS - (double)k) * h, half = b - h / 2;
        const double end = k + 1 == STEPS ? to : b - h;
        const double k1 = slope(process, b, v), k2 = slope(process, half, v + h / 2 * k1);
        const double k3 = slope(process, half, v + h / 2 * k2);
        v += h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(process, end, v + h * k3));
    }
    return v;
}

static double variance_of_cells(const keep *k, size_t cells)
{
    const double *q = (const double *)keep_column(k, "density") + cells, h = 14 / (double)cells;
    double mass = 0, square = 0;
    for (size_t e = 0; e < cells; e++) {
        const double x = -7 + ((double)e + 0.5) * h;
        mass += q[e];
        square += q[e] * x * x;
    }
    return square / mass;
}

static void a_wrong_score_goes_where_theory_says(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model;
    const double exact = weak_variance(process);
    double error[2];
    assert_close(exact, 0.3057, 1e-4); /* science, M1 */
    assert_ok(vpsde_model_from_score(&model, 1, weak_score, NULL));
    for (size_t i = 0; i < 2; i++) {
        const vpsde_fokker_planck run = run_of(model, process, VPSDE_FP_REVERSE, 400 << i);
        keep k;
        run_into(&k, &run);
        assert_null(keep_column(&k, "tv"));
        assert_null(keep_column(&k, "exact"));
        error[i] = variance_of_cells(&k, run.cells[0]) - exact;
        keep_free(&k);
    }
    assert_close(error[1], 0, 1e-4);
    assert_close(error[0] / error[1], 4, 0.2);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* The score that guidance by w = 1 to the first component makes: 2 s_0 - s. */
static int guided_score(void *context, size_t n, size_t dim, const vpsde_coef *c, const double *x,
                        double *score)
{
    static const double mean[] = {-1, 1}, variance[] = {0.05, 0.1}, weight[] = {0.3, 0.7};
    (void)context, (void)dim;
    for (size_t i = 0; i < n; i++) {
        double s[2], p[2];
        for (size_t k = 0; k < 2; k++) {
            const double v = c->alpha * c->alpha * variance[k] + c->sigma * c->sigma;
            s[k] = -(x[i] - c->alpha * mean[k]) / v;
            p[k] = weight[k] / sqrt(v) * exp(-s[k] * s[k] * v / 2);
        }
        const double total = p[0] + p[1]; /* both vanish beyond double's range alone */
        score[i] = 2 * s[0] - (total > 0 ? (p[0] * s[0] + p[1] * s[1]) / total : s[x[i] > 0]);
    }
    return 0;
}

static void guidance_is_the_guided_score(void **state)
{
    (void)state;
    enum { CELLS = 300 };
    static const int32_t classes[] = {0, 1};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model = mixture(1), *mixed;
    keep k, other;
    assert_ok(vpsde_gaussian_mixture_classes(model, classes));
    assert_ok(vpsde_model_from_score(&mixed, 1, guided_score, NULL));
    vpsde_fokker_planck run = run_of(model, process, VPSDE_FP_REVERSE, CELLS);
    run.class = 0;
    run.guidance = 1;
    run_into(&k, &run);
    const vpsde_fokker_planck same = run_of(mixed, process, VPSDE_FP_REVERSE, CELLS);
    run_into(&other, &same);
    const double *q = keep_column(&k, "density"), *p = keep_column(&other, "density");
    for (size_t e = 0; e < 2 * CELLS; e++) assert_close(q[e], p[e], 1e-8);
    assert_true(number(&k, "tv", 1) > 0.05); /* not the class's own law */
    keep_free(&k);
    keep_free(&other);
    vpsde_model_destroy(mixed);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* ---- bits, rows, refusals -------------------------------------------------------------------- */

static bool has_first(void *self, size_t first, size_t n)
{
    (void)self;
    return first == 0 && n == 1;
}

static void bits_know_nothing_of_threads_and_rows(void **state)
{
    (void)state;
    static const double times[] = {1e-3, 0.3, 0.6, 1};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    static toy net;
    keep one, two, more;
    toy_mixture(&net, 0, 24);
    vpsde_fokker_planck run = run_of(&net.model, process, VPSDE_FP_REVERSE, 30);
    run.tolerance = 1e-5;
    run_into(&one, &run);
    run.n_threads = 3;
    run_into(&two, &run);
    assert_true(keep_same(&one, &two, "density", 0, 2));
    assert_true(keep_same(&one, &two, "flux", 0, 2));
    run.times = times;
    run.n_times = 4;
    keep_init(&more);
    more.sink.has = has_first; /* from before an interruption */
    assert_ok(vpsde_fokker_planck_run(&run, &more.sink));
    assert_int_equal(more.seen[0], 0);
    assert_memory_equal((const double *)keep_column(&more, "density") + 3 * 900,
                        (const double *)keep_column(&one, "density") + 900, 900 * sizeof(double));
    keep_free(&one);
    keep_free(&two);
    keep_free(&more);
    vpsde_process_destroy(process);
}

#define assert_refused(field_is, words)                                                            \
    do {                                                                                           \
        vpsde_fokker_planck changed = good;                                                        \
        changed.field_is;                                                                          \
        assert_fails(vpsde_fokker_planck_run(&changed, NULL), VPSDE_EINVAL, words);                \
    } while (0)

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const double backward[] = {1, 0.5}, early[] = {1e-4, 1};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_process *to_data = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    vpsde_model *model = mixture(1), *score;
    static toy space, net;
    assert_ok(vpsde_model_from_score(&score, 1, weak_score, NULL));
    toy_gaussian(&space, 3, 0, 1, VPSDE_MODEL_ANALYTIC, 8);
    vpsde_fokker_planck good = run_of(model, process, VPSDE_FP_REVERSE, 100);
    assert_refused(model = &space.model, "dimension 3; cells fill 1 or 2");
    assert_refused(cells[0] = 2, "cells: expected 3 to");
    assert_refused(high[0] = -7, "domain: expected low < high, got [-7, -7]");
    assert_refused(high[0] = (double)NAN, "domain");
    assert_refused(
        times = backward,
        "increasing list from process.t_min = 0.001 to process.t_max = 1, got 0.5 at place 1");
    assert_refused(times = early, "got 0.0001 at place 0");
    assert_refused(n_times = 0, "times: there are none");
    assert_refused(class = 0, "has 0 classes");
    assert_refused(guidance = 1, "no classes to guide to");
    assert_refused(low[0] = 0.5, "expected a wider domain or more cells");
    assert_refused(model = score, "starts from a density that score-function does not know");
    good.process = to_data;
    assert_refused(cells[0] = 50, "t_min > 0");
    good = run_of(model, process, VPSDE_FP_FORWARD, 100);
    assert_refused(high[0] = 0.9, "the cells hold 0.");
    good = run_of(&net.model, process, VPSDE_FP_REVERSE, 3000);
    toy_mixture(&net, 0, 24);
    assert_refused(cells[1] = 3000, "cells: expected at most");
    vpsde_model_destroy(score);
    vpsde_model_destroy(model);
    vpsde_process_destroy(to_data);
    vpsde_process_destroy(process);
}

static void what_fails_on_the_way_ends_the_run(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    static toy net;
    const int stop = 1;
    toy_mixture(&net, 0, 24);
    vpsde_fokker_planck run = run_of(&net.model, process, VPSDE_FP_REVERSE, 20);
    net.fail_after = 200;
    assert_fails(vpsde_fokker_planck_run(&run, NULL), VPSDE_EIO, "reverse: the toy model was told");
    net.fail_after = 0;
    net.poison = 5;
    assert_fails(vpsde_fokker_planck_run(&run, NULL), VPSDE_ENUMERIC, "is not finite at t = 1, x");
    net.poison = 0;
    run.control.stop = &stop;
    assert_fails(vpsde_fokker_planck_run(&run, NULL), VPSDE_ESTOPPED, "stopped");
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_falls_fourfold),
        cmocka_unit_test(two_dimensions_have_that_order_too),
        cmocka_unit_test(a_product_stays_one),
        cmocka_unit_test(a_gaussian_is_the_closed_form),
        cmocka_unit_test(the_normal_law_stands_still),
        cmocka_unit_test(a_wrong_score_goes_where_theory_says),
        cmocka_unit_test(guidance_is_the_guided_score),
        cmocka_unit_test(bits_know_nothing_of_threads_and_rows),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_fails_on_the_way_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
