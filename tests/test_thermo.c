/* Heat, work and entropy of paths against a Gaussian, of which every path is affine in its noise: means of
 * work and of the log-ratio R have closed forms at any step, and so have the marginals' F, entropy and
 * rates. The theorems hold at any step: first law to round-off, <exp(-Sigma)> = 1, Crooks' slope 1. */
#include "tests/toy.h"

#include "experiments/thermo_summary.h"
#include "solvers/driver.h"

static const double MU = 0.7, V0 = 0.25;
enum { COUNT = 6000, STEPS = 100 };

static double variance(const vpsde_coef *c)
{
    return c->alpha * c->alpha * V0 + c->sigma * c->sigma;
}

/* KL(N(alpha mu, V) || N(0, 1)) */
static double free_energy_at(const vpsde_coef *c)
{
    const double V = variance(c), m = c->alpha * MU;
    return (V - 1 - log(V) + m * m) / 2;
}

typedef struct fixture {
    toy model;
    vpsde_process *process;
    vpsde_grid *grid;
    vpsde_sampling run;
    vpsde_paths forward, reverse;
} fixture;

static vpsde_status go(fixture *f, vpsde_sink *sink, size_t n_threads)
{
    f->run.n_threads = n_threads;
    vpsde_paths_spec spec = {.sampling = &f->run};
    VPSDE_TRY(vpsde_paths_run(&f->forward, &spec, "/thermo/forward", sink));
    spec.reverse = true;
    return vpsde_paths_run(&f->reverse, &spec, "/thermo/reverse", sink);
}

static void set_up(fixture *f, size_t count)
{
    *f = (fixture){.process = toy_process_to(VPSDE_TERMINAL_EXACT, 1e-2)};
    toy_gaussian(&f->model, 1, MU, V0, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    f->grid = toy_grid(f->process, "uniform-t", STEPS, VPSDE_LAST_STOP);
    f->run = (vpsde_sampling){.process = f->process,
                              .model = &f->model.model,
                              .solver = vpsde_solver_find("euler-maruyama"),
                              .grid = f->grid,
                              .seed = 5,
                              .count = count};
}

static void tear_down(fixture *f)
{
    vpsde_paths_close(&f->forward);
    vpsde_paths_close(&f->reverse);
    vpsde_grid_destroy(f->grid);
    vpsde_process_destroy(f->process);
}

static void within(vpsde_estimate e, double truth, double errors)
{
    assert_true(e.error > 0);
    assert_close(e.value, truth, errors * e.error);
}

/* That of one Gaussian is J_eps = sigma/V. */
static vpsde_status eval_with_divergence(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    for (size_t i = 0; e->div && i < e->n; i++) {
        const vpsde_coef *c = &e->coef[i * e->coef_stride];
        e->div[i] = c->sigma / variance(c);
    }
    return toy_eval(model, ws, e);
}

/* <W> of Euler-Maruyama from the exact terminal law: mean m and variance v of x go on as
 * x' = A x + C + sqrt(h) z; the midpoint's control force is p x + q at each end. */
static double exact_work(const vpsde_grid *grid)
{
    double m = grid->node[0].alpha * MU, v = variance(&grid->node[0]), work = 0;
    for (size_t k = 0; k < grid->n_steps; k++) {
        const vpsde_coef *a = &grid->node[k], *b = &grid->node[k + 1];
        const double h = a->b - b->b, A = 1 + h / 2 - h / variance(a);
        const double m1 = A * m + h * a->alpha * MU / variance(a), v1 = A * A * v + h;
        const double p = 1 - 1 / variance(a), q = a->alpha * MU / variance(a);
        const double p1 = 1 - 1 / variance(b), q1 = b->alpha * MU / variance(b);
        const double xx1 = m * m1 + A * v;
        work += p * (xx1 - m * m - v) + q * (m1 - m) + p1 * (m1 * m1 + v1 - xx1) + q1 * (m1 - m);
        m = m1;
        v = v1;
    }
    return work;
}

/* <R>: KL of the exact backward transitions from Euler-Maruyama's, on the true marginals. */
static double exact_path_kl(const vpsde_grid *grid)
{
    double sum = 0;
    for (size_t k = 0; k < grid->n_steps; k++) {
        const vpsde_coef *a = &grid->node[k], *b = &grid->node[k + 1];
        const double h = a->b - b->b, V = variance(a), V1 = variance(b);
        const double g = exp(-h / 2) * V1 / V, v = V1 * -expm1(-h) / V, A = 1 + h / 2 - h / V;
        const double shift = b->alpha * MU - A * a->alpha * MU - h * a->alpha * MU / V;
        sum += (v / h - 1 - log(v / h) + ((g - A) * (g - A) * V + shift * shift) / h) / 2;
    }
    return sum;
}

static void means_are_those_of_affine_paths(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, COUNT);
    assert_ok(go(&f, NULL, 2));
    const vpsde_paths *r = &f.reverse, *u = &f.forward;
    const vpsde_coef *noise = &f.grid->node[0], *data = &f.grid->node[STEPS];
    within(vpsde_mean(r->value[VPSDE_PATH_WORK], COUNT), exact_work(f.grid), 6);
    within(vpsde_mean(u->value[VPSDE_PATH_LOG_RATIO], COUNT), exact_path_kl(f.grid), 6);
    within(vpsde_mean(u->value[VPSDE_PATH_SIGMA], COUNT),
           free_energy_at(data) - free_energy_at(noise), 6);
    const vpsde_estimate produced =
        vpsde_mean_difference(u->value[VPSDE_PATH_SIGMA], u->value[VPSDE_PATH_MARTINGALE], COUNT);
    within(produced, free_energy_at(data) - free_energy_at(noise), 6);
    assert_true(produced.error < vpsde_mean(u->value[VPSDE_PATH_SIGMA], COUNT).error);
    within(vpsde_mean(u->value[VPSDE_PATH_MARTINGALE], COUNT), 0, 6);
    const double gain = (variance(data) - variance(noise) +
                         MU * MU * (data->alpha * data->alpha - noise->alpha * noise->alpha)) /
                        2;
    within(vpsde_mean(u->value[VPSDE_PATH_HEAT], COUNT), gain, 6);
    within(vpsde_mean(u->value[VPSDE_PATH_ENTROPY], COUNT),
           log(variance(noise) / variance(data)) / 2, 6);
    tear_down(&f);
}

/* The work that theory promises: 2 Delta F as steps shrink, efficiency 1/2. */
static void efficiency_tends_to_one_half(void **state)
{
    (void)state;
    double eta[2];
    vpsde_process *process = toy_process_to(VPSDE_TERMINAL_EXACT, 1e-2);
    for (size_t i = 0; i < 2; i++) {
        vpsde_grid *grid = toy_grid(process, "uniform-t", (size_t)4000 << i, VPSDE_LAST_STOP);
        const double gained =
            free_energy_at(&grid->node[grid->n_steps]) - free_energy_at(&grid->node[0]);
        eta[i] = gained / exact_work(grid);
        vpsde_grid_destroy(grid);
    }
    assert_close(eta[1], 0.5, 1e-3);
    assert_close(2 * eta[1] - eta[0], 0.5, 1e-6);
    vpsde_process_destroy(process);
}

static void theorems_hold_at_any_step(void **state)
{
    (void)state;
    fixture f;
    vpsde_thermo_summary s;
    set_up(&f, COUNT);
    assert_ok(go(&f, NULL, 2));
    for (size_t i = 0; i < COUNT; i++) {
        assert_close(f.forward.value[VPSDE_PATH_FIRST_LAW][i], 0, 1e-12);
        assert_close(f.reverse.value[VPSDE_PATH_FIRST_LAW][i], 0, 1e-12);
        assert_true(f.forward.value[VPSDE_PATH_WORK][i] == 0);
    }
    assert_ok(vpsde_thermo_summarise(&s, &f.forward, &f.reverse, COUNT));
    static const struct {
        const char *name;
        double truth;
    } exact[] = {{"ift", 1}, {"ift_chain", 1}, {"jarzynski", 0}, {"bar", 0}, {"crooks_slope", 1}};
    for (size_t e = 0; e < sizeof(exact) / sizeof(exact[0]); e++) {
        bool found = false;
        for (size_t q = 0; q < s.n_scalars; q++) {
            if (strcmp(s.scalar[q].name, exact[e].name) != 0) continue;
            within(s.scalar[q].of, exact[e].truth, 5);
            found = true;
        }
        assert_true(found);
    }
    tear_down(&f);
}

/* Forward paths have the exact marginals, at every node. */
static void series_are_those_of_the_marginals(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, COUNT);
    assert_ok(go(&f, NULL, 2));
    const vpsde_node_sums *sums = &f.forward.sums;
    assert_int_equal(sums->n_nodes, STEPS + 1);
    for (size_t k = 0; k <= STEPS; k += 10) {
        const vpsde_coef *c = &f.grid->node[k];
        const double V = variance(c), m = c->alpha * MU;
        within(vpsde_node_mean(sums, k, VPSDE_AT_ENERGY), (V + m * m) / 2, 6);
        within(vpsde_node_mean(sums, k, VPSDE_AT_SURPRISAL), log(2 * M_PI * M_E * V) / 2, 6);
        within(vpsde_node_mean(sums, k, VPSDE_AT_FREE), free_energy_at(c), 6);
        within(vpsde_node_mean(sums, k, VPSDE_AT_FISHER), (1 - V) * (1 - V) / V + m * m, 6);
        within(vpsde_node_mean(sums, k, VPSDE_AT_SCORE), 1 / V, 6);
        within(vpsde_node_mean(sums, k, VPSDE_AT_HEAT_RATE), (V + m * m - 1) / 2, 6);
    }
    const double lost = free_energy_at(&f.grid->node[STEPS]) - free_energy_at(&f.grid->node[0]);
    const vpsde_estimate integral = vpsde_node_mean(sums, STEPS, VPSDE_AT_PRODUCED);
    assert_close(integral.value, lost, 6 * integral.error + 2e-3); /* trapezoidal rule */
    tear_down(&f);
}

/* Mean and variance of Euler-Maruyama's paths from the exact terminal law, at node `last`. */
static void affine_law(const vpsde_grid *grid, size_t last, double *m, double *v)
{
    *m = grid->node[0].alpha * MU;
    *v = variance(&grid->node[0]);
    for (size_t k = 0; k < last; k++) {
        const vpsde_coef *a = &grid->node[k];
        const double h = a->b - grid->node[k + 1].b, A = 1 + h / 2 - h / variance(a);
        *m = A * *m + h * a->alpha * MU / variance(a);
        *v = A * A * *v + h;
    }
}

/* Of reverse paths, whose law is not that of the score: the thermometer reads (m^2 + v)/V, m the mean's
 * error, and heat leaves by 1/2 E[(x + 2s).(x + s)], which is 1/2 (1 - V)(2 - V)/V a mode for the score's
 * own law of mean 0. Forward the thermometer reads 1. */
static void thermometer_and_heat_rate(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, COUNT);
    f.model.type.flags |= VPSDE_MODEL_DIVERGENCE;
    f.model.type.eval = eval_with_divergence;
    assert_ok(go(&f, NULL, 2));
    for (size_t k = 0; k <= STEPS; k += 20) {
        const vpsde_coef *c = &f.grid->node[k];
        const double V = variance(c), c1 = 1 - 1 / V, c2 = 1 - 2 / V, shift = c->alpha * MU / V;
        double m, v;
        affine_law(f.grid, k, &m, &v);
        const double off = m - c->alpha * MU, xx = m * m + v;
        within(vpsde_node_temperature(&f.forward.sums, k), 1, 6);
        within(vpsde_node_temperature(&f.reverse.sums, k), (off * off + v) / V, 6);
        within(vpsde_node_mean(&f.reverse.sums, k, VPSDE_AT_HEAT_RATE),
               (c1 * c2 * xx + (2 * c1 + c2) * shift * m + 2 * shift * shift) / 2, 6);
        assert_true(k < STEPS || (off * off + v) / V > 1.01); /* hot, at this step */
    }
    tear_down(&f);
}

static void reverse_paths_are_samples_of_euler_maruyama(void **state)
{
    (void)state;
    enum { FEW = 100 };
    fixture f;
    double start[FEW], end[FEW];
    set_up(&f, FEW);
    assert_ok(go(&f, NULL, 1));
    assert_ok(vpsde_sampling_start(&f.run, 0, FEW, start));
    assert_ok(vpsde_sample_array(&f.run, end));
    for (size_t i = 0; i < FEW; i++) {
        const double change = (end[i] * end[i] - start[i] * start[i]) / 2;
        assert_close(f.reverse.value[VPSDE_PATH_ENERGY][i], change, 1e-12);
    }
    tear_down(&f);
}

static void bits_do_not_depend_on_threads_or_count(void **state)
{
    (void)state;
    fixture one, two, few;
    set_up(&one, 1000);
    set_up(&two, 1000);
    set_up(&few, 70);
    assert_ok(go(&one, NULL, 1));
    assert_ok(go(&two, NULL, 2));
    assert_ok(go(&few, NULL, 2));
    const size_t sums = (2 * VPSDE_N_AT + 1) * (STEPS + 1) * sizeof(double);
    assert_memory_equal(one.reverse.sums.sum, two.reverse.sums.sum, sums);
    assert_memory_equal(one.forward.sums.sum, two.forward.sums.sum, sums);
    for (size_t q = 0; q < VPSDE_N_PATH; q++) {
        const double *a = one.reverse.value[q], *u = one.forward.value[q];
        assert_memory_equal(a, two.reverse.value[q], 1000 * sizeof(double));
        assert_memory_equal(a, few.reverse.value[q], 70 * sizeof(double));
        assert_memory_equal(u, few.forward.value[q], 70 * sizeof(double));
    }
    tear_down(&one);
    tear_down(&two);
    tear_down(&few);
}

static vpsde_status two_rows(const void *context, size_t first, size_t n, double *x)
{
    (void)context;
    for (size_t i = 0; i < n; i++) x[i] = first + i == 3 ? 0.5 : 1.5;
    return first + n <= 5 && first >= 3 ? VPSDE_OK : vpsde_fail(VPSDE_EINTERNAL, "no such row");
}

/* One that asks for full blocks and knows no draws: paths start at rows 3, 4, 3, ... of the data. */
static void a_network_starts_at_rows_in_full_blocks(void **state)
{
    (void)state;
    fixture f;
    keep k;
    set_up(&f, 21);
    toy_gaussian(&f.model, 1, MU, V0, 0, 8);
    f.model.type.flags &= ~(unsigned)VPSDE_MODEL_LOG_P;
    vpsde_paths_spec spec = {.sampling = &f.run};
    assert_fails(vpsde_paths_run(&f.forward, &spec, "/thermo/forward", NULL), VPSDE_EINVAL,
                 "need rows of data");
    vpsde_paths_close(&f.forward);
    spec.source.read = two_rows;
    assert_fails(vpsde_paths_run(&f.forward, &spec, "/thermo/forward", NULL), VPSDE_EINVAL,
                 "got none");
    vpsde_paths_close(&f.forward);
    spec.first_row = 3;
    spec.n_rows = 2;
    keep_init(&k);
    assert_ok(vpsde_paths_run(&f.forward, &spec, "/thermo/forward", &k.sink));
    const double *heat = keep_column(&k, "heat"), *ratio = keep_column(&k, "log_ratio");
    assert_memory_equal(heat, f.forward.value[VPSDE_PATH_HEAT], 21 * sizeof(double));
    for (size_t i = 0; i < 21; i++) assert_true(isnan(ratio[i]));
    assert_true(!f.forward.has_logp && !f.forward.has_divergence && k.ended == 1);
    assert_int_equal(atomic_load(&f.model.odd), 0);
    assert_int_equal(atomic_load(&f.model.calls), 3 * (STEPS + 1));
    keep_free(&k);
    tear_down(&f);
}

static void failed_paths_are_left_out(void **state)
{
    (void)state;
    fixture f;
    vpsde_thermo_summary s;
    set_up(&f, 400);
    f.model.poison = 2.2;
    assert_ok(go(&f, NULL, 2));
    size_t failed = 0;
    for (size_t i = 0; i < 400; i++) {
        failed += f.reverse.status[i] == VPSDE_ROW_NON_FINITE;
        assert_true((f.reverse.status[i] != VPSDE_ROW_OK) ==
                    (isnan(f.reverse.value[VPSDE_PATH_HEAT][i]) != 0));
    }
    assert_true(failed > 0 && f.reverse.sums.n == 400 - failed);
    assert_ok(vpsde_thermo_summarise(&s, &f.forward, &f.reverse, 400));
    assert_true(s.n_failed >= failed && isfinite(s.scalar[0].of.value));
    vpsde_paths_close(&f.forward);
    vpsde_paths_close(&f.reverse);
    f.model.poison = 1e-300;
    assert_ok(go(&f, NULL, 2));
    assert_fails(vpsde_thermo_summarise(&s, &f.forward, &f.reverse, 400), VPSDE_ENUMERIC,
                 "all 400 forward paths");
    tear_down(&f);
}

static void one_node_is_no_path(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 10);
    const double times[] = {1, 0};
    vpsde_process *whole = toy_process_to(VPSDE_TERMINAL_EXACT, 0);
    vpsde_grid *grid = toy_grid_at(whole, times, 1, VPSDE_LAST_STOP);
    f.run.grid = grid;
    assert_fails(go(&f, NULL, 1), VPSDE_EINVAL, "two nodes or more above t = 0");
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(whole);
    tear_down(&f);
}

/* R of variance 2m around m, and around -m from the other side, obeys Crooks' theorem. */
static void estimators_on_normal_and_heavy_tails(void **state)
{
    (void)state;
    enum { P = 4000, Q = 2500 };
    static double p[P], q[Q], far[P], far_q[Q], heavy[P];
    const double m = 0.2, shift = 0.3;
    vpsde_exponential_mean mean;
    vpsde_normals(p, 1, VPSDE_NOISE_TEST, 0, P, 0, 1);
    vpsde_normals(q, 1, VPSDE_NOISE_TEST, 0, Q, 1, 1);
    vpsde_uniforms(heavy, 1, VPSDE_NOISE_TEST, 0, P, 2, 1);
    for (size_t i = 0; i < P; i++) p[i] = m + sqrt(2 * m) * p[i] + shift;
    for (size_t i = 0; i < Q; i++) q[i] = -m + sqrt(2 * m) * q[i] + shift;
    const vpsde_crooks crooks = vpsde_crooks_fit(p, P, q, Q);
    within(crooks.bar, shift, 5);
    within(crooks.slope, 1, 5);
    assert_true(crooks.bar.error < 0.05 && crooks.slope.error < 0.1);
    for (size_t i = 0; i < P; i++) far[i] = p[i] + 300;
    for (size_t i = 0; i < Q; i++) far_q[i] = q[i] + 300;
    const vpsde_crooks away = vpsde_crooks_fit(far, P, far_q, Q);
    assert_close(away.bar.value, crooks.bar.value + 300, 1e-9);
    assert_close(away.slope.value, crooks.slope.value, 1e-9);
    assert_true(isnan(vpsde_crooks_fit(far, P, q, Q).slope.value)); /* apart */
    assert_ok(vpsde_exponential_mean_of(&mean, p, P, -1));
    within(mean.mean, exp(-shift), 5);
    within(mean.log_mean, -shift, 5);
    assert_true(mean.tail_index > 2 && mean.top_share < 0.02);
    for (size_t i = 0; i < P; i++) heavy[i] = log(heavy[i]) / 1.5; /* weights of tail index 1.5 */
    assert_ok(vpsde_exponential_mean_of(&mean, heavy, P, -1));
    assert_close(mean.tail_index, 1.5, 5 * 1.5 / sqrt(63)); /* its own asymptotic error */
    const vpsde_estimate ratio =
        vpsde_quotient((vpsde_estimate){3, 0.03}, (vpsde_estimate){2, 0.04});
    assert_close(ratio.value, 1.5, 1e-15);
    assert_close(ratio.error, 1.5 * hypot(0.01, 0.02), 1e-15);
    const double unknown[] = {(double)NAN, (double)NAN};
    assert_true(isnan(vpsde_mean(unknown, 2).value) && isnan(vpsde_mean(unknown, 2).error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_are_those_of_affine_paths),
        cmocka_unit_test(efficiency_tends_to_one_half),
        cmocka_unit_test(theorems_hold_at_any_step),
        cmocka_unit_test(series_are_those_of_the_marginals),
        cmocka_unit_test(thermometer_and_heat_rate),
        cmocka_unit_test(reverse_paths_are_samples_of_euler_maruyama),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_count),
        cmocka_unit_test(a_network_starts_at_rows_in_full_blocks),
        cmocka_unit_test(failed_paths_are_left_out),
        cmocka_unit_test(one_node_is_no_path),
        cmocka_unit_test(estimators_on_normal_and_heavy_tails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
