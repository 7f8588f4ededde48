/* Inpainting: on a Gaussian every step is affine, so the law of what is filled in is known exactly, and with
 * it the bias of replacement and what resampling leaves of it. */
#include "tests/toy.h"

#include "solvers/inpaint.h"

enum { D = 2, STEPS = 60, COUNT = 4000, SHORT = 40 };

static const double rho = 0.8, mu[D] = {0.5, -1}, known_value = 1.6;

static vpsde_model *correlated(void)
{
    vpsde_model *m;
    const double one = 1, covariance[D * D] = {1, rho, rho, 1};
    assert_ok(vpsde_gaussian_mixture_create(&m, 1, D, &one, mu, covariance));
    return m;
}

/* A Gaussian's mean and covariance under the algorithm, component 0 known. */
typedef struct law {
    double m[D], p[D][D];
} law;

static void replace(law *l, const vpsde_coef *c)
{
    l->m[0] = c->alpha * known_value;
    l->p[0][0] = c->sigma * c->sigma;
    l->p[0][1] = l->p[1][0] = 0;
}

/* x' = A x + b + noise */
static void affine(law *l, const double a[D][D], const double b[D], double noise)
{
    law next;
    for (size_t i = 0; i < D; i++) {
        next.m[i] = b[i] + a[i][0] * l->m[0] + a[i][1] * l->m[1];
        for (size_t j = 0; j < D; j++) {
            next.p[i][j] = i == j ? noise * noise : 0;
            for (size_t q = 0; q < D * D; q++) {
                next.p[i][j] += a[i][q / D] * l->p[q / D][q % D] * a[j][q % D];
            }
        }
    }
    *l = next;
}

/* DDIM(eta) on that Gaussian: eps = sigma C^-1 (x - alpha mu). */
static void ddim(law *l, const vpsde_coef *c, const vpsde_coef *c1, double eta)
{
    const double a2 = c->alpha * c->alpha, diagonal = a2 + c->sigma * c->sigma, off = a2 * rho;
    const double det = diagonal * diagonal - off * off;
    const double s = eta * c1->sigma / c->sigma * sqrt(-expm1(-(c->b - c1->b)));
    const double f = c1->alpha / c->alpha;
    const double on_eps = sqrt(c1->sigma * c1->sigma - s * s) - c->sigma * f;
    const double g = on_eps * c->sigma / det;
    const double a[D][D] = {{f + g * diagonal, -g * off}, {-g * off, f + g * diagonal}};
    const double b[D] = {-g * c->alpha * (diagonal * mu[0] - off * mu[1]),
                         -g * c->alpha * (diagonal * mu[1] - off * mu[0])};
    affine(l, a, b, s);
}

static void up(law *l, const vpsde_coef *from, const vpsde_coef *to)
{
    const double db = to->b - from->b, f = exp(-db / 2);
    const double a[D][D] = {{f, 0}, {0, f}}, b[D] = {0};
    affine(l, a, b, sqrt(-expm1(-db)));
}

static law propagate(const vpsde_grid *grid, double eta, size_t jump, size_t resamples)
{
    const vpsde_coef *node = grid->node;
    law l = {.m = {0}, .p = {{1, 0}, {0, 1}}};
    replace(&l, &node[0]);
    const size_t noisy = grid->n_steps - !(node[grid->n_steps].sigma > 0);
    for (size_t k = 0, begin = 0, pass = 1; k < grid->n_steps; k++) {
        ddim(&l, &node[k], &node[k + 1], eta);
        replace(&l, &node[k + 1]);
        if (resamples == 1 || k >= noisy || (noisy - k - 1) % jump != 0) continue;
        if (pass++ < resamples) {
            up(&l, &node[k + 1], &node[begin]);
            k = begin - 1;
        } else {
            begin = k + 1;
            pass = 1;
        }
    }
    return l;
}

static const uint8_t first_known[D] = {1, 0};

static vpsde_sampling ddim_run(const vpsde_process *p, const vpsde_model *m, const vpsde_grid *grid,
                               const double *eta, const double *data, size_t jump, size_t resamples)
{
    return (vpsde_sampling){.process = p,
                            .model = m,
                            .solver = vpsde_solver_find("ddim"),
                            .param = eta,
                            .grid = grid,
                            .seed = 5,
                            .count = COUNT,
                            .inpaint = {.known = first_known,
                                        .data = data,
                                        .jump_length = jump,
                                        .resamples = resamples},
                            .n_threads = 2};
}

static void gaussians_are_filled_in_as_computed(void **state)
{
    (void)state;
    static const struct {
        double eta;
        size_t jump, resamples, steps;
    } cases[] = {{1, 1, 1, STEPS}, {0, 0, 0, STEPS}, {0.5, 7, 3, 23}, {1, 10, 10, STEPS},
                 {0, 5, 4, 20},    {1, 100, 3, 12},  {1, 1, 5, 20}};
    static double data[COUNT * D], x[COUNT * D];
    vpsde_model *m = correlated();
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t i = 0; i < COUNT; i++) {
        data[i * D] = known_value;
        data[i * D + 1] = (double)NAN; /* what is not known is never looked at */
    }
    for (size_t q = 0; q < sizeof(cases) / sizeof(cases[0]); q++) {
        const size_t r = cases[q].resamples ? cases[q].resamples : 1;
        vpsde_grid *grid = toy_grid(p, "uniform-lambda", cases[q].steps, VPSDE_LAST_EULER);
        const vpsde_sampling run =
            ddim_run(p, m, grid, &cases[q].eta, data, cases[q].jump, cases[q].resamples);
        assert_ok(vpsde_sample_array(&run, x));
        const law l = propagate(grid, cases[q].eta, cases[q].jump, r);
        double mean = 0, square = 0;
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(x[i * D] == known_value);
            mean += x[i * D + 1] / COUNT;
        }
        for (size_t i = 0; i < COUNT; i++) {
            square += (x[i * D + 1] - mean) * (x[i * D + 1] - mean) / (COUNT - 1);
        }
        assert_close(mean, l.m[1], 6 * sqrt(l.p[1][1] / COUNT));
        assert_close(square, l.p[1][1], 6 * l.p[1][1] * sqrt(2.0 / COUNT));
        vpsde_grid_destroy(grid);
    }
    vpsde_model_destroy(m);
    vpsde_process_destroy(p);
}

/* How far mean and variance are from the law given what is known, with ancestral steps. */
static void bias(double off[2], const vpsde_process *p, size_t n_steps, size_t jump,
                 size_t resamples)
{
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", n_steps, VPSDE_LAST_EULER);
    const law l = propagate(grid, 1, jump, resamples);
    off[0] = fabs(l.m[1] - (mu[1] + rho * (known_value - mu[0])));
    off[1] = fabs(l.p[1][1] - (1 - rho * rho));
    vpsde_grid_destroy(grid);
}

/* Replacement alone is far off, at any step; resampling comes closer the more often, down to a bias that
 * shrinks with the step. */
static void resampling_removes_the_bias(void **state)
{
    (void)state;
    static const size_t resamples[] = {2, 5, 10, 20};
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    double off[2], before[2], alone[2];
    bias(before, p, 250, 10, 1);
    bias(alone, p, 4000, 10, 1);
    assert_true(before[0] > 0.3 && alone[0] > 0.3 && before[1] > 0.1 && alone[1] > 0.1);
    for (size_t q = 0; q < sizeof(resamples) / sizeof(resamples[0]); q++) {
        bias(off, p, 250, 10, resamples[q]);
        print_message("resamples %zu: mean off by %.4f, variance by %.4f\n", resamples[q], off[0],
                      off[1]);
        assert_true(off[0] < 0.65 * before[0]);
        before[0] = off[0];
    }
    bias(before, p, 125, 10, 400);
    for (size_t n = 250; n <= 1000; n *= 2) {
        bias(off, p, n, 10, 400);
        print_message("%zu steps, resamples 400: mean off by %.5f, variance by %.5f\n", n, off[0],
                      off[1]);
        assert_true(off[0] < 2e-3 && off[1] < 0.6 * before[1]);
        before[1] = off[1];
    }
    vpsde_process_destroy(p);
}

/* A whole second pass is a run of its own from where the first one was sent back up to: the solver, its
 * history too, starts anew. */
static void a_pass_starts_anew(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim", "heun", "dpmpp-2m", "unipc", "plms", "deis"};
    static const uint8_t nothing_known[D] = {0, 0};
    static double plain[SHORT * D], up_again[SHORT * D], second[SHORT * D], x[SHORT * D];
    static const double nowhere[SHORT * D] = {0};
    toy m;
    toy_mixture(&m, 0, 16);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", 9, VPSDE_LAST_STOP);
    for (size_t s = 0; s < sizeof(solvers) / sizeof(solvers[0]); s++) {
        vpsde_sampling run = {.process = p,
                              .model = &m.model,
                              .solver = vpsde_solver_find(solvers[s]),
                              .grid = grid,
                              .seed = 6,
                              .first = 5,
                              .count = SHORT,
                              .n_threads = 1};
        assert_ok(vpsde_sample_array(&run, plain));
        run.inpaint = (vpsde_inpaint){
            .known = nothing_known, .data = nowhere, .jump_length = 20, .resamples = 1};
        assert_ok(vpsde_sample_array(&run, x));
        assert_memory_equal(x, plain, sizeof(plain));
        run.inpaint.resamples = 2;
        assert_ok(vpsde_sample_array(&run, x));
        const uint32_t key[2] = {6, 0}, counter[4] = {0, 1, 0, VPSDE_NOISE_KNOWN};
        uint32_t word[4];
        double z[SHORT * D];
        vpsde_philox(word, counter, key);
        vpsde_normals(z, word[0] | (uint64_t)word[1] << 32, VPSDE_NOISE_KNOWN, 5, SHORT, 0, D);
        vpsde_forward(up_again, &grid->node[9], &grid->node[0], plain, z, (size_t)SHORT * D);
        run.inpaint = (vpsde_inpaint){0};
        run.init = up_again;
        assert_ok(vpsde_sample_array(&run, second));
        assert_memory_equal(x, second, sizeof(second));
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* Every fixed-step solver: known components are the data's to the bit, samples depend on their index
 * alone, and evaluations are counted pass by pass. */
static void any_fixed_solver_inpaints(void **state)
{
    (void)state;
    static double data[SHORT * D], x[SHORT * D], y[SHORT * D];
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", 12, VPSDE_LAST_TWEEDIE);
    const vpsde_solver_type *solver;
    vpsde_normals(data, 9, VPSDE_NOISE_TEST, 0, SHORT, 0, D);
    for (size_t s = 0; (solver = vpsde_solver_at(s)) != NULL; s++) {
        toy m;
        keep k;
        toy_mixture(&m, s % 2 ? VPSDE_MODEL_ANALYTIC : 0, 16);
        vpsde_sampling run = {
            .process = p,
            .model = &m.model,
            .solver = solver,
            .grid = grid,
            .rtol = 1e-3,
            .atol = 1e-3,
            .seed = 6,
            .count = SHORT,
            .n_threads = 2,
            .inpaint = {.known = first_known, .data = data, .jump_length = 5, .resamples = 3},
            .log = {.n_times = 4, .fields = VPSDE_LOG_X | VPSDE_LOG_NOISE, .dtype = VPSDE_F64}};
        if (vpsde_solver_is_adaptive(solver)) {
            run.log.n_times = 0;
            assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "chooses its own steps");
            continue;
        }
        keep_init(&k);
        assert_ok(vpsde_sample(&run, &k.sink));
        memcpy(x, keep_column(&k, "final"), sizeof(x));
        const int32_t *nfe = keep_column(&k, "nfe");
        for (size_t i = 0; i < SHORT; i++) {
            assert_true(x[i * D] == data[i * D] && isfinite(x[i * D + 1]));
            assert_true(x[i * D + 1] != data[i * D + 1]);
            assert_int_equal(nfe[i], nfe[0]);
            if (!solver->nfe) assert_int_equal(nfe[i], 36 * solver->nfe_per_step + 1);
        }
        if (solver->flags & VPSDE_SOLVER_BATCH_COUPLED) {
            keep_free(&k);
            continue;
        }
        run.n_threads = 1;
        run.log.n_times = 0;
        run.first = 7;
        run.count = 11;
        run.inpaint.data = data + 7 * D;
        assert_ok(vpsde_sample_array(&run, y));
        assert_memory_equal(y, x + 7 * D, 11 * sizeof(double[D]));
        keep_free(&k);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void failed_rows_do_not_come_back(void **state)
{
    (void)state;
    static double data[SHORT * D];
    toy m;
    keep k;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    m.poison = 2.5;
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", 12, VPSDE_LAST_STOP);
    for (size_t i = 0; i < SHORT; i++)
        data[i * D] = i % 2 ? 6 : 0; /* above the poison at the end */
    keep_init(&k);
    const vpsde_sampling run = {
        .process = p,
        .model = &m.model,
        .solver = vpsde_solver_find("ancestral"),
        .grid = grid,
        .count = SHORT,
        .inpaint = {.known = first_known, .data = data, .jump_length = 3, .resamples = 2}};
    assert_int_equal(vpsde_sample(&run, &k.sink), VPSDE_EPARTIAL);
    const uint8_t *status = keep_column(&k, "status");
    const double *x = keep_column(&k, "final");
    for (size_t i = 0; i < SHORT; i++) {
        if (i % 2) assert_int_equal(status[i], 1);
        assert_true(isnan(x[i * D]) == (status[i] != 0));
    }
    keep_free(&k);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const uint8_t odd[D] = {1, 2};
    const double data[D] = {0};
    double x[D];
    toy m;
    vpsde_grid *up_grid;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", 4, VPSDE_LAST_STOP);
    assert_ok(vpsde_grid_reversed(&up_grid, grid));
    vpsde_sampling run = {.process = p,
                          .model = &m.model,
                          .solver = vpsde_solver_find("ddim"),
                          .grid = grid,
                          .count = 1,
                          .inpaint = {.known = first_known, .resamples = 2}};
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "one row for each of 1 samples");
    run.inpaint.data = data;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "2 resamples need a jump_length");
    run.inpaint.jump_length = 1;
    run.inpaint.known = odd;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "component 1 of the mask");
    run.inpaint.known = first_known;
    run.log = (vpsde_log){.n_times = 2, .fields = VPSDE_LOG_LOGP, .dtype = VPSDE_F64};
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "expected no inpainting");
    run.log.n_times = 0;
    run.grid = up_grid;
    run.init = data;
    assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, "must lead from noise to data");
    vpsde_grid_destroy(up_grid);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaussians_are_filled_in_as_computed),
        cmocka_unit_test(resampling_removes_the_bias),
        cmocka_unit_test(a_pass_starts_anew),
        cmocka_unit_test(any_fixed_solver_inpaints),
        cmocka_unit_test(failed_rows_do_not_come_back),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
