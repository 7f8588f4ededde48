#include <stdlib.h>
#include <string.h>

#include <vpsde/model.h>

#include "core/mem.h"
#include "models/layers/embedding.h"
#include "models/layers/pointwise.h"

typedef struct table {
    size_t n_classes, null_row;
} table;

/* The row of image i's class. */
static vpsde_status row_of(size_t *row, const vpsde_layer *layer, const vpsde_layer_call *call,
                           size_t i)
{
    const table *const own = layer->own;
    const int32_t class = call->classes ? call->classes[i] : VPSDE_NO_CLASS;
    const char *const name = layer->parameter[0].name;
    if (class == VPSDE_NO_CLASS && own->null_row == SIZE_MAX) {
        return vpsde_fail(VPSDE_EINVAL,
                          "%s: the network has no row for class -1 (none), give one of 0 to %zu",
                          name, own->n_classes - 1);
    }
    if (class < VPSDE_NO_CLASS || (class >= 0 && (size_t) class >= own->n_classes)) {
        return vpsde_fail(VPSDE_EINVAL, "%s: class %d is not one of 0 to %zu", name, (int)class,
                          own->n_classes - 1);
    }
    *row = class == VPSDE_NO_CLASS ? own->null_row : (size_t) class;
    return VPSDE_OK;
}

static vpsde_status forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const size_t channels = layer->out.channels;
    const float *const values = vpsde_layer_at(layer, call->parameters, 0);
    (void)ws;
    for (size_t i = 0; i < call->n; i++) {
        size_t row = 0;
        VPSDE_TRY(row_of(&row, layer, call, i));
        float *const out = call->out + i * channels;
        memcpy(out, call->in[0] + i * channels, channels * sizeof(*out));
        vpsde_add(channels, out, values + row * channels);
    }
    return VPSDE_OK;
}

static vpsde_status jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    memcpy(call->dout, call->din[0], call->n * call->k * layer->out.channels * sizeof(float));
    return VPSDE_OK;
}

static vpsde_status backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const size_t channels = layer->out.channels;
    (void)ws;
    for (size_t i = 0; i < call->n; i++) {
        size_t row = 0;
        VPSDE_TRY(row_of(&row, layer, call, i));
        const float *const gout = call->gout + i * channels;
        if (call->gradient) {
            vpsde_add(channels, call->gradient + layer->parameter[0].offset + row * channels, gout);
        }
    }
    if (call->gin[0]) {
        vpsde_put(call->n * channels, call->gin[0], call->add[0], 1, call->gout);
    }
    return VPSDE_OK;
}

static void destroy(vpsde_layer *layer) { free(layer->own); }

static const vpsde_layer_type type = {
    .name = "class table",
    .destroy = destroy,
    .forward = forward,
    .jvp = jvp,
    .backward = backward,
};

vpsde_status vpsde_class_table_make(vpsde_layer *layer, const char *name, size_t n_classes,
                                    size_t null_row, vpsde_extent in)
{
    if (vpsde_extent_floats(in) == 0 || vpsde_extent_pixels(in) != 1) {
        return vpsde_fail(VPSDE_EINVAL, "%s: needs an embedding, got %zu x %zu x %zu values", name,
                          in.height, in.width, in.channels);
    }
    if (n_classes == 0 || (null_row != SIZE_MAX && null_row >= n_classes)) {
        return vpsde_fail(VPSDE_EINVAL, "%s: row %zu for no class in a table of %zu", name,
                          null_row, n_classes);
    }
    *layer = (vpsde_layer){.type = &type, .in = {in}, .out = in};
    VPSDE_TRY(
        vpsde_layer_parameter(layer, name, NULL, 2, (const size_t[]){n_classes, in.channels}));
    table *own;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    *own = (table){.n_classes = n_classes, .null_row = null_row};
    layer->own = own;
    return VPSDE_OK;
}
