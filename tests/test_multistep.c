/* Multistep solvers and the Runge-Kutta steps that start them: coefficients against exact
 * integrals, formulas against transcriptions of the published code, the equivalences between them, and every
 * declared order. */
#include "tests/toy.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>

#include "solvers/adams.h"
#include "solvers/driver.h"
#include "solvers/exponential.h"
#include "solvers/orders.h"

enum { COUNT = 24, STEPS_MAX = 256 };

static const char *const names[] = {"lms",  "deis",        "ipndm", "ipndm-compat",
                                    "plms", "plms-compat", "unipc", "unipc-compat",
                                    "rk4",  "edm-heun"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

static double rho_of(const vpsde_coef *c) { return c->sigma / c->alpha; }

/* COUNT samples of the mixture, the same at the start of every grid. */
static void sample(const vpsde_process *process, const vpsde_grid *grid, const char *name,
                   const char *form, double x[COUNT * 2])
{
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    const vpsde_solver_type *solver = vpsde_solver_find(name);
    double param[VPSDE_PARAM_MAX], init[COUNT * 2];
    assert_non_null(solver);
    vpsde_normals(init, 3, VPSDE_NOISE_PRIOR, 0, COUNT, 0, 2);
    vpsde_param_defaults(param, solver->params);
    assert_ok(vpsde_param_parse(param, solver->params, form));
    const vpsde_sampling run = {.process = process,
                                .model = &m.model,
                                .solver = solver,
                                .param = param,
                                .grid = grid,
                                .init = init,
                                .count = COUNT,
                                .n_threads = 1};
    assert_ok(vpsde_sample_array(&run, x));
    assert_int_equal(atomic_load(&m.rows), COUNT * vpsde_solver_nfe(solver, param, grid));
}

static double distance(const double *a, const double *b)
{
    double worst = 0;
    for (size_t e = 0; e < COUNT * 2; e++) worst = fmax(worst, fabs(a[e] - b[e]));
    return worst;
}

static void assert_equivalent(const vpsde_process *process, const vpsde_grid *grid, const char *a,
                              const char *form_a, const char *b, const char *form_b)
{
    double x[COUNT * 2], y[COUNT * 2];
    sample(process, grid, a, form_a, x);
    sample(process, grid, b, form_b, y);
    if (distance(x, y) > 1e-11) {
        print_error("%s(%s) and %s(%s) differ by %g\n", a, form_a, b, form_b, distance(x, y));
        fail();
    }
}

/* ---- coefficients -------------------------------------------------------------------------- */

typedef struct integrand {
    const vpsde_process *process;
    const vpsde_step *s;
    size_t variable, m;
} integrand;

/* (u - u_k)^m / m! at rho. */
static double power(double rho, void *context)
{
    const integrand *f = context;
    const vpsde_coef c = vpsde_process_at_b(f->process, log1p(rho * rho)), *at = f->s->at;
    const double u[] = {c.t - at->t, rho - rho_of(at), -log(rho) - at->lambda};
    return pow(u[f->variable], (double)f->m) / tgamma((double)f->m + 1);
}

/* Over the step, an octave of rho at a time: t(rho) has a branch point near 0. */
static double integral(integrand *f, gsl_integration_cquad_workspace *ws)
{
    const gsl_function g = {power, f};
    const double end = rho_of(f->s->next);
    double sum = 0;
    for (double from = rho_of(f->s->at); from > end; from /= 2) {
        double part;
        assert_int_equal(
            gsl_integration_cquad(&g, from, fmax(from / 2, end), 0, 1e-13, ws, &part, NULL, NULL),
            GSL_SUCCESS);
        sum += part;
    }
    return sum;
}

static void moments_are_the_integrals(void **state)
{
    (void)state;
    static const vpsde_adams_variable *const variables[] = {&vpsde_adams_t, &vpsde_adams_rho,
                                                            &vpsde_adams_log_rho};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    gsl_integration_cquad_workspace *ws = gsl_integration_cquad_workspace_alloc(1000);
    gsl_error_handler_t *old = gsl_set_error_handler_off();
    for (size_t n = 2; n <= 32; n *= 4) {
        vpsde_grid *grid = toy_grid(process, "uniform-t", n, VPSDE_LAST_STOP);
        for (size_t k = 0; k < n; k += 1 + n / 5) {
            const vpsde_step s = {
                .process = process, .at = &grid->node[k], .next = &grid->node[k + 1]};
            for (size_t v = 0; v < 3; v++) {
                double on[VPSDE_ADAMS_MAX];
                variables[v]->moments(&s, on);
                for (size_t m = 0; m < VPSDE_ADAMS_MAX; m++) {
                    integrand f = {process, &s, v, m};
                    const double exact = s.next->alpha * integral(&f, ws);
                    assert_close(on[m], exact, 2e-12 * fabs(exact));
                }
            }
        }
        vpsde_grid_destroy(grid);
    }
    gsl_set_error_handler(old);
    gsl_integration_cquad_workspace_free(ws);
    vpsde_process_destroy(process);
}

static void equal_steps_have_the_textbook_weights(void **state)
{
    (void)state;
    static const double textbook[4][4] = {{1},
                                          {3. / 2, -1. / 2},
                                          {23. / 12, -16. / 12, 5. / 12},
                                          {55. / 24, -59. / 24, 37. / 24, -9. / 24}};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    const vpsde_coef at = vpsde_process_at(process, 0.5), next = vpsde_process_at(process, 0.4);
    const vpsde_step s = {.process = process, .at = &at, .next = &next};
    const double length = next.alpha * (rho_of(&next) - rho_of(&at));
    const double away[] = {0, -1, -2, -3};
    double on[VPSDE_ADAMS_MAX], c[VPSDE_ADAMS_MAX];
    vpsde_adams_index.moments(&s, on);
    for (size_t p = 1; p <= 4; p++) {
        vpsde_exponential_weights(p, away, on, c);
        for (size_t j = 0; j < p; j++) {
            assert_close(c[j], length * textbook[p - 1][j], 1e-13 * fabs(length));
        }
    }
    vpsde_process_destroy(process);
}

/* ---- UniPC as its authors write it --------------------------------------------------------- */

enum { K_MAX = 3 };

/* v <- A^-1 v by Gauss-Jordan, as torch.linalg.solve has it. */
static void solve(size_t n, double A[K_MAX][K_MAX], double *v)
{
    for (size_t i = 0; i < n; i++) {
        const double pivot = A[i][i];
        assert_true(pivot != 0);
        for (size_t r = 0; r < n; r++) {
            if (r == i) continue;
            const double f = A[r][i] / pivot;
            for (size_t c = 0; c < n; c++) A[r][c] -= f * A[i][c];
            v[r] -= f * v[i];
        }
    }
    for (size_t i = 0; i < n; i++) v[i] /= A[i][i];
}

typedef struct published {
    toy model;
    const vpsde_grid *grid;
    double m[STEPS_MAX + 1]; /* data prediction at each node */
} published;

static double data(const published *u, size_t k, double x)
{
    const vpsde_coef *c = &u->grid->node[k];
    double eps;
    toy_row(&u->model, c, 1, &x, &eps);
    return (x - c->sigma * eps) / c->alpha;
}

/* multistep_uni_pc_bh_update, predict_x0, to node k + 1; m[k + 1] <- the model's prediction. */
static double published_bh(published *u, size_t k, double x, size_t order, bool bh2, bool corrects)
{
    const vpsde_coef *c = &u->grid->node[k], *c1 = c + 1;
    const double h = c1->lambda - c->lambda, hh = -h, B = bh2 ? expm1(hh) : hh;
    double r[K_MAX], D[K_MAX] = {0}, R[K_MAX][K_MAX] = {{0}}, b[K_MAX] = {0},
                     phi = expm1(hh) / hh - 1, factorial = 1;
    for (size_t i = 1; i < order; i++) {
        r[i - 1] = (c[-(ptrdiff_t)i].lambda - c->lambda) / h;
        D[i - 1] = (u->m[k - i] - u->m[k]) / r[i - 1];
    }
    r[order - 1] = 1;
    for (size_t i = 1; i <= order; i++) {
        for (size_t j = 0; j < order; j++) R[i - 1][j] = pow(r[j], (double)i - 1);
        b[i - 1] = phi * factorial / B;
        factorial *= (double)i + 1;
        phi = phi / hh - 1 / factorial;
    }
    double A[K_MAX][K_MAX], a[K_MAX], residual = 0;
    memcpy(A, R, sizeof(A));
    memcpy(a, b, sizeof(a));
    if (order > 1) solve(order - 1, A, a);
    if (order == 2) a[0] = 0.5;
    for (size_t j = 0; j + 1 < order; j++) residual += a[j] * D[j];
    const double base = c1->sigma / c->sigma * x - c1->alpha * expm1(hh) * u->m[k];
    const double predicted = base - c1->alpha * B * residual;
    if (!corrects) return predicted;
    u->m[k + 1] = data(u, k + 1, predicted);
    D[order - 1] = u->m[k + 1] - u->m[k];
    solve(order, R, b);
    if (order == 1) b[0] = 0.5;
    residual = 0;
    for (size_t j = 0; j < order; j++) residual += b[j] * D[j];
    return base - c1->alpha * B * residual;
}

/* multistep_uni_pc_vary_update, predict_x0, as in the commit of the file head of unipc_compat.c. */
static double published_vary(published *u, size_t k, double x, size_t K, bool unused, bool corrects)
{
    (void)unused;
    const vpsde_coef *c = &u->grid->node[k], *c1 = c + 1;
    const double h = c1->lambda - c->lambda, hh = -h;
    double r[K_MAX], D[K_MAX] = {0}, C[K_MAX][K_MAX] = {{0}}, phi[K_MAX + 1], factorial = 1;
    for (size_t i = 1; i < K; i++) {
        r[i - 1] = (c[-(ptrdiff_t)i].lambda - c->lambda) / h;
        D[i - 1] = (u->m[k - i] - u->m[k]) / r[i - 1];
    }
    r[K - 1] = 1;
    phi[0] = expm1(hh);
    for (size_t n = 1; n <= K; n++) {
        phi[n] = phi[n - 1] / hh - 1 / factorial;
        factorial *= (double)n + 1;
        for (size_t j = 0; j < K; j++)
            C[j][n - 1] = pow(r[j], (double)n - 1) / tgamma((double)n + 1);
    }
    double A[K_MAX][K_MAX], derivative[K_MAX];
    const double base = c1->sigma / c->sigma * x - c1->alpha * phi[0] * u->m[k];
    memcpy(A, C, sizeof(A));
    memcpy(derivative, D, sizeof(D));
    if (K > 1) solve(K - 1, A, derivative);
    double predicted = base;
    for (size_t n = 0; n + 1 < K; n++) predicted -= c1->alpha * phi[n + 1] * derivative[n];
    if (!corrects) return predicted;
    u->m[k + 1] = data(u, k + 1, predicted);
    const double D_t = u->m[k + 1] - u->m[k];
    double corrected = base, share[K_MAX] = {0}; /* share: A_c applied to D_t alone */
    memcpy(A, C, sizeof(A));
    D[K - 1] = 0;
    memcpy(derivative, D, sizeof(D));
    solve(K, A, derivative);
    memcpy(A, C, sizeof(A));
    share[K - 1] = 1;
    solve(K, A, share);
    for (size_t n = 0; n + 1 < K; n++) corrected -= c1->alpha * phi[n + 1] * derivative[n];
    return corrected - c1->alpha * phi[K] * D_t * share[K > 1 ? K - 2 : 0];
}

static void unipc_is_what_its_authors_publish(void **state)
{
    (void)state;
    static const struct {
        const char *name, *form;
        double (*update)(published *, size_t, double, size_t, bool, bool);
        size_t order;
        bool bh2;
    } cases[] = {
        {"unipc", "order=1, variant=bh1", published_bh, 1, false},
        {"unipc", "order=1", published_bh, 1, true},
        {"unipc", "order=2, variant=bh1", published_bh, 2, false},
        {"unipc", "order=2", published_bh, 2, true},
        {"unipc", "order=3, start=upstream, variant=bh1", published_bh, 3, false},
        {"unipc", "order=3, start=upstream", published_bh, 3, true},
        {"unipc-compat", "order=1", published_vary, 1, false},
        {"unipc-compat", "order=2", published_vary, 2, false},
        {"unipc-compat", "order=3", published_vary, 3, false},
    };
    enum { N = 9 };
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = toy_grid(process, "quadratic-t", N, VPSDE_LAST_STOP);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        published u = {.grid = grid};
        toy_gaussian(&u.model, 1, 0.7, 0.25, VPSDE_MODEL_ANALYTIC, 0);
        const vpsde_solver_type *solver = vpsde_solver_find(cases[i].name);
        const double start = 1.3;
        double param[VPSDE_PARAM_MAX], got, x = start;
        vpsde_param_defaults(param, solver->params);
        assert_ok(vpsde_param_parse(param, solver->params, cases[i].form));
        u.m[0] = data(&u, 0, x);
        for (size_t k = 0; k < N; k++) {
            size_t order = k + 1 < cases[i].order ? k + 1 : cases[i].order;
            if (solver->flags & VPSDE_SOLVER_COMPAT && N - k < order) order = N - k;
            x = cases[i].update(&u, k, x, order, cases[i].bh2, k + 1 < N);
        }
        const vpsde_sampling run = {.process = process,
                                    .model = &u.model.model,
                                    .solver = solver,
                                    .param = param,
                                    .grid = grid,
                                    .init = &start,
                                    .count = 1,
                                    .n_threads = 1};
        assert_ok(vpsde_sample_array(&run, &got));
        assert_close(got, x, 1e-10);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- equivalences -------------------------------------------------------------------------- */

static void methods_that_are_the_same_agree(void **state)
{
    (void)state;
    static const char *const same[][4] = {
        {"deis", "order=1", "ddim", ""},
        {"deis", "order=1, variant=rho", "ddim", ""},
        {"deis", "order=1, variant=log-rho", "ddim", ""},
        {"lms", "order=1", "ddim", ""},
        {"ipndm", "order=1", "ddim", ""},
        {"ipndm-compat", "order=1", "ddim", ""},
        {"plms", "order=1", "ddim", ""},
        {"unipc", "order=1, corrector=false", "ddim", ""},
        {"unipc", "order=2, corrector=false, variant=bh2", "dpmpp-2m", "variant=midpoint"},
        {"unipc", "order=2, corrector=false, variant=vary", "dpmpp-2m", "variant=taylor"},
        {"unipc", "order=3, corrector=false, variant=vary, start=upstream", "dpmpp-3m",
         "start=upstream"},
        {"unipc", "order=1, variant=vary", "unipc-compat", "order=1"},
        {"deis", "variant=log-rho, order=3, start=upstream", "dpm-solver-3m", "start=upstream"},
        {"deis", "variant=rho, order=4", "lms", ""},
        {"ipndm", "", "lms", ""},
        {"ipndm", "start=upstream", "lms", "start=upstream"},
        {"deis", "variant=t, order=4", "plms", ""},
        {"deis", "variant=t, order=3", "plms", "order=3, start=upstream"},
    };
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    static const char *const grids[] = {"uniform-lambda", "quadratic-t", "karras"};
    for (size_t g = 0; g < 3; g++) {
        vpsde_grid *grid = toy_grid(process, grids[g], 11, VPSDE_LAST_STOP);
        for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
            assert_equivalent(process, grid, same[i][0], same[i][1], same[i][2], same[i][3]);
        }
        vpsde_grid_destroy(grid);
    }
    vpsde_process_destroy(process);
}

/* Where sigma/alpha is uniform the published constants are right. */
static void constant_weights_are_right_for_equal_steps(void **state)
{
    (void)state;
    enum { N = 12 };
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    double t[N + 1];
    for (size_t k = 0; k <= N; k++) {
        const double rho = 5 - 4.9 * (double)k / N;
        t[k] = vpsde_process_at_lambda(process, -log(rho)).t;
    }
    vpsde_grid *grid = toy_grid_at(process, t, N, VPSDE_LAST_STOP);
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    double init[COUNT * 2], x[2][COUNT * 2];
    vpsde_normals(init, 1, VPSDE_NOISE_TEST, 0, COUNT, 0, 2);
    static const char *const pair[] = {"ipndm", "ipndm-compat"};
    const double param[2][2] = {{4, 1}, {4}};
    for (size_t i = 0; i < 2; i++) {
        const vpsde_sampling run = {.process = process,
                                    .model = &m.model,
                                    .solver = vpsde_solver_find(pair[i]),
                                    .param = param[i],
                                    .grid = grid,
                                    .init = init,
                                    .count = COUNT,
                                    .n_threads = 1};
        assert_ok(vpsde_sample_array(&run, x[i]));
    }
    assert_true(distance(x[0], x[1]) < 1e-11);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- edm-heun ------------------------------------------------------------------------------ */

/* Karras et al. 2022, algorithm 2, line by line on v = x/alpha; the draws by their address. */
static void algorithm_2(const vpsde_process *process, const vpsde_grid *grid, const double param[4],
                        uint64_t seed, double x[COUNT * 2])
{
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
    const double end = rho_of(&grid->node[0]);
    for (size_t k = 0; k < grid->n_steps; k++) {
        const vpsde_coef *c = &grid->node[k], *c1 = c + 1;
        const double sigma = rho_of(c), next = rho_of(c1);
        const bool inside = sigma >= param[1] && sigma <= param[2];
        const double gamma = inside ? fmin(param[0] / (double)grid->n_steps, sqrt(2) - 1) : 0;
        const double up = fmin(sigma * (1 + gamma), end);
        const vpsde_coef hat = up > sigma && up < end ? vpsde_process_at_lambda(process, -log(up))
                               : up > sigma           ? grid->node[0]
                                                      : *c;
        double z[COUNT * 2];
        vpsde_normals(z, seed, VPSDE_NOISE_CORRECTOR, 0, COUNT, (uint32_t)k * VPSDE_DRAWS_PER_STEP,
                      2);
        for (size_t i = 0; i < COUNT; i++) {
            double v[2], in[2], eps[2], eps1[2], euler[2];
            for (size_t j = 0; j < 2; j++) {
                v[j] = x[2 * i + j] / c->alpha;
                v[j] += sqrt(fmax(up * up - sigma * sigma, 0)) * param[3] * z[2 * i + j];
                in[j] = v[j] * hat.alpha;
            }
            toy_row(&m, &hat, 2, in, eps);
            for (size_t j = 0; j < 2; j++) {
                euler[j] = v[j] + (next - up) * eps[j];
                in[j] = euler[j] * c1->alpha;
            }
            if (next > 0) toy_row(&m, c1, 2, in, eps1);
            for (size_t j = 0; j < 2; j++) {
                const double heun = v[j] + (next - up) * (eps[j] + eps1[j]) / 2;
                x[2 * i + j] = c1->alpha * (next > 0 ? heun : euler[j]);
            }
        }
    }
}

static void edm_heun_is_algorithm_2(void **state)
{
    (void)state;
    static const double params[][4] = {{0, 0, 1e30, 1},
                                       {3, 0, 1e30, 1},
                                       {3, 0.05, 50, 1.003},
                                       {1e6, 0, 1e30, 1},
                                       {3, 1e6, 1e30, 1}};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t g = 0; g < 2; g++) {
        vpsde_grid *grid = toy_grid(process, "karras", 9, g ? VPSDE_LAST_EULER : VPSDE_LAST_STOP);
        for (size_t p = 0; p < sizeof(params) / sizeof(params[0]); p++) {
            toy m;
            toy_mixture(&m, VPSDE_MODEL_ANALYTIC, 0);
            double x[COUNT * 2], expected[COUNT * 2];
            vpsde_normals(expected, 3, VPSDE_NOISE_PRIOR, 0, COUNT, 0, 2);
            algorithm_2(process, grid, params[p], 3, expected);
            const vpsde_sampling run = {.process = process,
                                        .model = &m.model,
                                        .solver = vpsde_solver_find("edm-heun"),
                                        .param = params[p],
                                        .grid = grid,
                                        .seed = 3,
                                        .count = COUNT,
                                        .n_threads = 1};
            assert_ok(vpsde_sample_array(&run, x));
            assert_true(distance(x, expected) < 1e-10);
        }
        vpsde_grid_destroy(grid);
    }
    vpsde_process_destroy(process);
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* Every form of the solvers here with 1, 2, 3 and 4 steps and every last step: finite, the calls as
 * foretold (sample() looks), the same as DDIM where the only step is of order 1. */
static void short_runs_end_as_they_should(void **state)
{
    (void)state;
    double x[COUNT * 2], ddim[COUNT * 2];
    for (int to_data = 0; to_data < 2; to_data++) {
        vpsde_process *process = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, to_data ? 0 : 1e-3);
        for (size_t n = 1; n <= 4; n++) {
            for (vpsde_last_step last = VPSDE_LAST_STOP; last <= VPSDE_LAST_LOWER_ORDER; last++) {
                vpsde_grid *grid = toy_grid(process, "uniform-t", n, last);
                for (size_t i = 0; i < N_NAMES; i++) {
                    const vpsde_solver_type *solver = vpsde_solver_find(names[i]);
                    const bool multistep = solver->nfe_per_step == 1;
                    const bool first_order =
                        to_data || (last == VPSDE_LAST_LOWER_ORDER && multistep);
                    sample(process, grid, "ddim", "", ddim);
                    sample(process, grid, names[i], "", x);
                    for (size_t f = 0;; f++) {
                        for (size_t e = 0; e < COUNT * 2; e++) assert_true(isfinite(x[e]));
                        if (n == 1 && grid->n_steps == 1 && first_order &&
                            last != VPSDE_LAST_TWEEDIE) {
                            assert_true(f > 0 || distance(x, ddim) < 1e-11);
                        }
                        if (!solver->forms || !solver->forms[f]) break;
                        sample(process, grid, names[i], solver->forms[f], x);
                    }
                }
                vpsde_grid_destroy(grid);
            }
        }
        vpsde_process_destroy(process);
    }
}

/* ---- orders -------------------------------------------------------------------------------- */

static void every_declared_order_is_measured(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        vpsde_orders_case *cases;
        size_t n;
        const vpsde_solver_type *solver = vpsde_solver_find(names[i]);
        assert_ok(vpsde_orders_plan(&cases, &n, &solver, 1));
        assert_ok(vpsde_orders_measure(cases, n, 1, NULL));
        for (size_t c = 0; c < n; c++) {
            const vpsde_orders_case *r = &cases[c];
            const bool far_from_claim = !(r->claimed > 0) || r->measured < r->claimed - 0.5;
            if (r->pass && r->declared > 0 && far_from_claim) continue;
            print_error("%s(%s): declared %g, claimed %g, measured %g\n", names[i], r->form,
                        r->declared, r->claimed, r->measured);
            fail();
        }
        free(cases);
    }
}

/* Uniform in lambda from where the signal already counts, so that the first steps matter. */
static vpsde_grid *early_grid(const vpsde_process *process, size_t n)
{
    double t[STEPS_MAX + 1];
    for (size_t k = 0; k <= n; k++) {
        t[k] = vpsde_process_at_lambda(process, -0.5 + 2.5 * (double)k / (double)n).t;
    }
    return toy_grid_at(process, t, n, VPSDE_LAST_STOP);
}

/* A start's own error fades in runs where it is small beside the method's: seen alone, as the
 * difference of the two starts, it has the order declared for start=upstream. */
static void upstream_starts_have_their_own_order(void **state)
{
    (void)state;
    static const struct {
        const char *name, *keep, *upstream;
    } cases[] = {
        {"lms", "", "start=upstream"},
        {"lms", "order=3", "order=3, start=upstream"},
        {"ipndm", "order=3", "order=3, start=upstream"},
        {"deis", "", "start=upstream"},
        {"deis", "order=4", "order=4, start=upstream"},
        {"deis", "variant=log-rho", "variant=log-rho, start=upstream"},
        {"plms", "", "start=upstream"},
        {"unipc", "order=3", "order=3, start=upstream"},
        {"unipc", "order=3, corrector=false", "order=3, corrector=false, start=upstream"},
    };
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const vpsde_solver_type *solver = vpsde_solver_find(cases[i].name);
        double gap[2], param[VPSDE_PARAM_MAX], x[COUNT * 2], y[COUNT * 2];
        vpsde_orders order;
        vpsde_param_defaults(param, solver->params);
        assert_ok(vpsde_param_parse(param, solver->params, cases[i].upstream));
        vpsde_solver_orders(solver, param, &order, NULL);
        for (size_t g = 0; g < 2; g++) {
            vpsde_grid *grid = early_grid(process, 100u << g);
            sample(process, grid, cases[i].name, cases[i].keep, x);
            sample(process, grid, cases[i].name, cases[i].upstream, y);
            gap[g] = distance(x, y);
            vpsde_grid_destroy(grid);
        }
        assert_close(log2(gap[0] / gap[1]), order.ode, 0.1);
    }
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_the_integrals),
        cmocka_unit_test(equal_steps_have_the_textbook_weights),
        cmocka_unit_test(unipc_is_what_its_authors_publish),
        cmocka_unit_test(methods_that_are_the_same_agree),
        cmocka_unit_test(constant_weights_are_right_for_equal_steps),
        cmocka_unit_test(edm_heun_is_algorithm_2),
        cmocka_unit_test(short_runs_end_as_they_should),
        cmocka_unit_test(every_declared_order_is_measured),
        cmocka_unit_test(upstream_starts_have_their_own_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
