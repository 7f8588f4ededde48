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
 * where the data are nearly Gaussian the two parts cancel.
 *
 * With a budget, solves at looser tolerances follow, with the same probes; they tell the ODE's error
 * and change no bit of the first one's result. */
#include "solvers/flow.h"

#include <math.h>

#include "core/vec.h"
#include "solvers/driver.h"

/* What a solve carries along, at the end of lane->own. */
enum { NOISE_S, NOISE_SUM, NOISE_COUNT, N_NOTES };

static bool estimated(const vpsde_flow *f) { return f->run->trace == VPSDE_TRACE_HUTCHINSON; }

/* lane->own: the probes, padded with zeros to whole calls; v^T v of each; two vectors; the notes;
 * with a control variate, d squares a probe and the d weights of an evaluation. */
static const double *directions(const vpsde_flow *f, const vpsde_lane *lane)
{
    return f->unit ? f->unit : lane->own;
}

static double *squares(const vpsde_flow *f, const vpsde_lane *lane)
{
    return lane->own + (estimated(f) ? f->n_calls * f->chunk * f->d : 0);
}

/* What a trace estimate m has of tr I: v^T v of its probe, whose noise goes with that of v^T J v; d
 * where nothing is estimated or a control variate has taken that noise away. */
static double of_identity(const vpsde_flow *f, const vpsde_lane *lane, size_t m)
{
    return estimated(f) && !f->control ? squares(f, lane)[m] : (double)f->d;
}

static double *vectors(const vpsde_flow *f, const vpsde_lane *lane)
{
    return squares(f, lane) + (estimated(f) ? f->run->probes : 0);
}

static double *notes(const vpsde_flow *f, const vpsde_lane *lane)
{
    return vectors(f, lane) + 2 * f->d;
}

static double *projected(const vpsde_flow *f, const vpsde_lane *lane, size_t probe)
{
    return notes(f, lane) + N_NOTES + probe * f->d;
}

vpsde_batch_job vpsde_flow_job(const vpsde_flow *f)
{
    const vpsde_likelihood *run = f->run;
    return (vpsde_batch_job){.process = run->process,
                             .model = run->model,
                             .classes = run->classes,
                             .first = run->first,
                             .count = run->count,
                             .rows = vpsde_block_rows(run->model),
                             .fibers = vpsde_batch_wants_fibers(run->model),
                             .integrator = run->integrator,
                             .param = f->param};
}

size_t vpsde_flow_dim(const vpsde_flow *f) { return f->d + f->n_logp; }

size_t vpsde_flow_lane_doubles(const vpsde_flow *f)
{
    const size_t probes = estimated(f) ? f->n_calls * f->chunk * f->d + f->run->probes : 0;
    return probes + 2 * f->d + N_NOTES + (f->control ? (f->run->probes + 1) * f->d : 0);
}

/* Where each probe's l begins: at the first l for one, behind their mean for several. */
static size_t first_probe(const vpsde_flow *f) { return f->n_logp > 1 ? 1 : 0; }

static size_t n_each(const vpsde_flow *f) { return f->n_logp - first_probe(f); }

/* ---- one evaluation -------------------------------------------------------------------------- */

/* Adds what one call says about the trace: to the single one, or to each probe's. Returns the sum of
 * |J v|^2. */
static double add_trace(const vpsde_flow *f, const vpsde_lane *lane, size_t from, double *trace)
{
    const double *v = directions(f, lane) + from * f->d;
    double squared = 0;
    for (size_t m = 0; m < f->chunk && from + m < f->n_directions; m++) {
        const double *jv = lane->deps + m * f->d;
        if (f->rounds) squared += vec_dot(f->d, jv, jv);
        if (f->unit)
            trace[0] += jv[from + m];
        else
            trace[from + m] = vec_dot(f->d, v + m * f->d, jv);
    }
    return squared;
}

/* eps (d) and tr J_eps, exact or of each probe. */
static vpsde_status evaluate(const vpsde_flow *f, vpsde_lane *lane, const vpsde_coef *c,
                             const double *x, double *eps, double *trace, vpsde_rounding *r)
{
    double squared = 0;
    trace[0] = 0;
    for (size_t q = 0; q < f->n_calls; q++) {
        VPSDE_TRY(vpsde_lane_eval(lane, c, x, directions(f, lane) + q * f->chunk * f->d));
        if (q == 0) vec_copy(f->d, eps, lane->eps);
        squared += add_trace(f, lane, q * f->chunk, trace);
    }
    if (f->closed) trace[0] = lane->div;
    if (f->control) {
        double *weight = projected(f, lane, f->run->probes);
        vpsde_trace_control_at(f->control, c, weight);
        for (size_t m = 0; m < f->run->probes; m++) {
            trace[m] += vpsde_trace_control_add(f->control, weight, projected(f, lane, m));
        }
    }
    if (!f->rounds) return VPSDE_OK;
    r->eps_eps = vec_dot(f->d, eps, eps);
    r->x_x = vec_dot(f->d, x, x);
    r->j_j = f->closed      ? trace[0] * trace[0] / (double)f->d
             : estimated(f) ? squared / (double)f->run->probes
                            : squared;
    return VPSDE_OK;
}

/* What float32 does, summed over the evaluations that get further than any before. */
static void note_rounding(const vpsde_flow *f, vpsde_lane *lane, double s, const vpsde_coef *c,
                          const vpsde_rounding *r)
{
    double *note = notes(f, lane);
    const double step = fabs(s - lane->ode.s_start) - note[NOISE_S];
    if (!(step > 0)) return;
    note[NOISE_S] += step;
    note[NOISE_SUM] += step * fabs(f->clock->rate(c)) * vpsde_rounding_rate(r, c, f->d);
    note[NOISE_COUNT]++;
}

static vpsde_status rhs(vpsde_ode *ode, double s, const double *y, double *dy)
{
    vpsde_lane *lane = ode->context;
    const vpsde_flow *f = lane->job;
    const size_t d = f->d, n = n_each(f);
    const vpsde_coef c = f->clock->at(f->run->process, s);
    const double rate = f->clock->rate(&c) / c.alpha;
    double *dl = dy + d, *each = dl + first_probe(f), sum = 0;
    vpsde_rounding rounding;
    VPSDE_TRY(evaluate(f, lane, &c, y, dy, each, &rounding));
    if (f->rounds) note_rounding(f, lane, s, &c, &rounding);
    vec_lin2(d, dy, rate, dy, -rate * c.sigma, y);
    for (size_t m = 0; m < n; m++) {
        each[m] = rate * (each[m] - c.sigma * of_identity(f, lane, m));
        sum += each[m];
    }
    dl[0] = sum / (double)n;
    return VPSDE_OK;
}

/* ---- one solve ------------------------------------------------------------------------------- */

vpsde_status vpsde_flow_read(const vpsde_flow *f, const vpsde_lane *lane, double *x)
{
    const vpsde_likelihood *run = f->run;
    const size_t row = (size_t)lane->sample;
    if (!run->x) return run->source.read(run->source.context, row, 1, x);
    vec_copy(f->d, x, run->x + (row - run->first) * f->d);
    return VPSDE_OK;
}

static void on_sphere(size_t d, double *v)
{
    vec_scale(d, v, sqrt((double)d / vec_dot(d, v, v)), v);
}

void vpsde_flow_probes(const vpsde_flow *f, vpsde_lane *lane)
{
    const vpsde_likelihood *run = f->run;
    for (size_t m = 0; estimated(f) && m < run->probes; m++) {
        double *v = lane->own + m * f->d;
        if (run->probe == VPSDE_PROBE_RADEMACHER) {
            vpsde_signs(v, run->seed, VPSDE_NOISE_PROBE, lane->sample, 1, (uint32_t)m, f->d);
        } else {
            vpsde_normals(v, run->seed, VPSDE_NOISE_PROBE, lane->sample, 1, (uint32_t)m, f->d);
        }
        if (run->probe == VPSDE_PROBE_SPHERE) on_sphere(f->d, v);
        squares(f, lane)[m] = vec_dot(f->d, v, v);
        if (f->control) vpsde_trace_control_project(f->control, v, projected(f, lane, m));
    }
}

/* From x at t_min to ode->y at t_max. */
static vpsde_status solve(const vpsde_flow *f, vpsde_lane *lane, const double *x, size_t how,
                          vpsde_flow_result *result)
{
    vpsde_ode *ode = &lane->ode;
    const size_t dim = vpsde_flow_dim(f);
    double *note = notes(f, lane);
    ode->s_start = f->clock->value(&f->start);
    ode->s_end = f->clock->value(&f->end);
    ode->rhs = rhs;
    ode->rtol = f->rtol + how * dim;
    ode->atol = f->atol + how * dim;
    vec_copy(f->d, ode->y, x);
    for (size_t m = 0; m < f->n_logp; m++) ode->y[f->d + m] = 0;
    for (size_t q = 0; q < N_NOTES; q++) note[q] = 0;
    const vpsde_status status = vpsde_ode_run(f->run->integrator, ode);
    if (ode->failed != VPSDE_OK || (status != VPSDE_OK && status != VPSDE_ENUMERIC)) return status;
    result->status = status == VPSDE_OK ? VPSDE_ROW_OK
                     : ode->non_finite  ? VPSDE_ROW_NON_FINITE
                                        : VPSDE_ROW_INTEGRATION_FAILED;
    result->n_rhs += ode->n_rhs;
    result->n_rejected += ode->n_rejected;
    return VPSDE_OK;
}

/* log p_t(x) as the model knows it, of the row's class. */
static vpsde_status known_logp(const vpsde_flow *f, const vpsde_lane *lane, const vpsde_coef *c,
                               const double *x, double *logp)
{
    const vpsde_likelihood *run = f->run;
    const int32_t *of = run->classes ? run->classes + (lane->sample - run->first) : NULL;
    return vpsde_model_log_p_of(run->model, 1, c, of, x, logp);
}

static vpsde_status terminal_logp(const vpsde_flow *f, const vpsde_lane *lane, const double *x,
                                  double *logp)
{
    const vpsde_process_spec *spec = vpsde_process_get_spec(f->run->process);
    if (spec->terminal == VPSDE_TERMINAL_EXACT) {
        return known_logp(f, lane, &f->end, x, logp);
    }
    *logp = vpsde_prior_logp(x, f->d);
    return VPSDE_OK;
}

/* Probes that are all one, up to sign, tell no spread: v v^T is the same. */
static bool one_probe(const vpsde_flow *f, const vpsde_lane *lane)
{
    const double *v = lane->own, square = squares(f, lane)[0];
    if (f->run->probe != VPSDE_PROBE_RADEMACHER || f->d == 1) return false;
    for (size_t m = 1; m < f->run->probes; m++) {
        if (fabs(vec_dot(f->d, v, v + m * f->d)) < square) return false;
    }
    return true;
}

static void spread(const vpsde_flow *f, const vpsde_lane *lane, vpsde_error_budget *b)
{
    const double *each = lane->ode.y + f->d + first_probe(f);
    b->trace_stderr = b->trace_halfwidth = 0;
    if (!estimated(f)) return;
    b->trace_stderr = vpsde_standard_error(each, n_each(f));
    b->trace_halfwidth = one_probe(f, lane) ? (double)NAN : f->quantile * b->trace_stderr;
}

/* ---- terms that are differences of definition ------------------------------------------------ */

/* s = -eps/sigma at c into the first vector, and its divergence with the 95 % half-width of that. */
static vpsde_status score_at(const vpsde_flow *f, vpsde_lane *lane, const vpsde_coef *c,
                             const double *x, double *div, double *halfwidth)
{
    double *s = vectors(f, lane), *each = lane->ode.y + f->d + first_probe(f);
    const size_t n = n_each(f), d = f->d;
    vpsde_rounding unused;
    double sum = 0;
    VPSDE_TRY(evaluate(f, lane, c, x, s, each, &unused));
    vec_scale(d, s, -1 / c->sigma, s);
    for (size_t m = 0; m < n; m++) {
        each[m] = of_identity(f, lane, m) -
                  each[m] / c->sigma; /* of x + s: where s is nearly -x, little is left */
        sum += each[m];
    }
    *div = sum / (double)n - (double)d;
    *halfwidth = estimated(f) ? f->quantile * vpsde_standard_error(each, n) : 0;
    return VPSDE_OK;
}

/* To first order in b_min, from the score at c. */
static vpsde_status truncation_by(const vpsde_flow *f, vpsde_lane *lane, const vpsde_coef *c,
                                  const double *x, double *truncation, double *halfwidth)
{
    const double *s = vectors(f, lane);
    double div;
    VPSDE_TRY(score_at(f, lane, c, x, &div, halfwidth));
    *truncation =
        vpsde_budget_truncation(f->start.b, f->d, vec_dot(f->d, x, s), div, vec_dot(f->d, s, s));
    *halfwidth *= 0.5 * f->start.b;
    return VPSDE_OK;
}

/* What first order leaves out is of the size (b_min^2/2) d_b^2 log p; between b_min and twice that the
 * estimate changes by twice as much. */
static vpsde_status truncation(const vpsde_flow *f, vpsde_lane *lane, const double *x,
                               vpsde_flow_result *result)
{
    const vpsde_model *model = f->run->model;
    vpsde_error_budget *b = &result->budget;
    const vpsde_coef clean = vpsde_process_at(f->run->process, 0);
    double at_0, at_start, at_twice, unused;
    const bool of_p_start =
        f->run->dequantization.kind == VPSDE_DEQUANTIZE_TRUNCATED_NORMAL; /* which is the model */
    if (of_p_start || !(f->start.b > 0)) return VPSDE_OK;
    if (model->type->flags & VPSDE_MODEL_LOG_P) {
        VPSDE_TRY(known_logp(f, lane, &clean, x, &at_0));
        VPSDE_TRY(known_logp(f, lane, &f->start, x, &at_start));
        b->truncation = at_0 - at_start;
        return VPSDE_OK;
    }
    const vpsde_coef twice = vpsde_process_at_b(f->run->process, fmin(2 * f->start.b, f->end.b));
    VPSDE_TRY(truncation_by(f, lane, &twice, x, &at_twice, &unused));
    VPSDE_TRY(truncation_by(f, lane, &f->start, x, &b->truncation, &b->truncation_halfwidth));
    b->truncation_halfwidth += fabs(at_twice - b->truncation);
    result->n_rhs += 2;
    return VPSDE_OK;
}

/* Of x = x_T, ahead of the next solve: it overwrites the l. */
static vpsde_status terminal(const vpsde_flow *f, vpsde_lane *lane, vpsde_flow_result *result)
{
    const vpsde_model *model = f->run->model;
    const vpsde_process_spec *spec = vpsde_process_get_spec(f->run->process);
    double *s = vectors(f, lane), *other = s + f->d, *terminal = &result->budget.terminal;
    const double *x = lane->ode.y;
    double div, unused;
    const size_t d = f->d;
    if (spec->terminal == VPSDE_TERMINAL_EXACT) return VPSDE_OK;
    if (model->type->flags & VPSDE_MODEL_LOG_P) {
        VPSDE_TRY(known_logp(f, lane, &f->end, x, terminal));
        *terminal -= result->prior;
        return VPSDE_OK;
    }
    for (size_t j = 0; j < d; j++) other[j] = 0;
    VPSDE_TRY(score_at(f, lane, &f->end, other, &div, &unused));
    vec_copy(d, other, s);
    VPSDE_TRY(score_at(f, lane, &f->end, x, &div, &unused));
    result->n_rhs += 2;
    vec_lin2(d, s, 1, s, 1, x);
    *terminal = vpsde_budget_terminal(vec_dot(d, x, other), vec_dot(d, x, s),
                                      vec_dot(d, other, other), div + (double)d);
    return VPSDE_OK;
}

/* ---- one row --------------------------------------------------------------------------------- */

static void float32_floor(const vpsde_flow *f, const vpsde_lane *lane, vpsde_error_budget *b)
{
    const double *note = notes(f, lane);
    b->float32_floor = vpsde_rounding_floor(note[NOISE_SUM], note[NOISE_COUNT]);
}

static vpsde_status looser_solves(const vpsde_flow *f, vpsde_lane *lane, const double *x,
                                  vpsde_flow_result *result)
{
    const double logp = result->prior + result->delta;
    double difference = 0, prior;
    for (size_t how = 1; how <= VPSDE_BUDGET_RUNGS; how++) {
        vpsde_flow_result loose = {.status = VPSDE_ROW_OK};
        VPSDE_TRY(solve(f, lane, x, how, &loose));
        result->n_rhs += loose.n_rhs;
        result->n_rejected += loose.n_rejected;
        if (loose.status != VPSDE_ROW_OK) {
            result->budget.ode_error = (double)NAN;
            return VPSDE_OK;
        }
        VPSDE_TRY(terminal_logp(f, lane, lane->ode.y, &prior));
        difference = fmax(difference, fabs(logp - (prior + lane->ode.y[f->d])));
    }
    result->budget.ode_error = vpsde_ode_error(difference, f->atol[f->d]);
    return VPSDE_OK;
}

vpsde_status vpsde_flow_score(const vpsde_flow *f, vpsde_lane *lane, const double *x,
                              vpsde_flow_result *result)
{
    *result = (vpsde_flow_result){.status = VPSDE_ROW_OK};
    VPSDE_TRY(solve(f, lane, x, 0, result));
    if (result->status != VPSDE_ROW_OK) return VPSDE_OK;
    VPSDE_TRY(terminal_logp(f, lane, lane->ode.y, &result->prior));
    result->delta = lane->ode.y[f->d];
    if (!isfinite(result->prior + result->delta)) result->status = VPSDE_ROW_NON_FINITE;
    spread(f, lane, &result->budget);
    if (!f->run->budget || result->status != VPSDE_ROW_OK) return VPSDE_OK;
    if (f->rounds) float32_floor(f, lane, &result->budget);
    VPSDE_TRY(terminal(f, lane, result));
    VPSDE_TRY(truncation(f, lane, x, result));
    return looser_solves(f, lane, x, result);
}
