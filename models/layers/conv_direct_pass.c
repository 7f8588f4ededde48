/* The direct convolution's workspace, forward pass and tangents. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/conv_direct.h"
#include "models/layers/pointwise.h"

vpsde_status vpsde_conv_execute(const conv_workspace *ws, dnnl_primitive_t primitive, int n_args,
                                const dnnl_exec_arg_t *args)
{
    return vpsde_dnnl_check(dnnl_primitive_execute(primitive, ws->stream, n_args, args),
                            "convolution");
}

vpsde_status vpsde_conv_primitive(conv_workspace *w, dnnl_primitive_t *out,
                                  dnnl_primitive_desc_t description, size_t *scratch)
{
    const char *name = "";
    const dnnl_status_t e =
        dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, (void *)&name);
    if (e != dnnl_success || strncmp(name, "jit", 3) != 0) w->serial = true;
    return vpsde_dnnl_primitive(out, description, scratch);
}

static vpsde_status forward_create(conv_workspace *w, const conv *c, size_t *scratch)
{
    const dnnl_dims_t channels = {(dnnl_dim_t)c->spec.channels};
    dnnl_memory_desc_t md;
    for (size_t s = 0; s < c->n_sources; s++) {
        VPSDE_TRY(vpsde_dnnl_image(&md, 1, c->in[s]));
        VPSDE_TRY(vpsde_dnnl_memory(&w->x[s], &md, NULL));
    }
    VPSDE_TRY(vpsde_dnnl_image(&md, 1, c->out));
    VPSDE_TRY(vpsde_dnnl_memory(&w->y, &md, NULL));
    VPSDE_TRY(
        vpsde_dnnl_check(dnnl_memory_desc_init_by_tag(&md, 1, channels, dnnl_f32, dnnl_x), "bias"));
    VPSDE_TRY(vpsde_dnnl_memory(&w->bias, &md, NULL));
    for (size_t s = 0; s < c->n_sources; s++) {
        for (size_t sum = 0; sum < 2; sum++) {
            dnnl_primitive_desc_t d;
            VPSDE_TRY(vpsde_conv_describe(&d, c, CONV_FORWARD, s, 1, sum > 0));
            VPSDE_TRY(vpsde_conv_primitive(w, &w->forward[s][sum], d, scratch));
        }
    }
    return VPSDE_OK;
}

static vpsde_status workspace_fill(conv_workspace *w, const conv *c, size_t n, bool backward)
{
    dnnl_engine_t engine;
    size_t scratch = 0;
    w->n = n;
    VPSDE_TRY(vpsde_dnnl_engine(&engine));
    VPSDE_TRY(vpsde_dnnl_check(dnnl_stream_create(&w->stream, engine, dnnl_stream_default_flags),
                               "stream"));
    VPSDE_TRY(forward_create(w, c, &scratch));
    if (backward) VPSDE_TRY(vpsde_conv_backward_create(w, c, &scratch));
    const dnnl_dims_t dims = {(dnnl_dim_t)scratch};
    dnnl_memory_desc_t md;
    VPSDE_TRY(vpsde_alloc(&w->scratch, scratch, sizeof(float)));
    VPSDE_TRY(
        vpsde_dnnl_check(dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_f32, dnnl_x), "scratch"));
    return vpsde_dnnl_memory(&w->scratchpad, &md, w->scratch);
}

static vpsde_status workspace_open(conv_workspace **out, const conv *c, size_t n, bool backward)
{
    VPSDE_TRY(vpsde_alloc(out, 1, sizeof(**out)));
    const vpsde_status status = workspace_fill(*out, c, n, backward);
    if (status != VPSDE_OK) vpsde_conv_workspace_destroy(*out);
    return status;
}

vpsde_status vpsde_conv_workspace_create(void **ws, const vpsde_layer *layer, size_t n,
                                         bool backward)
{
    conv_workspace *w;
    *ws = NULL;
    VPSDE_TRY(workspace_open(&w, layer->own, n, backward));
    if (w->serial) { /* its primitives were planned for as many threads as are set */
        vpsde_conv_workspace_destroy(w);
        const int saved = vpsde_serial_begin();
        const vpsde_status status = workspace_open(&w, layer->own, n, backward);
        vpsde_serial_end(saved);
        VPSDE_TRY(status);
        w->serial = true;
    }
    *ws = w;
    return VPSDE_OK;
}

void vpsde_conv_workspace_destroy(void *ws)
{
    conv_workspace *const w = ws;
    if (!w) return;
    vpsde_conv_backward_destroy(w);
    for (size_t s = 0; s < SOURCES; s++) {
        (void)dnnl_memory_destroy(w->x[s]);
        (void)dnnl_primitive_destroy(w->forward[s][0]);
        (void)dnnl_primitive_destroy(w->forward[s][1]);
    }
    (void)dnnl_memory_destroy(w->y);
    (void)dnnl_memory_destroy(w->bias);
    (void)dnnl_memory_destroy(w->scratchpad);
    (void)dnnl_stream_destroy(w->stream);
    free(w->scratch);
    free(w);
}

/* What an image's passes read: a source or a residual may be absent, and tangents have no bias. */
typedef struct operands {
    const float *x[SOURCES], *residual, *bias;
} operands;

/* y = scale residual + convolutions + bias: oneDNN adds to y what follows the first. */
static vpsde_status direct(const conv *c, conv_workspace *w, const operands *from, float *y)
{
    const float *const zero = c->bias + c->spec.channels;
    const float *bias = from->bias ? from->bias : zero;
    bool sum = from->residual != NULL;
    if (sum) {
        vpsde_put(vpsde_extent_floats(c->out), y, false, (float)c->spec.scale, from->residual);
    }
    VPSDE_TRY(vpsde_dnnl_point(w->y, y));
    for (size_t s = 0; s < c->n_sources; s++) {
        if (!from->x[s]) continue;
        VPSDE_TRY(vpsde_dnnl_point(w->x[s], from->x[s]));
        VPSDE_TRY(vpsde_dnnl_point(w->bias, bias));
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, w->x[s]},
                                        {DNNL_ARG_WEIGHTS, c->weights[s].forward},
                                        {DNNL_ARG_BIAS, w->bias},
                                        {DNNL_ARG_DST, w->y},
                                        {DNNL_ARG_SCRATCHPAD, w->scratchpad}};
        VPSDE_TRY(vpsde_conv_execute(w, w->forward[s][sum], 5, args));
        sum = true;
        bias = zero;
    }
    if (!sum) memset(y, 0, vpsde_extent_floats(c->out) * sizeof(float));
    return VPSDE_OK;
}

static vpsde_status apply(const conv *c, conv_workspace *w, size_t n, const float *const *in,
                          const float *bias, float *out)
{
    const size_t floats = vpsde_extent_floats(c->out);
    for (size_t i = 0; i < n; i++) {
        const float *const residual = in[VPSDE_CONV_RESIDUAL];
        operands from = {.residual = residual ? residual + i * floats : NULL, .bias = bias};
        for (size_t s = 0; s < c->n_sources; s++) {
            if (in[s]) from.x[s] = in[s] + i * vpsde_extent_floats(c->in[s]);
        }
        VPSDE_TRY(direct(c, w, &from, out + i * floats));
    }
    return VPSDE_OK;
}

static vpsde_status pass(const conv *c, conv_workspace *w, size_t n, const float *const *in,
                         const float *bias, float *out)
{
    const int saved = w->serial ? vpsde_serial_begin() : 1;
    const vpsde_status status = apply(c, w, n, in, bias, out);
    vpsde_serial_end(saved);
    return status;
}

vpsde_status vpsde_conv_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const conv *const c = layer->own;
    return pass(c, ws, call->n, call->in, c->bias, call->out);
}

vpsde_status vpsde_conv_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    return pass(layer->own, ws, call->n * call->k, call->din, NULL, call->dout);
}
