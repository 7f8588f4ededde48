#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/digits.h"
#include "analysis/metrics.h"
#include "core/mem.h"
#include "experiments/job.h"
#include "experiments/transport.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool chain_holds(const vpsde_transport_facts *f)
{
    const double length = f->length * f->length;
    return f->optimal <= length * (1 + 1e-9) && length <= f->b * f->entropy / 2 * (1 + 1e-9);
}

/* It holds for any flow and any rows: where it does not, numbers are wrong. */
static vpsde_status broken(const vpsde_transport_facts *f)
{
    return vpsde_fail(VPSDE_EPARTIAL,
                      "transport: W2^2 = %g <= L^2 = %g <= b Sigma/2 = %g is broken, which no flow "
                      "can do; expected more transport.times, smaller tolerances, or a smoother "
                      "network",
                      f->optimal, f->length * f->length, f->b * f->entropy / 2);
}

/* Behind each figure what theory expects of a Monge map. */
static vpsde_status print(const vpsde_transport_rows *r, const vpsde_transport_facts *f)
{
    double *sorted, smallest = INFINITY;
    size_t n = 0;
    VPSDE_TRY(vpsde_alloc(&sorted, r->count, sizeof(*sorted)));
    for (size_t i = 0; i < r->count; i++) {
        if (r->status[i] != 0) continue;
        sorted[n++] = r->antisymmetry[i];
        smallest = fmin(smallest, r->smallest[i]);
    }
    qsort(sorted, n, sizeof(*sorted), ascending);
    printf("\n%-28s %-46s %s\n", "transport", "this map", "a Monge map");
    printf("%-28s median %-9" VPSDE_DIGITS_ROUGH " 99 %% %-9" VPSDE_DIGITS_ROUGH
           " max %-9" VPSDE_DIGITS_ROUGH " %s\n",
           "antisymmetry |J-J^T|/|J|", vpsde_quantile(sorted, n, 0.5),
           vpsde_quantile(sorted, n, 0.99), sorted[n - 1], "0");
    printf("%-28s %-46" VPSDE_DIGITS_TIME " %s\n", "smallest eigenvalue", smallest, "above 0");
    printf("%-28s %-9" VPSDE_DIGITS_DISTANCE " %5" VPSDE_DIGITS_PERCENT
           " %% of rows reassigned %9s %s\n",
           "assignment gap, relative", f->gap, 100 * f->reassigned, "", "0");
    printf("%-28s %" VPSDE_DIGITS_NATS "\n", "W2^2 of the rows", f->optimal);
    printf("%-28s %-46" VPSDE_DIGITS_NATS " %s\n", "L^2, flow's length squared",
           f->length * f->length, "at least W2^2");
    printf("%-28s %-46" VPSDE_DIGITS_NATS " %s\n", "b Sigma/2, speed limit", f->b * f->entropy / 2,
           "at least L^2");
    printf("%-28s %s\n", "",
           chain_holds(f) ? "W2^2 <= L^2 <= b Sigma/2 holds" : "the chain is BROKEN");
    printf("%-28s %" VPSDE_DIGITS_SHARE " +- %-37" VPSDE_DIGITS_STDERR " %s\n",
           "straightness W2^2/L^2", f->straightness, f->straightness_stderr, "at most 1");
    free(sorted);
    return VPSDE_OK;
}

static vpsde_status transport(vpsde_transport_rows *rows, const vpsde_transport *work,
                              const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_summary summary;
    vpsde_transport_facts facts;
    vpsde_sink sink = vpsde_job_sink(&summary, run);
    VPSDE_TRY(vpsde_transport_rows_open(rows, &sink));
    const vpsde_status status =
        vpsde_job_tell(&summary, cli, vpsde_transport_run(work, &rows->sink), true);
    if (!vpsde_job_is_done(status)) return status;
    if (rows->n < 2) {
        return vpsde_fail(VPSDE_EPARTIAL, "%zu of %zu rows arrived; expected two or more to pair",
                          rows->n, rows->count);
    }
    VPSDE_TRY(vpsde_transport_judge(&facts, rows, s, vpsde_run_sink(run)));
    if (!cli->quiet) VPSDE_TRY(print(rows, &facts));
    return chain_holds(&facts) ? status : broken(&facts);
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    const vpsde_transport work = vpsde_setup_transport(s, cli);
    vpsde_transport_rows rows = {
        .first = work.flow.first,
        .count = work.flow.count,
        .dim = s->model->dim,
        .n_times = work.n_times,
        .weight = s->transport.weight,
    };
    const vpsde_status status = transport(&rows, &work, s, cli, run);
    vpsde_transport_rows_close(&rows);
    return status;
}

const vpsde_job vpsde_job_transport = {
    .verb = "transport", .uses = VPSDE_USES_TRANSPORT, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_transport, cli); }

const vpsde_verb vpsde_verb_transport = {
    .name = "transport",
    .input = "CONFIG",
    .summary = "Asks whether the flow from data to noise is an optimal transport map.",
    .doc =
        "Reads the sections process, model, data and transport; t_min defaults to 1e-5. Rows of "
        "the data, or transport.count exact draws of the model, go through the probability-flow "
        "ODE "
        "with the Jacobian of the way: its antisymmetry is the local certificate. On the same "
        "pairs of rows and images, the gap between their cost and the best assignment's is the "
        "global one: both are 0 for a Monge map (docs/transport.md). Lengths and the speed limit "
        "W2^2 <= L^2 <= b Sigma/2 follow. Example:\n\n"
        "  vpsde transport experiments/mixture.yaml -o map.h5 --set transport.count=200\n\n"
        "Exit code 5: finished, but some rows failed (flagged in `status`), or the lengths break "
        "that chain, which no flow can do: raise transport.times or tighten the tolerances.",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
