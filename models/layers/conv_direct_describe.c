/* The direct convolution's words for oneDNN. */
#include "models/layers/conv_direct.h"

typedef struct geometry {
    dnnl_memory_desc_t x, y, any, bias;
    dnnl_dims_t strides, before, after;
} geometry;

static vpsde_status geometry_set(geometry *g, const conv *c, size_t source, size_t n)
{
    const dnnl_dim_t side = (dnnl_dim_t)c->spec.kernel;
    const dnnl_dims_t dims = {(dnnl_dim_t)c->spec.channels, (dnnl_dim_t)c->in[source].channels,
                              side, side};
    for (size_t a = 0; a < 2; a++) {
        g->strides[a] = (dnnl_dim_t)c->spec.stride;
        g->before[a] = (dnnl_dim_t)c->spec.before;
        g->after[a] = (dnnl_dim_t)c->spec.after;
    }
    VPSDE_TRY(vpsde_dnnl_image(&g->x, n, c->in[source]));
    VPSDE_TRY(vpsde_dnnl_image(&g->y, n, c->out));
    dnnl_status_t e = dnnl_memory_desc_init_by_tag(&g->any, 4, dims, dnnl_f32, dnnl_format_tag_any);
    if (e == dnnl_success) e = dnnl_memory_desc_init_by_tag(&g->bias, 1, dims, dnnl_f32, dnnl_x);
    return vpsde_dnnl_check(e, "tensors of a convolution");
}

static dnnl_status_t operation(dnnl_convolution_desc_t *d, const geometry *g, conv_kind kind,
                               dnnl_prop_kind_t use, const dnnl_memory_desc_t *w, bool bias)
{
    switch (kind) {
    case CONV_FORWARD:
        return dnnl_convolution_forward_desc_init(d, use, dnnl_convolution_direct, &g->x, w,
                                                  &g->bias, &g->y, g->strides, g->before, g->after);
    case CONV_DATA:
        return dnnl_convolution_backward_data_desc_init(d, dnnl_convolution_direct, &g->x, w, &g->y,
                                                        g->strides, g->before, g->after);
    case CONV_WEIGHTS:
        break;
    }
    return dnnl_convolution_backward_weights_desc_init(d, dnnl_convolution_direct, &g->x, w,
                                                       bias ? &g->bias : NULL, &g->y, g->strides,
                                                       g->before, g->after);
}

static dnnl_status_t attributes(dnnl_primitive_attr_t attr, bool sum)
{
    const dnnl_status_t e =
        dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (e != dnnl_success || !sum) return e;
    dnnl_post_ops_t post;
    dnnl_status_t s = dnnl_post_ops_create(&post);
    if (s != dnnl_success) return s;
    s = dnnl_post_ops_append_sum(post, 1);
    if (s == dnnl_success) s = dnnl_primitive_attr_set_post_ops(attr, post);
    (void)dnnl_post_ops_destroy(post);
    return s;
}

vpsde_status vpsde_conv_describe(dnnl_primitive_desc_t *out, const conv *c, conv_kind kind,
                                 size_t source, size_t n, bool sum)
{
    geometry g;
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_convolution_desc_t d, forward;
    const conv_weights *const known = &c->weights[source];
    const dnnl_memory_desc_t *const packed[] = {&known->forward_md, &known->data_md, &g.any};
    VPSDE_TRY(vpsde_dnnl_engine(&engine));
    VPSDE_TRY(geometry_set(&g, c, source, n));
    const dnnl_memory_desc_t *const w =
        kind != CONV_WEIGHTS && packed[kind]->ndims == 0 ? &g.any : packed[kind];
    dnnl_status_t e = operation(&d, &g, kind, dnnl_forward_inference, w, source == 0);
    if (e == dnnl_success && kind != CONV_FORWARD) {
        e = operation(&forward, &g, CONV_FORWARD, dnnl_forward_training, &g.any, true);
        if (e == dnnl_success) e = dnnl_primitive_desc_create(&hint, &forward, NULL, engine, NULL);
    }
    if (e == dnnl_success) e = dnnl_primitive_attr_create(&attr);
    if (e == dnnl_success) e = attributes(attr, sum);
    if (e == dnnl_success) e = dnnl_primitive_desc_create(out, &d, attr, engine, hint);
    (void)dnnl_primitive_desc_destroy(hint);
    (void)dnnl_primitive_attr_destroy(attr);
    return vpsde_dnnl_check(e, "description of a convolution");
}
