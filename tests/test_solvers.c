/* Fixed-step solvers against closed forms on Gaussians, where every step is affine in the state and
 * the noise: x' = A x + c + sum g z. One step over unit inputs reads its law off; nothing here is
 * random. Orders of convergence are measured by solvers/orders.h: tests/test_orders.c and
 * tests/scripts/verify.py. */
#include "tests/toy.h"

#include "sde/brownian.h"
#include "solvers/chain.h"

static const double MU = 0.7, V0 = 0.25;

/* Row 0: no input; row 1: unit start state; row 2: the path's increment is 1; then one row a draw. */
enum { NO_INPUT, UNIT_START, UNIT_PATH, UNIT_DRAW, ROWS = UNIT_DRAW + VPSDE_DRAWS_PER_STEP };

static void unit_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                         size_t d, double *z, double *area)
{
    (void)from, (void)to;
    assert_null(area);
    memset(z, 0, block->count * d * sizeof(*z));
    z[UNIT_PATH] = 1;
}

static void unit_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    (void)k;
    memset(z, 0, block->count * d * sizeof(*z));
    z[UNIT_DRAW + draw] = 1;
}

static const vpsde_noise_source unit_noise = {
    .purpose = VPSDE_NOISE_TEST, .stretch = unit_stretch, .draw = unit_draw};

typedef struct law {
    double A, c, q;
} law;

static double marginal(const vpsde_coef *c)
{
    return c->alpha * c->alpha * V0 + c->sigma * c->sigma;
}

/* The affine law of the step from node k, with the exact table of E|s|^2. */
static law law_of(const char *name, const double *param, const vpsde_process *process,
                  const vpsde_grid *grid, size_t k)
{
    enum { STEPS_MAX = 512 };
    toy m;
    toy_gaussian(&m, 1, MU, V0, 0, ROWS);
    const vpsde_sampling run = {.process = process, .model = &m.model, .grid = grid};
    const vpsde_solver_type *solver = vpsde_solver_find(name);
    double defaults[VPSDE_PARAM_MAX], table[STEPS_MAX + 1];
    assert_non_null(solver);
    assert_true(grid->n_steps <= STEPS_MAX);
    vpsde_param_defaults(defaults, solver->params);
    for (size_t i = 0; i <= grid->n_steps; i++) table[i] = 1 / marginal(&grid->node[i]);
    vpsde_chain *chain;
    assert_ok(
        vpsde_chain_create(&chain, &run, solver, param ? param : defaults, table, &unit_noise));
    vpsde_chain_place(chain, 0, ROWS);
    double *x = vpsde_chain_rows(chain);
    x[UNIT_START] = 1;
    assert_ok(vpsde_chain_step(chain, k));
    law l = {.A = x[UNIT_START] - x[NO_INPUT], .c = x[NO_INPUT]};
    for (size_t r = UNIT_PATH; r < ROWS; r++) l.q += (x[r] - x[0]) * (x[r] - x[0]);
    vpsde_chain_destroy(chain);
    return l;
}

static void assert_law(law got, double A, double c, double q)
{
    assert_close(got.A, A, 1e-12 * fabs(A));
    assert_close(got.c, c, 1e-12);
    assert_close(got.q, q, 1e-11 * fabs(q));
}

/* s = -(x - alpha mu)/V in every formula below. */
static void steps_have_their_closed_forms(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 40, VPSDE_LAST_STOP);
    for (size_t k = 0; k < 40; k += 13) {
        const vpsde_coef a = grid->node[k], b = grid->node[k + 1];
        const double V = marginal(&a), V1 = marginal(&b), m = a.alpha * MU, m1 = b.alpha * MU;
        const double h = a.b - b.b, B = -expm1(-h), root = exp(-h / 2);
        const double ht = a.beta * (a.t - b.t), rho = a.sigma / a.alpha, rho1 = b.sigma / b.alpha;

        assert_law(law_of("euler-maruyama", (double[]){0}, process, grid, k), 1 + h / 2 - h / V,
                   h * m / V, h);
        assert_law(law_of("euler-maruyama", (double[]){1}, process, grid, k), 1 + ht / 2 - ht / V,
                   ht * m / V, ht);
        assert_law(law_of("reverse-diffusion", NULL, process, grid, k), 2 - root - B / V, B * m / V,
                   B);
        assert_law(law_of("ancestral", (double[]){0}, process, grid, k), (1 - B / V) / root,
                   B * m / V / root, B * b.sigma * b.sigma / (a.sigma * a.sigma));
        assert_law(law_of("ancestral", (double[]){1}, process, grid, k), (1 - B / V) / root,
                   B * m / V / root, B);
        assert_law(law_of("ddim", NULL, process, grid, k),
                   b.alpha * (1 / a.alpha + (rho1 - rho) * a.sigma / V),
                   -b.alpha * (rho1 - rho) * a.sigma * m / V, 0);

        const double snr = 0.2;
        for (int sigma = 0; sigma < 2; sigma++) {
            const double e = 2 * (1 - B) * snr * snr * (sigma ? b.sigma * b.sigma : V1);
            const double A = 1 - e / V1; /* of one corrector */
            assert_law(law_of("pc-langevin", (double[]){snr, 1, sigma, 0}, process, grid, k),
                       A * (2 - root - B / V), A * B * m / V + e * m1 / V1, A * A * B + 2 * e);
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void heun_has_its_closed_form_in_every_clock(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 40, VPSDE_LAST_STOP);
    const vpsde_coef a = grid->node[17], b = grid->node[18];
    const double V = marginal(&a), V1 = marginal(&b);
    /* dx/du = (1/2)(1/V - 1) db/du (x - alpha mu) - (1/2) db/du alpha mu in every clock u */
    const double db[3] = {2 * a.sigma / a.alpha, a.beta, -2 * a.sigma * a.sigma};
    const double db1[3] = {2 * b.sigma / b.alpha, b.beta, -2 * b.sigma * b.sigma};
    const double h[3] = {b.phi - a.phi, b.t - a.t, b.lambda - a.lambda};
    for (int clock = 0; clock < 3; clock++) {
        const double F = 0.5 * (1 / V - 1) * db[clock], F1 = 0.5 * (1 / V1 - 1) * db1[clock];
        const double f = -0.5 / V * db[clock] * a.alpha * MU,
                     f1 = -0.5 / V1 * db1[clock] * b.alpha * MU;
        const double s = h[clock];
        assert_law(law_of("heun", (double[]){clock}, process, grid, 17),
                   1 + s / 2 * (F + F1 * (1 + s * F)), s / 2 * (f + F1 * s * f + f1), 0);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- correctors ---------------------------------------------------------------------------- */

/* score_sde's LangevinCorrector and ReverseDiffusionPredictor written out, with the norms of the
 * rows that are `good`: x (n, 2) from node k to k + 1. */
static void published_step(double *x, const toy *m, const vpsde_coef *at, const vpsde_coef *next,
                           double snr, bool batch, size_t n, size_t bad, const double *z_corrector,
                           const double *z_predictor)
{
    double eps[2], score[2 * 16], grad_norm[16], noise_norm[16], grad = 0, noise = 0;
    const double alpha = at->alpha * at->alpha / (next->alpha * next->alpha), B = 1 - alpha;
    for (size_t i = 0; i < n; i++) {
        toy_row(m, at, 2, x + 2 * i, eps);
        for (size_t j = 0; j < 2; j++) score[2 * i + j] = -eps[j] / at->sigma;
        grad_norm[i] = hypot(score[2 * i], score[2 * i + 1]);
        noise_norm[i] = hypot(z_corrector[2 * i], z_corrector[2 * i + 1]);
        if (i == bad) continue;
        grad += grad_norm[i];
        noise += noise_norm[i];
    }
    for (size_t i = 0; i < n; i++) {
        const double ratio = batch ? noise / grad : noise_norm[i] / grad_norm[i];
        const double step_size = 2 * alpha * (snr * ratio) * (snr * ratio);
        for (size_t j = 0; j < 2; j++) {
            x[2 * i + j] +=
                step_size * score[2 * i + j] + sqrt(2 * step_size) * z_corrector[2 * i + j];
        }
        toy_row(m, at, 2, x + 2 * i, eps);
        for (size_t j = 0; j < 2; j++) {
            x[2 * i + j] = (2 - sqrt(1 - B)) * x[2 * i + j] - B * eps[j] / at->sigma +
                           sqrt(B) * z_predictor[2 * i + j];
        }
    }
}

/* Both norms; in the second round row 3 has failed and must not touch the others. */
static void compat_corrector_is_the_published_one(void **state)
{
    (void)state;
    enum { N = 9, K = 6, NONE = N };
    toy m;
    double x[2 * N], z_corrector[2 * N], z_predictor[2 * N];
    toy_mixture(&m, 0, 16);
    m.poison = 1e6;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 20, VPSDE_LAST_STOP);
    const vpsde_sampling run = {.process = process, .model = &m.model, .grid = grid, .seed = 4};
    vpsde_brownian *path;
    vpsde_normals(z_corrector, 4, VPSDE_NOISE_CORRECTOR, 2, N, K * VPSDE_DRAWS_PER_STEP, 2);
    assert_ok(vpsde_brownian_create(&path, N, 2));
    vpsde_brownian_place(path, 4, VPSDE_NOISE_DIFFUSION, 2, N);
    vpsde_brownian_stretch(path, grid->node[K].b, grid->node[K + 1].b, z_predictor, NULL);
    vpsde_brownian_destroy(path);
    for (int c = 0; c < 4; c++) {
        const bool batch = c % 2;
        const size_t bad = c / 2 ? 3 : NONE;
        const double param[] = {0.16, batch};
        vpsde_chain *chain;
        assert_ok(vpsde_chain_create(&chain, &run, vpsde_solver_find("pc-langevin-compat"), param,
                                     NULL, &vpsde_noise_of_runs));
        vpsde_chain_place(chain, 2, N);
        double *got = vpsde_chain_rows(chain);
        vpsde_normals(x, 4, VPSDE_NOISE_TEST, 2, N, 0, 2);
        memcpy(got, x, sizeof(x));
        if (bad != NONE) got[2 * bad] = 1e9;
        assert_ok(vpsde_chain_step(chain, K));
        published_step(x, &m, &grid->node[K], &grid->node[K + 1], 0.16, batch, N, bad, z_corrector,
                       z_predictor);
        for (size_t e = 0; e < 2 * N; e++) {
            const bool failed = e / 2 == bad;
            assert_int_equal(chain->block.status[chain->block.begin + e / 2],
                             failed ? VPSDE_ROW_NON_FINITE : VPSDE_ROW_OK);
            if (!failed) assert_close(got[e], x[e], 1e-12 * fmax(1, fabs(x[e])));
        }
        vpsde_chain_destroy(chain);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* As the steps shrink the predictor does nothing and the corrector's own law stays:
 * v/(1 - e/(2 v)) = v/(1 - snr^2). */
static void corrector_bias_is_the_stated_one(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 512, VPSDE_LAST_STOP);
    const vpsde_coef *t = &grid->node[0], *end = &grid->node[512];
    const double snr = 0.16;
    double v = marginal(t);
    for (size_t k = 0; k < 512; k++) {
        const law l = law_of("pc-langevin", (double[]){snr, 1, 0, 0}, process, grid, k);
        v = l.A * l.A * v + l.q;
    }
    v /= marginal(end);
    print_message("pc-langevin: variance ratio %.5f, corrector alone %.5f\n", v,
                  1 / (1 - snr * snr));
    assert_close(v, 1 / (1 - snr * snr), 2e-3);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- runs ---------------------------------------------------------------------------------- */

enum { COUNT = 40, DIM = 2 };

static void run_array(double *x, const char *name, const double *param, const vpsde_model *model,
                      const vpsde_process *process, const vpsde_grid *grid)
{
    const vpsde_sampling run = {.process = process,
                                .model = model,
                                .solver = vpsde_solver_find(name),
                                .param = param,
                                .grid = grid,
                                .seed = 11,
                                .count = COUNT,
                                .n_threads = 1};
    assert_ok(vpsde_sample_array(&run, x));
}

static void ddim_1_is_ancestral_small(void **state)
{
    (void)state;
    toy m;
    double a[COUNT * DIM], b[COUNT * DIM];
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 20, VPSDE_LAST_STOP);
    run_array(a, "ddim", (double[]){1}, &m.model, process, grid);
    run_array(b, "ancestral", (double[]){0}, &m.model, process, grid);
    for (size_t e = 0; e < COUNT * DIM; e++) assert_close(a[e], b[e], 1e-10);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void ddim_0_is_euler_in_sigma_over_alpha(void **state)
{
    (void)state;
    toy m;
    double a[COUNT * DIM], x[COUNT * DIM], eps[DIM];
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 20, VPSDE_LAST_STOP);
    run_array(a, "ddim", (double[]){0}, &m.model, process, grid);
    vpsde_normals(x, 11, VPSDE_NOISE_PRIOR, 0, COUNT, 0, DIM);
    for (size_t k = 0; k < 20; k++) {
        const vpsde_coef *c = &grid->node[k], *c1 = c + 1;
        for (size_t i = 0; i < COUNT; i++) {
            toy_row(&m, c, DIM, x + i * DIM, eps);
            for (size_t j = 0; j < DIM; j++) {
                const double u = x[i * DIM + j] / c->alpha;
                x[i * DIM + j] =
                    c1->alpha * (u + (c1->sigma / c1->alpha - c->sigma / c->alpha) * eps[j]);
            }
        }
    }
    for (size_t e = 0; e < COUNT * DIM; e++) assert_close(a[e], x[e], 1e-10);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void last_steps_to_zero_are_finite_and_denoise(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_x0; /* the step to sigma = 0 is x0hat of the node before */
        double param[4];
    } cases[] = {{"heun", true, {0}},
                 {"heun", true, {1}},
                 {"heun", true, {2}},
                 {"ddim", true, {0}},
                 {"ddim", true, {1}},
                 {"ancestral", true, {0}},
                 {"ancestral", true, {1}},
                 {"pc-langevin", true, {0.16, 1, 0, 2}},
                 {"pc-langevin", true, {0.16, 1, 0, 3}},
                 {"reverse-diffusion", false, {0}},
                 {"pc-langevin", false, {0.16, 1, 0, 0}}};
    toy m;
    keep kept;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 12, VPSDE_LAST_EULER);
    assert_true(grid->node[grid->n_steps].sigma == 0);
    for (size_t s = 0; s < sizeof(cases) / sizeof(cases[0]); s++) {
        const vpsde_sampling run = {
            .process = process,
            .model = &m.model,
            .solver = vpsde_solver_find(cases[s].name),
            .param = cases[s].param,
            .grid = grid,
            .seed = 11,
            .count = COUNT,
            .log = {.n_times = SIZE_MAX, .fields = VPSDE_LOG_X0, .dtype = VPSDE_F64},
            .n_threads = 1};
        keep_init(&kept);
        assert_ok(vpsde_sample(&run, &kept.sink));
        const double *x = keep_column(&kept, "final"), *x0 = keep_column(&kept, "x0");
        for (size_t e = 0; e < COUNT * DIM; e++) {
            const size_t before = (e / DIM * (grid->n_steps + 1) + grid->n_steps - 1) * DIM;
            assert_true(fabs(x[e]) < 20);
            if (cases[s].is_x0) assert_close(x[e], x0[before + e % DIM], 1e-12);
        }
        keep_free(&kept);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void tweedie_is_one_more_call(void **state)
{
    (void)state;
    toy m;
    keep stop, tweedie;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_sampling run = {.process = process,
                          .model = &m.model,
                          .solver = vpsde_solver_find("ddim"),
                          .count = COUNT,
                          .log = {.n_times = 3, .fields = VPSDE_LOG_X, .dtype = VPSDE_F64}};
    keep_init(&stop);
    keep_init(&tweedie);
    vpsde_grid *a = toy_grid(process, "uniform-lambda", 12, VPSDE_LAST_STOP);
    vpsde_grid *b = toy_grid(process, "uniform-lambda", 12, VPSDE_LAST_TWEEDIE);
    run.grid = a;
    assert_ok(vpsde_sample(&run, &stop.sink));
    run.grid = b;
    assert_ok(vpsde_sample(&run, &tweedie.sink));
    assert_true(keep_same(&stop, &tweedie, "x", 0, COUNT));
    const double *x = keep_column(&stop, "final"), *x0 = keep_column(&tweedie, "final");
    const double *stored = keep_column(&stop, "x");
    const vpsde_coef *c = &a->node[12];
    for (size_t i = 0; i < COUNT; i++) {
        double eps[DIM];
        toy_row(&m, c, DIM, x + i * DIM, eps);
        for (size_t j = 0; j < DIM; j++) {
            assert_close(stored[(i * 3 + 2) * DIM + j], x[i * DIM + j], 0);
            assert_close(x0[i * DIM + j], (x[i * DIM + j] - c->sigma * eps[j]) / c->alpha, 1e-14);
        }
        assert_int_equal(((const int32_t *)keep_column(&stop, "nfe"))[i], 12);
        assert_int_equal(((const int32_t *)keep_column(&tweedie, "nfe"))[i], 13);
    }
    keep_free(&stop);
    keep_free(&tweedie);
    vpsde_grid_destroy(a);
    vpsde_grid_destroy(b);
    vpsde_process_destroy(process);
}

/* E|s|^2 of a Gaussian is d/V: the pilot mean of 256 chains within 6 standard errors (relative
 * variance of |s|^2/E is 2/d) plus the predictor's bias of a few per cent. */
static void pilot_measures_the_score(void **state)
{
    (void)state;
    toy m;
    double one[101], two[101];
    toy_gaussian(&m, 4, MU, V0, 0, 48);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 100, VPSDE_LAST_STOP);
    const vpsde_sampling run = {.process = process, .model = &m.model, .grid = grid, .seed = 3};
    const vpsde_solver_type *predictor = vpsde_solver_find("reverse-diffusion");
    vpsde_pilot a = {.run = &run, .n_threads = 1}, b = {.run = &run, .n_threads = 3};
    assert_ok(vpsde_pilot_score_square(&a, predictor, one));
    assert_ok(vpsde_pilot_score_square(&b, predictor, two));
    assert_memory_equal(one, two, sizeof(one));
    assert_int_equal(a.nfe, 256 * 101);
    const double se = sqrt(2.0 / (4 * VPSDE_PILOT_SAMPLES));
    for (size_t k = 0; k <= 100; k++) {
        assert_close(one[k] * marginal(&grid->node[k]) / 4, 1, 6 * se + 0.05);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_have_their_closed_forms),
        cmocka_unit_test(heun_has_its_closed_form_in_every_clock),
        cmocka_unit_test(compat_corrector_is_the_published_one),
        cmocka_unit_test(corrector_bias_is_the_stated_one),
        cmocka_unit_test(ddim_1_is_ancestral_small),
        cmocka_unit_test(ddim_0_is_euler_in_sigma_over_alpha),
        cmocka_unit_test(last_steps_to_zero_are_finite_and_denoise),
        cmocka_unit_test(tweedie_is_one_more_call),
        cmocka_unit_test(pilot_measures_the_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
