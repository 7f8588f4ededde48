/* Error budgets of likelihoods: the arithmetic, each term against what is known, and how often the
 * total covers the truth. VPSDE_COVERAGE_ROWS=1000 in the environment makes the last of it large. */
#include "tests/budget_fixture.h"

#include <float.h>
#include <gsl/gsl_cdf.h>

#include "solvers/budget.h"

enum { FEW = 200, LARGE = BUDGET_ROWS };

static vpsde_likelihood make_run(const vpsde_process *process, const vpsde_model *model,
                                 const char *integrator, double tol, const double *x, size_t n)
{
    return (vpsde_likelihood){
        .process = process,
        .model = model,
        .integrator = vpsde_solver_find(integrator),
        .rtol = tol,
        .atol = tol,
        .seed = 11,
        .budget = true,
        .x = x,
        .count = n,
        .n_threads = 1,
    };
}

static void draw(const vpsde_model *model, const vpsde_process *process, size_t n, double *x)
{
    const vpsde_coef c = vpsde_process_at(process, 0);
    assert_ok(model->type->draw(model, &c, 5, VPSDE_NOISE_TEST, 0, n, x));
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* Against GSL. */
static void knows_students_quantiles(void **state)
{
    (void)state;
    static const size_t nu[] = {1, 2, 3, 7, 8, 15, 63, 399, 400, 401, 1000, 100000};
    for (size_t q = 0; q < sizeof(nu) / sizeof(nu[0]); q++) {
        assert_close(vpsde_student_95(nu[q]), gsl_cdf_tdist_Pinv(0.975, (double)nu[q]), 2e-9);
    }
    assert_true(isnan(vpsde_probe_quantile(1)));
    assert_close(vpsde_probe_quantile(8), 2.3646242516, 1e-9);
    const double three[3] = {1, 2, 6};
    assert_close(vpsde_standard_error(three, 3), sqrt(7.0 / 3), 1e-15);
    assert_true(isnan(vpsde_standard_error(three, 1)));
}

static void adds_up(void **state)
{
    (void)state;
    vpsde_error_budget b = {.ode_error = 1,
                            .trace_halfwidth = 2,
                            .float32_floor = 4,
                            .truncation = -8,
                            .truncation_halfwidth = 16,
                            .terminal = -32,
                            .dequantisation_gap = 64,
                            .dequantisation_halfwidth = 128};
    const double widening = vpsde_trace_widening(8);
    vpsde_budget_add(&b, 8);
    assert_close(b.numerical_error, 5 + 2 * widening, 1e-12);
    assert_close(b.total, 5 + 18 * widening + 8 + 32 + 64 + 128, 1e-12);
    assert_true(widening > 2 && vpsde_trace_widening(1000) < 1.02);
    assert_true(vpsde_few_signs(5, 2) && vpsde_few_signs(4, 3) && !vpsde_few_signs(6, 3));
    assert_false(vpsde_few_signs(2, 1) || vpsde_few_signs(2, 4));
}

/* eps = x in d white dimensions, where |eps|^2 = |x|^2 = |J|^2 = d: each of eps and J x is rounded once. */
static void rounds_as_floats_do(void **state)
{
    (void)state;
    enum { DIM = 9 };
    const vpsde_coef c = {.alpha = 0.8, .sigma = 0.6}, clean = {.alpha = 1};
    const vpsde_rounding r = {.eps_eps = DIM, .x_x = DIM, .j_j = DIM};
    const double expected = FLT_EPSILON / 2 / 0.8 * sqrt(DIM * (2 / (0.6 * 0.6) + 1));
    assert_close(vpsde_rounding_rate(&r, &c, DIM), expected, 1e-12 * expected);
    assert_true(vpsde_rounding_rate(&r, &clean, DIM) == 0);
    assert_close(vpsde_rounding_floor(6, 9), 8, 1e-12); /* four standard deviations of a mean */
    assert_true(vpsde_rounding_floor(6, 0) == 0);
}

/* ---- models with known answers --------------------------------------------------------------- */

enum { DIM_MAX = 64 };

/* y = (I - 2 w w^T) x with |w| = 1 */
static void reflect(size_t d, double *y, const double *x)
{
    double w[DIM_MAX], square = 0, along = 0;
    for (size_t j = 0; j < d; j++) {
        w[j] = 1 + sin(1.3 * (double)j);
        square += w[j] * w[j];
    }
    for (size_t j = 0; j < d; j++) along += w[j] * x[j];
    for (size_t j = 0; j < d; j++) y[j] = x[j] - 2 * along * w[j] / square;
}

/* out = R diag(v) R, R the reflection above */
static void conjugate(size_t d, double *out, const double *v)
{
    double unit[DIM_MAX], column[DIM_MAX];
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j < d; j++) unit[j] = i == j;
        reflect(d, column, unit);
        for (size_t j = 0; j < d; j++) column[j] *= v[j];
        reflect(d, out + i * d, column);
    }
}

static double gaussian_variance(size_t j) { return 0.05 + 0.4 * (double)(j % 5); }

/* M1: one Gaussian, full covariance. */
static vpsde_model *make_gaussian(size_t d, const double *mean)
{
    static double cov[DIM_MAX * DIM_MAX];
    double v[DIM_MAX];
    const double weight[1] = {1};
    vpsde_model *model;
    for (size_t j = 0; j < d; j++) v[j] = gaussian_variance(j);
    conjugate(d, cov, v);
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, d, weight, mean, cov));
    return model;
}

/* M3: x = R u, u_0 and u_1 each half N(-m, v), half N(m, v), the others Gaussian. */
static const double pair_m = 0.8, pair_v = 0.06;

static vpsde_model *make_rotated_product(size_t d)
{
    enum { K = 4 };
    static double cov[K * DIM_MAX * DIM_MAX], means[K * DIM_MAX];
    double v[DIM_MAX], u[DIM_MAX];
    const double weights[K] = {0.25, 0.25, 0.25, 0.25};
    vpsde_model *model;
    for (size_t j = 0; j < d; j++) v[j] = j < 2 ? pair_v : gaussian_variance(j);
    for (size_t k = 0; k < K; k++) {
        for (size_t j = 0; j < d; j++) u[j] = 0;
        u[0] = k & 1 ? pair_m : -pair_m;
        u[1] = k & 2 ? pair_m : -pair_m;
        reflect(d, means + k * d, u);
        conjugate(d, cov + k * d * d, v);
    }
    assert_ok(vpsde_gaussian_mixture_create(&model, K, d, weights, means, cov));
    return model;
}

static double log_normal(double x, double v) { return -0.5 * (x * x / v + log(2 * M_PI * v)); }

static double product_logp(size_t d, const double *x)
{
    double u[DIM_MAX], sum = 0;
    reflect(d, u, x);
    for (size_t j = 0; j < d; j++) {
        if (j < 2) {
            const double a = log_normal(u[j] - pair_m, pair_v);
            const double b = log_normal(u[j] + pair_m, pair_v);
            sum += fmax(a, b) + log1p(exp(-fabs(a - b))) - log(2);
        } else {
            sum += log_normal(u[j], gaussian_variance(j));
        }
    }
    return sum;
}

/* science.md, exact-loglik: 1e-8 nats at tolerance 1e-9 by gsl-rk8pd from the exact terminal law. */
static void exact_loglik(void **state)
{
    (void)state;
    enum { N = 6 };
    static const size_t dims[] = {2, 8, 64};
    static columns c;
    static double x[N * DIM_MAX], truth[N];
    const double zero[DIM_MAX] = {0};
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    const vpsde_coef clean = vpsde_process_at(process, 0);
    for (size_t q = 0; q < 9; q++) {
        const size_t d = dims[q % 3], n = d == 64 ? 2 : N;
        vpsde_model *model = q < 3   ? make_gaussian(d, zero)
                             : q < 6 ? make_mixture(d)
                                     : make_rotated_product(d);
        double worst = 0;
        draw(model, process, n, x);
        assert_ok(vpsde_model_log_p(model, n, &clean, x, truth));
        for (size_t i = 0; i < n && q >= 6; i++) {
            assert_close(product_logp(d, x + i * d), truth[i], 1e-10);
        }
        const vpsde_likelihood run = make_run(process, model, "gsl-rk8pd", 1e-9, x, n);
        assert_ok(run_columns(&run, &c));
        for (size_t i = 0; i < n; i++) {
            const double error = fabs(c.value[LOGP][i] - truth[i]);
            worst = fmax(worst, error);
            assert_true(error <= c.value[BUDGET][i]);
            assert_close(c.value[BUDGET][i], c.value[ODE_ERROR][i], 0);
        }
        print_message("M%zu, d = %zu: %.1e\n", q / 3 + 1, d, worst);
        assert_close(worst, 0, 1e-8);
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* At mu + R sqrt(v) and mu - R sqrt(v) squares are those of the mean and odd terms cancel, so that the
 * mean over these two rows is the expectation: the bias is -KL(p_T || N(0, I)). */
static void terminal_bias_is_the_divergence(void **state)
{
    (void)state;
    static const size_t dims[] = {2, 8, 64};
    static columns c;
    static double x[2 * DIM_MAX], truth[2];
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_STANDARD_NORMAL);
    const vpsde_coef clean = vpsde_process_at(process, 0);
    const vpsde_coef end = vpsde_process_at(process, vpsde_process_t_max(process));
    for (size_t q = 0; q < 3; q++) {
        const size_t d = dims[q];
        double mean[DIM_MAX], root[DIM_MAX], side[DIM_MAX], kl = 0, bias = 0, told = 0;
        for (size_t j = 0; j < d; j++) {
            const double v = gaussian_variance(j);
            const double noisy = end.alpha * end.alpha * v + end.sigma * end.sigma;
            mean[j] = cos(0.7 * (double)j);
            root[j] = sqrt(v);
            kl += 0.5 * (noisy - 1 - log(noisy) + pow(end.alpha * mean[j], 2));
        }
        reflect(d, side, root);
        for (size_t j = 0; j < d; j++) {
            x[j] = mean[j] + side[j];
            x[d + j] = mean[j] - side[j];
        }
        vpsde_model *model = make_gaussian(d, mean);
        assert_ok(vpsde_model_log_p(model, 2, &clean, x, truth));
        const vpsde_likelihood run = make_run(process, model, "gsl-rk8pd", 1e-10, x, 2);
        assert_ok(run_columns(&run, &c));
        for (size_t i = 0; i < 2; i++) {
            bias += 0.5 * (truth[i] - c.value[LOGP][i]);
            told += 0.5 * c.value[TERMINAL][i];
            assert_true(fabs(c.value[LOGP][i] - truth[i]) <= c.value[BUDGET][i]);
        }
        print_message("d = %zu: E[log p_T - log pi] %.9g, bias %.9g\n", d, kl, bias);
        assert_close(bias, kl, 1e-8);
        assert_close(told, kl, 1e-8);
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* What a network is asked for in place of a closed form: both differences to a few per cent, with the
 * right sign, for every row where they matter. */
static void networks_estimate_what_models_know(void **state)
{
    (void)state;
    static columns known, estimated;
    static double x[FEW * 8];
    vpsde_process *process = make_process(1e-4, VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t q = 0; q < 2; q++) {
        vpsde_model *mixture = q ? make_mixture(8) : make_ring(), own;
        vpsde_model_type type;
        double size[2] = {0}, off[2] = {0};
        draw(mixture, process, FEW, x);
        vpsde_likelihood run = make_run(process, mixture, "dopri5", 1e-4, x, FEW);
        assert_ok(run_columns(&run, &known));
        run.model = pose_as_float32(&own, &type, mixture, true);
        assert_ok(run_columns(&run, &estimated));
        for (size_t i = 0; i < FEW; i++) {
            for (int t = 0; t < 2; t++) {
                const double truth = known.value[TRUNCATION + t][i];
                size[t] += truth * truth;
                off[t] += pow(estimated.value[TRUNCATION + t][i] - truth, 2);
            }
            assert_close(estimated.value[NFE][i], known.value[NFE][i] + 3, 60);
        }
        print_message("truncation off by %.1e of itself, terminal by %.1e\n",
                      sqrt(off[0] / size[0]), sqrt(off[1] / size[1]));
        assert_true(off[0] < 0.01 * size[0] && off[1] < 0.01 * size[1]);
        vpsde_model_destroy(mixture);
    }
    vpsde_process_destroy(process);
}

/* For one Gaussian int J_F dphi = B = R diag(log(V_T/V_0)/2) R whatever x is; the variance of one probe is
 * 2 (|B|^2 - sum b_ii^2), 2 |B|^2, or 2 d/(d + 2) (|B|^2 - tr^2/d). */
static void probes_have_their_variances(void **state)
{
    (void)state;
    enum { D = 8, PROBES = 20000 };
    static columns c;
    const double mean[D] = {0};
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    const vpsde_coef end = vpsde_process_at(process, vpsde_process_t_max(process));
    vpsde_model *model = make_gaussian(D, mean);
    double half[D], b[D * D], x[D], norm = 0, diagonal = 0, trace = 0;
    for (size_t j = 0; j < D; j++) {
        const double v = gaussian_variance(j);
        half[j] = 0.5 * log((end.alpha * end.alpha * v + end.sigma * end.sigma) / v);
        norm += half[j] * half[j];
        trace += half[j];
    }
    conjugate(D, b, half);
    for (size_t j = 0; j < D; j++) diagonal += b[j * D + j] * b[j * D + j];
    const double formula[3] = {2 * (norm - diagonal), 2 * norm,
                               2.0 * D / (D + 2) * (norm - trace * trace / D)};
    draw(model, process, 1, x);
    vpsde_likelihood run = make_run(process, model, "dopri5", 1e-4, x, 1);
    run.trace = VPSDE_TRACE_HUTCHINSON;
    run.probes = PROBES;
    for (int kind = 0; kind < 3; kind++) {
        run.probe = (vpsde_probe)kind;
        run.budget = false;
        assert_ok(run_columns(&run, &c));
        const double measured = pow(c.value[TRACE_STDERR][0], 2) * PROBES;
        print_message("probe kind %d: variance %.4f of the formula\n", kind,
                      measured / formula[kind]);
        assert_close(measured / formula[kind], 1, 0.1);
        assert_close(c.value[DELTA][0], trace, 6 * c.value[TRACE_STDERR][0]);
        assert_true(isnan(c.value[BUDGET][0]) && isnan(c.value[ODE_ERROR][0]));
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* No budget from one probe, from a few signs in low dimension, nor from signs that are all one. */
static void one_probe_tells_nothing(void **state)
{
    (void)state;
    static columns c;
    static double x[FEW * 2];
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = make_ring();
    size_t unknown = 0;
    draw(model, process, FEW, x);
    vpsde_likelihood run = make_run(process, model, "dopri5", 1e-3, x, FEW);
    run.trace = VPSDE_TRACE_HUTCHINSON;
    run.probes = 1;
    assert_ok(run_columns(&run, &c));
    for (size_t i = 0; i < FEW; i++) {
        assert_true(isnan(c.value[TRACE_HALFWIDTH][i]) && isnan(c.value[BUDGET][i]));
        assert_true(isfinite(c.value[LOGP][i]) && isfinite(c.value[ODE_ERROR][i]));
    }
    run.probes = 5; /* too few signs */
    assert_ok(run_columns(&run, &c));
    for (size_t i = 0; i < FEW; i++) {
        assert_true(isnan(c.value[TRACE_HALFWIDTH][i]) && isnan(c.value[BUDGET][i]));
        assert_true(isfinite(c.value[TRACE_STDERR][i]));
    }
    run.probes = 6; /* alike with probability 1/32 in two dimensions */
    assert_ok(run_columns(&run, &c));
    for (size_t i = 0; i < FEW; i++) {
        const bool none = isnan(c.value[BUDGET][i]);
        unknown += none;
        assert_true(none == !(c.value[TRACE_STDERR][i] > 1e-9));
        if (none) continue;
        assert_close(c.value[TRACE_HALFWIDTH][i], vpsde_student_95(5) * c.value[TRACE_STDERR][i],
                     1e-12);
    }
    assert_close((double)unknown / FEW, 1.0 / 32, 6 * sqrt(31.0 / 1024 / FEW));
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* The budget changes no bit of what is there without it, and is itself the row's own. */
static void budget_is_the_rows_own(void **state)
{
    (void)state;
    static const char *const names[] = {"dopri5", "gsl-rk8pd", "cvode-adams", "cvode-bdf"};
    enum { N = 40 };
    static columns with, other;
    double x[N * 3];
    vpsde_process *process = make_process(1e-4, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *mixture = make_mixture(3), own;
    vpsde_model_type type;
    draw(mixture, process, N, x);
    for (size_t m = 0; m < 8; m++) {
        vpsde_likelihood run = make_run(process, pose_as_float32(&own, &type, mixture, true),
                                        names[m % 4], 1e-4, x, N);
        run.first = 21;
        run.trace = m < 4 ? VPSDE_TRACE_EXACT : VPSDE_TRACE_HUTCHINSON;
        run.probes = 3;
        run.probe = VPSDE_PROBE_SPHERE;
        assert_ok(run_columns(&run, &with));
        run.n_threads = 3;
        assert_ok(run_columns(&run, &other));
        for (int q = 0; q < BUDGET_COLUMNS; q++) {
            assert_memory_equal(with.value[q], other.value[q], N * sizeof(double));
        }
        for (size_t i = 0; i < N; i += 13) {
            vpsde_likelihood alone = run;
            alone.first += i;
            alone.count = 1;
            alone.x = x + i * 3;
            assert_ok(run_columns(&alone, &other));
            for (int q = 0; q < BUDGET_COLUMNS; q++) {
                assert_memory_equal(&with.value[q][i], &other.value[q][0], sizeof(double));
            }
        }
        run.budget = false;
        assert_ok(run_columns(&run, &other));
        for (int q = LOGP; q <= TRACE_HALFWIDTH; q++) {
            assert_memory_equal(with.value[q], other.value[q], N * sizeof(double));
        }
        for (size_t i = 0; i < N; i++) assert_true(other.value[NFE][i] < with.value[NFE][i]);
    }
    vpsde_model_destroy(mixture);
    vpsde_process_destroy(process);
}

/* ---- coverage --------------------------------------------------------------------------------- */

static const double tolerances[] = {1e-3, 1e-5, 1e-7};
static const size_t probes[] = {0, 8, 16};

static size_t coverage_rows(size_t otherwise)
{
    const char *text = getenv("VPSDE_COVERAGE_ROWS");
    const size_t n = text ? (size_t)strtoul(text, NULL, 10) : otherwise;
    return n > 0 && n < LARGE ? n : LARGE;
}

static void choose_probes(vpsde_likelihood *run, size_t k)
{
    run->trace = k ? VPSDE_TRACE_HUTCHINSON : VPSDE_TRACE_EXACT;
    run->probes = k;
}

/* log p_0 in closed form; the score exact, and rounded to float32 with nothing else known. */
static void covers_log_p_of_the_data(void **state)
{
    (void)state;
    static columns c;
    static double x[LARGE * 8], truth[LARGE];
    const size_t n = coverage_rows(100);
    vpsde_process *process = make_process(1e-5, VPSDE_TERMINAL_STANDARD_NORMAL);
    const vpsde_coef clean = vpsde_process_at(process, 0);
    for (size_t q = 0; q < 4; q++) {
        vpsde_model *mixture = q < 2 ? make_ring() : make_mixture(8), own;
        vpsde_model_type type;
        draw(mixture, process, n, x);
        assert_ok(vpsde_model_log_p(mixture, n, &clean, x, truth));
        for (size_t m = 0; m < 9; m++) {
            vpsde_likelihood run = make_run(process, mixture, "dopri5", tolerances[m / 3], x, n);
            if (q % 2) run.model = pose_as_float32(&own, &type, mixture, true);
            choose_probes(&run, probes[m % 3]);
            assert_ok(run_columns(&run, &c));
            const double covered = coverage(&c, BUDGET, truth, n);
            print_message("%s%s at %g, %zu probes: %.3f of %zu rows\n", q < 2 ? "ring" : "d = 8",
                          q % 2 ? " in float32" : "", run.rtol, run.probes, covered, n);
            assert_true(covered >= 0.95);
        }
        vpsde_model_destroy(mixture);
    }
    vpsde_process_destroy(process);
}

/* The ODE's own error where nothing hides it: t_min = 0, exact terminal law. */
static void covers_the_integration(void **state)
{
    (void)state;
    static const char *const names[] = {"dopri5",   "gsl-rk8pd",   "gsl-rkf45",
                                        "gsl-rkck", "gsl-msadams", "cvode-adams"};
    static columns c;
    static double x[LARGE * 2], truth[LARGE];
    const size_t n = coverage_rows(200);
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    const vpsde_coef clean = vpsde_process_at(process, 0);
    vpsde_model *ring = make_ring();
    draw(ring, process, n, x);
    assert_ok(vpsde_model_log_p(ring, n, &clean, x, truth));
    for (size_t m = 0; m < 18; m++) {
        const vpsde_likelihood run = make_run(process, ring, names[m / 3], tolerances[m % 3], x, n);
        assert_ok(run_columns(&run, &c));
        const double covered = coverage(&c, NUMERICAL_ERROR, truth, n);
        print_message("%s at %g: %.3f\n", names[m / 3], run.rtol, covered);
        assert_true(covered >= 0.95);
    }
    vpsde_model_destroy(ring);
    vpsde_process_destroy(process);
}

/* A trained network against a far tighter solve of the same one. */
static void covers_a_network(void **state)
{
    (void)state;
    static columns c, tight;
    static double x[LARGE * 2];
    const size_t n = coverage_rows(60);
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *ring = make_ring(), *network = train_small_network(process, ring, 300);
    draw(ring, process, n, x);
    const vpsde_likelihood reference = make_run(process, network, "dopri5", 1e-9, x, n);
    assert_ok(run_columns(&reference, &tight));
    for (size_t m = 0; m < 9; m++) {
        vpsde_likelihood run = make_run(process, network, "dopri5", tolerances[m / 3], x, n);
        choose_probes(&run, probes[m % 3]);
        assert_ok(run_columns(&run, &c));
        const double covered = coverage(&c, NUMERICAL_ERROR, tight.value[LOGP], n);
        print_message("network at %g, %zu probes: %.3f; %g calls a row\n", run.rtol, run.probes,
                      covered, c.value[NFE][0]);
        assert_true(covered >= 0.95);
    }
    vpsde_model_destroy(network);
    vpsde_model_destroy(ring);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_students_quantiles),
        cmocka_unit_test(adds_up),
        cmocka_unit_test(rounds_as_floats_do),
        cmocka_unit_test(exact_loglik),
        cmocka_unit_test(terminal_bias_is_the_divergence),
        cmocka_unit_test(networks_estimate_what_models_know),
        cmocka_unit_test(probes_have_their_variances),
        cmocka_unit_test(one_probe_tells_nothing),
        cmocka_unit_test(budget_is_the_rows_own),
        cmocka_unit_test(covers_log_p_of_the_data),
        cmocka_unit_test(covers_the_integration),
        cmocka_unit_test(covers_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
