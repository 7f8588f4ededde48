#include <string.h>

#include "models/layers/embedding.h"
#include "models/layers/pointwise.h"

/* out = a + b; NULL: zero, one of them */
static void sum(size_t count, float *out, const float *a, const float *b)
{
    memcpy(out, a ? a : b, count * sizeof(*out));
    if (a && b) vpsde_add(count, out, b);
}

static vpsde_status forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    sum(call->n * vpsde_extent_floats(layer->out), call->out, call->in[0], call->in[1]);
    return VPSDE_OK;
}

static vpsde_status jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    sum(call->n * call->k * vpsde_extent_floats(layer->out), call->dout, call->din[0],
        call->din[1]);
    return VPSDE_OK;
}

static vpsde_status backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const size_t count = call->n * vpsde_extent_floats(layer->out);
    (void)ws;
    for (size_t i = 0; i < 2; i++) {
        if (call->gin[i]) vpsde_put(count, call->gin[i], call->add[i], 1, call->gout);
    }
    return VPSDE_OK;
}

static const vpsde_layer_type type = {
    .name = "sum", .forward = forward, .jvp = jvp, .backward = backward};

vpsde_status vpsde_sum_make(vpsde_layer *layer, vpsde_extent a, vpsde_extent b)
{
    if (a.height != b.height || a.width != b.width || a.channels != b.channels ||
        vpsde_extent_floats(a) == 0) {
        return vpsde_fail(VPSDE_EINVAL, "sum: %zu x %zu x %zu and %zu x %zu x %zu values differ",
                          a.height, a.width, a.channels, b.height, b.width, b.channels);
    }
    *layer = (vpsde_layer){.type = &type, .in = {a, b}, .out = a};
    return VPSDE_OK;
}
