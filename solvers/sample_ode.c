/* Sampling by solvers that choose their own steps, one sample at a time: the probability-flow ODE
 * by an adaptive integrator,
 *     dx/dphi = F(x, phi) = (eps - sigma x)/alpha,   phi(t_max) -> phi(t_min)
 * (Song et al. 2021, arXiv:2011.13456, eq. (13), in the clock phi), or a walk by the solver's own
 * formula (solvers/walk.h). The grid only says where it starts, where it ends and which states are
 * stored between.
 *
 * A network that was not trained down to t = 0 is not called there: towards a grid that ends at 0
 * it goes to the last node before, whose x0hat is the state at 0 (as DDIM's last step). Walks,
 * whose formulas have no value at sigma = 0, go to lambda = vpsde_walk_lambda_end with other
 * models. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/batch.h"
#include "solvers/driver.h"
#include "solvers/fill_sink.h"
#include "solvers/flow_logp.h"
#include "solvers/guidance.h"

typedef struct flow {
    vpsde_flow_logp logp; /* first: a lane's job */
    const vpsde_sampling *run;
    vpsde_report *report;
    const vpsde_clock *clock;
    vpsde_coef start, end; /* of the integration */
    bool beyond;           /* the run goes on to t = 0, where the network is not called */
    vpsde_coef *log_at;    /* (n_stored) inner stored nodes */
    double *log_s;         /* (n_stored) the same on the clock */
    size_t n_log;          /* how many of them */
    size_t log_from;       /* stored nodes before the first of them: 0 or 1 */
    double *rtol, *atol;   /* (d) */
} flow;

/* Network evaluations of one lane evaluation. */
static size_t calls_of(const flow *f)
{
    return vpsde_guidance_calls(vpsde_guidance_weight(f->run->guidance, f->run->classes));
}

static vpsde_status rhs(vpsde_ode *ode, double s, const double *x, double *dx)
{
    vpsde_lane *lane = ode->context;
    const flow *f = lane->job;
    const vpsde_coef c = f->clock->at(f->run->process, s);
    VPSDE_TRY(vpsde_lane_eval(lane, &c, x, NULL));
    const double rate = f->clock->rate(&c) / c.alpha;
    vec_lin2(ode->dim, dx, rate, lane->eps, -rate * c.sigma, x);
    return VPSDE_OK;
}

/* ---- one sample ------------------------------------------------------------------------------ */

/* lane->own: start state, scratch, then the interpolated states, and where they lie in the steps. */
static double *start_of(const vpsde_lane *lane) { return lane->own; }
static double *scratch_of(const vpsde_lane *lane) { return lane->own + lane->ode.dim; }
static double *log_of(const vpsde_lane *lane) { return lane->own + 2 * lane->ode.dim; }
static double *steps_of(const flow *f, const vpsde_lane *lane)
{
    return log_of(lane) + f->n_log * lane->ode.dim;
}

/* State at stored node m: the interpolated ones lie between start and end. */
static const double *state_at(const flow *f, const vpsde_lane *lane, size_t m)
{
    const size_t k = f->report->stored[m];
    if (k == 0) return start_of(lane);
    if (k == f->run->grid->n_steps) return lane->ode.y;
    return log_of(lane) + (m - f->log_from) * lane->ode.dim;
}

/* out <- x0hat = (x - sigma eps)/alpha, Tweedie's formula; at sigma = 0 x itself, without a
 * call. */
static vpsde_status tweedie(vpsde_lane *lane, const vpsde_coef *c, const double *x, double *out)
{
    if (c->sigma > 0) {
        VPSDE_TRY(vpsde_lane_eval(lane, c, x, NULL));
        vec_lin2(lane->ode.dim, out, 1 / c->alpha, x, -c->sigma / c->alpha, lane->eps);
    } else if (out != x) {
        vec_copy(lane->ode.dim, out, x);
    }
    return VPSDE_OK;
}

/* The path's increment from stored node m to the grid's next node, where the sample followed it. */
static void store_noise(const flow *f, vpsde_lane *lane, size_t m)
{
    const size_t k = f->report->stored[m];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): stored nodes are nodes of a grid */
    const vpsde_coef *node = &f->run->grid->node[k];
    double *z = scratch_of(lane);
    const bool follows = lane->walk.path && lane->walk.n_draws == 0 && k < f->run->grid->n_steps &&
                         node[1].t >= f->end.t;
    if (!(f->report->fields & VPSDE_LOG_NOISE)) return;
    if (follows) vpsde_walk_noise(&lane->walk, &node[0], &node[1], z, NULL);
    vpsde_rows_store(lane->block, f->report, 3, lane->row, m, follows ? z : NULL);
}

/* Accepted steps up to stored node m, as state_at. */
static void store_steps(const flow *f, vpsde_lane *lane, size_t m)
{
    const size_t k = f->report->stored[m];
    const double all =
        (double)(f->run->solver->walk ? lane->walk.n_accepted : lane->ode.n_accepted);
    const double steps = k == 0                       ? 0
                         : k == f->run->grid->n_steps ? all
                                                      : steps_of(f, lane)[m - f->log_from];
    vpsde_rows_store(lane->block, f->report, VPSDE_FIELD_STEPS, lane->row, m, &steps);
}

/* eps and x0hat cost one call a node, for the log alone. */
static vpsde_status store_node(const flow *f, vpsde_lane *lane, size_t m)
{
    const vpsde_report *report = f->report;
    store_noise(f, lane, m);
    store_steps(f, lane, m);
    const vpsde_coef *c = &f->run->grid->node[report->stored[m]];
    const double *x = state_at(f, lane, m);
    vpsde_rows *rows = lane->block;
    vpsde_rows_store(rows, report, 0, lane->row, m, x);
    if (!(report->fields & (VPSDE_LOG_EPS | VPSDE_LOG_X0))) return VPSDE_OK;
    VPSDE_TRY(tweedie(lane, c, x, scratch_of(lane)));
    rows->nfe_log[lane->row] += c->sigma > 0 ? (int32_t)calls_of(f) : 0;
    vpsde_rows_store(rows, report, 1, lane->row, m, c->sigma > 0 ? lane->eps : NULL);
    vpsde_rows_store(rows, report, 2, lane->row, m, scratch_of(lane));
    return VPSDE_OK;
}

static vpsde_status store_nodes(const flow *f, vpsde_lane *lane)
{
    for (size_t m = 0; m < f->report->n_stored; m++) VPSDE_TRY(store_node(f, lane, m));
    return VPSDE_OK;
}

static void store_nothing(const flow *f, vpsde_lane *lane)
{
    for (size_t field = 0; field < VPSDE_N_FIELDS; field++) {
        for (size_t m = 0; m < f->report->n_stored; m++) {
            vpsde_rows_store(lane->block, f->report, field, lane->row, m, NULL);
        }
    }
}

static const double *stored_state(const vpsde_lane *lane, size_t m)
{
    return state_at(lane->job, lane, m);
}

static vpsde_status store_logp(const flow *f, vpsde_lane *lane)
{
    double *memory = steps_of(f, lane) + f->n_log;
    return vpsde_flow_logp_store(&f->logp, lane, memory, start_of(lane), stored_state);
}

/* The last step and the stored nodes: a node beyond the integration stores the result. */
static vpsde_status finish(const flow *f, vpsde_lane *lane)
{
    double *y = lane->ode.y;
    const bool after = f->run->grid && f->run->grid->last_step == VPSDE_LAST_TWEEDIE;
    if (f->beyond) VPSDE_TRY(tweedie(lane, &f->end, y, y));
    VPSDE_TRY(store_nodes(f, lane));
    if (f->logp.report) VPSDE_TRY(store_logp(f, lane));
    return after ? tweedie(lane, &f->end, y, y) : VPSDE_OK;
}

/* What became of one sample: ENUMERIC when it alone failed, `failed` when the network did. */
typedef struct outcome {
    vpsde_status status, failed;
    bool non_finite;
    uint64_t n_rejected, n_eval_log;
} outcome;

static outcome integrate_sample(const flow *f, vpsde_lane *lane)
{
    vpsde_ode *ode = &lane->ode;
    ode->s_start = f->clock->value(&f->start);
    ode->s_end = f->clock->value(&f->end);
    ode->rhs = rhs;
    ode->n_log = f->n_log;
    ode->log_dim = ode->dim;
    ode->log_s = f->log_s;
    ode->log_y = log_of(lane);
    ode->log_steps = steps_of(f, lane);
    const vpsde_status status = vpsde_ode_run(f->run->solver, ode);
    return (outcome){.status = status,
                     .failed = ode->failed,
                     .non_finite = ode->non_finite,
                     .n_rejected = ode->n_rejected};
}

static outcome walk_sample(const flow *f, vpsde_lane *lane)
{
    vpsde_walk *walk = &lane->walk;
    walk->start = f->start;
    walk->end = f->end;
    walk->n_log = f->n_log;
    walk->log_at = f->log_at;
    walk->log_x = log_of(lane);
    walk->log_steps = steps_of(f, lane);
    const vpsde_status status = vpsde_walk_run(f->run->solver, walk, f->run->seed, lane->sample);
    return (outcome){.status = status,
                     .failed = walk->failed,
                     .non_finite = walk->non_finite,
                     .n_rejected = walk->n_rejected,
                     .n_eval_log = walk->n_eps_log};
}

static vpsde_status sample(vpsde_lane *lane)
{
    const flow *f = lane->job;
    double *y = lane->ode.y;
    vpsde_rows *rows = lane->block;
    const size_t i = lane->row, d = lane->ode.dim;
    VPSDE_TRY(vpsde_sampling_start(f->run, lane->sample, 1, y));
    vec_copy(d, start_of(lane), y);
    const outcome o = f->run->solver->walk ? walk_sample(f, lane) : integrate_sample(f, lane);
    if (o.failed != VPSDE_OK || (o.status != VPSDE_OK && o.status != VPSDE_ENUMERIC)) {
        return o.status;
    }
    const uint64_t calls = calls_of(f);
    rows->nfe_log[i] = vpsde_count_i32(calls * o.n_eval_log);
    rows->jvp[i] = 0;
    rows->status[i] = o.status == VPSDE_OK ? VPSDE_ROW_OK
                      : o.non_finite       ? VPSDE_ROW_NON_FINITE
                                           : VPSDE_ROW_INTEGRATION_FAILED;
    if (o.status == VPSDE_OK) VPSDE_TRY(finish(f, lane));
    if (o.status != VPSDE_OK) store_nothing(f, lane);
    if (o.status == VPSDE_OK && !vec_is_finite(d, y)) rows->status[i] = VPSDE_ROW_NON_FINITE;
    vec_copy(d, rows->final + i * d, y);
    rows->nfe[i] = vpsde_count_i32(calls * lane->n_eval - (uint64_t)rows->nfe_log[i]);
    rows->rejected[i] = vpsde_count_i32(o.n_rejected);
    return VPSDE_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status open_block(const void *context, void **block)
{
    const flow *f = context;
    vpsde_rows *rows;
    VPSDE_TRY(vpsde_rows_create(&rows, f->report));
    *block = rows;
    return VPSDE_OK;
}

static vpsde_status deliver(const void *context, void *block, uint64_t first, size_t n)
{
    const flow *f = context;
    return vpsde_report_write(f->report, block, first, n);
}

static void close_block(void *block) { vpsde_rows_destroy(block); }

static vpsde_status place_log(flow *f)
{
    const vpsde_report *report = f->report;
    VPSDE_TRY(vpsde_alloc(&f->log_at, report->n_stored, sizeof(*f->log_at)));
    VPSDE_TRY(vpsde_alloc(&f->log_s, report->n_stored, sizeof(double)));
    for (size_t m = 0; m < report->n_stored; m++) {
        const size_t k = report->stored[m];
        if (k == 0) f->log_from = 1;
        if (k == 0 || k == f->run->grid->n_steps) continue;
        f->log_at[f->n_log] = f->run->grid->node[k];
        if (f->clock) f->log_s[f->n_log] = f->clock->value(&f->log_at[f->n_log]);
        f->n_log++;
    }
    return VPSDE_OK;
}

/* Where it starts and ends. */
static vpsde_status set_ends(flow *f)
{
    const vpsde_sampling *run = f->run;
    const vpsde_grid *grid = run->grid;
    double trained;
    VPSDE_TRY(vpsde_model_t_min(&trained, run->model));
    f->start =
        grid ? grid->node[0] : vpsde_process_at(run->process, vpsde_process_t_max(run->process));
    f->end = grid ? grid->node[grid->n_steps]
                  : vpsde_process_at(run->process, vpsde_process_get_spec(run->process)->t_min);
    if (f->end.t > 0) return VPSDE_OK;
    if (grid && grid->n_steps > 1 && trained > 0) {
        f->beyond = true;
        f->end = grid->node[grid->n_steps - 1];
    } else if (run->solver->walk) {
        f->beyond = true;
        f->end = vpsde_process_at_lambda(run->process, vpsde_walk_lambda_end);
        if (!(f->end.t < f->start.t)) f->end = f->start;
    }
    return VPSDE_OK;
}

/* log p has the absolute tolerance of x, in nats. */
static vpsde_status set_logp(flow *f)
{
    const vpsde_sampling *run = f->run;
    const size_t d = run->model->dim;
    const size_t rows = vpsde_batch_wants_fibers(run->model) ? vpsde_block_rows(run->model) : 1;
    f->logp = (vpsde_flow_logp){.report = f->report,
                                .clock = f->clock,
                                .trace = vpsde_logp_trace_of(run, rows),
                                .start = f->start,
                                .end = f->end};
    VPSDE_TRY(vpsde_alloc(&f->logp.rtol, d + 1, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&f->logp.atol, d + 1, sizeof(double)));
    for (size_t j = 0; j <= d; j++) {
        f->logp.rtol[j] = j < d ? run->rtol : 0;
        f->logp.atol[j] = run->atol;
    }
    return VPSDE_OK;
}

static vpsde_status set_up(flow *f)
{
    const vpsde_sampling *run = f->run;
    const size_t d = run->model->dim;
    VPSDE_TRY(run->solver->walk ? vpsde_walk_check(run->solver)
                                : vpsde_ode_check_type(run->solver, "sampling"));
    VPSDE_TRY(set_ends(f));
    if (!run->solver->walk) {
        const bool up = f->start.t < f->end.t; /* encodes */
        VPSDE_TRY(vpsde_ode_clock(&f->clock, run->solver, f->report->param,
                                  up ? &f->end : &f->start, up ? &f->start : &f->end));
    }
    VPSDE_TRY(vpsde_alloc(&f->rtol, d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&f->atol, d, sizeof(double)));
    for (size_t j = 0; j < d; j++) {
        f->rtol[j] = run->rtol;
        f->atol[j] = run->atol;
    }
    VPSDE_TRY(place_log(f));
    return f->report->fields & VPSDE_LOG_LOGP ? set_logp(f) : VPSDE_OK;
}

static vpsde_status sample_all(flow *f, vpsde_sink *sink)
{
    const vpsde_sampling *run = f->run;
    VPSDE_TRY(set_up(f));
    vpsde_batch_job job = {
        .process = run->process,
        .model = run->model,
        .classes = run->classes,
        .guidance = vpsde_guidance_weight(run->guidance, run->classes),
        .clip = &run->clip,
        .first = run->first,
        .count = run->count,
        .rows = vpsde_block_rows(run->model),
        .integrator = run->solver,
        .dim = run->model->dim,
        .rtol = f->rtol,
        .atol = f->atol,
        .param = f->report->param,
        .tangents = f->logp.trace.chunk,
        .divergence = f->logp.trace.closed,
        .fibers = vpsde_batch_wants_fibers(run->model),
        .dim_beside = f->logp.report ? run->model->dim + 1 : 0,
        .lane_doubles =
            (f->n_log + 2) * run->model->dim + f->n_log + vpsde_flow_logp_doubles(&f->logp),
        .context = f,
        .delivery = &f->report->delivery,
        .open_block = open_block,
        .deliver = deliver,
        .close_block = close_block,
        .sample = sample,
    };
    vpsde_fill_sink fill;
    vpsde_sink *const filled = vpsde_fill_sink_init(&fill, sink, &job);
    VPSDE_TRY(vpsde_report_begin(f->report, filled, NULL, 0));
    const vpsde_status status = vpsde_batch_run(&job, f->report->n_threads, run->control.stop);
    return vpsde_report_end(f->report, status);
}

vpsde_status vpsde_sample_ode(const vpsde_sampling *run, vpsde_sink *sink)
{
    flow f = {.run = run};
    VPSDE_TRY(vpsde_report_create(&f.report, run));
    const vpsde_status status = sample_all(&f, sink);
    vpsde_report_destroy(f.report);
    free(f.log_at);
    free(f.log_s);
    free(f.logp.rtol);
    free(f.logp.atol);
    free(f.rtol);
    free(f.atol);
    return status;
}
