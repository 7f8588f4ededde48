/* The section `log`: what is stored of a sample on its way. */
#include <stdlib.h>
#include <string.h>

#include "experiments/setup.h"

enum { EXACT_MAX = 64 }; /* dimensions of an exact trace, unless asked for */

/* times: a number of stored nodes, all, none, or the list of them. */
static vpsde_status read_log_times(vpsde_sampler_setup *s, vpsde_config *c)
{
    size_t rank, dims[1];
    const char *word;
    if (vpsde_config_kind(c, "times") == VPSDE_NODE_SEQUENCE) {
        VPSDE_TRY(vpsde_config_numbers(&s->log_times, &rank, dims, 1, c, "times"));
        s->log.times = s->log_times;
        s->log.n_times = dims[0];
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_config_text(&word, c, "times", "33"));
    const bool all = strcmp(word, "all") == 0, none = strcmp(word, "none") == 0;
    if (all || none) {
        s->log.n_times = all ? SIZE_MAX : 0;
        return VPSDE_OK;
    }
    char *end;
    const unsigned long n = strtoul(word, &end, 10);
    if (end == word || *end || n < 2 || n > 1000000 || *word == '-') {
        return vpsde_config_fail(c, "times",
                                 "expected a number of stored states (2 or more), all, "
                                 "none, or a list of t, got '%s'",
                                 word);
    }
    s->log.n_times = n;
    return VPSDE_OK;
}

/* trace: of logp; exact where that is cheap. */
static vpsde_status read_trace(vpsde_log *log, const vpsde_model *model, vpsde_config *c)
{
    vpsde_config *t;
    uint64_t probes;
    int kind;
    const bool cheap = model->dim <= EXACT_MAX || model->type->flags & VPSDE_MODEL_DIVERGENCE;
    VPSDE_TRY(vpsde_config_expand(c, "trace", "kind"));
    VPSDE_TRY(vpsde_config_section(&t, c, "trace"));
    VPSDE_TRY(vpsde_config_choice(&kind, t, "kind", "exact|hutchinson", cheap ? 0 : 1));
    if (kind == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_uint(&probes, t, "probes", 8, 1, 1024));
    log->probes = probes;
    return VPSDE_OK;
}

/* Steps that draw noise have kernels where the solver says so; its parameters are for the run to see. */
static vpsde_status check_kernels(const vpsde_sampler_setup *s, vpsde_config *c)
{
    for (size_t i = 0; s->log.fields & VPSDE_LOG_KERNEL && i < s->n_entries; i++) {
        const vpsde_sampler_entry *e = &s->entries[i];
        if (e->solver->kernel_std || !vpsde_solver_is_stochastic(e->solver, e->param)) continue;
        return vpsde_config_fail(
            c, "fields",
            "kernel: a step of %s is no draw from one Gaussian of known width; "
            "expected a solver such as euler-maruyama or ancestral, or no kernel",
            e->label);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_setup_read_log(vpsde_setup *s)
{
    vpsde_config *c;
    int dtype;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "log"));
    VPSDE_TRY(read_log_times(&s->sampler, c));
    VPSDE_TRY(vpsde_config_words(&s->sampler.log.fields, c, "fields",
                                 "x|eps|x0|noise|logp|steps|kernel", VPSDE_LOG_X));
    VPSDE_TRY(check_kernels(&s->sampler, c));
    VPSDE_TRY(vpsde_config_choice(&dtype, c, "dtype", "float32|float64", 0));
    s->sampler.log.dtype = dtype == 0 ? VPSDE_F32 : VPSDE_F64;
    if (!(s->sampler.log.fields & VPSDE_LOG_LOGP) && !vpsde_config_has(c, "trace")) return VPSDE_OK;
    return read_trace(&s->sampler.log, s->model, c);
}
