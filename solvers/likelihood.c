/* log p by the probability-flow ODE, in the clock phi:
 *     dx/dphi = F = (eps - sigma x)/alpha,   div F = (tr J_eps - sigma d)/alpha,
 *     log p_0(x) = log p_T(x_T) + int div F dphi.
 * Source: Song et al. 2021 (arXiv:2011.13456), eq. (39); the trace exactly, or by Hutchinson's
 * estimator v^T J v (Hutchinson 1990; Grathwohl et al. 2019, arXiv:1810.01367) with one set of
 * probes a row, fixed over the solve.
 *
 * One integration a row of y = (x, l): one l for an exact trace; for several probes their mean, then
 * each of them. Steps are controlled by x and by the first l alone, on which logp rests; a probe's
 * own l, which tells the spread, goes along unwatched. A probe sees all of F, -sigma v^T v included:
 * where the data are nearly Gaussian the two parts cancel. */
#include <vpsde/likelihood.h>

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "models/trained.h"
#include "solvers/batch.h"
#include "solvers/driver.h"
#include "solvers/fill_sink.h"
#include "solvers/likelihood_table.h"

/* Absolute tolerance in nats of what is not to be controlled. */
static const double unwatched = 1e30;

typedef struct flow {
    const vpsde_likelihood *run;
    double param[VPSDE_PARAM_MAX];
    const vpsde_clock *clock;
    vpsde_coef start, end;
    size_t d, n_threads;
    bool closed;           /* the model's divergence is a closed form */
    size_t n_directions;   /* d, the probes, or 0 */
    size_t chunk, n_calls; /* directions a call, calls an evaluation */
    size_t n_logp;         /* l components: 1, or the probes' mean and each of them */
    double *unit;          /* (n_calls * chunk, d) unit vectors, for an exact trace */
    double *rtol, *atol;   /* (d + n_logp) */
    vpsde_delivery *delivery;
} flow;

/* ---- right-hand side ------------------------------------------------------------------------- */

static bool estimated(const flow *f) { return f->run->trace == VPSDE_TRACE_HUTCHINSON; }

/* lane->own: the probes, padded with zeros to whole calls, then v^T v of each. */
static const double *directions(const flow *f, const vpsde_lane *lane)
{
    return f->unit ? f->unit : lane->own;
}

static double *squares(const flow *f, const vpsde_lane *lane)
{
    return lane->own + f->n_calls * f->chunk * f->d;
}

/* Adds what one call says about the trace: to the single l, or to each probe's. */
static void add_trace(const flow *f, const vpsde_lane *lane, size_t from, double *trace)
{
    const double *v = directions(f, lane) + from * f->d;
    for (size_t m = 0; m < f->chunk && from + m < f->n_directions; m++) {
        const double *jv = lane->deps + m * f->d;
        if (f->unit)
            trace[0] += jv[from + m];
        else
            trace[from + m] = vec_dot(f->d, v + m * f->d, jv);
    }
}

/* Where each probe's l begins: at the first l for one, behind their mean for several. */
static size_t first_probe(const flow *f) { return f->n_logp > 1 ? 1 : 0; }

static vpsde_status rhs(vpsde_ode *ode, double s, const double *y, double *dy)
{
    vpsde_lane *lane = ode->context;
    const flow *f = lane->job;
    const size_t d = f->d, n = f->n_logp - first_probe(f);
    const vpsde_coef c = f->clock->at(f->run->process, s);
    const double rate = f->clock->rate(&c) / c.alpha;
    double *dl = dy + d, *each = dl + first_probe(f);
    each[0] = 0;
    for (size_t q = 0; q < f->n_calls; q++) {
        VPSDE_TRY(vpsde_lane_eval(lane, &c, y, directions(f, lane) + q * f->chunk * d));
        if (q == 0) vec_lin2(d, dy, rate, lane->eps, -rate * c.sigma, y);
        add_trace(f, lane, q * f->chunk, each);
    }
    if (f->closed) each[0] = lane->div;
    double sum = 0;
    for (size_t m = 0; m < n; m++) {
        each[m] = rate * (each[m] - c.sigma * (estimated(f) ? squares(f, lane)[m] : (double)d));
        sum += each[m];
    }
    dl[0] = sum / (double)n;
    return VPSDE_OK;
}

/* ---- one row --------------------------------------------------------------------------------- */

static void draw_probes(const flow *f, vpsde_lane *lane)
{
    const vpsde_likelihood *run = f->run;
    for (size_t m = 0; m < run->probes; m++) {
        double *v = lane->own + m * f->d;
        if (run->probe == VPSDE_PROBE_GAUSSIAN) {
            vpsde_normals(v, run->seed, VPSDE_NOISE_PROBE, lane->sample, 1, (uint32_t)m, f->d);
        } else {
            vpsde_signs(v, run->seed, VPSDE_NOISE_PROBE, lane->sample, 1, (uint32_t)m, f->d);
        }
        squares(f, lane)[m] = vec_dot(f->d, v, v);
    }
}

static vpsde_status terminal_logp(const flow *f, const double *x, double *logp)
{
    const vpsde_process_spec *spec = vpsde_process_get_spec(f->run->process);
    if (spec->terminal == VPSDE_TERMINAL_EXACT) {
        return vpsde_model_log_p(f->run->model, 1, &f->end, x, logp);
    }
    *logp = vpsde_prior_logp(x, f->d);
    return VPSDE_OK;
}

/* Standard error of the probes' mean; 0 for an exact trace, NaN for one probe. */
static double spread(const flow *f, const double *l)
{
    const size_t n = f->n_logp - first_probe(f);
    const double *each = l + first_probe(f);
    double sum = 0, square = 0;
    if (!estimated(f)) return 0;
    if (n == 1) return (double)NAN;
    for (size_t m = 0; m < n; m++) sum += each[m];
    const double mean = sum / (double)n;
    for (size_t m = 0; m < n; m++) square += (each[m] - mean) * (each[m] - mean);
    return sqrt(square / (double)(n - 1) / (double)n);
}

static vpsde_status score(const flow *f, const vpsde_lane *lane)
{
    vpsde_score_rows *rows = lane->block;
    const size_t i = lane->row;
    double prior;
    VPSDE_TRY(terminal_logp(f, lane->ode.y, &prior));
    const double delta = lane->ode.y[f->d], logp = prior + delta;
    rows->score[VPSDE_SCORE_LOGP][i] = logp;
    rows->score[VPSDE_SCORE_PRIOR][i] = prior;
    rows->score[VPSDE_SCORE_DELTA][i] = delta;
    rows->score[VPSDE_SCORE_BITS][i] = -logp / ((double)f->d * M_LN2) + f->run->bits_offset;
    rows->score[VPSDE_SCORE_STDERR][i] = spread(f, lane->ode.y + f->d);
    if (!isfinite(logp)) rows->status[i] = VPSDE_ROW_NON_FINITE;
    return VPSDE_OK;
}

static vpsde_status sample(vpsde_lane *lane)
{
    const flow *f = lane->job;
    vpsde_ode *ode = &lane->ode;
    vpsde_score_rows *rows = lane->block;
    const size_t i = lane->row;
    ode->s_start = f->clock->value(&f->start);
    ode->s_end = f->clock->value(&f->end);
    ode->rhs = rhs;
    vec_copy(f->d, ode->y, f->run->x + (size_t)(lane->sample - f->run->first) * f->d);
    for (size_t m = 0; m < f->n_logp; m++) ode->y[f->d + m] = 0;
    if (estimated(f)) draw_probes(f, lane);
    const vpsde_status status = vpsde_ode_run(f->run->integrator, ode);
    if (ode->failed != VPSDE_OK || (status != VPSDE_OK && status != VPSDE_ENUMERIC)) return status;
    rows->status[i] = status == VPSDE_OK ? VPSDE_ROW_OK
                      : ode->non_finite  ? VPSDE_ROW_NON_FINITE
                                         : VPSDE_ROW_INTEGRATION_FAILED;
    rows->nfe[i] = vpsde_count_i32(ode->n_rhs);
    rows->jvp[i] = vpsde_count_i32(ode->n_rhs * f->n_directions);
    rows->rejected[i] = vpsde_count_i32(ode->n_rejected);
    return status == VPSDE_OK ? score(f, lane) : VPSDE_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status open_block(const void *context, void **block)
{
    const flow *f = context;
    vpsde_score_rows *rows;
    VPSDE_TRY(vpsde_score_rows_create(&rows, vpsde_staging_rows(f->run->model, f->run->count)));
    *block = rows;
    return VPSDE_OK;
}

static vpsde_status deliver(const void *context, void *block, uint64_t first, size_t n)
{
    const flow *f = context;
    return vpsde_score_write(f->delivery, block, first, n);
}

static void close_block(void *block) { vpsde_score_rows_destroy(block); }

static vpsde_status check_pieces(const vpsde_likelihood *run)
{
    const char *missing = !run->process      ? "process"
                          : !run->model      ? "model"
                          : !run->integrator ? "integrator"
                          : !run->x          ? "x"
                                             : NULL;
    if (missing) return vpsde_fail(VPSDE_EINVAL, "likelihood: %s is not set", missing);
    VPSDE_TRY(vpsde_ode_check_type(run->integrator, "the likelihood"));
    VPSDE_TRY(vpsde_model_check_t_min(run->model, vpsde_process_get_spec(run->process)->t_min));
    return vpsde_run_check_rows("row", run->model, run->first, run->count, run->classes);
}

static vpsde_status check_numbers(const vpsde_likelihood *run)
{
    const unsigned flags = run->model->type->flags;
    const bool probed = run->trace == VPSDE_TRACE_HUTCHINSON;
    const bool exact_end = vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_EXACT;
    VPSDE_TRY(vpsde_ode_check_tolerances(run->integrator, run->rtol, run->atol));
    if (!(run->logp_atol >= 0 && isfinite(run->logp_atol))) {
        return vpsde_fail(VPSDE_EINVAL, "logp_atol: must be 0 (take atol) or more, got %g",
                          run->logp_atol);
    }
    if (probed && (run->probes == 0 || run->probes > INT32_MAX)) {
        return vpsde_fail(VPSDE_EINVAL, "probes: must be 1 or more, got %zu", run->probes);
    }
    if (!(flags & VPSDE_MODEL_JVP) && (probed || !(flags & VPSDE_MODEL_DIVERGENCE))) {
        return vpsde_fail(VPSDE_EINVAL, "%s offers no Jacobian products, which the %s trace needs",
                          run->model->type->name, probed ? "hutchinson" : "exact");
    }
    if (exact_end && !(flags & VPSDE_MODEL_LOG_P)) {
        return vpsde_fail(
            VPSDE_EINVAL,
            "terminal: exact needs a model that knows log p_T, which %s does not; use "
            "standard-normal",
            run->model->type->name);
    }
    return VPSDE_OK;
}

static vpsde_status choose_directions(flow *f)
{
    const bool exact = f->run->trace == VPSDE_TRACE_EXACT;
    f->closed = exact && f->run->model->type->flags & VPSDE_MODEL_DIVERGENCE;
    f->n_directions = f->closed ? 0 : exact ? f->d : f->run->probes;
    f->n_logp = exact || f->run->probes == 1 ? 1 : 1 + f->run->probes;
    f->chunk = vpsde_batch_tangents(f->run->model, f->n_directions);
    f->n_calls = f->chunk ? (f->n_directions + f->chunk - 1) / f->chunk : 1;
    if (!exact || f->closed) return VPSDE_OK;
    size_t count;
    VPSDE_TRY(vpsde_size_mul(&count, f->n_calls * f->chunk, f->d, "exact trace: directions"));
    VPSDE_TRY(vpsde_alloc(&f->unit, count, sizeof(double)));
    for (size_t j = 0; j < f->d; j++) f->unit[j * f->d + j] = 1;
    return VPSDE_OK;
}

static vpsde_status set_clock(flow *f)
{
    const vpsde_process *process = f->run->process;
    f->start = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
    f->end = vpsde_process_at(process, vpsde_process_t_max(process));
    return vpsde_ode_clock(&f->clock, f->run->integrator, f->param, &f->end, &f->start);
}

static vpsde_status set_tolerances(flow *f)
{
    const vpsde_likelihood *run = f->run;
    const size_t dim = f->d + f->n_logp;
    VPSDE_TRY(vpsde_alloc(&f->rtol, dim, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&f->atol, dim, sizeof(double)));
    for (size_t j = 0; j < f->d; j++) {
        f->rtol[j] = run->rtol;
        f->atol[j] = run->atol;
    }
    f->atol[f->d] = run->logp_atol > 0 ? run->logp_atol : run->atol;
    for (size_t j = f->d + 1; j < dim; j++) f->atol[j] = unwatched;
    return VPSDE_OK;
}

static vpsde_status set_up(flow *f)
{
    VPSDE_TRY(check_pieces(f->run));
    VPSDE_TRY(check_numbers(f->run));
    f->d = f->run->model->dim;
    VPSDE_TRY(vpsde_threads(&f->n_threads, f->run->n_threads));
    VPSDE_TRY(vpsde_run_params(f->param, f->run->integrator, f->run->param));
    VPSDE_TRY(set_clock(f));
    VPSDE_TRY(choose_directions(f));
    return set_tolerances(f);
}

static vpsde_status integrate(flow *f, vpsde_sink *sink)
{
    const vpsde_likelihood *run = f->run;
    vpsde_batch_job job = {
        .process = run->process,
        .model = run->model,
        .classes = run->classes,
        .first = run->first,
        .count = run->count,
        .rows = vpsde_block_rows(run->model),
        .integrator = run->integrator,
        .dim = f->d + f->n_logp,
        .rtol = f->rtol,
        .atol = f->atol,
        .param = f->param,
        .tangents = f->chunk,
        .divergence = f->closed,
        .fibers = vpsde_batch_wants_fibers(run->model),
        .lane_doubles = estimated(f) ? f->n_calls * f->chunk * f->d + run->probes : 0,
        .context = f,
        .delivery = f->delivery,
        .open_block = open_block,
        .deliver = deliver,
        .close_block = close_block,
        .sample = sample,
    };
    vpsde_fill_sink fill;
    vpsde_sink *const filled = vpsde_fill_sink_init(&fill, sink, &job);
    VPSDE_TRY(vpsde_score_begin(f->delivery, run, f->param, filled));
    const vpsde_status status = vpsde_batch_run(&job, f->n_threads, run->control.stop);
    return vpsde_delivery_end(f->delivery, status, f->n_threads);
}

vpsde_status vpsde_likelihood_run(const vpsde_likelihood *run, vpsde_sink *sink)
{
    vpsde_delivery delivery = {
        .what = "row", .rate = "rows_per_second", .control = &run->control, .total = run->count};
    flow f = {.run = run, .delivery = &delivery};
    vpsde_status status = set_up(&f);
    if (status == VPSDE_OK) status = vpsde_delivery_open(&delivery);
    if (status == VPSDE_OK) status = integrate(&f, sink);
    vpsde_delivery_close(&delivery);
    free(f.unit);
    free(f.rtol);
    free(f.atol);
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
    return vpsde_likelihood_run(run, &sink);
}
