/* Heat, work and entropy along forward and reverse paths: /thermo, /thermo/forward, /thermo/reverse,
 * /thermo/relaxation. */
#include "experiments/thermo.h"
#include "experiments/thermo_summary.h"

/* Paths are of the model alone: what a sampler adds would be another force. */
static vpsde_status check(const vpsde_setup *s)
{
    const vpsde_sampler_setup *sampler = &s->sampler;
    const char *extra = sampler->clip.kind != VPSDE_CLIP_NONE ? "sampler.clip or dynamic_threshold"
                        : sampler->classes.guidance != 0      ? "sampler.guidance"
                        : sampler->init                       ? "sampler.init"
                                                              : NULL;
    if (vpsde_solver_is_adaptive(sampler->entries[0].solver)) {
        return vpsde_fail(VPSDE_ECONFIG,
                          "thermo: paths go by the grid of the first solver, and %s chooses its "
                          "own steps; expected a fixed-step solver first",
                          sampler->entries[0].label);
    }
    if (!extra) return VPSDE_OK;
    return vpsde_fail(VPSDE_ECONFIG,
                      "thermo: paths follow the model's own score from the terminal law; "
                      "expected no %s",
                      extra);
}

static vpsde_status measure(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run,
                            vpsde_paths *forward, vpsde_paths *reverse)
{
    vpsde_sampling sampling = vpsde_setup_sampling(s, 0, cli);
    sampling.first = 0;
    sampling.count = s->thermo.count;
    sampling.classes = NULL;
    vpsde_paths_spec spec = {.sampling = &sampling, .probes = s->thermo.probes};
    if (s->thermo.from_data) {
        spec.source = vpsde_setup_source(s);
        spec.first_row = s->data.first;
        spec.n_rows = s->data.count;
    }
    vpsde_sink *sink = vpsde_run_sink(run);
    vpsde_thermo_summary summary;
    VPSDE_TRY(vpsde_paths_run(forward, &spec, "/thermo/forward", sink));
    spec.reverse = true;
    VPSDE_TRY(vpsde_paths_run(reverse, &spec, "/thermo/reverse", sink));
    VPSDE_TRY(vpsde_thermo_summarise(&summary, forward, reverse, sampling.count));
    VPSDE_TRY(vpsde_thermo_write(sink, &summary, &sampling, forward, reverse));
    vpsde_progress_done();
    if (!cli->quiet) vpsde_thermo_print(&summary);
    if (summary.n_failed == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EPARTIAL, "thermo: %zu of %zu paths became non-finite",
                      summary.n_failed, 2 * sampling.count);
}

vpsde_status vpsde_thermo_paths(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_paths forward = {0}, reverse = {0};
    vpsde_status status = check(s);
    if (status == VPSDE_OK) status = measure(s, cli, run, &forward, &reverse);
    vpsde_paths_close(&forward);
    vpsde_paths_close(&reverse);
    return status;
}
