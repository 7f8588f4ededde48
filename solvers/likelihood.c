/* Likelihood runs: rows through the batch, each by solvers/flow.c, their columns to the sink. */
#include <vpsde/likelihood.h>

#include <math.h>
#include <stdlib.h>

#include "core/vec.h"
#include "solvers/dequantise.h"
#include "solvers/driver.h"
#include "solvers/fill_sink.h"
#include "solvers/flow.h"
#include "solvers/likelihood_table.h"

typedef struct score_job {
    vpsde_flow flow; /* first: a lane's job */
    vpsde_dequantiser dequantiser;
    vpsde_delivery *delivery;
} score_job;

static void store(const vpsde_flow *f, vpsde_score_rows *rows, size_t i, const vpsde_flow_result *r,
                  double logp)
{
    const double unknown = f->run->budget ? 0 : (double)NAN;
    const vpsde_error_budget *b = &r->budget;
    const double score[VPSDE_N_SCORES] = {
        [VPSDE_SCORE_LOGP] = logp,
        [VPSDE_SCORE_PRIOR] = r->prior,
        [VPSDE_SCORE_DELTA] = r->delta,
        [VPSDE_SCORE_CORRECTION] = logp - (r->prior + r->delta),
        [VPSDE_SCORE_BITS] = -logp / ((double)f->d * M_LN2) + f->run->bits_offset,
        [VPSDE_SCORE_STDERR] = b->trace_stderr,
        [VPSDE_SCORE_HALFWIDTH] = b->trace_halfwidth,
        [VPSDE_SCORE_ODE] = b->ode_error + unknown,
        [VPSDE_SCORE_FLOAT32] = b->float32_floor + unknown,
        [VPSDE_SCORE_NUMERICAL] = b->numerical_error + unknown,
        [VPSDE_SCORE_TRUNCATION] = b->truncation + unknown,
        [VPSDE_SCORE_TERMINAL] = b->terminal + unknown,
        [VPSDE_SCORE_DEQUANTISATION] = b->dequantisation_gap + unknown,
        [VPSDE_SCORE_DRAWS] = b->dequantisation_halfwidth + unknown,
        [VPSDE_SCORE_BUDGET] = b->total + unknown,
    };
    for (size_t c = 0; c < VPSDE_N_SCORES; c++) rows->score[c][i] = score[c];
}

/* One solve a draw of the dequantisation, with the same probes: what these do to log p, they do to
 * every weight alike, so that it biases no mean of weights. */
static vpsde_status solve_draws(const score_job *job, vpsde_lane *lane, vpsde_draws *draws)
{
    const vpsde_flow *f = &job->flow;
    const vpsde_dequantiser *q = &job->dequantiser;
    double *x0 = lane->own + vpsde_flow_lane_doubles(f), *x = x0 + f->d;
    vpsde_flow_result r;
    VPSDE_TRY(vpsde_flow_read(f, lane, x0));
    vpsde_flow_probes(f, lane);
    vpsde_draws_begin(draws);
    while (draws->n < q->how.draws && draws->status == VPSDE_ROW_OK) {
        const double correction = vpsde_dequantise(q, f->run->seed, lane->sample, draws->n, x0, x);
        VPSDE_TRY(vpsde_flow_score(f, lane, x, &r));
        vpsde_draws_add(draws, correction, &r);
    }
    return VPSDE_OK;
}

static vpsde_status sample(vpsde_lane *lane)
{
    const score_job *job = lane->job;
    const vpsde_flow *f = &job->flow;
    vpsde_score_rows *rows = lane->block;
    const size_t i = lane->row;
    vpsde_draws draws;
    vpsde_flow_result r;
    double logp;
    VPSDE_TRY(solve_draws(job, lane, &draws));
    vpsde_draws_end(&draws, &job->dequantiser, &r, &logp);
    vpsde_budget_add(&r.budget, f->run->trace == VPSDE_TRACE_HUTCHINSON ? f->run->probes : 0);
    store(f, rows, i, &r, logp);
    rows->status[i] = (uint8_t)r.status;
    rows->nfe[i] = vpsde_count_i32(r.n_rhs);
    rows->jvp[i] = vpsde_count_i32(r.n_rhs * f->n_directions);
    rows->rejected[i] = vpsde_count_i32(r.n_rejected);
    return VPSDE_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status open_block(const void *context, void **block)
{
    const score_job *job = context;
    const vpsde_likelihood *run = job->flow.run;
    vpsde_score_rows *rows;
    VPSDE_TRY(vpsde_score_rows_create(&rows, vpsde_staging_rows(run->model, run->count)));
    *block = rows;
    return VPSDE_OK;
}

static vpsde_status deliver(const void *context, void *block, uint64_t first, size_t n)
{
    const score_job *job = context;
    return vpsde_score_write(job->delivery, job->flow.run, block, first, n);
}

static void close_block(void *block) { vpsde_score_rows_destroy(block); }

static vpsde_status integrate(const score_job *score, size_t n_threads, vpsde_sink *sink)
{
    const vpsde_flow *f = &score->flow;
    const vpsde_likelihood *run = f->run;
    vpsde_batch_job job = vpsde_flow_job(f);
    job.dim = vpsde_flow_dim(f);
    job.rtol = f->rtol;
    job.atol = f->atol;
    job.tangents = f->chunk;
    job.divergence = f->closed;
    job.lane_doubles = vpsde_flow_lane_doubles(f) + 2 * f->d;
    job.context = score;
    job.delivery = score->delivery;
    job.open_block = open_block;
    job.deliver = deliver;
    job.close_block = close_block;
    job.sample = sample;
    vpsde_fill_sink fill;
    vpsde_sink *const filled = vpsde_fill_sink_init(&fill, sink, &job);
    VPSDE_TRY(vpsde_score_begin(score->delivery, run, f->param, filled));
    const vpsde_status status = vpsde_batch_run(&job, n_threads, run->control.stop);
    return vpsde_delivery_end(score->delivery, status, n_threads);
}

vpsde_status vpsde_likelihood_run(const vpsde_likelihood *run, vpsde_sink *sink)
{
    vpsde_delivery delivery = {
        .what = "row", .rate = "rows_per_second", .control = &run->control, .total = run->count};
    score_job job = {.delivery = &delivery};
    size_t n_threads = 0;
    vpsde_status status = vpsde_flow_open(&job.flow, run);
    if (status == VPSDE_OK) {
        status = vpsde_dequantiser_init(&job.dequantiser, &run->dequantization, &job.flow.start,
                                        job.flow.d);
    }
    if (status == VPSDE_OK) status = vpsde_threads(&n_threads, run->n_threads);
    if (status == VPSDE_OK) status = vpsde_delivery_open(&delivery);
    if (status == VPSDE_OK) status = integrate(&job, n_threads, sink);
    vpsde_delivery_close(&delivery);
    vpsde_flow_close(&job.flow);
    return status;
}

typedef struct array_sink {
    double *logp;
    size_t first;
} array_sink;

static vpsde_status array_begin(void *self, const vpsde_table *table)
{
    ((array_sink *)self)->first = table->first;
    return VPSDE_OK;
}

static vpsde_status array_write(void *self, size_t first, size_t n, const void *const *data)
{
    const array_sink *array = self;
    vec_copy(n, array->logp + (first - array->first), data[VPSDE_SCORE_LOGP]);
    return VPSDE_OK;
}

vpsde_status vpsde_likelihood_array(const vpsde_likelihood *run, double *logp)
{
    array_sink array = {.logp = logp};
    vpsde_sink sink = {.self = &array, .begin = array_begin, .write = array_write};
    vpsde_likelihood plain = *run;
    plain.budget = false;
    return vpsde_likelihood_run(&plain, &sink);
}
