/* Stochastic methods against what is known of them in closed form: their affine law on a Gaussian
 * (nothing random in it), order conditions, stationary laws of correctors, strong order where the
 * score bends. */
#include "tests/toy.h"

#include "solvers/chain.h"
#include "solvers/sra.h"

enum { SLOTS = 2 + VPSDE_DRAWS_PER_STEP, STEPS_MAX = 1024, ROWS = 2 + SLOTS * STEPS_MAX };

static const double MU = 0.7, V0 = 0.25;

/* ---- the law of steps, read off unit inputs -------------------------------------------------- */

static size_t step_on_foot;

static size_t slot_of(size_t k, size_t what) { return 2 + k * SLOTS + what; }

static void unit_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                         size_t d, double *z, double *area)
{
    (void)from, (void)to;
    memset(z, 0, block->count * d * sizeof(*z));
    z[slot_of(step_on_foot, 0) * d] = 1;
    if (!area) return;
    memset(area, 0, block->count * d * sizeof(*area));
    area[slot_of(step_on_foot, 1) * d] = 1;
}

static void unit_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    memset(z, 0, block->count * d * sizeof(*z));
    z[slot_of(k, 2 + draw) * d] = 1;
}

static const vpsde_noise_source unit_noise = {
    .purpose = VPSDE_NOISE_TEST, .stretch = unit_stretch, .draw = unit_draw};

/* x' = A x + c + z Z + area AREA + draws: q is the variance of all noise. */
typedef struct law {
    double A, c, z, area, q;
} law;

static double marginal(const vpsde_coef *c)
{
    return c->alpha * c->alpha * V0 + c->sigma * c->sigma;
}

/* The affine law of steps from .. to - 1, with the exact table of E|s|^2; noise of step `from`. */
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
        vpsde_chain_create(&chain, &run, solver, param ? param : defaults, table, &unit_noise));
    vpsde_chain_place(chain, 0, ROWS);
    double *x = vpsde_chain_rows(chain);
    x[1] = 1;
    for (step_on_foot = from; step_on_foot < to; step_on_foot++) {
        assert_ok(vpsde_chain_step(chain, step_on_foot));
    }
    law l = {.A = x[1] - x[0], .c = x[0], .z = x[slot_of(from, 0)] - x[0]};
    l.area = x[slot_of(from, 1)] - x[0];
    for (size_t r = 2; r < ROWS; r++) l.q += (x[r] - x[0]) * (x[r] - x[0]);
    if (to == grid->n_steps && from == 0) {
        assert_int_equal(chain->block.calls, vpsde_solver_nfe(solver, param, grid));
    }
    vpsde_chain_destroy(chain);
    return l;
}

/* An affine function of state, 1, z and area: what the formulas below are written in. */
typedef struct affine {
    double x, one, z, area;
} affine;

static affine plus(affine a, double factor, affine b)
{
    return (affine){a.x + factor * b.x, a.one + factor * b.one, a.z + factor * b.z,
                    a.area + factor * b.area};
}

/* x/2 + s on N(alpha mu, V) at time c. */
static affine drift(const vpsde_coef *c, affine x)
{
    const double V = marginal(c);
    affine f = {.one = c->alpha * MU / V};
    return plus(f, 0.5 - 1 / V, x);
}

static void assert_affine(const char *name, const double *param, const vpsde_process *process,
                          const vpsde_grid *grid, size_t k, affine expected)
{
    const law got = law_of(name, param, process, grid, k, k + 1);
    assert_close(got.A, expected.x, 1e-12);
    assert_close(got.c, expected.one, 1e-12);
    assert_close(got.z, expected.z, 1e-12);
    assert_close(got.area, expected.area, 1e-12);
}

typedef struct setting {
    vpsde_process *process;
    vpsde_grid *grid;
    vpsde_coef a, b; /* ends of step K */
    double h, root;
    affine x, W, H; /* root z, root area/sqrt(12) */
} setting;

enum { N_STEPS = 40, K = 22 };

static setting set_up(void)
{
    setting s = {.process = toy_process(VPSDE_TERMINAL_EXACT), .x = {.x = 1}};
    s.grid = toy_grid(s.process, "uniform-lambda", N_STEPS, VPSDE_LAST_STOP);
    s.a = s.grid->node[K];
    s.b = s.grid->node[K + 1];
    s.h = s.a.b - s.b.b;
    s.root = sqrt(s.h);
    s.W.z = s.root;
    s.H.area = s.root / sqrt(12);
    return s;
}

static void tear_down(const setting *s)
{
    vpsde_grid_destroy(s->grid);
    vpsde_process_destroy(s->process);
}

/* Each in its paper's letters. */
static void runge_kutta_steps_have_their_closed_forms(void **state)
{
    (void)state;
    const setting s = set_up();
    const double h = s.h;
    const affine k1 = drift(&s.a, s.x), J = plus(s.H, 0.5, s.W); /* I10/h */

    affine y = plus(plus(s.x, h, k1), 1, s.W);
    affine heun = plus(plus(s.x, h / 2, k1), h / 2, drift(&s.b, y));
    assert_affine("stochastic-heun", NULL, s.process, s.grid, K, plus(heun, 1, s.W));

    vpsde_coef mid = vpsde_process_at_b(s.process, s.a.b - 0.75 * h);
    affine k2 = drift(&mid, plus(plus(s.x, 0.75 * h, k1), 1.5, J));
    affine sra1 = plus(plus(s.x, h / 3, k1), 2 * h / 3, k2);
    assert_affine("sra1", NULL, s.process, s.grid, K, plus(sra1, 1, s.W));

    mid = vpsde_process_at_b(s.process, s.a.b - 0.5 * h);
    k2 = drift(&s.b, plus(s.x, h, k1));
    const affine H3 = plus(plus(plus(s.x, h / 4, k1), h / 4, k2), 1.5, J);
    affine sra3 = plus(plus(plus(s.x, h / 6, k1), h / 6, k2), 2 * h / 3, drift(&mid, H3));
    assert_affine("sra3", NULL, s.process, s.grid, K, plus(sra3, 1, s.W));

    mid = vpsde_process_at_b(s.process, s.a.b - 5 * h / 6);
    const affine y1 = plus(s.x, 1, s.H), f1 = drift(&s.a, y1);
    const affine y2 = plus(plus(y1, 5 * h / 6, f1), 5.0 / 6, s.W);
    affine shark = plus(plus(s.x, 0.4 * h, f1), 0.6 * h, drift(&mid, y2));
    assert_affine("shark", NULL, s.process, s.grid, K, plus(shark, 1, s.W));
    tear_down(&s);
}

/* The clock t: g = sqrt(beta), I1 and I10 of a path on t; torchsde's has the other sign of beta2. */
static void in_the_clock_t_the_noise_is_integrated_by_parts(void **state)
{
    (void)state;
    const setting s = set_up();
    const double h = s.a.t - s.b.t, g = sqrt(s.a.beta), g1 = sqrt(s.b.beta), root = sqrt(h);
    const affine I1 = {.z = root}, J = {.z = root / 2, .area = root / sqrt(12)};
    const vpsde_coef mid = vpsde_process_at(s.process, s.a.t - h / 2);
    const affine f1 = drift(&s.a, s.x), k1 = plus((affine){0}, s.a.beta, f1);
    const affine k2 = plus((affine){0}, s.b.beta, drift(&s.b, plus(s.x, h, k1)));
    const affine H3 = plus(plus(plus(s.x, h / 4, k1), h / 4, k2), g1 + g / 2,
                           J); /* b_3 = (1, 1/2), c1 = (1, 0) */
    affine x = plus(plus(s.x, h / 6, k1), h / 6, k2);
    x = plus(plus(x, 2 * h / 3 * mid.beta, drift(&mid, H3)), g1, I1);
    assert_affine("sra3", (double[]){1}, s.process, s.grid, K, plus(x, g - g1, J));
    assert_affine("sra3-compat", NULL, s.process, s.grid, K, plus(x, g1 - g, J));
    tear_down(&s);
}

/* Every consistent method's step to sigma = 0 is x' = x0hat. */
static void steps_to_data_are_the_predicted_data(void **state)
{
    (void)state;
    static const char *const names[] = {"stochastic-heun", "sra1", "sra3", "sra3-compat", "shark"};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 3, VPSDE_LAST_EULER);
    const vpsde_coef *c = &grid->node[3];
    const double V = marginal(c), on_x = c->alpha * V0 / V; /* x0hat = on_x x + MU sigma^2/V */
    for (size_t q = 0; q < sizeof(names) / sizeof(names[0]); q++) {
        assert_affine(names[q], NULL, process, grid, 3,
                      (affine){.x = on_x, .one = MU * c->sigma * c->sigma / V});
        law_of(names[q], NULL, process, grid, 0, 4); /* counts calls */
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- order conditions ------------------------------------------------------------------------ */

/* Roessler 2010, section 6.4: conditions of strong order 1.5 with additive noise. Number of conditions violated;
 * `beta2_c1` <- the value of the one that a changed sign violates. */
static size_t violations(const vpsde_sra *m, double *beta2_c1)
{
    double alpha = 0, beta1 = 0, beta2 = 0, b1c1 = 0, b2c1 = 0, ac0 = 0, abe = 0, abe2 = 0, aae = 0;
    for (size_t i = 0; i < m->stages; i++) {
        double be = 0, ae = 0;
        for (size_t j = 0; j < m->stages; j++) {
            be += m->b[i][j];
            ae += m->a[i][j];
            assert_true(j < i || (m->a[i][j] == 0 && m->b[i][j] == 0)); /* explicit */
        }
        assert_close(ae, m->c0[i], 1e-15);
        alpha += m->alpha[i];
        beta1 += m->beta1[i];
        beta2 += m->beta2[i];
        b1c1 += m->beta1[i] * m->c1[i];
        b2c1 += m->beta2[i] * m->c1[i];
        ac0 += m->alpha[i] * m->c0[i];
        aae += m->alpha[i] * ae;
        abe += m->alpha[i] * be;
        abe2 += m->alpha[i] * be * be;
    }
    *beta2_c1 = b2c1;
    const double value[] = {alpha, beta1, beta2, b1c1, b2c1, ac0, aae, abe, abe2};
    const double wanted[] = {1, 1, 0, 1, -1, 0.5, 0.5, 1, 1.5};
    size_t wrong = 0;
    for (size_t q = 0; q < sizeof(value) / sizeof(value[0]); q++) {
        wrong += fabs(value[q] - wanted[q]) > 1e-15;
    }
    return wrong;
}

static void tableaus_meet_the_order_conditions(void **state)
{
    (void)state;
    double b2c1;
    assert_int_equal(violations(&vpsde_sra1, &b2c1), 0);
    assert_int_equal(violations(&vpsde_sra3, &b2c1), 0);
    assert_int_equal(violations(&vpsde_sra3_flipped, &b2c1), 1);
    assert_close(b2c1, 1, 0);
    double third = 0; /* SRA3's drift alone is of order 3 */
    for (size_t i = 0; i < 3; i++) {
        third += vpsde_sra3.alpha[i] * vpsde_sra3.c0[i] * vpsde_sra3.c0[i];
    }
    assert_close(third, 1.0 / 3, 1e-15);
}

/* ---- Euler-Maruyama with steps of 1/N --------------------------------------------------------- */

/* Variance of the end state over what it should be. */
static double variance_ratio(const char *name, const vpsde_process *process, size_t n)
{
    vpsde_grid *grid = toy_grid(process, "uniform-t", n, VPSDE_LAST_STOP);
    const law l = law_of(name, NULL, process, grid, 0, n);
    const double ratio = (l.A * l.A * marginal(&grid->node[0]) + l.q) / marginal(&grid->node[n]);
    vpsde_grid_destroy(grid);
    return ratio;
}

/* n intervals have n + 1 nodes: with t_min = 1/(n + 1) the grid's spacing is 1/N to the bit, nearly;
 * with t_min = 0.1 the chain goes on as if it had to cover 1 - 1/N. */
static void steps_of_one_over_n_end_at_another_time(void **state)
{
    (void)state;
    vpsde_process *fits = toy_process_to(VPSDE_TERMINAL_EXACT, 1.0 / 101);
    vpsde_grid *grid = toy_grid(fits, "uniform-t", 100, VPSDE_LAST_STOP);
    const law compat = law_of("euler-maruyama-compat", NULL, fits, grid, 0, 100);
    const law right = law_of("euler-maruyama", (double[]){1}, fits, grid, 0, 100);
    assert_close(compat.A, right.A, 1e-10);
    assert_close(compat.c, right.c, 1e-10);
    assert_close(compat.q, right.q, 1e-10);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(fits);

    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_EXACT, 0.1);
    const double off[] = {variance_ratio("euler-maruyama-compat", process, 256) - 1,
                          variance_ratio("euler-maruyama-compat", process, 512) - 1};
    const double euler = variance_ratio("euler-maruyama", process, 512) - 1;
    print_message("variance off by %.3f at 256 steps, %.3f at 512; euler-maruyama %.4f\n", off[0],
                  off[1], euler);
    assert_true(fabs(off[1]) > 3 * fabs(euler));
    assert_true(fabs(off[1]) > fabs(off[0])); /* no order */
    vpsde_process_destroy(process);
}

/* ---- variances of ancestral sampling ---------------------------------------------------------- */

/* Bao et al. 2022: with the optimal variance the chain has the law of the process on a Gaussian, for
 * any number of steps. */
static void the_optimal_variance_is_exact_on_a_gaussian(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 2, 5, 40, 300};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    for (size_t q = 0; q < sizeof(steps) / sizeof(steps[0]); q++) {
        vpsde_grid *grid = toy_grid(process, "uniform-lambda", steps[q], VPSDE_LAST_STOP);
        const vpsde_coef *t = &grid->node[0], *end = &grid->node[steps[q]];
        const law l = law_of("ancestral", (double[]){2}, process, grid, 0, steps[q]);
        assert_close(l.A * t->alpha * MU + l.c, end->alpha * MU, 1e-12);
        /* 1 - sigma^2 E|s|^2/d loses the digits of alpha^2 = 4e-5 in the first step */
        assert_close((l.A * l.A * marginal(t) + l.q) / marginal(end), 1, 2e-11);
        vpsde_grid_destroy(grid);
    }
    vpsde_process_destroy(process);
}

static int gaussian_score(void *context, size_t n, size_t d, const vpsde_coef *c, const double *x,
                          double *score)
{
    (void)context;
    for (size_t e = 0; e < n * d; e++) score[e] = (c->alpha * MU - x[e]) / marginal(c);
    return 0;
}

/* 0 and 1 in turn: an even dimension has the small variance, an odd one the large. */
static int alternating_range(void *context, size_t n, size_t d, const vpsde_coef *c,
                             const double *x, double *range)
{
    (void)c, (void)x;
    if (context) return 1;
    for (size_t e = 0; e < n * d; e++) range[e] = (double)(e % d % 2);
    return 0;
}

enum { COUNT = 300, DIM = 2 };

static void final_of(double *x, const vpsde_process *process, const vpsde_model *model,
                     const vpsde_grid *grid, double variance)
{
    const vpsde_sampling run = {.process = process,
                                .model = model,
                                .solver = vpsde_solver_find("ancestral"),
                                .param = &variance,
                                .grid = grid,
                                .seed = 3,
                                .count = COUNT};
    assert_ok(vpsde_sample_array(&run, x));
}

static void a_learned_range_interpolates_per_dimension(void **state)
{
    (void)state;
    enum { SMALL, LARGE, OPTIMAL, LEARNED };
    static double x[3][COUNT * DIM];
    vpsde_model *model, *mute, *stops;
    int any = 0;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 9, VPSDE_LAST_EULER);
    assert_ok(
        vpsde_model_from_score_and_range(&model, DIM, gaussian_score, alternating_range, NULL));
    assert_ok(
        vpsde_model_from_score_and_range(&stops, DIM, gaussian_score, alternating_range, &any));
    assert_ok(vpsde_model_from_score_and_range(&mute, DIM, gaussian_score, NULL, NULL));
    final_of(x[0], process, model, grid, SMALL);
    final_of(x[1], process, model, grid, LARGE);
    final_of(x[2], process, model, grid, LEARNED);
    for (size_t e = 0; e < COUNT * DIM; e++) assert_close(x[2][e], x[e % DIM][e], 1e-12);

    vpsde_sampling run = {.process = process,
                          .model = mute,
                          .solver = vpsde_solver_find("ancestral"),
                          .param = (double[]){LEARNED},
                          .grid = grid,
                          .count = COUNT};
    assert_fails(vpsde_sample_array(&run, x[0]), VPSDE_EINVAL,
                 "variance: learned-range needs a network that predicts variances, and "
                 "score-function does not");
    run.model = stops;
    assert_fails(vpsde_sample_array(&run, x[0]), VPSDE_ESTOPPED, "returned 1");
    void *ws;
    assert_ok(vpsde_model_workspace_create(&ws, mute, 1, 0));
    const vpsde_eval e = {.n = 1, .coef = grid->node, .x = x[0], .eps = x[1], .range = x[2]};
    assert_fails(vpsde_model_eval(mute, ws, &e), VPSDE_EINVAL, "does not predict variances");
    const vpsde_eval density = {.n = 1, .coef = grid->node, .x = x[0], .eps = x[1], .logp = x[2]};
    assert_fails(vpsde_model_eval(mute, ws, &density), VPSDE_EINVAL, "does not know its density");
    vpsde_model_workspace_destroy(mute, ws);
    vpsde_model_destroy(model);
    vpsde_model_destroy(mute);
    vpsde_model_destroy(stops);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- correctors ------------------------------------------------------------------------------ */

/* One corrector: x <- x + e s + sqrt(e/2)(R + z), R = 0 in the first step and the last z after it. */
static void leimkuhler_and_matthews_share_noise(void **state)
{
    (void)state;
    const setting s = set_up();
    const double snr = 0.2, V = marginal(&s.a), V1 = marginal(&s.b), B = -expm1(-s.h);
    const double e = 2 * (1 - B) * snr * snr * V1, A = 1 - e / V1;
    const law one =
        law_of("pc-leimkuhler-matthews", (double[]){snr, 1, 0, 0}, s.process, s.grid, K, K + 1);
    assert_close(one.A, A * (2 - exp(-s.h / 2) - B / V), 1e-12);
    assert_close(one.q, A * A * B + e / 2, 1e-12);
    const law two =
        law_of("pc-leimkuhler-matthews", (double[]){snr, 2, 0, 0}, s.process, s.grid, K, K + 1);
    assert_close(two.A, A * A * (2 - exp(-s.h / 2) - B / V), 1e-12);
    assert_close(two.q, A * A * A * A * B + e / 2 * ((A + 1) * (A + 1) + 1), 1e-12);
    tear_down(&s);
}

/* Variance over the true one at the end of n steps equally long in lambda to b = 0.3. */
static double corrected(const char *name, double snr, const vpsde_process *process, size_t n)
{
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", n, VPSDE_LAST_STOP);
    const law l = law_of(name, (double[]){snr, 1, 0, 0}, process, grid, 0, n);
    const double v = (l.A * l.A * marginal(&grid->node[0]) + l.q) / marginal(&grid->node[n]);
    vpsde_grid_destroy(grid);
    return v;
}

/* What many steps leave: v/(1 - snr^2) of pc-langevin, nothing of Leimkuhler & Matthews. */
static void only_plain_langevin_is_biased_on_a_gaussian(void **state)
{
    (void)state;
    const double snr = 0.3;
    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_EXACT, 0.15);
    const double plain = corrected("pc-langevin", snr, process, 1024) - 1;
    const double lm[] = {corrected("pc-leimkuhler-matthews", snr, process, 512) - 1,
                         corrected("pc-leimkuhler-matthews", snr, process, 1024) - 1};
    print_message("variance off by %.5f with Langevin, %.5f and %.5f with shared noise\n", plain,
                  lm[0], lm[1]);
    assert_close(plain, 1 / (1 - snr * snr) - 1, 0.15 * snr * snr);
    assert_true(fabs(lm[1]) < 0.1 * fabs(plain));
    assert_close(log2(lm[0] / lm[1]), 1, 0.15); /* what is left is the predictor's */
    vpsde_process_destroy(process);
}

/* MALA with large steps at a standstill: the law of the mixture at its time, whatever e. */
static void mala_keeps_the_law_of_a_mixture(void **state)
{
    (void)state;
    enum { MANY = 20000, CORRECTORS = 4 };
    static double x[MANY], start[MANY];
    vpsde_model *model;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    const double weights[] = {0.3, 0.7}, means[] = {-1, 0.6}, variances[] = {0.1, 0.2};
    const double times[] = {0.2, 0.2 - 1e-9};
    vpsde_grid *grid = toy_grid_at(process, times, 1, VPSDE_LAST_STOP);
    const vpsde_coef *c = &grid->node[1];
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, 1, weights, means, variances));
    const vpsde_sampling run = {.process = process,
                                .model = model,
                                .solver = vpsde_solver_find("pc-mala"),
                                .param = (double[]){0.9, CORRECTORS, 0, 0},
                                .grid = grid,
                                .seed = 12,
                                .count = MANY};
    assert_ok(vpsde_sample_array(&run, x));
    assert_ok(
        model->type->draw(model, &grid->node[0], run.seed, VPSDE_NOISE_PRIOR, 0, MANY, start));

    double m[5] = {1}, got[3] = {0}, stayed = 0; /* raw moments */
    for (size_t p = 1; p < 5; p++) {
        for (size_t k = 0; k < 2; k++) {
            const double u = c->alpha * means[k];
            const double v = c->alpha * c->alpha * variances[k] + c->sigma * c->sigma;
            const double raw[] = {1, u, u * u + v, u * u * u + 3 * u * v,
                                  u * u * u * u + 6 * u * u * v + 3 * v * v};
            m[p] += weights[k] * raw[p];
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        got[1] += x[i] / MANY;
        got[2] += x[i] * x[i] / MANY;
        stayed += fabs(x[i] - start[i]) < 1e-3;
    }
    print_message("mean %.4f of %.4f, second moment %.4f of %.4f; %.0f of %d stayed\n", got[1],
                  m[1], got[2], m[2], stayed, MANY);
    assert_close(got[1], m[1], 6 * sqrt((m[2] - m[1] * m[1]) / MANY));
    assert_close(got[2], m[2], 6 * sqrt((m[4] - m[2] * m[2]) / MANY));
    assert_true(stayed < 0.5 * MANY); /* and they do move */
    assert_true(stayed > 0);          /* not all are accepted */
    vpsde_model_destroy(model);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void mala_needs_a_density(void **state)
{
    (void)state;
    static double x[COUNT];
    vpsde_model *model;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", 3, VPSDE_LAST_STOP);
    assert_ok(vpsde_model_from_score(&model, 1, gaussian_score, NULL));
    const vpsde_sampling run = {.process = process,
                                .model = model,
                                .solver = vpsde_solver_find("pc-mala"),
                                .grid = grid,
                                .count = COUNT};
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL,
                 "pc-mala needs a model whose density log p_t is known");
    vpsde_model_destroy(model);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- strong order where the score bends -------------------------------------------------------- */

enum { PATHS = 400, FINE = 4096 };

static void path_ends(double x[PATHS], const char *name, const vpsde_process *process,
                      const vpsde_model *model, size_t n)
{
    static double t[FINE + 1];
    for (size_t k = 0; k <= n; k++) {
        t[k] = vpsde_process_at_b(process, 3 - 2.7 * (double)k / (double)n).t;
    }
    vpsde_grid *grid = toy_grid_at(process, t, n, VPSDE_LAST_STOP);
    const vpsde_sampling run = {.process = process,
                                .model = model,
                                .solver = vpsde_solver_find(name),
                                .grid = grid,
                                .seed = 8,
                                .count = PATHS};
    assert_ok(vpsde_sample_array(&run, x));
    vpsde_grid_destroy(grid);
}

/* rms distance of end states to those of the finest grid along the same paths, from b = 3 to 0.3. */
static void strong_orders_hold_on_a_mixture(void **state)
{
    (void)state;
    static const char *const names[] = {"euler-maruyama", "stochastic-heun", "sra1", "sra3",
                                        "shark"};
    static double fine[PATHS], coarse[PATHS];
    vpsde_model *model;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, 1, (double[]){0.5, 0.5},
                                            (double[]){-0.8, 0.8}, (double[]){0.05, 0.05}));
    path_ends(fine, "sra3", process, model, FINE);
    for (size_t q = 0; q < sizeof(names) / sizeof(names[0]); q++) {
        double error[3] = {0};
        for (size_t r = 0; r < 3; r++) {
            path_ends(coarse, names[q], process, model, (size_t)128 << r);
            for (size_t i = 0; i < PATHS; i++) {
                error[r] += (coarse[i] - fine[i]) * (coarse[i] - fine[i]) / PATHS;
            }
            error[r] = sqrt(error[r]);
        }
        const double slope = log2(error[0] / error[2]) / 2;
        print_message("%s: rms path error %.2e at 512 steps, strong order %.2f\n", names[q],
                      error[2], slope);
        assert_close(slope, vpsde_solver_find(names[q])->order.strong, 0.15);
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runge_kutta_steps_have_their_closed_forms),
        cmocka_unit_test(in_the_clock_t_the_noise_is_integrated_by_parts),
        cmocka_unit_test(steps_to_data_are_the_predicted_data),
        cmocka_unit_test(tableaus_meet_the_order_conditions),
        cmocka_unit_test(steps_of_one_over_n_end_at_another_time),
        cmocka_unit_test(the_optimal_variance_is_exact_on_a_gaussian),
        cmocka_unit_test(a_learned_range_interpolates_per_dimension),
        cmocka_unit_test(leimkuhler_and_matthews_share_noise),
        cmocka_unit_test(only_plain_langevin_is_biased_on_a_gaussian),
        cmocka_unit_test(mala_keeps_the_law_of_a_mixture),
        cmocka_unit_test(mala_needs_a_density),
        cmocka_unit_test(strong_orders_hold_on_a_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
