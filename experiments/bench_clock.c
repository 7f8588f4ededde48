#include "experiments/bench_clock.h"

#include <math.h>
#include <pthread.h>

#include "core/clock.h"
#include "solvers/driver.h"

/* The run that is watched, and what its threads have told so far. */
static const vpsde_bench_clock *watched;
static vpsde_bench_times total;
static pthread_mutex_t total_lock = PTHREAD_MUTEX_INITIALIZER;

/* What one thread has seen since it told. */
typedef struct witness {
    vpsde_bench_times times;
    double began;    /* its worker, once its workspace is there */
    double step_end; /* of the last step of this block; 0: there was none yet */
    double reads;    /* of the clock, in pairs */
    double inside;   /* network and noise, with their reads, since a step or a gap began */
} witness;
static _Thread_local witness own;

/* A pair of readings around a call measures one reading too many, and costs the caller two. */
static double lap(double since)
{
    const double seconds = vpsde_clock_s() - since - watched->read;
    own.reads++;
    own.inside += seconds + 2 * watched->read;
    return seconds;
}

static void tell(void)
{
    const vpsde_bench_times *t = &own.times;
    pthread_mutex_lock(&total_lock);
    total.network += t->network;
    total.noise += t->noise;
    total.solver += t->solver;
    total.log += t->log;
    total.open += t->open;
    total.clock += 2 * watched->read * own.reads;
    total.rows += t->rows;
    total.flows += t->flows;
    pthread_mutex_unlock(&total_lock);
    own = (witness){0};
}

/* ---- the model ------------------------------------------------------------------------------- */

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const double start = vpsde_clock_s();
    const vpsde_status status = watched->own_model->eval(model, ws, e);
    own.times.network += lap(start);
    own.times.rows += (double)e->n;
    own.times.flows += (double)(e->n * (1 + e->k));
    return status;
}

/* A worker makes its workspace first and gives it back last. */
static vpsde_status workspace_create(void **ws, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    tell();
    const double start = vpsde_clock_s();
    vpsde_status status = VPSDE_OK;
    if (watched->own_model->workspace_create) {
        status = watched->own_model->workspace_create(ws, model, rows, tangents);
    }
    own.began = vpsde_clock_s();
    own.times.open += own.began - start;
    return status;
}

static void workspace_destroy(void *ws)
{
    vpsde_bench_times *t = &own.times;
    if (own.began > 0 && vpsde_solver_is_adaptive(watched->own_solver)) {
        const double span = vpsde_clock_s() - own.began - 2 * watched->read * own.reads;
        t->solver = fmax(span - t->network - t->log, 0);
    }
    tell();
    if (watched->own_model->workspace_destroy) watched->own_model->workspace_destroy(ws);
}

/* ---- a solver of fixed steps ----------------------------------------------------------------- */

static void stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                    size_t d, double *z, double *area)
{
    const vpsde_noise_source *source = block->noise->context;
    const double start = vpsde_clock_s();
    source->stretch(block, from, to, d, z, area);
    own.times.noise += lap(start);
}

static void draw(const vpsde_block *block, size_t k, unsigned number, size_t d, double *z)
{
    const vpsde_noise_source *source = block->noise->context;
    const double start = vpsde_clock_s();
    source->draw(block, k, number, d, z);
    own.times.noise += lap(start);
}

/* From the last step's end to now, without the network that the log may have called; of the two readings
 * one lies in between. */
static void close_gap(double now)
{
    if (own.step_end > 0) {
        own.times.log += fmax(now - own.step_end - watched->read - own.inside, 0);
    }
    own.step_end = 0;
    own.inside = 0;
}

static vpsde_status step(vpsde_step *s)
{
    vpsde_block *block = s->block;
    const vpsde_noise_source *source = block->noise;
    const vpsde_noise_source timed = {source->purpose, stretch, draw, (void *)(uintptr_t)source};
    const double start = vpsde_clock_s();
    if (s->k == 0) own.step_end = 0; /* a new block: its start states came before */
    close_gap(start);
    block->noise = &timed;
    const vpsde_status status = watched->own_solver->step(s);
    block->noise = source;
    own.step_end = vpsde_clock_s();
    own.times.solver += fmax(own.step_end - start - watched->read - own.inside, 0);
    own.reads++;
    own.inside = 0;
    return status;
}

/* ---- the sink -------------------------------------------------------------------------------- */

static vpsde_status begin(void *self, const vpsde_table *table)
{
    const vpsde_sink *next = self;
    const double start = vpsde_clock_s();
    const vpsde_status status = next->begin(next->self, table);
    own.times.log += lap(start);
    return status;
}

static vpsde_status write_rows(void *self, size_t first, size_t n, const void *const *data)
{
    const vpsde_sink *next = self;
    const double start = vpsde_clock_s();
    close_gap(start);
    const vpsde_status status = next->write(next->self, first, n, data);
    own.times.log += lap(start);
    return status;
}

static vpsde_status end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    const vpsde_sink *next = self;
    const double start = vpsde_clock_s();
    const vpsde_status status = next->end(next->self, provenance, n_facts);
    own.times.log += lap(start);
    return status;
}

/* ---------------------------------------------------------------------------------------------- */

static double seconds_of_a_reading(void)
{
    enum { ROUNDS = 5, READINGS = 200 };
    double best = INFINITY, last = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = vpsde_clock_s();
        for (int i = 0; i < READINGS; i++) last = vpsde_clock_s();
        best = fmin(best, (last - start) / READINGS);
    }
    return best;
}

void vpsde_bench_clock_start(vpsde_bench_clock *clock, vpsde_sampling *run, vpsde_sink *sink)
{
    *clock = (vpsde_bench_clock){.model = *run->model,
                                 .model_type = *run->model->type,
                                 .solver = *run->solver,
                                 .own_model = run->model->type,
                                 .own_solver = run->solver,
                                 .read = seconds_of_a_reading()};
    clock->model.type = &clock->model_type;
    clock->model_type.eval = eval;
    clock->model_type.workspace_create = workspace_create;
    clock->model_type.workspace_destroy = workspace_destroy;
    if (clock->solver.step) clock->solver.step = step;
    clock->sink = (vpsde_sink){.self = sink, .begin = begin, .write = write_rows, .end = end};
    run->model = &clock->model;
    run->solver = &clock->solver;
    total = (vpsde_bench_times){0};
    own = (witness){0};
    watched = clock;
}

void vpsde_bench_clock_stop(vpsde_bench_times *times)
{
    tell();
    *times = total;
    watched = NULL;
}
