#include "solvers/driver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "core/sink.h"
#include "models/trained.h"
#include "solvers/driver_table.h"

static double wall_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The noise address holds 48 bits of a sample's index. */
static const uint64_t SAMPLE_END = (uint64_t)1 << 48;

bool vpsde_sampling_from_t_max(const vpsde_sampling *run)
{
    const double t_max = vpsde_process_t_max(run->process);
    return !run->grid || fabs(run->grid->node[0].t - t_max) <= 1e-12 * t_max;
}

/* What the run's kind of solver needs: one that integrates takes tolerances, one that steps a grid. */
static vpsde_status check_solver(const vpsde_sampling *run)
{
    const vpsde_solver_type *solver = run->solver;
    if (!solver->step && !solver->integrate) {
        return vpsde_fail(VPSDE_EINVAL, "%s has neither a step nor an integrator", solver->name);
    }
    if (!solver->integrate && (!run->grid || run->grid->n_steps == 0)) {
        return vpsde_fail(VPSDE_EINVAL, "%s takes fixed steps and needs a grid", solver->name);
    }
    if (!solver->integrate && run->grid->n_steps > UINT32_MAX / VPSDE_DRAWS_PER_STEP - 2) {
        return vpsde_fail(VPSDE_EINVAL, "steps: must be below 2^30, got %zu", run->grid->n_steps);
    }
    if (!solver->integrate) return VPSDE_OK;
    const bool finite = isfinite(run->rtol) && isfinite(run->atol);
    if (!finite || !(run->rtol > 0 && run->atol > 0)) {
        return vpsde_fail(VPSDE_EINVAL, "%s needs finite rtol > 0 and atol > 0, got %g and %g",
                          solver->name, run->rtol, run->atol);
    }
    if (run->log.n_times == SIZE_MAX) {
        return vpsde_fail(VPSDE_EINVAL,
                          "log.times: all is for fixed-step solvers; %s chooses its own steps; "
                          "expected a number, none or a list",
                          solver->name);
    }
    return VPSDE_OK;
}

/* N(0, I) is the law of x at t_max and at no other time. */
static vpsde_status check_start(const vpsde_sampling *run)
{
    const vpsde_terminal terminal = vpsde_process_get_spec(run->process)->terminal;
    if (run->init || terminal != VPSDE_TERMINAL_STANDARD_NORMAL) return VPSDE_OK;
    if (vpsde_sampling_from_t_max(run)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "start states at t = %g must be given (sampler.init): the prior is for "
                      "t_max = %g",
                      run->grid->node[0].t, vpsde_process_t_max(run->process));
}

static vpsde_status check_run(const vpsde_sampling *run)
{
    if (!run->process || !run->model || !run->solver) {
        return vpsde_fail(VPSDE_EINVAL,
                          "sampling needs a process, a model and a solver; %s is not set",
                          !run->process ? "process"
                          : !run->model ? "model"
                                        : "solver");
    }
    if (run->count == 0 || run->first >= SAMPLE_END || run->count > SAMPLE_END - run->first) {
        return vpsde_fail(VPSDE_EINVAL,
                          "count: must be 1 or more and end below sample 2^48, got %zu from %zu",
                          run->count, run->first);
    }
    VPSDE_TRY(check_solver(run));
    VPSDE_TRY(check_start(run));
    if (run->log.n_times > 0 && !run->grid) {
        return vpsde_fail(VPSDE_EINVAL,
                          "log.times: states are stored at nodes of a grid, and there is none");
    }
    if (run->log.dtype != VPSDE_F32 && run->log.dtype != VPSDE_F64) {
        return vpsde_fail(VPSDE_EINVAL, "log.dtype: must be float32 or float64");
    }
    for (size_t i = 0; run->classes && i < run->count; i++) {
        if (run->classes[i] < -1 || run->classes[i] >= (int64_t)run->model->n_classes) {
            return vpsde_fail(VPSDE_EINVAL,
                              "class of sample %zu: must be -1 (none) or below %zu, got %d",
                              run->first + i, run->model->n_classes, run->classes[i]);
        }
    }
    return VPSDE_OK;
}

static vpsde_status read_params(double *param, const vpsde_sampling *run)
{
    const vpsde_param *table = run->solver->params;
    vpsde_param_defaults(param, table);
    for (size_t p = 0; run->param && p < vpsde_param_count(table); p++) {
        const vpsde_status status = vpsde_param_set(param, table, table[p].name, run->param[p]);
        if (status != VPSDE_OK) return vpsde_fail_in(status, "%s", run->solver->name);
    }
    return VPSDE_OK;
}

/* Node of the grid nearest in t. */
static size_t nearest_node(const vpsde_grid *grid, double t)
{
    size_t best = 0;
    for (size_t k = 1; k <= grid->n_steps; k++) {
        if (fabs(grid->node[k].t - t) < fabs(grid->node[best].t - t)) best = k;
    }
    return best;
}

static vpsde_status wanted_nodes(unsigned char *wanted, const vpsde_sampling *run)
{
    const size_t n_steps = run->grid->n_steps, n = run->log.n_times;
    if (run->log.times) {
        for (size_t m = 0; m < n; m++) {
            if (!isfinite(run->log.times[m])) {
                return vpsde_fail(VPSDE_EINVAL, "log.times: entry %zu must be a time, got %g", m,
                                  run->log.times[m]);
            }
            wanted[nearest_node(run->grid, run->log.times[m])] = 1;
        }
        return VPSDE_OK;
    }
    if (n > n_steps) {
        memset(wanted, 1, n_steps + 1);
        return VPSDE_OK;
    }
    /* one stored node alone is the last */
    if (n == 1) wanted[n_steps] = 1;
    for (size_t m = 0; n > 1 && m < n; m++) {
        wanted[(size_t)lround((double)m * (double)n_steps / (double)(n - 1))] = 1;
    }
    return VPSDE_OK;
}

static vpsde_status choose_nodes(vpsde_report *report)
{
    const vpsde_sampling *run = report->run;
    unsigned char *wanted;
    if (run->log.n_times == 0 || run->log.fields == 0) return VPSDE_OK;
    const size_t n_nodes = run->grid->n_steps + 1;
    VPSDE_TRY(vpsde_alloc(&report->stored, n_nodes, sizeof(*report->stored)));
    VPSDE_TRY(vpsde_alloc(&wanted, n_nodes, 1));
    const vpsde_status status = wanted_nodes(wanted, run);
    for (size_t k = 0; status == VPSDE_OK && k < n_nodes; k++) {
        if (wanted[k]) report->stored[report->n_stored++] = k;
    }
    free(wanted);
    report->fields = run->log.fields & ((1u << VPSDE_N_FIELDS) - 1);
    const bool stochastic =
        run->solver->weak_order > 0 || run->solver->flags & VPSDE_SOLVER_STOCHASTIC;
    if (!stochastic) report->fields &= ~(unsigned)VPSDE_LOG_NOISE;
    return status;
}

static vpsde_status fill(vpsde_report *report)
{
    VPSDE_TRY(check_run(report->run));
    VPSDE_TRY(vpsde_model_check_t_min(report->run->model,
                                      vpsde_process_get_spec(report->run->process)->t_min));
    VPSDE_TRY(read_params(report->param, report->run));
    VPSDE_TRY(vpsde_threads(&report->n_threads, report->run->n_threads));
    VPSDE_TRY(choose_nodes(report));
    return vpsde_lock_create(&report->lock);
}

vpsde_status vpsde_report_create(vpsde_report **out, const vpsde_sampling *run)
{
    *out = NULL;
    vpsde_report *report;
    VPSDE_TRY(vpsde_alloc(&report, 1, sizeof(*report)));
    report->run = run;
    report->started = wall_seconds();
    report->first_bad = UINT64_MAX;
    const vpsde_status status = fill(report);
    if (status != VPSDE_OK) {
        vpsde_report_destroy(report);
        return status;
    }
    *out = report;
    return VPSDE_OK;
}

void vpsde_report_destroy(vpsde_report *report)
{
    if (!report) return;
    vpsde_lock_destroy(report->lock);
    vpsde_table_destroy(report->parts);
    free(report->stored);
    free(report);
}

vpsde_status vpsde_report_begin(vpsde_report *report, vpsde_sink *sink, const vpsde_fact *extra,
                                size_t n_extra)
{
    VPSDE_TRY(vpsde_table_create(&report->parts, report, extra, n_extra));
    VPSDE_TRY(vpsde_table_check(vpsde_table_of(report->parts)));
    report->sink = sink;
    return sink ? sink->begin(sink->self, vpsde_table_of(report->parts)) : VPSDE_OK;
}

static vpsde_status partial(const vpsde_report *report)
{
    const size_t bad = report->n_non_finite + report->n_failed;
    if (bad == 0) return VPSDE_OK;
    if (report->n_failed == 0) {
        return vpsde_fail(VPSDE_EPARTIAL,
                          "%zu of %zu samples became non-finite (first: sample %llu)", bad,
                          report->run->count, (unsigned long long)report->first_bad);
    }
    return vpsde_fail(VPSDE_EPARTIAL,
                      "%zu of %zu samples failed: %zu became non-finite, %zu integrations failed "
                      "(first: sample %llu)",
                      bad, report->run->count, report->n_non_finite, report->n_failed,
                      (unsigned long long)report->first_bad);
}

vpsde_status vpsde_report_end(vpsde_report *report, vpsde_status status)
{
    if (status != VPSDE_OK) return status;
    const double seconds = fmax(wall_seconds() - report->started, 1e-9);
    const vpsde_fact rates[] = {
        {.name = "wall_seconds", .number = seconds},
        {.name = "samples_per_second", .number = (double)report->done / seconds},
        {.name = "nfe_per_second", .number = report->nfe / seconds},
        {.name = "threads", .number = (double)report->n_threads, .whole = true},
    };
    if (report->sink && report->sink->end) {
        VPSDE_TRY(report->sink->end(report->sink->self, rates, sizeof(rates) / sizeof(rates[0])));
    }
    return partial(report);
}

static void tally(vpsde_report *report, const vpsde_rows *rows, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        report->nfe += rows->nfe[i] + rows->nfe_log[i];
        report->n_non_finite += rows->status[i] == VPSDE_ROW_NON_FINITE;
        report->n_failed += rows->status[i] == VPSDE_ROW_INTEGRATION_FAILED;
        if (rows->status[i] != VPSDE_ROW_OK && first + i < report->first_bad) {
            report->first_bad = first + i;
        }
    }
    report->done += n;
}

vpsde_status vpsde_report_write(vpsde_report *report, vpsde_rows *rows, uint64_t first, size_t n)
{
    const size_t d = report->run->model->dim;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; rows->status[i] != VPSDE_ROW_OK && j < d; j++) {
            rows->final[i * d + j] = (double)NAN;
        }
    }
    const void *data[VPSDE_COLUMNS_MAX] = {rows->final,    rows->nfe,     rows->jvp,
                                           rows->rejected, rows->nfe_log, rows->status};
    size_t n_columns = VPSDE_COLUMNS_FIXED;
    for (size_t f = 0; f < VPSDE_N_FIELDS; f++) {
        if (rows->field[f]) data[n_columns++] = rows->field[f];
    }
    const vpsde_control *control = &report->run->control;
    vpsde_status status = VPSDE_OK;
    vpsde_lock_enter(report->lock);
    if (report->sink) status = report->sink->write(report->sink->self, (size_t)first, n, data);
    if (status == VPSDE_OK) {
        tally(report, rows, first, n);
        if (control->progress) {
            control->progress(control->context, report->done + report->skipped, report->run->count);
        }
    }
    vpsde_lock_leave(report->lock);
    return status;
}

bool vpsde_report_has(vpsde_report *report, uint64_t first, size_t n)
{
    const vpsde_sink *sink = report->sink;
    if (!sink || !sink->has) return false;
    vpsde_lock_enter(report->lock);
    const bool there = sink->has(sink->self, (size_t)first, n);
    if (there) report->skipped += n;
    vpsde_lock_leave(report->lock);
    return there;
}

vpsde_status vpsde_sampling_stopped(const vpsde_sampling *run)
{
    if (!run->control.stop || !*run->control.stop) return VPSDE_OK;
    return vpsde_fail(VPSDE_ESTOPPED, "stopped on request");
}
