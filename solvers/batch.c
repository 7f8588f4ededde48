#include "solvers/batch.h"

#include <stdlib.h>
#include <string.h>

#include "core/fiber.h"
#include "core/mem.h"
#include "core/vec.h"
#include "solvers/clip.h"
#include "solvers/driver.h"
#include "solvers/guidance.h"

/* A block some of whose samples are under way. */
typedef struct open_block {
    void *staging;
    uint64_t first;
    size_t n, given, done;
    struct open_block *next;
} open_block;

typedef struct vpsde_batch {
    vpsde_batch_job *job;
    vpsde_queue *queue;
    void *ws;
    vpsde_guidance guidance;
    size_t n_lanes, n_waiting;
    vpsde_lane *lane;
    vpsde_fiber **fiber; /* (n_lanes), NULL without fibers */
    open_block **holds;  /* (n_lanes) block of each lane's sample */
    open_block *current, *ready, *spare;
    bool exhausted; /* the queue has no further block */
    bool along;     /* a lane that waits has tangents */
    vpsde_status status;
    uint64_t rows_used, rows_called;
    /* one call: (n_lanes) rows */
    vpsde_coef *coef;
    double *x, *eps, *dx, *deps, *div; /* the gradients (n_lanes, d) follow div */
    int32_t *classes;
    double *clip_scratch; /* (2 d) */
} batch;

/* Bytes for the tangents of one worker's calls, and for what comes back. */
static const size_t tangent_budget = (size_t)32 << 20;

bool vpsde_batch_wants_fibers(const vpsde_model *model)
{
    return !(model->type->flags & VPSDE_MODEL_ANALYTIC);
}

size_t vpsde_batch_tangents(const vpsde_model *model, size_t wanted)
{
    const size_t rows = vpsde_batch_wants_fibers(model) ? vpsde_block_rows(model) : 1;
    const size_t fit = tangent_budget / (2 * sizeof(double)) / model->dim / rows;
    const size_t most = fit > 0 ? fit : 1;
    if (wanted <= most) return wanted;
    const size_t n_calls = (wanted + most - 1) / most;
    return (wanted + n_calls - 1) / n_calls;
}

/* ---- blocks and samples ---------------------------------------------------------------------- */

/* The next block that is not there from before; false when there is none left. */
static bool take_block(batch *b, uint64_t *first, size_t *n)
{
    const vpsde_batch_job *job = b->job;
    return vpsde_delivery_take(job->delivery, b->queue, job->first, job->count, job->rows, first,
                               n);
}

static vpsde_status next_block(batch *b)
{
    const vpsde_batch_job *job = b->job;
    uint64_t first;
    size_t n;
    b->current = NULL;
    if (b->exhausted || !take_block(b, &first, &n)) {
        b->exhausted = true;
        return VPSDE_OK;
    }
    open_block *block = b->spare;
    if (block) {
        b->spare = block->next;
    } else {
        VPSDE_TRY(vpsde_alloc(&block, 1, sizeof(*block)));
        const vpsde_status status = job->open_block(job->context, &block->staging);
        if (status != VPSDE_OK) {
            free(block);
            return status;
        }
    }
    block->first = first;
    block->n = n;
    block->given = block->done = 0;
    block->next = NULL;
    b->current = block;
    return VPSDE_OK;
}

/* Gives the lane its next sample; false when there is none left or the batch has failed. */
static bool next_sample(batch *b, vpsde_lane *lane)
{
    if (b->status != VPSDE_OK) return false;
    if (!b->current) b->status = next_block(b);
    open_block *block = b->current;
    if (b->status != VPSDE_OK || !block) return false;
    lane->row = block->given++;
    lane->sample = block->first + lane->row;
    lane->block = block->staging;
    lane->n_eval = 0;
    b->holds[lane->index] = block;
    if (block->given == block->n) b->current = NULL;
    return true;
}

static void run_sample(batch *b, vpsde_lane *lane)
{
    open_block *block = b->holds[lane->index];
    const vpsde_status status = b->job->sample(lane);
    b->holds[lane->index] = NULL;
    if (status != VPSDE_OK && b->status == VPSDE_OK) b->status = status;
    if (++block->done < block->n) return;
    block->next = b->ready;
    b->ready = block;
}

/* Hands finished blocks on. Never on a fiber's small stack: sinks may go deep. */
static vpsde_status deliver_ready(batch *b)
{
    while (b->ready) {
        open_block *block = b->ready;
        VPSDE_TRY(b->job->deliver(b->job->context, block->staging, block->first, block->n));
        b->ready = block->next;
        block->next = b->spare;
        b->spare = block;
    }
    return VPSDE_OK;
}

/* ---- network calls --------------------------------------------------------------------------- */

static int32_t class_of(const vpsde_batch_job *job, uint64_t sample)
{
    return job->classes ? job->classes[sample - job->first] : VPSDE_NO_CLASS;
}

static vpsde_status call(batch *b, size_t n, const vpsde_coef *c, const double *x, const double *dx)
{
    const vpsde_batch_job *job = b->job;
    const vpsde_eval e = {
        .n = n,
        .k = dx ? job->tangents : 0,
        .coef = c,
        .coef_stride = 1,
        .x = x,
        .dx = job->tangents ? dx : NULL,
        .classes = job->classes ? b->classes : NULL,
        .eps = b->eps,
        .deps = job->tangents ? b->deps : NULL,
        .div = job->divergence ? b->div : NULL,
        .ddiv = job->gradient ? b->div + b->n_lanes : NULL,
    };
    b->rows_called += b->fiber ? b->n_lanes : 1;
    return vpsde_guidance_eval(&b->guidance, job->model, b->ws, &e);
}

/* The rows that are waited for. Models that need full calls see zeros beside them, at the time of the
 * first. */
static vpsde_status call_waiting(batch *b)
{
    const vpsde_model *model = b->job->model;
    const bool full = !(model->type->flags & VPSDE_MODEL_ANY_ROWS);
    const size_t d = model->dim, wide = b->job->tangents * d;
    const size_t n = b->n_waiting, rows = full ? b->n_lanes : n, idle = rows - n;
    for (size_t i = n; i < rows; i++) {
        b->coef[i] = b->coef[0];
        b->classes[i] = VPSDE_NO_CLASS;
    }
    memset(b->x + n * d, 0, idle * d * sizeof(double));
    memset(b->dx + n * wide, 0, idle * wide * sizeof(double));
    b->n_waiting = 0;
    return call(b, rows, b->coef, b->x, b->along ? b->dx : NULL);
}

vpsde_status vpsde_lane_eval(vpsde_lane *lane, const vpsde_coef *c, const double *x,
                             const double *dx)
{
    batch *b = lane->batch;
    const size_t d = b->job->model->dim, wide = b->job->tangents * d;
    size_t row = 0;
    VPSDE_TRY(b->status);
    lane->n_eval++;
    b->rows_used++;
    if (b->fiber) {
        row = b->n_waiting++;
        b->coef[row] = *c;
        b->classes[row] = class_of(b->job, lane->sample);
        vec_copy(d, b->x + row * d, x);
        memset(b->dx + row * wide, 0, wide * sizeof(double));
        if (dx) vec_copy(wide, b->dx + row * wide, dx);
        b->along = (row > 0 && b->along) || dx;
        vpsde_fiber_yield(b->fiber[lane->index]);
        VPSDE_TRY(b->status);
    } else {
        b->classes[0] = class_of(b->job, lane->sample);
        VPSDE_TRY(vpsde_check_stop(b->queue->stop));
        VPSDE_TRY(call(b, 1, c, x, dx));
    }
    if (b->job->clip) vpsde_clip_row(b->job->clip, c, d, x, b->eps + row * d, b->clip_scratch);
    lane->eps = b->eps + row * d;
    lane->deps = b->deps + row * wide;
    lane->div = b->div[row];
    lane->ddiv = b->div + b->n_lanes + row * d;
    return VPSDE_OK;
}

/* ---- one worker ------------------------------------------------------------------------------ */

static void live(void *argument)
{
    vpsde_lane *lane = argument;
    while (next_sample(lane->batch, lane)) run_sample(lane->batch, lane);
}

/* Once every lane waits: what is done goes on, what is wanted is called. */
static vpsde_status serve(batch *b)
{
    VPSDE_TRY(deliver_ready(b));
    if (b->n_waiting == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_check_stop(b->queue->stop));
    return call_waiting(b);
}

/* After a failure every lane is resumed once more: its evaluation fails, and the integrator on its
 * stack frees what it holds. */
static vpsde_status run_fibers(batch *b)
{
    for (size_t i = 0; i < b->n_lanes; i++) vpsde_fiber_start(b->fiber[i], live, &b->lane[i]);
    bool waits = true, failed = false;
    while (waits && !failed) {
        failed = b->status != VPSDE_OK;
        for (size_t i = 0; i < b->n_lanes; i++) vpsde_fiber_resume(b->fiber[i]);
        waits = b->n_waiting > 0;
        if (b->status == VPSDE_OK) b->status = serve(b);
    }
    return b->status;
}

static vpsde_status run_direct(batch *b)
{
    while (next_sample(b, b->lane)) {
        run_sample(b, b->lane);
        if (b->status == VPSDE_OK) b->status = deliver_ready(b);
    }
    return b->status;
}

static vpsde_status make_walk(const vpsde_batch_job *job, vpsde_lane *lane)
{
    lane->walk = (vpsde_walk){
        .process = job->process,
        .x = lane->ode.y,
        .rtol = job->rtol[0],
        .atol = job->atol[0],
        .max_steps = lane->ode.max_steps,
        .param = job->param,
        .lane = lane,
    };
    return vpsde_walk_open(&lane->walk, job->integrator, job->param, job->dim);
}

static vpsde_status make_beside(const vpsde_batch_job *job, vpsde_lane *lane)
{
    lane->beside = lane->ode;
    lane->beside.dim = job->dim_beside;
    VPSDE_TRY(vpsde_alloc(&lane->beside.y, job->dim_beside, sizeof(double)));
    return job->integrator->open(&lane->beside.state, job->dim_beside);
}

static vpsde_status make_lane(batch *b, size_t i)
{
    const vpsde_batch_job *job = b->job;
    vpsde_lane *lane = &b->lane[i];
    lane->batch = b;
    lane->index = i;
    lane->job = job->context;
    lane->ode = (vpsde_ode){
        .dim = job->dim,
        .rtol = job->rtol,
        .atol = job->atol,
        .max_steps = vpsde_ode_max_steps(job->integrator, job->param),
        .param = job->param,
        .context = lane,
    };
    if (job->dim_beside > 0) VPSDE_TRY(make_beside(job, lane));
    VPSDE_TRY(vpsde_alloc(&lane->ode.y, job->dim, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&lane->own, job->lane_doubles, sizeof(double)));
    VPSDE_TRY(job->integrator->walk ? make_walk(job, lane)
                                    : job->integrator->open(&lane->ode.state, job->dim));
    return b->fiber ? vpsde_fiber_create(&b->fiber[i], 0) : VPSDE_OK;
}

static vpsde_status make(batch *b)
{
    const vpsde_batch_job *job = b->job;
    const size_t n = job->fibers ? job->rows : 1, d = job->model->dim;
    size_t wide;
    VPSDE_TRY(vpsde_size_mul(&wide, job->tangents, d, "tangents of a row"));
    VPSDE_TRY(vpsde_size_mul(&wide, wide, n, "tangents of a network call"));
    VPSDE_TRY(vpsde_alloc(&b->lane, n, sizeof(*b->lane)));
    b->n_lanes = n;
    if (job->fibers) VPSDE_TRY(vpsde_alloc(&b->fiber, n, sizeof(vpsde_fiber *)));
    VPSDE_TRY(vpsde_alloc(&b->holds, n, sizeof(open_block *)));
    VPSDE_TRY(vpsde_alloc(&b->coef, n, sizeof(*b->coef)));
    VPSDE_TRY(vpsde_alloc(&b->classes, n, sizeof(*b->classes)));
    VPSDE_TRY(vpsde_alloc(&b->x, n * d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&b->eps, n * d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&b->dx, wide, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&b->deps, wide, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&b->div, n * (1 + d), sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&b->clip_scratch, 2 * d, sizeof(double)));
    VPSDE_TRY(vpsde_model_workspace_create(&b->ws, job->model, n, job->tangents));
    VPSDE_TRY(vpsde_guidance_open(&b->guidance, job->guidance, job->model, n, job->tangents));
    for (size_t i = 0; i < n; i++) VPSDE_TRY(make_lane(b, i));
    return VPSDE_OK;
}

static void close_blocks(const vpsde_batch_job *job, open_block *block)
{
    while (block) {
        open_block *next = block->next;
        job->close_block(block->staging);
        free(block);
        block = next;
    }
}

static void unmake(batch *b)
{
    const vpsde_batch_job *job = b->job;
    for (size_t i = 0; i < b->n_lanes; i++) {
        if (b->fiber) vpsde_fiber_destroy(b->fiber[i]);
        if (b->lane[i].ode.state) job->integrator->close(b->lane[i].ode.state);
        if (b->lane[i].beside.state) job->integrator->close(b->lane[i].beside.state);
        vpsde_walk_close(&b->lane[i].walk);
        free(b->lane[i].beside.y);
        free(b->lane[i].ode.y);
        free(b->lane[i].own);
    }
    close_blocks(job, b->current);
    close_blocks(job, b->ready);
    close_blocks(job, b->spare);
    if (b->ws) vpsde_model_workspace_destroy(job->model, b->ws);
    vpsde_guidance_close(&b->guidance);
    free(b->lane);
    free(b->fiber);
    free(b->holds);
    free(b->coef);
    free(b->classes);
    free(b->x);
    free(b->eps);
    free(b->dx);
    free(b->deps);
    free(b->div);
    free(b->clip_scratch);
}

static vpsde_status work(void *shared, vpsde_queue *queue)
{
    batch b = {.job = shared, .queue = queue};
    vpsde_status status = make(&b);
    if (status == VPSDE_OK) status = b.fiber ? run_fibers(&b) : run_direct(&b);
    atomic_fetch_add(&b.job->rows_used, b.rows_used);
    atomic_fetch_add(&b.job->rows_called, b.rows_called);
    unmake(&b);
    return status;
}

vpsde_status vpsde_batch_run(vpsde_batch_job *job, size_t n_threads, const volatile int *stop)
{
    const size_t n_blocks = vpsde_delivery_blocks(job->first, job->count, job->rows);
    return vpsde_parallel(n_threads, n_blocks, work, job, stop);
}

double vpsde_batch_fill(vpsde_batch_job *job)
{
    const uint64_t called = atomic_load(&job->rows_called);
    return called ? (double)atomic_load(&job->rows_used) / (double)called : 1;
}
