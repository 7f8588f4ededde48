/* The convolution by oneDNN's direct algorithm: what make and pack prepare. */
#include "models/layers/conv_direct.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/layers/pointwise.h"

static void conv_destroy(vpsde_layer *layer)
{
    conv *const c = layer->own;
    if (!c) return;
    for (size_t s = 0; s < SOURCES; s++) {
        conv_weights *const w = &c->weights[s];
        (void)dnnl_primitive_destroy(w->to_forward);
        (void)dnnl_primitive_destroy(w->to_data);
        (void)dnnl_memory_destroy(w->plain);
        (void)dnnl_memory_destroy(w->forward);
        (void)dnnl_memory_destroy(w->data);
        free(w->forward_floats);
        free(w->data_floats);
    }
    (void)dnnl_stream_destroy(c->stream);
    free(c->staging);
    free(c->bias);
    free(c);
    layer->own = NULL;
}

static vpsde_status reorder(const conv *c, dnnl_primitive_t primitive, dnnl_memory_t to,
                            dnnl_memory_t from)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return vpsde_dnnl_check(dnnl_primitive_execute(primitive, c->stream, 2, args), "reorder");
}

static vpsde_status data_pack(const conv *c, conv_weights *w)
{
    if (!w->data_floats) {
        VPSDE_TRY(vpsde_alloc(&w->data_floats, vpsde_dnnl_floats(&w->data_md), sizeof(float)));
        VPSDE_TRY(vpsde_dnnl_point(w->data, w->data_floats));
    }
    return reorder(c, w->to_data, w->data, w->plain);
}

static vpsde_status conv_pack(vpsde_layer *layer, const float *parameters, bool backward)
{
    conv *const c = layer->own;
    const size_t rows = c->spec.channels / c->spec.n_parts;
    const float scale = (float)c->spec.scale;
    for (size_t p = 0; p < c->spec.n_parts; p++) {
        vpsde_put(rows * conv_floats(c), c->staging + p * rows * conv_floats(c), false, scale,
                  vpsde_layer_at(layer, parameters, 2 * p));
        vpsde_put(rows, c->bias + p * rows, false, scale,
                  vpsde_layer_at(layer, parameters, 2 * p + 1));
    }
    for (size_t s = 0; s < c->n_sources; s++) {
        conv_weights *const w = &c->weights[s];
        VPSDE_TRY(reorder(c, w->to_forward, w->forward, w->plain));
        if (backward) VPSDE_TRY(data_pack(c, w));
    }
    return VPSDE_OK;
}

static const vpsde_layer_type type = {
    .name = "convolution",
    .destroy = conv_destroy,
    .pack = conv_pack,
    .workspace_create = vpsde_conv_workspace_create,
    .workspace_destroy = vpsde_conv_workspace_destroy,
    .forward = vpsde_conv_forward,
    .jvp = vpsde_conv_jvp,
    .backward = vpsde_conv_backward,
};

/* One source's weights inside `staging`. */
static vpsde_status staging_handle(conv *c, size_t s)
{
    conv_weights *const w = &c->weights[s];
    const size_t taps = c->spec.kernel * c->spec.kernel;
    const dnnl_dim_t side = (dnnl_dim_t)c->spec.kernel;
    const dnnl_dims_t dims = {(dnnl_dim_t)c->spec.channels, (dnnl_dim_t)c->in[s].channels, side,
                              side};
    const dnnl_dims_t strides = {(dnnl_dim_t)conv_floats(c), (dnnl_dim_t)taps, side, 1};
    VPSDE_TRY(
        vpsde_dnnl_check(dnnl_memory_desc_init_by_strides(&w->plain_md, 4, dims, dnnl_f32, strides),
                         "weights of a convolution"));
    return vpsde_dnnl_memory(&w->plain, &w->plain_md,
                             c->staging + (s > 0 ? c->in[0].channels * taps : 0));
}

/* The format of the weights that oneDNN asks for. */
static vpsde_status format_ask(dnnl_memory_desc_t *out, const conv *c, conv_kind kind, size_t s)
{
    dnnl_primitive_desc_t description;
    VPSDE_TRY(vpsde_conv_describe(&description, c, kind, s, 1, false));
    const vpsde_status status = vpsde_dnnl_query_md(out, description, dnnl_query_weights_md);
    const dnnl_status_t freed = dnnl_primitive_desc_destroy(description);
    VPSDE_TRY(status);
    return vpsde_dnnl_check(freed, "convolution");
}

static vpsde_status weights_make(conv *c, size_t s)
{
    conv_weights *const w = &c->weights[s];
    VPSDE_TRY(staging_handle(c, s));
    VPSDE_TRY(format_ask(&w->forward_md, c, CONV_FORWARD, s));
    VPSDE_TRY(format_ask(&w->data_md, c, CONV_DATA, s));
    VPSDE_TRY(vpsde_alloc(&w->forward_floats, vpsde_dnnl_floats(&w->forward_md), sizeof(float)));
    VPSDE_TRY(vpsde_dnnl_memory(&w->forward, &w->forward_md, w->forward_floats));
    VPSDE_TRY(vpsde_dnnl_memory(&w->data, &w->data_md, NULL));
    size_t scratch = 0;
    VPSDE_TRY(vpsde_dnnl_reorder_make(&w->to_forward, w->forward, w->plain, &scratch));
    VPSDE_TRY(vpsde_dnnl_reorder_make(&w->to_data, w->data, w->plain, &scratch));
    if (scratch == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINTERNAL, "oneDNN: packing weights needs %zu floats of scratch",
                      scratch);
}

static bool direct_takes(const vpsde_conv_spec *spec, const vpsde_extent *in)
{
    (void)in;
    return !spec->upsample;
}

static vpsde_status direct_make(vpsde_layer *layer, const vpsde_conv_spec *spec)
{
    conv *c;
    dnnl_engine_t engine;
    VPSDE_TRY(vpsde_alloc(&c, 1, sizeof(*c)));
    layer->type = &type;
    layer->own = c;
    c->spec = *spec;
    memset(c->spec.part, 0, sizeof(c->spec.part)); /* the names are the caller's */
    memcpy(c->in, layer->in, sizeof(c->in));
    c->out = layer->out;
    c->n_sources = c->in[VPSDE_CONV_X2].channels > 0 ? 2 : 1;
    c->channels_in = c->in[VPSDE_CONV_X].channels + c->in[VPSDE_CONV_X2].channels;
    VPSDE_TRY(vpsde_alloc(&c->staging, spec->channels * conv_floats(c), sizeof(float)));
    VPSDE_TRY(vpsde_alloc(&c->bias, 2 * spec->channels, sizeof(float)));
    VPSDE_TRY(vpsde_dnnl_engine(&engine));
    VPSDE_TRY(vpsde_dnnl_check(dnnl_stream_create(&c->stream, engine, dnnl_stream_default_flags),
                               "stream"));
    for (size_t s = 0; s < c->n_sources; s++) VPSDE_TRY(weights_make(c, s));
    return VPSDE_OK;
}

const vpsde_conv_way vpsde_conv_direct = {.takes = direct_takes, .make = direct_make};
