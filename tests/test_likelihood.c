/* Likelihoods against the closed form; see also test_sample_ode.c. */
#include "tests/check.h"

#include "models/mlp.h"
#include "tests/ode_fixture.h"

enum { ROWS = 24, DIM_MAX = 64, LEDGER = 15 }; /* LEDGER: the first column that counts */

/* Rows near the data: exact draws of p_0. */
static void draw_rows(const vpsde_model *model, const vpsde_process *process, size_t n, double *x)
{
    const vpsde_coef c = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
    assert_ok(model->type->draw(model, &c, 5, VPSDE_NOISE_TEST, 0, n, x));
}

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
        .x = x,
        .count = n,
        .n_threads = 1,
    };
}

static void meets_the_closed_form(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double tol, allowed;
    } cases[] = {{"dopri5", 1e-10, 1e-8},   {"gsl-rk8pd", 1e-10, 1e-8}, {"cvode-adams", 1e-9, 1e-6},
                 {"gsl-rkf45", 1e-9, 1e-6}, {"gsl-rkck", 1e-9, 1e-6},   {"gsl-msadams", 1e-9, 1e-6},
                 {"cvode-bdf", 1e-7, 1e-3}};
    static const size_t dims[] = {2, 8, 64};
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    const vpsde_coef c = vpsde_process_at(process, 0);
    for (size_t q = 0; q < 3; q++) {
        const size_t d = dims[q], n = d == 64 ? 3 : ROWS;
        vpsde_model *model = make_mixture(d);
        double x[ROWS * DIM_MAX], logp[ROWS], exact[ROWS];
        draw_rows(model, process, n, x);
        assert_ok(vpsde_model_log_p(model, n, &c, x, exact));
        for (size_t m = 0; m < sizeof(cases) / sizeof(cases[0]); m++) {
            const vpsde_likelihood run =
                make_run(process, model, cases[m].name, cases[m].tol, x, n);
            double worst = 0;
            assert_ok(vpsde_likelihood_array(&run, logp));
            for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs(logp[i] - exact[i]));
            print_message("d = %zu, %s at %g: %.2e\n", d, cases[m].name, cases[m].tol, worst);
            assert_close(worst, 0, cases[m].allowed);
        }
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* ---- all columns ------------------------------------------------------------------------------ */

typedef struct catcher {
    double score[5][ROWS];
    int32_t nfe[ROWS], jvp[ROWS], rejected[ROWS];
    uint8_t status[ROWS];
    size_t first, blocks;
    char path[64];
    double block_fill;
} catcher;

static vpsde_status catch_begin(void *self, const vpsde_table *table)
{
    catcher *c = self;
    assert_int_equal(table->n_columns, LEDGER + 4);
    assert_string_equal(table->columns[0].name, "logp");
    assert_string_equal(table->columns[LEDGER].name, "nfe");
    assert_string_equal(table->columns[LEDGER + 3].name, "status");
    snprintf(c->path, sizeof(c->path), "%s", table->path);
    c->first = table->first;
    return VPSDE_OK;
}

static vpsde_status catch_write(void *self, size_t first, size_t n, const void *const *data)
{
    catcher *c = self;
    const size_t at = first - c->first;
    assert_true(at + n <= ROWS);
    for (size_t s = 0; s < 5; s++) memcpy(c->score[s] + at, data[s], n * sizeof(double));
    memcpy(c->nfe + at, data[LEDGER], n * sizeof(int32_t));
    memcpy(c->jvp + at, data[LEDGER + 1], n * sizeof(int32_t));
    memcpy(c->rejected + at, data[LEDGER + 2], n * sizeof(int32_t));
    memcpy(c->status + at, data[LEDGER + 3], n);
    c->blocks++;
    return VPSDE_OK;
}

static vpsde_status catch_end(void *self, const vpsde_fact *facts, size_t n)
{
    catcher *c = self;
    for (size_t f = 0; f < n; f++) {
        if (strcmp(facts[f].name, "block_fill") == 0) c->block_fill = facts[f].number;
    }
    return VPSDE_OK;
}

static vpsde_status run_all(const vpsde_likelihood *run, catcher *c)
{
    memset(c, 0, sizeof(*c));
    vpsde_sink sink = {.self = c, .begin = catch_begin, .write = catch_write, .end = catch_end};
    return vpsde_likelihood_run(run, &sink);
}

static void assert_same_bits(const catcher *a, const catcher *b, size_t n)
{
    for (size_t s = 0; s < 5; s++) {
        assert_memory_equal(a->score[s], b->score[s], n * sizeof(double));
    }
    assert_memory_equal(a->nfe, b->nfe, n * sizeof(int32_t));
    assert_memory_equal(a->jvp, b->jvp, n * sizeof(int32_t));
    assert_memory_equal(a->rejected, b->rejected, n * sizeof(int32_t));
    assert_memory_equal(a->status, b->status, n);
}

static void reports_its_parts(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-5, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *model = make_mixture(3);
    double x[ROWS * 3];
    catcher c;
    draw_rows(model, process, ROWS, x);
    vpsde_likelihood run = make_run(process, model, "gsl-rkf45", 1e-6, x, ROWS);
    run.bits_offset = 7;
    run.first = 40;
    assert_ok(run_all(&run, &c));
    assert_string_equal(c.path, "/likelihood/gsl_rkf45");
    assert_int_equal(c.first, 40);
    for (size_t i = 0; i < ROWS; i++) {
        assert_close(c.score[0][i], c.score[1][i] + c.score[2][i], 0);
        assert_close(c.score[3][i], -c.score[0][i] / (3 * log(2)) + 7, 1e-14);
        assert_close(c.score[4][i], 0, 0);
        assert_true(c.nfe[i] > 20 && c.nfe[i] < 2000 && c.jvp[i] == 0 && c.status[i] == 0);
    }
    run.trace = VPSDE_TRACE_HUTCHINSON;
    run.probes = 1;
    assert_ok(run_all(&run, &c));
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(isnan(c.score[4][i]) && c.jvp[i] == c.nfe[i]);
    }
    run.probes = 5;
    assert_ok(run_all(&run, &c));
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(c.score[4][i] > 0 && c.jvp[i] == 5 * c.nfe[i]);
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* ---- bits ------------------------------------------------------------------------------------- */

static void depends_on_nothing_but_its_index(void **state)
{
    (void)state;
    static const char *const names[] = {"dopri5",      "gsl-rkf45",   "gsl-rkck", "gsl-rk8pd",
                                        "gsl-msadams", "cvode-adams", "cvode-bdf"};
    static const size_t threads[] = {2, 3, 7};
    vpsde_process *process = make_process(1e-4, VPSDE_TERMINAL_EXACT);
    vpsde_model *mixture = make_mixture(3), posing;
    vpsde_model_type type;
    double x[ROWS * 3];
    draw_rows(mixture, process, ROWS, x);
    x[5 * 3] = 30; /* a hard row beside easy ones */
    for (size_t m = 0; m < sizeof(names) / sizeof(names[0]); m++) {
        for (int estimated = 0; estimated < 2; estimated++) {
            catcher direct, other;
            vpsde_likelihood run = make_run(process, pose_as_network(&posing, &type, mixture),
                                            names[m], 1e-5, x, ROWS);
            run.first = 21; /* not on a block's edge */
            run.trace = estimated ? VPSDE_TRACE_HUTCHINSON : VPSDE_TRACE_EXACT;
            run.probes = 2;
            type.flags |= VPSDE_MODEL_ANALYTIC;
            posing.block_rows = 1; /* row by row, without fibers */
            assert_ok(run_all(&run, &direct));
            assert_close(direct.block_fill, 1, 0);
            type.flags &= ~(unsigned)VPSDE_MODEL_ANALYTIC;
            posing.block_rows = POSING_ROWS;
            for (size_t q = 0; q < 3; q++) {
                run.n_threads = threads[q];
                assert_ok(run_all(&run, &other));
                assert_same_bits(&direct, &other, ROWS);
                assert_true(other.block_fill > 0.2 && other.block_fill <= 1);
            }
            for (size_t i = ROWS; i-- > 0;) { /* alone, last one first */
                vpsde_likelihood alone = run;
                alone.first = run.first + i;
                alone.count = 1;
                alone.x = x + i * 3;
                assert_ok(run_all(&alone, &other));
                assert_memory_equal(&other.score[0][0], &direct.score[0][i], sizeof(double));
                assert_int_equal(other.nfe[0], direct.nfe[i]);
            }
        }
    }
    vpsde_model_destroy(mixture);
    vpsde_process_destroy(process);
}

/* A real network: every row's bits are its own, alone, beside others and on several threads. */
static void network_rows_keep_their_bits(void **state)
{
    (void)state;
    const vpsde_mlp_spec spec = {.dim = 2, .hidden = 32, .layers = 2};
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_model *network;
    size_t n_out, n_in;
    double x[ROWS * 2];
    assert_ok(vpsde_mlp_create(&network, &spec, 3));
    float *weight = vpsde_mlp_tensor(network, "output.weight", &n_out, &n_in);
    assert_non_null(weight);
    for (size_t e = 0; e < n_out * n_in; e++) weight[e] = 0.2f * (float)sin(1.3 * (double)e);
    network->block_rows = POSING_ROWS;
    for (size_t e = 0; e < ROWS * 2; e++) x[e] = 2 * sin(2.7 * (double)e);
    for (int estimated = 0; estimated < 2; estimated++) {
        catcher all, other;
        vpsde_likelihood run = make_run(process, network, "cvode-adams", 1e-4, x, ROWS);
        run.trace = estimated ? VPSDE_TRACE_HUTCHINSON : VPSDE_TRACE_EXACT;
        run.probes = 3;
        assert_ok(run_all(&run, &all));
        assert_true(isfinite(all.score[0][0]) && all.jvp[0] == (estimated ? 3 : 2) * all.nfe[0]);
        run.n_threads = 3;
        assert_ok(run_all(&run, &other));
        assert_same_bits(&all, &other, ROWS);
        for (size_t i = ROWS; i-- > 0;) {
            vpsde_likelihood alone = run;
            alone.first = i;
            alone.count = 1;
            alone.x = x + i * 2;
            assert_ok(run_all(&alone, &other));
            assert_memory_equal(&other.score[0][0], &all.score[0][i], sizeof(double));
        }
    }
    vpsde_model_destroy(network);
    vpsde_process_destroy(process);
}

/* The closed-form divergence and d tangents agree. */
static void traces_agree(void **state)
{
    (void)state;
    enum { D = 70 };
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_EXACT);
    vpsde_model *mixture = make_mixture(D), posing;
    vpsde_model_type type;
    double x[2 * D];
    catcher closed, tangents;
    draw_rows(mixture, process, 2, x);
    vpsde_likelihood run = make_run(process, mixture, "dopri5", 1e-4, x, 2);
    assert_ok(run_all(&run, &closed));
    run.model = pose_as_network(&posing, &type, mixture);
    posing.block_rows = POSING_ROWS;
    assert_ok(run_all(&run, &tangents));
    for (size_t i = 0; i < 2; i++) {
        assert_close(tangents.score[0][i], closed.score[0][i], 1e-6);
        assert_int_equal(tangents.nfe[i], closed.nfe[i]);
        assert_int_equal(tangents.jvp[i], D * closed.nfe[i]);
    }
    vpsde_model_destroy(mixture);
    vpsde_process_destroy(process);
}

/* 600 tangents of 600 values and 8 rows take several calls: the same trace, counted as one evaluation. */
static void tangents_come_in_calls(void **state)
{
    (void)state;
    enum { D = 600 };
    static line closed, network;
    static double x[2 * D];
    catcher one, many;
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t e = 0; e < 2 * D; e++) x[e] = sin(2.7 * (double)e);
    line_make(&closed, D, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE);
    line_make(&network, D, 0);
    vpsde_likelihood run = make_run(process, &closed.model, "dopri5", 1e-4, x, 2);
    assert_ok(run_all(&run, &one));
    run.model = &network.model;
    assert_ok(run_all(&run, &many));
    assert_true(network.most_tangents > 64 && network.most_tangents < D);
    for (size_t i = 0; i < 2; i++) {
        assert_close(many.score[0][i], one.score[0][i], 1e-9);
        assert_int_equal(many.nfe[i], one.nfe[i]);
        assert_int_equal(many.jvp[i], D * one.nfe[i]);
    }
    vpsde_process_destroy(process);
}

/* logp_atol rules the error of log p alone, however large log p is and however loose rtol. */
static void logp_has_a_tolerance_of_its_own(void **state)
{
    (void)state;
    enum { D = 512 };
    static const char *const names[] = {"dopri5", "gsl-rkf45", "gsl-msadams", "cvode-adams"};
    static const double tol[3] = {1e-2, 1e-5, 1e-8};
    static line model;
    static double x[D];
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_STANDARD_NORMAL);
    const vpsde_coef from = vpsde_process_at(process, 1e-3);
    const vpsde_coef to = vpsde_process_at(process, vpsde_process_t_max(process));
    const double exact = line_delta(D, &from, &to);
    for (size_t j = 0; j < D; j++) x[j] = sin(2.7 * (double)j);
    line_make(&model, D, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE);
    assert_true(fabs(exact) > 100);
    for (size_t m = 0; m < sizeof(names) / sizeof(names[0]); m++) {
        double error[3];
        int32_t nfe[3];
        for (size_t q = 0; q < 3; q++) {
            catcher c;
            vpsde_likelihood run = make_run(process, &model.model, names[m], 1e-3, x, 1);
            run.logp_atol = tol[q];
            assert_ok(run_all(&run, &c));
            error[q] = fabs(c.score[2][0] - exact);
            nfe[q] = c.nfe[0];
            print_message("%s, logp_atol %g: off by %.1e, %d calls\n", names[m], tol[q], error[q],
                          (int)nfe[q]);
            assert_true(error[q] < 100 * tol[q]);
        }
        assert_true(nfe[1] > nfe[0] && nfe[2] > nfe[1]);
    }
    vpsde_process_destroy(process);
}

/* Steps are controlled by the probes' mean: many of them do not make it harder than the trace. */
static void probes_are_controlled_by_their_mean(void **state)
{
    (void)state;
    static const char *const names[] = {"dopri5", "gsl-rkf45", "gsl-rk8pd", "cvode-adams"};
    enum { D = 16 };
    static line model;
    double x[D];
    vpsde_process *process = make_process(1e-3, VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t j = 0; j < D; j++) x[j] = sin(2.7 * (double)j);
    line_make(&model, D, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE);
    for (size_t m = 0; m < sizeof(names) / sizeof(names[0]); m++) {
        catcher exact, probed;
        vpsde_likelihood run = make_run(process, &model.model, names[m], 1e-3, x, 1);
        run.logp_atol = 1e-8;
        assert_ok(run_all(&run, &exact));
        run.trace = VPSDE_TRACE_HUTCHINSON;
        run.probe = VPSDE_PROBE_GAUSSIAN;
        run.probes = 2000;
        assert_ok(run_all(&run, &probed));
        print_message("%s: %d calls, with probes %d\n", names[m], (int)exact.nfe[0],
                      (int)probed.nfe[0]);
        assert_true(abs(probed.nfe[0] - exact.nfe[0]) * 20 <= exact.nfe[0]);
    }
    vpsde_process_destroy(process);
}

/* ---- Hutchinson ------------------------------------------------------------------------------- */

/* For one Gaussian N(0, S) the Jacobian along the flow is A(phi), the same for every x, so that the
 * estimator is v^T B v with B = int A dphi = sum over eigenvectors of log(V_T/V_0)/2 (the flow is
 * x_T = (V_T/V_0)^(1/2) x_0, and div F integrates to the log of its determinant). */
static void hutchinson_has_the_right_law(void **state)
{
    (void)state;
    enum { PROBES = 4000 };
    const double mean[2] = {0}, angle = 0.6, lam[2] = {0.05, 2.0}, weight[1] = {1};
    const double cs = cos(angle), sn = sin(angle);
    const double cov[4] = {lam[0] * cs * cs + lam[1] * sn * sn, (lam[0] - lam[1]) * cs * sn,
                           (lam[0] - lam[1]) * cs * sn, lam[0] * sn * sn + lam[1] * cs * cs};
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    vpsde_model *model;
    assert_ok(vpsde_gaussian_mixture_create(&model, 1, 2, weight, mean, cov));
    const vpsde_coef end = vpsde_process_at(process, vpsde_process_t_max(process));
    double b[2], logp, estimate, x[2] = {0.3, -0.2};
    for (size_t j = 0; j < 2; j++) {
        const double v = end.alpha * end.alpha * lam[j] + end.sigma * end.sigma;
        b[j] = 0.5 * log(v / lam[j]);
    }
    /* F = (eps - sigma x)/alpha: B has these eigenvalues on the same eigenvectors */
    const double off = (b[0] - b[1]) * cs * sn;
    const double variance[2] = {2 * (2 * off * off), 2 * (b[0] * b[0] + b[1] * b[1])};
    vpsde_likelihood run = make_run(process, model, "dopri5", 1e-7, x, 1);
    assert_ok(vpsde_likelihood_array(&run, &logp));
    run.trace = VPSDE_TRACE_HUTCHINSON;
    run.probes = PROBES;
    for (int kind = 0; kind < 2; kind++) {
        catcher c;
        run.probe = kind ? VPSDE_PROBE_GAUSSIAN : VPSDE_PROBE_RADEMACHER;
        assert_ok(run_all(&run, &c));
        estimate = c.score[0][0];
        const double stderr_nats = c.score[4][0];
        assert_close(estimate, logp, 6 * stderr_nats);
        assert_close(stderr_nats, sqrt(variance[kind] / PROBES), 0.1 * stderr_nats);
        print_message("probe kind %d: off by %.2g, stderr %.3g, by formula %.3g\n", kind,
                      estimate - logp, stderr_nats, sqrt(variance[kind] / PROBES));
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* The same x in every row: exact traces agree to the bit, estimated ones are the rows' own. */
static void rows_have_their_own_probes(void **state)
{
    (void)state;
    enum { DIM = 8, N = 4 };
    static const vpsde_probe kinds[] = {VPSDE_PROBE_RADEMACHER, VPSDE_PROBE_GAUSSIAN,
                                        VPSDE_PROBE_SPHERE};
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    vpsde_model *model = make_mixture(DIM);
    double x[N * DIM], logp[N];
    draw_rows(model, process, 1, x);
    for (size_t e = DIM; e < sizeof(x) / sizeof(x[0]); e++) x[e] = x[e - DIM];
    vpsde_likelihood run = make_run(process, model, "dopri5", 1e-5, x, N);
    assert_ok(vpsde_likelihood_array(&run, logp));
    for (size_t i = 1; i < N; i++) assert_true(logp[i] == logp[0]);
    run.trace = VPSDE_TRACE_HUTCHINSON;
    run.probes = 1;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        run.probe = kinds[k];
        assert_ok(vpsde_likelihood_array(&run, logp));
        for (size_t i = 1; i < N; i++) {
            for (size_t q = 0; q < i; q++) assert_true(logp[i] != logp[q]);
        }
    }
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
}

/* With the covariance of Gaussian data the probes differ by rounding alone, and their mean is the
 * exact trace's. On a mixture its own covariance takes part of the spread away, and no more. */
static void a_control_variate_takes_the_gaussian_part_away(void **state)
{
    (void)state;
    enum { PROBES = 64 };
    const double mean[4] = {-0.4, 0.3, 0.4, -0.3}, weight[2] = {0.5, 0.5};
    const double part[8] = {0.3, 0.2, 0.2, 0.4, 0.3, 0.2, 0.2, 0.4};
    const double whole[4] = {0.3 + 0.16, 0.2 - 0.12, 0.2 - 0.12, 0.4 + 0.09};
    const double x[2] = {0.5, -0.1}, centre[2] = {0};
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    for (size_t n = 1; n <= 2; n++) {
        vpsde_model *model;
        double logp;
        catcher plain, controlled;
        assert_ok(vpsde_gaussian_mixture_create(&model, n, 2, n == 1 ? (double[]){1} : weight,
                                                n == 1 ? centre : mean, part));
        vpsde_likelihood run = make_run(process, model, "gsl-rk8pd", 1e-9, x, 1);
        assert_ok(vpsde_likelihood_array(&run, &logp));
        run.trace = VPSDE_TRACE_HUTCHINSON;
        run.probes = PROBES;
        run.probe = VPSDE_PROBE_GAUSSIAN;
        assert_ok(run_all(&run, &plain));
        run.covariance = n == 1 ? part : whole;
        assert_ok(run_all(&run, &controlled));
        print_message("%zu Gaussians: standard error %.2e, controlled %.2e\n", n, plain.score[4][0],
                      controlled.score[4][0]);
        assert_close(plain.score[0][0], logp, 6 * plain.score[4][0]);
        assert_close(controlled.score[0][0], logp, 6 * controlled.score[4][0] + 1e-8);
        if (n == 1) assert_true(controlled.score[4][0] < 1e-12);
        assert_true(plain.score[4][0] > 0.05 && controlled.score[4][0] < 0.7 * plain.score[4][0]);
        run.covariance = (double[]){1, 0, 0, (double)NAN};
        assert_fails(vpsde_likelihood_array(&run, &logp), VPSDE_ENUMERIC, "control variate");
        vpsde_model_destroy(model);
    }
    vpsde_process_destroy(process);
}

/* ---- failures --------------------------------------------------------------------------------- */

static void flags_bad_rows_and_goes_on(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-4, VPSDE_TERMINAL_EXACT);
    vpsde_model *mixture = make_mixture(2), posing;
    vpsde_model_type type;
    double x[ROWS * 2], bad[ROWS * 2];
    catcher good, c;
    draw_rows(mixture, process, ROWS, x);
    memcpy(bad, x, sizeof(x));
    bad[7 * 2 + 1] = (double)NAN;
    for (int network = 0; network < 2; network++) {
        vpsde_likelihood run = make_run(process, mixture, "cvode-adams", 1e-5, x, ROWS);
        if (network) run.model = pose_as_network(&posing, &type, mixture);
        assert_ok(run_all(&run, &good));
        run.x = bad;
        assert_fails(run_all(&run, &c), VPSDE_EPARTIAL, "1 of 24 rows became non-finite");
        assert_int_equal(c.status[7], 1);
        assert_true(isnan(c.score[0][7]) && isnan(c.score[4][7]));
        for (size_t i = 0; i < ROWS; i++) {
            if (i != 7) assert_memory_equal(&c.score[0][i], &good.score[0][i], sizeof(double));
        }
        double param[2] = {0, 3};
        run.x = x;
        run.param = param;
        assert_fails(run_all(&run, &c), VPSDE_EPARTIAL, "24 integrations failed");
        assert_int_equal(c.status[0], 2);
    }
    vpsde_model_destroy(mixture);
    vpsde_process_destroy(process);
}

static vpsde_status broken_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    (void)model, (void)ws, (void)e;
    return vpsde_fail(VPSDE_EINTERNAL, "the network fell over");
}

static vpsde_status full_disk(void *self, size_t first, size_t n, const void *const *data)
{
    (void)self, (void)first, (void)n, (void)data;
    return vpsde_fail(VPSDE_EIO, "no space left");
}

static void stops_for_good_reasons(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-4, VPSDE_TERMINAL_EXACT);
    vpsde_model *mixture = make_mixture(2), posing;
    vpsde_model_type type;
    double x[ROWS * 2], logp[ROWS];
    draw_rows(mixture, process, ROWS, x);
    vpsde_likelihood run =
        make_run(process, pose_as_network(&posing, &type, mixture), "gsl-rkck", 1e-5, x, ROWS);
    run.n_threads = 2;
    type.eval = broken_eval;
    assert_fails(vpsde_likelihood_array(&run, logp), VPSDE_EINTERNAL, "the network fell over");
    type.flags |= VPSDE_MODEL_ANALYTIC;
    assert_fails(vpsde_likelihood_array(&run, logp), VPSDE_EINTERNAL, "the network fell over");
    run.model = pose_as_network(&posing, &type, mixture);
    catcher c = {.first = 0};
    vpsde_sink sink = {.self = &c, .begin = catch_begin, .write = full_disk};
    assert_fails(vpsde_likelihood_run(&run, &sink), VPSDE_EIO, "no space left");
    const volatile int stop = 1;
    run.control.stop = &stop;
    assert_fails(vpsde_likelihood_array(&run, logp), VPSDE_ESTOPPED, "stopped");
    vpsde_model_destroy(mixture);
    vpsde_process_destroy(process);
}

static void stops_within_an_integration(void **state)
{
    (void)state;
    vpsde_process *process = make_process(1e-4, VPSDE_TERMINAL_STANDARD_NORMAL);
    double x[ROWS * 2] = {0}, logp[ROWS];
    static line model;
    for (int network = 0; network < 2; network++) {
        line_make(&model, 2, network ? 0 : VPSDE_MODEL_ANALYTIC);
        model.stop_at = 5;
        vpsde_likelihood run = make_run(process, &model.model, "cvode-adams", 1e-9, x, ROWS);
        run.control.stop = &model.stop;
        assert_fails(vpsde_likelihood_array(&run, logp), VPSDE_ESTOPPED, "stopped");
        assert_int_equal(model.calls, 5);
    }
    vpsde_process_destroy(process);
}

/* The network sees no label below those it was trained on, and its t_min is accepted. */
static void calls_networks_where_they_were_trained(void **state)
{
    (void)state;
    vpsde_process *process = make_ddpm(50, 1.0 / 50);
    double x[ROWS * 2] = {0}, logp[ROWS];
    static line network;
    line_make(&network, 2, 0);
    network.model.process = *vpsde_process_get_spec(process);
    const vpsde_likelihood run = make_run(process, &network.model, "dopri5", 1e-6, x, ROWS);
    assert_ok(vpsde_likelihood_array(&run, logp));
    assert_close(network.smallest_label, 0, 1e-9);
    vpsde_process_destroy(process);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    vpsde_process *process = make_process(0, VPSDE_TERMINAL_EXACT);
    vpsde_model *mixture = make_mixture(2), posing;
    vpsde_model_type type;
    double x[2] = {0}, logp[1], clock_t[2] = {1, 1000}, bad_clock[2] = {9, 1000};
    const int32_t class[1] = {0};
    const vpsde_likelihood good = make_run(process, mixture, "dopri5", 1e-5, x, 1);
    vpsde_likelihood run;
    vpsde_process *strong = make_strong(160, 1e-3), *trained = make_ddpm(50, 0);
    vpsde_solver_type idle = *good.integrator, noisy = idle;
    idle.integrate = NULL;
    noisy.flags |= VPSDE_SOLVER_STOCHASTIC;
#define REFUSED(change, words)                                                                     \
    do {                                                                                           \
        run = good;                                                                                \
        change;                                                                                    \
        assert_fails(vpsde_likelihood_array(&run, logp), VPSDE_EINVAL, words);                     \
    } while (0)
    REFUSED(run.process = NULL, "process is not set");
    REFUSED(run.x = NULL, "x or source is not set");
    REFUSED(run.integrator = vpsde_solver_find("ddim"), "takes fixed steps");
    REFUSED(run.integrator = &idle, "does not integrate");
    REFUSED(run.integrator = &noisy, "does not integrate");
    REFUSED(run.label = "My run/x", "[a-z0-9_-]");
    REFUSED(run.label = "a/b", "[a-z0-9_-]");
    REFUSED(run.process = strong, "use clock: lambda");
    REFUSED(run.model = pose_as_network(&posing, &type, mixture);
            posing.process = *vpsde_process_get_spec(trained), "at least 0.02");
    REFUSED(run.count = 0, "count: must be 1 or more");
    REFUSED(run.first = (size_t)1 << 48, "below sample 2^48");
    REFUSED(run.classes = class, "class of row 0: must be -1");
    REFUSED(run.rtol = 0, "rtol > 0");
    REFUSED(run.atol = (double)NAN, "atol > 0");
    REFUSED(run.logp_atol = -1, "logp_atol");
    REFUSED(run.trace = VPSDE_TRACE_HUTCHINSON, "probes: must be 1 or more, got 0");
    REFUSED(run.param = clock_t, "clock: t cannot reach t = 0");
    REFUSED(run.param = bad_clock, "clock");
    REFUSED(run.n_threads = 5000, "threads");
    REFUSED(run.model = pose_as_network(&posing, &type, mixture);
            type.flags &= ~(unsigned)VPSDE_MODEL_JVP, "no Jacobian products");
    REFUSED(run.model = pose_as_network(&posing, &type, mixture);
            type.flags &= ~(unsigned)VPSDE_MODEL_LOG_P, "knows log p_T");
#undef REFUSED
    vpsde_process_destroy(strong);
    vpsde_process_destroy(trained);
    vpsde_model_destroy(mixture);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meets_the_closed_form),
        cmocka_unit_test(reports_its_parts),
        cmocka_unit_test(depends_on_nothing_but_its_index),
        cmocka_unit_test(network_rows_keep_their_bits),
        cmocka_unit_test(traces_agree),
        cmocka_unit_test(tangents_come_in_calls),
        cmocka_unit_test(logp_has_a_tolerance_of_its_own),
        cmocka_unit_test(probes_are_controlled_by_their_mean),
        cmocka_unit_test(hutchinson_has_the_right_law),
        cmocka_unit_test(rows_have_their_own_probes),
        cmocka_unit_test(a_control_variate_takes_the_gaussian_part_away),
        cmocka_unit_test(flags_bad_rows_and_goes_on),
        cmocka_unit_test(stops_for_good_reasons),
        cmocka_unit_test(stops_within_an_integration),
        cmocka_unit_test(calls_networks_where_they_were_trained),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
