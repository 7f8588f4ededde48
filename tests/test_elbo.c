/* The discrete bound against Gaussian closed forms (science: -ELBO = H(q(x0)) + sum_t KL_t +
 * KL(q(x_T) | N(0, I))), the levels' masses, and the importance weights against the exact density of
 * an affine chain. */
#include "tests/toy.h"

#include "solvers/elbo_terms.h"

static const double MU = 0.7, V0 = 0.25;
enum { STEPS_MAX = 1000 };

static double marginal(const vpsde_coef *c)
{
    return c->alpha * c->alpha * V0 + c->sigma * c->sigma;
}

/* The chain x_T .. x_0 of n equal steps in t. */
static vpsde_grid *chain_of(const vpsde_process *process, size_t n)
{
    static double t[STEPS_MAX];
    for (size_t k = 0; k < n; k++) {
        t[k] = vpsde_process_t_max(process) * (double)(n - k) / (double)n;
    }
    return toy_grid_at(process, t, n - 1, VPSDE_LAST_EULER);
}

static void exact_eps_square(double *eps_square, const vpsde_grid *grid)
{
    for (size_t k = 0; k <= grid->n_steps; k++) {
        const vpsde_coef *c = &grid->node[k];
        eps_square[k] = c->sigma * c->sigma / marginal(c);
    }
}

/* |x0hat - x0|^2 where x_t = alpha x0 + sigma z and the score is exact. */
static double x0_error(const vpsde_coef *c, double x0, double z)
{
    const double x = c->alpha * x0 + c->sigma * z;
    const double eps = c->sigma * (x - c->alpha * MU) / marginal(c);
    const double x0hat = (x - c->sigma * eps) / c->alpha;
    return (x0hat - x0) * (x0hat - x0);
}

/* Every term is quadratic in x0 and z: two points of each make the expectation exact. */
static double expected_cost(const vpsde_elbo_step *step, size_t n)
{
    const vpsde_levels none = {.width = 0};
    double sum = 0;
    for (int q = 0; q < 4; q++) {
        const double x0 = MU + (q & 1 ? 1 : -1) * sqrt(V0), z = q & 2 ? 1 : -1;
        double cost = vpsde_elbo_prior(step[n - 1].at, 1, &x0);
        const double x0hat = x0 + sqrt(x0_error(step[0].at, x0, z));
        cost += vpsde_elbo_data(&step[0], &none, 1, &x0, &x0hat);
        for (size_t t = 2; t <= n; t++) {
            cost += vpsde_elbo_kl(&step[t - 1], 1, x0_error(step[t - 1].at, x0, z));
        }
        sum += cost / 4;
    }
    return sum;
}

/* KL(N(0, v) | N(0, w)) */
static double gaussian_kl(double v, double w) { return 0.5 * (v / w - 1 - log(v / w)); }

static void the_bound_is_entropy_and_divergences(void **state)
{
    (void)state;
    static vpsde_elbo_step step[STEPS_MAX];
    static double eps_square[STEPS_MAX + 1];
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t n = 10; n <= STEPS_MAX; n *= 10) {
        vpsde_grid *grid = chain_of(process, n);
        exact_eps_square(eps_square, grid);
        for (int variance = VPSDE_ELBO_LARGE; variance <= VPSDE_ELBO_OPTIMAL; variance++) {
            vpsde_elbo_steps(step, grid, (vpsde_elbo_variance)variance, eps_square, 1);
            const vpsde_coef *end = step[n - 1].at;
            const double V = marginal(end), m = end->alpha * MU;
            double exact = 0.5 * log(2 * M_PI * M_E * V0) + gaussian_kl(V, 1) + m * m / 2;
            double gap = 0;
            for (size_t t = 1; t <= n; t++) {
                const double before = t > 1 ? marginal(step[t - 2].at) : V0;
                gap += gaussian_kl(step[t - 1].q.beta * before / marginal(step[t - 1].at),
                                   step[t - 1].v);
            }
            exact += gap;
            assert_close(expected_cost(step, n), exact, 1e-10 * fabs(exact));
            if (variance == VPSDE_ELBO_OPTIMAL) assert_true(fabs(gap) < 1e-12);
            if (variance == VPSDE_ELBO_LARGE) assert_true(gap > 0);
        }
        vpsde_grid_destroy(grid);
    }
    vpsde_process_destroy(process);
}

static void law_of_the_model(const vpsde_elbo_step *step, size_t n, double *mean, double *variance);

/* The path's divergence falls as 1/T, the end state's as 1/T^2 (above what N(0, I) for q(x_T) leaves):
 * the slack of the bound says little about the samples. */
static void path_and_marginal_divergences_have_their_orders(void **state)
{
    (void)state;
    static vpsde_elbo_step step[STEPS_MAX];
    double path[2], marginal_kl[2], mean, variance;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t r = 0; r < 2; r++) {
        const size_t n = r ? 1000 : 500;
        vpsde_grid *grid = chain_of(process, n);
        vpsde_elbo_steps(step, grid, VPSDE_ELBO_LARGE, NULL, 1);
        path[r] = 0;
        for (size_t t = 1; t <= n; t++) {
            const double before = t > 1 ? marginal(step[t - 2].at) : V0;
            path[r] +=
                gaussian_kl(step[t - 1].q.beta * before / marginal(step[t - 1].at), step[t - 1].v);
        }
        law_of_the_model(step, n, &mean, &variance);
        marginal_kl[r] = gaussian_kl(V0, variance) + (MU - mean) * (MU - mean) / (2 * variance);
        vpsde_grid_destroy(grid);
    }
    print_message("path KL x T: %.3f, %.3f; marginal KL %.2e, %.2e\n", 500 * path[0],
                  1000 * path[1], marginal_kl[0], marginal_kl[1]);
    assert_close(1000 * path[1], 500 * path[0], 0.01);
    assert_close(log2(marginal_kl[0] / marginal_kl[1]), 2, 0.1);
    vpsde_process_destroy(process);
}

static void levels_have_their_masses(void **state)
{
    (void)state;
    const vpsde_levels levels = {.low = -1, .width = 2.0 / 255, .n = 256};
    const double sds[] = {1e-3, 1e-2, 0.3, 20};
    for (size_t s = 0; s < 4; s++) {
        const vpsde_elbo_step step = {.v = sds[s] * sds[s]};
        for (double mean = -1.3; mean < 1.4; mean += 0.37) {
            double sum = 0;
            for (int q = 0; q < 256; q++) {
                const double x0 = -1 + 2.0 / 255 * q;
                const double cost = vpsde_elbo_data(&step, &levels, 1, &x0, &mean);
                assert_true(cost >= 0 && isfinite(cost));
                sum += exp(-cost);
            }
            assert_close(sum, 1, 1e-12);
        }
    }
    /* far out in the tail, against long double */
    const vpsde_elbo_step narrow = {.v = 1e-4};
    for (int q = 1; q < 100; q += 7) {
        const double x0 = -1 + 2.0 / 255 * q, mean = -1, half = 1.0 / 255;
        const long double low = (long double)(x0 - half - mean) / (1e-2L * sqrtl(2));
        const long double high = (long double)(x0 + half - mean) / (1e-2L * sqrtl(2));
        const long double exact = -logl((erfcl(low) - erfcl(high)) / 2);
        const double cost = vpsde_elbo_data(&narrow, &levels, 1, &x0, &mean);
        assert_close(cost, (double)exact, 1e-9 * cost);
    }
}

/* Mean and variance of p_theta(x0), an affine chain of Gaussians. */
static void law_of_the_model(const vpsde_elbo_step *step, size_t n, double *mean, double *variance)
{
    *mean = 0;
    *variance = 1;
    for (size_t t = n; t >= 1; t--) {
        const vpsde_elbo_step *s = &step[t - 1];
        const vpsde_coef *c = s->at;
        const double V = marginal(c), shrink = c->sigma * c->sigma / V;
        const double A = s->q.m_x0 * (1 - shrink) / c->alpha + s->q.m_xt;
        *mean = A * *mean + s->q.m_x0 * shrink * MU;
        *variance = A * A * *variance + s->v;
    }
}

enum { ROWS = 512 };

static vpsde_elbo run_of(const vpsde_process *process, const vpsde_grid *grid, toy *m,
                         const double *x0)
{
    toy_gaussian(m, 1, MU, V0, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    return (vpsde_elbo){.process = process,
                        .model = &m->model,
                        .grid = grid,
                        .variance = VPSDE_ELBO_LARGE,
                        .draws = 64,
                        .seed = 5,
                        .x0 = x0,
                        .count = ROWS};
}

static void data_rows(double *x0)
{
    vpsde_normals(x0, 11, VPSDE_NOISE_TEST, 0, ROWS, 0, 1);
    for (size_t i = 0; i < ROWS; i++) x0[i] = MU + sqrt(V0) * x0[i];
}

/* Mean of v and its standard error. */
static void mean_of(const double *v, size_t n, double *mean, double *error)
{
    double square = 0;
    *mean = 0;
    for (size_t i = 0; i < n; i++) *mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++) square += (v[i] - *mean) * (v[i] - *mean);
    *error = sqrt(square / (double)(n - 1) / (double)n);
}

/* Jarzynski: the mean weight is p_theta(x0), which is Gaussian here; and the bounds are ordered. */
static void weights_have_the_exact_density_as_mean(void **state)
{
    (void)state;
    static vpsde_elbo_step step[STEPS_MAX];
    static double x0[ROWS], off[ROWS];
    toy m;
    keep k;
    double mean, variance, bias, error, iwae, elbo;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = chain_of(process, 50);
    data_rows(x0);
    keep_init(&k);
    const vpsde_elbo run = run_of(process, grid, &m, x0);
    assert_ok(vpsde_elbo_run(&run, &k.sink));
    assert_true(keep_complete(&k) && k.ended == 1);
    vpsde_elbo_steps(step, grid, VPSDE_ELBO_LARGE, NULL, 1);
    law_of_the_model(step, 50, &mean, &variance);
    const double *got = keep_column(&k, "iwae");
    for (size_t i = 0; i < ROWS; i++) {
        const double r = x0[i] - mean;
        const double exact = -0.5 * (r * r / variance + log(2 * M_PI * variance));
        off[i] = exp(got[i] - exact) - 1; /* unbiased for the weight itself */
    }
    mean_of(off, ROWS, &bias, &error);
    print_message("mean weight / p_theta - 1 = %.2e +- %.1e\n", bias, error);
    assert_true(fabs(bias) < 5 * error && error < 0.01);
    mean_of(got, ROWS, &iwae, &error);
    mean_of(keep_column(&k, "elbo"), ROWS, &elbo, &error);
    assert_true(elbo < iwae);
    assert_close(elbo, -expected_cost(step, 50), 6 * error);
    for (size_t i = 0; i < ROWS; i++) assert_int_equal(((int *)keep_column(&k, "nfe"))[i], 50 * 64);
    const double *terms = keep_column(&k, "l_step"), *prior = keep_column(&k, "l_prior");
    for (size_t i = 0; i < ROWS; i++) {
        double sum = prior[i];
        for (size_t t = 0; t < 50; t++) sum += terms[i * 50 + t];
        assert_close(-sum, ((const double *)keep_column(&k, "elbo"))[i], 1e-12);
        assert_true(terms[i * 50] == ((const double *)keep_column(&k, "l_0"))[i]);
    }
    keep_free(&k);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void i_mmse_is_the_log_density(void **state)
{
    (void)state;
    static double x0[ROWS], off[ROWS];
    toy m;
    keep k;
    double bias, error;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = chain_of(process, STEPS_MAX);
    data_rows(x0);
    keep_init(&k);
    vpsde_elbo run = run_of(process, grid, &m, x0);
    run.draws = 64;
    assert_ok(vpsde_elbo_run(&run, &k.sink));
    const double *got = keep_column(&k, "i_mmse");
    for (size_t i = 0; i < ROWS; i++) {
        const double r = x0[i] - MU;
        off[i] = got[i] + 0.5 * (r * r / V0 + log(2 * M_PI * V0));
    }
    mean_of(off, ROWS, &bias, &error);
    print_message("i_mmse - log p = %.2e +- %.1e nats\n", bias, error);
    assert_true(fabs(bias) < 6 * error && error < 0.05);
    keep_free(&k);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static const char *const all_columns[] = {"elbo",   "iwae",    "i_mmse", "l_0",
                                          "l_step", "mse_eps", "mse_x0", "elbo_stderr"};

static void a_row_depends_on_its_index_alone(void **state)
{
    (void)state;
    static double x0[ROWS];
    toy m;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = chain_of(process, 20);
    data_rows(x0);
    for (size_t posing = 0; posing < 2; posing++) {
        keep all, part;
        keep_init(&all);
        keep_init(&part);
        vpsde_elbo run = run_of(process, grid, &m, x0);
        if (posing) toy_gaussian(&m, 1, MU, V0, 0, 32);
        run.draws = 3;
        run.n_threads = 2;
        assert_ok(vpsde_elbo_run(&run, &all.sink));
        run.n_threads = 1;
        run.first = 77;
        run.count = 9;
        run.x0 = x0 + 77;
        assert_ok(vpsde_elbo_run(&run, &part.sink));
        for (size_t c = 0; c < sizeof(all_columns) / sizeof(all_columns[0]); c++) {
            assert_true(keep_same(&part, &all, all_columns[c], 77, 9));
        }
        keep_free(&all);
        keep_free(&part);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void optimal_variance_comes_from_pilots(void **state)
{
    (void)state;
    static double x0[ROWS];
    toy m;
    keep large, optimal;
    double a, b, error;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = chain_of(process, 20);
    data_rows(x0);
    keep_init(&large);
    keep_init(&optimal);
    vpsde_elbo run = run_of(process, grid, &m, x0);
    assert_ok(vpsde_elbo_run(&run, &large.sink));
    run.variance = VPSDE_ELBO_OPTIMAL;
    assert_ok(vpsde_elbo_run(&run, &optimal.sink));
    mean_of(keep_column(&large, "elbo"), ROWS, &a, &error);
    mean_of(keep_column(&optimal, "elbo"), ROWS, &b, &error);
    print_message("elbo over 20 steps: large %.4f, optimal %.4f\n", a, b);
    assert_true(b > a);
    keep_free(&large);
    keep_free(&optimal);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void bad_runs_are_refused_and_bad_rows_flagged(void **state)
{
    (void)state;
    static double x0[ROWS];
    toy m;
    keep k;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = chain_of(process, 20);
    vpsde_grid *open = toy_grid(process, "uniform-t", 20, VPSDE_LAST_STOP);
    data_rows(x0);
    vpsde_elbo run = run_of(process, grid, &m, x0);
    run.draws = 0;
    assert_fails(vpsde_elbo_run(&run, NULL), VPSDE_EINVAL, "draws: must be 1");
    run.draws = 2;
    run.grid = open;
    assert_fails(vpsde_elbo_run(&run, NULL), VPSDE_EINVAL, "end at t = 0");
    run.grid = NULL;
    assert_fails(vpsde_elbo_run(&run, NULL), VPSDE_EINVAL, "grid is not set");
    run.grid = grid;
    x0[3] = 1e6;
    m.poison = 1e5;
    keep_init(&k);
    assert_fails(vpsde_elbo_run(&run, &k.sink), VPSDE_EPARTIAL, "1 of 512 rows");
    assert_true(isnan(((const double *)keep_column(&k, "elbo"))[3]));
    assert_true(isfinite(((const double *)keep_column(&k, "elbo"))[4]));
    keep_free(&k);
    vpsde_grid_destroy(open);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_is_entropy_and_divergences),
        cmocka_unit_test(path_and_marginal_divergences_have_their_orders),
        cmocka_unit_test(levels_have_their_masses),
        cmocka_unit_test(weights_have_the_exact_density_as_mean),
        cmocka_unit_test(i_mmse_is_the_log_density),
        cmocka_unit_test(a_row_depends_on_its_index_alone),
        cmocka_unit_test(optimal_variance_comes_from_pilots),
        cmocka_unit_test(bad_runs_are_refused_and_bad_rows_flagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
