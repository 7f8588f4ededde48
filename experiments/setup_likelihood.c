/* The section `likelihood`. */
#include <math.h>

#include "experiments/setup.h"

static const double tol_min = 1e-14;

/* Chosen by measurement: docs/studies.md, evaluations. At equal error in log p it pays to let log p
 * off ten times as much as x. */
static const char *const default_integrator = "dopri5";
static const double default_tol = 1e-6, default_logp_atol = 1e-5;

static vpsde_status read_trace(vpsde_likelihood_setup *l, vpsde_config *c)
{
    vpsde_config *t;
    uint64_t probes;
    int kind, distribution;
    VPSDE_TRY(vpsde_config_expand(c, "trace", "kind"));
    VPSDE_TRY(vpsde_config_section(&t, c, "trace"));
    VPSDE_TRY(vpsde_config_choice(&kind, t, "kind", "exact|hutchinson", 0));
    l->trace = (vpsde_trace)kind;
    l->control_path = "";
    if (kind == VPSDE_TRACE_EXACT) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_uint(&probes, t, "probes", 8, 1, 1024));
    VPSDE_TRY(
        vpsde_config_choice(&distribution, t, "distribution", "rademacher|gaussian|sphere", 0));
    VPSDE_TRY(vpsde_config_path(&l->control_path, t, "control", ""));
    l->probes = probes;
    l->probe = (vpsde_probe)distribution;
    return VPSDE_OK;
}

/* Refused here rather than after the likelihoods. */
static vpsde_status read_gradient(vpsde_setup *s, vpsde_config *c)
{
    vpsde_likelihood_setup *l = &s->likelihood;
    VPSDE_TRY(vpsde_config_bool(&l->gradient, c, "gradient", false));
    if (!l->gradient) return VPSDE_OK;
    if (!(s->model->type->flags & VPSDE_MODEL_DIV_GRADIENT)) {
        return vpsde_config_fail(c, "gradient",
                                 "%s does not know the third derivatives that it needs; expected "
                                 "false, or a closed-form model such as gaussian-mixture",
                                 s->model->type->name);
    }
    if (l->dequantization.kind == VPSDE_DEQUANTIZE_NONE) return VPSDE_OK;
    return vpsde_config_fail(c, "gradient",
                             "is that of a density at the rows themselves; expected false, or "
                             "dequantization: none");
}

vpsde_status vpsde_setup_read_likelihood(vpsde_setup *s)
{
    vpsde_likelihood_setup *l = &s->likelihood;
    vpsde_config *c, *i;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "likelihood"));
    VPSDE_TRY(vpsde_config_section(&i, c, "integrator"));
    VPSDE_TRY(vpsde_setup_solver(&l->integrator, l->param, i, default_integrator));
    if (!l->integrator->integrate) {
        return vpsde_config_fail(i, "solver",
                                 "%s %s; expected an adaptive integrator such as dopri5, gsl-rk8pd "
                                 "or cvode-adams",
                                 l->integrator->name,
                                 l->integrator->step ? "takes fixed steps" : "integrates no ODE");
    }
    VPSDE_TRY(vpsde_setup_label(&l->label, i, l->integrator->name));
    const bool tol_given = vpsde_config_has(i, "rtol") || vpsde_config_has(i, "atol");
    VPSDE_TRY(vpsde_config_real(&l->rtol, i, "rtol", default_tol, tol_min, 1));
    VPSDE_TRY(vpsde_config_real(&l->atol, i, "atol", default_tol, tol_min, 1));
    VPSDE_TRY(vpsde_config_real(&l->logp_atol, i, "logp_atol",
                                tol_given ? l->atol : default_logp_atol, tol_min, INFINITY));
    VPSDE_TRY(read_trace(l, c));
    VPSDE_TRY(vpsde_config_bool(&l->budget, c, "budget", true));
    VPSDE_TRY(vpsde_setup_read_dequantization(s, c));
    VPSDE_TRY(
        vpsde_config_words(&l->estimators, c, "estimators", "pf-ode|chain", VPSDE_ESTIMATE_PF_ODE));
    const bool runs = s->uses & VPSDE_USES_LIKELIHOOD;
    if (runs && l->estimators & VPSDE_ESTIMATE_CHAIN) s->uses |= VPSDE_USES_ELBO;
    return read_gradient(s, c);
}

vpsde_likelihood vpsde_setup_likelihood(const vpsde_setup *s, const vpsde_cli *cli)
{
    const vpsde_likelihood_setup *l = &s->likelihood;
    const double width = s->data.width;
    return (vpsde_likelihood){
        .label = l->label,
        .process = s->process,
        .model = s->model,
        .integrator = l->integrator,
        .param = l->param,
        .rtol = l->rtol,
        .atol = l->atol,
        .logp_atol = l->logp_atol,
        .trace = l->trace,
        .probes = l->probes,
        .probe = l->probe,
        .covariance = l->covariance,
        .budget = l->budget,
        .seed = s->seed,
        .source = vpsde_setup_source(s),
        .first = s->data.first,
        .count = s->data.count,
        .classes = s->data.classes,
        .bits_offset = width > 0 ? -log2(width) : 0,
        .dequantization = {l->dequantization.kind, width, l->dequantization.draws},
        .n_threads = cli->threads,
        .control = cli->control,
    };
}
