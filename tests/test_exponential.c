/* The exponential solvers of the DPM-Solver family: phi functions and weights against series and
 * quadrature, every formula against its published letters written out, equivalences, ends, orders. */
#include "tests/toy.h"

#include "solvers/exponential.h"

enum { DIM = 2, COUNT = 40, NODES_MAX = 2048 };

static double rms(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t e = 0; e < count; e++) sum += (a[e] - b[e]) * (a[e] - b[e]) / (double)count;
    return sqrt(sum);
}

/* ---- phi functions and weights -------------------------------------------------------------- */

static long double long_phi(unsigned k, long double z)
{
    long double factorial = 1, sum = 0, term = 1;
    for (unsigned j = 2; j <= k; j++) factorial *= j;
    if (fabsl(z) <= 8) {
        for (unsigned j = 1; j < 90; j++) {
            sum += term;
            term *= z / (k + j);
        }
        return sum / factorial;
    }
    sum = expm1l(z) / z;
    factorial = 1;
    for (unsigned j = 1; j < k; j++) {
        factorial *= j;
        sum = (sum - 1 / factorial) / z;
    }
    return sum;
}

static void phi_keeps_its_digits(void **state)
{
    (void)state;
    static const double at[] = {0, 1e-300, 1e-16, 1e-8, 1e-5, 1e-3, 0.01, 0.1, 0.5, 1,  2,
                                4, 7.99,   8,     8.01, 12,   20,   50,   100, 300, 700};
    double factorial = 1;
    for (unsigned k = 1; k <= 8; k++) {
        factorial *= k;
        assert_close(vpsde_phi(k, 0), 1 / factorial, 0);
        assert_close(vpsde_phi(k, (double)-INFINITY), 0, 0);
        assert_true(isinf(vpsde_phi(k, (double)INFINITY)));
        assert_true(isnan(vpsde_phi(k, (double)NAN)));
        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                const double exact = (double)long_phi(k, (long double)(sign * at[i]));
                assert_close(vpsde_phi(k, sign * at[i]), exact, 2e-15 * exact);
            }
        }
    }
}

/* Simpson's rule for int_0^h e^(rate (h - u)) u^m du, h not too large. */
static long double moment(double rate, double h, unsigned m)
{
    enum { N = 8000 };
    long double sum = 0;
    for (int i = 0; i <= N; i++) {
        const long double u = (long double)h * i / N;
        const int weight = i == 0 || i == N ? 1 : i % 2 ? 4 : 2;
        sum += weight * expl(rate * (h - u)) * powl(u, m);
    }
    return sum * h / N / 3;
}

static void terms_are_the_integrals_of_powers(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    const vpsde_coef a = vpsde_process_at(process, 0.8);
    static const double to[] = {0.79999, 0.7, 0.2, 1e-3};
    for (size_t i = 0; i < 4; i++) {
        const vpsde_coef b = vpsde_process_at(process, to[i]);
        const double h = b.lambda - a.lambda;
        double factorial = 1;
        const vpsde_exponential eps = vpsde_exponential_eps(&a, &b);
        assert_close(eps.on_x, b.alpha / a.alpha, 0);
        for (unsigned m = 0; m < VPSDE_EXPONENTIAL_TERMS; m++) {
            factorial *= m ? m : 1;
            const double exact = -b.sigma * (double)moment(1, h, m) / factorial;
            assert_close(eps.on[m], exact, 1e-12 * fabs(exact));
        }
        for (double eta = 0; eta <= 1; eta += 0.5) {
            const vpsde_exponential x0 = vpsde_exponential_x0(&a, &b, eta);
            const double decay = exp(-eta * h);
            assert_close(x0.on_x, b.sigma / a.sigma * decay, 1e-15);
            assert_close(x0.noise, b.sigma * sqrt(1 - decay * decay), 1e-8 * b.sigma);
            factorial = 1;
            for (unsigned m = 0; m < VPSDE_EXPONENTIAL_TERMS; m++) {
                factorial *= m ? m : 1;
                const double exact =
                    b.alpha * (1 + eta) * (double)moment(-(1 + eta), h, m) / factorial;
                assert_close(x0.on[m], exact, 1e-12 * exact);
            }
        }
    }
    vpsde_process_destroy(process);
}

static void a_step_to_data_is_the_limit_of_order_one(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    const vpsde_coef a = vpsde_process_at(process, 0.3), zero = vpsde_process_at(process, 0);
    const vpsde_exponential eps = vpsde_exponential_eps(&a, &zero);
    assert_true(isinf(eps.h));
    assert_close(eps.on_x, 1 / a.alpha, 0);
    assert_close(eps.on[0], -a.sigma / a.alpha, 1e-15);
    for (double eta = 0; eta <= 1; eta++) {
        const vpsde_exponential x0 = vpsde_exponential_x0(&a, &zero, eta);
        assert_close(x0.on_x, 0, 0);
        assert_close(x0.on[0], 1, 0);
        assert_close(x0.noise, 0, 0);
        for (unsigned m = 1; m < VPSDE_EXPONENTIAL_TERMS; m++) {
            assert_close(x0.on[m], 0, 0);
            assert_close(eps.on[m], 0, 0);
        }
    }
    /* ... and what comes before it tends to it */
    const vpsde_coef near = vpsde_process_at(process, 1e-13);
    const vpsde_exponential almost = vpsde_exponential_eps(&a, &near);
    assert_close(almost.on_x, eps.on_x, 1e-12);
    assert_close(almost.on[0], eps.on[0], 1e-6);
    vpsde_process_destroy(process);
}

static void weights_are_exact_for_polynomials(void **state)
{
    (void)state;
    static const double offsets[][VPSDE_EXPONENTIAL_TERMS] = {
        {0, -0.3, -0.4, -1.1, -1.15}, {0, 0.2, -0.3, -0.35, 0.7}, {0, -1e-4, -3e-4, -4e-4, -6e-4}};
    const double on[VPSDE_EXPONENTIAL_TERMS] = {0.7, 0.4, -0.3, 0.2, 0.11};
    double tau[VPSDE_EXPONENTIAL_TERMS], c[VPSDE_EXPONENTIAL_TERMS];
    for (size_t i = 0; i < 3; i++) {
        for (size_t p = 1; p <= VPSDE_EXPONENTIAL_TERMS; p++) {
            double factorial = 1;
            for (size_t j = 0; j < p; j++) tau[j] = offsets[i][j];
            vpsde_exponential_weights(p, tau, on, c);
            for (size_t m = 0; m < p; m++) {
                double sum = 0, scale = 0;
                factorial *= m ? (double)m : 1;
                for (size_t j = 0; j < p; j++) {
                    sum += c[j] * pow(tau[j], (double)m);
                    scale += fabs(c[j]) * pow(fabs(tau[j]), (double)m);
                }
                assert_close(sum, factorial * on[m], 1e-13 * (scale + factorial * fabs(on[m])));
            }
        }
    }
}

/* ---- a world to run in ---------------------------------------------------------------------- */

typedef struct world {
    toy m;
    vpsde_process *process, *to_data;
    double start[COUNT * DIM];
} world;

static int open_world(void **state)
{
    world *w = calloc(1, sizeof(*w));
    toy_mixture(&w->m, VPSDE_MODEL_ANALYTIC, 0);
    w->process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    w->to_data = toy_process_to(VPSDE_TERMINAL_STANDARD_NORMAL, 0);
    vpsde_normals(w->start, 3, VPSDE_NOISE_TEST, 0, COUNT, 0, DIM);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    world *w = *state;
    vpsde_process_destroy(w->process);
    vpsde_process_destroy(w->to_data);
    free(w);
    return 0;
}

/* End states of `name` at parameters `text` (NULL: defaults) from x (COUNT, DIM), in place; the
 * model's calls are what the solver foretells. */
static void run(world *w, const vpsde_grid *grid, const char *name, const char *text, double *x)
{
    double param[VPSDE_PARAM_MAX], end[COUNT * DIM];
    const vpsde_solver_type *solver = vpsde_solver_find(name);
    assert_non_null(solver);
    vpsde_param_defaults(param, solver->params);
    if (text) assert_ok(vpsde_param_parse(param, solver->params, text));
    const vpsde_sampling sampling = {.process = w->process,
                                     .model = &w->m.model,
                                     .solver = solver,
                                     .param = param,
                                     .grid = grid,
                                     .count = COUNT,
                                     .init = x,
                                     .n_threads = 1};
    const long before = atomic_load(&w->m.calls);
    assert_ok(vpsde_sample_array(&sampling, end));
    assert_int_equal(atomic_load(&w->m.calls) - before, vpsde_solver_nfe(solver, param, grid));
    memcpy(x, end, sizeof(end));
}

static void run_new(world *w, const vpsde_grid *grid, const char *name, const char *text, double *x)
{
    memcpy(x, w->start, sizeof(w->start));
    run(w, grid, name, text, x);
}

/* ---- published formulas, written out ---------------------------------------------------------- */

/* One sample on its way through the letters of a paper. */
typedef struct path {
    const world *w;
    double x[DIM];
} path;

static void eps_of(const path *p, const vpsde_coef *c, const double *x, double *eps)
{
    toy_row(&p->w->m, c, DIM, x, eps);
}

static void x0_of(const path *p, const vpsde_coef *c, const double *x, double *x0)
{
    eps_of(p, c, x, x0);
    for (size_t j = 0; j < DIM; j++) x0[j] = (x[j] - c->sigma * x0[j]) / c->alpha;
}

/* x0: signs and ratio of the data-prediction form; the updates of dpm_solver_pytorch.py */
static void published_singlestep_2(path *p, const vpsde_coef *s, const vpsde_coef *t, bool x0,
                                   double r1)
{
    void (*const f)(const path *, const vpsde_coef *, const double *, double *) =
        x0 ? x0_of : eps_of;
    double m_s[DIM], m_1[DIM], x_1[DIM];
    const double h = t->lambda - s->lambda;
    const vpsde_coef c1 = vpsde_process_at_lambda(p->w->process, s->lambda + r1 * h);
    f(p, s, p->x, m_s);
    for (size_t j = 0; j < DIM; j++) {
        x_1[j] = x0 ? c1.sigma / s->sigma * p->x[j] - c1.alpha * expm1(-r1 * h) * m_s[j]
                    : c1.alpha / s->alpha * p->x[j] - c1.sigma * expm1(r1 * h) * m_s[j];
    }
    f(p, &c1, x_1, m_1);
    for (size_t j = 0; j < DIM; j++) {
        const double D = (0.5 / r1) * (m_1[j] - m_s[j]);
        p->x[j] = x0 ? t->sigma / s->sigma * p->x[j] - t->alpha * expm1(-h) * (m_s[j] + D)
                     : t->alpha / s->alpha * p->x[j] - t->sigma * expm1(h) * (m_s[j] + D);
    }
}

static void published_singlestep_3(path *p, const vpsde_coef *s, const vpsde_coef *t, double r1,
                                   double r2)
{
    double m_s[DIM], m_1[DIM], m_2[DIM], x[DIM];
    const double h = t->lambda - s->lambda;
    const double phi_12 = expm1(r2 * h), phi_22 = expm1(r2 * h) / (r2 * h) - 1;
    const double phi_1 = expm1(h), phi_2 = phi_1 / h - 1;
    const vpsde_coef c1 = vpsde_process_at_lambda(p->w->process, s->lambda + r1 * h);
    const vpsde_coef c2 = vpsde_process_at_lambda(p->w->process, s->lambda + r2 * h);
    eps_of(p, s, p->x, m_s);
    for (size_t j = 0; j < DIM; j++) {
        x[j] = c1.alpha / s->alpha * p->x[j] - c1.sigma * expm1(r1 * h) * m_s[j];
    }
    eps_of(p, &c1, x, m_1);
    for (size_t j = 0; j < DIM; j++) {
        x[j] = c2.alpha / s->alpha * p->x[j] - c2.sigma * phi_12 * m_s[j] -
               r2 / r1 * c2.sigma * phi_22 * (m_1[j] - m_s[j]);
    }
    eps_of(p, &c2, x, m_2);
    for (size_t j = 0; j < DIM; j++) {
        p->x[j] = t->alpha / s->alpha * p->x[j] - t->sigma * phi_1 * m_s[j] -
                  1 / r2 * t->sigma * phi_2 * (m_2[j] - m_s[j]);
    }
}

typedef struct multistep {
    bool x0, taylor;
    int order;
    double phi_3_factor;            /* 1: as published; 2: right */
    bool starts_with_2, lowers_end; /* lowers_end: of runs below 10 steps */
} multistep;

/* Steps to node k + 1 from the values m[0] of node k, m[1] of k - 1, m[2] of k - 2. */
static void published_multistep(path *p, const vpsde_coef *node, multistep f, int order,
                                double m[3][DIM])
{
    const vpsde_coef *s = node, *t = node + 1;
    const double h = t->lambda - s->lambda, sign = f.x0 ? -1 : 1;
    const double ratio = f.x0 ? t->sigma / s->sigma : t->alpha / s->alpha;
    const double scale = f.x0 ? t->alpha : t->sigma;
    const double phi_1 = expm1(sign * h), phi_2 = phi_1 / h - sign, phi_3 = phi_2 / h - 0.5;
    for (size_t j = 0; j < DIM; j++) {
        const double r0 = order > 1 ? (s->lambda - node[-1].lambda) / h : 1;
        const double D1_0 = order > 1 ? (m[0][j] - m[1][j]) / r0 : 0;
        p->x[j] = ratio * p->x[j] - scale * phi_1 * m[0][j];
        if (order == 2 && !f.taylor) p->x[j] -= 0.5 * scale * phi_1 * D1_0;
        if (order == 2 && f.taylor) p->x[j] -= sign * scale * phi_2 * D1_0;
        if (order < 3) continue;
        const double r1 = (node[-1].lambda - node[-2].lambda) / h;
        const double D1_1 = (m[1][j] - m[2][j]) / r1;
        const double D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1), D2 = (D1_0 - D1_1) / (r0 + r1);
        p->x[j] -= sign * scale * phi_2 * D1 + scale * f.phi_3_factor * phi_3 * D2;
    }
}

static void published_chain(path *p, const vpsde_grid *grid, multistep f)
{
    double m[3][DIM];
    for (size_t k = 0; k < grid->n_steps; k++) {
        const vpsde_coef *c = &grid->node[k];
        memmove(m[1], m[0], 2 * sizeof(m[0]));
        (f.x0 ? x0_of : eps_of)(p, c, p->x, m[0]);
        if (k == 0 && f.starts_with_2) {
            published_singlestep_2(p, c, c + 1, f.x0, 0.5);
            continue;
        }
        const bool low = grid->last_step == VPSDE_LAST_LOWER_ORDER && k + 1 == grid->n_steps;
        int order = low ? 1 : (int)k + 1 < f.order ? (int)k + 1 : f.order;
        const int left = (int)(grid->n_steps - k);
        if (f.lowers_end && grid->n_steps < 10 && left < order) order = left;
        published_multistep(p, c, f, order, m);
    }
}

static void assert_published(world *w, const vpsde_grid *grid, const char *name, const char *text,
                             multistep f)
{
    double x[COUNT * DIM];
    run_new(w, grid, name, text, x);
    for (size_t i = 0; i < COUNT; i++) {
        path p = {.w = w};
        memcpy(p.x, w->start + i * DIM, sizeof(p.x));
        published_chain(&p, grid, f);
        for (size_t j = 0; j < DIM; j++) assert_close(x[i * DIM + j], p.x[j], 1e-9);
    }
}

/* On a grid whose steps differ; 1e-9 is rounding, which the flow's own conditioning enlarges. */
static void multistep_methods_are_the_published_ones(void **state)
{
    world *w = *state;
    static const struct {
        const char *name, *text;
        multistep f;
    } cases[] = {
        {"dpmpp-2m", NULL, {.x0 = true, .order = 2}},
        {"dpmpp-2m", "variant=taylor", {.x0 = true, .order = 2, .taylor = true}},
        {"dpm-solver-2m", NULL, {.order = 2}},
        {"dpm-solver-2m", "variant=taylor", {.order = 2, .taylor = true}},
        {"dpmpp-3m-compat", NULL, {.x0 = true, .order = 3, .phi_3_factor = 1, .lowers_end = true}},
        {"dpm-solver-3m-compat", NULL, {.order = 3, .phi_3_factor = 1, .lowers_end = true}},
        {"dpmpp-3m", "start=upstream", {.x0 = true, .order = 3, .phi_3_factor = 2, .taylor = true}},
        {"dpm-solver-3m", "start=upstream", {.order = 3, .phi_3_factor = 2, .taylor = true}},
        {"dpmpp-3m",
         "start=keep",
         {.x0 = true, .order = 3, .phi_3_factor = 2, .taylor = true, .starts_with_2 = true}},
        {"dpm-solver-3m",
         NULL,
         {.order = 3, .phi_3_factor = 2, .taylor = true, .starts_with_2 = true}}};
    static const size_t steps[] = {2, 3, 9, 12};
    for (size_t g = 0; g < 8; g++) {
        vpsde_grid *grid = toy_grid(w->process, "quadratic-t", steps[g / 2],
                                    g % 2 ? VPSDE_LAST_LOWER_ORDER : VPSDE_LAST_STOP);
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
            assert_published(w, grid, cases[c].name, cases[c].text, cases[c].f);
        }
        vpsde_grid_destroy(grid);
    }
}

static void singlestep_methods_are_the_published_ones(void **state)
{
    world *w = *state;
    static const struct {
        const char *name, *text;
        double r1, r2;
    } cases[] = {{"dpm-solver-2", NULL, 0.5, 0},
                 {"dpm-solver-2", "r=0.3", 0.3, 0},
                 {"dpmpp-2s", NULL, 0.5, 0},
                 {"dpmpp-2s", "r=0.8", 0.8, 0},
                 {"dpm-solver-3", NULL, 1. / 3, 2. / 3},
                 {"dpm-solver-3", "r1=0.5, r2=0.9", 0.5, 0.9}};
    double x[COUNT * DIM];
    vpsde_grid *grid = toy_grid(w->process, "quadratic-t", 9, VPSDE_LAST_STOP);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        run_new(w, grid, cases[c].name, cases[c].text, x);
        for (size_t i = 0; i < COUNT; i++) {
            path p = {.w = w};
            memcpy(p.x, w->start + i * DIM, sizeof(p.x));
            for (size_t k = 0; k < 9; k++) {
                const vpsde_coef *s = &grid->node[k];
                if (cases[c].r2 > 0) {
                    published_singlestep_3(&p, s, s + 1, cases[c].r1, cases[c].r2);
                } else {
                    const bool x0 = strncmp(cases[c].name, "dpmpp", 5) == 0;
                    published_singlestep_2(&p, s, s + 1, x0, cases[c].r1);
                }
            }
            for (size_t j = 0; j < DIM; j++) assert_close(x[i * DIM + j], p.x[j], 1e-9);
        }
    }
    vpsde_grid_destroy(grid);
}

/* ---- equivalences ----------------------------------------------------------------------------- */

static void assert_same_ends(world *w, const vpsde_grid *grid, const char *name, const char *text,
                             const double *expected)
{
    double x[COUNT * DIM];
    run_new(w, grid, name, text, x);
    for (size_t e = 0; e < COUNT * DIM; e++) assert_close(x[e], expected[e], 1e-10);
}

/* DPM-Solver-1 is DDIM(0), and so is whatever takes a single step of order 1. */
static void order_one_is_ddim(void **state)
{
    world *w = *state;
    double ddim[COUNT * DIM];
    for (vpsde_last_step last = VPSDE_LAST_STOP; last <= VPSDE_LAST_LOWER_ORDER; last++) {
        vpsde_grid *grid = toy_grid(w->process, "uniform-t", 12, last);
        run_new(w, grid, "ddim", NULL, ddim);
        assert_same_ends(w, grid, "dpm-solver-1", NULL, ddim);
        vpsde_grid_destroy(grid);
    }
    static const char *const multistep_names[] = {"dpmpp-2m",        "dpmpp-3m",
                                                  "dpmpp-3m-compat", "dpm-solver-2m",
                                                  "dpm-solver-3m",   "dpm-solver-3m-compat",
                                                  "dpm-solver-fast"};
    vpsde_grid *one = toy_grid(w->process, "uniform-t", 1, VPSDE_LAST_LOWER_ORDER);
    vpsde_grid *stop = toy_grid(w->process, "uniform-t", 1, VPSDE_LAST_STOP);
    run_new(w, one, "ddim", NULL, ddim);
    for (size_t i = 0; i < 7; i++) assert_same_ends(w, one, multistep_names[i], NULL, ddim);
    assert_same_ends(w, stop, "dpmpp-3m", "start=upstream", ddim);
    assert_same_ends(w, stop, "dpm-solver-3m", "start=upstream", ddim);
    vpsde_grid_destroy(one);
    vpsde_grid_destroy(stop);
}

/* Blocks of DPM-Solver-fast on a grid uniform in lambda, whose stages then stand at thirds and
 * halves: DPM-Solver-3 over three intervals at a time, -2 over two, -1 over one. */
static void fast_is_made_of_the_singlestep_solvers(void **state)
{
    world *w = *state;
    static const char *const of_order[] = {"dpm-solver-1", "dpm-solver-2", "dpm-solver-3"};
    static const size_t blocks[][5] = {{1},       {2},       {2, 1},    {3, 1},       {3, 2},
                                       {3, 2, 1}, {3, 3, 1}, {3, 3, 2}, {3, 3, 2, 1}, {3, 3, 3, 1}};
    double fast[COUNT * DIM], x[COUNT * DIM];
    for (size_t n = 1; n <= 10; n++) {
        vpsde_grid *grid = toy_grid(w->process, "uniform-lambda", n, VPSDE_LAST_STOP);
        run_new(w, grid, "dpm-solver-fast", NULL, fast);
        memcpy(x, w->start, sizeof(x));
        for (size_t b = 0, k = 0; k < n; k += blocks[n - 1][b++]) {
            const double t[] = {grid->node[k].t, grid->node[k + blocks[n - 1][b]].t};
            vpsde_grid *stretch = toy_grid_at(w->process, t, 1, VPSDE_LAST_STOP);
            run(w, stretch, of_order[blocks[n - 1][b] - 1], NULL, x);
            vpsde_grid_destroy(stretch);
        }
        for (size_t e = 0; e < COUNT * DIM; e++) assert_close(fast[e], x[e], 1e-8);
        vpsde_grid_destroy(grid);
    }
}

/* int_{rho_k}^{rho_{k+1}} l_j(log rho) d rho by Simpson's rule in log rho, over `order` nodes back. */
static double deis_weight(const vpsde_coef *node, size_t order, size_t j)
{
    enum { N = 2000 };
    const double from = -node->lambda, h = -node[1].lambda - from;
    double sum = 0;
    for (int i = 0; i <= N; i++) {
        const double u = from + h * i / N; /* log rho */
        double l = exp(u);
        for (size_t m = 0; m < order; m++) {
            if (m == j) continue;
            l *= (u + (node - m)->lambda) / ((node - m)->lambda - (node - j)->lambda);
        }
        sum += (i == 0 || i == N ? 1 : i % 2 ? 4 : 2) * l;
    }
    return sum * h / N / 3;
}

/* DPM-Solver's three-step method with the right coefficient is DEIS log-rho AB of degree 2:
 * x'/alpha' = x/alpha + sum_j C_j eps_{k-j}. */
static void dpm_solver_3m_is_deis_log_rho_ab3(void **state)
{
    world *w = *state;
    double x[COUNT * DIM];
    vpsde_grid *grid = toy_grid(w->process, "quadratic-t", 12, VPSDE_LAST_STOP);
    run_new(w, grid, "dpm-solver-3m", "start=upstream", x);
    for (size_t i = 0; i < COUNT; i++) {
        double eps[12][DIM], y[DIM];
        memcpy(y, w->start + i * DIM, sizeof(y));
        for (size_t k = 0; k < 12; k++) {
            const vpsde_coef *c = &grid->node[k];
            const size_t order = k + 1 < 3 ? k + 1 : 3;
            toy_row(&w->m, c, DIM, y, eps[k]);
            for (size_t j = 0; j < DIM; j++) y[j] /= c->alpha;
            for (size_t b = 0; b < order; b++) {
                const double C = deis_weight(c, order, b);
                for (size_t j = 0; j < DIM; j++) y[j] += C * eps[k - b][j];
            }
            for (size_t j = 0; j < DIM; j++) y[j] *= c[1].alpha;
        }
        for (size_t j = 0; j < DIM; j++) assert_close(x[i * DIM + j], y[j], 1e-8);
    }
    vpsde_grid_destroy(grid);
}

/* ---- ends and invariants ---------------------------------------------------------------------- */

static const char *const all[] = {
    "dpm-solver-1",  "dpm-solver-2",         "dpm-solver-3",   "dpm-solver-fast",
    "dpm-solver-2m", "dpm-solver-3m",        "dpmpp-2s",       "dpmpp-2m",
    "dpmpp-3m",      "dpm-solver-3m-compat", "dpmpp-3m-compat"};
enum { N_ALL = sizeof(all) / sizeof(all[0]) };

/* The last step to t = 0 is x0hat of the state before, in 1, 2, 3 and more steps, and every row of
 * the log is finite. */
static void runs_to_data_end_in_x0hat(void **state)
{
    world *w = *state;
    keep kept;
    for (size_t n = 1; n <= 6; n++) {
        vpsde_grid *grid = toy_grid(w->to_data, "uniform-t", n, VPSDE_LAST_STOP);
        assert_true(grid->node[n].sigma == 0);
        for (size_t s = 0; s < N_ALL; s++) {
            const vpsde_sampling sampling = {
                .process = w->to_data,
                .model = &w->m.model,
                .solver = vpsde_solver_find(all[s]),
                .grid = grid,
                .count = COUNT,
                .log = {.n_times = SIZE_MAX, .fields = VPSDE_LOG_X, .dtype = VPSDE_F64},
                .n_threads = 1};
            keep_init(&kept);
            assert_ok(vpsde_sample(&sampling, &kept.sink));
            const double *x = keep_column(&kept, "x"), *final = keep_column(&kept, "final");
            const vpsde_coef *before = &grid->node[n - 1];
            for (size_t i = 0; i < COUNT; i++) {
                const double *at = x + (i * (n + 1) + n - 1) * DIM;
                double eps[DIM];
                toy_row(&w->m, before, DIM, at, eps);
                for (size_t j = 0; j < DIM; j++) {
                    const double x0 = (at[j] - before->sigma * eps[j]) / before->alpha;
                    assert_close(final[i * DIM + j], x0, 1e-11);
                    assert_int_equal(((const int32_t *)keep_column(&kept, "nfe"))[i],
                                     vpsde_solver_nfe(sampling.solver, NULL, grid));
                }
            }
            for (size_t e = 0; e < COUNT * (n + 1) * DIM; e++) assert_true(isfinite(x[e]));
            keep_free(&kept);
        }
        vpsde_grid_destroy(grid);
    }
}

/* On a Gaussian every method is affine; its mean goes to the mean of the end exactly, however few
 * the steps: the start at the mean of p_T has eps = 0 and x0hat = mu on its whole way. */
static void the_mean_of_a_gaussian_is_exact(void **state)
{
    world *w = *state;
    double x[COUNT * DIM];
    toy_gaussian(&w->m, DIM, 0.7, 0.25, VPSDE_MODEL_ANALYTIC, 0);
    for (size_t n = 1; n <= 7; n++) {
        vpsde_grid *grid = toy_grid(w->process, "uniform-t", n, VPSDE_LAST_STOP);
        for (size_t s = 0; s < N_ALL; s++) {
            for (size_t e = 0; e < COUNT * DIM; e++) x[e] = 0.7 * grid->node[0].alpha;
            run(w, grid, all[s], NULL, x);
            for (size_t e = 0; e < COUNT * DIM; e++) {
                assert_close(x[e], 0.7 * grid->node[n].alpha, 1e-11);
            }
        }
        vpsde_grid_destroy(grid);
    }
}

static void network_calls_are_those_of_the_papers(void **state)
{
    world *w = *state;
    static const struct {
        const char *name;
        size_t stop, euler; /* at N = 6; one more step, to t = 0 */
    } cases[] = {{"dpm-solver-1", 6, 7},    {"dpm-solver-2", 12, 13}, {"dpm-solver-3", 18, 19},
                 {"dpm-solver-fast", 6, 7}, {"dpm-solver-2m", 6, 7},  {"dpm-solver-3m", 7, 8},
                 {"dpmpp-2s", 12, 13},      {"dpmpp-2m", 6, 7},       {"dpmpp-3m", 7, 8},
                 {"dpmpp-3m-compat", 6, 7}};
    double x[COUNT * DIM];
    vpsde_grid *stop = toy_grid(w->process, "uniform-t", 6, VPSDE_LAST_STOP);
    vpsde_grid *euler = toy_grid(w->process, "uniform-t", 6, VPSDE_LAST_EULER);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const vpsde_solver_type *solver = vpsde_solver_find(cases[c].name);
        assert_int_equal(vpsde_solver_nfe(solver, NULL, stop), cases[c].stop);
        assert_int_equal(vpsde_solver_nfe(solver, NULL, euler), cases[c].euler);
        run_new(w, stop, cases[c].name, NULL, x);
        run_new(w, euler, cases[c].name, NULL, x);
    }
    vpsde_grid_destroy(stop);
    vpsde_grid_destroy(euler);
}

/* ---- orders ----------------------------------------------------------------------------------- */

/* 0.4 N(-0.8, 0.15) + 0.6 N(0.9, 0.2), or N(0.9, 0.5): the flow map is x_s = F_s^-1(F_t(x_t)). */
typedef struct line {
    size_t n;
    double w[2], mu[2], v[2];
} line;
static const line lines[] = {{1, {1}, {0.9}, {0.5}}, {2, {0.4, 0.6}, {-0.8, 0.9}, {0.15, 0.2}}};

enum { POINTS = 9, LEVELS = 7, COARSEST = 24 };

/* F_c(x) in logits, which stay apart in the tails. */
static double logit(const line *l, const vpsde_coef *c, double x)
{
    double below = 0, above = 0;
    for (size_t k = 0; k < l->n; k++) {
        const double sd = sqrt(c->alpha * c->alpha * l->v[k] + c->sigma * c->sigma);
        const double z = (x - c->alpha * l->mu[k]) / sd / sqrt(2);
        below += l->w[k] * erfc(-z);
        above += l->w[k] * erfc(z);
    }
    return log(below / above);
}

static double quantile(const line *l, const vpsde_coef *c, double target)
{
    double low = -20, high = 20;
    for (int i = 0; i < 80; i++) {
        const double mid = (low + high) / 2;
        if (logit(l, c, mid) < target)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

/* Steps in lambda from -2 to 2.5 whose lengths vary smoothly, a factor of 3 apart. */
static vpsde_grid *warped(const vpsde_process *process, size_t n)
{
    static double t[NODES_MAX];
    for (size_t k = 0; k <= n; k++) {
        const double u = (double)k / (double)n, v = u + 0.5 * sin(2 * M_PI * u) / (2 * M_PI);
        t[k] = vpsde_process_at_lambda(process, -2 + 4.5 * v).t;
    }
    return toy_grid_at(process, t, n, VPSDE_LAST_STOP);
}

/* rms error of the end states after n steps. */
static double flow_error(const world *w, const line *l, const vpsde_solver_type *solver,
                         const double *param, size_t n)
{
    double x[POINTS], exact[POINTS], end[POINTS];
    vpsde_model *model;
    vpsde_grid *grid = warped(w->process, n);
    assert_ok(vpsde_gaussian_mixture_create(&model, l->n, 1, l->w, l->mu, l->v));
    for (int i = 0; i < POINTS; i++) {
        x[i] = -2 + 0.5 * i;
        exact[i] = quantile(l, &grid->node[n], logit(l, &grid->node[0], x[i]));
    }
    const vpsde_sampling sampling = {.process = w->process,
                                     .model = model,
                                     .solver = solver,
                                     .param = param,
                                     .grid = grid,
                                     .count = POINTS,
                                     .init = x,
                                     .n_threads = 1};
    assert_ok(vpsde_sample_array(&sampling, end));
    vpsde_model_destroy(model);
    vpsde_grid_destroy(grid);
    return rms(end, exact, POINTS);
}

static void measure(const world *w, const vpsde_solver_type *solver, const char *text)
{
    double param[VPSDE_PARAM_MAX], worst = INFINITY;
    vpsde_orders declared, claimed;
    vpsde_param_defaults(param, solver->params);
    if (text) assert_ok(vpsde_param_parse(param, solver->params, text));
    vpsde_solver_orders(solver, param, &declared, &claimed);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        double error[LEVELS];
        for (size_t r = 0; r < LEVELS; r++) {
            error[r] = flow_error(w, &lines[i], solver, param, (size_t)COARSEST << r);
        }
        const double order = log2(error[LEVELS - 2] / error[LEVELS - 1]);
        print_message("%-22s %-16s %zu modes: %.1e .. %.1e, order %.2f of %g (claimed "
                      "%g)\n",
                      solver->name, text ? text : "", lines[i].n, error[0], error[LEVELS - 1],
                      order, declared.ode, claimed.ode);
        worst = fmin(worst, order);
    }
    assert_close(worst, declared.ode, 0.15);
}

static void orders_are_the_declared_ones(void **state)
{
    const world *w = *state;
    for (size_t s = 0; s < N_ALL; s++) {
        const vpsde_solver_type *solver = vpsde_solver_find(all[s]);
        measure(w, solver, NULL);
        for (size_t f = 0; solver->forms && solver->forms[f]; f++) {
            measure(w, solver, solver->forms[f]);
        }
    }
}

/* The last block decides: -1 after all (N mod 3 = 0 or 1) costs an order once, -2 does not. */
static void the_order_of_fast_is_that_of_its_last_block(void **state)
{
    const world *w = *state;
    static const double order[] = {2, 2, 3};
    const vpsde_solver_type *fast = vpsde_solver_find("dpm-solver-fast");
    for (size_t rest = 0; rest < 3; rest++) {
        const double coarse = flow_error(w, &lines[1], fast, NULL, 768 + rest);
        const double fine = flow_error(w, &lines[1], fast, NULL, 1536 + rest);
        print_message("dpm-solver-fast, N mod 3 = %zu: %.1e, %.1e\n", rest, coarse, fine);
        assert_close(log2(coarse / fine), order[rest], 0.15);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phi_keeps_its_digits),
        cmocka_unit_test(terms_are_the_integrals_of_powers),
        cmocka_unit_test(a_step_to_data_is_the_limit_of_order_one),
        cmocka_unit_test(weights_are_exact_for_polynomials),
        cmocka_unit_test_setup_teardown(multistep_methods_are_the_published_ones, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(singlestep_methods_are_the_published_ones, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(order_one_is_ddim, open_world, close_world),
        cmocka_unit_test_setup_teardown(fast_is_made_of_the_singlestep_solvers, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(dpm_solver_3m_is_deis_log_rho_ab3, open_world, close_world),
        cmocka_unit_test_setup_teardown(runs_to_data_end_in_x0hat, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_mean_of_a_gaussian_is_exact, open_world, close_world),
        cmocka_unit_test_setup_teardown(network_calls_are_those_of_the_papers, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(orders_are_the_declared_ones, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_order_of_fast_is_that_of_its_last_block, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
