/* The direct convolution's reverse pass. The gradients of the weights come from all images of a full call
 * at once, or image by image; always on one thread, since oneDNN splits their sums over threads. */
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/conv_direct.h"
#include "models/layers/pointwise.h"

/* The primitive of n images, and the format it leaves the gradient in. */
static vpsde_status weights_create(dnnl_primitive_t *out, dnnl_memory_desc_t *md, const conv *c,
                                   size_t s, size_t n, size_t *scratch)
{
    dnnl_primitive_desc_t d;
    VPSDE_TRY(vpsde_conv_describe(&d, c, CONV_WEIGHTS, s, n, false));
    const vpsde_status status = vpsde_dnnl_query_md(md, d, dnnl_query_diff_weights_md);
    VPSDE_TRY(vpsde_dnnl_primitive(out, d, scratch));
    return status;
}

static vpsde_status gradient_create(conv_workspace *w, const conv *c, size_t s, size_t *scratch,
                                    size_t *packed)
{
    dnnl_memory_desc_t md, md_all;
    VPSDE_TRY(weights_create(&w->gradient[s][0], &md, c, s, 1, scratch));
    VPSDE_TRY(weights_create(&w->gradient[s][1], &md_all, c, s, w->n, scratch));
    if (!dnnl_memory_desc_equal(&md, &md_all)) {
        return vpsde_fail(VPSDE_EINTERNAL, "oneDNN: a gradient's format depends on n");
    }
    if (vpsde_dnnl_floats(&md) > *packed) *packed = vpsde_dnnl_floats(&md);
    const size_t skip = s > 0 ? c->in[0].channels * c->spec.kernel * c->spec.kernel : 0;
    VPSDE_TRY(vpsde_dnnl_memory(&w->packed[s], &md, NULL));
    VPSDE_TRY(vpsde_dnnl_memory(&w->plain[s], &c->weights[s].plain_md, w->plain_floats + skip));
    return vpsde_dnnl_reorder_make(&w->unpack[s], w->plain[s], w->packed[s], scratch);
}

static vpsde_status images_create(conv_workspace *w, const conv *c)
{
    dnnl_memory_desc_t md;
    size_t widest = 0;
    for (size_t s = 0; s < c->n_sources; s++) {
        VPSDE_TRY(vpsde_dnnl_image(&md, w->n, c->in[s]));
        VPSDE_TRY(vpsde_dnnl_memory(&w->x_all[s], &md, NULL));
        if (vpsde_extent_floats(c->in[s]) > widest) widest = vpsde_extent_floats(c->in[s]);
    }
    VPSDE_TRY(vpsde_alloc(&w->dx, widest, sizeof(float)));
    VPSDE_TRY(vpsde_dnnl_image(&md, w->n, c->out));
    return vpsde_dnnl_memory(&w->y_all, &md, NULL);
}

vpsde_status vpsde_conv_backward_create(conv_workspace *w, const conv *c, size_t *scratch)
{
    size_t packed = 0;
    VPSDE_TRY(images_create(w, c));
    VPSDE_TRY(vpsde_alloc(&w->plain_floats, c->spec.channels * conv_floats(c), sizeof(float)));
    VPSDE_TRY(vpsde_alloc(&w->bias_floats, c->spec.channels, sizeof(float)));
    for (size_t s = 0; s < c->n_sources; s++) {
        dnnl_primitive_desc_t d;
        VPSDE_TRY(vpsde_conv_describe(&d, c, CONV_DATA, s, 1, false));
        VPSDE_TRY(vpsde_conv_primitive(w, &w->data[s], d, scratch));
        const int saved = vpsde_serial_begin();
        const vpsde_status status = gradient_create(w, c, s, scratch, &packed);
        vpsde_serial_end(saved);
        if (status != VPSDE_OK) return status;
    }
    VPSDE_TRY(vpsde_alloc(&w->packed_floats, packed, sizeof(float)));
    for (size_t s = 0; s < c->n_sources; s++) {
        VPSDE_TRY(vpsde_dnnl_point(w->packed[s], w->packed_floats));
    }
    return VPSDE_OK;
}

void vpsde_conv_backward_destroy(conv_workspace *w)
{
    for (size_t s = 0; s < SOURCES; s++) {
        (void)dnnl_memory_destroy(w->x_all[s]);
        (void)dnnl_primitive_destroy(w->data[s]);
        (void)dnnl_primitive_destroy(w->gradient[s][0]);
        (void)dnnl_primitive_destroy(w->gradient[s][1]);
        (void)dnnl_primitive_destroy(w->unpack[s]);
        (void)dnnl_memory_destroy(w->packed[s]);
        (void)dnnl_memory_destroy(w->plain[s]);
    }
    (void)dnnl_memory_destroy(w->y_all);
    free(w->packed_floats);
    free(w->plain_floats);
    free(w->bias_floats);
    free(w->dx);
}

/* gin of source s in one image. */
static vpsde_status image_data(const conv *c, conv_workspace *w, size_t s, const float *gout,
                               bool add, float *gin)
{
    VPSDE_TRY(vpsde_dnnl_point(w->x[s], add ? w->dx : gin));
    VPSDE_TRY(vpsde_dnnl_point(w->y, gout));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_SRC, w->x[s]},
                                    {DNNL_ARG_WEIGHTS, c->weights[s].data},
                                    {DNNL_ARG_DIFF_DST, w->y},
                                    {DNNL_ARG_SCRATCHPAD, w->scratchpad}};
    VPSDE_TRY(vpsde_conv_execute(w, w->data[s], 4, args));
    if (add) vpsde_put(vpsde_extent_floats(c->in[s]), gin, true, 1, w->dx);
    return VPSDE_OK;
}

static vpsde_status data_gradients(const conv *c, conv_workspace *w, const vpsde_layer_call *call)
{
    for (size_t s = 0; s < c->n_sources; s++) {
        for (size_t i = 0; call->gin[s] && i < call->n; i++) {
            VPSDE_TRY(image_data(c, w, s, call->gout + i * vpsde_extent_floats(c->out),
                                 call->add[s], call->gin[s] + i * vpsde_extent_floats(c->in[s])));
        }
    }
    return VPSDE_OK;
}

/* gradient += that of the images from x and gout on (all n at once, or one). */
static vpsde_status images_gradient(const vpsde_layer *layer, conv_workspace *w, bool all,
                                    const float *const x[SOURCES], const float *gout,
                                    float *gradient)
{
    const conv *const c = layer->own;
    const size_t rows = c->spec.channels / c->spec.n_parts;
    const float scale = (float)c->spec.scale;
    dnnl_memory_t *const xs = all ? w->x_all : w->x;
    const dnnl_memory_t ys = all ? w->y_all : w->y;
    VPSDE_TRY(vpsde_dnnl_point(w->bias, w->bias_floats));
    VPSDE_TRY(vpsde_dnnl_point(ys, gout));
    for (size_t s = 0; s < c->n_sources; s++) {
        VPSDE_TRY(vpsde_dnnl_point(xs[s], x[s]));
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, xs[s]},
                                        {DNNL_ARG_DIFF_DST, ys},
                                        {DNNL_ARG_DIFF_WEIGHTS, w->packed[s]},
                                        {DNNL_ARG_SCRATCHPAD, w->scratchpad},
                                        {DNNL_ARG_DIFF_BIAS, w->bias}};
        VPSDE_TRY(vpsde_conv_execute(w, w->gradient[s][all], s == 0 ? 5 : 4, args));
        const dnnl_exec_arg_t plain[] = {{DNNL_ARG_FROM, w->packed[s]},
                                         {DNNL_ARG_TO, w->plain[s]},
                                         {DNNL_ARG_SCRATCHPAD, w->scratchpad}};
        VPSDE_TRY(vpsde_conv_execute(w, w->unpack[s], 3, plain));
    }
    for (size_t p = 0; p < c->spec.n_parts; p++) {
        vpsde_put(rows * conv_floats(c), gradient + layer->parameter[2 * p].offset, true, scale,
                  w->plain_floats + p * rows * conv_floats(c));
        vpsde_put(rows, gradient + layer->parameter[2 * p + 1].offset, true, scale,
                  w->bias_floats + p * rows);
    }
    return VPSDE_OK;
}

static vpsde_status all_gradients(const vpsde_layer *layer, conv_workspace *w,
                                  const vpsde_layer_call *call)
{
    const conv *const c = layer->own;
    const bool all = call->n == w->n;
    for (size_t i = 0; i < (all ? 1 : call->n); i++) {
        const float *x[SOURCES] = {NULL};
        for (size_t s = 0; s < c->n_sources; s++) {
            x[s] = call->in[s] + i * vpsde_extent_floats(c->in[s]);
        }
        VPSDE_TRY(images_gradient(layer, w, all, x, call->gout + i * vpsde_extent_floats(c->out),
                                  call->gradient));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_conv_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const conv *const c = layer->own;
    conv_workspace *const w = ws;
    VPSDE_TRY(
        vpsde_conv_prepared(w->plain_floats && c->weights[0].data_floats && call->n <= w->n, call));
    vpsde_conv_residual_gradient(layer, call, (float)c->spec.scale);
    if (!w->serial) VPSDE_TRY(data_gradients(c, w, call));
    const int saved = vpsde_serial_begin();
    vpsde_status status = w->serial ? data_gradients(c, w, call) : VPSDE_OK;
    if (status == VPSDE_OK && call->gradient) status = all_gradients(layer, w, call);
    vpsde_serial_end(saved);
    return status;
}
