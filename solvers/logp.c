#include "solvers/logp.h"

#include <math.h>
#include <string.h>

#include "core/vec.h"
#include "solvers/guidance.h"

/* Bytes for the tangents of one call, and for what comes back. */
static const size_t tangent_budget = (size_t)32 << 20;

enum { PROBES_MAX = 1024 };

vpsde_logp_trace vpsde_logp_trace_of(const vpsde_sampling *run, size_t rows)
{
    const vpsde_model *model = run->model;
    const size_t probes = run->log.probes, d = model->dim;
    vpsde_logp_trace trace = {.exact = probes == 0, .n_calls = 1};
    trace.closed = trace.exact && model->type->flags & VPSDE_MODEL_DIVERGENCE;
    if (trace.closed) return trace;
    trace.n_directions = trace.exact ? d : probes;
    const size_t fit = tangent_budget / (2 * sizeof(double)) / d / rows;
    const size_t most = fit > 0 ? fit : 1;
    trace.n_calls = (trace.n_directions + most - 1) / most;
    trace.chunk = (trace.n_directions + trace.n_calls - 1) / trace.n_calls;
    return trace;
}

void vpsde_logp_directions(const vpsde_logp_trace *trace, uint64_t seed, uint64_t sample,
                           size_t first_probe, size_t call, size_t d, double *v)
{
    const size_t from = call * trace->chunk;
    memset(v, 0, trace->chunk * d * sizeof(*v));
    for (size_t m = 0; m < trace->chunk && from + m < trace->n_directions; m++) {
        if (trace->exact) {
            v[m * d + from + m] = 1;
        } else {
            vpsde_signs(v + m * d, seed, VPSDE_NOISE_LOG_PROBE, sample, 1,
                        (uint32_t)(first_probe + from + m), d);
        }
    }
}

double vpsde_logp_trace_part(const vpsde_logp_trace *trace, size_t call, size_t d, const double *v,
                             const double *jv)
{
    const size_t from = call * trace->chunk;
    double sum = 0;
    for (size_t m = 0; m < trace->chunk && from + m < trace->n_directions; m++) {
        sum += trace->exact ? jv[m * d + from + m] : vec_dot(d, v + m * d, jv + m * d);
    }
    return trace->exact ? sum : sum / (double)trace->n_directions;
}

static const vpsde_coef *noise_end(const vpsde_grid *grid)
{
    return &grid->node[vpsde_grid_encodes(grid) ? grid->n_steps : 0];
}

static bool takes_normal(const vpsde_sampling *run)
{
    const double t_max = vpsde_process_t_max(run->process);
    return vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_STANDARD_NORMAL &&
           fabs(noise_end(run->grid)->t - t_max) <= 1e-12 * t_max;
}

static vpsde_status check_path(const vpsde_sampling *run)
{
    const vpsde_solver_type *solver = run->solver;
    if (solver->walk) {
        return vpsde_fail(VPSDE_EINVAL,
                          "logp: %s stops at nodes of its own between the stored ones; expected a "
                          "solver in fixed steps, or an integrator such as dopri5",
                          solver->name);
    }
    const bool clipped = run->clip.kind != VPSDE_CLIP_NONE;
    if (!solver->step && (clipped || vpsde_guidance_weight(run->guidance, run->classes) != 0)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "logp: %s follows the %s flow, along which log p is not the model's; "
                          "expected no %s, or a solver in fixed steps",
                          solver->name, clipped ? "clipped" : "guided",
                          clipped ? "clip" : "guidance");
    }
    if (!takes_normal(run) && !(run->model->type->flags & VPSDE_MODEL_LOG_P)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "logp: log p at the noise end, t = %g, is not known to %s; expected "
                          "terminal: standard-normal and a grid from t_max = %g",
                          noise_end(run->grid)->t, run->model->type->name,
                          vpsde_process_t_max(run->process));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_logp_check(const vpsde_sampling *run)
{
    const vpsde_model_type *type = run->model->type;
    const size_t probes = run->log.probes, n_nodes = run->grid->n_steps + 1;
    VPSDE_TRY(check_path(run));
    if (!(type->flags & VPSDE_MODEL_JVP) &&
        (probes > 0 || !(type->flags & VPSDE_MODEL_DIVERGENCE))) {
        return vpsde_fail(VPSDE_EINVAL,
                          "logp: %s offers no Jacobian products, which the %s trace needs",
                          type->name, probes > 0 ? "hutchinson" : "exact");
    }
    if (probes > PROBES_MAX || (probes > 0 && n_nodes > UINT32_MAX / probes)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "logp: %zu probes at %zu nodes; expected at most %d, and fewer than 2^32 "
                          "of them in all",
                          probes, n_nodes, (int)PROBES_MAX);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_logp_of_noise(const vpsde_sampling *run, uint64_t sample, const double *x,
                                 double *logp)
{
    const int32_t *label = run->classes ? run->classes + (sample - run->first) : NULL;
    if (!takes_normal(run)) {
        return vpsde_model_log_p_of(run->model, 1, noise_end(run->grid), label, x, logp);
    }
    *logp = vpsde_prior_logp(x, run->model->dim);
    return VPSDE_OK;
}
