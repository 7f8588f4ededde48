/* The section `thermo`. */
#include "core/sha256.h"
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
    VPSDE_TRY(vpsde_config_path(&t->run, c, "run", ""));
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

/* Forward paths at rows of data have the classes of the rows, which the configuration has to know where
 * reverse ones have classes. */
static vpsde_status check_classes(const vpsde_setup *s)
{
    if (!s->thermo.from_data || s->sampler.classes.n_cycle == 0 || s->data.classes) return VPSDE_OK;
    return vpsde_fail(
        VPSDE_ECONFIG,
        "thermo: samples have classes, and so have forward paths, but not the rows of "
        "data they start at; expected data.labels, or sampler.classes: none");
}

vpsde_status vpsde_setup_build_thermo(vpsde_setup *s)
{
    VPSDE_TRY(check_classes(s));
    if (!*s->thermo.run) return VPSDE_OK;
    const vpsde_status status = vpsde_sha256_file(s->thermo.sha256, s->thermo.run);
    return status == VPSDE_OK ? status : vpsde_fail_in(VPSDE_EDATA, "thermo.run");
}
