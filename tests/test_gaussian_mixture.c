#include "tests/check.h"

#include <stdlib.h>

#include <vpsde/model.h>

#include "core/config.h"

/* Three correlated components in three dimensions. */
enum { N = 3, D = 3, ROWS = 40 };
static const double weights[N] = {0.2, 0.5, 0.3};
static const double means[N * D] = {-1, 0.5, 0.25, 1, -0.5, 0.75, 0, 0, -2};
static double covariances[N * D * D];

/* Coefficients at clock value b; the model reads alpha and sigma alone. */
static vpsde_coef at(double b)
{
    const double sigma = sqrt(-expm1(-b)), alpha = exp(-b / 2);
    return (vpsde_coef){.t = b,
                        .b = b,
                        .beta = 1,
                        .alpha = alpha,
                        .sigma = sigma,
                        .lambda = log(alpha / sigma),
                        .phi = atan2(sigma, alpha)};
}

static int setup(void **state)
{
    (void)state;
    double z[N * D * D];
    vpsde_normals(z, 5, VPSDE_NOISE_TEST, 0, 1, 0, N * D * D);
    for (size_t k = 0; k < N; k++) {
        for (size_t i = 0; i < D; i++) {
            for (size_t j = 0; j < D; j++) {
                double sum = i == j ? 0.05 : 0;
                for (size_t l = 0; l < D; l++) {
                    sum += 0.2 * z[(k * D + i) * D + l] * z[(k * D + j) * D + l];
                }
                covariances[(k * D + i) * D + j] = sum;
            }
        }
    }
    return 0;
}

static vpsde_model *full_model(void)
{
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, N, D, weights, means, covariances));
    return model;
}

/* One evaluation of n rows with everything asked for that is not NULL. */
static void evaluate(const vpsde_model *model, size_t n, const vpsde_coef *c, size_t stride,
                     const double *x, double *eps, double *div, size_t k, const double *dx,
                     double *deps)
{
    void *ws;
    const vpsde_eval e = {.n = n,
                          .k = k,
                          .coef = c,
                          .coef_stride = stride,
                          .x = x,
                          .dx = dx,
                          .eps = eps,
                          .deps = deps,
                          .div = div};
    assert_ok(vpsde_model_workspace_create(&ws, model, n, k));
    assert_ok(vpsde_model_eval(model, ws, &e));
    vpsde_model_workspace_destroy(model, ws);
}

/* Rows spread over the mixture. */
static void rows(double *x, size_t n, size_t d, double scale)
{
    vpsde_normals(x, 11, VPSDE_NOISE_TEST, 100, n, 0, d);
    for (size_t e = 0; e < n * d; e++) x[e] *= scale;
}

/* Dense reference for d = 3: inverse and determinant by cofactors, no log-sum-exp or eigenbasis. */
static void invert(double *inverse, double *det, const double *c)
{
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            const size_t a = (i + 1) % 3, b = (i + 2) % 3, p = (j + 1) % 3, q = (j + 2) % 3;
            inverse[j * 3 + i] = c[a * 3 + p] * c[b * 3 + q] - c[a * 3 + q] * c[b * 3 + p];
        }
    }
    *det = c[0] * inverse[0] + c[1] * inverse[3] + c[2] * inverse[6];
    for (size_t e = 0; e < 9; e++) inverse[e] /= *det;
}

typedef struct reference {
    double log_p, s[D], hessian[D * D];
} reference;

static reference brute_force(const vpsde_coef *c, const double *x)
{
    const double two_pi = 2 * acos(-1.0);
    reference r = {0};
    double p = 0;
    for (size_t k = 0; k < N; k++) {
        double ck[9], inverse[9], det, y[3], sk[3] = {0}, quadratic = 0;
        for (size_t e = 0; e < 9; e++) {
            ck[e] =
                c->alpha * c->alpha * covariances[k * 9 + e] + (e % 4 ? 0 : c->sigma * c->sigma);
        }
        invert(inverse, &det, ck);
        for (size_t j = 0; j < 3; j++) y[j] = x[j] - c->alpha * means[k * 3 + j];
        for (size_t i = 0; i < 3; i++) {
            for (size_t j = 0; j < 3; j++) sk[i] -= inverse[i * 3 + j] * y[j];
            quadratic -= sk[i] * y[i];
        }
        const double g = weights[k] * exp(-0.5 * quadratic) / sqrt(two_pi * two_pi * two_pi * det);
        p += g;
        for (size_t i = 0; i < 3; i++) {
            r.s[i] += g * sk[i];
            for (size_t j = 0; j < 3; j++) {
                r.hessian[i * 3 + j] += g * (sk[i] * sk[j] - inverse[i * 3 + j]);
            }
        }
    }
    r.log_p = log(p);
    for (size_t i = 0; i < 3; i++) r.s[i] /= p;
    for (size_t e = 0; e < 9; e++) r.hessian[e] = r.hessian[e] / p - r.s[e / 3] * r.s[e % 3];
    return r;
}

static const double clocks[] = {0, 1e-6, 1e-3, 0.1, 1, 4, 10};
enum { N_CLOCKS = sizeof(clocks) / sizeof(clocks[0]) };

static void agrees_with_dense_formulas(void **state)
{
    double x[ROWS * D], eps[ROWS * D], div[ROWS], logp[ROWS];
    double dx[ROWS * D * D] = {0}, deps[ROWS * D * D];
    vpsde_model *model = full_model();
    (void)state;
    rows(x, ROWS, D, 1.2);
    for (size_t e = 0; e < ROWS * D * D; e++) dx[e] = e / D % D == e % D;
    for (size_t q = 0; q < N_CLOCKS; q++) {
        const vpsde_coef c = at(clocks[q]);
        evaluate(model, ROWS, &c, 0, x, eps, div, D, dx, deps);
        assert_ok(vpsde_model_log_p(model, ROWS, &c, x, logp));
        for (size_t i = 0; i < ROWS; i++) {
            const reference r = brute_force(&c, x + i * D);
            double trace = 0, of_tangents = 0;
            const double size = 1 + fabs(r.hessian[0]) + fabs(r.hessian[4]) + fabs(r.hessian[8]);
            assert_close(logp[i], r.log_p, 1e-11 * (1 + fabs(r.log_p)));
            for (size_t j = 0; j < D; j++) {
                assert_close(eps[i * D + j], -c.sigma * r.s[j], 1e-11 * (1 + fabs(r.s[j])));
                trace += r.hessian[j * D + j];
                of_tangents += deps[(i * D + j) * D + j];
            }
            for (size_t e = 0; e < D * D; e++) {
                assert_close(deps[i * D * D + e], -c.sigma * r.hessian[e], 1e-10 * size);
            }
            assert_close(div[i], -c.sigma * trace, 1e-10 * size);
            assert_close(div[i], of_tangents, 1e-12 * size);
        }
    }
    vpsde_model_destroy(model);
}

/* Five-point central difference of log p along coordinate j. */
static double slope(const vpsde_model *model, const vpsde_coef *c, const double *x, size_t j)
{
    static const double offset[4] = {1, -1, 2, -2}, factor[4] = {8, -8, -1, 1};
    const double h = 1e-3 * fmax(c->sigma, 0.1);
    double sum = 0;
    for (int q = 0; q < 4; q++) {
        double y[D], value;
        memcpy(y, x, sizeof(y));
        y[j] += offset[q] * h;
        assert_ok(vpsde_model_log_p(model, 1, c, y, &value));
        sum += factor[q] * value;
    }
    return sum / (12 * h);
}

static void score_is_the_slope_of_log_p(void **state)
{
    double x[ROWS * D], eps[ROWS * D], div[ROWS];
    vpsde_model *model = full_model();
    (void)state;
    rows(x, ROWS, D, 1);
    for (size_t q = 2; q < N_CLOCKS; q++) {
        const vpsde_coef c = at(clocks[q]);
        evaluate(model, ROWS, &c, 0, x, eps, div, 0, NULL, NULL);
        for (size_t i = 0; i < ROWS; i++) {
            for (size_t j = 0; j < D; j++) {
                const double s = slope(model, &c, x + i * D, j);
                assert_close(-eps[i * D + j] / c.sigma, s, 1e-8 * (1 + fabs(s)));
            }
            /* Tweedie: Cov(x_0 | x_t) >= 0, so div s >= -d / sigma^2 */
            const double s2 = c.sigma * c.sigma;
            assert_true(-div[i] / c.sigma >= -D / s2 * (1 + 1e-12));
        }
    }
    vpsde_model_destroy(model);
}

static void tangents_are_differences_of_eps(void **state)
{
    enum { K = 2 };
    const double h = 1e-4;
    double x[ROWS * D], dx[ROWS * K * D], eps[ROWS * D], deps[ROWS * K * D], y[ROWS * D];
    double up[ROWS * D], down[ROWS * D];
    vpsde_model *model = full_model();
    const vpsde_coef c = at(0.7);
    (void)state;
    rows(x, ROWS, D, 1);
    rows(dx, ROWS, K * D, 1);
    evaluate(model, ROWS, &c, 0, x, eps, NULL, K, dx, deps);
    for (size_t q = 0; q < K; q++) {
        for (size_t e = 0; e < ROWS * D; e++) y[e] = x[e] + h * dx[(e / D * K + q) * D + e % D];
        evaluate(model, ROWS, &c, 0, y, up, NULL, 0, NULL, NULL);
        for (size_t e = 0; e < ROWS * D; e++) y[e] = x[e] - h * dx[(e / D * K + q) * D + e % D];
        evaluate(model, ROWS, &c, 0, y, down, NULL, 0, NULL, NULL);
        for (size_t e = 0; e < ROWS * D; e++) {
            assert_close(deps[(e / D * K + q) * D + e % D], (up[e] - down[e]) / (2 * h), 1e-6);
        }
    }
    vpsde_model_destroy(model);
}

/* The spread of the posterior of x_0, known from the responsibilities, by Tweedie's second formula
 * (sigma^2 / alpha^2)(I + sigma^2 Hess log p_t): for one Gaussian it is lambda sigma^2 / V. */
static void posterior_covariance_of_one_gaussian(void **state)
{
    const double w = 1, mean[2] = {1, -1}, covariance[4] = {0.5, 0.3, 0.3, 0.4};
    const double x[2] = {0.3, 0.9}, basis[4] = {1, 0, 0, 1};
    vpsde_model *model;
    (void)state;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 2, &w, mean, covariance));
    const vpsde_coef c = at(0.8);
    const double s2 = c.sigma * c.sigma, a2 = c.alpha * c.alpha;
    double eps[2], div, deps[4], posterior[4];
    evaluate(model, 1, &c, 0, x, eps, &div, 2, basis, deps);
    for (size_t e = 0; e < 4; e++) {
        posterior[e] = s2 / a2 * ((e % 3 ? 0 : 1) - c.sigma * deps[e]);
    }
    /* (a2 Sigma + s2 I) posterior = s2 Sigma */
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 2; j++) {
            double product = s2 * posterior[i * 2 + j];
            for (size_t l = 0; l < 2; l++)
                product += a2 * covariance[i * 2 + l] * posterior[l * 2 + j];
            assert_close(product, s2 * covariance[i * 2 + j], 1e-14);
        }
    }
    vpsde_model_destroy(model);
}

static void diagonal_forms_agree_with_the_full_one(void **state)
{
    enum { M = 3, E = 4 };
    /* component 0 isotropic, 1 diagonal, 2 diagonal with the spectrum of 1 */
    static const double w[M] = {0.25, 0.25, 0.5};
    static const double variance[M * E] = {0.3, 0.3, 0.3, 0.3, 0.1, 0.2,
                                           0.3, 0.4, 0.1, 0.2, 0.3, 0.4};
    static const double tilt = 1e-13; /* a rotated component that is diagonal to 1e-13 */
    double mean[M * E], diagonal[M * E * E] = {0}, tilted[M * E * E] = {0};
    double x[ROWS * E], eps[2][ROWS * E], div[2][ROWS], logp[2][ROWS], deps[2][ROWS * E];
    vpsde_model *model[2];
    const vpsde_coef c = at(0.3);
    (void)state;
    rows(mean, M, E, 1);
    rows(x, ROWS, E, 1);
    for (size_t e = 0; e < M * E; e++) {
        diagonal[(e / E * E + e % E) * E + e % E] = tilted[(e / E * E + e % E) * E + e % E] =
            variance[e];
    }
    for (size_t k = 0; k < M; k++) tilted[k * E * E + 1] = tilted[k * E * E + E] = tilt;
    assert_ok(vpsde_gaussian_mixture_create(&model[0], M, E, w, mean, diagonal));
    assert_ok(vpsde_gaussian_mixture_create(&model[1], M, E, w, mean, tilted));
    for (size_t q = 0; q < 2; q++) {
        evaluate(model[q], ROWS, &c, 0, x, eps[q], div[q], 1, x, deps[q]);
        assert_ok(vpsde_model_log_p(model[q], ROWS, &c, x, logp[q]));
    }
    for (size_t i = 0; i < ROWS; i++) {
        assert_close(div[0][i], div[1][i], 1e-10);
        assert_close(logp[0][i], logp[1][i], 1e-10);
    }
    for (size_t e = 0; e < ROWS * E; e++) {
        assert_close(eps[0][e], eps[1][e], 1e-10);
        assert_close(deps[0][e], deps[1][e], 1e-10);
    }
    vpsde_model_destroy(model[0]);
    vpsde_model_destroy(model[1]);
}

static void rows_do_not_see_each_other(void **state)
{
    double x[ROWS * D], eps[ROWS * D], div[ROWS], deps[ROWS * D];
    vpsde_coef c[ROWS];
    vpsde_model *model = full_model();
    (void)state;
    rows(x, ROWS, D, 1);
    for (size_t i = 0; i < ROWS; i++) c[i] = at(clocks[i * 5 / 3 % N_CLOCKS]);
    evaluate(model, ROWS, c, 1, x, eps, div, 1, x, deps);
    for (size_t i = 0; i < ROWS; i++) {
        double one_eps[D], one_div, one_deps[D];
        evaluate(model, 1, &c[i], 0, x + i * D, one_eps, &one_div, 1, x + i * D, one_deps);
        assert_memory_equal(one_eps, eps + i * D, sizeof(one_eps));
        assert_memory_equal(one_deps, deps + i * D, sizeof(one_deps));
        assert_memory_equal(&one_div, div + i, sizeof(one_div));
    }
    vpsde_model_destroy(model);
}

/* In the plane eps alone goes by tiles, eps beside a divergence row by row: the same bits, near the data and so
 * far out that weights vanish, for whole tiles and for what is left of one. */
static void tiles_give_the_bits_of_rows(void **state)
{
    enum { K = 4, MANY = 150 };
    static const double share[K] = {0.1, 0.2, 0.3, 0.4}, mean[2 * K] = {-1, 0, 1, 0.5, 0, 2, 0, 0};
    static const double spread[4 * K] = {0.3, 0.1,   0.1,   0.2, 0.5, 0, 0, 0.5,
                                         0.2, -0.15, -0.15, 0.4, 0.1, 0, 0, 0.9};
    static const double scales[] = {1, 40, 1e4};
    static double x[2 * MANY], whole[2 * MANY], part[2 * MANY], div[MANY];
    vpsde_model *model;
    (void)state;
    assert_ok(vpsde_gaussian_mixture_create(&model, K, 2, share, mean, spread));
    for (size_t c = 0; c < N_CLOCKS * 3; c++) {
        const vpsde_coef at_c = at(clocks[c / 3]);
        rows(x, MANY, 2, scales[c % 3]);
        evaluate(model, MANY, &at_c, 0, x, whole, div, 0, NULL, NULL);
        for (size_t n = 1; n <= MANY; n += n == 1 ? 62 : n < 66 ? 1 : 84) {
            evaluate(model, n, &at_c, 0, x, part, NULL, 0, NULL, NULL);
            assert_memory_equal(part, whole, 2 * n * sizeof(double));
        }
    }
    vpsde_model_destroy(model);
}

/* 7 d + 7 a component, and 4 d^2 for one in a basis of its own. */
static void counts_its_operations(void **state)
{
    static const double spread[8] = {0.3, 0.1, 0.1, 0.2, 0.5, 0, 0, 0.5};
    vpsde_model *model;
    (void)state;
    assert_ok(vpsde_gaussian_mixture_create(&model, 2, 2, (double[]){0.5, 0.5},
                                            (double[]){-1, 0, 1, 0}, spread));
    assert_close(vpsde_model_flops(model), 2 * 21 + 16, 0);
    vpsde_model_destroy(model);
}

static void far_tails_are_finite(void **state)
{
    vpsde_model *model = full_model();
    (void)state;
    for (size_t q = 0; q < N_CLOCKS; q++) {
        const vpsde_coef c = at(clocks[q]);
        const double x[2 * D] = {1e3, -1e3, 1e3, -1e8, 1e8, 1e8};
        double eps[2 * D], div[2], deps[2 * D], logp[2];
        evaluate(model, 2, &c, 0, x, eps, div, 1, x, deps);
        assert_ok(vpsde_model_log_p(model, 2, &c, x, logp));
        for (size_t e = 0; e < 2 * D; e++) assert_true(isfinite(eps[e]) && isfinite(deps[e]));
        for (size_t i = 0; i < 2; i++) assert_true(isfinite(div[i]) && isfinite(logp[i]));
        /* one component rules: the Hessian there is -C_k^-1, and eps is linear along the ray */
        for (size_t j = 0; j < D; j++) {
            assert_close(deps[D + j], eps[D + j], 1e-5 * fabs(eps[D + j]));
        }
    }
    vpsde_model_destroy(model);
}

static void time_zero_is_the_data(void **state)
{
    double x[ROWS * D], eps[ROWS * D], div[ROWS], deps[ROWS * D], logp[ROWS], near[ROWS];
    const vpsde_coef zero = at(0), soon = at(1e-12);
    vpsde_model *model = full_model();
    (void)state;
    rows(x, ROWS, D, 1);
    evaluate(model, ROWS, &zero, 0, x, eps, div, 1, x, deps);
    assert_ok(vpsde_model_log_p(model, ROWS, &zero, x, logp));
    assert_ok(vpsde_model_log_p(model, ROWS, &soon, x, near));
    for (size_t e = 0; e < ROWS * D; e++) assert_true(eps[e] == 0 && deps[e] == 0);
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(div[i] == 0);
        assert_close(logp[i], near[i], 1e-8);
    }
    vpsde_model_destroy(model);
}

static void draws_have_the_right_moments(void **state)
{
    enum { COUNT = 40000 };
    double *x = malloc(COUNT * D * sizeof(*x)), part[D];
    vpsde_model *model = full_model();
    const double bs[] = {0, 0.5};
    (void)state;
    assert_non_null(x);
    for (int q = 0; q < 2; q++) {
        const vpsde_coef c = at(bs[q]);
        double mean[D] = {0}, second[D * D] = {0};
        assert_ok(model->type->draw(model, &c, 3, VPSDE_NOISE_TEST, 50, COUNT, x));
        for (size_t k = 0; k < N; k++) {
            for (size_t i = 0; i < D; i++) {
                mean[i] += weights[k] * c.alpha * means[k * D + i];
                for (size_t j = 0; j < D; j++) {
                    second[i * D + j] += weights[k] * (c.alpha * c.alpha *
                                                           (covariances[(k * D + i) * D + j] +
                                                            means[k * D + i] * means[k * D + j]) +
                                                       (i == j) * c.sigma * c.sigma);
                }
            }
        }
        for (size_t i = 0; i < D; i++) {
            double sum = 0;
            for (size_t n = 0; n < COUNT; n++) sum += x[n * D + i];
            const double variance = second[i * D + i] - mean[i] * mean[i];
            assert_close(sum / COUNT, mean[i], 6 * sqrt(variance / COUNT));
            for (size_t j = 0; j < D; j++) {
                double product = 0, fourth = 0;
                for (size_t n = 0; n < COUNT; n++) {
                    const double xy = x[n * D + i] * x[n * D + j];
                    product += xy;
                    fourth += xy * xy;
                }
                assert_close(product / COUNT, second[i * D + j], 6 * sqrt(fourth) / COUNT);
            }
        }
        assert_ok(model->type->draw(model, &c, 3, VPSDE_NOISE_TEST, 50 + 777, 1, part));
        assert_memory_equal(part, x + 777 * D, sizeof(part));
    }
    free(x);
    vpsde_model_destroy(model);
}

static void a_component_without_weight_is_never_drawn(void **state)
{
    const double w[3] = {0, 1, 0}, mean[3] = {-100, 0, 100}, variance[3] = {1, 1, 1};
    double x[1000], eps, div;
    vpsde_model *model;
    const vpsde_coef c = at(0);
    (void)state;
    assert_ok(vpsde_gaussian_mixture_create(&model, 3, 1, w, mean, variance));
    assert_ok(model->type->draw(model, &c, 1, VPSDE_NOISE_TEST, 0, 1000, x));
    for (size_t i = 0; i < 1000; i++) assert_true(fabs(x[i]) < 10);
    evaluate(model, 1, &c, 0, &w[1], &eps, &div, 0, NULL, NULL);
    assert_true(isfinite(eps) && isfinite(div));
    vpsde_model_destroy(model);
}

static void bad_parameters_are_refused_by_component(void **state)
{
    vpsde_model *model;
    double w[N], m[N * D], c[N * D * D];
    (void)state;
#define RESET                                                                                      \
    do {                                                                                           \
        memcpy(w, weights, sizeof(w));                                                             \
        memcpy(m, means, sizeof(m));                                                               \
        memcpy(c, covariances, sizeof(c));                                                         \
    } while (0)
#define REFUSED(words)                                                                             \
    assert_fails(vpsde_gaussian_mixture_create(&model, N, D, w, m, c), VPSDE_EINVAL, words);       \
    assert_null(model);                                                                            \
    RESET
    RESET;
    w[1] = -0.5;
    REFUSED("weight of component 1 must be finite and at least 0, got -0.5");
    w[2] = (double)NAN;
    REFUSED("weight of component 2");
    w[0] += 1e-8;
    REFUSED("must sum to 1 within 1e-09");
    m[4] = (double)INFINITY;
    REFUSED("mean of component 1, entry 1");
    c[9 + 1] += 1e-3;
    REFUSED("covariance of component 1 must be symmetric: entry (1, 0)");
    c[18] = (double)NAN;
    REFUSED("covariance of component 2, entry (0, 0), must be finite");
    c[18 + 1] = c[18 + 3] = 100;
    REFUSED("eigenvalues of the covariance of component 2 must be finite and above 0");
    memset(c + 9, 0, 9 * sizeof(*c));
    REFUSED("variances of component 1 must be finite and above 0, got 0");
    assert_fails(vpsde_gaussian_mixture_create(&model, 0, D, w, m, c), VPSDE_EINVAL,
                 "at least one");
}

/* The model of a configuration text, or the status. */
static vpsde_status configured(vpsde_model **model, const char *text)
{
    vpsde_config *root;
    *model = NULL;
    VPSDE_TRY(vpsde_config_parse(&root, text, strlen(text), "test.yaml", ".", NULL, 0));
    vpsde_status status = vpsde_model_type_find("gaussian-mixture")->configure(model, root);
    if (status == VPSDE_OK) status = vpsde_config_check(root);
    vpsde_config_close(root);
    return status;
}

static void configuration_takes_every_shape(void **state)
{
    static const char *const texts[] = {
        "weights: [0.3, 0.7]\nmeans: [[-2, 0], [2, 1]]\nvariances: 0.25\n",
        "weights: [0.3, 0.7]\nmeans: [[-2, 0], [2, 1]]\nvariances: [0.25, 0.25]\n",
        "weights: [0.3, 0.7]\nmeans: [[-2, 0], [2, 1]]\nvariances: [[0.25, 0.25], [0.25, 0.25]]\n",
        ("weights: [0.3, 0.7]\nmeans: [[-2, 0], [2, 1]]\ncovariances: [[[0.25, 0], [0, 0.25]], "
         "[[0.25, 0], [0, 0.25]]]\n"),
    };
    const vpsde_coef c = at(0.4);
    const double x[2] = {0.1, 0.2};
    double expected = 0;
    (void)state;
    for (size_t q = 0; q < 4; q++) {
        vpsde_model *model;
        double logp;
        assert_ok(configured(&model, texts[q]));
        assert_int_equal(model->dim, 2);
        assert_ok(vpsde_model_log_p(model, 1, &c, x, &logp));
        if (q == 0) expected = logp;
        assert_true(logp == expected);
        vpsde_model_destroy(model);
    }
    vpsde_model *line;
    assert_ok(configured(&line, "weights: [0.5, 0.5]\nmeans: [-1, 1]\nvariances: [0.1, 0.2]\n"));
    assert_int_equal(line->dim, 1);
    vpsde_model_destroy(line);
}

static void configuration_errors_point_at_the_key(void **state)
{
#define MEANS "means: [[-2, 0], [2, 1]]\n"
    static const struct {
        const char *text, *words;
    } cases[] = {
        {MEANS "variances: 1\n", "weights"},
        {"weights: [0.5, 0.4]\n" MEANS "variances: 1\n", "weights"},
        {"weights: [0.5, 0.5]\nvariances: 1\n", "means"},
        {"weights: [1]\n" MEANS "variances: 1\n", "means: has 2 components; weights has 1"},
        {"weights: [0.5, 0.5]\n" MEANS, "exactly one of variances and covariances"},
        {"weights: [0.5, 0.5]\n" MEANS "variances: 1\ncovariances: [[[1]]]\n",
         "covariances: needs exactly one"},
        {"weights: [0.5, 0.5]\n" MEANS "variances: [1, 2, 3]\n", "variances: must be one number"},
        {"weights: [0.5, 0.5]\n" MEANS "variances: [1, -2]\n",
         "component 1 must be finite and above 0"},
        {"weights: [0.5, 0.5]\n" MEANS "covariances: [[[1]], [[1]]]\n", "2 matrices of 2 x 2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vpsde_model *model;
        assert_fails(configured(&model, cases[i].text), VPSDE_ECONFIG, cases[i].words);
        assert_fails(VPSDE_ECONFIG, VPSDE_ECONFIG, "test.yaml:");
        assert_null(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_dense_formulas),
        cmocka_unit_test(score_is_the_slope_of_log_p),
        cmocka_unit_test(tangents_are_differences_of_eps),
        cmocka_unit_test(posterior_covariance_of_one_gaussian),
        cmocka_unit_test(diagonal_forms_agree_with_the_full_one),
        cmocka_unit_test(rows_do_not_see_each_other),
        cmocka_unit_test(tiles_give_the_bits_of_rows),
        cmocka_unit_test(counts_its_operations),
        cmocka_unit_test(far_tails_are_finite),
        cmocka_unit_test(time_zero_is_the_data),
        cmocka_unit_test(draws_have_the_right_moments),
        cmocka_unit_test(a_component_without_weight_is_never_drawn),
        cmocka_unit_test(bad_parameters_are_refused_by_component),
        cmocka_unit_test(configuration_takes_every_shape),
        cmocka_unit_test(configuration_errors_point_at_the_key),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
