/* The encoder and its Jacobian against exact maps: Gaussians, products and pairs of modes are carried by
 * Monge maps, three modes off a line are not. */
#include <stdbool.h>

#include "analysis/assignment.h"
#include "core/vec.h"
#include "models/eigen.h"
#include "solvers/flow_jacobian.h"
#include "solvers/jacobian_certificate.h"
#include "tests/ode_fixture.h"
#include "tests/toy.h"

enum { ROWS = 200, TIMES = 5 };

static const double t_min = 1e-3;

typedef struct map {
    keep k;
    const double *x, *image, *antisymmetry, *smallest, *log_det, *speed;
} map;

/* ROWS draws of the model (unless x is given) through the flow. */
static void run_map(map *m, const vpsde_model *model, const vpsde_process *process, double tol,
                    const double *x)
{
    const double t[TIMES] = {t_min, 0.02, 0.1, 0.4, 1};
    const vpsde_coef c = vpsde_process_at(process, t_min);
    double *drawn = NULL;
    if (!x) {
        drawn = malloc(ROWS * model->dim * sizeof(double));
        assert_non_null(drawn);
        assert_ok(vpsde_model_draw(model, &c, 5, VPSDE_NOISE_TEST, 0, ROWS, NULL, drawn));
    }
    const vpsde_transport run = {.flow = {.process = process,
                                          .model = model,
                                          .integrator = vpsde_solver_find("gsl-rk8pd"),
                                          .rtol = tol,
                                          .atol = tol,
                                          .x = x ? x : drawn,
                                          .count = ROWS,
                                          .n_threads = 2},
                                 .t = t,
                                 .n_times = TIMES};
    keep_init(&m->k);
    assert_ok(vpsde_transport_run(&run, &m->k.sink));
    assert_true(keep_complete(&m->k));
    m->x = keep_column(&m->k, "x");
    m->image = keep_column(&m->k, "image");
    m->antisymmetry = keep_column(&m->k, "antisymmetry");
    m->smallest = keep_column(&m->k, "smallest_eigenvalue");
    m->log_det = keep_column(&m->k, "log_det");
    m->speed = keep_column(&m->k, "speed_squared");
    free(drawn);
}

static double largest(const double *values)
{
    double most = 0;
    for (size_t i = 0; i < ROWS; i++) most = fmax(most, values[i]);
    return most;
}

static double least(const double *values)
{
    double most = INFINITY;
    for (size_t i = 0; i < ROWS; i++) most = fmin(most, values[i]);
    return most;
}

/* Relative gain of the best assignment of images to rows. */
static double gap(const map *m, size_t d)
{
    double *cost = malloc((size_t)ROWS * (ROWS + 2) * sizeof(double)), *u = cost + ROWS * ROWS;
    double own = 0, best = 0;
    size_t partner[ROWS];
    assert_non_null(cost);
    for (size_t e = 0; e < (size_t)ROWS * ROWS; e++) {
        cost[e] = 0;
        for (size_t j = 0; j < d; j++) {
            cost[e] += pow(m->x[e / ROWS * d + j] - m->image[e % ROWS * d + j], 2);
        }
    }
    assert_ok(vpsde_assignment(ROWS, cost, partner, u, u + ROWS));
    for (size_t i = 0; i < ROWS; i++) {
        own += cost[i * ROWS + i];
        best += cost[i * ROWS + partner[i]];
    }
    free(cost);
    return (own - best) / own;
}

/* N(mu, Sigma): x_T = alpha_T mu + C_T^{1/2} C_t^{-1/2} (x - alpha_t mu), which tends to
 * Sigma^{-1/2} (x - mu). */
static void a_gaussian(void **state)
{
    enum { D = 3 };
    const double weight = 1, mean[D] = {0.5, -1, 0.2},
                 cov[D * D] = {0.5, 0.2, 0, 0.2, 0.3, 0.1, 0, 0.1, 0.1};
    double a[D * D], values[D], vectors[D * D], log_det = 0, speed = 0;
    map m;
    (void)state;
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_EXACT);
    const vpsde_coef c = vpsde_process_at(process, t_min), end = vpsde_process_at(process, 1);
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, D, &weight, mean, cov));
    run_map(&m, model, process, 1e-12, NULL);
    vec_copy(D * D, a, cov);
    assert_ok(vpsde_eigen_symmetric(D, a, values, vectors));
    double stretch[D];
    for (size_t j = 0; j < D; j++) {
        const double from = c.alpha * c.alpha * values[j] + c.sigma * c.sigma;
        const double to = end.alpha * end.alpha * values[j] + end.sigma * end.sigma;
        stretch[j] = sqrt(to / from);
        log_det += log(stretch[j]);
    }
    for (size_t i = 0; i < ROWS; i++) {
        double image[D], limit[D], off[D];
        for (size_t j = 0; j < D; j++) {
            image[j] = end.alpha * mean[j];
            limit[j] = 0;
            off[j] = m.x[i * D + j] - c.alpha * mean[j];
        }
        for (size_t q = 0; q < D; q++) {
            const double along = vec_dot(D, vectors + q * D, off);
            const double plain = along + (c.alpha - 1) * vec_dot(D, vectors + q * D, mean);
            for (size_t j = 0; j < D; j++) {
                image[j] += stretch[q] * along * vectors[q * D + j];
                limit[j] += plain / sqrt(values[q]) * vectors[q * D + j];
            }
        }
        for (size_t j = 0; j < D; j++) {
            assert_close(m.image[i * D + j], image[j], 1e-10);
            assert_close(m.image[i * D + j], limit[j], 0.02); /* t_min > 0, finite b */
        }
        assert_close(m.log_det[i], log_det, 1e-10);
        assert_close(m.smallest[i], fmin(stretch[0], fmin(stretch[1], stretch[2])), 1e-10);
        speed += m.speed[i * TIMES + TIMES - 1] / ROWS;
    }
    assert_true(speed < 1e-4); /* at rest at the end */
    assert_true(largest(m.antisymmetry) < 1e-11);
    assert_true(gap(&m, D) == 0);
    keep_free(&m.k);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* The marginals of a 1-D Gaussian move along a geodesic of the Fisher-Rao metric dV^2/(2 V^2): its length
 * is |log V_T/V_0|/sqrt 2 = sqrt 2 |log J|, and sqrt(g) = |1 - 1/V|/sqrt 2 integrates to it. */
static void fisher_rao(void **state)
{
    enum { N = 4000 };
    const double weight = 1, mean = 0, variance = 0.2;
    map m;
    (void)state;
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_EXACT);
    const vpsde_coef c = vpsde_process_at(process, t_min), end = vpsde_process_at(process, 1);
    vpsde_model *model;
    double length = 0;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 1, &weight, &mean, &variance));
    run_map(&m, model, process, 1e-12, NULL);
    for (size_t k = 0; k <= N; k++) { /* Simpson */
        const double b = c.b + (end.b - c.b) * (double)k / N;
        const double v = 1 + (variance - 1) * exp(-b), share = k == 0 || k == N ? 1 : k % 2 ? 4 : 2;
        length += share / 3 * (end.b - c.b) / N * fabs(1 - 1 / v) / sqrt(2);
    }
    const double v0 = c.alpha * c.alpha * variance + c.sigma * c.sigma;
    const double vt = end.alpha * end.alpha * variance + end.sigma * end.sigma;
    assert_close(length, log(vt / v0) / sqrt(2), 1e-9);
    for (size_t i = 0; i < ROWS; i++) assert_close(sqrt(2) * m.log_det[i], length, 1e-9);
    keep_free(&m.k);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

static double cdf(const vpsde_coef *c, const double *weight, const double *mean, double variance,
                  double u)
{
    double sum = 0;
    for (size_t k = 0; k < 2; k++) {
        const double sd = sqrt(c->alpha * c->alpha * variance + c->sigma * c->sigma);
        sum += weight[k] * erfc(-(u - c->alpha * mean[k]) / sd / sqrt(2)) / 2;
    }
    return sum;
}

/* R u with independent 1-D mixtures: each factor is carried by its monotone rearrangement. */
static void a_rotated_product(void **state)
{
    const double w[2][2] = {{0.3, 0.7}, {0.4, 0.6}}, at[2][2] = {{-0.8, 0.8}, {-0.5, 0.5}};
    const double v[2] = {0.1, 0.05}, r = 0.6, q = 0.8; /* columns (r, q), (-q, r) */
    double weights[4], means[8], cov[16];
    map m;
    (void)state;
    for (size_t k = 0; k < 4; k++) {
        const double a = at[0][k / 2], b = at[1][k % 2];
        const double c[4] = {r * r * v[0] + q * q * v[1], r * q * (v[0] - v[1]),
                             r * q * (v[0] - v[1]), q * q * v[0] + r * r * v[1]};
        weights[k] = w[0][k / 2] * w[1][k % 2];
        means[2 * k] = r * a - q * b;
        means[2 * k + 1] = q * a + r * b;
        vec_copy(4, cov + 4 * k, c);
    }
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_EXACT);
    const vpsde_coef c = vpsde_process_at(process, t_min), end = vpsde_process_at(process, 1);
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, 4, 2, weights, means, cov));
    run_map(&m, model, process, 1e-11, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        const double *x = m.x + 2 * i, *y = m.image + 2 * i;
        assert_close(cdf(&c, w[0], at[0], v[0], r * x[0] + q * x[1]),
                     cdf(&end, w[0], at[0], v[0], r * y[0] + q * y[1]), 1e-9);
        assert_close(cdf(&c, w[1], at[1], v[1], r * x[1] - q * x[0]),
                     cdf(&end, w[1], at[1], v[1], r * y[1] - q * y[0]), 1e-9);
    }
    assert_true(largest(m.antisymmetry) < 1e-8);
    assert_true(least(m.smallest) > 0);
    assert_true(gap(&m, 2) == 0);
    keep_free(&m.k);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

static void modes(map *m, size_t n, const double *means, double variance)
{
    double weights[3], cov[12];
    for (size_t k = 0; k < n; k++) {
        weights[k] = 1 / (double)n;
        for (size_t e = 0; e < 4; e++) cov[4 * k + e] = e % 3 == 0 ? variance : 0;
    }
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_EXACT);
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, n, 2, weights, means, cov));
    run_map(m, model, process, 1e-11, NULL);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

static void two_modes_and_three(void **state)
{
    const double means[6] = {-1, 0, 1, 0, 0, 0.5};
    map m;
    (void)state;
    modes(&m, 2, means, 0.02);
    assert_true(largest(m.antisymmetry) < 1e-8);
    assert_true(gap(&m, 2) == 0);
    keep_free(&m.k);
    modes(&m, 3, means, 0.02);
    assert_true(largest(m.antisymmetry) > 0.1);
    assert_true(gap(&m, 2) > 1e-4);
    keep_free(&m.k);
}

/* log |det J| is what the likelihood integrates; as a network, in batched calls, too. */
static void the_determinant_is_the_likelihoods(void **state)
{
    enum { D = 4 };
    map m, posed;
    vpsde_model own;
    vpsde_model_type type;
    double logp[ROWS];
    (void)state;
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model = make_mixture(D);
    run_map(&m, model, process, 1e-11, NULL);
    const vpsde_likelihood run = {.process = process,
                                  .model = model,
                                  .integrator = vpsde_solver_find("gsl-rk8pd"),
                                  .rtol = 1e-11,
                                  .atol = 1e-11,
                                  .x = m.x,
                                  .count = ROWS};
    assert_ok(vpsde_likelihood_array(&run, logp));
    for (size_t i = 0; i < ROWS; i++) {
        assert_close(vpsde_prior_logp(m.image + i * D, D) + m.log_det[i], logp[i], 1e-8);
    }
    run_map(&posed, pose_as_network(&own, &type, model), process, 1e-11, m.x);
    assert_true(keep_same(&posed.k, &m.k, "image", 0, ROWS));
    assert_true(keep_same(&posed.k, &m.k, "log_det", 0, ROWS));
    assert_true(keep_same(&posed.k, &m.k, "speed_squared", 0, ROWS));
    keep_free(&m.k);
    keep_free(&posed.k);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* More columns than one call holds. */
static void many_components(void **state)
{
    enum { D = 251, N = 2 };
    const double t[2] = {t_min, 1};
    static double x[N * D];
    line own;
    keep k;
    (void)state;
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_STANDARD_NORMAL);
    const vpsde_coef c = vpsde_process_at(process, t_min), end = vpsde_process_at(process, 1);
    line_make(&own, D, VPSDE_MODEL_JVP);
    own.model.block_rows = 34;
    for (size_t e = 0; e < N * D; e++) x[e] = sin((double)e);
    const vpsde_transport run = {.flow = {.process = process,
                                          .model = &own.model,
                                          .integrator = vpsde_solver_find("dopri5"),
                                          .rtol = 1e-6,
                                          .atol = 1e-6,
                                          .x = x,
                                          .count = N},
                                 .t = t,
                                 .n_times = 2};
    double log_det = 0;
    for (size_t j = 0; j < D; j++) {
        const double v = line_variance(j);
        log_det += log((end.alpha * end.alpha * v + end.sigma * end.sigma) /
                       (c.alpha * c.alpha * v + c.sigma * c.sigma)) /
                   2;
    }
    keep_init(&k);
    assert_ok(vpsde_transport_run(&run, &k.sink));
    assert_true(own.most_tangents < D);
    for (size_t i = 0; i < N; i++) {
        assert_close(((const double *)keep_column(&k, "log_det"))[i], log_det, 1e-3);
        assert_true(((const double *)keep_column(&k, "antisymmetry"))[i] == 0);
    }
    keep_free(&k);
    vpsde_process_destroy(process);
}

static void certificates(void **state)
{
    enum { D = 3 };
    const double turn[D * D] = {0, -2, 0, 2, 0, 0, 0, 0, 3}, flat[D * D] = {1};
    double memory[2 * D * D + D];
    vpsde_certificate of;
    (void)state;
    assert_int_equal(vpsde_certificate_doubles(D), 2 * D * D + D);
    assert_true(vpsde_certify(&of, D, turn, memory));
    assert_close(of.antisymmetry, sqrt(32. / 17), 1e-15);
    assert_close(of.smallest_eigenvalue, 0, 0);
    assert_close(of.log_det, log(12), 1e-15);
    assert_false(vpsde_certify(&of, D, flat, memory));
}

static void rows_and_failures(void **state)
{
    double x[2 * ROWS], t[TIMES] = {t_min, 0.02, 0.1, 0.4, 1};
    keep all, one, bad;
    (void)state;
    vpsde_process *process = make_process(t_min, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = make_mixture(2);
    for (size_t e = 0; e < 2 * ROWS; e++) x[e] = sin((double)e);
    vpsde_transport run = {.flow = {.process = process,
                                    .model = model,
                                    .integrator = vpsde_solver_find("dopri5"),
                                    .rtol = 1e-6,
                                    .atol = 1e-6,
                                    .x = x,
                                    .count = ROWS},
                           .t = t,
                           .n_times = TIMES};
    vpsde_transport alone = run;
    keep_init(&all);
    keep_init(&one);
    keep_init(&bad);
    assert_ok(vpsde_transport_run(&run, &all.sink));
    alone.flow.first = 3;
    alone.flow.count = 1;
    alone.flow.x = x + 2 * 3;
    assert_ok(vpsde_transport_run(&alone, &one.sink));
    assert_true(keep_same(&one, &all, "image", 3, 1));
    assert_true(keep_same(&one, &all, "antisymmetry", 3, 1));
    x[2] = (double)NAN;
    assert_fails(vpsde_transport_run(&run, &bad.sink), VPSDE_EPARTIAL, "1 of 200 rows");
    assert_true(isnan(((const double *)keep_column(&bad, "log_det"))[1]));
    assert_true(keep_same(&one, &bad, "image", 3, 1));
    keep_free(&all);
    keep_free(&one);
    keep_free(&bad);
    t[2] = 0.01;
    assert_fails(vpsde_transport_run(&run, NULL), VPSDE_EINVAL, "times must increase");
    t[2] = 0.1;
    run.n_times = TIMES - 1;
    assert_fails(vpsde_transport_run(&run, NULL), VPSDE_EINVAL, "to t_max = 1");
    vpsde_model_type type = *model->type;
    vpsde_model other = *model;
    other.type = &type;
    other.dim = VPSDE_TRANSPORT_DIM_MAX + 1;
    run.flow.model = &other;
    assert_fails(vpsde_transport_run(&run, NULL), VPSDE_EINVAL, "at most 256 components");
    type.flags &= ~(unsigned)VPSDE_MODEL_JVP;
    assert_fails(vpsde_transport_run(&run, NULL), VPSDE_EINVAL, "Jacobian products");
    vpsde_process *whole = make_process(0, VPSDE_TERMINAL_EXACT);
    run.flow.model = model;
    run.flow.process = whole;
    assert_fails(vpsde_transport_run(&run, NULL), VPSDE_EINVAL, "t_min must be above 0");
    vpsde_process_destroy(whole);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gaussian),
        cmocka_unit_test(fisher_rao),
        cmocka_unit_test(a_rotated_product),
        cmocka_unit_test(two_modes_and_three),
        cmocka_unit_test(the_determinant_is_the_likelihoods),
        cmocka_unit_test(many_components),
        cmocka_unit_test(certificates),
        cmocka_unit_test(rows_and_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
