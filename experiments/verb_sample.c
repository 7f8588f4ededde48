#include <stdio.h>

#include "experiments/setup.h"
#include "experiments/summary.h"

/* Runs every entry of the list from the same start states; a failed sample is flagged and does not
 * stop the others. */
static vpsde_status run_entries(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_status worst = VPSDE_OK;
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        const vpsde_sampling sampling = vpsde_setup_sampling(s, i, cli);
        vpsde_summary summary;
        vpsde_sink sink = vpsde_summary_sink(&summary, vpsde_run_sink(run));
        const vpsde_status status = vpsde_sample(&sampling, &sink);
        if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
        if (status == VPSDE_EPARTIAL) worst = status;
        vpsde_progress_done();
        if (!cli->quiet) vpsde_summary_print(&summary, i == 0);
    }
    return worst;
}

static vpsde_status run(const vpsde_cli *cli)
{
    vpsde_setup s = {0};
    vpsde_run *out = NULL;
    vpsde_status status = vpsde_setup_open(&s, cli, VPSDE_USES_SAMPLER);
    if (status == VPSDE_OK) {
        status = vpsde_run_create(&out, cli->output, "sample", s.resolved, s.seed, cli->force);
    }
    if (status == VPSDE_OK) status = vpsde_setup_describe(&s, out);
    if (status == VPSDE_OK) status = vpsde_run_close(out, run_entries(&s, cli, out));
    vpsde_run_destroy(out, status != VPSDE_OK && status != VPSDE_EIO);
    vpsde_setup_close(&s);
    return status;
}

const vpsde_verb vpsde_verb_sample = {
    .name = "sample",
    .input = "CONFIG",
    .summary = "Samples with one solver or a list, and logs trajectories to HDF5.",
    .doc = "Reads the sections process, model, sampler and log. All solvers of a list start from "
           "the same states. Example:\n\n"
           "  vpsde sample experiments/mixture.yaml -o run.h5 --set sampler.count=1000\n\n"
           "Exit code 5: finished, but some samples failed (flagged in `status`).",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS,
    .run = run,
};
