#include <stdlib.h>

#include "experiments/job.h"

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    double *x, bits_offset;
    vpsde_summary summary;
    vpsde_sink sink = vpsde_job_sink(&summary, run);
    VPSDE_TRY(vpsde_setup_rows(&x, &bits_offset, s, s->likelihood.dequantization));
    const vpsde_likelihood likelihood = vpsde_setup_likelihood(s, cli, x, bits_offset);
    const vpsde_status status =
        vpsde_job_tell(&summary, cli, vpsde_likelihood_run(&likelihood, &sink), true);
    free(x);
    return status;
}

const vpsde_job vpsde_job_likelihood = {
    .verb = "likelihood", .uses = VPSDE_USES_DATA | VPSDE_USES_LIKELIHOOD, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_likelihood, cli); }

const vpsde_verb vpsde_verb_likelihood = {
    .name = "likelihood",
    .input = "CONFIG",
    .summary = "Computes log p of each row of the data by the probability-flow ODE.",
    .doc = "Reads the sections process, model, data and likelihood; t_min defaults to 1e-5. Prints "
           "the mean in nats and bits/dim; every row is in the run file under /likelihood. "
           "Example:\n\n"
           "  vpsde likelihood experiments/fashion-mnist.yaml -o logp.h5 --set data.count=100",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
