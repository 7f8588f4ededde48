#include "experiments/job.h"

vpsde_status vpsde_job_bound(vpsde_summary *summary, const vpsde_setup *s, const vpsde_cli *cli,
                             vpsde_run *run)
{
    vpsde_sink sink = vpsde_job_sink(summary, run);
    const vpsde_elbo elbo = vpsde_setup_elbo(s, cli);
    return vpsde_job_tell(summary, cli, vpsde_elbo_run(&elbo, &sink), true);
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_summary summary;
    return vpsde_job_bound(&summary, s, cli, run);
}

const vpsde_job vpsde_job_elbo = {
    .verb = "elbo", .uses = VPSDE_USES_DATA | VPSDE_USES_ELBO, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_elbo, cli); }

const vpsde_verb vpsde_verb_elbo = {
    .name = "elbo",
    .input = "CONFIG",
    .summary = "Bounds log p of each row of the data by the discrete chain, term by term.",
    .doc =
        "Reads the sections process, model, data and elbo. Prints the means of the bound, of the "
        "importance-weighted bound over its draws and of the I-MMSE estimate; every row's L_T, "
        "L_{t-1} and L_0 are in the run file under /elbo. 8-bit data are bounded as levels, "
        "other data as a density. Example:\n\n"
        "  vpsde elbo experiments/fashion-mnist.yaml -o elbo.h5 --set data.count=100",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
