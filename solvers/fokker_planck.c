#include "solvers/fokker_planck.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "models/trained.h"
#include "solvers/fokker_planck_table.h"

enum { CELLS_MAX = 1 << 22 };
static const double most_outside = 1e-3, atol_share = 1e-4;

const char *vpsde_fokker_planck_name(vpsde_fp_direction direction)
{
    static const char *const names[VPSDE_N_FP_DIRECTIONS] = {"forward", "reverse"};
    return names[direction];
}

/* ---- checks ---------------------------------------------------------------------------------- */

static bool starts_exactly(const vpsde_fokker_planck *run)
{
    return run->direction == VPSDE_FP_FORWARD ||
           vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_EXACT;
}

static vpsde_status check_axes(const vpsde_fokker_planck *run)
{
    for (size_t a = 0; a < run->model->dim; a++) {
        if (!(isfinite(run->low[a]) && isfinite(run->high[a]) && run->low[a] < run->high[a])) {
            return vpsde_fail(VPSDE_EINVAL, "domain: expected low < high, got [%g, %g]",
                              run->low[a], run->high[a]);
        }
        if (run->cells[a] < 3 || run->cells[a] > CELLS_MAX) {
            return vpsde_fail(VPSDE_EINVAL, "cells: expected 3 to %d, got %zu", CELLS_MAX,
                              run->cells[a]);
        }
    }
    if (run->model->dim == 1 || run->cells[1] <= CELLS_MAX / run->cells[0]) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "cells: expected at most %d in all, got %zu x %zu", CELLS_MAX,
                      run->cells[0], run->cells[1]);
}

static vpsde_status check_times(const vpsde_fokker_planck *run)
{
    const double t_min = vpsde_process_get_spec(run->process)->t_min;
    const double t_max = vpsde_process_t_max(run->process);
    if (run->n_times == 0) return vpsde_fail(VPSDE_EINVAL, "times: there are none");
    for (size_t k = 0; k < run->n_times; k++) {
        const double t = run->times[k];
        if (!(t >= t_min && t <= t_max && (k == 0 || t > run->times[k - 1]))) {
            return vpsde_fail(VPSDE_EINVAL,
                              "times: expected an increasing list from process.t_min = %g to "
                              "process.t_max = %g, got %g at place %zu",
                              t_min, t_max, t, k);
        }
    }
    return VPSDE_OK;
}

vpsde_status vpsde_fokker_planck_check(const vpsde_fokker_planck *run)
{
    const vpsde_model *model = run->model;
    if (model->dim > VPSDE_FP_DIM) {
        return vpsde_fail(VPSDE_EINVAL, "%s has dimension %zu; cells fill 1 or 2 dimensions",
                          model->type->name, model->dim);
    }
    VPSDE_TRY(check_axes(run));
    VPSDE_TRY(check_times(run));
    VPSDE_TRY(vpsde_guidance_check(run->guidance, model));
    if (run->class < VPSDE_NO_CLASS || run->class >= (int32_t)model->n_classes) {
        return vpsde_fail(VPSDE_EINVAL, "class: %s has %zu classes, from 0 on, got %d",
                          model->type->name, model->n_classes, (int)run->class);
    }
    if (starts_exactly(run) && !vpsde_fp_knows_density(run)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "direction: %s starts from a density that %s does not know; expected "
                          "reverse with process.terminal: standard-normal",
                          vpsde_fokker_planck_name(run->direction), model->type->name);
    }
    const double t_min = vpsde_process_get_spec(run->process)->t_min;
    if (run->direction == VPSDE_FP_FORWARD) return VPSDE_OK;
    if (t_min > 0) return vpsde_model_check_t_min(model, t_min);
    return vpsde_fail(VPSDE_EINVAL, "direction: reverse needs process.t_min > 0, got %g", t_min);
}

/* ---- what a time says ------------------------------------------------------------------------ */

static bool is_outermost(const vpsde_fp_cells *cells, size_t e)
{
    const size_t *n = cells->n, row = e / n[1], column = e % n[1];
    return row == 0 || row + 1 == n[0] || (cells->d > 1 && (column == 0 || column + 1 == n[1]));
}

/* q log q, 0 where the tolerance of time leaves q at or below 0. */
static double q_log_q(double q) { return q > 0 ? q * log(q) : 0; }

static void sum_up(vpsde_fp_row *row, const vpsde_fp_cells *cells)
{
    const double *q = row->field[VPSDE_FP_DENSITY];
    double mass = 0, q_log = 0, log_normal = 0, least = q[0], edge = 0;
    for (size_t e = 0; e < cells->n_cells; e++) {
        mass += q[e];
        q_log += q_log_q(q[e]);
        log_normal += q[e] * vpsde_prior_logp(cells->centre + e * cells->d, cells->d);
        least = fmin(least, q[e]);
        edge += is_outermost(cells, e) ? q[e] : 0;
    }
    row->number[VPSDE_FP_MASS] = cells->volume * mass;
    row->number[VPSDE_FP_ENTROPY] = -cells->volume * q_log;
    row->number[VPSDE_FP_FREE_ENERGY] = cells->volume * (q_log - log_normal);
    row->number[VPSDE_FP_MIN_DENSITY] = least;
    row->number[VPSDE_FP_EDGE_MASS] = cells->volume * edge;
}

static vpsde_status compare(vpsde_fp_row *row, const vpsde_fp_cells *cells, double t)
{
    const double *q = row->field[VPSDE_FP_DENSITY];
    double *exact = row->field[VPSDE_FP_EXACT], mass = 0, difference = 0;
    const vpsde_coef at = vpsde_process_at(cells->run->process, t);
    if (!vpsde_fp_knows_density(cells->run)) return VPSDE_OK;
    VPSDE_TRY(vpsde_fp_cells_density(cells, &at, exact));
    for (size_t e = 0; e < cells->n_cells; e++) {
        mass += exact[e];
        difference += fabs(q[e] - exact[e]);
    }
    row->number[VPSDE_FP_TV] = cells->volume * difference / 2;
    row->number[VPSDE_FP_OUTSIDE] = 1 - cells->volume * mass;
    return VPSDE_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* q <- the density that the run starts from. */
static vpsde_status start(const vpsde_fp_cells *cells, double *q)
{
    const vpsde_fokker_planck *run = cells->run;
    double mass = 0;
    if (starts_exactly(run)) {
        VPSDE_TRY(vpsde_fp_cells_density(cells, &cells->at, q));
    } else {
        for (size_t e = 0; e < cells->n_cells; e++) {
            q[e] = exp(vpsde_prior_logp(cells->centre + e * cells->d, cells->d));
        }
    }
    for (size_t e = 0; e < cells->n_cells; e++) mass += cells->volume * q[e];
    if (fabs(mass - 1) <= most_outside) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "%s: the cells hold %.6g of the density at t = %g, not 1; expected a wider "
                      "domain or more cells",
                      vpsde_fokker_planck_name(run->direction), mass, cells->at.t);
}

static vpsde_status store_times(vpsde_fp_cells *cells, vpsde_fp_row *row,
                                vpsde_cvode_linear *solver, const vpsde_linear_system *system,
                                vpsde_sink *sink)
{
    const vpsde_fokker_planck *run = cells->run;
    double *q = row->field[VPSDE_FP_DENSITY];
    for (size_t k = 0; k < run->n_times; k++) {
        const double t = vpsde_fp_time(run, k);
        const double s = fabs(vpsde_process_at(run->process, t).b - cells->b_start);
        VPSDE_TRY(vpsde_cvode_linear_advance(solver, s, q));
        VPSDE_TRY(system->at(cells, s)); /* the step may end behind s */
        vpsde_fp_cells_flux(cells, q, row->field[VPSDE_FP_FLUX]);
        sum_up(row, cells);
        VPSDE_TRY(compare(row, cells, t));
        row->steps = (int32_t)vpsde_cvode_linear_steps(solver);
        if (!sink || !sink->has || !sink->has(sink->self, k, 1)) {
            VPSDE_TRY(vpsde_fp_write(sink, cells, k, row));
        }
        if (run->control.progress) {
            run->control.progress(run->control.context, k + 1, run->n_times);
        }
    }
    return VPSDE_OK;
}

static vpsde_status integrate(vpsde_fp_cells *cells, vpsde_fp_row *row, vpsde_sink *sink)
{
    const vpsde_fokker_planck *run = cells->run;
    const double t_last = run->direction == VPSDE_FP_FORWARD
                              ? vpsde_process_t_max(run->process)
                              : vpsde_process_get_spec(run->process)->t_min;
    const double s_end = fabs(vpsde_process_at(run->process, t_last).b - cells->b_start);
    const vpsde_linear_system system = vpsde_fp_cells_system(cells);
    vpsde_cvode_linear *solver;
    VPSDE_TRY(start(cells, row->field[VPSDE_FP_DENSITY]));
    VPSDE_TRY(vpsde_fp_begin(sink, cells));
    if (sink && sink->has && sink->has(sink->self, 0, run->n_times)) return VPSDE_OK;
    VPSDE_TRY(vpsde_cvode_linear_open(&solver, &system, run->tolerance, run->tolerance * atol_share,
                                      0, s_end, row->field[VPSDE_FP_DENSITY]));
    const vpsde_status status = store_times(cells, row, solver, &system, sink);
    vpsde_cvode_linear_close(solver);
    return status == VPSDE_OK
               ? status
               : vpsde_fail_in(status, "%s", vpsde_fokker_planck_name(run->direction));
}

static vpsde_status make_row(vpsde_fp_row *row, const vpsde_fp_cells *cells)
{
    for (size_t c = 0; c < VPSDE_N_FP_FIELDS; c++) {
        VPSDE_TRY(vpsde_alloc(&row->field[c], cells->n_cells * cells->d, sizeof(double)));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_fokker_planck_run(const vpsde_fokker_planck *run, vpsde_sink *sink)
{
    vpsde_fp_cells cells;
    vpsde_fp_row row = {0};
    const double started = vpsde_clock_s();
    VPSDE_TRY(vpsde_fokker_planck_check(run));
    VPSDE_TRY(vpsde_fp_cells_open(&cells, run));
    vpsde_status status = make_row(&row, &cells);
    if (status == VPSDE_OK) status = integrate(&cells, &row, sink);
    if (status == VPSDE_OK && sink && sink->end) {
        const vpsde_fact facts[] = {
            {.name = "wall_seconds", .number = vpsde_clock_s() - started},
            {.name = "threads", .number = (double)cells.n_parts, .whole = true},
        };
        status = sink->end(sink->self, facts, sizeof(facts) / sizeof(facts[0]));
    }
    for (size_t c = 0; c < VPSDE_N_FP_FIELDS; c++) free(row.field[c]);
    vpsde_fp_cells_close(&cells);
    return status;
}
