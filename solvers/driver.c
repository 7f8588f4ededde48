#include "solvers/driver.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/sink.h"
#include "core/vec.h"
#include "solvers/chain.h"
#include "solvers/ode.h"

/* What all workers of one run share; nothing in it changes but the report, under its lock. */
typedef struct shared {
    const vpsde_sampling *run;
    vpsde_report *report;
    const double *table;
    size_t rows, first_block;
} shared;

typedef struct worker {
    const shared *run;
    vpsde_chain *chain;
    vpsde_rows *rows;
    double *eps, *drawn; /* (n, d) for the log and the last step */
    double *v;           /* (d) */
    size_t slot;         /* next stored node */
} worker;

vpsde_status vpsde_sampling_start(const vpsde_sampling *run, uint64_t first, size_t n, double *x)
{
    const vpsde_model *model = run->model;
    if (run->init) {
        vec_copy(n * model->dim, x, run->init + (size_t)(first - run->first) * model->dim);
        return VPSDE_OK;
    }
    if (vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_STANDARD_NORMAL) {
        vpsde_normals(x, run->seed, VPSDE_NOISE_PRIOR, first, n, 0, model->dim);
        return VPSDE_OK;
    }
    if (!(model->type->flags & VPSDE_MODEL_DRAW) || !model->type->draw) {
        return vpsde_fail(VPSDE_EINVAL,
                          "terminal: exact needs a model that draws from p_T, which %s cannot; use "
                          "standard-normal",
                          model->type->name);
    }
    const vpsde_coef start =
        run->grid ? run->grid->node[0]
                  : vpsde_process_at(run->process, vpsde_process_t_max(run->process));
    return model->type->draw(model, &start, run->seed, VPSDE_NOISE_PRIOR, first, n, x);
}

static bool is_stored(const worker *w, size_t k)
{
    const vpsde_report *report = w->run->report;
    return w->slot < report->n_stored && report->stored[w->slot] == k;
}

/* Stores the state at node k, where the chain stands, and what the network says there. Reads the
 * chain, changes no bit of what follows, and its call is not in the ledger. At data (sigma = 0)
 * there is no noise to predict: x0hat = x, eps is NaN, nothing is called. */
static vpsde_status log_node(worker *w, size_t k)
{
    const vpsde_report *report = w->run->report;
    vpsde_chain *chain = w->chain;
    vpsde_step *s = &chain->step;
    vpsde_chain_stand(chain, k);
    const size_t begin = chain->block.begin, d = s->d;
    const bool noisy = s->at->sigma > 0;
    const bool calls = noisy && report->fields & (VPSDE_LOG_EPS | VPSDE_LOG_X0);
    if (calls) VPSDE_TRY(vpsde_chain_peek(chain, s->at, w->eps));
    for (size_t i = 0; i < chain->block.count; i++) {
        const double *x = s->x + (begin + i) * d, *eps = w->eps + (begin + i) * d;
        const bool ok = chain->block.status[begin + i] == VPSDE_ROW_OK;
        w->rows->nfe_log[i] += calls;
        vpsde_rows_store(w->rows, report, 0, i, w->slot, ok ? x : NULL);
        vpsde_rows_store(w->rows, report, 1, i, w->slot, ok && noisy ? eps : NULL);
        if (calls) vec_lin2(d, w->v, 1 / s->at->alpha, x, -s->at->sigma / s->at->alpha, eps);
        vpsde_rows_store(w->rows, report, 2, i, w->slot, !ok ? NULL : noisy ? w->v : x);
    }
    return VPSDE_OK;
}

/* Stores what the step that has just left the stored node drew, for rows that live on. */
static void log_noise(worker *w)
{
    const vpsde_block *block = &w->chain->block;
    const size_t d = w->chain->step.d;
    for (size_t i = 0; i < block->count; i++) {
        const size_t row = block->begin + i;
        const bool drawn = block->has_drawn && block->status[row] == VPSDE_ROW_OK;
        vpsde_rows_store(w->rows, w->run->report, 3, i, w->slot, drawn ? w->drawn + row * d : NULL);
    }
}

static vpsde_status step(worker *w, size_t k)
{
    const bool stored = is_stored(w, k);
    if (stored) VPSDE_TRY(log_node(w, k));
    VPSDE_TRY(vpsde_chain_step(w->chain, k));
    if (stored) log_noise(w);
    w->slot += stored;
    return VPSDE_OK;
}

static vpsde_status log_end(worker *w, size_t k)
{
    if (!is_stored(w, k)) return VPSDE_OK;
    VPSDE_TRY(log_node(w, k));
    w->chain->block.has_drawn = false;
    log_noise(w);
    return VPSDE_OK;
}

/* x <- x0hat(x, t_min) = (x - sigma eps)/alpha, Tweedie's formula; x itself at sigma = 0. */
static vpsde_status denoise(worker *w)
{
    vpsde_step *s = &w->chain->step;
    vpsde_chain_stand(w->chain, s->n_steps);
    if (!(s->at->sigma > 0)) return VPSDE_OK;
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, w->eps));
    vec_lin2(s->n * s->d, s->x, 1 / s->at->alpha, s->x, -s->at->sigma / s->at->alpha, w->eps);
    vpsde_block_flag(&w->chain->block, s->n, s->d, s->x);
    return VPSDE_OK;
}

static vpsde_status place(worker *w, uint64_t first, size_t count)
{
    const vpsde_sampling *run = w->run->run;
    vpsde_chain *chain = w->chain;
    vpsde_chain_place(chain, first, count);
    for (size_t i = 0; run->classes && i < count; i++) {
        chain->classes[chain->block.begin + i] = run->classes[(size_t)(first - run->first) + i];
    }
    memset(w->rows->nfe_log, 0, count * sizeof(*w->rows->nfe_log));
    w->slot = 0;
    VPSDE_TRY(vpsde_sampling_start(run, first, count, vpsde_chain_rows(chain)));
    vpsde_block_flag(&chain->block, chain->step.n, chain->step.d, chain->step.x);
    return VPSDE_OK;
}

static vpsde_status run_block(worker *w, uint64_t first, size_t count)
{
    const vpsde_sampling *run = w->run->run;
    vpsde_chain *chain = w->chain;
    VPSDE_TRY(place(w, first, count));
    for (size_t k = 0; k < run->grid->n_steps; k++) {
        VPSDE_TRY(vpsde_sampling_stopped(run));
        VPSDE_TRY(step(w, k));
    }
    VPSDE_TRY(log_end(w, run->grid->n_steps));
    if (run->grid->last_step == VPSDE_LAST_TWEEDIE) VPSDE_TRY(denoise(w));
    vec_copy(count * chain->step.d, w->rows->final, vpsde_chain_rows(chain));
    for (size_t i = 0; i < count; i++) {
        w->rows->nfe[i] = (int32_t)chain->block.calls;
        w->rows->status[i] = chain->status[chain->block.begin + i];
    }
    return vpsde_report_write(w->run->report, w->rows, first, count);
}

static vpsde_status worker_create(worker *w, const shared *all)
{
    const size_t state = all->rows * all->run->model->dim;
    w->run = all;
    VPSDE_TRY(vpsde_chain_create(&w->chain, all->run, all->run->solver, all->report->param,
                                 all->table, vpsde_noise_of_step));
    VPSDE_TRY(vpsde_rows_create(&w->rows, all->report));
    if (all->report->fields & VPSDE_LOG_NOISE) {
        VPSDE_TRY(vpsde_alloc(&w->drawn, state, sizeof(double)));
        w->chain->block.drawn = w->drawn;
    }
    VPSDE_TRY(vpsde_alloc(&w->eps, state, sizeof(double)));
    return vpsde_alloc(&w->v, all->run->model->dim, sizeof(double));
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    const shared *all = context;
    const vpsde_sampling *run = all->run;
    worker w = {0};
    size_t b;
    vpsde_status status = worker_create(&w, all);
    while (status == VPSDE_OK && vpsde_queue_take(queue, &b)) {
        const uint64_t begin = (uint64_t)(all->first_block + b) * all->rows;
        const uint64_t end = begin + all->rows, run_end = run->first + run->count;
        const uint64_t first = begin > run->first ? begin : run->first;
        const size_t count = (size_t)((end < run_end ? end : run_end) - first);
        if (vpsde_delivery_has(&all->report->delivery, first, count)) continue;
        status = run_block(&w, first, count);
    }
    vpsde_chain_destroy(w.chain);
    vpsde_rows_destroy(w.rows);
    free(w.eps);
    free(w.v);
    free(w.drawn);
    return status;
}

/* The solver's calibration pass; what it spent becomes a fact of the run. */
static vpsde_status prepare(double **table, vpsde_fact *fact, vpsde_report *report)
{
    const vpsde_sampling *run = report->run;
    vpsde_pilot pilot = {.run = run, .param = report->param, .n_threads = report->n_threads};
    *table = NULL;
    if (!run->solver->prepare) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(table, run->grid->n_steps + 1, sizeof(**table)));
    VPSDE_TRY(run->solver->prepare(&pilot, *table));
    *fact = (vpsde_fact){.name = "pilot_nfe", .number = (double)pilot.nfe, .whole = true};
    return VPSDE_OK;
}

static vpsde_status run_blocks(vpsde_report *report, const double *table)
{
    const vpsde_sampling *run = report->run;
    const size_t rows = vpsde_block_rows(run->model);
    shared all = {
        .run = run,
        .report = report,
        .table = table,
        .rows = rows,
        .first_block = run->first / rows,
    };
    const size_t n_blocks = (run->first + run->count - 1) / rows - all.first_block + 1;
    return vpsde_parallel(report->n_threads, n_blocks, work, &all, run->control.stop);
}

static vpsde_status sample_fixed(const vpsde_sampling *run, vpsde_sink *sink)
{
    vpsde_report *report;
    double *table = NULL;
    vpsde_fact pilot = {0};
    VPSDE_TRY(vpsde_report_create(&report, run));
    vpsde_status status = prepare(&table, &pilot, report);
    if (status == VPSDE_OK) status = vpsde_report_begin(report, sink, &pilot, pilot.name ? 1 : 0);
    if (status == VPSDE_OK) status = run_blocks(report, table);
    status = vpsde_report_end(report, status);
    vpsde_report_destroy(report);
    free(table);
    return status;
}

vpsde_status vpsde_sample(const vpsde_sampling *sampling, vpsde_sink *sink)
{
    const bool integrates = sampling->solver && sampling->solver->integrate;
    return integrates ? vpsde_sample_ode(sampling, sink) : sample_fixed(sampling, sink);
}

vpsde_status vpsde_sample_array(const vpsde_sampling *sampling, double *x)
{
    vpsde_array_sink array;
    size_t values;
    const size_t d = sampling->model ? sampling->model->dim : 0;
    VPSDE_TRY(vpsde_size_mul(&values, sampling->count, d, "final states"));
    vpsde_array_sink_init(&array, "final", x, values * sizeof(*x));
    return vpsde_sample(sampling, &array.sink);
}
