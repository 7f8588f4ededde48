/* Sampling by the probability-flow ODE with an adaptive integrator:
 *     dx/dphi = F(x, phi) = (eps - sigma x)/alpha,   phi(t_max) -> phi(t_min),
 * one integration a sample (Song et al. 2021, arXiv:2011.13456, eq. (13), in the clock phi). The
 * grid only says where it starts, where it ends and which states are stored between.
 *
 * A network that was not trained down to t = 0 is not called there: towards a grid that ends at 0 it
 * is integrated to the last node before, whose x0hat is the state at 0 (as DDIM's last step). */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/batch.h"
#include "solvers/driver.h"
#include "solvers/fill_sink.h"

typedef struct flow {
    const vpsde_sampling *run;
    vpsde_report *report;
    const vpsde_clock *clock;
    vpsde_coef start, end; /* of the integration */
    bool beyond;           /* the grid goes on to t = 0, where the network is not called */
    double *log_s;         /* (n_stored) inner stored nodes on the clock */
    size_t n_log;          /* how many of them */
    size_t log_from;       /* stored nodes before the first of them: 0 or 1 */
    double *rtol, *atol;   /* (d) */
} flow;

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

/* lane->own: start state, scratch, then the interpolated states. */
static double *start_of(const vpsde_lane *lane) { return lane->own; }
static double *scratch_of(const vpsde_lane *lane) { return lane->own + lane->ode.dim; }
static double *log_of(const vpsde_lane *lane) { return lane->own + 2 * lane->ode.dim; }

/* State at stored node m: the interpolated ones lie between start and end. */
static const double *state_at(const flow *f, const vpsde_lane *lane, size_t m)
{
    const size_t k = f->report->stored[m];
    if (k == 0) return start_of(lane);
    if (k == f->run->grid->n_steps) return lane->ode.y;
    return log_of(lane) + (m - f->log_from) * lane->ode.dim;
}

/* out <- x0hat = (x - sigma eps)/alpha, Tweedie's formula; at sigma = 0 x itself, without a call. */
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

/* eps and x0hat cost one call a node, for the log alone. */
static vpsde_status store_node(const flow *f, vpsde_lane *lane, size_t m)
{
    const vpsde_report *report = f->report;
    const vpsde_coef *c = &f->run->grid->node[report->stored[m]];
    const double *x = state_at(f, lane, m);
    vpsde_rows *rows = lane->block;
    vpsde_rows_store(rows, report, 0, lane->row, m, x);
    if (!(report->fields & (VPSDE_LOG_EPS | VPSDE_LOG_X0))) return VPSDE_OK;
    VPSDE_TRY(tweedie(lane, c, x, scratch_of(lane)));
    rows->nfe_log[lane->row] += c->sigma > 0;
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

/* The last step and the stored nodes: a node beyond the integration stores the result. */
static vpsde_status finish(const flow *f, vpsde_lane *lane)
{
    double *y = lane->ode.y;
    const bool after = f->run->grid && f->run->grid->last_step == VPSDE_LAST_TWEEDIE;
    if (f->beyond) VPSDE_TRY(tweedie(lane, &f->end, y, y));
    VPSDE_TRY(store_nodes(f, lane));
    return after ? tweedie(lane, &f->end, y, y) : VPSDE_OK;
}

static vpsde_status sample(vpsde_lane *lane)
{
    const flow *f = lane->job;
    vpsde_ode *ode = &lane->ode;
    vpsde_rows *rows = lane->block;
    const size_t i = lane->row, d = ode->dim;
    ode->s_start = f->clock->value(&f->start);
    ode->s_end = f->clock->value(&f->end);
    ode->rhs = rhs;
    ode->n_log = f->n_log;
    ode->log_dim = d;
    ode->log_s = f->log_s;
    ode->log_y = log_of(lane);
    rows->nfe_log[i] = 0;
    VPSDE_TRY(vpsde_sampling_start(f->run, lane->sample, 1, ode->y));
    vec_copy(d, start_of(lane), ode->y);
    const vpsde_status status = vpsde_ode_run(f->run->solver, ode);
    if (ode->failed != VPSDE_OK || (status != VPSDE_OK && status != VPSDE_ENUMERIC)) return status;
    rows->status[i] = status == VPSDE_OK ? VPSDE_ROW_OK
                      : ode->non_finite  ? VPSDE_ROW_NON_FINITE
                                         : VPSDE_ROW_INTEGRATION_FAILED;
    if (status == VPSDE_OK) VPSDE_TRY(finish(f, lane));
    if (status != VPSDE_OK) store_nothing(f, lane);
    if (status == VPSDE_OK && !vec_is_finite(d, ode->y)) rows->status[i] = VPSDE_ROW_NON_FINITE;
    vec_copy(d, rows->final + i * d, ode->y);
    rows->nfe[i] = vpsde_count_i32(lane->n_eval - (uint64_t)rows->nfe_log[i]);
    rows->jvp[i] = 0;
    rows->rejected[i] = vpsde_count_i32(ode->n_rejected);
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
    VPSDE_TRY(vpsde_alloc(&f->log_s, report->n_stored, sizeof(double)));
    for (size_t m = 0; m < report->n_stored; m++) {
        const size_t k = report->stored[m];
        if (k == 0) f->log_from = 1;
        if (k == 0 || k == f->run->grid->n_steps) continue;
        f->log_s[f->n_log++] = f->clock->value(&f->run->grid->node[k]);
    }
    return VPSDE_OK;
}

static vpsde_status set_up(flow *f)
{
    const vpsde_sampling *run = f->run;
    const vpsde_grid *grid = run->grid;
    const size_t d = run->model->dim;
    double trained;
    VPSDE_TRY(vpsde_ode_check_type(run->solver, "sampling"));
    VPSDE_TRY(vpsde_model_t_min(&trained, run->model));
    f->start =
        grid ? grid->node[0] : vpsde_process_at(run->process, vpsde_process_t_max(run->process));
    f->end = grid ? grid->node[grid->n_steps]
                  : vpsde_process_at(run->process, vpsde_process_get_spec(run->process)->t_min);
    f->beyond = grid && grid->n_steps > 1 && trained > 0 && f->end.t == 0;
    if (f->beyond) f->end = grid->node[grid->n_steps - 1];
    VPSDE_TRY(vpsde_ode_clock(&f->clock, run->solver, f->report->param, &f->start, &f->end));
    VPSDE_TRY(vpsde_alloc(&f->rtol, d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&f->atol, d, sizeof(double)));
    for (size_t j = 0; j < d; j++) {
        f->rtol[j] = run->rtol;
        f->atol[j] = run->atol;
    }
    return place_log(f);
}

static vpsde_status integrate(flow *f, vpsde_sink *sink)
{
    const vpsde_sampling *run = f->run;
    VPSDE_TRY(set_up(f));
    vpsde_batch_job job = {
        .process = run->process,
        .model = run->model,
        .classes = run->classes,
        .first = run->first,
        .count = run->count,
        .rows = vpsde_block_rows(run->model),
        .integrator = run->solver,
        .dim = run->model->dim,
        .rtol = f->rtol,
        .atol = f->atol,
        .param = f->report->param,
        .fibers = vpsde_batch_wants_fibers(run->model),
        .lane_doubles = (f->n_log + 2) * run->model->dim,
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
    const vpsde_status status = integrate(&f, sink);
    vpsde_report_destroy(f.report);
    free(f.log_s);
    free(f.rtol);
    free(f.atol);
    return status;
}
