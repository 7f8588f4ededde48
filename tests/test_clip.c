/* Clipping and thresholding of x0hat, against a direct computation. */
#include "tests/toy.h"

#include "solvers/clip.h"

enum { D = 7, ROWS = 300, STEPS = 12, COUNT = 70 };

static int increasing(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy.quantile of |x0| */
static double quantile(const double *x0, size_t d, double q)
{
    double sorted[D];
    for (size_t j = 0; j < d; j++) sorted[j] = fabs(x0[j]);
    qsort(sorted, d, sizeof(double), increasing);
    const double at = q * (double)(d - 1), low = floor(at);
    const size_t k = (size_t)low;
    return k + 1 < d ? sorted[k] + (at - low) * (sorted[k + 1] - sorted[k]) : sorted[k];
}

static void directly(const vpsde_clip *clip, size_t d, double *x0)
{
    double low = clip->low, high = clip->high, scale = 1;
    if (clip->kind == VPSDE_CLIP_DYNAMIC) {
        scale = high = fmax(clip->min, quantile(x0, d, clip->quantile));
        low = -high;
    }
    for (size_t j = 0; j < d; j++) x0[j] = fmin(fmax(x0[j], low), high) / scale;
}

static void rows_are_clipped_as_published(void **state)
{
    (void)state;
    static const vpsde_clip clips[] = {
        {.kind = VPSDE_CLIP_STATIC, .low = -1, .high = 1},
        {.kind = VPSDE_CLIP_STATIC, .low = 0.1, .high = 0.2},
        {.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0.995, .min = 1},
        {.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0.5, .min = 0.3},
        {.kind = VPSDE_CLIP_DYNAMIC, .quantile = 1, .min = 1},
        {.kind = VPSDE_CLIP_DYNAMIC, .quantile = 1e-9, .min = 5},
    };
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t i = 0; i < ROWS; i++) {
        const vpsde_clip *clip = &clips[i % (sizeof(clips) / sizeof(clips[0]))];
        const size_t d = 1 + i % D;
        const vpsde_coef c = vpsde_process_at(p, pow(1e-3, (double)i / ROWS));
        double x[D], eps[D], before[D], x0[D], scratch[2 * D];
        vpsde_normals(x0, 3, VPSDE_NOISE_TEST, i, 1, 0, d);
        vpsde_normals(eps, 3, VPSDE_NOISE_TEST, i, 1, 1, d);
        for (size_t j = 0; j < d; j++) {
            before[j] = eps[j];
            x[j] = c.alpha * x0[j] + c.sigma * eps[j];
            x0[j] = (x[j] - c.sigma * eps[j]) / c.alpha;
        }
        vpsde_clip_row(clip, &c, d, x, eps, scratch);
        directly(clip, d, x0);
        for (size_t j = 0; j < d; j++) {
            assert_close((x[j] - c.sigma * eps[j]) / c.alpha, x0[j], 1e-14 / c.alpha);
            const bool inside =
                clip->kind == VPSDE_CLIP_STATIC && x0[j] > clip->low && x0[j] < clip->high;
            if (inside) assert_true(eps[j] == before[j]);
        }
    }
    vpsde_process_destroy(p);
}

static void some_rows_are_left_alone(void **state)
{
    (void)state;
    const vpsde_clip clip = {.kind = VPSDE_CLIP_STATIC, .low = -0.1, .high = 0.1}, none = {0};
    vpsde_process *p = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    const vpsde_coef data = vpsde_process_at(p, 0), half = vpsde_process_at(p, 0.5);
    const double x[2] = {4, 4};
    double eps[2] = {1, 2}, scratch[4];
    vpsde_clip_row(&clip, &data, 2, x, eps, scratch);
    vpsde_clip_row(&none, &half, 2, x, eps, scratch);
    assert_true(eps[0] == 1 && eps[1] == 2);
    eps[1] = (double)INFINITY; /* a failure must not look like a clipped success */
    vpsde_clip_row(&clip, &half, 2, x, eps, scratch);
    assert_true(eps[0] == 1 && isinf(eps[1]));
    vpsde_process_destroy(p);
}

static void samples_stay_in_the_box(void **state)
{
    (void)state;
    static const char *const solvers[] = {"ddim", "heun", "ancestral", "dopri5"};
    static double x[COUNT * 2];
    toy analytic, network;
    keep k;
    toy_mixture(&analytic, VPSDE_MODEL_ANALYTIC, 0);
    toy_mixture(&network, 0, 16);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", STEPS, VPSDE_LAST_TWEEDIE);
    for (size_t s = 0; s < 2 * sizeof(solvers) / sizeof(solvers[0]); s++) {
        vpsde_sampling run = {
            .process = p,
            .model = s % 2 ? &network.model : &analytic.model,
            .solver = vpsde_solver_find(solvers[s / 2]),
            .grid = grid,
            .rtol = 1e-3,
            .atol = 1e-3,
            .count = COUNT,
            .n_threads = 2,
            .clip = {.kind = VPSDE_CLIP_STATIC, .low = -1.5, .high = 0.5},
            .log = {.n_times = SIZE_MAX, .fields = VPSDE_LOG_X0 | VPSDE_LOG_X, .dtype = VPSDE_F64}};
        if (run.solver->integrate) run.log.n_times = STEPS + 1;
        keep_init(&k);
        assert_ok(vpsde_sample(&run, &k.sink));
        const double *final = keep_column(&k, "final"), *x0 = keep_column(&k, "x0");
        double least = 0, most = 0;
        for (size_t e = 0; e < (size_t)COUNT * 2; e++) {
            assert_true(final[e] >= -1.5 - 1e-12 && final[e] <= 0.5 + 1e-12);
            least = fmin(least, final[e]);
            most = fmax(most, final[e]);
        }
        assert_true(least < -1.49 && most > 0.49);
        for (size_t e = 0; e < (size_t)COUNT * (STEPS + 1) * 2; e++) {
            assert_true(x0[e] >= -1.5 - 1e-12 && x0[e] <= 0.5 + 1e-12);
        }
        keep_free(&k);
        run.clip = (vpsde_clip){.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0.995, .min = 1};
        assert_ok(vpsde_sample_array(&run, x));
        for (size_t e = 0; e < (size_t)COUNT * 2; e++) assert_true(fabs(x[e]) <= 1 + 1e-12);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* Bounds that nothing reaches change no bit, and DDIM with clipping is DDIM by hand. */
static void ddim_by_hand(void **state)
{
    (void)state;
    static double plain[COUNT * 2], wide[COUNT * 2], clipped[COUNT * 2];
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    vpsde_sampling run = {.process = p,
                          .model = &m.model,
                          .solver = vpsde_solver_find("ddim"),
                          .grid = grid,
                          .seed = 4,
                          .count = COUNT};
    assert_ok(vpsde_sample_array(&run, plain));
    run.clip = (vpsde_clip){.kind = VPSDE_CLIP_STATIC, .low = -1e6, .high = 1e6};
    assert_ok(vpsde_sample_array(&run, wide));
    assert_memory_equal(plain, wide, sizeof(plain));
    run.clip = (vpsde_clip){.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0.9, .min = 1};
    assert_ok(vpsde_sample_array(&run, clipped));
    for (size_t i = 0; i < COUNT; i++) {
        double x[2], eps[2], x0[2];
        vpsde_normals(x, run.seed, VPSDE_NOISE_PRIOR, i, 1, 0, 2);
        for (size_t k = 0; k < STEPS; k++) {
            const vpsde_coef *at = &grid->node[k], *next = &grid->node[k + 1];
            toy_row(&m, at, 2, x, eps);
            for (size_t j = 0; j < 2; j++) x0[j] = (x[j] - at->sigma * eps[j]) / at->alpha;
            directly(&run.clip, 2, x0);
            for (size_t j = 0; j < 2; j++) {
                eps[j] = (x[j] - at->alpha * x0[j]) / at->sigma;
                x[j] = next->alpha * x0[j] + next->sigma * eps[j];
            }
        }
        for (size_t j = 0; j < 2; j++) assert_close(clipped[2 * i + j], x[j], 1e-12);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void bad_bounds_are_refused(void **state)
{
    (void)state;
    static const struct {
        vpsde_clip clip;
        const char *words;
    } cases[] = {
        {{.kind = VPSDE_CLIP_STATIC, .low = 1, .high = 1}, "clip: must be [low, high] with low <"},
        {{.kind = VPSDE_CLIP_STATIC, .low = 0, .high = (double)INFINITY}, "got [0, inf]"},
        {{.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0, .min = 1},
         "quantile must be in (0, 1], got 0"},
        {{.kind = VPSDE_CLIP_DYNAMIC, .quantile = 1.5, .min = 1}, "got 1.5"},
        {{.kind = VPSDE_CLIP_DYNAMIC, .quantile = 0.9}, "min must be positive, got 0"},
    };
    toy m;
    double x[2];
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    vpsde_process *p = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(p, "uniform-lambda", 2, VPSDE_LAST_STOP);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const vpsde_sampling run = {.process = p,
                                    .model = &m.model,
                                    .solver = vpsde_solver_find(i % 2 ? "dopri5" : "ddim"),
                                    .grid = grid,
                                    .rtol = 1e-3,
                                    .atol = 1e-3,
                                    .count = 1,
                                    .clip = cases[i].clip};
        assert_fails(vpsde_sample_array(&run, x), VPSDE_EINVAL, cases[i].words);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_clipped_as_published), cmocka_unit_test(some_rows_are_left_alone),
        cmocka_unit_test(samples_stay_in_the_box),       cmocka_unit_test(ddim_by_hand),
        cmocka_unit_test(bad_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
