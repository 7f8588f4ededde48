/* grad_x log p_0(x) of log p_0(x) = log p_T(x_T) + l, along dx/dphi = F, dl/dphi = div F, by
 * forward sensitivities: with J = dx/dx_0 and g = dl/dx_0,
 *     dJ/dphi = (dF/dx) J,   dg/dphi = J^T grad div F,   grad log p_0 = J^T grad log p_T(x_T) + g,
 *     F = (eps - sigma x)/alpha,   grad div F = grad tr J_eps/alpha
 * (Song et al. 2021, arXiv:2011.13456, eq. (39), differentiated; the sensitivity equations: Hairer,
 * Norsett & Wanner 1993, I.14). For the scores of densities p_t it is s(x, t_min) again.
 *
 * One integration a row of y = (x, l, g, J), J by columns, which are the tangents of each
 * evaluation. */
#include <vpsde/gradient.h>

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/driver.h"
#include "solvers/fill_sink.h"
#include "solvers/flow.h"

enum { GRADIENT, LOGP, NFE, JVP, REJECTED, STATUS, N_COLUMNS };

typedef struct gradient_job {
    vpsde_flow flow; /* what checks a likelihood run and places its clock */
    vpsde_likelihood run;
    size_t d, dim;
    double *rtol, *atol; /* (dim) */
    vpsde_delivery *delivery;
} gradient_job;

typedef struct rows {
    double *gradient, *logp;
    int32_t *nfe, *jvp, *rejected;
    uint8_t *status; /* vpsde_row_status */
} rows;

static vpsde_status rhs(vpsde_ode *ode, double s, const double *y, double *dy)
{
    vpsde_lane *lane = ode->context;
    const gradient_job *job = lane->job;
    const size_t d = job->d;
    const vpsde_coef c = job->flow.clock->at(job->run.process, s);
    const double rate = job->flow.clock->rate(&c) / c.alpha;
    const double *columns = y + 2 * d + 1;
    double *dl = dy + d, *dg = dl + 1, *dcolumns = dg + d;
    VPSDE_TRY(vpsde_lane_eval(lane, &c, y, columns));
    vec_lin2(d, dy, rate, lane->eps, -rate * c.sigma, y);
    *dl = rate * (lane->div - c.sigma * (double)d);
    for (size_t j = 0; j < d; j++) dg[j] = rate * vec_dot(d, lane->ddiv, columns + j * d);
    vec_lin2(d * d, dcolumns, rate, lane->deps, -rate * c.sigma, columns);
    return VPSDE_OK;
}

static void start(const gradient_job *job, double *y)
{
    const size_t d = job->d;
    for (size_t e = d; e < job->dim; e++) y[e] = 0;
    for (size_t j = 0; j < d; j++) y[2 * d + 1 + j * d + j] = 1;
}

/* The terminal law's log p and gradient at ode->y = x_T bring l and g to log p and its gradient. */
static vpsde_status finish(const gradient_job *job, vpsde_lane *lane, double *gradient,
                           double *logp)
{
    const size_t d = job->d;
    const vpsde_coef *end = &job->flow.end;
    const double *y = lane->ode.y, *columns = y + 2 * d + 1;
    const int32_t *classes = job->run.classes;
    double *score = lane->own, prior;
    if (vpsde_process_get_spec(job->run.process)->terminal == VPSDE_TERMINAL_EXACT) {
        VPSDE_TRY(vpsde_lane_eval(lane, end, y, columns));
        VPSDE_TRY(vpsde_model_log_p_of(job->run.model, 1, end,
                                       classes ? classes + (lane->sample - job->run.first) : NULL,
                                       y, &prior));
        vec_scale(d, score, -1 / end->sigma, lane->eps);
    } else {
        prior = vpsde_prior_logp(y, d);
        vec_scale(d, score, -1, y);
    }
    *logp = prior + y[d];
    for (size_t j = 0; j < d; j++) {
        gradient[j] = y[d + 1 + j] + vec_dot(d, columns + j * d, score);
    }
    return VPSDE_OK;
}

static vpsde_status sample(vpsde_lane *lane)
{
    const gradient_job *job = lane->job;
    vpsde_ode *ode = &lane->ode;
    rows *r = lane->block;
    const size_t i = lane->row, d = job->d;
    double *gradient = r->gradient + i * d;
    VPSDE_TRY(vpsde_flow_read(&job->flow, lane, ode->y));
    start(job, ode->y);
    ode->s_start = job->flow.clock->value(&job->flow.start);
    ode->s_end = job->flow.clock->value(&job->flow.end);
    ode->rhs = rhs;
    const vpsde_status status = vpsde_ode_run(job->run.integrator, ode);
    if (ode->failed != VPSDE_OK || (status != VPSDE_OK && status != VPSDE_ENUMERIC)) return status;
    if (status == VPSDE_OK) VPSDE_TRY(finish(job, lane, gradient, &r->logp[i]));
    const bool finite = status == VPSDE_OK && isfinite(r->logp[i]) && vec_is_finite(d, gradient);
    r->status[i] = finite                                  ? VPSDE_ROW_OK
                   : status == VPSDE_OK || ode->non_finite ? VPSDE_ROW_NON_FINITE
                                                           : VPSDE_ROW_INTEGRATION_FAILED;
    for (size_t j = 0; !finite && j < d; j++) gradient[j] = (double)NAN;
    if (!finite) r->logp[i] = (double)NAN;
    r->nfe[i] = vpsde_count_i32(ode->n_rhs);
    r->jvp[i] = vpsde_count_i32(ode->n_rhs * d);
    r->rejected[i] = vpsde_count_i32(ode->n_rejected);
    return VPSDE_OK;
}

/* ---- staging --------------------------------------------------------------------------------- */

static void close_block(void *block)
{
    rows *r = block;
    free(r->gradient);
    free(r->logp);
    free(r->nfe);
    free(r->jvp);
    free(r->rejected);
    free(r->status);
    free(r);
}

static vpsde_status alloc_rows(rows *r, size_t n, size_t d)
{
    size_t count;
    VPSDE_TRY(vpsde_size_mul(&count, n, d, "gradients of a block"));
    VPSDE_TRY(vpsde_alloc(&r->gradient, count, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&r->logp, n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&r->nfe, n, sizeof(*r->nfe)));
    VPSDE_TRY(vpsde_alloc(&r->jvp, n, sizeof(*r->jvp)));
    VPSDE_TRY(vpsde_alloc(&r->rejected, n, sizeof(*r->rejected)));
    return vpsde_alloc(&r->status, n, sizeof(*r->status));
}

static vpsde_status open_block(const void *context, void **block)
{
    const gradient_job *job = context;
    rows *r;
    VPSDE_TRY(vpsde_alloc(&r, 1, sizeof(*r)));
    const vpsde_status status =
        alloc_rows(r, vpsde_staging_rows(job->run.model, job->run.count), job->d);
    if (status != VPSDE_OK) {
        close_block(r);
        return status;
    }
    *block = r;
    return VPSDE_OK;
}

static vpsde_status deliver(const void *context, void *block, uint64_t first, size_t n)
{
    const gradient_job *job = context;
    const rows *r = block;
    const void *const data[N_COLUMNS] = {
        [GRADIENT] = r->gradient, [LOGP] = r->logp,         [NFE] = r->nfe,
        [JVP] = r->jvp,           [REJECTED] = r->rejected, [STATUS] = r->status};
    const vpsde_ledger ledger = {.nfe = r->nfe, .status = r->status};
    return vpsde_delivery_write(job->delivery, first, n, data, &ledger);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const vpsde_column columns_of[N_COLUMNS] = {
    [GRADIENT] = {.name = "grad_logp",
                  .units = "nat",
                  .description = "gradient of log p at t_min with respect to the row",
                  .type = VPSDE_F64},
    [LOGP] = {.name = "logp",
              .units = "nat",
              .description = "log p at t_min, of the same integration",
              .type = VPSDE_F64},
    [NFE] = {.name = "nfe",
             .units = "1",
             .description = "evaluations of the right-hand side, rejected steps included",
             .type = VPSDE_I32},
    [JVP] = {.name = "jvp",
             .units = "1",
             .description = "Jacobian-vector products",
             .type = VPSDE_I32},
    [REJECTED] = {.name = "rejected",
                  .units = "1",
                  .description = "rejected steps",
                  .type = VPSDE_I32},
    [STATUS] = {.name = "status",
                .units = "1",
                .description = "how the row ended",
                .type = VPSDE_U8,
                .flag_meanings = "ok non_finite integration_failed"},
};

static vpsde_status begin(const gradient_job *job, vpsde_sink *sink)
{
    const vpsde_likelihood *run = &job->run;
    const vpsde_process_spec *spec = vpsde_process_get_spec(run->process);
    const char *label = run->label ? run->label : run->integrator->name;
    const bool exact = spec->terminal == VPSDE_TERMINAL_EXACT;
    vpsde_column columns[N_COLUMNS];
    for (size_t c = 0; c < N_COLUMNS; c++) {
        columns[c] = columns_of[c];
        columns[c].dims = c == GRADIENT ? "dim" : "";
        columns[c].width = c == GRADIENT ? job->d : 1;
    }
    const vpsde_axis axis = {
        .name = "dim", .length = job->d, .description = "component of the state"};
    const vpsde_fact facts[] = {
        {.name = "label", .text = label},
        {.name = "solver", .text = run->integrator->name},
        {.name = "source", .text = run->integrator->source},
        {.name = "rtol", .number = run->rtol},
        {.name = "atol", .number = run->atol},
        {.name = "logp_atol", .number = job->atol[job->d]},
        {.name = "t_min", .number = spec->t_min},
        {.name = "t_max", .number = vpsde_process_t_max(run->process)},
        {.name = "terminal", .text = exact ? "exact" : "standard-normal"},
    };
    vpsde_table table = {.first = run->first,
                         .count = run->count,
                         .axes = &axis,
                         .n_axes = 1,
                         .columns = columns,
                         .n_columns = N_COLUMNS,
                         .facts = facts,
                         .n_facts = sizeof(facts) / sizeof(*facts)};
    char *path;
    VPSDE_TRY(vpsde_table_path(&path, "gradient", label));
    table.path = path;
    const vpsde_status status = vpsde_delivery_begin(job->delivery, sink, &table);
    free(path);
    return status;
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status check(const vpsde_likelihood *run)
{
    const unsigned wanted = VPSDE_MODEL_DIVERGENCE | VPSDE_MODEL_DIV_GRADIENT | VPSDE_MODEL_JVP;
    if (run->model && (run->model->type->flags & wanted) != wanted) {
        return vpsde_fail(
            VPSDE_EINVAL,
            "the gradient of log p needs third derivatives of the model, which %s does "
            "not offer; expected a closed-form model such as gaussian-mixture",
            run->model->type->name);
    }
    if (run->dequantization.kind != VPSDE_DEQUANTIZE_NONE) {
        return vpsde_fail(VPSDE_EINVAL,
                          "the gradient of log p is that of a density at the rows themselves; "
                          "expected no dequantization");
    }
    return VPSDE_OK;
}

static vpsde_status open_job(gradient_job *job, const vpsde_likelihood *run)
{
    job->run = *run;
    job->run.trace = VPSDE_TRACE_EXACT;
    job->run.budget = false;
    VPSDE_TRY(vpsde_flow_open(&job->flow, &job->run));
    VPSDE_TRY(check(run));
    const size_t d = run->model->dim;
    job->d = d;
    VPSDE_TRY(vpsde_size_mul(&job->dim, d, d, "gradient: sensitivities of a row"));
    job->dim += 2 * d + 1;
    VPSDE_TRY(vpsde_alloc(&job->rtol, job->dim, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&job->atol, job->dim, sizeof(double)));
    for (size_t e = 0; e < job->dim; e++) {
        job->rtol[e] = e == d ? 0 : run->rtol;
        job->atol[e] = e == d && run->logp_atol > 0 ? run->logp_atol : run->atol;
    }
    return VPSDE_OK;
}

static vpsde_status integrate(const gradient_job *gradient, size_t n_threads, vpsde_sink *sink)
{
    const vpsde_likelihood *run = &gradient->run;
    vpsde_batch_job job = vpsde_flow_job(&gradient->flow);
    job.dim = gradient->dim;
    job.rtol = gradient->rtol;
    job.atol = gradient->atol;
    job.tangents = gradient->d;
    job.divergence = true;
    job.gradient = true;
    job.lane_doubles = gradient->d;
    job.context = gradient;
    job.delivery = gradient->delivery;
    job.open_block = open_block;
    job.deliver = deliver;
    job.close_block = close_block;
    job.sample = sample;
    vpsde_fill_sink fill;
    VPSDE_TRY(begin(gradient, vpsde_fill_sink_init(&fill, sink, &job)));
    const vpsde_status status = vpsde_batch_run(&job, n_threads, run->control.stop);
    return vpsde_delivery_end(gradient->delivery, status, n_threads);
}

vpsde_status vpsde_gradient_run(const vpsde_likelihood *run, vpsde_sink *sink)
{
    vpsde_delivery delivery = {
        .what = "row", .rate = "rows_per_second", .control = &run->control, .total = run->count};
    gradient_job job = {.delivery = &delivery};
    size_t n_threads = 0;
    vpsde_status status = open_job(&job, run);
    if (status == VPSDE_OK) status = vpsde_threads(&n_threads, run->n_threads);
    if (status == VPSDE_OK) status = vpsde_delivery_open(&delivery);
    if (status == VPSDE_OK) status = integrate(&job, n_threads, sink);
    vpsde_delivery_close(&delivery);
    vpsde_flow_close(&job.flow);
    free(job.rtol);
    free(job.atol);
    return status;
}
