/* ODE orders: end states against exact flow maps, from the same start points. */
#include <math.h>

#include "core/vec.h"
#include "solvers/orders_impl.h"

enum { STATE = 2 * ORDERS_POINTS, FIRST_STEPS = 12, FIRST_HOPS = 2, N_STEPS = 8 };

double orders_distance(const orders_problem *p, const double *x, const double *y)
{
    double sum = 0;
    for (size_t e = 0; e < ORDERS_POINTS * p->d; e++) sum += (x[e] - y[e]) * (x[e] - y[e]);
    return sqrt(sum / ORDERS_POINTS);
}

void orders_ends(const orders_problem *p, const vpsde_coef *t, const vpsde_coef *s,
                 const double *start, double *end)
{
    vec_copy(ORDERS_POINTS * p->d, end, start);
    for (size_t i = 0; i < ORDERS_POINTS; i++) orders_flow(p, t, s, end + i * p->d);
}

static vpsde_status walk(double *x, double *calls, const orders_lab *lab,
                         const vpsde_orders_case *c, const orders_problem *p,
                         orders_spacing spacing, size_t n)
{
    orders_run run;
    VPSDE_TRY(orders_run_open(&run, lab, c, p, spacing, n, ORDERS_POINTS, &vpsde_noise_of_runs));
    double *state = vpsde_chain_rows(run.chain);
    vec_copy(ORDERS_POINTS * p->d, state, x);
    vpsde_status status = VPSDE_OK;
    for (size_t k = 0; k < n && status == VPSDE_OK; k++) status = vpsde_chain_step(run.chain, k);
    vec_copy(ORDERS_POINTS * p->d, x, state);
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
            orders_hop(lab, c, p, &grid->node[k], &grid->node[k + 1], ORDERS_POINTS, x, calls));
    }
    return VPSDE_OK;
}

static vpsde_status point(vpsde_orders_curve *curve, const orders_lab *lab,
                          const vpsde_orders_case *c, const orders_problem *p,
                          orders_spacing spacing, size_t n)
{
    double x[STATE], end[STATE], calls;
    vpsde_grid *grid;
    VPSDE_TRY(orders_grid(&grid, lab, spacing, n));
    orders_points(p, &grid->node[0], x);
    orders_ends(p, &grid->node[0], &grid->node[n], x, end);
    const vpsde_status status = vpsde_solver_is_adaptive(c->solver)
                                    ? hop(x, &calls, lab, c, p, grid)
                                    : walk(x, &calls, lab, c, p, spacing, n);
    vpsde_grid_destroy(grid);
    VPSDE_TRY(status);
    curve->steps[curve->n] = (double)n;
    curve->nfe[curve->n] = calls;
    curve->error[curve->n++] = orders_distance(p, x, end);
    return VPSDE_OK;
}

/* Formulas of high order go a longer way over a sharper problem, or rounding would leave them too
 * few doublings. */
static vpsde_status flow(vpsde_orders_curve *curve, const orders_lab *lab,
                         const vpsde_orders_case *c, size_t problem, orders_spacing spacing)
{
    const size_t first = vpsde_solver_is_adaptive(c->solver) ? FIRST_HOPS : FIRST_STEPS;
    for (size_t r = 0; r < N_STEPS; r++) {
        VPSDE_TRY(point(curve, lab, c, &lab->problem[problem], spacing, first << r));
    }
    return VPSDE_OK;
}

vpsde_status orders_ode_gaussian(vpsde_orders_curve *curve, const orders_lab *lab,
                                 const vpsde_orders_case *c)
{
    const bool wide = vpsde_solver_is_adaptive(c->solver);
    return flow(curve, lab, c, wide ? ORDERS_NARROW : ORDERS_GAUSSIAN,
                wide ? ORDERS_WIDE : ORDERS_IN_LAMBDA);
}

vpsde_status orders_ode_mixture(vpsde_orders_curve *curve, const orders_lab *lab,
                                const vpsde_orders_case *c)
{
    const bool wide = vpsde_solver_is_adaptive(c->solver);
    return flow(curve, lab, c, wide ? ORDERS_SHARP : ORDERS_ROTATED,
                wide ? ORDERS_WIDE : ORDERS_WARPED);
}
