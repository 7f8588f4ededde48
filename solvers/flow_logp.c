/* The run's solve is not to feel that log p is wanted, nor do its steps control log p. So the same
 * integrator goes along the same way once more, with
 *     d log p/dphi = -div F = -(tr J_eps - sigma d)/alpha
 * (Song et al. 2021, arXiv:2011.13456, eq. (39)) beside x and in its step control. The two solves
 * end up some tolerance apart, delta; log p moves from one to the other by s . delta, s = grad log
 * p. */
#include "solvers/flow_logp.h"

#include <math.h>

#include "core/vec.h"

/* lane->beside_memory: a state, the directions of a call. */
size_t vpsde_flow_logp_doubles(const vpsde_flow_logp *f)
{
    return f->report ? (1 + f->trace.chunk) * f->report->run->model->dim : 0;
}

static vpsde_status rhs(vpsde_ode *ode, double s, const double *y, double *dy)
{
    vpsde_lane *lane = ode->context;
    const vpsde_flow_logp *f = lane->job;
    const vpsde_sampling *run = f->report->run;
    const size_t d = run->model->dim;
    const vpsde_coef c = f->clock->at(run->process, s);
    const double rate = f->clock->rate(&c) / c.alpha;
    double *v = lane->beside_memory + d, trace = 0;
    for (size_t q = 0; q < f->trace.n_calls; q++) {
        if (f->trace.chunk > 0) {
            vpsde_logp_directions(&f->trace, run->seed, lane->sample, 0, q, d, v);
        }
        VPSDE_TRY(vpsde_lane_eval(lane, &c, y, f->trace.chunk > 0 ? v : NULL));
        trace +=
            f->trace.closed ? lane->div : vpsde_logp_trace_part(&f->trace, q, d, v, lane->deps);
    }
    vec_lin2(d, dy, rate, lane->eps, -rate * c.sigma, y);
    dy[d] = -rate * (trace - c.sigma * (double)d);
    return VPSDE_OK;
}

/* On from the stretch's start to c. ENUMERIC: the sample's log p is not known from here on. */
static vpsde_status solve_to(const vpsde_flow_logp *f, vpsde_lane *lane, const vpsde_coef *c)
{
    vpsde_ode *ode = &lane->beside;
    vpsde_rows *rows = lane->block;
    ode->s_start = ode->s_end;
    ode->s_end = f->clock->value(c);
    if (ode->s_start == ode->s_end) return VPSDE_OK;
    const vpsde_status status = vpsde_ode_run(f->report->run->solver, ode);
    const uint64_t jvp = (uint64_t)rows->jvp[lane->row] + ode->n_rhs * f->trace.n_directions;
    rows->jvp[lane->row] = vpsde_count_i32(jvp);
    return status;
}

/* log p at x, counted from the start, where the solve is at y = (x + delta, log p there). */
static vpsde_status carry_over(const vpsde_flow_logp *f, vpsde_lane *lane, const vpsde_coef *c,
                               const double *x, const double *y, double *logp)
{
    const size_t d = f->report->run->model->dim;
    double *middle = lane->beside_memory, moved = 0;
    *logp = y[d];
    for (size_t j = 0; j < d; j++) moved = fmax(moved, fabs(x[j] - y[j]));
    if (!(c->sigma > 0) || moved == 0) return VPSDE_OK;
    vec_lin2(d, middle, 0.5, x, 0.5, y);
    VPSDE_TRY(vpsde_lane_eval(lane, c, middle, NULL));
    for (size_t j = 0; j < d; j++) *logp -= lane->eps[j] / c->sigma * (x[j] - y[j]);
    return VPSDE_OK;
}

/* log p of the noise end less what is counted there. */
static vpsde_status offset_of(const vpsde_flow_logp *f, vpsde_lane *lane, const double *start,
                              double *offset)
{
    const vpsde_sampling *run = f->report->run;
    double counted = 0;
    const bool encodes = vpsde_grid_encodes(run->grid);
    const double *x = encodes ? lane->ode.y : start;
    if (encodes) VPSDE_TRY(solve_to(f, lane, &f->end));
    if (encodes) VPSDE_TRY(carry_over(f, lane, &f->end, x, lane->beside.y, &counted));
    VPSDE_TRY(vpsde_logp_of_noise(run, lane->sample, x, offset));
    *offset -= counted;
    return VPSDE_OK;
}

/* Stops at each stored node, where an interpolation of log p would not keep the tolerance. */
static vpsde_status solve(const vpsde_flow_logp *f, vpsde_lane *lane, const double *start,
                          const double *(*state)(const vpsde_lane *lane, size_t m))
{
    const vpsde_report *report = f->report;
    const vpsde_grid *grid = report->run->grid;
    double *logp = (double *)((vpsde_rows *)lane->block)->field[VPSDE_FIELD_LOGP] +
                   lane->row * report->n_stored;
    double offset;
    for (size_t m = 0; m < report->n_stored; m++) {
        const size_t k = report->stored[m];
        const vpsde_coef *c = &grid->node[k];
        logp[m] = (double)NAN;
        /* beyond the end of the integration nothing is known */
        if (k == grid->n_steps && c->t != f->end.t) continue;
        VPSDE_TRY(solve_to(f, lane, c));
        VPSDE_TRY(carry_over(f, lane, c, state(lane, m), lane->beside.y, &logp[m]));
    }
    VPSDE_TRY(offset_of(f, lane, start, &offset));
    for (size_t m = 0; m < report->n_stored; m++) logp[m] += offset;
    return VPSDE_OK;
}

vpsde_status vpsde_flow_logp_store(const vpsde_flow_logp *f, vpsde_lane *lane, double *memory,
                                   const double *start,
                                   const double *(*state)(const vpsde_lane *lane, size_t m))
{
    vpsde_rows *rows = lane->block;
    vpsde_ode *ode = &lane->beside;
    const size_t d = f->report->run->model->dim;
    const uint64_t before = lane->n_eval;
    lane->beside_memory = memory;
    ode->rhs = rhs;
    ode->rtol = f->rtol;
    ode->atol = f->atol;
    ode->s_end = f->clock->value(&f->start);
    ode->failed = VPSDE_OK;
    vec_copy(d, ode->y, start);
    ode->y[d] = 0;
    const vpsde_status status = solve(f, lane, start, state);
    if (ode->failed != VPSDE_OK || (status != VPSDE_OK && status != VPSDE_ENUMERIC)) return status;
    for (size_t m = 0; m < f->report->n_stored && status != VPSDE_OK; m++) {
        vpsde_rows_store(rows, f->report, VPSDE_FIELD_LOGP, lane->row, m, NULL);
    }
    rows->nfe_log[lane->row] += vpsde_count_i32(lane->n_eval - before);
    return VPSDE_OK;
}
