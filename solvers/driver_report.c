#include "solvers/driver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/trained.h"
#include "sde/brownian.h"
#include "solvers/clip.h"
#include "solvers/driver_table.h"
#include "solvers/guidance.h"
#include "solvers/inpaint.h"
#include "solvers/logp.h"
#include "solvers/ode.h"

/* The noise address holds 48 bits of a sample's index. */
static const uint64_t SAMPLE_END = (uint64_t)1 << 48;

vpsde_status vpsde_run_check_rows(const char *what, const vpsde_model *model, size_t first,
                                  size_t count, const int32_t *classes)
{
    if (count == 0 || first >= SAMPLE_END || count > SAMPLE_END - first) {
        return vpsde_fail(VPSDE_EINVAL,
                          "count: must be 1 or more and end below sample 2^48, got %zu from %zu",
                          count, first);
    }
    for (size_t i = 0; classes && i < count; i++) {
        if (classes[i] < VPSDE_NO_CLASS || classes[i] >= (int64_t)model->n_classes) {
            return vpsde_fail(VPSDE_EINVAL,
                              "class of %s %zu: must be -1 (none) or below %zu, got %d", what,
                              first + i, model->n_classes, classes[i]);
        }
    }
    return VPSDE_OK;
}

bool vpsde_sampling_from_t_max(const vpsde_sampling *run)
{
    const double t_max = vpsde_process_t_max(run->process);
    return !run->grid || fabs(run->grid->node[0].t - t_max) <= 1e-12 * t_max;
}

/* What the run's kind of solver needs: an adaptive one takes tolerances, one that steps a grid. */
static vpsde_status check_solver(const vpsde_sampling *run)
{
    const vpsde_solver_type *solver = run->solver;
    const bool adaptive = vpsde_solver_is_adaptive(solver);
    const unsigned missing = solver->needs & ~run->model->type->flags;
    if (missing) {
        return vpsde_fail(VPSDE_EINVAL, "%s needs a model %s, and %s is none", solver->name,
                          missing & VPSDE_MODEL_LOG_P ? "whose density log p_t is known"
                                                      : "that can do more than eps",
                          run->model->type->name);
    }
    if (!solver->step && !adaptive) {
        return vpsde_fail(VPSDE_EINVAL, "%s has neither a step nor an integrator", solver->name);
    }
    if (!adaptive && (!run->grid || run->grid->n_steps == 0)) {
        return vpsde_fail(VPSDE_EINVAL, "%s takes fixed steps and needs a grid", solver->name);
    }
    if (!adaptive && run->grid->n_steps > UINT32_MAX / VPSDE_DRAWS_PER_STEP - 2) {
        return vpsde_fail(VPSDE_EINVAL, "steps: must be below 2^30, got %zu", run->grid->n_steps);
    }
    if (!adaptive && run->grid->node[0].b > VPSDE_BROWNIAN_B_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "b = int beta dt must be at most %d at t = %g, got %g",
                          VPSDE_BROWNIAN_B_MAX, run->grid->node[0].t, run->grid->node[0].b);
    }
    if (!adaptive) return VPSDE_OK;
    VPSDE_TRY(vpsde_ode_check_tolerances(solver, run->rtol, run->atol));
    if (run->log.n_times == SIZE_MAX) {
        return vpsde_fail(VPSDE_EINVAL,
                          "log.times: all is for fixed-step solvers; %s chooses its own steps; "
                          "expected a number, none or a list",
                          solver->name);
    }
    return VPSDE_OK;
}

/* From data to noise: the flow has an inverse, a noisy path and a last step beyond the grid have
 * none. */
vpsde_status vpsde_sampling_check_encoding(const vpsde_sampling *run)
{
    const vpsde_solver_type *solver = run->solver;
    if (!run->grid || !vpsde_grid_encodes(run->grid)) return VPSDE_OK;
    if (solver->walk || vpsde_solver_is_stochastic(solver, run->param)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "%s cannot encode: the way from data to noise is the probability-flow "
                          "ODE's; expected a deterministic solver such as ddim, or an integrator "
                          "such as dopri5",
                          solver->name);
    }
    if (run->grid->last_step != VPSDE_LAST_STOP) {
        return vpsde_fail(VPSDE_EINVAL,
                          "last_step: encoding begins at t_min; expected stop, got %s",
                          vpsde_last_step_name(run->grid->last_step));
    }
    if (solver->step && !(run->grid->node[0].sigma > 0)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "%s has no step from t = 0; encoding in fixed steps needs t_min > 0",
                          solver->name);
    }
    return VPSDE_OK;
}

/* N(0, I) is the law of x at t_max and at no other time. */
static vpsde_status check_start(const vpsde_sampling *run)
{
    const vpsde_terminal terminal = vpsde_process_get_spec(run->process)->terminal;
    if (run->init && run->edit) {
        return vpsde_fail(VPSDE_EINVAL, "init and edit both say where samples start; expected one");
    }
    if (run->init || run->edit || terminal != VPSDE_TERMINAL_STANDARD_NORMAL) return VPSDE_OK;
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
    VPSDE_TRY(vpsde_run_check_rows("sample", run->model, run->first, run->count, run->classes));
    VPSDE_TRY(check_solver(run));
    VPSDE_TRY(vpsde_sampling_check_encoding(run));
    VPSDE_TRY(check_start(run));
    VPSDE_TRY(vpsde_clip_check(&run->clip));
    VPSDE_TRY(vpsde_guidance_check(run->guidance, run->model));
    VPSDE_TRY(vpsde_inpaint_check(run));
    if (run->log.n_times > 0 && !run->grid) {
        return vpsde_fail(VPSDE_EINVAL,
                          "log.times: states are stored at nodes of a grid, and there is none");
    }
    if (run->log.dtype != VPSDE_F32 && run->log.dtype != VPSDE_F64) {
        return vpsde_fail(VPSDE_EINVAL, "log.dtype: must be float32 or float64");
    }
    return VPSDE_OK;
}

vpsde_status vpsde_run_params(double *param, const vpsde_solver_type *solver, const double *given)
{
    const vpsde_param *table = solver->params;
    vpsde_param_defaults(param, table);
    for (size_t p = 0; given && p < vpsde_param_count(table); p++) {
        const vpsde_status status = vpsde_param_set(param, table, table[p].name, given[p]);
        if (status != VPSDE_OK) return vpsde_fail_in(status, "%s", solver->name);
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

static vpsde_status no_kernel(const vpsde_solver_type *solver)
{
    return vpsde_fail(VPSDE_EINVAL,
                      "kernel: a step of %s with these parameters is no draw from one Gaussian of "
                      "known width; expected log.fields without kernel, or a solver such as "
                      "euler-maruyama",
                      solver->name);
}

vpsde_status vpsde_report_kernels(vpsde_report *report, const double *table)
{
    const vpsde_sampling *run = report->run;
    const vpsde_grid *grid = run->grid;
    if (!(report->fields & VPSDE_LOG_KERNEL)) return VPSDE_OK;
    vpsde_step s = {.process = run->process,
                    .node = grid->node,
                    .n_steps = grid->n_steps,
                    .last_step = grid->last_step,
                    .d = run->model->dim,
                    .param = report->param,
                    .table = table};
    VPSDE_TRY(vpsde_alloc(&report->kernel_std, report->n_stored, sizeof(*report->kernel_std)));
    for (size_t m = 0; m < report->n_stored; m++) {
        s.k = report->stored[m];
        s.at = &grid->node[s.k];
        s.next = s.at + 1;
        report->kernel_std[m] = s.k < grid->n_steps ? run->solver->kernel_std(&s) : (double)NAN;
        if (s.k < grid->n_steps && isnan(report->kernel_std[m])) return no_kernel(run->solver);
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
    const bool stochastic = vpsde_solver_is_stochastic(run->solver, report->param);
    if (!stochastic) report->fields &= ~(unsigned)(VPSDE_LOG_NOISE | VPSDE_LOG_KERNEL);
    if (report->fields & VPSDE_LOG_KERNEL && !run->solver->kernel_std)
        return no_kernel(run->solver);
    if (!vpsde_solver_is_adaptive(run->solver)) report->fields &= ~(unsigned)VPSDE_LOG_STEPS;
    if (status != VPSDE_OK || !(report->fields & VPSDE_LOG_LOGP)) return status;
    if (run->inpaint.known) {
        return vpsde_fail(VPSDE_EINVAL,
                          "logp: there is no one path to follow where stretches are gone through "
                          "again and known components are put in; expected no inpainting");
    }
    return vpsde_logp_check(run);
}

static vpsde_status fill(vpsde_report *report)
{
    VPSDE_TRY(check_run(report->run));
    VPSDE_TRY(vpsde_model_check_t_min(report->run->model,
                                      vpsde_process_get_spec(report->run->process)->t_min));
    VPSDE_TRY(vpsde_run_params(report->param, report->run->solver, report->run->param));
    VPSDE_TRY(vpsde_threads(&report->n_threads, report->run->n_threads));
    return choose_nodes(report);
}

vpsde_status vpsde_report_create(vpsde_report **out, const vpsde_sampling *run)
{
    *out = NULL;
    vpsde_report *report;
    VPSDE_TRY(vpsde_alloc(&report, 1, sizeof(*report)));
    report->run = run;
    report->delivery = (vpsde_delivery){.what = "sample",
                                        .rate = "samples_per_second",
                                        .control = &run->control,
                                        .total = run->count};
    vpsde_status status = vpsde_delivery_open(&report->delivery);
    if (status == VPSDE_OK) status = fill(report);
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
    vpsde_delivery_close(&report->delivery);
    vpsde_table_destroy(report->parts);
    free(report->stored);
    free(report->kernel_std);
    free(report);
}

vpsde_status vpsde_report_begin(vpsde_report *report, vpsde_sink *sink, const vpsde_fact *extra,
                                size_t n_extra)
{
    VPSDE_TRY(vpsde_table_create(&report->parts, report, extra, n_extra));
    return vpsde_delivery_begin(&report->delivery, sink, vpsde_table_of(report->parts));
}

vpsde_status vpsde_report_end(vpsde_report *report, vpsde_status status)
{
    return vpsde_delivery_end(&report->delivery, status, report->n_threads);
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
    const vpsde_sampling *run = report->run;
    if (run->classes) data[n_columns++] = run->classes + (size_t)(first - run->first);
    const vpsde_ledger ledger = {
        .nfe = rows->nfe, .nfe_log = rows->nfe_log, .status = rows->status};
    return vpsde_delivery_write(&report->delivery, first, n, data, &ledger);
}

vpsde_status vpsde_sampling_stopped(const vpsde_sampling *run)
{
    return vpsde_check_stop(run->control.stop);
}
