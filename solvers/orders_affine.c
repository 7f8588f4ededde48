/* Weak and strong orders on a Gaussian, without Monte Carlo. Every sampler is affine in its start
 * state and its noise there,
 *     x_end = A x_start + c + sum_i g_i zeta_i,
 * with independent standard normals zeta_i, and one run over unit inputs reads all of it off. The
 * law of the end is N(A m + c, A^2 V + sum g^2). The exact end state along the same path,
 *     x_end = Phi x_start + .. + chi int Phi(end, r) dB(r),  Phi' = (1/2 - (1 + chi^2)/(2 V)) Phi,
 * is affine as well: its integral has a share of each zeta and a rest that they do not see. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "solvers/orders_impl.h"
#include "solvers/orders_inputs.h"

enum { FIRST_STEPS = 12, N_STEPS = 7, N_STEPS_MORE = 9, MORE_INPUTS_MAX = 1600 };

/* Two slopes this close have settled. */
static const double settled = 0.05;

/* Row 0: no input; row 1: unit start state; row 2 + i: the elementary normal number i is 1. */
enum { NO_INPUT, UNIT_START, UNIT_NOISE };

typedef struct affine {
    orders_inputs in;
    vpsde_coef start, end;
    double A, c, *g; /* (orders_inputs_count) */
    double calls;
} affine;

static void unit_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                         size_t d, double *z, double *area)
{
    const orders_inputs *in = block->noise->context;
    const orders_span span = orders_inputs_span(in, from->b, to->b);
    memset(z, 0, block->count * d * sizeof(*z));
    if (area) memset(area, 0, block->count * d * sizeof(*area));
    for (size_t i = span.first; i < span.first + span.n; i++) {
        double of_area;
        orders_inputs_share(in, from->b, to->b, i, &z[UNIT_NOISE + i], &of_area);
        if (area) area[UNIT_NOISE + i] = of_area;
    }
}

static void unit_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    memset(z, 0, block->count * d * sizeof(*z));
    z[UNIT_NOISE + orders_inputs_draw(block->noise->context, k, draw)] = 1;
}

static vpsde_status walk(orders_run *run)
{
    for (size_t k = 0; k < run->grid->n_steps; k++) VPSDE_TRY(vpsde_chain_step(run->chain, k));
    return VPSDE_OK;
}

static vpsde_status record(orders_inputs *in, const orders_lab *lab, const vpsde_orders_case *c,
                           const orders_problem *p, orders_spacing spacing, size_t n)
{
    const vpsde_noise_source recorder = orders_recorder(in);
    orders_run run;
    VPSDE_TRY(orders_run_open(&run, lab, c, p, spacing, n, 1, &recorder));
    const vpsde_status status = walk(&run);
    orders_run_close(&run);
    return status == VPSDE_OK ? orders_inputs_close(in) : status;
}

static vpsde_status affine_of_chain(affine *a, const orders_lab *lab, const vpsde_orders_case *c,
                                    const orders_problem *p, orders_spacing spacing, size_t n)
{
    const vpsde_noise_source unit = {
        .purpose = VPSDE_NOISE_TEST, .stretch = unit_stretch, .draw = unit_draw, .context = &a->in};
    orders_run run;
    VPSDE_TRY(record(&a->in, lab, c, p, spacing, n));
    const size_t n_inputs = orders_inputs_count(&a->in);
    VPSDE_TRY(vpsde_alloc(&a->g, n_inputs, sizeof(double)));
    VPSDE_TRY(orders_run_open(&run, lab, c, p, spacing, n, UNIT_NOISE + n_inputs, &unit));
    double *x = vpsde_chain_rows(run.chain);
    x[UNIT_START] = 1;
    const vpsde_status status = walk(&run);
    a->c = x[NO_INPUT];
    a->A = x[UNIT_START] - a->c;
    for (size_t i = 0; i < n_inputs; i++) a->g[i] = x[UNIT_NOISE + i] - a->c;
    a->calls = (double)run.chain->block.calls;
    orders_run_close(&run);
    return status;
}

/* The same of a solver that chooses its own steps, from one step after the other. */
static vpsde_status affine_of_hops(affine *a, const orders_lab *lab, const vpsde_orders_case *c,
                                   const orders_problem *p, const vpsde_grid *grid)
{
    a->A = 1;
    VPSDE_TRY(vpsde_alloc(&a->g, grid->n_steps, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&a->in.b, grid->n_steps + 1, sizeof(double)));
    a->in.n_breaks = grid->n_steps + 1;
    for (size_t k = 0; k <= grid->n_steps; k++) a->in.b[k] = grid->node[k].b;
    for (size_t k = 0; k < grid->n_steps; k++) {
        double A, c0, g;
        VPSDE_TRY(orders_hop_affine(&A, &c0, &g, lab, c, p, &grid->node[k], &a->calls));
        for (size_t i = 0; i < k; i++) a->g[i] *= A;
        a->g[k] = g;
        a->A *= A;
        a->c = A * a->c + c0;
    }
    return VPSDE_OK;
}

static void affine_free(affine *a)
{
    orders_inputs_free(&a->in);
    free(a->g);
    *a = (affine){0};
}

static vpsde_status affine_of(affine *a, const orders_lab *lab, const vpsde_orders_case *c,
                              const orders_problem *p, orders_spacing spacing, size_t n)
{
    vpsde_grid *grid;
    *a = (affine){0};
    VPSDE_TRY(orders_grid(&grid, lab, spacing, n));
    a->start = grid->node[0];
    a->end = grid->node[n];
    const vpsde_status status = vpsde_solver_is_adaptive(c->solver)
                                    ? affine_of_hops(a, lab, c, p, grid)
                                    : affine_of_chain(a, lab, c, p, spacing, n);
    vpsde_grid_destroy(grid);
    if (status != VPSDE_OK) affine_free(a);
    return status;
}

/* Errors of the mean over the standard deviation and of the variance over itself, as one length. */
static double law_error(const affine *a, const orders_law *law, double chi)
{
    const double V = orders_variance(law, &a->end);
    double variance = a->A * a->A * orders_variance(law, &a->start);
    (void)chi;
    for (size_t i = 0; i < orders_inputs_count(&a->in); i++) variance += a->g[i] * a->g[i];
    const double mean = a->A * orders_mean(law, &a->start) + a->c;
    return hypot((mean - orders_mean(law, &a->end)) / sqrt(V), variance / V - 1);
}

/* Phi(end, b) with V = 1 - (1 - v) exp(-b), int db/V = log(exp(b) - 1 + v). */
static double phi(const orders_law *law, double chi, double b, double b_end)
{
    const double v = law->v[0], ratio = (expm1(b_end) + v) / (expm1(b) + v);
    return exp((b - b_end) / 2) * pow(ratio, (1 + chi * chi) / 2);
}

/* Mean square of chi int Phi dB - g zeta - g' zeta' over one stretch: zeta = B/sqrt(h), and with
 * areas zeta' = sqrt(12/h) int (1/2 - r/h) dB. Gauss-Legendre, 5 nodes. */
static double stretch_error(const affine *a, const orders_law *law, double chi, size_t m)
{
    static const double node[5] = {-0.9061798459386640, -0.5384693101056831, 0, 0.5384693101056831,
                                   0.9061798459386640};
    static const double weight[5] = {0.2369268850561891, 0.4786286704993665, 0.5688888888888889,
                                     0.4786286704993665, 0.2369268850561891};
    const double h = a->in.b[m] - a->in.b[m + 1];
    const double g = a->in.uses_area ? a->g[2 * m] : a->g[m];
    const double g_area = a->in.uses_area ? a->g[2 * m + 1] : 0;
    double sum = 0;
    for (size_t q = 0; q < 5; q++) {
        const double u = (1 + node[q]) / 2; /* r/h */
        const double exact = chi * phi(law, chi, a->in.b[m] - u * h, a->end.b);
        const double e = exact - (g + g_area * sqrt(12) * (0.5 - u)) / sqrt(h);
        sum += weight[q] / 2 * h * e * e;
    }
    return sum;
}

/* Root mean square distance to the exact end states. */
static double path_error(const affine *a, const orders_law *law, double chi)
{
    const double in_A = a->A - phi(law, chi, a->start.b, a->end.b);
    const double mean = a->A * orders_mean(law, &a->start) + a->c - orders_mean(law, &a->end);
    const size_t n_inputs = orders_inputs_count(&a->in);
    double square = in_A * in_A * orders_variance(law, &a->start) + mean * mean;
    for (size_t m = 0; m + 1 < a->in.n_breaks; m++) square += stretch_error(a, law, chi, m);
    for (size_t i = n_inputs - a->in.n_draws; i < n_inputs; i++) square += a->g[i] * a->g[i];
    return sqrt(square);
}

static bool has_settled(const vpsde_orders_curve *curve)
{
    const double *e = &curve->error[curve->n - 3];
    return fabs(log2(e[0] / e[1]) - log2(e[1] / e[2])) <= settled;
}

/* Doublings until the slope has settled, where more of them are cheap. */
static vpsde_status curve_of(vpsde_orders_curve *curve, const orders_lab *lab,
                             const vpsde_orders_case *c, size_t problem, orders_spacing spacing,
                             double chi,
                             double (*error)(const affine *, const orders_law *, double))
{
    const orders_problem *p = &lab->problem[problem];
    bool more = true;
    for (size_t r = 0; r < N_STEPS_MORE && more; r++) {
        const size_t n = (size_t)FIRST_STEPS << r;
        affine a;
        VPSDE_TRY(affine_of(&a, lab, c, p, spacing, n));
        curve->steps[r] = (double)n;
        curve->nfe[r] = a.calls;
        curve->error[r] = error(&a, &p->law[0], chi);
        curve->n++;
        const bool cheap = orders_inputs_count(&a.in) < MORE_INPUTS_MAX && c->solver->step;
        more = curve->n < N_STEPS || (cheap && !has_settled(curve));
        affine_free(&a);
    }
    return VPSDE_OK;
}

vpsde_status orders_weak_gaussian(vpsde_orders_curve *curve, const orders_lab *lab,
                                  const vpsde_orders_case *c)
{
    return curve_of(curve, lab, c, ORDERS_GAUSSIAN, ORDERS_IN_LAMBDA, 1, law_error);
}

vpsde_status orders_weak_narrow(vpsde_orders_curve *curve, const orders_lab *lab,
                                const vpsde_orders_case *c)
{
    return curve_of(curve, lab, c, ORDERS_NARROW, ORDERS_IN_LAMBDA, 1, law_error);
}

vpsde_status orders_strong_gaussian(vpsde_orders_curve *curve, const orders_lab *lab,
                                    const vpsde_orders_case *c)
{
    double chi;
    VPSDE_TRY(orders_share_of_noise(&chi, lab, c));
    return curve_of(curve, lab, c, ORDERS_GAUSSIAN, ORDERS_IN_B, chi, path_error);
}
