/* Grids and chains of the order measurements. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "solvers/orders_impl.h"

void orders_widen(orders_wide_model *wide, const vpsde_model *of, size_t rows)
{
    wide->type = *of->type;
    wide->type.flags &= ~(unsigned)VPSDE_MODEL_ANALYTIC;
    wide->type.flags |= VPSDE_MODEL_ANY_ROWS;
    wide->model = *of;
    wide->model.type = &wide->type;
    wide->model.block_rows = rows;
}

/* Where the clocks start and end. Away from sigma = 0 the noise sigma'/sigma of a step is that of a
 * short step already at few steps; away from alpha = 0 nothing happens. */
static const double b_start = 3, b_end = 0.3, lambda_start = -2, lambda_end = 2.5;

static vpsde_coef place_b(const vpsde_process *process, double u)
{
    return vpsde_process_at_b(process, b_start + (b_end - b_start) * u);
}

static vpsde_coef place_lambda(const vpsde_process *process, double u)
{
    return vpsde_process_at_lambda(process, lambda_start + (lambda_end - lambda_start) * u);
}

static vpsde_coef place_wide(const vpsde_process *process, double u)
{
    return vpsde_process_at_lambda(process, -4 + 8 * u);
}

static vpsde_coef place_warped(const vpsde_process *process, double u)
{
    return place_lambda(process, u + sin(2 * M_PI * u) / (4 * M_PI));
}

vpsde_status orders_grid(vpsde_grid **out, const orders_lab *lab, orders_spacing spacing, size_t n)
{
    static vpsde_coef (*const place[])(const vpsde_process *,
                                       double) = {[ORDERS_IN_B] = place_b,
                                                  [ORDERS_IN_LAMBDA] = place_lambda,
                                                  [ORDERS_WARPED] = place_warped,
                                                  [ORDERS_WIDE] = place_wide};
    double *t;
    VPSDE_TRY(vpsde_alloc(&t, n + 1, sizeof(*t)));
    for (size_t k = 0; k <= n; k++) t[k] = place[spacing](lab->process, (double)k / (double)n).t;
    const vpsde_status status =
        vpsde_grid_create(out, vpsde_grid_find("user"), lab->process, n, NULL, t, VPSDE_LAST_STOP);
    free(t);
    return status;
}

static vpsde_status fill_table(orders_run *run, const vpsde_orders_case *c, const orders_problem *p)
{
    const size_t n_nodes = run->grid->n_steps + 1;
    double *square;
    VPSDE_TRY(vpsde_alloc(&square, n_nodes, sizeof(*square)));
    for (size_t k = 0; k < n_nodes; k++) {
        for (size_t j = 0; j < p->d; j++) {
            square[k] += orders_score_square(&p->law[j], &run->grid->node[k]);
        }
    }
    vpsde_pilot pilot = {
        .run = &run->sampling, .param = c->param, .n_threads = 1, .score_square = square};
    const vpsde_status status = c->solver->prepare(&pilot, run->table);
    free(square);
    return status;
}

static vpsde_status open_run(orders_run *run, const orders_lab *lab, const vpsde_orders_case *c,
                             const orders_problem *p, orders_spacing spacing, size_t n_steps,
                             size_t rows, const vpsde_noise_source *noise)
{
    VPSDE_TRY(orders_grid(&run->grid, lab, spacing, n_steps));
    orders_widen(&run->wide, p->model, rows);
    run->sampling = (vpsde_sampling){.process = lab->process,
                                     .model = &run->wide.model,
                                     .solver = c->solver,
                                     .param = c->param,
                                     .grid = run->grid,
                                     .count = rows,
                                     .n_threads = 1};
    if (c->solver->prepare) {
        VPSDE_TRY(vpsde_alloc(&run->table, n_steps + 1, sizeof(double)));
        VPSDE_TRY(fill_table(run, c, p));
    }
    VPSDE_TRY(
        vpsde_chain_create(&run->chain, &run->sampling, c->solver, c->param, run->table, noise));
    vpsde_chain_place(run->chain, 0, rows);
    return VPSDE_OK;
}

vpsde_status orders_run_open(orders_run *run, const orders_lab *lab, const vpsde_orders_case *c,
                             const orders_problem *p, orders_spacing spacing, size_t n_steps,
                             size_t rows, const vpsde_noise_source *noise)
{
    *run = (orders_run){0};
    const vpsde_status status = open_run(run, lab, c, p, spacing, n_steps, rows, noise);
    if (status != VPSDE_OK) orders_run_close(run);
    return status;
}

void orders_run_close(orders_run *run)
{
    vpsde_chain_destroy(run->chain);
    vpsde_grid_destroy(run->grid);
    free(run->table);
    *run = (orders_run){0};
}
