#include "solvers/fokker_planck_table.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/sink.h"

enum { N_COLUMNS = VPSDE_N_FP_NUMBERS + VPSDE_N_FP_FIELDS + 1, N_COEFS = 4, FACTS_MAX = 16 };

static const vpsde_column numbers[VPSDE_N_FP_NUMBERS] = {
    [VPSDE_FP_MASS] = {.name = "mass", .description = "probability in all cells"},
    [VPSDE_FP_FREE_ENERGY] = {.name = "free_energy",
                              .units = "nat",
                              .description = "F = KL(density || N(0, I)), summed over cells"},
    [VPSDE_FP_ENTROPY] = {.name = "entropy",
                          .units = "nat",
                          .description = "differential entropy, summed over cells"},
    [VPSDE_FP_MIN_DENSITY] = {.name = "min_density",
                              .description = "smallest density of a cell; below 0 by the tolerance "
                                             "of time alone"},
    [VPSDE_FP_EDGE_MASS] = {.name = "edge_mass",
                            .description = "probability in the outermost cells: none where the "
                                           "domain is wide enough"},
    [VPSDE_FP_TV] = {.name = "tv",
                     .description = "total variation distance of density and exact, half the "
                                    "integral of their absolute difference"},
    [VPSDE_FP_OUTSIDE] = {.name = "mass_outside",
                          .description = "probability of the model's own law outside the domain"},
};

static const vpsde_column fields[VPSDE_N_FP_FIELDS] = {
    [VPSDE_FP_DENSITY] = {.name = "density", .description = "probability density of the cells"},
    [VPSDE_FP_FLUX] = {.name = "flux",
                       .description = "probability flux at the cells' middles, a unit of b, in the "
                                      "direction of the run"},
    [VPSDE_FP_EXACT] = {.name = "exact",
                        .description = "density of the model's own law there, of its class if one "
                                       "is asked for; what guidance aims at is another"},
};

static const struct {
    const char *name, *description;
    size_t offset;
} coefs[N_COEFS] = {
    {"t", "time of the process", offsetof(vpsde_coef, t)},
    {"b", "int_0^t beta, the clock of the flux", offsetof(vpsde_coef, b)},
    {"alpha", "x_t = alpha x_0 + sigma eps", offsetof(vpsde_coef, alpha)},
    {"sigma", "x_t = alpha x_0 + sigma eps", offsetof(vpsde_coef, sigma)},
};

double vpsde_fp_time(const vpsde_fokker_planck *run, size_t number)
{
    const bool forward = run->direction == VPSDE_FP_FORWARD;
    return run->times[forward ? number : run->n_times - 1 - number];
}

bool vpsde_fp_knows_density(const vpsde_fokker_planck *run)
{
    return run->model->type->flags & VPSDE_MODEL_LOG_P;
}

/* Without a known density the columns about it are left out: they come last of their kind. */
static size_t collect_columns(vpsde_column *columns, const vpsde_fp_cells *cells)
{
    const bool knows = vpsde_fp_knows_density(cells->run);
    const char *const dims[2] = {cells->d > 1 ? "x_cell y_cell" : "x_cell",
                                 cells->d > 1 ? "dim x_cell y_cell" : "dim x_cell"};
    size_t n = 0;
    for (size_t c = 0; c < (knows ? VPSDE_N_FP_NUMBERS : VPSDE_FP_TV); c++) {
        columns[n] = numbers[c];
        columns[n].dims = "";
        columns[n++].width = 1;
    }
    for (size_t c = 0; c < (knows ? VPSDE_N_FP_FIELDS : VPSDE_FP_EXACT); c++) {
        columns[n] = fields[c];
        columns[n].dims = dims[c == VPSDE_FP_FLUX];
        columns[n++].width = cells->n_cells * (c == VPSDE_FP_FLUX ? cells->d : 1);
    }
    for (size_t c = 0; c < n; c++) {
        columns[c].type = VPSDE_F64;
        if (!columns[c].units) columns[c].units = "1";
    }
    columns[n++] = (vpsde_column){.name = "steps",
                                  .units = "1",
                                  .description = "BDF steps up to here",
                                  .type = VPSDE_I32,
                                  .dims = "",
                                  .width = 1};
    return n;
}

static size_t collect_facts(vpsde_fact *fact, const vpsde_fp_cells *cells)
{
    static const char *const lows[] = {"x_low", "y_low"}, *const highs[] = {"x_high", "y_high"};
    const vpsde_fokker_planck *run = cells->run;
    const bool exact = vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_EXACT;
    size_t n = 0;
    fact[n++] = (vpsde_fact){.name = "direction", .text = vpsde_fokker_planck_name(run->direction)};
    fact[n++] = (vpsde_fact){.name = "source",
                             .text = "Scharfetter & Gummel 1969, IEEE Trans. Electron Devices 16, "
                                     "64; CVODE BDF"};
    fact[n++] = (vpsde_fact){
        .name = "equation",
        .text = run->direction == VPSDE_FP_FORWARD
                    ? "d_b p = div(x p)/2 + Lap p/2"
                    : "d_tau q = -div((x/2 + s) q) + Lap q/2, s = -eps/sigma, tau = b_max - b"};
    if (run->direction == VPSDE_FP_REVERSE) {
        fact[n++] = (vpsde_fact){.name = "terminal", .text = exact ? "exact" : "standard-normal"};
    }
    fact[n++] = (vpsde_fact){.name = "tolerance", .number = run->tolerance};
    for (size_t a = 0; a < cells->d; a++) {
        fact[n++] = (vpsde_fact){.name = lows[a], .number = run->low[a]};
        fact[n++] = (vpsde_fact){.name = highs[a], .number = run->high[a]};
    }
    if (run->class >= 0) {
        fact[n++] = (vpsde_fact){.name = "class", .number = run->class, .whole = true};
        fact[n++] = (vpsde_fact){.name = "guidance", .number = run->guidance};
    }
    return n;
}

static vpsde_status begin(vpsde_sink *sink, const vpsde_fp_cells *cells, const char *path,
                          double *times)
{
    static const char *const names[] = {"x_cell", "y_cell"}, *const middles[] = {"x", "y"};
    const vpsde_fokker_planck *run = cells->run;
    struct vpsde_coordinate time[N_COEFS], middle[VPSDE_FP_DIM];
    vpsde_column columns[N_COLUMNS];
    vpsde_fact facts[FACTS_MAX];
    vpsde_axis axes[VPSDE_FP_DIM + 2];
    for (size_t c = 0; c < N_COEFS; c++) {
        double *values = times + c * run->n_times;
        for (size_t k = 0; k < run->n_times; k++) {
            const vpsde_coef at = vpsde_process_at(run->process, vpsde_fp_time(run, k));
            values[k] = *(const double *)((const char *)&at + coefs[c].offset);
        }
        time[c] = (struct vpsde_coordinate){coefs[c].name, "1", coefs[c].description, values};
    }
    axes[0] =
        (vpsde_axis){"time", run->n_times, "stored times, in the order of the run", N_COEFS, time};
    axes[1] = (vpsde_axis){.name = "dim", .length = cells->d, .description = "directions x, y"};
    for (size_t a = 0; a < cells->d; a++) {
        middle[a] =
            (struct vpsde_coordinate){middles[a], "1", "middle of the cell", cells->middle[a]};
        axes[a + 2] = (vpsde_axis){names[a], cells->n[a], "cells along this axis", 1, &middle[a]};
    }
    vpsde_table table = {.path = path,
                         .row_axis = "time",
                         .count = run->n_times,
                         .axes = axes,
                         .n_axes = cells->d + 2,
                         .columns = columns,
                         .facts = facts};
    table.n_columns = collect_columns(columns, cells);
    table.n_facts = collect_facts(facts, cells);
    VPSDE_TRY(vpsde_table_check(&table));
    return sink ? sink->begin(sink->self, &table) : VPSDE_OK;
}

vpsde_status vpsde_fp_begin(vpsde_sink *sink, const vpsde_fp_cells *cells)
{
    const vpsde_fokker_planck *run = cells->run;
    char *path;
    double *times;
    VPSDE_TRY(vpsde_format(&path, "/fokker_planck/%s", vpsde_fokker_planck_name(run->direction)));
    vpsde_status status = vpsde_alloc(&times, run->n_times, N_COEFS * sizeof(*times));
    if (status == VPSDE_OK) {
        status = begin(sink, cells, path, times);
        free(times);
    }
    free(path);
    return status;
}

vpsde_status vpsde_fp_write(vpsde_sink *sink, const vpsde_fp_cells *cells, size_t number,
                            const vpsde_fp_row *row)
{
    const bool knows = vpsde_fp_knows_density(cells->run);
    const void *data[N_COLUMNS];
    size_t n = 0;
    if (!sink) return VPSDE_OK;
    for (size_t c = 0; c < (knows ? VPSDE_N_FP_NUMBERS : VPSDE_FP_TV); c++) {
        data[n++] = &row->number[c];
    }
    for (size_t c = 0; c < (knows ? VPSDE_N_FP_FIELDS : VPSDE_FP_EXACT); c++) {
        data[n++] = row->field[c];
    }
    data[n++] = &row->steps;
    return sink->write(sink->self, number, 1, data);
}
