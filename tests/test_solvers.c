/* Fixed-step solvers against closed forms on Gaussians, where every step is affine in the state and
 * the noise: x' = A x + c + sum g z. One run over unit inputs reads the whole law off; nothing here
 * is random. */
#include "tests/toy.h"

#include "solvers/chain.h"

enum { SLOTS = 2 * VPSDE_DRAWS_PER_STEP, STEPS_MAX = 512, ROWS = 2 + SLOTS * STEPS_MAX };

static const double MU = 0.7, V0 = 0.25;

static size_t slot_of(size_t k, vpsde_purpose purpose, unsigned draw)
{
    const size_t corrector = purpose == VPSDE_NOISE_CORRECTOR ? VPSDE_DRAWS_PER_STEP : 0;
    return 2 + k * SLOTS + corrector + draw;
}

/* Row 0: no input; row 1: unit start state; row slot: that one draw is 1. */
static void unit_noise(const vpsde_block *block, size_t k, vpsde_purpose purpose, unsigned draw,
                       size_t d, double *z)
{
    memset(z, 0, block->count * d * sizeof(*z));
    z[slot_of(k, purpose, draw) * d] = 1;
}

typedef struct law {
    double A, c, q;
} law;

static double marginal(const vpsde_coef *c)
{
    return c->alpha * c->alpha * V0 + c->sigma * c->sigma;
}

/* The affine law of steps from .. to - 1 with the exact table of E|s|^2. */
static law law_of(const char *name, const double *param, const vpsde_process *process,
                  const vpsde_grid *grid, size_t from, size_t to)
{
    toy m;
    toy_gaussian(&m, 1, MU, V0, 0, ROWS);
    const vpsde_sampling run = {.process = process, .model = &m.model, .grid = grid};
    const vpsde_solver_type *solver = vpsde_solver_find(name);
    double defaults[VPSDE_PARAM_MAX], table[STEPS_MAX + 1];
    assert_non_null(solver);
    vpsde_param_defaults(defaults, solver->params);
    for (size_t k = 0; k <= grid->n_steps; k++) table[k] = 1 / marginal(&grid->node[k]);
    vpsde_chain *chain;
    assert_ok(
        vpsde_chain_create(&chain, &run, solver, param ? param : defaults, table, unit_noise));
    vpsde_chain_place(chain, 0, ROWS);
    double *x = vpsde_chain_rows(chain);
    x[1] = 1;
    for (size_t k = from; k < to; k++) assert_ok(vpsde_chain_step(chain, k));
    law l = {.A = x[1] - x[0], .c = x[0]};
    for (size_t r = 2; r < ROWS; r++) l.q += (x[r] - x[0]) * (x[r] - x[0]);
    if (to == grid->n_steps && from == 0) {
        assert_int_equal(chain->block.calls, vpsde_solver_nfe(solver, param, grid));
    }
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

        assert_law(law_of("euler-maruyama", (double[]){0}, process, grid, k, k + 1),
                   1 + h / 2 - h / V, h * m / V, h);
        assert_law(law_of("euler-maruyama", (double[]){1}, process, grid, k, k + 1),
                   1 + ht / 2 - ht / V, ht * m / V, ht);
        assert_law(law_of("reverse-diffusion", NULL, process, grid, k, k + 1), 2 - root - B / V,
                   B * m / V, B);
        assert_law(law_of("ancestral", (double[]){0}, process, grid, k, k + 1), (1 - B / V) / root,
                   B * m / V / root, B * b.sigma * b.sigma / (a.sigma * a.sigma));
        assert_law(law_of("ancestral", (double[]){1}, process, grid, k, k + 1), (1 - B / V) / root,
                   B * m / V / root, B);
        assert_law(law_of("ddim", NULL, process, grid, k, k + 1),
                   b.alpha * (1 / a.alpha + (rho1 - rho) * a.sigma / V),
                   -b.alpha * (rho1 - rho) * a.sigma * m / V, 0);

        const double snr = 0.2;
        for (int sigma = 0; sigma < 2; sigma++) {
            const double e = 2 * (1 - B) * snr * snr * (sigma ? b.sigma * b.sigma : V1);
            const double A = 1 - e / V1; /* of one corrector */
            assert_law(law_of("pc-langevin", (double[]){snr, 1, sigma, 0}, process, grid, k, k + 1),
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
        assert_law(law_of("heun", (double[]){clock}, process, grid, 17, 18),
                   1 + s / 2 * (F + F1 * (1 + s * F)), s / 2 * (f + F1 * s * f + f1), 0);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static double slope(const double *error, size_t n) /* budgets double from entry to entry */
{
    return log2(error[n - 2] / error[n - 1]);
}

/* What an order is measured of: every registered fixed-step solver at its defaults, and the other
 * forms named here. */
typedef struct form {
    const vpsde_solver_type *solver;
    double param[VPSDE_PARAM_MAX];
} form;

enum { FORMS_MAX = 128 };
static const struct {
    const char *name;
    double param[4];
} other_forms[] = {{"heun", {1}},      {"heun", {2}}, {"euler-maruyama", {1}},
                   {"ancestral", {1}}, {"ddim", {1}}, {"ddim", {0.5}}};

static size_t all_forms(form forms[FORMS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; vpsde_solver_at(i) && n < FORMS_MAX / 2; i++) {
        if (!vpsde_solver_at(i)->step) continue;
        forms[n] = (form){.solver = vpsde_solver_at(i)};
        vpsde_param_defaults(forms[n].param, forms[n].solver->params);
        n++;
    }
    for (size_t i = 0; i < sizeof(other_forms) / sizeof(other_forms[0]); i++, n++) {
        forms[n] = (form){.solver = vpsde_solver_find(other_forms[i].name)};
        assert_non_null(forms[n].solver);
        memcpy(forms[n].param, other_forms[i].param, sizeof(other_forms[i].param));
    }
    return n;
}

/* The exact flow map is x_s = alpha_s mu + sqrt(V_s/V_t)(x_t - alpha_t mu): affine too. Forms with
 * noise have no flow. */
static void ode_orders_are_the_declared_ones(void **state)
{
    (void)state;
    form forms[FORMS_MAX];
    size_t measured = 0;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (size_t s = 0, n_forms = all_forms(forms); s < n_forms; s++) {
        const vpsde_solver_type *solver = forms[s].solver;
        double error[4], noise = 0;
        if (!(solver->ode_order > 0)) continue;
        for (size_t r = 0; r < 4; r++) {
            const size_t n = (size_t)64 << r;
            vpsde_grid *grid = toy_grid(process, "uniform-lambda", n, VPSDE_LAST_STOP);
            const vpsde_coef *t = &grid->node[0], *end = &grid->node[n];
            const law l = law_of(solver->name, forms[s].param, process, grid, 0, n);
            const double A = sqrt(marginal(end) / marginal(t));
            const double c = end->alpha * MU - A * t->alpha * MU;
            error[r] = fmax(fabs(l.A - A), fabs(l.c - c));
            noise = l.q;
            vpsde_grid_destroy(grid);
        }
        if (noise > 0) continue;
        print_message("%s %g: ODE error %.2e at 512 steps, order %.2f of %g\n", solver->name,
                      forms[s].param[0], error[3], slope(error, 4), solver->ode_order);
        assert_close(slope(error, 4), solver->ode_order, 0.15);
        measured++;
    }
    assert_true(measured >= 4);
    vpsde_process_destroy(process);
}

static void weak_orders_are_the_declared_ones(void **state)
{
    (void)state;
    form forms[FORMS_MAX];
    size_t measured = 0;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (size_t s = 0, n_forms = all_forms(forms); s < n_forms; s++) {
        const vpsde_solver_type *solver = forms[s].solver;
        double in_mean[4], in_variance[4], noise = 0;
        if (!(solver->weak_order > 0)) continue;
        for (size_t r = 0; r < 4; r++) {
            const size_t n = (size_t)64 << r;
            vpsde_grid *grid = toy_grid(process, "uniform-lambda", n, VPSDE_LAST_STOP);
            const vpsde_coef *t = &grid->node[0], *end = &grid->node[n];
            const law l = law_of(solver->name, forms[s].param, process, grid, 0, n);
            in_mean[r] = fabs(l.A * t->alpha * MU + l.c - end->alpha * MU);
            in_variance[r] = fabs(l.A * l.A * marginal(t) + l.q - marginal(end)) / marginal(end);
            noise = l.q;
            vpsde_grid_destroy(grid);
        }
        if (!(noise > 0)) continue;
        print_message("%s %g: variance error %.2e at 512 steps, weak order %.2f (mean %.1e)\n",
                      solver->name, forms[s].param[0], in_variance[3], slope(in_variance, 4),
                      in_mean[3]);
        assert_close(slope(in_variance, 4), solver->weak_order, 0.15);
        assert_true(in_mean[3] < 1e-12 || slope(in_mean, 4) > 0.75);
        measured++;
    }
    assert_true(measured >= 6);
    vpsde_process_destroy(process);
}

/* ---- strong order -------------------------------------------------------------------------- */

enum { PATHS = 256, FINE = 4096 };
static size_t path_steps; /* of the run on foot */
static bool path_drew;

/* Step k's noise is the increment of one Brownian path over the fine steps it spans, over the root
 * of its length. One path is one sample; the fine grid's normals are the path. */
static void path_noise(const vpsde_block *block, size_t k, vpsde_purpose purpose, unsigned draw,
                       size_t d, double *z)
{
    static double increment[PATHS];
    const size_t span = FINE / path_steps;
    assert_int_equal(purpose, VPSDE_NOISE_DIFFUSION);
    assert_int_equal(draw, 0);
    assert_true(block->count * d <= PATHS);
    memset(z, 0, block->count * d * sizeof(*z));
    for (size_t f = k * span; f < (k + 1) * span; f++) {
        vpsde_normals(increment, 21, VPSDE_NOISE_TEST, block->first, block->count, (uint32_t)f, d);
        for (size_t e = 0; e < block->count * d; e++) z[e] += increment[e] / sqrt((double)span);
    }
    path_drew = true;
}

/* n steps equally long in b, from b = 3 to 0.3: away from sigma = 0, where a step's noise sigma'/sigma
 * is not yet that of a short step. */
static vpsde_grid *uniform_b(const vpsde_process *process, size_t n)
{
    static double t[FINE + 1];
    for (size_t k = 0; k <= n; k++) {
        t[k] = vpsde_process_at_b(process, 3 - 2.7 * (double)k / (double)n).t;
    }
    return toy_grid_at(process, t, n, VPSDE_LAST_STOP);
}

static void path_ends(double x[PATHS], const form *f, const vpsde_process *process, size_t n)
{
    toy m;
    vpsde_chain *chain;
    toy_gaussian(&m, 1, MU, V0, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    vpsde_grid *grid = uniform_b(process, n);
    const vpsde_sampling run = {.process = process, .model = &m.model, .grid = grid, .seed = 8};
    assert_ok(vpsde_chain_create(&chain, &run, f->solver, f->param, NULL, path_noise));
    vpsde_chain_place(chain, 0, PATHS);
    assert_ok(toy_draw(&m.model, &grid->node[0], 8, VPSDE_NOISE_PRIOR, 0, PATHS,
                       vpsde_chain_rows(chain)));
    path_steps = n;
    for (size_t k = 0; k < n; k++) assert_ok(vpsde_chain_step(chain, k));
    memcpy(x, vpsde_chain_rows(chain), PATHS * sizeof(*x));
    vpsde_chain_destroy(chain);
    vpsde_grid_destroy(grid);
}

/* rms distance of end states to those of 4096 steps along the same Brownian paths. */
static void strong_orders_are_the_declared_ones(void **state)
{
    (void)state;
    static double fine[PATHS], coarse[PATHS];
    form forms[FORMS_MAX];
    size_t measured = 0;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (size_t s = 0, n_forms = all_forms(forms); s < n_forms; s++) {
        const vpsde_solver_type *solver = forms[s].solver;
        double error[2] = {0};
        if (!(solver->strong_order > 0)) continue;
        path_drew = false;
        path_ends(fine, &forms[s], process, FINE);
        if (!path_drew) continue;
        for (size_t r = 0; r < 2; r++) {
            path_ends(coarse, &forms[s], process, (size_t)64 << r);
            for (size_t i = 0; i < PATHS; i++) {
                error[r] += (coarse[i] - fine[i]) * (coarse[i] - fine[i]) / PATHS;
            }
            error[r] = sqrt(error[r]);
        }
        print_message("%s %g: rms path error %.2e at 128 steps, strong order %.2f\n", solver->name,
                      forms[s].param[0], error[1], slope(error, 2));
        assert_close(slope(error, 2), solver->strong_order, 0.15);
        measured++;
    }
    assert_true(measured >= 6);
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
    const uint32_t node = K * VPSDE_DRAWS_PER_STEP;
    vpsde_normals(z_corrector, 4, VPSDE_NOISE_CORRECTOR, 2, N, node, 2);
    vpsde_normals(z_predictor, 4, VPSDE_NOISE_DIFFUSION, 2, N, node, 2);
    for (int c = 0; c < 4; c++) {
        const bool batch = c % 2;
        const size_t bad = c / 2 ? 3 : NONE;
        const double param[] = {0.16, batch};
        vpsde_chain *chain;
        assert_ok(vpsde_chain_create(&chain, &run, vpsde_solver_find("pc-langevin-compat"), param,
                                     NULL, vpsde_noise_of_step));
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
    const law l = law_of("pc-langevin", (double[]){snr, 1, 0, 0}, process, grid, 0, 512);
    const double v = (l.A * l.A * marginal(t) + l.q) / marginal(end);
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
        cmocka_unit_test(ode_orders_are_the_declared_ones),
        cmocka_unit_test(weak_orders_are_the_declared_ones),
        cmocka_unit_test(strong_orders_are_the_declared_ones),
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
