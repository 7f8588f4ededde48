#include "experiments/estimate.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "experiments/summary.h"

enum {
    PILOT_SAMPLES = 16,
    PILOT_ROWS = 2,
    LEDGER_BYTES = 8 * 6,
    LIKELIHOOD_COLUMNS = 13,
    TRANSPORT_COLUMNS = 6
};

static vpsde_status ignore_begin(void *self, const vpsde_table *table)
{
    (void)self;
    (void)table;
    return VPSDE_OK;
}

static vpsde_status ignore_write(void *self, size_t first, size_t n, const void *const *data)
{
    (void)self;
    (void)first;
    (void)n;
    (void)data;
    return VPSDE_OK;
}

static vpsde_status ignore_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self;
    (void)provenance;
    (void)n_facts;
    return VPSDE_OK;
}

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

static vpsde_status spread_over_threads(vpsde_estimate *out, const vpsde_cli *cli, double seconds)
{
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, cli->threads));
    out->seconds = seconds / (double)threads;
    return VPSDE_OK;
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

/* Mean evaluations of an adaptive solver, from a few of its own samples. */
static vpsde_status pilot_nfe(double *nfe, const vpsde_setup *s, size_t entry, const vpsde_cli *cli)
{
    vpsde_sampling sampling = vpsde_setup_sampling(s, entry, cli);
    vpsde_summary summary;
    vpsde_sink nothing = {.begin = ignore_begin, .write = ignore_write, .end = ignore_end};
    vpsde_sink sink = vpsde_summary_sink(&summary, &nothing);
    if (sampling.count > PILOT_SAMPLES) sampling.count = PILOT_SAMPLES;
    sampling.log.n_times = 0;
    sampling.control.progress = NULL;
    const vpsde_status status = vpsde_sample(&sampling, &sink);
    if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
    *nfe = summary.sum_nfe / (double)summary.n;
    return VPSDE_OK;
}

vpsde_status vpsde_estimate_sampling(vpsde_estimate *out, const vpsde_setup *s, size_t entry,
                                     const vpsde_cli *cli)
{
    const vpsde_sampler_entry *e = &s->sampler.entries[entry];
    double nfe = vpsde_setup_nfe(s, e, e->grid), seconds;
    *out = (vpsde_estimate){.samples = (double)s->sampler.count};
    out->measured = vpsde_solver_is_adaptive(e->solver);
    if (out->measured) VPSDE_TRY(pilot_nfe(&nfe, s, entry, cli));
    VPSDE_TRY(seconds_per_row(&seconds, s, 0));
    out->evaluations = nfe * out->samples;
    out->bytes = stored_bytes(s, e->grid->n_steps + 1) * out->samples;
    return spread_over_threads(out, cli, seconds * out->evaluations);
}

vpsde_status vpsde_estimate_likelihood(vpsde_estimate *out, const vpsde_setup *s,
                                       const vpsde_cli *cli)
{
    const vpsde_likelihood_setup *l = &s->likelihood;
    const bool closed = s->model->type->flags & VPSDE_MODEL_DIVERGENCE;
    const size_t k = l->trace == VPSDE_TRACE_HUTCHINSON ? l->probes : closed ? 0 : s->model->dim;
    double seconds;
    vpsde_summary summary;
    vpsde_sink nothing = {.begin = ignore_begin, .write = ignore_write, .end = ignore_end};
    vpsde_sink sink = vpsde_summary_sink(&summary, &nothing);
    vpsde_likelihood pilot = vpsde_setup_likelihood(s, cli);
    if (pilot.count > PILOT_ROWS) pilot.count = PILOT_ROWS;
    pilot.control.progress = NULL;
    const vpsde_status status = vpsde_likelihood_run(&pilot, &sink);
    if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
    VPSDE_TRY(seconds_per_row(&seconds, s, k));
    *out = (vpsde_estimate){.samples = (double)s->data.count, .measured = true};
    out->evaluations = summary.sum_nfe / (double)summary.n * out->samples;
    out->tangents = summary.sum_jvp / (double)summary.n * out->samples;
    out->bytes = out->samples * (8 * LIKELIHOOD_COLUMNS + LEDGER_BYTES);
    return spread_over_threads(out, cli, seconds * out->evaluations);
}

/* The Jacobian's d products count as tangents of each call. */
vpsde_status vpsde_estimate_transport(vpsde_estimate *out, const vpsde_setup *s,
                                      const vpsde_cli *cli)
{
    vpsde_transport pilot = vpsde_setup_transport(s, cli);
    const size_t rows = pilot.flow.count, d = s->model->dim;
    double seconds;
    vpsde_summary summary;
    vpsde_sink nothing = {.begin = ignore_begin, .write = ignore_write, .end = ignore_end};
    vpsde_sink sink = vpsde_summary_sink(&summary, &nothing);
    if (pilot.flow.count > PILOT_ROWS) pilot.flow.count = PILOT_ROWS;
    pilot.flow.control.progress = NULL;
    const vpsde_status status = vpsde_transport_run(&pilot, &sink);
    if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
    VPSDE_TRY(seconds_per_row(&seconds, s, d));
    *out = (vpsde_estimate){.samples = (double)rows, .measured = true};
    out->evaluations = summary.sum_nfe / (double)summary.n * out->samples;
    out->tangents = summary.sum_jvp / (double)summary.n * out->samples;
    out->bytes = out->samples *
                 (8 * ((double)(2 * d + s->transport.times) + TRANSPORT_COLUMNS) + LEDGER_BYTES);
    return spread_over_threads(out, cli, seconds * out->evaluations);
}
