/* The key `metrics` of the section `compare`, and what can be measured at all. */
#include <stdio.h>
#include <string.h>

#include "analysis/metrics.h"
#include "experiments/setup.h"

bool vpsde_compare_is_paired(const vpsde_compare_setup *c, size_t entry)
{
    const vpsde_sampler_entry *e = &c->entries[entry], *r = &c->reference;
    return c->against == VPSDE_AGAINST_SOLVER &&
           vpsde_solver_is_stochastic(e->solver, e->param) ==
               vpsde_solver_is_stochastic(r->solver, r->param);
}

static bool any_is_paired(const vpsde_compare_setup *c)
{
    bool any = false;
    for (size_t i = 0; i < c->n_entries; i++) any |= vpsde_compare_is_paired(c, i);
    return any;
}

/* Guidance, given start states and clipping bend the law of the samples away from the model's. */
static bool has_law(const vpsde_setup *s, unsigned flag)
{
    const vpsde_sampler_setup *sampler = &s->sampler;
    return (s->model->type->flags & flag) && sampler->classes.guidance == 0 &&
           !*sampler->init_path && sampler->clip.kind == VPSDE_CLIP_NONE;
}

bool vpsde_compare_draws(const vpsde_setup *s)
{
    return s->compare.against != VPSDE_AGAINST_DATA && has_law(s, VPSDE_MODEL_DRAW);
}

vpsde_coef vpsde_compare_end(const vpsde_setup *s)
{
    const vpsde_last_step last = s->compare.reference.last_step;
    const bool stops = last == VPSDE_LAST_STOP || last == VPSDE_LAST_LOWER_ORDER;
    return vpsde_process_at(s->process, stops ? vpsde_process_get_spec(s->process)->t_min : 0);
}

unsigned vpsde_compare_meets(const vpsde_setup *s)
{
    const unsigned derivative = VPSDE_MODEL_DIVERGENCE | VPSDE_MODEL_JVP;
    unsigned met = VPSDE_METRIC_TARGET;
    if (any_is_paired(&s->compare)) met |= VPSDE_METRIC_PAIRED;
    if (has_law(s, VPSDE_MODEL_LOG_P)) met |= VPSDE_METRIC_LOG_P;
    if (*s->data.path) met |= VPSDE_METRIC_DATA;
    if (has_law(s, derivative) && vpsde_compare_end(s).sigma > 0) {
        met |= VPSDE_METRIC_SCORE;
    }
    return met;
}

/* What stands in the way of a need, one line each. */
static const struct {
    unsigned need;
    const char *missing;
} needs[] = {
    {VPSDE_METRIC_PAIRED, "a reference solver of the solvers' kind, deterministic or not"},
    {VPSDE_METRIC_LOG_P, "a model that knows log p, sampled without guidance, init and clipping"},
    {VPSDE_METRIC_SCORE,
     "a model with derivatives, sampled without guidance, init and clipping, and samples that end "
     "at t_min > 0"},
    {VPSDE_METRIC_DATA, "the section data"},
};

static vpsde_status check_metric(const vpsde_metric *m, unsigned met, const vpsde_setup *s,
                                 const vpsde_config *c)
{
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (!(m->needs & needs[i].need & ~met)) continue;
        return vpsde_config_fail(c, "metrics", "%s needs %s", m->name, needs[i].missing);
    }
    if (!m->dim_max || s->model->dim <= m->dim_max) return VPSDE_OK;
    return vpsde_config_fail(c, "metrics", "%s is for at most %zu dimensions, the model has %zu",
                             m->name, m->dim_max, s->model->dim);
}

/* Those that are there without asking: what costs little beside the samples. */
static unsigned default_metrics(const vpsde_setup *s, unsigned met)
{
    unsigned bits = 0;
    if (!(s->model->type->flags & VPSDE_MODEL_ANALYTIC)) met &= ~(unsigned)VPSDE_METRIC_SCORE;
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        const vpsde_metric *m = vpsde_metric_at(i);
        if (m->needs & ~met || (m->dim_max && s->model->dim > m->dim_max)) continue;
        bits |= 1u << i;
    }
    return bits;
}

static vpsde_status check_law(const vpsde_setup *s, const vpsde_config *c)
{
    const vpsde_compare_setup *compare = &s->compare;
    if (compare->against == VPSDE_AGAINST_EXACT && !vpsde_compare_draws(s)) {
        return vpsde_config_fail(c, "reference",
                                 "exact: the model %s has no exact draws of its samples' law; "
                                 "expected a solver or data",
                                 s->model->type->name);
    }
    if (compare->against == VPSDE_AGAINST_DATA && !*s->data.path) {
        return vpsde_config_fail(c, "reference", "data: there is no section data");
    }
    return VPSDE_OK;
}

vpsde_status vpsde_setup_read_metrics(vpsde_setup *s, vpsde_config *c)
{
    char words[32 * VPSDE_METRICS_MAX] = "";
    size_t used = 0;
    const unsigned met = vpsde_compare_meets(s);
    VPSDE_TRY(check_law(s, c));
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s", i ? "|" : "",
                                 vpsde_metric_at(i)->name);
    }
    VPSDE_TRY(
        vpsde_config_words(&s->compare.metrics, c, "metrics", words, default_metrics(s, met)));
    if (s->compare.metrics == 0) return vpsde_config_fail(c, "metrics", "the list is empty");
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        if (s->compare.metrics >> i & 1u) VPSDE_TRY(check_metric(vpsde_metric_at(i), met, s, c));
    }
    return VPSDE_OK;
}
