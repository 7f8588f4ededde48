/* Class-conditional mixtures, and guidance by a weight: against closed forms and against a model that says
 * the guided eps itself. */
#include "tests/toy.h"

#include "solvers/guidance.h"

enum { D = 2, STEPS = 10, COUNT = 37, ROWS = 24 };

/* N(mean, lam) given the class, N(0, lam_u) without; `guided` says the mix for every row instead. */
typedef struct pair {
    toy base; /* the flags, the shape and the ledger */
    double mean, lam, lam_u, w;
    bool guided;
} pair;

static double gaussian(double mean, double lam, const vpsde_coef *c, const double *x, double *eps)
{
    const double v = c->alpha * c->alpha * lam + c->sigma * c->sigma;
    double square = 0;
    for (size_t j = 0; j < D; j++) {
        const double r = x[j] - c->alpha * mean;
        eps[j] = c->sigma * r / v;
        square += r * r;
    }
    return -square / (2 * v) - 0.5 * D * log(2 * 3.14159265358979323846 * v);
}

static vpsde_status pair_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    pair *p = (pair *)model->impl;
    (void)ws;
    atomic_fetch_add(&p->base.rows, (long)e->n);
    for (size_t i = 0; i < e->n; i++) {
        const vpsde_coef *c = &e->coef[i * e->coef_stride];
        const double *x = e->x + i * D;
        double with[D], without[D], a = 1;
        double logp = gaussian(p->mean, p->lam, c, x, with);
        const double logp_u = gaussian(0, p->lam_u, c, x, without);
        if (p->guided) a = 1 + p->w;
        if (!p->guided && (!e->classes || e->classes[i] < 0)) a = 0;
        for (size_t j = 0; j < D; j++) {
            e->eps[i * D + j] = a * with[j] + (1 - a) * without[j];
            if (e->range) e->range[i * D + j] = 0.5;
        }
        logp = a * logp + (1 - a) * logp_u;
        if (e->logp) e->logp[i] = logp;
    }
    return VPSDE_OK;
}

static void pair_init(pair *p, double w, bool guided, unsigned flags, size_t block_rows)
{
    *p = (pair){.mean = 0.7, .lam = 0.5, .lam_u = 1.6, .w = w, .guided = guided};
    toy_init(&p->base, D, flags, block_rows);
    p->base.type.eval = pair_eval;
    p->base.type.log_p = NULL;
    p->base.model.n_classes = guided ? 0 : 1;
    p->base.model.impl = p;
}

/* The flow of guided Gaussians: each factor's own to the powers 1 + w and -w. */
static void variance_is_the_closed_form(void **state)
{
    (void)state;
    static const double weights[] = {0, -0.5, 0.5, 1, 3, 7.5}, ends[2] = {1, 0};
    vpsde_process_spec spec;
    vpsde_process *p;
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    spec.param[1] = 60; /* beta_max: alpha^2 = 1e-13 at T */
    spec.t_min = 0;
    assert_ok(vpsde_process_create(&p, &spec));
    vpsde_grid *grid = toy_grid_at(p, ends, 1, VPSDE_LAST_STOP);
    const double start[2 * D] = {0, 0, 1, -2};
    const int32_t classes[2] = {0, 0};
    for (size_t q = 0; q < 2 * sizeof(weights) / sizeof(weights[0]); q++) {
        pair m;
        double x[2 * D];
        const double w = weights[q / 2];
        pair_init(&m, w, false, q % 2 ? VPSDE_MODEL_ANALYTIC : 0, 8);
        const vpsde_sampling run = {.process = p,
                                    .model = &m.base.model,
                                    .solver = vpsde_solver_find("gsl-rk8pd"),
                                    .grid = grid,
                                    .rtol = 1e-12,
                                    .atol = 1e-12,
                                    .count = 2,
                                    .init = start,
                                    .classes = classes,
                                    .guidance = w};
        assert_ok(vpsde_sample_array(&run, x));
        const double variance = pow(m.lam, 1 + w) * pow(m.lam_u, -w);
        for (size_t j = 0; j < D; j++) {
            const double slope = (x[D + j] - x[j]) / (start[D + j] - start[j]);
            assert_close(slope * slope / variance, 1, 1e-8);
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* Every solver: a guided run is a run on the guided model, at twice the evaluations. */
static void any_solver_is_guided(void **state)
{
    (void)state;
    static double guided[COUNT * D], direct[COUNT * D];
    const double w = 1.5;
    int32_t classes[COUNT] = {0};
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", STEPS, VPSDE_LAST_TWEEDIE);
    const vpsde_solver_type *solver;
    for (size_t s = 0; (solver = vpsde_solver_at(s)) != NULL; s++) {
        pair m, one;
        keep k, k1;
        const unsigned flags = s % 2 ? VPSDE_MODEL_ANALYTIC : 0;
        pair_init(&m, w, false, flags, 16);
        pair_init(&one, w, true, flags, 16);
        vpsde_sampling run = {.process = p,
                              .model = &m.base.model,
                              .solver = solver,
                              .grid = grid,
                              .rtol = 1e-4,
                              .atol = 1e-4,
                              .seed = 8,
                              .count = COUNT,
                              .classes = classes,
                              .guidance = w,
                              .n_threads = 2,
                              .log = {.n_times = 3, .fields = VPSDE_LOG_EPS, .dtype = VPSDE_F64}};
        keep_init(&k);
        keep_init(&k1);
        assert_ok(vpsde_sample(&run, &k.sink));
        memcpy(guided, keep_column(&k, "final"), sizeof(guided));
        run.model = &one.base.model;
        run.classes = NULL;
        run.guidance = 0;
        assert_ok(vpsde_sample(&run, &k1.sink));
        memcpy(direct, keep_column(&k1, "final"), sizeof(direct));
        const int32_t *nfe = keep_column(&k, "nfe"), *nfe_1 = keep_column(&k1, "nfe");
        const int32_t *log = keep_column(&k, "nfe_log"), *log_1 = keep_column(&k1, "nfe_log");
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(nfe[i], 2 * nfe_1[i]);
            assert_int_equal(log[i], 2 * log_1[i]);
            if (solver->step) assert_int_equal(nfe[i], 2 * vpsde_solver_nfe(solver, NULL, grid));
        }
        for (size_t e = 0; e < (size_t)COUNT * D; e++) assert_close(guided[e], direct[e], 1e-8);
        assert_null(keep_column(&k1, "class"));
        assert_memory_equal(keep_column(&k, "class"), classes, sizeof(classes));
        keep_free(&k);
        keep_free(&k1);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* Rows without a class keep the bits of an unguided run beside guided ones; so does weight 0. */
static void rows_without_class_are_left_alone(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim", "sra1", "dpmpp-2m", "dopri5"};
    static double plain[COUNT * D], none[COUNT * D], mixed[COUNT * D], all[COUNT * D];
    int32_t classes[COUNT], zeros[COUNT] = {0}, nobody[COUNT];
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    for (size_t i = 0; i < COUNT; i++) {
        classes[i] = i % 3 ? -1 : 0;
        nobody[i] = -1;
    }
    for (size_t q = 0; q < 2 * sizeof(solvers) / sizeof(solvers[0]); q++) {
        pair m;
        pair_init(&m, 0, false, q % 2 ? VPSDE_MODEL_ANALYTIC : 0, 16);
        vpsde_sampling run = {.process = p,
                              .model = &m.base.model,
                              .solver = vpsde_solver_find(solvers[q / 2]),
                              .grid = grid,
                              .rtol = 1e-4,
                              .atol = 1e-4,
                              .seed = 8,
                              .count = COUNT,
                              .classes = NULL};
        assert_ok(vpsde_sample_array(&run, plain));
        run.guidance = 3;
        assert_ok(vpsde_sample_array(&run, none));
        assert_memory_equal(plain, none, sizeof(plain));
        run.classes = nobody;
        assert_ok(vpsde_sample_array(&run, none));
        assert_memory_equal(plain, none, sizeof(plain));
        run.classes = zeros;
        assert_ok(vpsde_sample_array(&run, all));
        run.classes = classes;
        assert_ok(vpsde_sample_array(&run, mixed));
        for (size_t i = 0; i < COUNT; i++) {
            const double *same = classes[i] < 0 ? plain : all;
            assert_memory_equal(mixed + i * D, same + i * D, sizeof(double[D]));
            assert_memory_not_equal(all + i * D, plain + i * D, sizeof(double[D]));
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    toy m;
    double x[2];
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", 2, VPSDE_LAST_STOP);
    for (size_t s = 0; s < 2; s++) {
        vpsde_sampling run = {.process = p,
                              .model = &m.model,
                              .solver = vpsde_solver_find(s ? "dopri5" : "ddim"),
                              .grid = grid,
                              .rtol = 1e-3,
                              .atol = 1e-3,
                              .count = 1,
                              .guidance = 1};
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "toy has no classes to guide to");
        run.guidance = (double)NAN;
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "must be a finite weight, got nan");
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* ---- mixtures with classes ------------------------------------------------------------------- */

static const double weights[4] = {0.1, 0.2, 0.3, 0.4};
static const double means[4 * D] = {-2, 0, 1, 1, 0, 2, 3, -1};
static const double covariances[4 * D * D] = {0.3, 0.1, 0.1, 0.2, 0.5, 0, 0, 0.5,
                                              0.2, 0,   0,   0.7, 0.4, 0, 0, 0.4};
static const int32_t class_of[4] = {0, 1, 0, 1};

static vpsde_model *whole(void)
{
    vpsde_model *m;
    assert_ok(vpsde_gaussian_mixture_create(&m, 4, D, weights, means, covariances));
    assert_ok(vpsde_gaussian_mixture_classes(m, class_of));
    assert_int_equal(m->n_classes, 2);
    return m;
}

/* The components of one class as a mixture of their own. */
static vpsde_model *part(int32_t label)
{
    vpsde_model *m;
    double w[2], mu[2 * D], sigma[2 * D * D], sum = 0;
    size_t n = 0;
    for (size_t k = 0; k < 4; k++) {
        if (class_of[k] != label) continue;
        w[n] = weights[k];
        sum += w[n];
        memcpy(mu + n * D, means + k * D, sizeof(double[D]));
        memcpy(sigma + n * D * D, covariances + k * D * D, sizeof(double[D * D]));
        n++;
    }
    for (size_t k = 0; k < n; k++) w[k] /= sum;
    assert_ok(vpsde_gaussian_mixture_create(&m, n, D, w, mu, sigma));
    return m;
}

typedef struct answer {
    double eps[ROWS * D], deps[ROWS * 2 * D], div[ROWS], logp[ROWS];
} answer;

static void ask(answer *a, const vpsde_model *m, const vpsde_coef *c, const double *x,
                const double *dx, const int32_t *classes, double weight)
{
    void *ws;
    vpsde_guidance g;
    assert_ok(vpsde_model_workspace_create(&ws, m, ROWS, 2));
    assert_ok(vpsde_guidance_open(&g, weight, m, ROWS, 2));
    const vpsde_eval e = {.n = ROWS,
                          .k = 2,
                          .coef = c,
                          .x = x,
                          .dx = dx,
                          .classes = classes,
                          .eps = a->eps,
                          .deps = a->deps,
                          .div = a->div,
                          .logp = a->logp};
    assert_ok(vpsde_guidance_eval(&g, m, ws, &e));
    vpsde_guidance_close(&g);
    vpsde_model_workspace_destroy(m, ws);
}

static void assert_row(const answer *a, const answer *b, const answer *u, size_t i, double w)
{
    for (size_t j = 0; j < D; j++) {
        const size_t e = i * D + j;
        assert_close(a->eps[e], (1 + w) * b->eps[e] - w * u->eps[e], 1e-12);
    }
    for (size_t e = i * 2 * D; e < (i + 1) * 2 * D; e++) {
        assert_close(a->deps[e], (1 + w) * b->deps[e] - w * u->deps[e], 1e-12);
    }
    assert_close(a->div[i], (1 + w) * b->div[i] - w * u->div[i], 1e-11);
    assert_close(a->logp[i], (1 + w) * b->logp[i] - w * u->logp[i], 1e-12);
}

static void mixtures_know_classes(void **state)
{
    (void)state;
    double x[ROWS * D], dx[ROWS * 2 * D], logp[ROWS];
    int32_t classes[ROWS];
    answer all, guided, plain, of[2];
    vpsde_model *m = whole(), *sub[2] = {part(0), part(1)};
    vpsde_process *p = toy_process(VPSDE_TERMINAL_EXACT);
    const vpsde_coef c = vpsde_process_at(p, 0.3);
    for (size_t i = 0; i < ROWS; i++) classes[i] = (int32_t)(i % 3) - 1;
    vpsde_normals(x, 3, VPSDE_NOISE_TEST, 0, ROWS, 0, D);
    vpsde_normals(dx, 3, VPSDE_NOISE_TEST, 0, ROWS, 1, 2 * D);
    ask(&all, m, &c, x, dx, classes, 0);
    ask(&guided, m, &c, x, dx, classes, 2.5);
    ask(&plain, m, &c, x, dx, NULL, 0);
    for (size_t q = 0; q < 2; q++) ask(&of[q], sub[q], &c, x, dx, NULL, 0);
    assert_ok(vpsde_model_log_p_of(m, ROWS, &c, classes, x, logp));
    for (size_t i = 0; i < ROWS; i++) {
        const answer *expected = classes[i] < 0 ? &plain : &of[classes[i]];
        assert_row(&all, expected, &plain, i, 0);
        assert_row(&guided, expected, &plain, i, classes[i] < 0 ? 0 : 2.5);
        assert_close(logp[i], expected->logp[i], 1e-12);
    }
    vpsde_model_destroy(m);
    for (size_t q = 0; q < 2; q++) vpsde_model_destroy(sub[q]);
    vpsde_process_destroy(p);
}

/* A class is drawn from with the numbers that its own mixture would take; runs start there. */
static void draws_have_classes(void **state)
{
    (void)state;
    static double x[COUNT * D], y[2][COUNT * D], final[COUNT * D];
    int32_t classes[COUNT];
    const double ends[2] = {1, 0.2};
    vpsde_model *m = whole(), *sub[2] = {part(0), part(1)};
    vpsde_process *p = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid_at(p, ends, 1, VPSDE_LAST_STOP);
    const vpsde_coef start = grid->node[0];
    for (size_t i = 0; i < COUNT; i++) classes[i] = (int32_t)(i % 2);
    assert_ok(vpsde_model_draw(m, &start, 4, VPSDE_NOISE_PRIOR, 5, COUNT, classes, x));
    vpsde_sampling run = {.process = p,
                          .model = m,
                          .solver = vpsde_solver_find("dopri5"),
                          .grid = grid,
                          .rtol = 1e-6,
                          .atol = 1e-6,
                          .seed = 4,
                          .first = 5,
                          .count = COUNT,
                          .classes = classes};
    assert_ok(vpsde_sample_array(&run, final));
    run.classes = NULL;
    for (size_t q = 0; q < 2; q++) {
        assert_ok(vpsde_model_draw(sub[q], &start, 4, VPSDE_NOISE_PRIOR, 5, COUNT, NULL, y[q]));
        for (size_t i = q; i < COUNT; i += 2) {
            for (size_t j = 0; j < D; j++) assert_close(x[i * D + j], y[q][i * D + j], 1e-13);
        }
        run.model = sub[q];
        assert_ok(vpsde_sample_array(&run, y[q]));
        for (size_t i = q; i < COUNT; i += 2) {
            for (size_t j = 0; j < D; j++) assert_close(final[i * D + j], y[q][i * D + j], 1e-9);
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_model_destroy(m);
    for (size_t q = 0; q < 2; q++) vpsde_model_destroy(sub[q]);
    vpsde_process_destroy(p);
}

static vpsde_status one_of(const void *context, size_t first, size_t n, double *x)
{
    memcpy(x, (const double *)context + first * D, n * sizeof(double[D]));
    return VPSDE_OK;
}

/* log p of a row given its class, with p_T of that class at the far end. */
static void likelihoods_have_classes(void **state)
{
    (void)state;
    double x[6 * D], logp[6];
    const int32_t classes[6] = {0, 1, -1, 1, 0, -1};
    keep k;
    vpsde_model *m = whole();
    vpsde_process *p = toy_process_to(VPSDE_TERMINAL_EXACT, 1e-3);
    const vpsde_coef start = vpsde_process_at(p, 1e-3);
    vpsde_normals(x, 3, VPSDE_NOISE_TEST, 0, 6, 0, D);
    const vpsde_likelihood run = {.process = p,
                                  .model = m,
                                  .integrator = vpsde_solver_find("gsl-rk8pd"),
                                  .rtol = 1e-10,
                                  .atol = 1e-10,
                                  .logp_atol = 1e-10,
                                  .source = {.read = one_of, .context = x},
                                  .count = 6,
                                  .classes = classes};
    keep_init(&k);
    assert_ok(vpsde_likelihood_run(&run, &k.sink));
    assert_ok(vpsde_model_log_p_of(m, 6, &start, classes, x, logp));
    const double *found = keep_column(&k, "logp");
    for (size_t i = 0; i < 6; i++) assert_close(found[i], logp[i], 1e-7);
    keep_free(&k);
    vpsde_model_destroy(m);
    vpsde_process_destroy(p);
}

static void bad_classes_are_refused(void **state)
{
    (void)state;
    const int32_t gap[4] = {0, 2, 0, 2}, below[4] = {0, -1, 0, 0}, high[4] = {0, 0, 0, 4};
    toy other;
    vpsde_model *m = whole();
    assert_fails(vpsde_gaussian_mixture_classes(m, gap), VPSDE_EINVAL,
                 "class 1 of 3 has no component with a weight");
    assert_fails(vpsde_gaussian_mixture_classes(m, below), VPSDE_EINVAL,
                 "class of component 1 must be from 0 to 3, got -1");
    assert_fails(vpsde_gaussian_mixture_classes(m, high), VPSDE_EINVAL, "component 3");
    assert_int_equal(m->n_classes, 2);
    toy_mixture(&other, VPSDE_MODEL_ANALYTIC, 0);
    assert_fails(vpsde_gaussian_mixture_classes(&other.model, class_of), VPSDE_EINVAL,
                 "toy is no gaussian-mixture");
    vpsde_process *p = toy_process(VPSDE_TERMINAL_EXACT);
    const vpsde_coef c = vpsde_process_at(p, 1);
    double x[2];
    assert_fails(vpsde_model_draw(&other.model, &c, 1, VPSDE_NOISE_TEST, 0, 1, NULL, x),
                 VPSDE_EINVAL, "toy does not draw samples");
    vpsde_process_destroy(p);
    vpsde_model_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variance_is_the_closed_form),
        cmocka_unit_test(any_solver_is_guided),
        cmocka_unit_test(rows_without_class_are_left_alone),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(mixtures_know_classes),
        cmocka_unit_test(draws_have_classes),
        cmocka_unit_test(likelihoods_have_classes),
        cmocka_unit_test(bad_classes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
