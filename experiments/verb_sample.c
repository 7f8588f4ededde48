#include <stdio.h>

#include "experiments/estimate.h"
#include "experiments/job.h"

/* All tables together must fit, not only the first. */
static vpsde_status check_space(const vpsde_setup *s, const vpsde_run *run)
{
    double bytes = 0;
    if (vpsde_run_begun(run)) return VPSDE_OK;
    for (size_t i = 0; i < s->sampler.n_entries; i++) bytes += vpsde_estimate_bytes(s, i);
    return vpsde_run_expect(run, bytes);
}

/* Runs every entry of the list from the same start states; a failed sample is flagged and does not
 * stop the others. */
static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_status worst = VPSDE_OK;
    VPSDE_TRY(check_space(s, run));
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        const vpsde_sampling sampling = vpsde_setup_sampling(s, i, cli);
        vpsde_summary summary;
        vpsde_sink sink = vpsde_job_sink(&summary, run);
        const vpsde_status status =
            vpsde_job_tell(&summary, cli, vpsde_sample(&sampling, &sink), i == 0);
        if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
        if (status == VPSDE_EPARTIAL) worst = status;
    }
    return worst;
}

const vpsde_job vpsde_job_sample = {
    .verb = "sample", .uses = VPSDE_USES_SAMPLER, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_sample, cli); }

const vpsde_verb vpsde_verb_sample = {
    .name = "sample",
    .input = "CONFIG",
    .summary = "Samples with one solver or a list, and logs trajectories to HDF5.",
    .doc = "Reads the sections process, model, sampler and log. All solvers of a list start from "
           "the same states. Example:\n\n"
           "  vpsde sample experiments/mixture.yaml -o run.h5 --set sampler.count=1000\n\n"
           "Exit code 5: finished, but some samples failed (flagged in `status`).",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
