#include "models/layers/resample.h"

#include <string.h>

#include "core/parallel.h"
#include "core/vec.h"

/* Rows of the smaller image, of all images of a call. */
typedef struct rows {
    vpsde_extent small, large;
    const float *from;
    float *to;
    bool add;
} rows;

static rows rows_of(vpsde_extent small, vpsde_extent large, const float *from, float *to, bool add)
{
    return (rows){.small = small, .large = large, .from = from, .to = to, .add = add};
}

/* Offset of small row i's first row in the large images. */
static size_t large_row(const rows *at, size_t i)
{
    const size_t image = i / at->small.height, row = i % at->small.height;
    return (image * at->large.height + 2 * row) * at->large.width * at->large.channels;
}

/* large = factor small, each value to 2 x 2 pixels; what lies past them: 0. */
VPSDE_VECTOR static void spread(const rows *at, size_t i, float factor)
{
    const size_t c = at->small.channels, width = at->small.width * c;
    const size_t large = at->large.width * c, odd = at->small.height * 2 != at->large.height;
    const float *restrict const from = at->from + i * width;
    float *restrict const to = at->to + large_row(at, i);
    const size_t last = (i + 1) % at->small.height == 0;
    for (size_t r = 0; r < 2; r++) {
        float *restrict const line = to + r * large;
        for (size_t x = 0; x < at->small.width; x++) {
            for (size_t j = 0; j < c; j++) {
                const float v = factor * from[x * c + j];
                float *const left = line + 2 * x * c + j;
                left[0] = at->add ? left[0] + v : v;
                left[c] = at->add ? left[c] + v : v;
            }
        }
        if (!at->add) memset(line + 2 * width, 0, (large - 2 * width) * sizeof(*line));
    }
    if (!at->add && odd && last) memset(to + 2 * large, 0, large * sizeof(*to));
}

/* small = factor times the sum of its 2 x 2 pixels. */
VPSDE_VECTOR static void gather(const rows *at, size_t i, float factor)
{
    const size_t c = at->small.channels, width = at->small.width * c;
    const float *restrict const top = at->from + large_row(at, i);
    const float *restrict const bottom = top + at->large.width * c;
    float *restrict const to = at->to + i * width;
    for (size_t x = 0; x < at->small.width; x++) {
        const float *restrict const a = top + 2 * x * c, *restrict const b = bottom + 2 * x * c;
        for (size_t j = 0; j < c; j++) {
            const float v = factor * ((a[j] + a[c + j]) + (b[j] + b[c + j]));
            to[x * c + j] = at->add ? to[x * c + j] + v : v;
        }
    }
}

static void copy_row(void *at, size_t i) { spread(at, i, 1); }
static void share_row(void *at, size_t i) { spread(at, i, 0.25F); }
static void sum_row(void *at, size_t i) { gather(at, i, 1); }
static void mean_row(void *at, size_t i) { gather(at, i, 0.25F); }

static vpsde_status double_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    rows at = rows_of(layer->in[0], layer->out, call->in[0], call->out, false);
    vpsde_team(call->n * layer->in[0].height, copy_row, &at);
    return VPSDE_OK;
}

static vpsde_status double_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    rows at = rows_of(layer->in[0], layer->out, call->din[0], call->dout, false);
    vpsde_team(call->n * call->k * layer->in[0].height, copy_row, &at);
    return VPSDE_OK;
}

static vpsde_status double_backward(const vpsde_layer *layer, void *ws,
                                    const vpsde_layer_call *call)
{
    (void)ws;
    rows at = rows_of(layer->in[0], layer->out, call->gout, call->gin[0], call->add[0]);
    if (call->gin[0]) vpsde_team(call->n * layer->in[0].height, sum_row, &at);
    return VPSDE_OK;
}

static vpsde_status halve_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    rows at = rows_of(layer->out, layer->in[0], call->in[0], call->out, false);
    vpsde_team(call->n * layer->out.height, mean_row, &at);
    return VPSDE_OK;
}

static vpsde_status halve_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    rows at = rows_of(layer->out, layer->in[0], call->din[0], call->dout, false);
    vpsde_team(call->n * call->k * layer->out.height, mean_row, &at);
    return VPSDE_OK;
}

static vpsde_status halve_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    rows at = rows_of(layer->out, layer->in[0], call->gout, call->gin[0], call->add[0]);
    if (call->gin[0]) vpsde_team(call->n * layer->out.height, share_row, &at);
    return VPSDE_OK;
}

static const vpsde_layer_type doubling = {
    .name = "doubling",
    .forward = double_forward,
    .jvp = double_jvp,
    .backward = double_backward,
};

static const vpsde_layer_type halving = {
    .name = "halving",
    .forward = halve_forward,
    .jvp = halve_jvp,
    .backward = halve_backward,
};

vpsde_status vpsde_double_make(vpsde_layer *layer, vpsde_extent in)
{
    if (vpsde_extent_floats(in) == 0) {
        return vpsde_fail(VPSDE_EINVAL, "doubling: an image of %zu x %zu x %zu has no values",
                          in.height, in.width, in.channels);
    }
    *layer = (vpsde_layer){
        .type = &doubling, .in = {in}, .out = {2 * in.height, 2 * in.width, in.channels}};
    return VPSDE_OK;
}

vpsde_status vpsde_halve_make(vpsde_layer *layer, vpsde_extent in)
{
    if (in.height < 2 || in.width < 2 || in.channels == 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "halving: an image of %zu x %zu x %zu needs 2 x 2 pixels at least",
                          in.height, in.width, in.channels);
    }
    *layer = (vpsde_layer){
        .type = &halving, .in = {in}, .out = {in.height / 2, in.width / 2, in.channels}};
    return VPSDE_OK;
}
