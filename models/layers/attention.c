/* Vaswani et al. 2017 (arXiv:1706.03762), eq. (1), head by head over d = C / heads channels:
 *
 *   S = q k^T / sqrt(d),  P = softmax(S) along the rows,  out = P v
 *   dS = (dq k^T + q dk^T) / sqrt(d),  dP = P (dS - rowsum(P dS)),  dout = dP v + P dv
 *   gv = P^T g,  gP = g v^T,  gS = P (gP - rowsum(P gP)) / sqrt(d),  gq = gS k,  gk = gS^T q
 *
 * The rows of S (one a pixel) come in blocks whose extents follow from the number of pixels alone, so
 * that a block stays in the cache; blocks of different images, heads and rows share out the threads. */
#include "models/layers/attention.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"
#include "models/layers/exp.h"
#include "models/layers/linear.h"

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK_FLOATS = 32768, BLOCK_ROWS = 48, LANES = 16, PIXELS_MAX = 1 << 14 };

/* One weight's exponential and its neighbours take as long as so many operations of a product; less
 * than SLOT_COST of them are not worth another thread. */
enum { WEIGHT_COST = 64, SLOT_COST = 4000000 };

typedef struct attention {
    size_t heads, width; /* width = d */
    size_t pixels, rows; /* rows of a block; the last may have fewer */
    size_t blocks;
    double cost;        /* of a block, in multiplications and additions */
    float inverse_root; /* 1 / sqrt(d) */
} attention;

typedef struct slot {
    float *block; /* (rows, pixels) */
    vpsde_status status;
} slot;

typedef struct workspace {
    size_t n_slots;
    slot *slots;
    float *memory;
} workspace;

typedef struct job job;
typedef vpsde_status (*task_fn)(const job *job, size_t task, float *block);

/* One call, cut into tasks that go to the slots in turn. */
struct job {
    const vpsde_layer *layer;
    const vpsde_layer_call *call;
    workspace *ws;
    size_t n_tasks, n_slots;
    task_fn task;
};

static const attention *own(const vpsde_layer *layer) { return layer->own; }

static void run_slot(void *context, size_t s)
{
    const job *const j = context;
    slot *const mine = &j->ws->slots[s];
    const int saved = vpsde_serial_begin();
    for (size_t t = s; t < j->n_tasks && mine->status == VPSDE_OK; t += j->n_slots) {
        mine->status = j->task(j, t, mine->block);
    }
    vpsde_serial_end(saved);
}

static vpsde_status run(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call,
                        task_fn task, size_t n_tasks)
{
    job j = {.layer = layer, .call = call, .ws = ws, .n_tasks = n_tasks, .task = task};
    const double worth = 1 + (double)n_tasks * own(layer)->cost / SLOT_COST;
    size_t n_slots = n_tasks < j.ws->n_slots ? n_tasks : j.ws->n_slots;
    if (worth < (double)n_slots) n_slots = (size_t)worth;
    j.n_slots = n_slots;
    for (size_t s = 0; s < n_slots; s++) j.ws->slots[s].status = VPSDE_OK;
    vpsde_team(n_slots, run_slot, &j);
    for (size_t s = 0; s < n_slots; s++) {
        VPSDE_TRY(vpsde_products_check(1, &j.ws->slots[s].status, own(layer)->pixels, "pixels"));
    }
    return VPSDE_OK;
}

/* Matrices of one head of one image (or tangent): (pixels, d) each. */
typedef struct head_of {
    vpsde_matrix q, k, v;
} head_of;

static vpsde_matrix rows_from(vpsde_matrix m, size_t row)
{
    m.at += row * m.stride;
    return m;
}

static vpsde_matrix transpose(vpsde_matrix m)
{
    m.transposed = !m.transposed;
    return m;
}

static head_of head_at(const vpsde_layer *layer, const float *qkv, size_t image, size_t head)
{
    const size_t c = layer->out.channels, stride = 3 * c;
    const float *const at = qkv + image * own(layer)->pixels * stride + head * own(layer)->width;
    return (head_of){
        .q = {at, stride, false}, .k = {at + c, stride, false}, .v = {at + 2 * c, stride, false}};
}

static float *out_at(const vpsde_layer *layer, float *out, size_t image, size_t head, size_t row)
{
    const attention *const a = own(layer);
    return out + (image * a->pixels + row) * layer->out.channels + head * a->width;
}

static float *weights_at(const vpsde_layer *layer, const vpsde_layer_call *call, size_t image,
                         size_t head, size_t row)
{
    const attention *const a = own(layer);
    return call->keep + ((image * a->heads + head) * a->pixels + row) * a->pixels;
}

/* What a task number means: the block runs fastest, then the head. */
typedef struct place {
    size_t image, head, row, rows;
} place;

static place place_of(const attention *a, size_t task)
{
    const size_t row = task % a->blocks * a->rows;
    return (place){.image = task / a->blocks / a->heads,
                   .head = task / a->blocks % a->heads,
                   .row = row,
                   .rows = a->pixels - row < a->rows ? a->pixels - row : a->rows};
}

typedef float half_lanes __attribute__((vector_size(2 * LANES), aligned(4), may_alias));
typedef int32_t choice __attribute__((vector_size(2 * LANES)));

/* The largest of all that are no NaN. */
INLINE float largest(size_t count, const float *x)
{
    float lane[LANES];
    half_lanes most[2];
    for (size_t l = 0; l < LANES; l++) lane[l] = -INFINITY;
    memcpy(most, lane, sizeof(lane));
    size_t e = 0;
    for (; e + LANES <= count; e += LANES) {
        for (size_t h = 0; h < 2; h++) {
            const half_lanes v = *(const half_lanes *)(x + e + h * LANES / 2);
            const choice above = (choice)(v > most[h]);
            most[h] = (half_lanes)(((choice)v & above) | ((choice)most[h] & ~above));
        }
    }
    memcpy(lane, most, sizeof(lane));
    for (size_t l = 0; e < count; e++, l++) lane[l] = x[e] > lane[l] ? x[e] : lane[l];
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
        }
    }
    return lane[0];
}

/* Of 16 chains, folded in a fixed order. */
INLINE float folded(float lane[LANES])
{
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    }
    return lane[0];
}

INLINE float total(size_t count, const float *x)
{
    float lane[LANES] = {0};
    size_t e = 0;
    for (; e + LANES <= count; e += LANES) {
        for (size_t l = 0; l < LANES; l++) lane[l] += x[e + l];
    }
    for (size_t l = 0; e < count; e++, l++) lane[l] += x[e];
    return folded(lane);
}

INLINE float total_product(size_t count, const float *x, const float *y)
{
    float lane[LANES] = {0};
    size_t e = 0;
    for (; e + LANES <= count; e += LANES) {
        for (size_t l = 0; l < LANES; l++) lane[l] += x[e + l] * y[e + l];
    }
    for (size_t l = 0; e < count; e++, l++) lane[l] += x[e] * y[e];
    return folded(lane);
}

/* The exponentials run over all rows at once: short rows would leave most of it to their ends. */
VPSDE_VECTOR static void softmax(size_t rows, size_t count, float *x)
{
    for (size_t i = 0; i < rows; i++) {
        float *const row = x + i * count;
        const float most = largest(count, row);
        for (size_t e = 0; e < count; e++) {
            row[e] = row[e] - most < -87.0F ? -87.0F : row[e] - most;
        }
    }
    for (size_t e = 0; e < rows * count; e++) x[e] = vpsde_exp_bounded(x[e]);
    for (size_t i = 0; i < rows; i++) {
        float *const row = x + i * count;
        const float factor = 1.0F / total(count, row);
        for (size_t e = 0; e < count; e++) row[e] = row[e] * factor;
    }
}

/* x <- P (x - rowsum(P x)): softmax's derivative, which is its own transpose. */
VPSDE_VECTOR static void softmax_slope(size_t rows, size_t count, float *restrict x,
                                       const float *restrict weight)
{
    for (size_t i = 0; i < rows; i++, x += count, weight += count) {
        const float mean = total_product(count, weight, x);
        for (size_t e = 0; e < count; e++) x[e] = weight[e] * (x[e] - mean);
    }
}

static vpsde_status forward_block(const job *j, size_t task, float *block)
{
    const attention *const a = own(j->layer);
    const place p = place_of(a, task);
    const head_of h = head_at(j->layer, j->call->in[0], p.image, p.head);
    float *const s = j->call->keep ? weights_at(j->layer, j->call, p.image, p.head, p.row) : block;
    VPSDE_TRY(vpsde_product(p.rows, a->pixels, a->width, a->inverse_root, rows_from(h.q, p.row),
                            transpose(h.k), 0, s, a->pixels));
    softmax(p.rows, a->pixels, s);
    return vpsde_product(p.rows, a->width, a->pixels, 1, (vpsde_matrix){s, a->pixels, false}, h.v,
                         0, out_at(j->layer, j->call->out, p.image, p.head, p.row),
                         j->layer->out.channels);
}

static vpsde_status forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const attention *const a = own(layer);
    return run(layer, ws, call, forward_block, call->n * a->heads * a->blocks);
}

static vpsde_status jvp_block(const job *j, size_t task, float *block)
{
    const attention *const a = own(j->layer);
    const size_t n = a->pixels, d = a->width, c = j->layer->out.channels;
    const place p = place_of(a, task);
    const size_t image = p.image / j->call->k;
    const head_of h = head_at(j->layer, j->call->in[0], image, p.head);
    const head_of dh = head_at(j->layer, j->call->din[0], p.image, p.head);
    const float *const weight = weights_at(j->layer, j->call, image, p.head, p.row);
    float *const out = out_at(j->layer, j->call->dout, p.image, p.head, p.row);
    VPSDE_TRY(vpsde_product(p.rows, n, d, a->inverse_root, rows_from(dh.q, p.row), transpose(h.k),
                            0, block, n));
    VPSDE_TRY(vpsde_product(p.rows, n, d, a->inverse_root, rows_from(h.q, p.row), transpose(dh.k),
                            1, block, n));
    softmax_slope(p.rows, n, block, weight);
    VPSDE_TRY(vpsde_product(p.rows, d, n, 1, (vpsde_matrix){block, n, false}, h.v, 0, out, c));
    return vpsde_product(p.rows, d, n, 1, (vpsde_matrix){weight, n, false}, dh.v, 1, out, c);
}

static vpsde_status jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const attention *const a = own(layer);
    return run(layer, ws, call, jvp_block, call->n * call->k * a->heads * a->blocks);
}

/* A head of an image: gk is a sum over its blocks, in their order. */
static vpsde_status backward_head(const job *j, size_t task, float *block)
{
    const attention *const a = own(j->layer);
    const size_t n = a->pixels, d = a->width, c = j->layer->out.channels, stride = 3 * c;
    const size_t image = task / a->heads, head = task % a->heads;
    const head_of h = head_at(j->layer, j->call->in[0], image, head);
    float *const weight = weights_at(j->layer, j->call, image, head, 0);
    const vpsde_matrix g = {j->call->gout + image * n * c + head * d, c, false};
    const vpsde_matrix s = {block, n, false};
    float *const gq = j->call->gin[0] + image * n * stride + head * d;
    const float beta = j->call->add[0] ? 1 : 0;
    for (size_t b = 0; b < a->blocks; b++) {
        const place p = place_of(a, b);
        VPSDE_TRY(vpsde_product(p.rows, n, d, 1, rows_from(g, p.row), transpose(h.v), 0, block, n));
        softmax_slope(p.rows, n, block, weight + p.row * n);
        VPSDE_TRY(vpsde_product(p.rows, d, n, a->inverse_root, s, h.k, beta, gq + p.row * stride,
                                stride));
        VPSDE_TRY(vpsde_product(n, d, p.rows, a->inverse_root, transpose(s), rows_from(h.q, p.row),
                                b == 0 ? beta : 1, gq + c, stride));
    }
    return vpsde_product(n, d, n, 1, (vpsde_matrix){weight, n, true}, g, beta, gq + 2 * c, stride);
}

static vpsde_status backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    if (!call->gin[0]) return VPSDE_OK;
    return run(layer, ws, call, backward_head, call->n * own(layer)->heads);
}

static void workspace_destroy(void *ws)
{
    workspace *const w = ws;
    free(w->slots);
    free(w->memory);
    free(w);
}

static vpsde_status workspace_create(void **ws, const vpsde_layer *layer, size_t n, bool backward)
{
    const attention *const a = own(layer);
    const size_t floats = a->rows * a->pixels;
    workspace *w;
    (void)n, (void)backward;
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    w->n_slots = vpsde_team_threads();
    vpsde_status status = vpsde_alloc(&w->slots, w->n_slots, sizeof(*w->slots));
    if (status == VPSDE_OK) status = vpsde_alloc(&w->memory, w->n_slots * floats, sizeof(float));
    if (status != VPSDE_OK) {
        workspace_destroy(w);
        return status;
    }
    for (size_t s = 0; s < w->n_slots; s++) w->slots[s].block = w->memory + s * floats;
    *ws = w;
    return VPSDE_OK;
}

static void destroy(vpsde_layer *layer) { free(layer->own); }

static const vpsde_layer_type ATTENTION = {
    .name = "attention",
    .destroy = destroy,
    .workspace_create = workspace_create,
    .workspace_destroy = workspace_destroy,
    .forward = forward,
    .jvp = jvp,
    .backward = backward,
};

vpsde_status vpsde_attention_make(vpsde_layer *layer, size_t heads, vpsde_extent qkv)
{
    const size_t pixels = vpsde_extent_pixels(qkv), channels = qkv.channels / 3;
    if (pixels == 0 || pixels > PIXELS_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "attention over %zu x %zu pixels: need 1 to %d", qkv.height,
                          qkv.width, (int)PIXELS_MAX);
    }
    if (channels == 0 || channels * 3 != qkv.channels || heads == 0 || channels % heads) {
        return vpsde_fail(VPSDE_EINVAL,
                          "attention with %zu heads on %zu channels: need three times a multiple "
                          "of the heads",
                          heads, qkv.channels);
    }
    attention *a;
    VPSDE_TRY(vpsde_alloc(&a, 1, sizeof(*a)));
    const size_t fit = BLOCK_FLOATS / pixels > BLOCK_ROWS ? BLOCK_FLOATS / pixels : BLOCK_ROWS;
    const size_t blocks = (pixels + fit - 1) / fit;
    a->heads = heads;
    a->width = channels / heads;
    a->pixels = pixels;
    a->rows = (pixels + blocks - 1) / blocks;
    a->blocks = (pixels + a->rows - 1) / a->rows;
    a->cost = (double)(a->rows * pixels) * (double)(4 * a->width + WEIGHT_COST);
    a->inverse_root = (float)(1 / sqrt((double)a->width));
    *layer = (vpsde_layer){
        .type = &ATTENTION,
        .in = {qkv},
        .out = {qkv.height, qkv.width, channels},
        .keep = heads * pixels * pixels,
        .flops = 4.0 * (double)pixels * (double)pixels * (double)channels,
        .own = a,
    };
    return VPSDE_OK;
}
