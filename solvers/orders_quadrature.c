/* Weak order of single-step solvers on a mixture. The chain is a Markov kernel in one dimension, so
 * E f(x_end) follows backward by quadrature (Chapman-Kolmogorov):
 *     u_N = f,   u_k(y) = E u_{k+1}(step_k(y, noise)),   E f = int p(y) u_0(y) dy,
 * with Gauss-Hermite nodes in each of the step's normals, u between nodes of a uniform grid by
 * local polynomials, and the trapezoid rule at the end. A multistep solver is no such kernel and is
 * left to orders_affine.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "solvers/orders_impl.h"
#include "solvers/orders_inputs.h"

enum {
    FIRST_STEPS = 12,
    N_STEPS = 5,
    N_TESTS = 3,
    Y_POINTS = 201,
    STENCIL = 8,
    BEFORE = STENCIL / 2 - 1,
    NORMALS_MAX = 4
};
static const double y_max = 7;

/* Gauss-Hermite nodes an axis, for 1 .. NORMALS_MAX normals: x^(2n - 1) exactly. */
static const size_t nodes_an_axis[NORMALS_MAX + 1] = {1, 8, 6, 4, 4};
enum { AXIS_MAX = 8 };

typedef double (*test_function)(double x);
static double square(double x) { return x * x; }
static double bump(double x) { return exp(-2 * (x - 0.5) * (x - 0.5)); }
static double wave(double x) { return sin(1.5 * x); }
static const test_function tests[N_TESTS] = {square, bump, wave};

/* Nodes and weights of E g(Z) = sum weight g(node), Z ~ N(0, 1): roots of He_n by bisection between
 * those of He_(n - 1), weights n!/(n He_(n - 1))^2. */
static double hermite(size_t n, double x, double *before)
{
    double a = 1, b = x;
    if (n == 0) return 1;
    for (size_t k = 1; k < n; k++) {
        const double next = x * b - (double)k * a;
        a = b;
        b = next;
    }
    *before = a;
    return b;
}

static double root_between(size_t n, double low, double high)
{
    double before;
    const bool rises = hermite(n, high, &before) > 0;
    for (int i = 0; i < 100; i++) {
        const double middle = (low + high) / 2;
        if ((hermite(n, middle, &before) > 0) == rises)
            high = middle;
        else
            low = middle;
    }
    return (low + high) / 2;
}

static void gauss_hermite(size_t n, double *node, double *weight)
{
    double factorial = 1;
    for (size_t m = 1; m <= n; m++) {
        double ends[AXIS_MAX + 2];
        ends[0] = -2 * sqrt((double)m) - 1;
        for (size_t i = 0; i + 1 < m; i++) ends[i + 1] = node[i];
        ends[m] = -ends[0];
        for (size_t i = 0; i < m; i++) node[i] = root_between(m, ends[i], ends[i + 1]);
        factorial *= (double)m;
    }
    for (size_t i = 0; i < n; i++) {
        double before;
        hermite(n, node[i], &before);
        weight[i] = factorial / pow((double)n * before, 2);
    }
}

/* The step's normals and the tensor rule over them; row y * n_nodes + q takes node q. */
typedef struct rule {
    const orders_inputs *in;
    size_t step, n_normals, number[NORMALS_MAX];
    size_t n_nodes;
    double *node, *weight; /* (n_nodes, n_normals), (n_nodes) */
} rule;

static size_t position(const rule *r, size_t number)
{
    size_t i = 0;
    while (i < r->n_normals && r->number[i] != number) i++;
    return i;
}

static void rule_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                         size_t d, double *z, double *area)
{
    const rule *r = block->noise->context;
    const orders_span span = orders_inputs_span(r->in, from->b, to->b);
    memset(z, 0, block->count * d * sizeof(*z));
    if (area) memset(area, 0, block->count * d * sizeof(*area));
    for (size_t i = span.first; i < span.first + span.n; i++) {
        const size_t at = position(r, i);
        double of_z, of_area;
        orders_inputs_share(r->in, from->b, to->b, i, &of_z, &of_area);
        for (size_t row = 0; row < block->count; row++) {
            const double value = r->node[row % r->n_nodes * r->n_normals + at];
            z[row] += of_z * value;
            if (area) area[row] += of_area * value;
        }
    }
}

static void rule_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    const rule *r = block->noise->context;
    const size_t at = position(r, orders_inputs_draw(r->in, k, draw));
    (void)d;
    for (size_t row = 0; row < block->count; row++) {
        z[row] = r->node[row % r->n_nodes * r->n_normals + at];
    }
}

/* Which normals step k uses; false when there are too many, or none of its own. */
static bool rule_normals(rule *r, const vpsde_grid *grid, size_t k)
{
    const orders_span span = orders_inputs_span(r->in, grid->node[k].b, grid->node[k + 1].b);
    r->step = k;
    r->n_normals = 0;
    for (size_t i = span.first; i < span.first + span.n; i++) {
        if (r->n_normals == NORMALS_MAX) return false;
        r->number[r->n_normals++] = i;
    }
    for (unsigned draw = 0; draw < VPSDE_DRAWS_PER_STEP; draw++) {
        const size_t number = orders_inputs_draw(r->in, k, draw);
        if (number >= orders_inputs_count(r->in)) continue;
        if (r->n_normals == NORMALS_MAX) return false;
        r->number[r->n_normals++] = number;
    }
    return r->n_normals > 0;
}

static size_t rule_size(size_t n_normals)
{
    size_t n = 1;
    for (size_t i = 0; i < n_normals; i++) n *= nodes_an_axis[n_normals];
    return n;
}

static void rule_fill(rule *r)
{
    double node[AXIS_MAX], weight[AXIS_MAX];
    const size_t n = nodes_an_axis[r->n_normals];
    gauss_hermite(n, node, weight);
    r->n_nodes = rule_size(r->n_normals);
    for (size_t q = 0; q < r->n_nodes; q++) {
        size_t rest = q;
        r->weight[q] = 1;
        for (size_t i = 0; i < r->n_normals; i++, rest /= n) {
            r->node[q * r->n_normals + i] = node[rest % n];
            r->weight[q] *= weight[rest % n];
        }
    }
}

static double y_at(size_t i) { return y_max * (2 * (double)i / (Y_POINTS - 1) - 1); }

/* share[STENCIL] of the nodes from *first on in a value at x: the polynomial through the nearest
 * nodes, and the end node beyond the grid, where the law has 1e-11 of its mass. */
static void interpolation(double *share, size_t *first, double x)
{
    static const double barycentric[STENCIL] = {-1, 7, -21, 35, -35, 21, -7, 1};
    const double at = fmin(fmax((x / y_max + 1) / 2, 0), 1) * (Y_POINTS - 1);
    double sum = 0;
    *first = at > BEFORE ? (size_t)at - BEFORE : 0;
    if (*first > Y_POINTS - STENCIL) *first = Y_POINTS - STENCIL;
    for (size_t i = 0; i < STENCIL; i++) {
        const double r = at - (double)(*first + i);
        if (r == 0) { /* a node */
            memset(share, 0, STENCIL * sizeof(*share));
            share[i] = 1;
            return;
        }
        share[i] = barycentric[i] / r;
        sum += share[i];
    }
    for (size_t i = 0; i < STENCIL; i++) share[i] /= sum;
}

/* u (Y_POINTS, N_TESTS). */
static void add_value(double *sum, const double *u, double weight, double x)
{
    double share[STENCIL];
    size_t first;
    interpolation(share, &first, x);
    for (size_t i = 0; i < STENCIL; i++) {
        for (size_t f = 0; f < N_TESTS; f++) {
            sum[f] += weight * share[i] * u[(first + i) * N_TESTS + f];
        }
    }
}

/* u_{k+1} -> u_k in place. */
static vpsde_status step_back(orders_run *run, const rule *r, double *u)
{
    double *x = vpsde_chain_rows(run->chain), before[Y_POINTS * N_TESTS];
    vpsde_chain_place(run->chain, 0, Y_POINTS * r->n_nodes);
    for (size_t row = 0; row < Y_POINTS * r->n_nodes; row++) x[row] = y_at(row / r->n_nodes);
    VPSDE_TRY(vpsde_chain_step(run->chain, r->step));
    memcpy(before, u, sizeof(before));
    memset(u, 0, sizeof(before));
    for (size_t row = 0; row < Y_POINTS * r->n_nodes; row++) {
        add_value(u + row / r->n_nodes * N_TESTS, before, r->weight[row % r->n_nodes], x[row]);
    }
    return VPSDE_OK;
}

static void set_tests(double *u)
{
    for (size_t e = 0; e < Y_POINTS * N_TESTS; e++) u[e] = tests[e % N_TESTS](y_at(e / N_TESTS));
}

static double expect(const orders_law *law, const vpsde_coef *c, const double *u, size_t f)
{
    double sum = 0;
    for (size_t i = 0; i < Y_POINTS; i++) {
        sum += u[i * N_TESTS + f] * orders_density(law, c, y_at(i)) * 2 * y_max / (Y_POINTS - 1);
    }
    return sum;
}

/* Length of the errors of E f over the functions. */
static double end_error(const orders_run *run, const orders_law *law, const double *u)
{
    const vpsde_coef *t = &run->grid->node[0], *s = &run->grid->node[run->grid->n_steps];
    double exact[Y_POINTS * N_TESTS], sum = 0;
    set_tests(exact);
    for (size_t f = 0; f < N_TESTS; f++) {
        const double e = expect(law, t, u, f) - expect(law, s, exact, f);
        sum += e * e;
    }
    return sqrt(sum);
}

/* Does a step look at what the ones before left in the buffers? A second walk has NaN in them. */
static vpsde_status is_single_step(bool *single, orders_run *run)
{
    double end[2];
    const vpsde_step *s = &run->chain->step;
    for (size_t poison = 0; poison < 2; poison++) {
        vpsde_chain_place(run->chain, 0, 1);
        vpsde_chain_rows(run->chain)[0] = 0.3;
        for (size_t k = 0; k < run->grid->n_steps; k++) {
            for (size_t b = 0; poison && b < s->n_scratch; b++) s->w[b][0] = (double)NAN;
            VPSDE_TRY(vpsde_chain_step(run->chain, k));
        }
        end[poison] = vpsde_chain_rows(run->chain)[0];
    }
    *single = end[0] == end[1];
    return VPSDE_OK;
}

/* Is the chain a kernel with few enough normals in every step? `r` gets room for the largest
 * rule. */
static vpsde_status survey(bool *fits, rule *r, orders_inputs *in, const orders_lab *lab,
                           const vpsde_orders_case *c, const orders_problem *p, size_t n)
{
    const vpsde_noise_source recorder = orders_recorder(in);
    orders_run run;
    size_t largest = 0;
    VPSDE_TRY(orders_run_open(&run, lab, c, p, ORDERS_IN_B, n, 1, &recorder));
    vpsde_status status = is_single_step(fits, &run);
    if (status == VPSDE_OK) status = orders_inputs_close(in);
    *r = (rule){.in = in};
    for (size_t k = 0; k < n && status == VPSDE_OK && *fits; k++) {
        *fits = in->n_breaks > 1 && rule_normals(r, run.grid, k);
        if (*fits && rule_size(r->n_normals) > largest) largest = rule_size(r->n_normals);
    }
    orders_run_close(&run);
    VPSDE_TRY(status);
    r->n_nodes = largest;
    VPSDE_TRY(vpsde_alloc(&r->node, largest * NORMALS_MAX, sizeof(double)));
    return vpsde_alloc(&r->weight, largest, sizeof(double));
}

static vpsde_status backward(double *error, double *nfe, const orders_lab *lab,
                             const vpsde_orders_case *c, const orders_problem *p, size_t n, rule *r)
{
    const vpsde_noise_source noise = {
        .purpose = VPSDE_NOISE_TEST, .stretch = rule_stretch, .draw = rule_draw, .context = r};
    double u[N_TESTS * Y_POINTS];
    orders_run run;
    VPSDE_TRY(orders_run_open(&run, lab, c, p, ORDERS_IN_B, n, Y_POINTS * r->n_nodes, &noise));
    vpsde_status status = VPSDE_OK;
    set_tests(u);
    *nfe = 0;
    for (size_t k = n; k-- > 0 && status == VPSDE_OK;) {
        rule_normals(r, run.grid, k);
        rule_fill(r);
        status = step_back(&run, r, u);
        *nfe += (double)run.chain->block.calls;
    }
    *error = end_error(&run, &p->law[0], u);
    orders_run_close(&run);
    return status;
}

vpsde_status orders_weak_mixture(vpsde_orders_curve *curve, const orders_lab *lab,
                                 const vpsde_orders_case *c)
{
    const orders_problem *p = &lab->problem[ORDERS_CLOSE];
    vpsde_status status = VPSDE_OK;
    bool fits = c->solver->step != NULL;
    bool cheap = true; /* four normals: a doubling less */
    for (size_t i = 0; i < N_STEPS && status == VPSDE_OK && fits && cheap; i++) {
        const size_t n = (size_t)FIRST_STEPS << i;
        orders_inputs in = {0};
        rule r = {0};
        status = survey(&fits, &r, &in, lab, c, p, n);
        if (status == VPSDE_OK && fits) {
            status = backward(&curve->error[i], &curve->nfe[i], lab, c, p, n, &r);
            curve->steps[i] = (double)n;
            curve->n++;
            cheap = r.n_normals < NORMALS_MAX || i + 2 < N_STEPS;
        }
        free(r.node);
        free(r.weight);
        orders_inputs_free(&in);
    }
    return status;
}
