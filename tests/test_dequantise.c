/* Dequantisation: truncated normals, and the 8-bit oracle: P on 256 levels, whose Dirac mixture is
 * known at every t, so that bits/dim of every kind stand beside H(P). */
#include "solvers/dequantise.h"

#include <stdlib.h>

#include "tests/budget_fixture.h"

static const double width = 2.0 / 255;

static vpsde_process *process_for(double tau, vpsde_terminal terminal)
{
    vpsde_process *any = make_process(1e-5, terminal);
    const double t = vpsde_process_at_lambda(any, log(2 * tau / width)).t;
    vpsde_process_destroy(any);
    return make_process(t, terminal);
}

static vpsde_coef start_of(const vpsde_process *process)
{
    return vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
}

static vpsde_dequantiser make(vpsde_dequantization_kind kind, const vpsde_process *process,
                              size_t d)
{
    const vpsde_dequantization how = {.kind = kind, .width = width};
    const vpsde_coef start = start_of(process);
    vpsde_dequantiser q;
    assert_ok(vpsde_dequantiser_init(&q, &how, &start, d));
    return q;
}

/* ---- truncated normals ------------------------------------------------------------------------ */

/* u of one uniform, x = u for x0 = 0, alpha = sigma = 1. */
static double normal_at(double tau, double v)
{
    const vpsde_coef one = {.alpha = 1, .sigma = 1};
    const vpsde_dequantization how = {.kind = VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, .width = 2 * tau};
    const double zero = 0;
    vpsde_dequantiser q;
    double u;
    assert_ok(vpsde_dequantiser_init(&q, &how, &one, 1));
    (void)vpsde_dequantise_at(&q, &zero, &v, &u);
    return u;
}

/* P(|U| > u) = 2 v P(|U| < tau) + P(|U| > tau) to what the rounding of u, and a unit of erfc, allow:
 * in the tails to full relative accuracy. */
static void inverts_the_distribution(void **state)
{
    (void)state;
    static const double taus[] = {0.1, 1, 2, 3, 4, 6, 9, 20};
    double worst = 0;
    for (size_t q = 0; q < sizeof(taus) / sizeof(taus[0]); q++) {
        const double tau = taus[q], within = erf(tau * M_SQRT1_2), tail = erfc(tau * M_SQRT1_2);
        for (int e = -53; e <= -1; e++) {
            const double v = exp2(e), u = -normal_at(tau, v), beyond = 2 * v * within + tail;
            assert_true(u >= 0 && u <= tau);
            const double error = fabs(erfc(u * M_SQRT1_2) / beyond - 1);
            worst = fmax(worst, error / (1 + u * u));
            assert_close(normal_at(tau, 1 - v), u, 0);
        }
        assert_close(normal_at(tau, 0.5), 0, 0);
    }
    print_message("tail beyond u: off by (1 + u^2) %.2g\n", worst);
    assert_true(worst < 1e-15);
    /* scipy.special.ndtri */
    assert_close(normal_at(30, 0.975), 1.959963984540054, 8e-16);
    assert_close(normal_at(30, 1e-3), -3.090232306167813, 1.6e-15);
    assert_close(normal_at(30, 1e-13), -7.348796102800677, 3.2e-15);
}

/* The tanh-sinh rule on (0, 1): what is sharp at the edges of a level is resolved. */
enum { NODES = 96 };

static void nodes(double *node, double *weight)
{
    const double end = 3.05, h = 2 * end / (NODES - 1);
    for (size_t m = 0; m < NODES; m++) {
        const double t = -end + h * (double)m, s = M_PI / 2 * sinh(t);
        node[m] = 1 / (1 + exp(-2 * s));
        weight[m] = h * M_PI / 4 * cosh(t) / (cosh(s) * cosh(s));
    }
}

/* E u^2, and d (log sigma + h(tau)) of the paper as the mean of -log r. */
static void has_the_moments(void **state)
{
    (void)state;
    static const double taus[] = {1, 3};
    double node[NODES], weight[NODES];
    nodes(node, weight);
    for (size_t m = 0; m < 2; m++) {
        vpsde_process *process = process_for(taus[m], VPSDE_TERMINAL_STANDARD_NORMAL);
        const vpsde_dequantiser q = make(VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, process, 1);
        const vpsde_coef c = start_of(process);
        const double tau = q.tau, z = erf(tau / M_SQRT2), x0 = 0.3;
        const double edge = 2 * tau * exp(-tau * tau / 2) / sqrt(2 * M_PI) / z;
        const double h = 0.5 * log(2 * M_PI * M_E) + log(z) - edge / 2;
        double square = 0, entropy = 0, x;
        assert_close(tau, taus[m], 1e-12);
        for (size_t k = 0; k < NODES; k++) {
            const double nats = vpsde_dequantise_at(&q, &x0, &node[k], &x);
            const double u = (x - c.alpha * x0) / c.sigma;
            square += weight[k] * u * u;
            entropy += weight[k] * nats;
        }
        assert_close(square, 1 - edge, 1e-11);
        assert_close(entropy, h + log(c.sigma / width), 1e-11);
        vpsde_process_destroy(process);
    }
}

/* ---- the 8-bit oracle ------------------------------------------------------------------------- */

enum { LEVELS = 256 };

/* A smooth law of 7.3 bits. */
static double oracle(double *p, double *level)
{
    double sum = 0, entropy = 0;
    for (size_t q = 0; q < LEVELS; q++) {
        const double x = level[q] = -1 + width * (double)q;
        p[q] = 0.2 + exp(-(x + 0.5) * (x + 0.5) / 0.02) + exp(-(x - 0.4) * (x - 0.4) / 0.1);
        sum += p[q];
    }
    for (size_t q = 0; q < LEVELS; q++) {
        p[q] /= sum;
        entropy -= p[q] * log(p[q]);
    }
    return entropy;
}

/* Dirac's mixture on n levels: variances that no t_min > 0 can see. */
static vpsde_model *make_dirac(size_t n, const double *p, const double *level)
{
    double variance[LEVELS];
    vpsde_model *model;
    for (size_t q = 0; q < n; q++) variance[q] = 1e-300;
    assert_ok(vpsde_gaussian_mixture_create(&model, n, 1, p, level, variance));
    return model;
}

/* log w of every level and node, (LEVELS, NODES), node by node of v. */
static void log_weights(const vpsde_dequantiser *q, const vpsde_model *model, const vpsde_coef *c,
                        const double *level, const double *node, double *log_w)
{
    for (size_t l = 0; l < LEVELS; l++) {
        double x[NODES], correction[NODES];
        for (size_t k = 0; k < NODES; k++) {
            correction[k] = vpsde_dequantise_at(q, &level[l], &node[k], &x[k]);
        }
        assert_ok(vpsde_model_log_p(model, NODES, c, x, log_w + l * NODES));
        for (size_t k = 0; k < NODES; k++) log_w[l * NODES + k] += correction[k] + log(width);
    }
}

/* Excess over H(P) of the bound from 1 and from 2 draws, and of the model's own mass, in nats. */
static void excess(double out[3], vpsde_dequantization_kind kind, double tau, const double *p,
                   const double *level, double entropy)
{
    static double log_w[LEVELS * NODES];
    double node[NODES], weight[NODES];
    vpsde_process *process = process_for(tau, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model = make_dirac(LEVELS, p, level);
    const vpsde_coef c = start_of(process);
    const vpsde_dequantiser q = make(kind, process, 1);
    nodes(node, weight);
    log_weights(&q, model, &c, level, node, log_w);
    out[0] = out[1] = out[2] = -entropy;
    for (size_t l = 0; l < LEVELS; l++) {
        const double *w = log_w + l * NODES;
        double mass = 0;
        for (size_t m = 0; m < NODES; m++) {
            out[0] -= p[l] * weight[m] * w[m];
            mass += weight[m] * exp(w[m]);
            for (size_t k = 0; k < NODES; k++) {
                out[1] -= p[l] * weight[m] * weight[k] * log(0.5 * (exp(w[m]) + exp(w[k])));
            }
        }
        out[2] -= p[l] * log(mass);
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

static void truncated_normal_meets_the_entropy(void **state)
{
    (void)state;
    static const double taus[] = {2, 3, 4}, least[] = {1e-3, 0, -1e-9}, most[] = {1e-2, 5e-4, 2e-5};
    double p[LEVELS], level[LEVELS], e[3], before = 1;
    const double entropy = oracle(p, level);
    print_message("H(P) = %.4f bits\n", entropy / M_LN2);
    for (size_t m = 0; m < 3; m++) {
        excess(e, VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, taus[m], p, level, entropy);
        print_message("TN(%g): excess %.3g nats, two draws %.3g, mass of the cell %.3g\n", taus[m],
                      e[0], e[1], e[2]);
        assert_true(e[0] >= least[m] && e[0] < most[m] && e[0] < before);
        assert_true(e[1] < e[0] && e[2] < e[1]);
        before = e[0];
    }
}

/* Two pixels of independent levels: twice the nats of one. */
static void adds_over_dimensions(void **state)
{
    (void)state;
    enum { FEW = 3 };
    const double p[FEW] = {0.2, 0.5, 0.3}, level[FEW] = {0, width, 2 * width};
    double node[NODES], weight[NODES], p2[FEW * FEW], x2[2 * FEW * FEW];
    double cov[4 * FEW * FEW] = {0}, bound = 0, single = 0;
    nodes(node, weight);
    for (size_t l = 0; l < FEW * FEW; l++) {
        p2[l] = p[l / FEW] * p[l % FEW];
        x2[2 * l] = level[l / FEW];
        x2[2 * l + 1] = level[l % FEW];
        cov[4 * l] = cov[4 * l + 3] = 1e-300;
    }
    vpsde_process *process = process_for(3, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *one = make_dirac(FEW, p, level), *two;
    assert_ok(vpsde_gaussian_mixture_create(&two, FEW * FEW, 2, p2, x2, cov));
    const vpsde_coef c = start_of(process);
    const vpsde_dequantiser q1 = make(VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, process, 1);
    const vpsde_dequantiser q2 = make(VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, process, 2);
    for (size_t m = 0; m < NODES; m += 3) {
        const double v[2] = {node[m], node[NODES / 2 + m / 3]};
        double x[2], a[2], b, logp, sum = 0;
        for (size_t j = 0; j < 2; j++) {
            a[j] = vpsde_dequantise_at(&q1, &level[j], &v[j], &x[j]);
            assert_ok(vpsde_model_log_p(one, 1, &c, &x[j], &logp));
            sum += logp + a[j];
        }
        b = vpsde_dequantise_at(&q2, level, v, x);
        assert_ok(vpsde_model_log_p(two, 1, &c, x, &logp));
        assert_close(logp + b, sum, 1e-11);
    }
    for (size_t l = 0; l < FEW; l++) {
        for (size_t m = 0; m < NODES; m++) {
            double x, logp, pair[2];
            const double nats = vpsde_dequantise_at(&q1, &level[l], &node[m], &x);
            assert_ok(vpsde_model_log_p(one, 1, &c, &x, &logp));
            single += p[l] * weight[m] * (logp + nats);
            for (size_t k = 0; k < FEW * NODES; k++) {
                const double x0[2] = {level[l], level[k / NODES]};
                const double v[2] = {node[m], node[k % NODES]};
                const double both = vpsde_dequantise_at(&q2, x0, v, pair);
                assert_ok(vpsde_model_log_p(two, 1, &c, pair, &logp));
                bound += p[l] * p[k / NODES] * weight[m] * weight[k % NODES] * (logp + both);
            }
        }
    }
    assert_close(bound, 2 * single, 1e-10);
    vpsde_model_destroy(one);
    vpsde_model_destroy(two);
    vpsde_process_destroy(process);
}

/* Uniform noise stands beside what is in the middle of the cell alone. */
static void uniform_diverges_as_the_model_gets_sharper(void **state)
{
    (void)state;
    static const double taus[] = {2, 3, 4};
    double p[LEVELS], level[LEVELS], e[3], before = 0;
    const double entropy = oracle(p, level);
    for (size_t m = 0; m < 3; m++) {
        excess(e, VPSDE_DEQUANTIZE_UNIFORM, taus[m], p, level, entropy);
        print_message("uniform, tau %g: excess %.3g bits, two draws %.3g\n", taus[m], e[0] / M_LN2,
                      e[1] / M_LN2);
        assert_true(e[0] > before + 0.05 && e[1] > 0);
        assert_true(e[1] < e[0] && e[2] < e[1]);
        before = e[0];
    }
}

/* ---- through the flow ------------------------------------------------------------------------- */

static vpsde_likelihood make_run(const vpsde_process *process, const vpsde_model *model,
                                 const double *x, size_t count, vpsde_dequantization_kind kind,
                                 size_t draws)
{
    return (vpsde_likelihood){
        .process = process,
        .model = model,
        .integrator = vpsde_solver_find("dopri5"),
        .rtol = 1e-7,
        .atol = 1e-7,
        .budget = true,
        .seed = 5,
        .x = x,
        .count = count,
        .n_threads = 1,
        .bits_offset = -log2(width),
        .dequantization = {kind, width, draws},
    };
}

/* bits/dim of each of 16 levels with as many draws as wanted, and their mean under P. */
static void run_reports_the_bound(void **state)
{
    (void)state;
    enum { FEW = 16 };
    static columns one, eight;
    double p[FEW], level[FEW], entropy = 0, bits = 0, tighter = 0;
    for (size_t q = 0; q < FEW; q++) {
        p[q] = (1.0 + (double)(q * 7 % 5)) / 49;
        level[q] = 0.1 + width * (double)q;
    }
    double sum = 0;
    for (size_t q = 0; q < FEW; q++) sum += p[q];
    for (size_t q = 0; q < FEW; q++) p[q] /= sum;
    for (size_t q = 0; q < FEW; q++) entropy -= p[q] * log2(p[q]);
    vpsde_model *model = make_dirac(FEW, p, level);
    vpsde_process *process = process_for(3, VPSDE_TERMINAL_EXACT);
    vpsde_likelihood run =
        make_run(process, model, level, FEW, VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 1);
    assert_ok(run_columns(&run, &one));
    run.dequantization.draws = 8;
    assert_ok(run_columns(&run, &eight));
    for (size_t q = 0; q < FEW; q++) {
        const double logp = one.value[LOGP][q], half = eight.value[BUDGET][q];
        assert_close(one.value[BITS][q], -(logp + log(width)) / M_LN2, 1e-12);
        assert_true(isnan(one.value[DEQUANTISATION_GAP][q]) && isnan(one.value[BUDGET][q]));
        assert_true(eight.value[DEQUANTISATION_GAP][q] >= 0);
        assert_close(eight.value[TRUNCATION][q], 0, 0);
        assert_true(half > 0 && half < 1);
        bits += p[q] * one.value[BITS][q];
        tighter += p[q] * eight.value[BITS][q];
    }
    print_message("H = %.6f, one draw %.6f, eight %.6f bits\n", entropy, bits, tighter);
    assert_close(tighter, entropy, 0.02);
    assert_close(bits, entropy, 0.05);
    vpsde_process_destroy(process);
    vpsde_model_destroy(model);
}

/* log of what the normal law puts on the level, over its width. */
static double cell(double x, double mean, double deviation)
{
    const double low = (x - width / 2 - mean) / deviation, r = M_SQRT1_2;
    const double high = (x + width / 2 - mean) / deviation, side = low > 0 ? 1 : -1;
    return log(0.5 * fabs(erfc(side * low * r) - erfc(side * high * r)) / width);
}

/* Rows of N(mu, s^2 I) rounded to levels. The truth is the law's mass on the level: of p_0 for uniform
 * noise, of p_{t_min} for a truncated normal, whose model it is. */
static double share_covered(double s, double off, vpsde_dequantization_kind kind)
{
    enum { N = 400, DRAWS = 8 };
    static columns c;
    static double x[2 * N];
    const bool uniform = kind == VPSDE_DEQUANTIZE_UNIFORM;
    const double mean[2] = {-1 + width * (140 + off), -1 + width * 102}, weight = 1;
    const double cov[4] = {s * s, 0, 0, s * s};
    vpsde_process *process =
        uniform ? make_process(0, VPSDE_TERMINAL_EXACT) : process_for(3, VPSDE_TERMINAL_EXACT);
    const vpsde_coef start = start_of(process);
    const double deviation = hypot(s, start.sigma / start.alpha);
    vpsde_model *model;
    size_t covered = 0;
    double error = 0, budget = 0;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 2, &weight, mean, cov));
    vpsde_normals(x, 3, VPSDE_NOISE_TEST, 0, N, 0, 2);
    for (size_t e = 0; e < 2 * N; e++) {
        x[e] = -1 + width * round((mean[e % 2] + s * x[e] + 1) / width);
    }
    const vpsde_likelihood run = make_run(process, model, x, N, kind, DRAWS);
    assert_ok(run_columns(&run, &c));
    for (size_t i = 0; i < N; i++) {
        const double truth =
            cell(x[2 * i], mean[0], deviation) + cell(x[2 * i + 1], mean[1], deviation);
        covered += fabs(c.value[LOGP][i] - truth) <= c.value[BUDGET][i];
        error += fabs(c.value[LOGP][i] - truth) / N;
        budget += c.value[BUDGET][i] / N;
    }
    print_message("deviation %5.3g levels, kind %d: mean error %.2g, budget %.2g, covers %.1f %%\n",
                  s / width, (int)kind, error, budget, 100.0 * (double)covered / N);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
    return (double)covered / N;
}

/* From broad laws to such as lie inside one level, off its middle: there few draws see what counts. A
 * truncated normal is for narrow ones. */
static void budget_covers_the_truth(void **state)
{
    (void)state;
    static const struct {
        vpsde_dequantization_kind kind;
        double levels, off;
    } cases[] = {{VPSDE_DEQUANTIZE_UNIFORM, 38, 0.25},
                 {VPSDE_DEQUANTIZE_UNIFORM, 1, 0.25},
                 {VPSDE_DEQUANTIZE_UNIFORM, 0.5, 0.25},
                 {VPSDE_DEQUANTIZE_UNIFORM, 0.3, 0.25},
                 {VPSDE_DEQUANTIZE_UNIFORM, 0.1, 0.25},
                 {VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 0.01, 0},
                 {VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 0.15, 0},
                 {VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 0.01, 0.25},
                 {VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 0.1, 0.25}};
    for (size_t m = 0; m < sizeof(cases) / sizeof(cases[0]); m++) {
        const double share = share_covered(cases[m].levels * width, cases[m].off, cases[m].kind);
        assert_true(share >= 0.95);
    }
}

/* ---- rows and refusals ------------------------------------------------------------------------ */

typedef struct rows {
    const double *x;
    size_t d;
    atomic_int calls;
} rows;

static vpsde_status read_rows(const void *context, size_t first, size_t n, double *x)
{
    rows *r = (rows *)(uintptr_t)context;
    atomic_fetch_add(&r->calls, 1);
    if (first + n > 40) return vpsde_fail(VPSDE_EDATA, "row %zu is not there", first);
    memcpy(x, r->x + first * r->d, n * r->d * sizeof(double));
    return VPSDE_OK;
}

/* A row's bits are those of its index: alone, among others, from an array or a source. */
static void depends_on_nothing_but_its_row(void **state)
{
    (void)state;
    static columns all, some;
    double x[40];
    rows r = {.x = x, .d = 2};
    for (size_t e = 0; e < 40; e++) x[e] = -1 + width * (double)(30 + 5 * e);
    vpsde_model *model = make_ring();
    vpsde_process *process = process_for(3, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_likelihood run = make_run(process, model, x, 20, VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 3);
    assert_ok(run_columns(&run, &all));
    run.x = NULL;
    run.source = (vpsde_row_source){read_rows, &r};
    run.first = 7;
    run.count = 2;
    run.n_threads = 2;
    assert_ok(run_columns(&run, &some));
    assert_true(atomic_load(&r.calls) == 2);
    for (size_t q = 0; q < BUDGET_COLUMNS; q++) {
        for (size_t i = 0; i < 2; i++) {
            assert_true(memcmp(&all.value[q][7 + i], &some.value[q][i], sizeof(double)) == 0);
        }
    }
    run.first = 39;
    assert_fails(run_columns(&run, &some), VPSDE_EDATA, "is not there");
    vpsde_process_destroy(process);
    vpsde_model_destroy(model);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    const double x[2] = {0, 0};
    static columns c;
    vpsde_model *model = make_ring();
    vpsde_process *clean = make_process(0, VPSDE_TERMINAL_EXACT);
    vpsde_likelihood run = make_run(clean, model, x, 1, VPSDE_DEQUANTIZE_TRUNCATED_NORMAL, 1);
    assert_fails(run_columns(&run, &c), VPSDE_EINVAL, "t_min > 0");
    run.dequantization.kind = VPSDE_DEQUANTIZE_UNIFORM;
    run.dequantization.width = 0;
    assert_fails(run_columns(&run, &c), VPSDE_EINVAL, "width must be");
    run.dequantization.width = width;
    run.dequantization.draws = (size_t)UINT32_MAX + 1;
    assert_fails(run_columns(&run, &c), VPSDE_EINVAL, "draws must be");
    run.x = NULL;
    assert_fails(run_columns(&run, &c), VPSDE_EINVAL, "x or source is not set");
    vpsde_process_destroy(clean);
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inverts_the_distribution),
        cmocka_unit_test(has_the_moments),
        cmocka_unit_test(truncated_normal_meets_the_entropy),
        cmocka_unit_test(adds_over_dimensions),
        cmocka_unit_test(uniform_diverges_as_the_model_gets_sharper),
        cmocka_unit_test(run_reports_the_bound),
        cmocka_unit_test(budget_covers_the_truth),
        cmocka_unit_test(depends_on_nothing_but_its_row),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
