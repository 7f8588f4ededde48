/* The section `thermo`. */
#include "experiments/setup.h"

enum { PATHS_MAX = 10000000 };

vpsde_status vpsde_setup_read_thermo(vpsde_setup *s)
{
    vpsde_thermo_setup *t = &s->thermo;
    vpsde_config *c;
    uint64_t count, probes;
    int from;
    const bool draws = s->model && s->model->type->flags & VPSDE_MODEL_DRAW;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "thermo"));
    VPSDE_TRY(vpsde_config_uint(&count, c, "count", s->sampler.count, 1, (uint64_t)1 << 40));
    VPSDE_TRY(vpsde_config_choice(&from, c, "from", "model|data", draws ? 0 : 1));
    VPSDE_TRY(vpsde_config_uint(&probes, c, "probes", 1, 0, 1000000));
    t->count = count;
    t->from_data = from == 1;
    t->probes = probes;
    VPSDE_TRY(vpsde_setup_read_schedule(s));
    if (!(s->uses & VPSDE_USES_THERMO)) return VPSDE_OK;
    if (count > PATHS_MAX) {
        return vpsde_config_fail(
            c, "count", "%zu paths, whose values are all kept in memory; expected at most %d",
            t->count, PATHS_MAX);
    }
    if (!t->from_data && !draws) {
        return vpsde_config_fail(c, "from", "%s draws no samples; expected data",
                                 s->model->type->name);
    }
    if (!t->from_data) return VPSDE_OK;
    if (!(s->uses & VPSDE_USES_DATA)) {
        s->uses |= VPSDE_USES_DATA;
        if (!vpsde_config_has(s->config, "data")) return vpsde_setup_read_data(s);
    }
    return VPSDE_OK;
}
