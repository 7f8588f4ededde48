/* The geometry of schedules: rates of Gaussians and mixtures, the grid of constant speed, lengths. */
#include "tests/toy.h"

#include "sde/length.h"
#include "solvers/calibrate.h"
#include "solvers/geometry.h"
#include "tests/sde_cases.h"

static double variance_at(double b, double v) { return exp(-b) * v - expm1(-b); }

static vpsde_model *gaussian(size_t d, double mean, double v)
{
    double mu[16], covariance[256] = {0};
    const double one = 1;
    vpsde_model *model;
    for (size_t j = 0; j < d; j++) mu[j] = mean, covariance[j * d + j] = v;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, d, &one, mu, covariance));
    return model;
}

/* 0.3 N(-1, 0.1) + 0.7 N(2, 0.2) */
static vpsde_model *pair(void)
{
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, 1, (double[]){0.3, 0.7}, (double[]){-1, 2},
                                            (double[]){0.1, 0.2}));
    return model;
}

/* |I + H|_F^2/2 = d (1 - 1/V)^2/2 at every state of a Gaussian, whatever probes it; the rates as in the
 * heads of the grids' files. */
static void rates_of_a_gaussian(void **state)
{
    (void)state;
    static const size_t dims[] = {1, 3, 12}; /* unit vectors, unit vectors, probes */
    const double v = 0.25;
    vpsde_process *p = case_process("vp-linear", 1e-3);
    for (size_t q = 0; q < 3; q++) {
        const double d = (double)dims[q];
        vpsde_model *model = gaussian(dims[q], 0, v);
        const vpsde_sampling run = {.process = p, .model = model, .seed = 3, .n_threads = 2};
        const vpsde_geometry_plan plan = {.nodes = 9, .samples = 40, .probes = 2};
        vpsde_geometry *g;
        double dissipation[9];
        assert_ok(vpsde_geometry_measure(&g, &run, &plan));
        assert_int_equal(g->nfe, 9 * 40);
        assert_int_equal(g->jvp, 9 * 40 * (dims[q] <= 8 ? dims[q] : 2));
        for (size_t e = 0; e < 9 * 40; e++) {
            const double rest = 1 - 1 / variance_at(g->node[e % 9].b, v);
            assert_close(g->rate[VPSDE_RATE_METRIC][e], 0.5 * d * rest * rest,
                         1e-9 * d * (1 + rest * rest));
        }
        vpsde_geometry_mean(dissipation, g, VPSDE_RATE_DISSIPATION, NULL);
        for (size_t m = 0; m < 9; m++) {
            const double V = variance_at(g->node[m].b, v), exact = 0.5 * d * (1 - V) * (1 - V) / V;
            assert_close(dissipation[m], exact, 6 * exact * sqrt(2 / (d * 40)));
        }
        vpsde_geometry_destroy(g);
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(p);
}

/* The grid of a Gaussian is geometric in V: constant speed of g db^2 = d (dlog V)^2 / 2. */
static void gaussian_grid_is_geometric_in_the_variance(void **state)
{
    (void)state;
    enum { N = 10 };
    static const char *const schedules[] = {"vp-linear", "ddpm-linear", "cosine"};
    const double v = 0.05;
    vpsde_model *model = gaussian(2, 0.7, v);
    for (size_t s = 0; s < 3; s++) {
        vpsde_process *p = case_process(schedules[s], 1e-3);
        const vpsde_sampling run = {.process = p, .model = model, .seed = 3, .n_threads = 1};
        const double param[] = {0, 256, 4, 1};
        vpsde_grid *grid;
        assert_ok(vpsde_grid_calibrate(&grid, vpsde_grid_find("geodesic"), &run, N, param, NULL,
                                       VPSDE_LAST_STOP));
        assert_int_equal(grid->pilot_nfe, 4 * 257);
        const double first = log(variance_at(grid->node[0].b, v));
        const double last = log(variance_at(grid->node[N].b, v));
        for (size_t k = 1; k < N; k++) {
            assert_close(log(variance_at(grid->node[k].b, v)),
                         first + (double)k / N * (last - first), 2e-4);
        }
        vpsde_grid_destroy(grid);
        vpsde_process_destroy(p);
    }
    vpsde_model_destroy(model);
}

/* Of a share of the steps: node k is where (1 - share) length/L + share (lambda - lambda_0)/Lambda = k/N. */
static void steps_shared_with_lambda(void **state)
{
    (void)state;
    enum { N = 10 };
    static const double shares[] = {0.5, 1};
    const double v = 0.05;
    vpsde_model *model = gaussian(2, 0.7, v);
    vpsde_process *p = case_process("vp-linear", 1e-3);
    const vpsde_sampling run = {.process = p, .model = model, .seed = 3, .n_threads = 1};
    for (size_t q = 0; q < 2; q++) {
        const double param[] = {shares[q], 256, 4, 1};
        vpsde_grid *grid;
        assert_ok(vpsde_grid_calibrate(&grid, vpsde_grid_find("geodesic"), &run, N, param, NULL,
                                       VPSDE_LAST_STOP));
        const vpsde_coef *first = &grid->node[0], *last = &grid->node[N];
        const double L = log(variance_at(first->b, v) / variance_at(last->b, v));
        for (size_t k = 1; k < N; k++) {
            const vpsde_coef *c = &grid->node[k];
            const double length = log(variance_at(first->b, v) / variance_at(c->b, v)) / L;
            const double lambda = (c->lambda - first->lambda) / (last->lambda - first->lambda);
            assert_close((1 - shares[q]) * length + shares[q] * lambda, (double)k / N, 1e-4);
        }
        vpsde_grid_destroy(grid);
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(p);
}

/* L = sqrt(d/2) |log V| between the ends; N equal steps of it lose L^2/(2N), and others more. */
static void length_of_a_gaussian(void **state)
{
    (void)state;
    enum { NODES = 400, N = 20 };
    const double v = 0.05;
    double b[NODES], metric[NODES];
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *fine, *even, *other;
    vpsde_shares length;
    assert_ok(vpsde_grid_create(&fine, vpsde_grid_find("uniform-lambda"), p, NODES - 1, NULL, NULL,
                                VPSDE_LAST_STOP));
    for (size_t m = 0; m < NODES; m++) {
        const double rest = 1 - 1 / variance_at(fine->node[m].b, v);
        b[m] = fine->node[m].b;
        metric[m] = 0.5 * rest * rest;
    }
    assert_ok(vpsde_length_open(&length, NODES, b, metric));
    const double L = length.sum[NODES - 1];
    assert_close(L, fabs(log(variance_at(b[NODES - 1], v) / variance_at(b[0], v))) / sqrt(2), 1e-5);
    const double *none = b;
    const vpsde_rates rates = {
        .n = NODES, .b = b, .dissipation = none, .entropy = none, .metric = metric};
    assert_ok(vpsde_grid_create_by(&even, vpsde_grid_find("geodesic"), p, N, NULL, &rates,
                                   VPSDE_LAST_STOP));
    assert_close(vpsde_length_efficiency(&length, even), 1, 1e-12);
    assert_close(vpsde_length_path_kl(&length, even), L * L / (2 * N), 1e-12);
    assert_ok(vpsde_grid_create(&other, vpsde_grid_find("uniform-t"), p, N, NULL, NULL,
                                VPSDE_LAST_EULER)); /* the step to t = 0 does not count */
    const double kl = vpsde_length_path_kl(&length, other);
    assert_true(kl > 1.2 * L * L / (2 * N));
    assert_close(vpsde_length_efficiency(&length, other), L * L / (2 * N * kl), 1e-12);
    double sum = 0;
    for (size_t k = 0; k < N; k++) {
        const double r =
            log(variance_at(other->node[k + 1].b, v) / variance_at(other->node[k].b, v));
        sum += 0.25 * r * r;
    }
    assert_close(kl, sum, 1e-5 * sum);
    vpsde_shares_close(&length);
    vpsde_grid_destroy(fine);
    vpsde_grid_destroy(even);
    vpsde_grid_destroy(other);
    vpsde_process_destroy(p);
}

/* E over p_b of (1 + (log p)'')^2 / 2, by quadrature. */
static double metric_of_the_pair(double b)
{
    const double w[] = {0.3, 0.7}, mean[] = {-1, 2}, v[] = {0.1, 0.2}, h = 0.005;
    double sum = 0;
    for (double x = -8; x < 8; x += h) {
        double p = 0, slope = 0, bend = 0;
        for (size_t k = 0; k < 2; k++) {
            const double V = variance_at(b, v[k]), r = (exp(-b / 2) * mean[k] - x) / V;
            const double part = w[k] * exp(-r * r * V / 2) / sqrt(2 * M_PI * V);
            p += part;
            slope += part * r;
            bend += part * (r * r - 1 / V);
        }
        const double H = p > 1e-280 ? bend / p - slope * slope / (p * p) : 0;
        sum += 0.5 * p * (1 + H) * (1 + H) * h;
    }
    return sum;
}

/* Of exact draws, and along chains where the model is not one that draws. */
static void metric_of_a_mixture(void **state)
{
    (void)state;
    vpsde_process *p = case_process("vp-linear", 0.01);
    vpsde_model *model = pair();
    vpsde_model_type shy = *model->type;
    shy.flags &= ~(unsigned)VPSDE_MODEL_DRAW;
    for (size_t chains = 0; chains < 2; chains++) {
        const vpsde_sampling run = {.process = p, .model = model, .seed = 5, .n_threads = 2};
        const vpsde_geometry_plan plan = {.nodes = 33, .samples = 4000, .probes = 1};
        vpsde_geometry *g;
        double metric[33];
        const vpsde_model_type *type = model->type;
        if (chains) model->type = &shy;
        assert_ok(vpsde_geometry_measure(&g, &run, &plan));
        model->type = type;
        assert_int_equal(g->nfe, 4000 * (33 + 32 * chains));
        vpsde_geometry_mean(metric, g, VPSDE_RATE_METRIC, NULL);
        for (size_t m = 0; m < 33; m += 4) {
            double square = 0;
            for (size_t i = 0; i < 4000; i++) {
                const double one = g->rate[VPSDE_RATE_METRIC][i * 33 + m] - metric[m];
                square += one * one;
            }
            const double exact = metric_of_the_pair(g->node[m].b);
            const double bias = chains ? 0.06 * exact : 0; /* of a flow of 32 steps, and N(0, 1) */
            assert_close(metric[m], exact, 6 * sqrt(square) / 4000 + bias + 1e-6);
        }
        vpsde_geometry_destroy(g);
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(p);
}

static void nothing_depends_on_threads(void **state)
{
    (void)state;
    vpsde_process *p = case_process("vp-linear", 0.01);
    vpsde_model *model = pair();
    vpsde_grid *grid[2];
    for (size_t q = 0; q < 2; q++) {
        const vpsde_sampling run = {.process = p, .model = model, .seed = 5, .n_threads = q + 1};
        assert_ok(vpsde_grid_calibrate(&grid[q], vpsde_grid_find("geodesic"), &run, 7, NULL, NULL,
                                       VPSDE_LAST_STOP));
    }
    assert_memory_equal(grid[0]->node, grid[1]->node, 8 * sizeof(*grid[0]->node));
    vpsde_grid_destroy(grid[0]);
    vpsde_grid_destroy(grid[1]);
    vpsde_model_destroy(model);
    vpsde_process_destroy(p);
}

/* A pass is made once for all the grids that need it, and once more for those that need another one. */
static void passes_are_shared(void **state)
{
    (void)state;
    toy m;
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_calibrations kept = {0};
    const double param[][2] = {{0, 16}, {1, 16}, {1, 24}};
    const long calls[] = {17 * 256, 17 * 256, (17 + 25) * 256};
    toy_gaussian(&m, 1, 1, 0.25, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    const vpsde_sampling run = {.process = p, .model = &m.model, .seed = 5, .n_threads = 1};
    for (size_t q = 0; q < 3; q++) {
        vpsde_grid *grid;
        assert_ok(vpsde_grid_calibrate_with(&kept, &grid, vpsde_grid_find("equal-dissipation"),
                                            &run, 5, param[q], NULL, VPSDE_LAST_STOP));
        assert_int_equal(m.rows, calls[q]);
        assert_int_equal(grid->pilot_nfe, (param[q][1] + 1) * 256);
        vpsde_grid_destroy(grid);
    }
    vpsde_calibrations_close(&kept);
    vpsde_process_destroy(p);
}

static void what_cannot_be(void **state)
{
    (void)state;
    vpsde_process *p = case_process("vp-linear", 1e-3), *zero = case_process("vp-linear", 0);
    vpsde_model *model = gaussian(1, 0, 0.5), *standard = gaussian(1, 0, 1);
    const vpsde_grid_type *type = vpsde_grid_find("geodesic");
    const double first = vpsde_process_at(p, 1).b, last = vpsde_process_at(p, 1e-3).b;
    const double few[] = {0, 32, 1, 1}, b[] = {first, last};
    const vpsde_rates rates = {.n = 2, .b = b, .dissipation = b, .entropy = b};
    vpsde_sampling run = {.process = zero, .model = model};
    vpsde_grid *grid;
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "needs t_min > 0");
    run.process = p;
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, few, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "pilot_samples: must be in [2, 65536], got 1");
    assert_fails(vpsde_grid_create_by(&grid, type, p, 5, NULL, &rates, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "goes by the metric");
    const double unknown[] = {1, (double)NAN};
    const vpsde_rates broken = {.n = 2, .b = b, .dissipation = b, .entropy = b, .metric = unknown};
    assert_fails(vpsde_grid_create_by(&grid, type, p, 5, NULL, &broken, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "rates be finite");
    run.model = standard;
    assert_fails(vpsde_grid_calibrate(&grid, type, &run, 5, NULL, NULL, VPSDE_LAST_STOP),
                 VPSDE_EINVAL, "grid geodesic: the rate is 0 at every node");
    vpsde_model_destroy(model);
    vpsde_model_destroy(standard);
    vpsde_process_destroy(p);
    vpsde_process_destroy(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_of_a_gaussian),
        cmocka_unit_test(gaussian_grid_is_geometric_in_the_variance),
        cmocka_unit_test(steps_shared_with_lambda),
        cmocka_unit_test(length_of_a_gaussian),
        cmocka_unit_test(metric_of_a_mixture),
        cmocka_unit_test(nothing_depends_on_threads),
        cmocka_unit_test(passes_are_shared),
        cmocka_unit_test(what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
