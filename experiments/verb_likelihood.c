#include <math.h>
#include <stdio.h>

#include "experiments/job.h"

typedef vpsde_status (*table_fn)(const vpsde_likelihood *run, vpsde_sink *sink);

static vpsde_status one_table(vpsde_summary *summary, table_fn table, const vpsde_setup *s,
                              const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_sink sink = vpsde_job_sink(summary, run);
    const vpsde_likelihood likelihood = vpsde_setup_likelihood(s, cli);
    return vpsde_job_tell(summary, cli, table(&likelihood, &sink), true);
}

/* A line of the table of estimators: mean over the rows and its standard error, bits/dim. */
static void print_estimator(const char *name, double n, double sum, double square, const char *what)
{
    char error[VPSDE_STDERR_SIZE];
    vpsde_summary_stderr(error, n, sum, square);
    printf("%-10s %12.6f %10s   %s\n", name, sum / n, error, what);
}

/* The same number by every estimator. What the chain gives in nats becomes bits/dim: of levels, or
 * of a density with the width of a level where the data have levels. */
static void print_estimators(const vpsde_setup *s, const vpsde_summary *flow,
                             const vpsde_summary *chain)
{
    const double bit = -1 / ((double)s->model->dim * M_LN2),
                 n = (double)(chain->n - chain->n_failed);
    const double offset = s->data.width > 0 ? -log2(s->data.width) : 0;
    const double n_flow = (double)(flow->n - flow->n_failed);
    if (!(n > 0) || !(n_flow > 0)) return;
    printf("\n%-10s %12s %10s   %s\n", "estimator", "bits/dim", "+- s.e.", "what it is");
    print_estimator("pf-ode", n_flow, flow->sum_bits, flow->sum_bits_2,
                    "the flow's density, dequantised as asked");
    print_estimator("elbo", n, chain->sum_bits, chain->sum_bits_2,
                    "upper bound from the reverse chain");
    print_estimator("iwae", n, bit * chain->sum_iwae, bit * bit * chain->sum_iwae_2,
                    "the same chains, importance-weighted: at most the elbo's, on average");
    print_estimator("i-mmse", n, bit * chain->sum_i_mmse + n * offset,
                    bit * bit * chain->sum_i_mmse_2 + 2 * offset * bit * chain->sum_i_mmse +
                        n * offset * offset,
                    "estimate of the density at the rows themselves, no bound");
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    const unsigned estimators = s->likelihood.estimators;
    vpsde_summary flow = {0}, gradient, chain = {0};
    vpsde_status status = VPSDE_OK;
    if (estimators & VPSDE_ESTIMATE_PF_ODE) {
        status = one_table(&flow, vpsde_likelihood_run, s, cli, run);
        if (!vpsde_job_is_done(status)) return status;
    }
    if (s->likelihood.gradient) {
        const vpsde_status of_gradient = one_table(&gradient, vpsde_gradient_run, s, cli, run);
        if (!vpsde_job_is_done(of_gradient)) return of_gradient;
        if (status == VPSDE_OK) status = of_gradient;
    }
    if (estimators & VPSDE_ESTIMATE_CHAIN) {
        const vpsde_status of_chain = vpsde_job_bound(&chain, s, cli, run);
        if (!vpsde_job_is_done(of_chain)) return of_chain;
        if (status == VPSDE_OK) status = of_chain;
        if (flow.n > 0 && !cli->quiet) print_estimators(s, &flow, &chain);
    }
    return status;
}

const vpsde_job vpsde_job_likelihood = {
    .verb = "likelihood", .uses = VPSDE_USES_DATA | VPSDE_USES_LIKELIHOOD, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_likelihood, cli); }

const vpsde_verb vpsde_verb_likelihood = {
    .name = "likelihood",
    .input = "CONFIG",
    .summary = "Computes log p of each row of the data by the probability-flow ODE.",
    .doc =
        "Reads the sections process, model, data and likelihood; t_min defaults to 1e-5. Prints "
        "the mean in nats and bits/dim with its error budget (docs/likelihood.md; "
        "likelihood.budget: "
        "false leaves that and its looser solves out); every row is in the run file under "
        "/likelihood; with likelihood.gradient: true, the gradient of each under /gradient; with "
        "likelihood.estimators: [pf-ode, chain], the discrete bound of `vpsde elbo` under /elbo "
        "and one table of all. "
        "Example:\n\n"
        "  vpsde likelihood experiments/fashion-mnist.yaml -o logp.h5 --set data.count=100",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
