#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "experiments/job.h"
#include "experiments/task.h"

/* Own columns of a run that comes back. */
enum { BACK, BACK_ERROR, BACK_NFE, N_BACK };
static const vpsde_column back_columns[N_BACK] = {
    {.name = "round_trip",
     .units = "1",
     .description = "the latent decoded again by the same solver; NaN where that failed",
     .type = VPSDE_F64},
    {.name = "round_trip_error",
     .units = "1",
     .description = "largest |x - round_trip| over the components of the row",
     .type = VPSDE_F64,
     .dims = "",
     .width = 1},
    {.name = "round_trip_nfe",
     .units = "1",
     .description = "network calls of the way back",
     .type = VPSDE_I32,
     .dims = "",
     .width = 1},
};

/* One solver's rows. */
typedef struct encoding {
    const vpsde_setup *s;
    const vpsde_cli *cli;
    vpsde_run *run;
    size_t entry;
    double *x;        /* (piece, d) */
    double *error;    /* (count) NaN where there is none */
    double *nfe_back; /* (count) */
} encoding;

static double largest_difference(size_t d, const double *x, const double *y)
{
    double most = 0;
    for (size_t j = 0; j < d; j++) {
        const double difference = fabs(x[j] - y[j]);
        if (!(difference <= most)) most = difference; /* NaN stays */
    }
    return most;
}

/* Sends the latents of the piece back to data. */
static vpsde_status come_back(encoding *e, vpsde_task *task, size_t first, size_t n)
{
    const size_t d = e->s->model->dim, at = first - e->s->data.first;
    double *back = task->own_data[BACK], *error = task->own_data[BACK_ERROR];
    int32_t *nfe = task->own_data[BACK_NFE];
    vpsde_sampling run = vpsde_setup_decoding(e->s, e->entry, e->s->encode.safety, e->cli);
    run.first = first;
    run.classes = vpsde_setup_classes_of_row(e->s, first);
    run.count = n;
    run.init = task->final;
    VPSDE_TRY(vpsde_task_sample_into(task, &run, back, nfe));
    for (size_t i = 0; i < n; i++) {
        error[i] = largest_difference(d, e->x + i * d, back + i * d);
        e->error[at + i] = error[i];
        e->nfe_back[at + i] = nfe[i];
    }
    return VPSDE_OK;
}

static vpsde_status encode_piece(vpsde_task *task, size_t first, size_t n)
{
    encoding *e = task->context;
    vpsde_sampling run = task->run;
    free(e->x);
    VPSDE_TRY(vpsde_alloc(&e->x, n, e->s->model->dim * sizeof(double)));
    VPSDE_TRY(vpsde_setup_encode_rows(e->x, e->s, first, n));
    run.first = first;
    run.classes = vpsde_setup_classes_of_row(e->s, first);
    run.count = n;
    run.init = e->x;
    VPSDE_TRY(vpsde_task_sample(task, &run));
    return e->s->encode.round_trip ? come_back(e, task, first, n) : VPSDE_OK;
}

/* ---- the table of round trips ----------------------------------------------------------------- */

typedef struct trip {
    size_t n, n_failed;
    double nfe, nfe_back;        /* means */
    double median, p99, largest; /* of the errors */
} trip;

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the errors. */
static trip summarise(encoding *e, double mean_nfe)
{
    const size_t count = e->s->data.count;
    trip t = {.nfe = mean_nfe};
    for (size_t i = 0; i < count; i++) {
        t.nfe_back += e->nfe_back[i] / (double)count;
        if (!isnan(e->error[i])) e->error[t.n++] = e->error[i];
    }
    t.n_failed = count - t.n;
    if (t.n == 0) return t;
    qsort(e->error, t.n, sizeof(*e->error), ascending);
    t.median = vpsde_quantile(e->error, t.n, 0.5);
    t.p99 = vpsde_quantile(e->error, t.n, 0.99);
    t.largest = e->error[t.n - 1];
    return t;
}

/* Errors, and how many tolerances they are. */
static void print_trip(const trip *t, const vpsde_sampler_entry *e, bool heading)
{
    const double values[] = {t->median, t->p99, t->largest};
    if (heading) {
        printf("\n%-24s %8s %9s %9s %7s  %-18s %-18s %s\n", "round trip", "rtol", "nfe there",
               "nfe back", "failed", "median (tol)", "99 % (tol)", "largest (tol)");
    }
    const bool adaptive = vpsde_solver_is_adaptive(e->solver);
    char rtol[24] = "-";
    if (adaptive) snprintf(rtol, sizeof(rtol), "%.3g", e->rtol);
    printf("%-24s %8s %9.1f %9.1f %7zu ", e->label, rtol, t->nfe, t->nfe_back, t->n_failed);
    for (size_t v = 0; v < 3; v++) {
        char text[48] = "-";
        if (t->n > 0 && adaptive) {
            snprintf(text, sizeof(text), "%.2e (%.3g)", values[v],
                     values[v] / fmax(e->rtol, e->atol));
        } else if (t->n > 0) {
            snprintf(text, sizeof(text), "%.2e", values[v]);
        }
        printf(v < 2 ? " %-18s" : " %s\n", text);
    }
}

/* ---- the verb -------------------------------------------------------------------------------- */

/* Rows that are there from before an interruption. */
static void load(void *context, size_t first, size_t n, const void *const *data)
{
    const vpsde_task *task = context;
    const encoding *e = task->context;
    const double *error = data[task->n_columns + BACK_ERROR];
    const int32_t *nfe = data[task->n_columns + BACK_NFE];
    const size_t at = first - e->s->data.first;
    for (size_t i = 0; i < n; i++) {
        e->error[at + i] = error[i];
        e->nfe_back[at + i] = nfe[i];
    }
}

static vpsde_status take_up(vpsde_task *task)
{
    const encoding *e = task->context;
    return vpsde_run_each_stored(e->run, load, task);
}

static vpsde_status encode(encoding *e, vpsde_summary *summary)
{
    static const double somewhere;
    const bool returns = e->s->encode.round_trip;
    vpsde_sink sink = vpsde_job_sink(summary, e->run);
    vpsde_task task = {
        .run = vpsde_setup_encoding(e->s, e->entry, e->s->encode.safety, e->cli),
        .own = back_columns,
        .n_own = returns ? N_BACK : 0,
        .unit = 1,
        .work = returns ? 2 : 1,
        .compute = encode_piece,
        .announced = returns ? take_up : NULL,
        .context = e,
    };
    task.run.init = &somewhere;
    VPSDE_TRY(vpsde_alloc(&e->error, e->s->data.count, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&e->nfe_back, e->s->data.count, sizeof(double)));
    return vpsde_task_run(&task, &sink);
}

static vpsde_status encode_entry(trip *t, const vpsde_setup *s, size_t entry, const vpsde_cli *cli,
                                 vpsde_run *run)
{
    encoding e = {.s = s, .cli = cli, .run = run, .entry = entry};
    vpsde_summary summary;
    vpsde_status status = encode(&e, &summary);
    status = vpsde_job_tell(&summary, cli, status, entry == 0);
    if (status == VPSDE_OK || status == VPSDE_EPARTIAL) {
        *t = summarise(&e, summary.sum_nfe / (double)summary.n);
    }
    free(e.x);
    free(e.error);
    free(e.nfe_back);
    return status;
}

static vpsde_status tell(const vpsde_setup *s, const trip *trips, const vpsde_cli *cli,
                         vpsde_status status)
{
    for (size_t i = 0; s->encode.round_trip && i < s->sampler.n_entries; i++) {
        if (!cli->quiet) print_trip(&trips[i], &s->sampler.entries[i], i == 0);
        if (trips[i].n_failed == 0 || status != VPSDE_OK) continue;
        status = vpsde_fail(VPSDE_EPARTIAL, "%s: %zu of %zu rows did not come back",
                            s->sampler.entries[i].label, trips[i].n_failed, s->data.count);
    }
    return status;
}

static vpsde_status encode_all(trip *trips, const vpsde_setup *s, const vpsde_cli *cli,
                               vpsde_run *run)
{
    vpsde_status worst = VPSDE_OK;
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        const vpsde_status status = encode_entry(&trips[i], s, i, cli, run);
        if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
        if (status == VPSDE_EPARTIAL) worst = status;
    }
    return tell(s, trips, cli, worst);
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    trip *trips;
    VPSDE_TRY(vpsde_alloc(&trips, s->sampler.n_entries, sizeof(*trips)));
    const vpsde_status status = encode_all(trips, s, cli, run);
    free(trips);
    return status;
}

const vpsde_job vpsde_job_encode = {
    .verb = "encode",
    .uses = VPSDE_USES_DATA | VPSDE_USES_SAMPLER | VPSDE_USES_ENCODE,
    .compute = compute,
};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_encode, cli); }

const vpsde_verb vpsde_verb_encode = {
    .name = "encode",
    .input = "CONFIG",
    .summary = "Takes each row of the data to its latent by the probability-flow ODE.",
    .doc = "Reads the sections process, model, data, sampler, encode and log. Every solver of "
           "sampler.solver takes the rows, as states at t_min, to t_max; deterministic ones can. "
           "With encode.round_trip (the default) it decodes them again and prints the error of "
           "the way there and back beside its network calls. Example:\n\n"
           "  vpsde encode experiments/mixture.yaml -o latents.h5 --set "
           "'sampler.solver=[{solver: dopri5, rtol: 1e-5, atol: 1e-5}, heun]'\n\n"
           "Exit code 5: finished, but some rows failed (flagged in `status`) or did not come "
           "back.",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
