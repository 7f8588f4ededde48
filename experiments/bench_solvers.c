#include <math.h>

#include "core/clock.h"
#include "core/parallel.h"
#include "experiments/bench.h"
#include "experiments/bench_clock.h"

enum { DIM = 2, SAMPLES = 2048, STEPS = 20, ROUNDS = 5 };

static const vpsde_bench_column columns[] = {
    {"nfe_per_step", "1", "network calls a step", "calls/step", 1, 1},
    {"step", "s", "one sample's step, all in all", "ns a step", 1e-9, 1},
    {"noise", "s", "of it driving noise", "noise, ns", 1e-9, 1},
};

const vpsde_bench_form vpsde_bench_solvers_form = {
    .name = "solvers",
    .row = "solver",
    .description = "solver of fixed steps, at its default parameters",
    .columns = columns,
    .n_columns = sizeof(columns) / sizeof(columns[0]),
};

/* Data N(0, I), so that p_t is N(0, I) too and eps = sigma x: a multiplication a component. */
static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const size_t d = model->dim;
    (void)ws;
    for (size_t i = 0; i < e->n; i++) {
        const double sigma = e->coef[i * e->coef_stride].sigma;
        for (size_t j = 0; j < d; j++) e->eps[i * d + j] = sigma * e->x[i * d + j];
        if (!e->logp) continue;
        e->logp[i] = 0;
        for (size_t j = 0; j < d; j++) e->logp[i] -= 0.5 * e->x[i * d + j] * e->x[i * d + j];
    }
    return VPSDE_OK;
}

static const vpsde_model_type standard_normal = {
    .name = "standard-normal",
    .flags = VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_ANY_ROWS | VPSDE_MODEL_LOG_P,
    .eval = eval,
};

/* The run without a clock in it tells the step, a watched one its noise. */
static vpsde_status measure(double *value, const vpsde_sampling *run)
{
    enum { NFE, STEP, NOISE };
    const double steps = (double)run->count * (double)run->grid->n_steps;
    value[NFE] =
        (double)vpsde_solver_nfe(run->solver, NULL, run->grid) / (double)run->grid->n_steps;
    value[STEP] = value[NOISE] = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = vpsde_clock_s();
        VPSDE_TRY(vpsde_sample(run, NULL));
        value[STEP] = fmin(value[STEP], (vpsde_clock_s() - start) / steps);
        vpsde_sampling watched = *run;
        vpsde_bench_clock clock;
        vpsde_bench_times times;
        vpsde_bench_clock_start(&clock, &watched, NULL);
        const vpsde_status status = vpsde_sample(&watched, NULL);
        vpsde_bench_clock_stop(&times);
        VPSDE_TRY(status);
        value[NOISE] = fmin(value[NOISE], fmax(times.noise, 0) / steps);
    }
    return VPSDE_OK;
}

static vpsde_status each(vpsde_bench_table *table, vpsde_sampling *run, const vpsde_cli *cli)
{
    double *value;
    for (size_t i = 0; (run->solver = vpsde_solver_at(i)); i++) {
        VPSDE_TRY(vpsde_check_stop(cli->control.stop));
        if (!run->solver->step) continue;
        VPSDE_TRY(vpsde_bench_row(&value, table, run->solver->name));
        VPSDE_TRY(measure(value, run));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_bench_solvers(vpsde_bench_table *table, const vpsde_cli *cli)
{
    const vpsde_model model = {.type = &standard_normal, .dim = DIM, .rank = 1, .shape = {DIM}};
    vpsde_process_spec spec;
    vpsde_process *process;
    vpsde_grid *grid = NULL;
    VPSDE_TRY(vpsde_process_spec_init(&spec, "vp-linear"));
    VPSDE_TRY(vpsde_process_create(&process, &spec));
    vpsde_status status = vpsde_grid_create(&grid, vpsde_grid_find("uniform-t"), process, STEPS,
                                            NULL, NULL, VPSDE_LAST_STOP);
    vpsde_sampling run = {.process = process,
                          .model = &model,
                          .grid = grid,
                          .seed = 1,
                          .count = SAMPLES,
                          .n_threads = 1};
    if (status == VPSDE_OK) status = each(table, &run, cli);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
    return status;
}
