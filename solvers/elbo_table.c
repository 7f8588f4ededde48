#include "solvers/elbo_table.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

enum { N_COLUMNS = VPSDE_N_BOUNDS + VPSDE_N_PER_STEP + 3, FACTS_MAX = 16 };

static const vpsde_column bounds[VPSDE_N_BOUNDS] = {
    [VPSDE_BOUND_ELBO] = {.name = "elbo",
                          .units = "nat",
                          .description = "lower bound of log p: -(l_prior + sum of l_step)"},
    [VPSDE_BOUND_BITS] = {.name = "bits_per_dim",
                          .description = "-elbo / (d log 2) plus the offset of the data's scale"},
    [VPSDE_BOUND_STDERR] = {.name = "elbo_stderr",
                            .units = "nat",
                            .description =
                                "standard error of elbo over its draws; NaN for one draw"},
    [VPSDE_BOUND_IWAE] = {.name = "iwae",
                          .units = "nat",
                          .description = "importance-weighted bound of log p over all draws"},
    [VPSDE_BOUND_IWAE_STDERR] = {.name = "iwae_stderr",
                                 .units = "nat",
                                 .description = "standard error of iwae, to first order in the "
                                                "spread of the weights; NaN for one draw"},
    [VPSDE_BOUND_I_MMSE] = {.name = "i_mmse",
                            .units = "nat",
                            .description = "I-MMSE estimate of log p, a density, by the "
                                           "trapezoidal rule in log snr over the chain"},
    [VPSDE_BOUND_PRIOR] = {.name = "l_prior",
                           .units = "nat",
                           .description = "L_T = KL(q(x_T | x_0) || N(0, I))"},
    [VPSDE_BOUND_DATA] = {.name = "l_0",
                          .units = "nat",
                          .description = "L_0 = -log p(x_0 | x_1), a density or a level's mass"},
};

static const vpsde_column per_step[VPSDE_N_PER_STEP] = {
    [VPSDE_PER_STEP_L] = {.name = "l_step",
                          .units = "nat",
                          .description = "L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)); "
                                         "the first is l_0"},
    [VPSDE_PER_STEP_EPS] = {.name = "mse_eps",
                            .description = "|eps(x_t) - eps|^2, summed over dimensions"},
    [VPSDE_PER_STEP_X0] = {.name = "mse_x0",
                           .description = "|x0hat(x_t) - x_0|^2, summed over dimensions"},
};

/* ---- staging --------------------------------------------------------------------------------- */

static vpsde_status fill_rows(vpsde_bound_rows *rows, size_t capacity)
{
    size_t cells;
    VPSDE_TRY(vpsde_size_mul(&cells, capacity, rows->n_steps, "terms of a block"));
    for (size_t c = 0; c < VPSDE_N_BOUNDS; c++) {
        VPSDE_TRY(vpsde_alloc(&rows->bound[c], capacity, sizeof(double)));
    }
    for (size_t c = 0; c < VPSDE_N_PER_STEP; c++) {
        VPSDE_TRY(vpsde_alloc(&rows->per_step[c], cells, sizeof(double)));
    }
    VPSDE_TRY(vpsde_alloc(&rows->nfe, capacity, sizeof(*rows->nfe)));
    return vpsde_alloc(&rows->status, capacity, sizeof(*rows->status));
}

vpsde_status vpsde_bound_rows_create(vpsde_bound_rows **out, size_t capacity, size_t n_steps)
{
    vpsde_bound_rows *rows;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&rows, 1, sizeof(*rows)));
    rows->n_steps = n_steps;
    const vpsde_status status = fill_rows(rows, capacity);
    if (status != VPSDE_OK) {
        vpsde_bound_rows_destroy(rows);
        return status;
    }
    *out = rows;
    return VPSDE_OK;
}

void vpsde_bound_rows_destroy(vpsde_bound_rows *rows)
{
    if (!rows) return;
    for (size_t c = 0; c < VPSDE_N_BOUNDS; c++) free(rows->bound[c]);
    for (size_t c = 0; c < VPSDE_N_PER_STEP; c++) free(rows->per_step[c]);
    free(rows->nfe);
    free(rows->status);
    free(rows);
}

/* ---- the table ------------------------------------------------------------------------------- */

static size_t collect_columns(vpsde_column *columns, size_t n_steps)
{
    size_t n = 0;
    for (size_t c = 0; c < VPSDE_N_BOUNDS; c++) {
        columns[n] = bounds[c];
        columns[n].dims = "";
        columns[n++].width = 1;
    }
    for (size_t c = 0; c < VPSDE_N_PER_STEP; c++) {
        columns[n] = per_step[c];
        columns[n].dims = "step";
        columns[n++].width = n_steps;
    }
    for (size_t c = 0; c < n; c++) {
        columns[c].type = VPSDE_F64;
        if (!columns[c].units) columns[c].units = "1";
    }
    columns[n++] = (vpsde_column){.name = "nfe",
                                  .units = "1",
                                  .description = "network calls",
                                  .type = VPSDE_I32,
                                  .dims = "",
                                  .width = 1};
    columns[n++] = (vpsde_column){.name = "status",
                                  .units = "1",
                                  .description = "how the row ended",
                                  .type = VPSDE_U8,
                                  .dims = "",
                                  .width = 1,
                                  .flag_meanings = "ok non_finite integration_failed"};
    return n;
}

static size_t collect_facts(vpsde_fact *fact, const vpsde_elbo *run, size_t pilot_nfe)
{
    static const char *const variances[] = {"large", "small", "optimal"};
    size_t n = 0;
    fact[n++] = (vpsde_fact){.name = "label", .text = run->label ? run->label : "chain"};
    fact[n++] =
        (vpsde_fact){.name = "source", .text = "Ho et al. 2020 (arXiv:2006.11239), eq. (5)"};
    fact[n++] = (vpsde_fact){.name = "variance", .text = variances[run->variance]};
    fact[n++] = (vpsde_fact){.name = "steps", .number = (double)run->grid->n_steps, .whole = true};
    fact[n++] = (vpsde_fact){.name = "draws", .number = (double)run->draws, .whole = true};
    fact[n++] =
        (vpsde_fact){.name = "l_0_form", .text = run->levels.width > 0 ? "levels" : "density"};
    if (run->levels.width > 0) {
        fact[n++] = (vpsde_fact){.name = "level_width", .number = run->levels.width};
    }
    fact[n++] = (vpsde_fact){.name = "bits_offset", .number = run->bits_offset};
    if (pilot_nfe) {
        fact[n++] = (vpsde_fact){.name = "pilot_nfe", .number = (double)pilot_nfe, .whole = true};
    }
    return n;
}

static vpsde_status begin(vpsde_delivery *delivery, const vpsde_elbo *run, vpsde_table *table,
                          vpsde_sink *sink)
{
    const size_t n_steps = run->grid->n_steps;
    double *time;
    char *path;
    VPSDE_TRY(vpsde_alloc(&time, n_steps, sizeof(*time)));
    for (size_t t = 1; t <= n_steps; t++) time[t - 1] = run->grid->node[n_steps - t].t;
    const struct vpsde_coordinate coordinate = {
        .name = "t", .units = "1", .description = "time of x_t", .values = time};
    const vpsde_axis axis = {.name = "step",
                             .length = n_steps,
                             .description = "steps of the chain, from data on",
                             .n_coordinates = 1,
                             .coordinates = &coordinate};
    vpsde_status status = vpsde_table_path(&path, "elbo", run->label ? run->label : "chain");
    if (status == VPSDE_OK) {
        table->path = path;
        table->axes = &axis;
        table->n_axes = 1;
        status = vpsde_delivery_begin(delivery, sink, table);
        free(path);
    }
    free(time);
    return status;
}

vpsde_status vpsde_bound_begin(vpsde_delivery *delivery, const vpsde_elbo *run, size_t pilot_nfe,
                               vpsde_sink *sink)
{
    vpsde_column columns[N_COLUMNS];
    vpsde_fact facts[FACTS_MAX];
    vpsde_table table = {
        .first = run->first, .count = run->count, .columns = columns, .facts = facts};
    table.n_columns = collect_columns(columns, run->grid->n_steps);
    if (run->classes) columns[table.n_columns++] = vpsde_class_column;
    table.n_facts = collect_facts(facts, run, pilot_nfe);
    return begin(delivery, run, &table, sink);
}

/* ---- delivery -------------------------------------------------------------------------------- */

static void blank(double *values, size_t n)
{
    for (size_t e = 0; e < n; e++) values[e] = (double)NAN;
}

vpsde_status vpsde_bound_write(vpsde_delivery *delivery, const vpsde_elbo *run,
                               vpsde_bound_rows *rows, uint64_t first, size_t n)
{
    const size_t n_steps = rows->n_steps;
    const void *data[N_COLUMNS];
    size_t column = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows->status[i] == VPSDE_ROW_OK) continue;
        for (size_t c = 0; c < VPSDE_N_BOUNDS; c++) blank(rows->bound[c] + i, 1);
        for (size_t c = 0; c < VPSDE_N_PER_STEP; c++) {
            blank(rows->per_step[c] + i * n_steps, n_steps);
        }
    }
    for (size_t c = 0; c < VPSDE_N_BOUNDS; c++) data[column++] = rows->bound[c];
    for (size_t c = 0; c < VPSDE_N_PER_STEP; c++) data[column++] = rows->per_step[c];
    data[column++] = rows->nfe;
    data[column++] = rows->status;
    if (run->classes) data[column++] = run->classes + (first - run->first);
    const vpsde_ledger ledger = {.nfe = rows->nfe, .status = rows->status};
    return vpsde_delivery_write(delivery, first, n, data, &ledger);
}
