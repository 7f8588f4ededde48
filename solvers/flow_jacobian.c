/* Along dx/dphi = F = (eps - sigma x)/alpha the flow's Jacobian J = dx/dx_0 obeys
 *     dJ/dphi = (dF/dx) J = (J_eps J - sigma J)/alpha,
 * which is J' = -(I + H) J/2 in the clock b, H = Hess log p_t. Each I + H is symmetric, so J(phi) is as
 * long as they commute; where they do not, the encoder is no optimal transport map (Brenier 1991;
 * Khrulkov & Oseledets 2022, arXiv:2202.07477; Lavenant & Santambrogio 2022).
 *
 * One integration a row of y = (x, J), J by columns, which are the tangents of each evaluation. It ends
 * at every stored time, where the speed |dx/db|^2 = |(x + s)/2|^2 is taken, and goes on from there. */
#include "solvers/flow_jacobian.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/driver.h"
#include "solvers/fill_sink.h"
#include "solvers/flow.h"
#include "solvers/jacobian_certificate.h"

enum {
    X,
    IMAGE,
    ANTISYMMETRY,
    SMALLEST,
    LOG_DET,
    SPEED,
    NFE,
    JVP,
    REJECTED,
    STATUS,
    N_COLUMNS,
    N_REAL = NFE
};

typedef struct transport_job {
    vpsde_flow flow; /* what checks a likelihood run and places its clock */
    vpsde_likelihood run;
    size_t d, dim;
    size_t chunk, n_calls; /* columns of J a call, padded with zero columns */
    vpsde_coef *at;        /* (n_times) */
    double *b;             /* (n_times) */
    size_t n_times;
    double *rtol, *atol;     /* (dim) */
    size_t width[N_COLUMNS]; /* elements a row */
    vpsde_delivery *delivery;
} transport_job;

typedef struct rows {
    double *real[N_REAL];
    int32_t *nfe, *jvp, *rejected;
    uint8_t *status; /* vpsde_row_status */
} rows;

/* ---- one row --------------------------------------------------------------------------------- */

static vpsde_status rhs(vpsde_ode *ode, double s, const double *y, double *dy)
{
    vpsde_lane *lane = ode->context;
    const transport_job *job = lane->job;
    const size_t d = job->d, part = job->chunk * d;
    const vpsde_coef c = job->flow.clock->at(job->run.process, s);
    const double rate = job->flow.clock->rate(&c) / c.alpha;
    for (size_t q = 0; q < job->n_calls; q++) {
        const double *columns = y + d + q * part;
        VPSDE_TRY(vpsde_lane_eval(lane, &c, y, columns));
        if (q == 0) vec_lin2(d, dy, rate, lane->eps, -rate * c.sigma, y);
        vec_lin2(part, dy + d + q * part, rate, lane->deps, -rate * c.sigma, columns);
    }
    return VPSDE_OK;
}

/* |(x + s)/2|^2 */
static vpsde_status speed(const transport_job *job, vpsde_lane *lane, const vpsde_coef *c,
                          double *squared)
{
    double sum = 0;
    VPSDE_TRY(vpsde_lane_eval(lane, c, lane->ode.y, NULL));
    for (size_t j = 0; j < job->d; j++) {
        const double v = (lane->ode.y[j] - lane->eps[j] / c->sigma) / 2;
        sum += v * v;
    }
    *squared = sum;
    return VPSDE_OK;
}

typedef struct cost {
    uint64_t speeds, rhs, rejected;
} cost;

/* From time to time to t_max; ENUMERIC: the row failed. */
static vpsde_status integrate_row(const transport_job *job, vpsde_lane *lane, double *speeds,
                                  cost *of)
{
    vpsde_ode *ode = &lane->ode;
    ode->rhs = rhs;
    for (size_t k = 0; k < job->n_times; k++) {
        of->speeds++;
        VPSDE_TRY(speed(job, lane, &job->at[k], &speeds[k]));
        if (k + 1 == job->n_times) break;
        ode->s_start = job->flow.clock->value(&job->at[k]);
        ode->s_end = job->flow.clock->value(&job->at[k + 1]);
        const vpsde_status status = vpsde_ode_run(job->run.integrator, ode);
        of->rhs += ode->n_rhs;
        of->rejected += ode->n_rejected;
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}

static vpsde_status sample(vpsde_lane *lane)
{
    const transport_job *job = lane->job;
    const size_t i = lane->row, d = job->d;
    vpsde_ode *ode = &lane->ode;
    rows *r = lane->block;
    cost spent = {0};
    ode->failed = VPSDE_OK;
    VPSDE_TRY(vpsde_flow_read(&job->flow, lane, ode->y));
    vec_copy(d, r->real[X] + i * d, ode->y);
    for (size_t e = d; e < job->dim; e++) ode->y[e] = 0;
    for (size_t j = 0; j < d; j++) ode->y[d + j * d + j] = 1;
    const vpsde_status status = integrate_row(job, lane, r->real[SPEED] + i * job->n_times, &spent);
    if (ode->failed != VPSDE_OK || (status != VPSDE_OK && status != VPSDE_ENUMERIC)) return status;
    const bool arrived = status == VPSDE_OK && vec_is_finite(d + d * d, ode->y);
    vec_copy(d, r->real[IMAGE] + i * d, ode->y);
    vpsde_certificate of = {0};
    const bool good = arrived && vpsde_certify(&of, d, ode->y + d, lane->own);
    r->real[ANTISYMMETRY][i] = of.antisymmetry;
    r->real[SMALLEST][i] = of.smallest_eigenvalue;
    r->real[LOG_DET][i] = of.log_det;
    r->status[i] = good                                    ? VPSDE_ROW_OK
                   : status == VPSDE_OK || ode->non_finite ? VPSDE_ROW_NON_FINITE
                                                           : VPSDE_ROW_INTEGRATION_FAILED;
    for (size_t c = IMAGE; !good && c < N_REAL; c++) {
        const size_t width = job->width[c];
        for (size_t e = 0; e < width; e++) r->real[c][i * width + e] = (double)NAN;
    }
    r->nfe[i] = vpsde_count_i32(spent.rhs * job->n_calls + spent.speeds);
    r->jvp[i] = vpsde_count_i32(spent.rhs * d);
    r->rejected[i] = vpsde_count_i32(spent.rejected);
    return VPSDE_OK;
}

/* ---- staging --------------------------------------------------------------------------------- */

static void close_block(void *block)
{
    rows *r = block;
    for (size_t c = 0; c < N_REAL; c++) free(r->real[c]);
    free(r->nfe);
    free(r->jvp);
    free(r->rejected);
    free(r->status);
    free(r);
}

static vpsde_status alloc_rows(rows *r, const transport_job *job, size_t n)
{
    for (size_t c = 0; c < N_REAL; c++) {
        VPSDE_TRY(vpsde_alloc(&r->real[c], n * job->width[c], sizeof(double)));
    }
    VPSDE_TRY(vpsde_alloc(&r->nfe, n, sizeof(*r->nfe)));
    VPSDE_TRY(vpsde_alloc(&r->jvp, n, sizeof(*r->jvp)));
    VPSDE_TRY(vpsde_alloc(&r->rejected, n, sizeof(*r->rejected)));
    return vpsde_alloc(&r->status, n, sizeof(*r->status));
}

static vpsde_status open_block(const void *context, void **block)
{
    const transport_job *job = context;
    rows *r;
    VPSDE_TRY(vpsde_alloc(&r, 1, sizeof(*r)));
    const vpsde_status status =
        alloc_rows(r, job, vpsde_staging_rows(job->run.model, job->run.count));
    if (status != VPSDE_OK) {
        close_block(r);
        return status;
    }
    *block = r;
    return VPSDE_OK;
}

static vpsde_status deliver(const void *context, void *block, uint64_t first, size_t n)
{
    const transport_job *job = context;
    const rows *r = block;
    const void *data[N_COLUMNS] = {
        [NFE] = r->nfe, [JVP] = r->jvp, [REJECTED] = r->rejected, [STATUS] = r->status};
    for (size_t c = 0; c < N_REAL; c++) data[c] = r->real[c];
    const vpsde_ledger ledger = {.nfe = r->nfe, .status = r->status};
    return vpsde_delivery_write(job->delivery, first, n, data, &ledger);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const vpsde_column columns_of[N_COLUMNS] = {
    [X] = {"x", "1", "the row, a state at t_min", VPSDE_F64, "dim", 0, NULL},
    [IMAGE] = {"image", "1", "where the flow takes it, at t_max", VPSDE_F64, "dim", 0, NULL},
    [ANTISYMMETRY] = {"antisymmetry", "1",
                      "|J - J^T| / |J| of the map's Jacobian; 0 for a gradient", VPSDE_F64, "", 1,
                      NULL},
    [SMALLEST] = {"smallest_eigenvalue", "1",
                  "of (J + J^T)/2; above 0 for the gradient of a convex function", VPSDE_F64, "", 1,
                  NULL},
    [LOG_DET] = {"log_det", "nat", "log |det J|: delta_logp of the likelihood", VPSDE_F64, "", 1,
                 NULL},
    [SPEED] = {"speed_squared", "1", "|(x + s)/2|^2 at the stored times, s the score", VPSDE_F64,
               "time", 0, NULL},
    [NFE] = {"nfe", "1", "network calls, rejected steps included", VPSDE_I32, "", 1, NULL},
    [JVP] = {"jvp", "1", "Jacobian-vector products", VPSDE_I32, "", 1, NULL},
    [REJECTED] = {"rejected", "1", "rejected steps", VPSDE_I32, "", 1, NULL},
    [STATUS] = {"status", "1", "how the row ended", VPSDE_U8, "", 1,
                "ok non_finite integration_failed"},
};

static vpsde_status begin(const transport_job *job, const double *t, vpsde_sink *sink)
{
    const vpsde_likelihood *run = &job->run;
    vpsde_column columns[N_COLUMNS];
    for (size_t c = 0; c < N_COLUMNS; c++) {
        columns[c] = columns_of[c];
        columns[c].width = job->width[c];
    }
    const struct vpsde_coordinate clocks[] = {
        {.name = "t", .units = "1", .description = "time", .values = t},
        {.name = "b", .units = "1", .description = "integral of beta from 0", .values = job->b}};
    const vpsde_axis axes[] = {
        {.name = "dim", .length = job->d, .description = "component of the state"},
        {.name = "time",
         .length = job->n_times,
         .description = "stored time, data to noise",
         .n_coordinates = 2,
         .coordinates = clocks}};
    const vpsde_fact facts[] = {
        {.name = "solver", .text = run->integrator->name},
        {.name = "source", .text = run->integrator->source},
        {.name = "rtol", .number = run->rtol},
        {.name = "atol", .number = run->atol},
        {.name = "t_min", .number = job->flow.start.t},
        {.name = "t_max", .number = job->flow.end.t},
    };
    const vpsde_table table = {.path = "/transport",
                               .first = run->first,
                               .count = run->count,
                               .axes = axes,
                               .n_axes = sizeof(axes) / sizeof(*axes),
                               .columns = columns,
                               .n_columns = N_COLUMNS,
                               .facts = facts,
                               .n_facts = sizeof(facts) / sizeof(*facts)};
    return vpsde_delivery_begin(job->delivery, sink, &table);
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status check(const vpsde_likelihood *run)
{
    const vpsde_model *model = run->model;
    if (model && !(model->type->flags & VPSDE_MODEL_JVP)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "the Jacobian of the flow needs Jacobian products, which "
                          "%s does not offer",
                          model->type->name);
    }
    if (model && model->dim > VPSDE_TRANSPORT_DIM_MAX) {
        return vpsde_fail(VPSDE_EINVAL,
                          "the Jacobian of the flow has %zu^2 entries a row; expected a model of "
                          "at most %d components",
                          model->dim, VPSDE_TRANSPORT_DIM_MAX);
    }
    if (run->process && !(vpsde_process_get_spec(run->process)->t_min > 0)) {
        return vpsde_fail(VPSDE_EINVAL, "transport: process.t_min must be above 0, where there is "
                                        "a score");
    }
    return VPSDE_OK;
}

static vpsde_status place_times(transport_job *job, const vpsde_transport *run)
{
    job->n_times = run->n_times;
    VPSDE_TRY(vpsde_alloc(&job->at, run->n_times, sizeof(*job->at)));
    VPSDE_TRY(vpsde_alloc(&job->b, run->n_times, sizeof(double)));
    for (size_t k = 0; k < run->n_times; k++) {
        job->at[k] = vpsde_process_at(run->flow.process, run->t[k]);
        job->b[k] = job->at[k].b;
    }
    const bool whole = run->n_times >= 2 && run->t[0] == job->flow.start.t &&
                       run->t[run->n_times - 1] == job->flow.end.t;
    for (size_t k = 1; whole && k < run->n_times; k++) {
        if (!(run->t[k] > run->t[k - 1])) {
            return vpsde_fail(VPSDE_EINVAL, "transport: times must increase, got %g after %g",
                              run->t[k], run->t[k - 1]);
        }
    }
    return whole
               ? VPSDE_OK
               : vpsde_fail(VPSDE_EINVAL, "transport: times must go from t_min = %g to t_max = %g",
                            job->flow.start.t, job->flow.end.t);
}

static vpsde_status open_job(transport_job *job, const vpsde_transport *run)
{
    job->run = run->flow;
    job->run.trace = VPSDE_TRACE_EXACT;
    job->run.budget = false;
    VPSDE_TRY(check(&job->run));
    VPSDE_TRY(vpsde_flow_open(&job->flow, &job->run));
    VPSDE_TRY(place_times(job, run));
    const size_t d = job->run.model->dim;
    job->d = d;
    job->chunk = vpsde_batch_tangents(job->run.model, d);
    job->n_calls = (d + job->chunk - 1) / job->chunk;
    job->dim = d + job->n_calls * job->chunk * d;
    for (size_t c = 0; c < N_COLUMNS; c++) job->width[c] = 1;
    job->width[X] = job->width[IMAGE] = d;
    job->width[SPEED] = run->n_times;
    VPSDE_TRY(vpsde_alloc(&job->rtol, job->dim, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&job->atol, job->dim, sizeof(double)));
    for (size_t e = 0; e < job->dim; e++) {
        job->rtol[e] = run->flow.rtol;
        job->atol[e] = run->flow.atol;
    }
    return VPSDE_OK;
}

static vpsde_status integrate(const transport_job *transport, const double *t, size_t n_threads,
                              vpsde_sink *sink)
{
    const vpsde_likelihood *run = &transport->run;
    const size_t d = transport->d;
    vpsde_batch_job job = vpsde_flow_job(&transport->flow);
    job.dim = transport->dim;
    job.rtol = transport->rtol;
    job.atol = transport->atol;
    job.tangents = transport->chunk;
    job.lane_doubles = vpsde_certificate_doubles(d);
    job.context = transport;
    job.delivery = transport->delivery;
    job.open_block = open_block;
    job.deliver = deliver;
    job.close_block = close_block;
    job.sample = sample;
    vpsde_fill_sink fill;
    VPSDE_TRY(begin(transport, t, vpsde_fill_sink_init(&fill, sink, &job)));
    const vpsde_status status = vpsde_batch_run(&job, n_threads, run->control.stop);
    return vpsde_delivery_end(transport->delivery, status, n_threads);
}

vpsde_status vpsde_transport_run(const vpsde_transport *run, vpsde_sink *sink)
{
    vpsde_delivery delivery = {.what = "row",
                               .rate = "rows_per_second",
                               .control = &run->flow.control,
                               .total = run->flow.count};
    transport_job job = {.delivery = &delivery};
    size_t n_threads = 0;
    vpsde_status status = open_job(&job, run);
    if (status == VPSDE_OK) status = vpsde_threads(&n_threads, run->flow.n_threads);
    if (status == VPSDE_OK) status = vpsde_delivery_open(&delivery);
    if (status == VPSDE_OK) status = integrate(&job, run->t, n_threads, sink);
    vpsde_delivery_close(&delivery);
    vpsde_flow_close(&job.flow);
    free(job.at);
    free(job.b);
    free(job.rtol);
    free(job.atol);
    return status;
}
