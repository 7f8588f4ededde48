/* Strong order on a mixture: root mean square distance of end states along common Brownian paths to
 * a fine run of another method. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"
#include "sde/brownian.h"
#include "solvers/orders_impl.h"

enum { FIRST_STEPS = 12, N_STEPS = 6, FINE = 8192, ROWS = 128 };
static const double same_chi = 1e-6;

static vpsde_status start(const orders_problem *p, const vpsde_coef *t, uint64_t first, size_t n,
                          double *x)
{
    return p->model->type->draw(p->model, t, ORDERS_SEED, VPSDE_NOISE_PRIOR, first, n, x);
}

/* SRA1 (Roessler 2010, section 5) for dx = f db + chi dw, f = (x + (1 + chi^2) s)/2; the noise is
 * additive:
 *     x2 = x + (3/4) h k1 + (3/2) chi I,  x' = x + h (k1 + 2 k2)/3 + chi W,  I = W/2 + H. */
static void fine_step(const orders_law *law, const vpsde_coef *at, const vpsde_coef *later,
                      double h, double chi, double *x, double z, double area)
{
    const double W = sqrt(h) * z, I = W / 2 + sqrt(h / 12) * area, on_score = 1 + chi * chi;
    const double k1 = (*x + on_score * orders_score(law, at, *x)) / 2;
    const double x2 = *x + 0.75 * h * k1 + 1.5 * chi * I;
    const double k2 = (x2 + on_score * orders_score(law, later, x2)) / 2;
    *x += h * (k1 + 2 * k2) / 3 + chi * W;
}

/* All fine runs of ROWS paths side by side: the path is what takes time. */
static vpsde_status fine_rows(orders_lab *lab, const vpsde_grid *grid, vpsde_brownian *path,
                              uint64_t first)
{
    double z[ROWS], area[ROWS];
    const orders_problem *p = &lab->problem[ORDERS_BENT];
    for (size_t e = 0; e < lab->n_fine; e++) {
        VPSDE_TRY(start(p, &grid->node[0], first, ROWS, lab->fine[e].x + first));
    }
    vpsde_brownian_place(path, ORDERS_SEED, VPSDE_NOISE_DIFFUSION, first, ROWS);
    for (size_t k = 0; k < grid->n_steps; k++) {
        const vpsde_coef *at = &grid->node[k], *next = at + 1;
        const double h = at->b - next->b;
        const vpsde_coef later = vpsde_process_at_b(lab->process, at->b - 0.75 * h);
        vpsde_brownian_stretch(path, at->b, next->b, z, area);
        for (size_t e = 0; e < lab->n_fine; e++) {
            double *x = lab->fine[e].x + first;
            for (size_t i = 0; i < ROWS; i++) {
                fine_step(&p->law[0], at, &later, h, lab->fine[e].chi, &x[i], z[i], area[i]);
            }
        }
    }
    return VPSDE_OK;
}

typedef struct fine_work {
    orders_lab *lab;
    const vpsde_grid *grid;
} fine_work;

static vpsde_status work(void *context, vpsde_queue *queue)
{
    const fine_work *w = context;
    vpsde_brownian *path;
    size_t b;
    VPSDE_TRY(vpsde_brownian_create(&path, ROWS, 1));
    vpsde_status status = VPSDE_OK;
    while (status == VPSDE_OK && vpsde_queue_take(queue, &b)) {
        status = fine_rows(w->lab, w->grid, path, b * ROWS);
    }
    vpsde_brownian_destroy(path);
    return status;
}

/* chi from the first step's response to an increment W alone, at two short lengths: response/W is
 * chi up to O(h), so 2 chi(h/2) - chi(h) has an error of h^2. What chooses its own steps goes by
 * the reverse SDE, chi = 1. */
static void one_increment(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                          size_t d, double *z, double *area)
{
    const double *b = block->noise->context; /* end points of the step */
    (void)d;
    for (size_t i = 0; i < block->count; i++) {
        z[i] = (double)i * sqrt((from->b - to->b) / (b[0] - b[1]));
        if (area) area[i] = 0;
    }
}

static void no_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    (void)k, (void)draw;
    memset(z, 0, block->count * d * sizeof(*z));
}

static vpsde_status first_response(double *chi, const orders_lab *lab, const vpsde_orders_case *c,
                                   size_t n)
{
    double b[2];
    const vpsde_noise_source noise = {
        .purpose = VPSDE_NOISE_TEST, .stretch = one_increment, .draw = no_draw, .context = b};
    orders_run run;
    VPSDE_TRY(
        orders_run_open(&run, lab, c, &lab->problem[ORDERS_GAUSSIAN], ORDERS_IN_B, n, 2, &noise));
    double *x = vpsde_chain_rows(run.chain);
    b[0] = run.grid->node[0].b;
    b[1] = run.grid->node[1].b;
    const vpsde_status status = vpsde_chain_step(run.chain, 0);
    *chi = (x[1] - x[0]) / sqrt(b[0] - b[1]);
    orders_run_close(&run);
    return status;
}

vpsde_status orders_share_of_noise(double *chi, const orders_lab *lab, const vpsde_orders_case *c)
{
    double whole, half;
    *chi = 1;
    if (vpsde_solver_is_adaptive(c->solver)) return VPSDE_OK;
    VPSDE_TRY(first_response(&whole, lab, c, FINE));
    VPSDE_TRY(first_response(&half, lab, c, 2 * FINE));
    *chi = 2 * half - whole;
    return VPSDE_OK;
}

/* The fine runs with that share. */
static const orders_fine *fine_of(const orders_lab *lab, double chi)
{
    for (size_t i = 0; i < lab->n_fine; i++) {
        if (fabs(lab->fine[i].chi - chi) < same_chi) return &lab->fine[i];
    }
    return NULL;
}

vpsde_status orders_strong_prepare(orders_lab *lab, const vpsde_orders_case *cases, size_t n,
                                   size_t n_threads)
{
    vpsde_grid *grid;
    double chi;
    VPSDE_TRY(vpsde_alloc(&lab->fine, n, sizeof(*lab->fine)));
    for (size_t i = 0; i < n; i++) {
        if (cases[i].kind != VPSDE_ORDER_STRONG) continue;
        VPSDE_TRY(orders_share_of_noise(&chi, lab, &cases[i]));
        if (!fine_of(lab, chi)) lab->fine[lab->n_fine++].chi = chi;
    }
    VPSDE_TRY(orders_grid(&grid, lab, ORDERS_IN_B, FINE));
    fine_work w = {.lab = lab, .grid = grid};
    const vpsde_status status =
        vpsde_parallel(n_threads, ORDERS_PATHS / ROWS, work, &w, lab->control->stop);
    vpsde_grid_destroy(grid);
    return status;
}

static vpsde_status walk(double *x, double *calls, const orders_lab *lab,
                         const vpsde_orders_case *c, const orders_problem *p, size_t n)
{
    orders_run run;
    VPSDE_TRY(orders_run_open(&run, lab, c, p, ORDERS_IN_B, n, ORDERS_PATHS, &vpsde_noise_of_runs));
    run.chain->seed = ORDERS_SEED;
    vpsde_chain_place(run.chain, 0, ORDERS_PATHS);
    double *state = vpsde_chain_rows(run.chain);
    vec_copy(ORDERS_PATHS, state, x);
    vpsde_status status = VPSDE_OK;
    for (size_t k = 0; k < n && status == VPSDE_OK; k++) status = vpsde_chain_step(run.chain, k);
    vec_copy(ORDERS_PATHS, x, state);
    *calls = (double)run.chain->block.calls;
    orders_run_close(&run);
    return status;
}

static vpsde_status hop(double *x, double *calls, const orders_lab *lab, const vpsde_orders_case *c,
                        const orders_problem *p, const vpsde_grid *grid)
{
    *calls = 0;
    for (size_t k = 0; k < grid->n_steps; k++) {
        VPSDE_TRY(
            orders_hop(lab, c, p, &grid->node[k], &grid->node[k + 1], ORDERS_PATHS, x, calls));
    }
    return VPSDE_OK;
}

static vpsde_status point(vpsde_orders_curve *curve, const orders_lab *lab,
                          const vpsde_orders_case *c, const orders_problem *p, size_t n,
                          const double *fine)
{
    double x[ORDERS_PATHS], calls;
    vpsde_grid *grid;
    VPSDE_TRY(orders_grid(&grid, lab, ORDERS_IN_B, n));
    vpsde_status status = start(p, &grid->node[0], 0, ORDERS_PATHS, x);
    if (status == VPSDE_OK) {
        status = vpsde_solver_is_adaptive(c->solver) ? hop(x, &calls, lab, c, p, grid)
                                                     : walk(x, &calls, lab, c, p, n);
    }
    vpsde_grid_destroy(grid);
    VPSDE_TRY(status);
    vec_lin2(ORDERS_PATHS, x, 1, x, -1, fine);
    curve->steps[curve->n] = (double)n;
    curve->nfe[curve->n] = calls;
    curve->error[curve->n++] = sqrt(vec_dot(ORDERS_PATHS, x, x) / ORDERS_PATHS);
    return VPSDE_OK;
}

vpsde_status orders_strong_mixture(vpsde_orders_curve *curve, const orders_lab *lab,
                                   const vpsde_orders_case *c)
{
    const orders_problem *p = &lab->problem[ORDERS_BENT];
    double chi;
    VPSDE_TRY(orders_share_of_noise(&chi, lab, c));
    for (size_t r = 0; r < N_STEPS; r++) {
        VPSDE_TRY(point(curve, lab, c, p, (size_t)FIRST_STEPS << r, fine_of(lab, chi)->x));
    }
    return VPSDE_OK;
}
