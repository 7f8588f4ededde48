/* The training loop. A step is two parallel passes, lanes of row blocks and then slices of the parameter
 * vector, and each result depends on the block or slice alone. */
#include "models/train.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/train_row.h"
#include "models/train_update.h"

enum { SLICE = 8192, BATCH_MAX = 1 << 20, ROUNDS = 4 };

/* One worker's own memory. */
typedef struct bench {
    void *ws;
    double *scratch; /* (block_rows + 1, d) */
} bench;

typedef struct trainer {
    const vpsde_training *t;
    const vpsde_trainer_ops *ops;
    vpsde_model *model;
    vpsde_train_state *state;
    size_t d, n_threads, n_blocks, n_lanes, n_slices;
    vpsde_train_rows rows;
    atomic_size_t next_bench;
    bench *bench;          /* (n_threads) */
    vpsde_train_slab slab; /* the minibatch */
    float *gradient;       /* (n_lanes, n) */
    double *sum;           /* (n_blocks) squared errors */
    double *square;        /* (n_slices) of the gradient */
    vpsde_adam adam;
} trainer;

void vpsde_training_init(vpsde_training *training)
{
    *training = (vpsde_training){.steps = 2000,
                                 .batch = 256,
                                 .learning_rate = 1e-3,
                                 .warm_up = 100,
                                 .clip = 1,
                                 .ema = 0.999};
}

double vpsde_train_rate(const vpsde_training *t, uint64_t step)
{
    if (step <= t->warm_up) return t->learning_rate * (double)step / (double)t->warm_up;
    if (t->decay == VPSDE_DECAY_NONE) return t->learning_rate;
    if (step >= t->steps) return 0;
    const double share = (double)(step - t->warm_up) / (double)(t->steps - t->warm_up);
    return t->learning_rate * 0.5 * (1 + cos(M_PI * share));
}

/* A Feistel network on the smallest even number of bits that holds `count`, walked until it lands
 * below (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", the cycle-walking cipher). */
size_t vpsde_train_index(uint64_t seed, uint64_t position, size_t count)
{
    const uint64_t epoch = position / count;
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t high = (uint32_t)(epoch >> 32 & 0xFFFF) | (uint32_t)VPSDE_NOISE_SHUFFLE << 16;
    unsigned half = 1;
    while (half < 31 && (uint64_t)1 << (2 * half) < count) half++;
    const uint32_t mask = (uint32_t)((1U << half) - 1);
    uint64_t value = position % count;
    do {
        uint32_t left = (uint32_t)(value >> half), right = (uint32_t)value & mask;
        for (uint32_t round = 0; round < ROUNDS; round++) {
            const uint32_t counter[4] = {(uint32_t)epoch, high, round, right};
            uint32_t out[4];
            vpsde_philox(out, counter, key);
            const uint32_t mixed = left ^ (out[0] & mask);
            left = right;
            right = mixed;
        }
        value = (uint64_t)left << half | right;
    } while (value >= count);
    return (size_t)value;
}

static vpsde_status run_block(trainer *r, bench *own, size_t block, float *gradient)
{
    const vpsde_training *const t = r->t;
    const vpsde_train_slab *const all = &r->slab;
    const size_t d = r->d, first = block * r->ops->block_rows;
    const size_t n = t->batch - first < r->ops->block_rows ? t->batch - first : r->ops->block_rows;
    const vpsde_train_slab rows = {.x = all->x + first * d,
                                   .target = all->target + first * d,
                                   .label = all->label + first,
                                   .weight = all->weight ? all->weight + first : NULL,
                                   .classes = all->classes ? all->classes + first : NULL};
    VPSDE_TRY(
        vpsde_train_rows_fill(&r->rows, r->state->step * t->batch + first, n, own->scratch, &rows));
    const vpsde_train_block b = {.n = n,
                                 .label = rows.label,
                                 .x = rows.x,
                                 .target = rows.target,
                                 .weight = rows.weight,
                                 .classes = rows.classes,
                                 .scale = 1 / ((double)t->batch * (double)d)};
    return r->ops->gradient(r->model, own->ws, &b, &r->sum[block], gradient, NULL);
}

static vpsde_status lanes_worker(void *shared, vpsde_queue *queue)
{
    trainer *const r = shared;
    bench *const own = &r->bench[atomic_fetch_add(&r->next_bench, 1)];
    size_t lane;
    while (vpsde_queue_take(queue, &lane)) {
        float *const gradient = r->gradient + lane * r->state->n;
        memset(gradient, 0, r->state->n * sizeof(*gradient));
        for (size_t block = lane; block < r->n_blocks; block += r->n_lanes) {
            VPSDE_TRY(run_block(r, own, block, gradient));
        }
    }
    return VPSDE_OK;
}

static size_t slice_size(const trainer *r, size_t slice)
{
    const size_t rest = r->state->n - slice * SLICE;
    return rest < SLICE ? rest : SLICE;
}

static vpsde_status fold_worker(void *shared, vpsde_queue *queue)
{
    trainer *const r = shared;
    size_t slice;
    while (vpsde_queue_take(queue, &slice)) {
        r->square[slice] = vpsde_gradient_fold(slice_size(r, slice), r->n_lanes,
                                               r->gradient + slice * SLICE, r->state->n);
    }
    return VPSDE_OK;
}

static vpsde_status adam_worker(void *shared, vpsde_queue *queue)
{
    trainer *const r = shared;
    vpsde_train_state *const s = r->state;
    float *const weights = r->ops->parameters(r->model);
    size_t slice;
    while (vpsde_queue_take(queue, &slice)) {
        const size_t at = slice * SLICE;
        vpsde_adam_update(slice_size(r, slice), &r->adam, weights + at, s->m + at, s->v + at,
                          s->average + at, r->gradient + at);
    }
    return VPSDE_OK;
}

/* The average starts as a plain mean and reaches its decay later, so that short trainings do not
 * keep the initial weights. */
static vpsde_adam adam_of(const vpsde_training *t, uint64_t step, double norm)
{
    const double s = (double)step, warm = s / (9 + s);
    return (vpsde_adam){.rate = (float)vpsde_train_rate(t, step),
                        .scale = t->clip > 0 && norm > t->clip ? (float)(t->clip / norm) : 1,
                        .first = (float)(1 - pow(0.9, s)),
                        .second = (float)(1 - pow(0.999, s)),
                        .keep = (float)(1 - (warm < t->ema ? warm : t->ema))};
}

static vpsde_status changed(vpsde_model *model)
{
    const vpsde_trainer_ops *const ops = model->type->trainer;
    return ops->changed ? ops->changed(model) : VPSDE_OK;
}

static vpsde_status run_step(trainer *r)
{
    const vpsde_training *const t = r->t;
    const uint64_t step = r->state->step + 1;
    double sum = 0, square = 0;
    atomic_store(&r->next_bench, 0);
    VPSDE_TRY(vpsde_parallel(r->n_threads, r->n_lanes, lanes_worker, r, NULL));
    VPSDE_TRY(vpsde_parallel(r->n_threads, r->n_slices, fold_worker, r, NULL));
    for (size_t b = 0; b < r->n_blocks; b++) sum += r->sum[b];
    for (size_t s = 0; s < r->n_slices; s++) square += r->square[s];
    const vpsde_train_report report = {.step = step,
                                       .loss = sum / ((double)t->batch * (double)r->d),
                                       .gradient_norm = sqrt(square),
                                       .learning_rate = vpsde_train_rate(t, step)};
    if (!isfinite(report.loss) || !isfinite(report.gradient_norm)) {
        return vpsde_fail(VPSDE_ENUMERIC,
                          "step %llu: loss %g, gradient norm %g; try a lower learning rate (now %g)"
                          " or check the data",
                          (unsigned long long)step, report.loss, report.gradient_norm,
                          report.learning_rate);
    }
    r->adam = adam_of(t, step, report.gradient_norm);
    VPSDE_TRY(vpsde_parallel(r->n_threads, r->n_slices, adam_worker, r, NULL));
    r->state->step = step;
    VPSDE_TRY(changed(r->model));
    if (t->report) t->report(t->context, &report);
    return VPSDE_OK;
}

static vpsde_status check(const vpsde_training *t, const vpsde_model *model,
                          const vpsde_train_state *state)
{
    if (!model->type->trainer) {
        return vpsde_fail(VPSDE_EINVAL, "model %s cannot be trained", model->type->name);
    }
    if (state->n != model->type->trainer->n_floats(model)) {
        return vpsde_fail(VPSDE_EINVAL, "training state holds %zu floats, the model %zu", state->n,
                          model->type->trainer->n_floats(model));
    }
    if (t->batch < 1 || t->batch > BATCH_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "batch: must be in [1, %d], got %zu", (int)BATCH_MAX,
                          t->batch);
    }
    if (!(t->learning_rate > 0 && t->learning_rate <= 1)) {
        return vpsde_fail(VPSDE_EINVAL, "learning_rate: must be in (0, 1], got %g",
                          t->learning_rate);
    }
    if (!(t->ema >= 0 && t->ema < 1)) {
        return vpsde_fail(VPSDE_EINVAL, "ema: must be in [0, 1), got %g", t->ema);
    }
    if (!(t->clip >= 0)) {
        return vpsde_fail(VPSDE_EINVAL, "clip: must be at least 0, got %g", t->clip);
    }
    return VPSDE_OK;
}

/* The model remembers what it was trained for. */
static vpsde_status adopt(vpsde_model *model, const vpsde_training *t)
{
    const vpsde_process_spec *const spec = vpsde_process_get_spec(t->process);
    double *betas = NULL;
    if (spec->n_betas > 0) {
        VPSDE_TRY(vpsde_alloc(&betas, spec->n_betas, sizeof(*betas)));
        memcpy(betas, spec->betas, spec->n_betas * sizeof(*betas));
    }
    model->process = *spec;
    free(model->process_betas);
    model->process_betas = betas;
    model->process.betas = betas;
    model->prediction = t->prediction;
    model->says_prediction = true;
    return VPSDE_OK;
}

static vpsde_status trainer_alloc(trainer *r)
{
    const size_t rows = r->t->batch, n = r->state->n;
    size_t values, gradients;
    VPSDE_TRY(vpsde_size_mul(&values, rows, r->d, "batch"));
    VPSDE_TRY(vpsde_size_mul(&gradients, r->n_lanes, n, "batch"));
    VPSDE_TRY(vpsde_alloc(&r->slab.x, values, sizeof(float)));
    VPSDE_TRY(vpsde_alloc(&r->slab.target, values, sizeof(float)));
    VPSDE_TRY(vpsde_alloc(&r->slab.label, rows, sizeof(double)));
    if (r->rows.needs_weight) VPSDE_TRY(vpsde_alloc(&r->slab.weight, rows, sizeof(float)));
    if (r->t->classes) VPSDE_TRY(vpsde_alloc(&r->slab.classes, rows, sizeof(int32_t)));
    VPSDE_TRY(vpsde_alloc(&r->gradient, gradients, sizeof(*r->gradient)));
    VPSDE_TRY(vpsde_alloc(&r->sum, r->n_blocks, sizeof(*r->sum)));
    VPSDE_TRY(vpsde_alloc(&r->square, r->n_slices, sizeof(*r->square)));
    VPSDE_TRY(vpsde_alloc(&r->bench, r->n_threads, sizeof(*r->bench)));
    for (size_t b = 0; b < r->n_threads; b++) {
        VPSDE_TRY(r->ops->workspace_create(&r->bench[b].ws, r->model));
        VPSDE_TRY(
            vpsde_alloc(&r->bench[b].scratch, (r->ops->block_rows + 1) * r->d, sizeof(double)));
    }
    return VPSDE_OK;
}

static void trainer_free(trainer *r)
{
    for (size_t b = 0; r->bench && b < r->n_threads; b++) {
        r->ops->workspace_destroy(r->bench[b].ws);
        free(r->bench[b].scratch);
    }
    free(r->bench);
    free(r->slab.x);
    free(r->slab.target);
    free(r->slab.label);
    free(r->slab.weight);
    free(r->slab.classes);
    free(r->gradient);
    free(r->sum);
    free(r->square);
}

static vpsde_status run_steps(trainer *r)
{
    const vpsde_training *const t = r->t;
    const uint64_t last = t->last > 0 ? t->last : t->steps;
    while (r->state->step < last) {
        if (t->control.stop && *t->control.stop) {
            return vpsde_fail(VPSDE_ESTOPPED, "stopped on request after step %llu",
                              (unsigned long long)r->state->step);
        }
        VPSDE_TRY(run_step(r));
        if (t->control.progress) t->control.progress(t->control.context, r->state->step, t->steps);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_train(const vpsde_training *training, vpsde_model *model,
                         vpsde_train_state *state)
{
    VPSDE_TRY(check(training, model, state));
    const vpsde_trainer_ops *const ops = model->type->trainer;
    trainer r = {.t = training,
                 .ops = ops,
                 .model = model,
                 .state = state,
                 .d = model->dim,
                 .n_blocks = (training->batch + ops->block_rows - 1) / ops->block_rows,
                 .n_slices = (state->n + SLICE - 1) / SLICE};
    r.n_lanes = r.n_blocks < VPSDE_TRAIN_LANES ? r.n_blocks : VPSDE_TRAIN_LANES;
    VPSDE_TRY(vpsde_train_rows_init(&r.rows, training, model));
    VPSDE_TRY(vpsde_threads(&r.n_threads, training->n_threads));
    VPSDE_TRY(adopt(model, training));
    float *const weights = ops->parameters(model);
    memcpy(weights, state->weights, state->n * sizeof(*weights));
    vpsde_status status = changed(model);
    if (status == VPSDE_OK) status = trainer_alloc(&r);
    if (status == VPSDE_OK) status = run_steps(&r);
    trainer_free(&r);
    memcpy(state->weights, weights, state->n * sizeof(*weights));
    memcpy(weights, state->average, state->n * sizeof(*weights));
    const vpsde_status averaged = changed(model);
    return status == VPSDE_OK ? averaged : status;
}
