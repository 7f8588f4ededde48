/* The key `likelihood.dequantization`. A truncated normal fills its level at one t_min alone: tau
 * and process.t_min say the same, and either gives the other. */
#include <math.h>

#include "experiments/setup.h"
#include "models/trained.h"

static const double usual_tau = 3, agreement = 1e-9;

/* (width/2) alpha/sigma = tau there. */
static double tau_at(const vpsde_setup *s, double t)
{
    const vpsde_coef c = vpsde_process_at(s->process, t);
    return s->data.width / 2 * c.alpha / c.sigma;
}

static double t_at(const vpsde_setup *s, double tau)
{
    return vpsde_process_at_lambda(s->process, log(2 * tau / s->data.width)).t;
}

/* As it can be said and then taken: four decimals, inwards of a bound. */
static double said_at_most(double tau) { return floor(1e4 * tau) / 1e4; }
static double said_above(double tau) { return ceil(1e4 * tau) / 1e4; }

/* The process once more, with this t_min. */
static vpsde_status begin_at(vpsde_setup *s, double t_min, double tau, vpsde_config *section)
{
    vpsde_process_spec spec = *vpsde_process_get_spec(s->process);
    vpsde_process *process;
    double trained;
    spec.t_min = t_min;
    if (!(t_min > 0 && t_min < vpsde_process_t_max(s->process))) {
        return vpsde_config_fail(section, "tau",
                                 "%g wants a t_min that the process does not have; expected one "
                                 "above %g",
                                 tau, said_above(tau_at(s, vpsde_process_t_max(s->process))));
    }
    if (vpsde_model_check_t_min(s->model, t_min) == VPSDE_EINVAL) {
        VPSDE_TRY(vpsde_model_t_min(&trained, s->model));
        return vpsde_config_fail(section, "tau",
                                 "%g wants t_min %.3g, below %.3g, the smallest time the "
                                 "checkpoint was trained for; expected at most %.8g, or "
                                 "process.override: true",
                                 tau, t_min, trained, said_at_most(tau_at(s, trained)));
    }
    VPSDE_TRY(vpsde_process_create(&process, &spec));
    vpsde_process_destroy(s->process);
    s->process = process;
    return VPSDE_OK;
}

static vpsde_status read_tau(vpsde_setup *s, vpsde_config *section)
{
    const double t_min = vpsde_process_get_spec(s->process)->t_min;
    vpsde_config *process;
    double tau;
    VPSDE_TRY(vpsde_config_section(&process, s->config, "process"));
    const bool given = vpsde_config_has(process, "t_min") && t_min > 0;
    VPSDE_TRY(
        vpsde_config_real(&tau, section, "tau", given ? tau_at(s, t_min) : usual_tau, 0.01, 1000));
    if (!given)
        return s->uses & VPSDE_USES_LIKELIHOOD ? begin_at(s, t_at(s, tau), tau, section) : VPSDE_OK;
    if (fabs(tau / tau_at(s, t_min) - 1) <= agreement) return VPSDE_OK;
    return vpsde_config_fail(section, "tau",
                             "%g wants t_min %.9g, process.t_min %g makes it %.9g; give one of the "
                             "two",
                             tau, t_at(s, tau), t_min, tau_at(s, t_min));
}

vpsde_status vpsde_setup_read_dequantization(vpsde_setup *s, vpsde_config *likelihood)
{
    vpsde_dequantization *q = &s->likelihood.dequantization;
    vpsde_config *section;
    uint64_t draws;
    int kind;
    VPSDE_TRY(vpsde_config_expand(likelihood, "dequantization", "kind"));
    VPSDE_TRY(vpsde_config_section(&section, likelihood, "dequantization"));
    VPSDE_TRY(vpsde_config_choice(&kind, section, "kind", "none|uniform|truncated-normal", 0));
    q->kind = (vpsde_dequantization_kind)kind;
    if (q->kind == VPSDE_DEQUANTIZE_NONE) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_uint(&draws, section, "draws", 1, 1, 1000000));
    q->draws = draws;
    return q->kind == VPSDE_DEQUANTIZE_TRUNCATED_NORMAL ? read_tau(s, section) : VPSDE_OK;
}
