#include "experiments/estimate.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "experiments/summary.h"
#include "experiments/trial.h"

enum {
    PILOT_SAMPLES = 16,
    PILOT_ROWS = 2,
    LEDGER_BYTES = 8 * 6,
    LIKELIHOOD_COLUMNS = 13,
    TRANSPORT_COLUMNS = 6,
    BOUND_COLUMNS = 8,
    BOUND_TERMS = 3 /* of each step */
};

/* Seconds of one row's evaluation with k tangents, on one thread: full blocks, repeated for about
 * 50 ms. */
typedef struct timing {
    const vpsde_setup *s;
    size_t k;
    double seconds;
} timing;

static vpsde_status time_calls(timing *t, size_t rows, void *ws, double *x, double *dx)
{
    const vpsde_model *m = t->s->model;
    const size_t values = rows * m->dim;
    const vpsde_coef c = vpsde_process_at(t->s->process, 0.5 * vpsde_process_t_max(t->s->process));
    double *eps = x + values, *deps = dx + values * t->k;
    size_t calls = 0;
    vpsde_normals(x, 0, VPSDE_NOISE_TEST, 0, rows, 0, m->dim);
    for (size_t e = 0; e < values * t->k; e++) dx[e] = 1;
    const double start = vpsde_clock_s();
    do {
        const vpsde_eval e = {
            .n = rows, .k = t->k, .coef = &c, .x = x, .dx = dx, .eps = eps, .deps = deps};
        VPSDE_TRY(vpsde_model_eval(m, ws, &e));
        calls++;
    } while (vpsde_clock_s() - start < 0.05);
    t->seconds = (vpsde_clock_s() - start) / (double)(calls * rows);
    return VPSDE_OK;
}

static vpsde_status time_worker(void *shared, vpsde_queue *queue)
{
    timing *t = shared;
    const vpsde_model *m = t->s->model;
    const size_t rows = m->block_rows ? m->block_rows : 64;
    size_t block;
    void *ws = NULL;
    double *x = NULL, *dx = NULL;
    if (!vpsde_queue_take(queue, &block)) return VPSDE_OK;
    vpsde_status status = vpsde_model_workspace_create(&ws, m, rows, t->k);
    if (status == VPSDE_OK) status = vpsde_alloc(&x, rows * m->dim * 2, sizeof(*x));
    if (status == VPSDE_OK) status = vpsde_alloc(&dx, rows * m->dim * t->k * 2 + 1, sizeof(*dx));
    if (status == VPSDE_OK) status = time_calls(t, rows, ws, x, dx);
    free(x);
    free(dx);
    vpsde_model_workspace_destroy(m, ws);
    return status;
}

static vpsde_status seconds_per_row(double *seconds, const vpsde_setup *s, size_t k)
{
    timing t = {.s = s, .k = k};
    VPSDE_TRY(vpsde_parallel(1, 1, time_worker, &t, NULL));
    *seconds = t.seconds;
    return VPSDE_OK;
}

static vpsde_status run_seconds(vpsde_estimate *out, const vpsde_cli *cli, const vpsde_trial *trial)
{
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, cli->threads));
    return vpsde_trial_seconds(&out->seconds, trial, threads);
}

static double stored_bytes(const vpsde_setup *s, size_t n_nodes)
{
    const vpsde_log *log = &s->sampler.log;
    const size_t times = log->n_times < n_nodes || log->times ? log->n_times : n_nodes;
    double fields = 0;
    const unsigned scalar = log->fields & (VPSDE_LOG_LOGP | VPSDE_LOG_STEPS);
    for (unsigned bits = log->fields ^ scalar; bits; bits >>= 1) fields += bits & 1u;
    const double state = (double)s->model->dim * (double)vpsde_dtype_size(log->dtype);
    return (double)times * (fields * state + (scalar ? 2 * sizeof(double) : 0)) +
           8 * (double)s->model->dim + LEDGER_BYTES;
}

double vpsde_estimate_bytes(const vpsde_setup *s, size_t entry)
{
    const size_t n_nodes = s->sampler.entries[entry].grid->n_steps + 1;
    return stored_bytes(s, n_nodes) * (double)s->sampler.count;
}

static vpsde_status run_sampling(const void *work, size_t rows, vpsde_sink *sink)
{
    vpsde_sampling run = *(const vpsde_sampling *)work;
    run.count = rows;
    run.n_threads = 1;
    run.control.progress = NULL;
    return vpsde_sample(&run, sink);
}

static vpsde_status run_likelihood(const void *work, size_t rows, vpsde_sink *sink)
{
    vpsde_likelihood run = *(const vpsde_likelihood *)work;
    run.count = rows;
    run.n_threads = 1;
    run.control.progress = NULL;
    return vpsde_likelihood_run(&run, sink);
}

static vpsde_status run_bound(const void *work, size_t rows, vpsde_sink *sink)
{
    vpsde_elbo run = *(const vpsde_elbo *)work;
    run.count = rows;
    run.n_threads = 1;
    run.control.progress = NULL;
    return vpsde_elbo_run(&run, sink);
}

static vpsde_status run_transport(const void *work, size_t rows, vpsde_sink *sink)
{
    vpsde_transport run = *(const vpsde_transport *)work;
    run.flow.count = rows;
    run.flow.n_threads = 1;
    run.flow.control.progress = NULL;
    return vpsde_transport_run(&run, sink);
}

/* Mean evaluations and tangents of a row, from the first few. */
static vpsde_status pilot(vpsde_estimate *row, const vpsde_trial *trial, size_t rows)
{
    vpsde_summary summary;
    vpsde_sink nothing = vpsde_trial_sink();
    vpsde_sink sink = vpsde_summary_sink(&summary, &nothing);
    const vpsde_status status =
        trial->run(trial->work, rows < trial->count ? rows : trial->count, &sink);
    if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
    row->evaluations = summary.sum_nfe / (double)summary.n;
    row->tangents = summary.sum_jvp / (double)summary.n;
    return VPSDE_OK;
}

vpsde_status vpsde_estimate_sampling(vpsde_estimate *out, const vpsde_setup *s, size_t entry,
                                     const vpsde_cli *cli)
{
    const vpsde_sampler_entry *e = &s->sampler.entries[entry];
    const vpsde_sampling run = vpsde_setup_sampling(s, entry, cli);
    vpsde_trial trial = {
        .run = run_sampling, .work = &run, .model = s->model, .count = s->sampler.count};
    vpsde_estimate row = {.evaluations = vpsde_setup_nfe(s, e, e->grid)};
    double seconds;
    *out = (vpsde_estimate){.samples = (double)s->sampler.count};
    out->measured = vpsde_solver_is_adaptive(e->solver);
    if (out->measured) VPSDE_TRY(pilot(&row, &trial, PILOT_SAMPLES));
    VPSDE_TRY(seconds_per_row(&seconds, s, 0));
    trial.network = seconds * row.evaluations;
    out->evaluations = row.evaluations * out->samples;
    out->bytes = stored_bytes(s, e->grid->n_steps + 1) * out->samples;
    return run_seconds(out, cli, &trial);
}

vpsde_status vpsde_estimate_likelihood(vpsde_estimate *out, const vpsde_setup *s,
                                       const vpsde_cli *cli)
{
    const vpsde_likelihood_setup *l = &s->likelihood;
    const bool closed = s->model->type->flags & VPSDE_MODEL_DIVERGENCE;
    const size_t k = l->trace == VPSDE_TRACE_HUTCHINSON ? l->probes : closed ? 0 : s->model->dim;
    const vpsde_likelihood run = vpsde_setup_likelihood(s, cli);
    vpsde_trial trial = {
        .run = run_likelihood, .work = &run, .model = s->model, .count = s->data.count};
    vpsde_estimate row = {0};
    double seconds;
    VPSDE_TRY(pilot(&row, &trial, PILOT_ROWS));
    VPSDE_TRY(seconds_per_row(&seconds, s, k));
    trial.network = seconds * row.evaluations;
    *out = (vpsde_estimate){.samples = (double)s->data.count, .measured = true};
    out->evaluations = row.evaluations * out->samples;
    out->tangents = row.tangents * out->samples;
    out->bytes = out->samples * (8 * LIKELIHOOD_COLUMNS + LEDGER_BYTES);
    return run_seconds(out, cli, &trial);
}

vpsde_status vpsde_estimate_bound(vpsde_estimate *out, const vpsde_setup *s, const vpsde_cli *cli)
{
    const vpsde_elbo run = vpsde_setup_elbo(s, cli);
    const double steps = (double)s->elbo.steps, nfe = steps * (double)s->elbo.draws;
    vpsde_trial trial = {.run = run_bound, .work = &run, .model = s->model, .count = s->data.count};
    double seconds;
    VPSDE_TRY(seconds_per_row(&seconds, s, 0));
    trial.network = seconds * nfe;
    *out = (vpsde_estimate){.samples = (double)s->data.count};
    out->evaluations = nfe * out->samples;
    out->bytes = out->samples * (8 * (BOUND_COLUMNS + BOUND_TERMS * steps) + LEDGER_BYTES);
    return run_seconds(out, cli, &trial);
}

/* The Jacobian's d products count as tangents of each call. */
vpsde_status vpsde_estimate_transport(vpsde_estimate *out, const vpsde_setup *s,
                                      const vpsde_cli *cli)
{
    const vpsde_transport run = vpsde_setup_transport(s, cli);
    const size_t d = s->model->dim;
    vpsde_trial trial = {
        .run = run_transport, .work = &run, .model = s->model, .count = run.flow.count};
    vpsde_estimate row = {0};
    double seconds;
    VPSDE_TRY(pilot(&row, &trial, PILOT_ROWS));
    VPSDE_TRY(seconds_per_row(&seconds, s, d));
    trial.network = seconds * row.evaluations;
    *out = (vpsde_estimate){.samples = (double)run.flow.count, .measured = true};
    out->evaluations = row.evaluations * out->samples;
    out->tangents = row.tangents * out->samples;
    out->bytes = out->samples *
                 (8 * ((double)(2 * d + s->transport.times) + TRANSPORT_COLUMNS) + LEDGER_BYTES);
    return run_seconds(out, cli, &trial);
}
