/* Metrics against closed forms of Gaussians, and against SciPy and POT (tests/golden/metrics). */
#include "tests/check.h"

#include <stdlib.h>

#include "analysis/metrics.h"
#include "analysis/moments.h"
#include "analysis/order.h"
#include "tests/golden/metrics/golden.h"

enum { N = 4096 };

static const vpsde_metric *find(const char *name)
{
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        if (strcmp(vpsde_metric_at(i)->name, name) == 0) return vpsde_metric_at(i);
    }
    fail_msg("no metric %s", name);
    return NULL;
}

static size_t number[N];

static void count_up(void)
{
    for (size_t i = 0; i < N; i++) number[i] = i;
}

/* The metric's value, and six standard deviations of it by its replicates. */
static double measure(const char *name, double *six_sigma, vpsde_metric_input in)
{
    static double replicate[VPSDE_RESAMPLES];
    vpsde_statistic s = {0};
    double mean = 0, square = 0;
    in.number = number;
    in.samples = in.n;
    assert_ok(find(name)->measure(&s, &in));
    const double value = s.value;
    if (six_sigma) {
        vpsde_resampling *r;
        assert_ok(vpsde_resampling_create(&r, in.n, 5));
        assert_ok(vpsde_bootstrap(replicate, &s, r));
        vpsde_resampling_destroy(r);
        for (size_t b = 0; b < VPSDE_RESAMPLES; b++) mean += replicate[b] / VPSDE_RESAMPLES;
        for (size_t b = 0; b < VPSDE_RESAMPLES; b++) square += pow(replicate[b] - mean, 2);
        *six_sigma = 6 * sqrt(square / VPSDE_RESAMPLES);
    }
    vpsde_statistic_free(&s);
    return value;
}

/* Every number of the small samples. */
static void test_golden(void **state)
{
    const vpsde_metric_input in = {.n = GOLDEN_N,
                                   .d = GOLDEN_D,
                                   .x = golden_x,
                                   .target = golden_y,
                                   .bandwidth = golden_bandwidth};
    (void)state;
    assert_close(measure("mean", NULL, in), golden_mean, 1e-13);
    assert_close(measure("covariance", NULL, in), golden_covariance, 1e-12);
    assert_close(measure("energy", NULL, in), golden_energy, 1e-13);
    assert_close(measure("mmd", NULL, in), golden_mmd, 1e-13);
    assert_close(measure("marginal", NULL, in), golden_marginal, 1e-13);
    /* 256 directions here, 200,000 random ones there */
    assert_close(measure("sliced-wasserstein", NULL, in), golden_sliced, 0.03 * golden_sliced);
}

/* Optimal transport along given directions: POT's 1-D solver. */
static void test_transport(void **state)
{
    double x[GOLDEN_N], y[GOLDEN_N], term[GOLDEN_N];
    (void)state;
    for (int power = 1; power <= 2; power++) {
        const double *expected = power == 1 ? golden_projected_w1 : golden_projected_w2;
        for (size_t k = 0; k < 4; k++) {
            double mean = 0;
            for (size_t i = 0; i < GOLDEN_N; i++) {
                x[i] = y[i] = term[i] = 0;
                for (size_t j = 0; j < GOLDEN_D; j++) {
                    x[i] += golden_x[i * GOLDEN_D + j] * golden_direction[k * GOLDEN_D + j];
                    y[i] += golden_y[i * GOLDEN_D + j] * golden_direction[k * GOLDEN_D + j];
                }
            }
            assert_ok(vpsde_transport(term, x, y, GOLDEN_N, power, 1));
            for (size_t i = 0; i < GOLDEN_N; i++) mean += term[i] / GOLDEN_N;
            assert_close(mean, expected[k], 1e-13);
        }
    }
}

/* One coordinate: W2^2 by POT; SciPy's energy distance is the root of the biased sum over all pairs. */
static void test_one_dimension(void **state)
{
    double x[GOLDEN_N], y[GOLDEN_N], gap = 0;
    (void)state;
    for (size_t i = 0; i < GOLDEN_N; i++) {
        x[i] = golden_x[i * GOLDEN_D];
        y[i] = golden_y[i * GOLDEN_D];
        gap += fabs(x[i] - y[i]) / GOLDEN_N;
    }
    const vpsde_metric_input in = {.n = GOLDEN_N, .d = 1, .x = x, .target = y};
    const double w2 = measure("sliced-wasserstein", NULL, in);
    assert_close(w2 * w2, golden_coordinate_w2, 1e-13);
    const double biased =
        ((GOLDEN_N - 1) * measure("energy", NULL, in) + 2 * gap) / (double)GOLDEN_N;
    assert_close(sqrt(biased), golden_energy_1d, 1e-13);
}

/* Ascending, and equal ones as they come: laws that are spread out, share the upper half of their keys
 * in long runs or in short ones, or have ties. */
static void test_order(void **state)
{
    static double value[N];
    static uint32_t order[N];
    const double center[] = {0, 100, 100, 0, 0}, width[] = {1, 1e-9, 1e-3, 1e300, 0};
    (void)state;
    for (size_t law = 0; law < sizeof(center) / sizeof(center[0]); law++) {
        vpsde_normals(value, 3, VPSDE_NOISE_EXACT, law * N, N, 0, 1);
        for (size_t i = 0; i < N; i++) {
            const double z = width[law] > 0 ? value[i] : rint(2 * value[i]);
            value[i] = width[law] > 0 ? center[law] + width[law] * z : z;
        }
        value[7] = -INFINITY, value[8] = INFINITY, value[9] = 0;
        assert_ok(vpsde_order(order, value, N));
        assert_int_equal(order[0], 7);
        for (size_t i = 1; i < N; i++) {
            const double a = value[order[i - 1]], b = value[order[i]];
            const bool tie = a == b && !signbit(a) == !signbit(b); /* -0 comes before 0 */
            assert_true(tie ? order[i - 1] < order[i] : a < b || (a == b && signbit(a)));
        }
        assert_int_equal(order[N - 1], 8);
    }
}

/* The terms are the derivative: with one row given more weight, the mean of the terms is the new cost
 * to first order. Checked on W2^2 between x moved by a shift, where the map is known: u'(x) = 2 shift. */
static void test_potentials(void **state)
{
    enum { M = 501 };
    double x[M], y[M], term[M] = {0}, slope = 0;
    (void)state;
    for (size_t i = 0; i < M; i++) {
        x[i] = (double)i / (M - 1);
        y[M - 1 - i] = x[i] - 0.25; /* paired with another x, so only u is seen in differences */
    }
    assert_ok(vpsde_transport(term, x, y, M, 2, 1));
    for (size_t i = 0; i < M; i++) slope += term[i] / M;
    assert_close(slope, 0.0625, 1e-13);
    /* term[i] = u(x_i) + v(x_(M-1-i) - 1/4), u = x / 2 + const, v = -y / 2 + const */
    assert_close(term[M - 1] - term[0], 0.5 + 0.5, 1e-12);
}

/* SciPy's matrix square root; the features of three coordinates are a rotation of them. */
static vpsde_status read_golden(const void *context, size_t first, size_t n, double *x)
{
    memcpy(x, (const double *)context + first * GOLDEN_D, n * GOLDEN_D * sizeof(*x));
    return VPSDE_OK;
}

static void test_data(void **state)
{
    const vpsde_row_source source = {.read = read_golden, .context = golden_y};
    const size_t shape[3] = {1, 1, GOLDEN_D}, many[3] = {65, 1, 1};
    vpsde_features *features;
    double expected = 0;
    (void)state;
    assert_ok(vpsde_features_create(&features, &source, 0, GOLDEN_N, shape));
    vpsde_metric_input in = {.n = GOLDEN_N,
                             .d = GOLDEN_D,
                             .x = golden_x,
                             .data = &source,
                             .data_count = GOLDEN_N,
                             .features = features};
    assert_close(measure("frechet-dct", NULL, in), golden_frechet, 1e-10);
    for (size_t i = 0; i < GOLDEN_N; i++) {
        double nearest = INFINITY, distance;
        for (size_t k = 0; k < GOLDEN_N; k++) {
            vpsde_distances(&distance, golden_x + i * GOLDEN_D, golden_y + k * GOLDEN_D, 1,
                            GOLDEN_D);
            nearest = fmin(nearest, distance);
        }
        expected += nearest / GOLDEN_N;
    }
    assert_close(measure("nearest-data", NULL, in), expected, 1e-13);
    in.x = golden_y;
    assert_close(measure("nearest-data", NULL, in), 0, 0);
    assert_close(measure("frechet-dct", NULL, in), 0, 1e-10);
    vpsde_features_destroy(features);
    assert_fails(vpsde_features_create(&features, &source, 0, GOLDEN_N, many), VPSDE_EINVAL,
                 "65 channels; expected at most 64");
}

/* Images of fewer pixels in the data than features: C is singular. A shift of all pixels by c moves
 * the first coefficient alone, by c sqrt(pixels). */
enum { PIXELS = 12 * 12, IMAGES = 20 };

static vpsde_status read_images(const void *context, size_t first, size_t n, double *x)
{
    (void)context;
    vpsde_normals(x, 9, VPSDE_NOISE_TEST, first, n, 0, PIXELS);
    return VPSDE_OK;
}

static void test_images(void **state)
{
    static double x[IMAGES * PIXELS];
    const vpsde_row_source source = {.read = read_images};
    const size_t shape[3] = {1, 12, 12};
    vpsde_features *features;
    (void)state;
    assert_ok(vpsde_features_create(&features, &source, 0, IMAGES, shape));
    assert_ok(read_images(NULL, 0, IMAGES, x));
    for (size_t e = 0; e < IMAGES * PIXELS; e++) x[e] += 0.25;
    const vpsde_metric_input in = {.n = IMAGES, .d = PIXELS, .x = x, .features = features};
    assert_close(measure("frechet-dct", NULL, in), 0.0625 * PIXELS, 1e-6);
    vpsde_features_destroy(features);
}

/* x of N(0, I), target of N(m, s^2 I), both drawn from Philox, in two dimensions. */
static void draw_pair(double *x, double *y, double s, const double *m)
{
    vpsde_normals(x, 1, VPSDE_NOISE_TEST, 0, N, 0, 2);
    vpsde_normals(y, 2, VPSDE_NOISE_TEST, 0, N, 0, 2);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < 2; j++) y[2 * i + j] = m[j] + s * y[2 * i + j];
    }
}

/* E|N(m, v)| in one dimension. */
static double mean_distance(double m, double v)
{
    return sqrt(2 * v / M_PI) * exp(-m * m / (2 * v)) + m * erf(m / sqrt(2 * v));
}

static void test_gaussians(void **state)
{
    static double x[2 * N], y[2 * N];
    static const double m[2] = {0.6, -0.3}, s = 1.5, h = 1.2;
    const double m2 = m[0] * m[0] + m[1] * m[1];
    double six;
    (void)state;
    draw_pair(x, y, s, m);
    vpsde_metric_input in = {.n = N, .d = 2, .x = x, .target = y, .bandwidth = h};
    /* mean over directions of (m . theta)^2 + (s - 1)^2 */
    double value = measure("sliced-wasserstein", &six, in);
    assert_close(value, sqrt(m2 / 2 + (s - 1) * (s - 1)), six + 0.01);
    assert_true(six < 0.15 * value);
    /* E exp(-|z|^2 / (2 h^2)) of z ~ N(m, v I) */
    const double v[] = {2, 2 * s * s, 1 + s * s};
    double k[3];
    for (size_t q = 0; q < 3; q++) {
        k[q] = h * h / (h * h + v[q]) * (q == 2 ? exp(-m2 / (2 * (h * h + v[q]))) : 1);
    }
    value = measure("mmd", &six, in);
    assert_close(value, k[0] + k[1] - 2 * k[2], six);
    assert_true(six < 0.5 * (k[0] + k[1] - 2 * k[2]));
    in.d = 1;
    vpsde_normals(y, 3, VPSDE_NOISE_TEST, 0, N, 0, 1);
    for (size_t i = 0; i < N; i++) y[i] = m[0] + s * y[i];
    const double energy =
        2 * mean_distance(m[0], 1 + s * s) - mean_distance(0, 2) - mean_distance(0, 2 * s * s);
    value = measure("energy", &six, in);
    assert_close(value, energy, six);
    assert_true(six < 0.7 * energy);
    /* int |F - G| where the cdfs cross once, at c: shift plus spread, by quadrature */
    double w1 = 0;
    for (double z = -12; z < 14; z += 1e-3) {
        w1 += 1e-3 * fabs(0.5 * erfc(-z / M_SQRT2) - 0.5 * erfc(-(z - m[0]) / (s * M_SQRT2)));
    }
    value = measure("marginal", &six, in);
    assert_close(value, w1, six);
}

/* Of two samples of one law both unbiased distances are 0 within their noise. */
static void test_floor(void **state)
{
    static double x[2 * N], y[2 * N];
    static const double m[2] = {0, 0};
    double six, value;
    (void)state;
    draw_pair(x, y, 1, m);
    vpsde_metric_input in = {.n = N, .d = 2, .x = x, .target = y};
    assert_ok(vpsde_bandwidth(&in.bandwidth, y, N, 2));
    assert_close(in.bandwidth, sqrt(4 * log(2)), 0.05); /* |z|^2 / 4 is exponential */
    value = measure("energy", &six, in);
    assert_close(value, 0, six);
    value = measure("mmd", &six, in);
    assert_close(value, 0, six);
    assert_true(fabs(measure("sliced-wasserstein", NULL, in)) < 0.1);
}

/* A Gaussian model: moments, entropy and temperature in closed form. */
static void test_model(void **state)
{
    static double x[2 * N];
    static const double weight = 1, mean[2] = {1, -2}, variance[4] = {0.5, 0.2, 0.2, 0.4};
    const vpsde_coef c = {.alpha = 0.8, .sigma = 0.6};
    double exact_mean[2], covariance[4], six;
    vpsde_model *model;
    (void)state;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 2, &weight, mean, variance));
    assert_true(vpsde_exact_moments(exact_mean, covariance, model, &c));
    for (size_t q = 0; q < 4; q++) {
        assert_close(covariance[q], 0.64 * variance[q] + (q % 3 == 0 ? 0.36 : 0), 1e-15);
    }
    assert_close(exact_mean[1], -1.6, 1e-15);
    assert_ok(vpsde_model_draw(model, &c, 4, VPSDE_NOISE_TEST, 0, N, NULL, x));
    vpsde_metric_input in = {.n = N,
                             .d = 2,
                             .x = x,
                             .mean = exact_mean,
                             .covariance = covariance,
                             .model = model,
                             .end = c};
    const double det = covariance[0] * covariance[3] - covariance[1] * covariance[2];
    double value = measure("cross-entropy", &six, in);
    assert_close(value, 1 + log(2 * M_PI) + 0.5 * log(det), 6 * sqrt(1.0 / N));
    assert_close(six, 6 * sqrt(1.0 / N), 0.1 * six); /* Var log p = d / 2 */
    value = measure("thermometer", &six, in);
    assert_close(value, 1, six);
    assert_true(measure("mean", NULL, in) < 6 * sqrt(1.2 / N));
    assert_true(measure("covariance", NULL, in) < 6 * sqrt(4.0 / N));
    /* samples twice as wide about the mean have four times the temperature */
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < 2; j++) {
            x[2 * i + j] = exact_mean[j] + 2 * (x[2 * i + j] - exact_mean[j]);
        }
    }
    value = measure("thermometer", &six, in);
    assert_close(value, 4, six);
    /* the error of the covariance is three times itself */
    double norm = 0;
    for (size_t q = 0; q < 4; q++) norm += 9 * covariance[q] * covariance[q];
    value = measure("covariance", &six, in);
    assert_close(value, sqrt(norm), six);
    vpsde_model_destroy(model);
}

enum { WIDE = 12 };

/* eps = A x with A_ij = 1 + [i = j], whose trace is 2 WIDE. */
static vpsde_status linear(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    (void)model, (void)ws;
    for (size_t r = 0; r < e->n * (1 + e->k); r++) {
        const double *in = r < e->n ? e->x + r * WIDE : e->dx + (r - e->n) * WIDE;
        double *out = r < e->n ? e->eps + r * WIDE : e->deps + (r - e->n) * WIDE, sum = 0;
        for (size_t j = 0; j < WIDE; j++) sum += in[j];
        for (size_t j = 0; j < WIDE; j++) out[j] = in[j] + sum;
    }
    return VPSDE_OK;
}

/* Probes of the divergence are of the run's seed: seeds that are averaged must not share them. */
static void test_probes(void **state)
{
    static const vpsde_model_type type = {
        .name = "linear", .flags = VPSDE_MODEL_JVP, .eval = linear};
    const vpsde_model model = {.type = &type, .dim = WIDE};
    static double x[N * WIDE];
    double value[3];
    (void)state;
    vpsde_normals(x, 5, VPSDE_NOISE_TEST, 0, N, 0, WIDE);
    for (size_t k = 0; k < 3; k++) {
        value[k] = measure("thermometer", NULL,
                           (vpsde_metric_input){.n = N,
                                                .d = WIDE,
                                                .x = x,
                                                .seed = k / 2,
                                                .model = &model,
                                                .end = {.alpha = 0, .sigma = 1}});
        /* E |A z|^2 / tr A = tr A^2 / tr A, (A^2)_ii = 2^2 + WIDE - 1 */
        assert_close(value[k], (WIDE * (WIDE + 3.0)) / (2 * WIDE), 0.5);
    }
    assert_true(value[0] == value[1] && value[0] != value[2]);
}

/* Two components, one rotated: moments by hand. */
static void test_moments(void **state)
{
    static const double weights[2] = {0.25, 0.75}, means[4] = {-2, 0, 2, 4};
    static const double covariances[8] = {1, 0, 0, 2, 0.5, 0.1, 0.1, 0.3};
    const vpsde_coef c = {.alpha = 1, .sigma = 0};
    double mean[2], covariance[4];
    vpsde_model *model;
    (void)state;
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, 2, weights, means, covariances));
    assert_true(vpsde_exact_moments(mean, covariance, model, &c));
    assert_close(mean[0], 1, 1e-15);
    assert_close(mean[1], 3, 1e-15);
    assert_close(covariance[0], 0.25 + 0.375 + 3, 1e-14); /* w1 w2 4^2 = 3 */
    assert_close(covariance[1], 0.075 + 3, 1e-14);
    assert_close(covariance[3], 0.5 + 0.225 + 3, 1e-14);
    vpsde_model_destroy(model);
}

/* Those that take long look at the flag themselves. */
static void test_stop(void **state)
{
    static const char *const names[] = {"energy",        "mmd",          "marginal",
                                        "covariance",    "nearest-data", "sliced-wasserstein",
                                        "cross-entropy", "thermometer",  "frechet-dct"};
    static const double weight[] = {1}, mean[GOLDEN_D] = {0};
    double unit[GOLDEN_D * GOLDEN_D] = {0};
    const size_t shape[3] = {1, 1, GOLDEN_D};
    const vpsde_row_source source = {.read = read_golden, .context = golden_y};
    volatile int stop = 0;
    vpsde_features *features;
    vpsde_model *model;
    for (size_t j = 0; j < GOLDEN_D; j++) unit[j * (GOLDEN_D + 1)] = 1;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, GOLDEN_D, weight, mean, unit));
    assert_ok(vpsde_features_create(&features, &source, 0, GOLDEN_N, shape));
    const vpsde_metric_input in = {.n = GOLDEN_N,
                                   .d = GOLDEN_D,
                                   .number = number,
                                   .samples = GOLDEN_N,
                                   .x = golden_x,
                                   .target = golden_y,
                                   .bandwidth = 1,
                                   .data = &source,
                                   .data_count = GOLDEN_N,
                                   .features = features,
                                   .model = model,
                                   .end = {.alpha = 0.9, .sigma = 0.4},
                                   .stop = &stop};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        vpsde_statistic s = {0};
        stop = 0;
        assert_ok(find(names[i])->measure(&s, &in));
        vpsde_statistic_free(&s);
        stop = 1;
        assert_fails(find(names[i])->measure(&s, &in), VPSDE_ESTOPPED, "stopped on request");
        vpsde_statistic_free(&s);
    }
    vpsde_features_destroy(features);
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),        cmocka_unit_test(test_transport),
        cmocka_unit_test(test_one_dimension), cmocka_unit_test(test_potentials),
        cmocka_unit_test(test_data),          cmocka_unit_test(test_images),
        cmocka_unit_test(test_gaussians),     cmocka_unit_test(test_floor),
        cmocka_unit_test(test_model),         cmocka_unit_test(test_probes),
        cmocka_unit_test(test_moments),       cmocka_unit_test(test_order),
        cmocka_unit_test(test_stop),
    };
    count_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
