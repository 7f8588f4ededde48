#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "experiments/job.h"
#include "experiments/transport.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
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
    const double chain[] = {f->optimal, f->length * f->length, f->b * f->entropy / 2};
    const bool holds = chain[0] <= chain[1] * (1 + 1e-9) && chain[1] <= chain[2] * (1 + 1e-9);
    printf("\n%-28s %-46s %s\n", "transport", "this map", "a Monge map");
    printf("%-28s median %-9.2e 99 %% %-9.2e max %-9.2e %s\n", "antisymmetry |J-J^T|/|J|",
           vpsde_quantile(sorted, n, 0.5), vpsde_quantile(sorted, n, 0.99), sorted[n - 1], "0");
    printf("%-28s %-46.4g %s\n", "smallest eigenvalue", smallest, "above 0");
    printf("%-28s %-9.2e %5.1f %% of rows reassigned %9s %s\n", "assignment gap, relative", f->gap,
           100 * f->reassigned, "", "0");
    printf("%-28s %.6g\n", "W2^2 of the rows", chain[0]);
    printf("%-28s %-46.6g %s\n", "L^2, flow's length squared", chain[1], "at least W2^2");
    printf("%-28s %-46.6g %s\n", "b Sigma/2, speed limit", chain[2], "at least L^2");
    printf("%-28s %s\n", "", holds ? "W2^2 <= L^2 <= b Sigma/2 holds" : "the chain is BROKEN");
    printf("%-28s %.4f +- %-36.4f %s\n", "straightness W2^2/L^2", f->straightness,
           f->straightness_stderr, "at most 1");
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
    return status;
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
        "Exit code 5: finished, but some rows failed (flagged in `status`).",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
