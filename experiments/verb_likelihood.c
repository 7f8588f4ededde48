#include <stdlib.h>

#include "experiments/job.h"
#include "experiments/summary.h"

static vpsde_likelihood describe(const vpsde_setup *s, const vpsde_cli *cli, const double *x,
                                 double bits_offset)
{
    const vpsde_likelihood_setup *l = &s->likelihood;
    return (vpsde_likelihood){
        .label = l->label,
        .process = s->process,
        .model = s->model,
        .integrator = l->integrator,
        .param = l->param,
        .rtol = l->rtol,
        .atol = l->atol,
        .logp_atol = l->logp_atol,
        .trace = l->trace,
        .probes = l->probes,
        .probe = l->probe,
        .seed = s->seed,
        .x = x,
        .first = s->data.first,
        .count = s->data.count,
        .bits_offset = bits_offset,
        .n_threads = cli->threads,
        .control = cli->control,
    };
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    double *x, bits_offset;
    vpsde_summary summary;
    vpsde_sink sink = vpsde_summary_sink(&summary, vpsde_run_sink(run));
    VPSDE_TRY(vpsde_setup_rows(&x, &bits_offset, s, s->likelihood.dequantization));
    const vpsde_likelihood likelihood = describe(s, cli, x, bits_offset);
    summary.run = run;
    const vpsde_status status =
        vpsde_summary_status(&summary, vpsde_likelihood_run(&likelihood, &sink));
    free(x);
    vpsde_progress_done();
    const bool done = status == VPSDE_OK || status == VPSDE_EPARTIAL;
    if (done && !cli->quiet) vpsde_summary_print(&summary, true);
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
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS,
    .run = run,
};
