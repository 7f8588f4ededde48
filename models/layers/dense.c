/* The linear layer on embeddings. A row's product is one chain of sums over the inputs, ascending, for
 * each output, whatever rows stand beside it. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/vec.h"
#include "models/layers/embedding.h"
#include "models/layers/pointwise.h"

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));

enum { LANES = 8, VECTORS = 2, ROWS = 4, CHUNK = 256 };

typedef struct dense {
    bool silu_in, silu_out;
    float *transposed; /* (in, out) */
} dense;

INLINE void block(size_t rows, size_t vectors, size_t in, size_t out, const float *x,
                  const float *w, float *y)
{
    lanes sum[ROWS][VECTORS];
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) sum[r][v] = (lanes){0};
    }
    for (size_t k = 0; k < in; k++) {
        for (size_t v = 0; v < vectors; v++) {
            const lanes weight = *(const lanes *)(w + k * out + LANES * v);
            for (size_t r = 0; r < rows; r++) sum[r][v] += weight * x[r * in + k];
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) *(lanes *)(y + r * out + LANES * v) = sum[r][v];
    }
}

INLINE void rows_product(size_t rows, size_t in, size_t out, const float *x, const float *w,
                         float *y)
{
    size_t o = 0;
    for (; o + LANES * VECTORS <= out; o += LANES * VECTORS) {
        block(rows, VECTORS, in, out, x, w + o, y + o);
    }
    for (; o + LANES <= out; o += LANES) block(rows, 1, in, out, x, w + o, y + o);
    for (; o < out; o++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t k = 0; k < in; k++) sum += w[k * out + o] * x[r * in + k];
            y[r * out + o] = sum;
        }
    }
}

/* y (n, out) = x (n, in) w (in, out), n up to ROWS */
VPSDE_VECTOR static void product(size_t n, size_t in, size_t out, const float *x, const float *w,
                                 float *y)
{
    if (n == ROWS) {
        rows_product(ROWS, in, out, x, w, y);
        return;
    }
    for (size_t r = 0; r < n; r++) rows_product(1, in, out, x + r * in, w, y + r * out);
}

/* g (out, in) += z^T x over n rows in order */
VPSDE_VECTOR static void outer(size_t n, size_t in, size_t out, const float *restrict z,
                               const float *restrict x, float *restrict g)
{
    for (size_t o = 0; o < out; o++) {
        for (size_t r = 0; r < n; r++) {
            const float factor = z[r * out + o];
            for (size_t k = 0; k < in; k++) g[o * in + k] += factor * x[r * in + k];
        }
    }
}

/* y = SiLU's slope at u times x */
static void times_slope(size_t count, float *y, const float *u, const float *x)
{
    float value[CHUNK], slope[CHUNK];
    for (size_t e = 0; e < count; e += CHUNK) {
        const size_t n = count - e < CHUNK ? count - e : CHUNK;
        vpsde_silu_slope(n, value, slope, u + e);
        vpsde_multiply(n, y + e, slope, x + e);
    }
}

static size_t rows_left(const vpsde_layer_call *call, size_t i)
{
    return call->n - i < ROWS ? call->n - i : ROWS;
}

/* Images i to i + rows - 1. */
static void forward_rows(const vpsde_layer *layer, const vpsde_layer_call *call, size_t i,
                         size_t rows)
{
    const dense *const own = layer->own;
    const size_t in = layer->in[0].channels, out = layer->out.channels;
    const float *const bias = vpsde_layer_at(layer, call->parameters, 1);
    const float *x = call->in[0] + i * in;
    float *const y = call->out + i * out;
    if (own->silu_in) {
        vpsde_silu(rows * in, call->scratch, x);
        x = call->scratch;
    }
    product(rows, in, out, x, own->transposed, y);
    for (size_t r = 0; r < rows; r++) vpsde_add(out, y + r * out, bias);
    if (!own->silu_out) return;
    if (call->keep) memcpy(call->keep + i * out, y, rows * out * sizeof(*y));
    vpsde_silu(rows * out, y, y);
}

/* With a shared time, rows are the same unless classes went in. */
static bool repeats(const vpsde_layer *layer, const vpsde_layer_call *call)
{
    const size_t in = layer->in[0].channels;
    if (!call->shared) return false;
    for (size_t i = 1; i < call->n; i++) {
        if (memcmp(call->in[0], call->in[0] + i * in, in * sizeof(float)) != 0) return false;
    }
    return true;
}

static vpsde_status forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const size_t out = layer->out.channels;
    (void)ws;
    if (!repeats(layer, call)) {
        for (size_t i = 0; i < call->n; i += ROWS) forward_rows(layer, call, i, rows_left(call, i));
        return VPSDE_OK;
    }
    forward_rows(layer, call, 0, 1);
    for (size_t i = 1; i < call->n; i++) {
        memcpy(call->out + i * out, call->out, out * sizeof(float));
        if (call->keep) {
            memcpy(call->keep + i * layer->keep, call->keep, layer->keep * sizeof(float));
        }
    }
    return VPSDE_OK;
}

static vpsde_status jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const dense *const own = layer->own;
    const size_t in = layer->in[0].channels, out = layer->out.channels;
    (void)ws;
    for (size_t t = 0; t < call->n * call->k; t++) {
        const size_t i = t / call->k;
        const float *dx = call->din[0] + t * in;
        float *const dy = call->dout + t * out;
        if (own->silu_in) {
            times_slope(in, call->scratch, call->in[0] + i * in, dx);
            dx = call->scratch;
        }
        product(1, in, out, dx, own->transposed, dy);
        if (own->silu_out) times_slope(out, dy, call->keep + i * out, dy);
    }
    return VPSDE_OK;
}

static vpsde_status backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const dense *const own = layer->own;
    const size_t in = layer->in[0].channels, out = layer->out.channels;
    float *const z = call->scratch + ROWS * in, *const g = z + ROWS * out;
    const float *const w = vpsde_layer_at(layer, call->parameters, 0);
    (void)ws;
    for (size_t i = 0; i < call->n; i += ROWS) {
        const size_t rows = rows_left(call, i);
        const float *const u = call->in[0] + i * in, *x = u;
        const float *gz = call->gout + i * out;
        if (own->silu_out) {
            times_slope(rows * out, z, call->keep + i * out, gz);
            gz = z;
        }
        if (call->gradient) {
            if (own->silu_in) {
                vpsde_silu(rows * in, call->scratch, x);
                x = call->scratch;
            }
            outer(rows, in, out, gz, x, call->gradient + layer->parameter[0].offset);
            for (size_t r = 0; r < rows; r++) {
                vpsde_add(out, call->gradient + layer->parameter[1].offset, gz + r * out);
            }
        }
        if (!call->gin[0]) continue;
        float *const gin = call->gin[0] + i * in;
        product(rows, out, in, gz, w, g);
        if (own->silu_in) times_slope(rows * in, g, u, g);
        vpsde_put(rows * in, gin, call->add[0], 1, g);
    }
    return VPSDE_OK;
}

static vpsde_status pack(vpsde_layer *layer, const float *parameters, bool for_backward)
{
    const dense *const own = layer->own;
    const size_t in = layer->in[0].channels, out = layer->out.channels;
    const float *const w = vpsde_layer_at(layer, parameters, 0);
    (void)for_backward;
    for (size_t o = 0; o < out; o++) {
        for (size_t k = 0; k < in; k++) own->transposed[k * out + o] = w[o * in + k];
    }
    return VPSDE_OK;
}

static void destroy(vpsde_layer *layer)
{
    dense *const own = layer->own;
    if (own) free(own->transposed);
    free(own);
}

static const vpsde_layer_type type = {
    .name = "dense",
    .destroy = destroy,
    .pack = pack,
    .forward = forward,
    .jvp = jvp,
    .backward = backward,
};

vpsde_status vpsde_dense_make(vpsde_layer *layer, const vpsde_dense_spec *spec, vpsde_extent in)
{
    const size_t out = spec->channels;
    size_t weights;
    if (vpsde_extent_pixels(in) != 1 || in.channels == 0 || out == 0) {
        return vpsde_fail(VPSDE_EINVAL, "%s: needs an embedding, got %zu x %zu x %zu to %zu values",
                          spec->name, in.height, in.width, in.channels, out);
    }
    VPSDE_TRY(vpsde_size_mul(&weights, in.channels, out, spec->name));
    *layer = (vpsde_layer){.type = &type,
                           .in = {in},
                           .out = {1, 1, out},
                           .keep = spec->silu_out ? out : 0,
                           .scratch = ROWS * (2 * in.channels + out),
                           .flops = 2.0 * (double)weights};
    VPSDE_TRY(
        vpsde_layer_parameter(layer, spec->name, "weight", 2, (const size_t[]){out, in.channels}));
    VPSDE_TRY(vpsde_layer_parameter(layer, spec->name, "bias", 1, &out));
    dense *own;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    *own = (dense){.silu_in = spec->silu_in, .silu_out = spec->silu_out};
    const vpsde_status status = vpsde_alloc(&own->transposed, weights, sizeof(float));
    if (status != VPSDE_OK) {
        free(own);
        return status;
    }
    layer->own = own;
    return VPSDE_OK;
}
