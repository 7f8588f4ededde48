#include "solvers/driver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/sink.h"
#include "core/vec.h"
#include "solvers/chain.h"
#include "solvers/inpaint.h"
#include "solvers/ode.h"
#include "solvers/path_logp.h"

/* What all workers of one run share; nothing in it changes but the report, under its lock. */
typedef struct shared {
    const vpsde_sampling *run;
    vpsde_report *report;
    const double *table;
    size_t rows;
} shared;

typedef struct worker {
    const shared *run;
    vpsde_chain *chain;
    vpsde_rows *rows;
    vpsde_path_logp *logp; /* where it is logged, else NULL */
    double *eps, *drawn;   /* (n, d) for the last step, and for the log */
    double *v;             /* (d) */
    size_t slot;           /* next stored node */
} worker;

static vpsde_coef start_node(const vpsde_sampling *run)
{
    if (run->grid) return run->grid->node[0];
    return vpsde_process_at(run->process, vpsde_process_t_max(run->process));
}

static void start_from_data(const vpsde_sampling *run, uint64_t first, size_t n, double *x)
{
    const size_t d = run->model->dim;
    const vpsde_coef data = vpsde_process_at(run->process, 0), start = start_node(run);
    vpsde_normals(x, run->seed, VPSDE_NOISE_FORWARD, first, n, 0, d);
    vpsde_forward(x, &data, &start, run->edit + (size_t)(first - run->first) * d, x, n * d);
}

vpsde_status vpsde_sampling_start(const vpsde_sampling *run, uint64_t first, size_t n, double *x)
{
    const vpsde_model *model = run->model;
    if (run->init) {
        vec_copy(n * model->dim, x, run->init + (size_t)(first - run->first) * model->dim);
        return VPSDE_OK;
    }
    if (run->edit) {
        start_from_data(run, first, n, x);
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
    const vpsde_coef start = start_node(run);
    const int32_t *classes = run->classes ? run->classes + (size_t)(first - run->first) : NULL;
    return vpsde_model_draw(model, &start, run->seed, VPSDE_NOISE_PRIOR, first, n, classes, x);
}

static bool is_stored(const worker *w, size_t k)
{
    const vpsde_report *report = w->run->report;
    return w->slot < report->n_stored && report->stored[w->slot] == k;
}

/* Stores the state at node k, where the chain stands, and what the network says there. Changes no bit
 * of what follows. At data (sigma = 0) there is no noise to predict: x0hat = x, eps is NaN, nothing is
 * called. */
static vpsde_status log_node(worker *w, size_t k)
{
    const vpsde_report *report = w->run->report;
    vpsde_chain *chain = w->chain;
    vpsde_step *s = &chain->step;
    vpsde_chain_stand(chain, k);
    const size_t begin = chain->block.begin, d = s->d;
    const double *said = s->x; /* unread unless the network is asked */
    const bool noisy = s->at->sigma > 0;
    const bool calls = noisy && report->fields & (VPSDE_LOG_EPS | VPSDE_LOG_X0);
    if (calls) VPSDE_TRY(vpsde_chain_peek(chain, &said));
    for (size_t i = 0; i < chain->block.count; i++) {
        const double *x = s->x + (begin + i) * d, *eps = said + (begin + i) * d;
        const bool ok = chain->block.status[begin + i] == VPSDE_ROW_OK;
        vpsde_rows_store(w->rows, report, 0, i, w->slot, ok ? x : NULL);
        vpsde_rows_store(w->rows, report, 1, i, w->slot, ok && noisy ? eps : NULL);
        if (calls) vec_lin2(d, w->v, 1 / s->at->alpha, x, -s->at->sigma / s->at->alpha, eps);
        vpsde_rows_store(w->rows, report, 2, i, w->slot, !ok ? NULL : noisy ? w->v : x);
    }
    return VPSDE_OK;
}

/* Stores the path over the step that has just left node k, and that step's kernel, for rows that live
 * on. */
static void log_draw(worker *w, size_t k)
{
    const vpsde_report *report = w->run->report;
    const vpsde_block *block = &w->chain->block;
    const size_t d = w->chain->step.d;
    const double std = report->kernel_std ? report->kernel_std[w->slot] : (double)NAN;
    if (!(report->fields & (VPSDE_LOG_NOISE | VPSDE_LOG_KERNEL))) return;
    if (block->has_drawn) vpsde_chain_increment(w->chain, k, w->drawn);
    for (size_t i = 0; i < block->count; i++) {
        const double *x = w->chain->step.x + (block->begin + i) * d, *z = w->drawn + i * d;
        const bool ok = block->status[block->begin + i] == VPSDE_ROW_OK;
        const bool drawn = block->has_drawn && ok, stepped = ok && !isnan(std);
        vpsde_rows_store(w->rows, report, VPSDE_FIELD_NOISE, i, w->slot, drawn ? z : NULL);
        if (drawn && stepped) vec_lin2(d, w->v, 1, x, -std, z);
        const double *mean = drawn ? w->v : x;
        vpsde_rows_store(w->rows, report, VPSDE_FIELD_KERNEL, i, w->slot, stepped ? mean : NULL);
    }
}

/* log p, which wants every node of the path. */
static vpsde_status log_logp(worker *w, size_t k)
{
    if (!w->logp) return VPSDE_OK;
    vpsde_chain_stand(w->chain, k);
    return vpsde_path_logp_visit(w->logp, w->chain, k, w->rows,
                                 is_stored(w, k) ? w->slot : SIZE_MAX);
}

/* `logs`: this pass over the node is the one that is stored. */
static vpsde_status step(worker *w, size_t k, bool logs)
{
    const bool stored = logs && is_stored(w, k);
    VPSDE_TRY(log_logp(w, k));
    if (stored) VPSDE_TRY(log_node(w, k));
    VPSDE_TRY(vpsde_chain_step(w->chain, k));
    if (stored) log_draw(w, k);
    w->slot += stored;
    return VPSDE_OK;
}

static vpsde_status log_end(worker *w, size_t k)
{
    VPSDE_TRY(log_logp(w, k));
    if (w->logp) vpsde_path_logp_finish(w->logp, w->chain, w->rows);
    if (!is_stored(w, k)) return VPSDE_OK;
    VPSDE_TRY(log_node(w, k));
    w->chain->block.has_drawn = false;
    log_draw(w, k);
    return VPSDE_OK;
}

/* x <- x0hat(x, t_min) = (x - sigma eps)/alpha, Tweedie's formula; x itself at sigma = 0. */
static vpsde_status denoise(worker *w)
{
    vpsde_step *s = &w->chain->step;
    vpsde_chain_stand(w->chain, w->run->run->grid->n_steps);
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
    memset(w->rows->jvp, 0, count * sizeof(*w->rows->jvp));
    w->slot = 0;
    VPSDE_TRY(vpsde_sampling_start(run, first, count, vpsde_chain_rows(chain)));
    vpsde_block_flag(&chain->block, chain->step.n, chain->step.d, chain->step.x);
    return VPSDE_OK;
}

static vpsde_status go(worker *w, size_t from, size_t to, bool logs)
{
    const vpsde_sampling *run = w->run->run;
    for (size_t k = from; k < to; k++) {
        VPSDE_TRY(vpsde_sampling_stopped(run));
        VPSDE_TRY(step(w, k, logs));
        if (run->inpaint.known) vpsde_inpaint_replace(run, w->chain, k + 1, w->eps);
    }
    return VPSDE_OK;
}

static vpsde_status go_inpainting(worker *w)
{
    const vpsde_sampling *run = w->run->run;
    vpsde_stretch s;
    vpsde_inpaint_replace(run, w->chain, 0, w->eps);
    for (size_t from = 0; from < run->grid->n_steps; from = s.to) {
        s = vpsde_inpaint_stretch(run, from);
        for (size_t pass = 0; pass < s.passes; pass++) {
            vpsde_inpaint_enter(run, w->chain, from, s.to, pass, w->eps);
            VPSDE_TRY(go(w, from, s.to, pass + 1 == s.passes));
        }
    }
    return VPSDE_OK;
}

static vpsde_status run_block(worker *w, uint64_t first, size_t count)
{
    const vpsde_sampling *run = w->run->run;
    vpsde_chain *chain = w->chain;
    VPSDE_TRY(place(w, first, count));
    VPSDE_TRY(run->inpaint.known ? go_inpainting(w) : go(w, 0, run->grid->n_steps, true));
    VPSDE_TRY(log_end(w, run->grid->n_steps));
    if (run->grid->last_step == VPSDE_LAST_TWEEDIE) VPSDE_TRY(denoise(w));
    if (run->inpaint.known) vpsde_inpaint_finish(run, chain);
    vec_copy(count * chain->step.d, w->rows->final, vpsde_chain_rows(chain));
    for (size_t i = 0; i < count; i++) {
        w->rows->nfe[i] = (int32_t)chain->block.calls;
        w->rows->nfe_log[i] += (int32_t)chain->block.calls_log;
        w->rows->status[i] = chain->status[chain->block.begin + i];
    }
    return vpsde_report_write(w->run->report, w->rows, first, count);
}

static vpsde_status worker_create(worker *w, const shared *all)
{
    const size_t state = all->rows * all->run->model->dim;
    w->run = all;
    VPSDE_TRY(vpsde_chain_create(&w->chain, all->run, all->run->solver, all->report->param,
                                 all->table, &vpsde_noise_of_runs));
    VPSDE_TRY(vpsde_rows_create(&w->rows, all->report));
    if (all->report->fields & (VPSDE_LOG_NOISE | VPSDE_LOG_KERNEL)) {
        VPSDE_TRY(vpsde_alloc(&w->drawn, state, sizeof(double)));
    }
    if (all->report->fields & VPSDE_LOG_LOGP) {
        VPSDE_TRY(vpsde_path_logp_create(&w->logp, all->report));
    }
    VPSDE_TRY(vpsde_alloc(&w->eps, state, sizeof(double)));
    return vpsde_alloc(&w->v, all->run->model->dim, sizeof(double));
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    const shared *all = context;
    const vpsde_sampling *run = all->run;
    worker w = {0};
    uint64_t first;
    size_t count;
    vpsde_status status = worker_create(&w, all);
    while (status == VPSDE_OK && vpsde_delivery_take(&all->report->delivery, queue, run->first,
                                                     run->count, all->rows, &first, &count)) {
        status = run_block(&w, first, count);
    }
    vpsde_chain_destroy(w.chain);
    vpsde_path_logp_destroy(w.logp);
    vpsde_rows_destroy(w.rows);
    free(w.eps);
    free(w.v);
    free(w.drawn);
    return status;
}

/* The solver's calibration pass; what it and the grid's have spent becomes a fact of the run. */
static vpsde_status prepare(double **table, vpsde_fact *fact, vpsde_report *report)
{
    const vpsde_sampling *run = report->run;
    vpsde_pilot pilot = {.run = run, .param = report->param, .n_threads = report->n_threads};
    *table = NULL;
    if (run->solver->prepare) {
        VPSDE_TRY(vpsde_alloc(table, run->grid->n_steps + 1, sizeof(**table)));
        VPSDE_TRY(run->solver->prepare(&pilot, *table));
    }
    const size_t spent = pilot.nfe + run->grid->pilot_nfe;
    if (spent > 0) {
        *fact = (vpsde_fact){.name = "pilot_nfe", .number = (double)spent, .whole = true};
    }
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
    };
    const size_t n_blocks = vpsde_delivery_blocks(run->first, run->count, rows);
    return vpsde_parallel(report->n_threads, n_blocks, work, &all, run->control.stop);
}

static vpsde_status sample_fixed(const vpsde_sampling *run, vpsde_sink *sink)
{
    vpsde_report *report;
    double *table = NULL;
    vpsde_fact pilot = {0};
    VPSDE_TRY(vpsde_report_create(&report, run));
    vpsde_status status = prepare(&table, &pilot, report);
    if (status == VPSDE_OK) status = vpsde_report_kernels(report, table);
    if (status == VPSDE_OK) status = vpsde_report_begin(report, sink, &pilot, pilot.name ? 1 : 0);
    if (status == VPSDE_OK) status = run_blocks(report, table);
    status = vpsde_report_end(report, status);
    vpsde_report_destroy(report);
    free(table);
    return status;
}

vpsde_status vpsde_sample(const vpsde_sampling *sampling, vpsde_sink *sink)
{
    const bool adaptive = sampling->solver && vpsde_solver_is_adaptive(sampling->solver);
    return adaptive ? vpsde_sample_ode(sampling, sink) : sample_fixed(sampling, sink);
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
