/* What a likelihood run checks and prepares before its first row. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "models/trained.h"
#include "solvers/driver.h"
#include "solvers/flow.h"

/* Absolute tolerance in nats of what is not to be controlled. */
static const double unwatched = 1e30;

static vpsde_status check_pieces(const vpsde_likelihood *run)
{
    const char *missing = !run->process                  ? "process"
                          : !run->model                  ? "model"
                          : !run->integrator             ? "integrator"
                          : !run->x && !run->source.read ? "x or source"
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

static vpsde_status choose_directions(vpsde_flow *f)
{
    const vpsde_likelihood *run = f->run;
    const unsigned flags = run->model->type->flags;
    const bool exact = run->trace == VPSDE_TRACE_EXACT;
    f->closed = exact && flags & VPSDE_MODEL_DIVERGENCE;
    f->rounds = run->budget && !(flags & VPSDE_MODEL_ANALYTIC);
    f->n_directions = f->closed ? 0 : exact ? f->d : run->probes;
    f->n_logp = exact || run->probes == 1 ? 1 : 1 + run->probes;
    f->chunk = vpsde_batch_tangents(run->model, f->n_directions);
    f->n_calls = f->chunk ? (f->n_directions + f->chunk - 1) / f->chunk : 1;
    if (!exact) {
        const bool few = run->probe == VPSDE_PROBE_RADEMACHER && vpsde_few_signs(run->probes, f->d);
        f->quantile = few ? (double)NAN : vpsde_probe_quantile(run->probes);
    }
    if (!exact || f->closed) return VPSDE_OK;
    size_t count;
    VPSDE_TRY(vpsde_size_mul(&count, f->n_calls * f->chunk, f->d, "exact trace: directions"));
    VPSDE_TRY(vpsde_alloc(&f->unit, count, sizeof(double)));
    for (size_t j = 0; j < f->d; j++) f->unit[j * f->d + j] = 1;
    return VPSDE_OK;
}

static vpsde_status set_clock(vpsde_flow *f)
{
    const vpsde_process *process = f->run->process;
    f->start = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
    f->end = vpsde_process_at(process, vpsde_process_t_max(process));
    return vpsde_ode_clock(&f->clock, f->run->integrator, f->param, &f->end, &f->start);
}

/* A tolerance beyond `loosest` controls nothing. */
static double loosened(double tolerance, size_t how, double loosest)
{
    if (how == 0) return tolerance;
    return fmax(tolerance, fmin(vpsde_budget_looser[how - 1] * tolerance, loosest));
}

static vpsde_status set_tolerances(vpsde_flow *f)
{
    const vpsde_likelihood *run = f->run;
    const size_t d = f->d, dim = d + f->n_logp, solves = 1 + VPSDE_BUDGET_RUNGS;
    const double logp_atol = run->logp_atol > 0 ? run->logp_atol : run->atol;
    VPSDE_TRY(vpsde_alloc(&f->rtol, solves * dim, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&f->atol, solves * dim, sizeof(double)));
    for (size_t how = 0; how < solves; how++) {
        double *rtol = f->rtol + how * dim, *atol = f->atol + how * dim;
        for (size_t j = 0; j < d; j++) {
            rtol[j] = loosened(run->rtol, how, 0.5);
            atol[j] = loosened(run->atol, how, 0.5);
        }
        atol[d] = loosened(logp_atol, how, HUGE_VAL);
        for (size_t j = d + 1; j < dim; j++) atol[j] = unwatched;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_flow_open(vpsde_flow *f, const vpsde_likelihood *run)
{
    *f = (vpsde_flow){.run = run};
    VPSDE_TRY(check_pieces(run));
    VPSDE_TRY(check_numbers(run));
    f->d = run->model->dim;
    VPSDE_TRY(vpsde_run_params(f->param, run->integrator, run->param));
    VPSDE_TRY(set_clock(f));
    VPSDE_TRY(choose_directions(f));
    if (run->trace == VPSDE_TRACE_HUTCHINSON && run->covariance) {
        VPSDE_TRY(vpsde_trace_control_create(&f->control, f->d, run->covariance));
    }
    return set_tolerances(f);
}

void vpsde_flow_close(vpsde_flow *f)
{
    vpsde_trace_control_destroy(f->control);
    free(f->unit);
    free(f->rtol);
    free(f->atol);
}
