/* Inside the direct convolution: what make and pack prepare and the passes use. One primitive convolves one
 * image of one source; a second source, like the residual, is added to by oneDNN.
 *
 * oneDNN's generated convolutions ("jit") give the same bits for any number of threads; those by
 * matrix products, which it takes for some on older processors, do not and stay on one. */
#ifndef VPSDE_MODELS_LAYERS_CONV_DIRECT_H
#define VPSDE_MODELS_LAYERS_CONV_DIRECT_H

#include "models/layers/conv_impl.h"
#include "models/layers/onednn.h"

/* One source's weights. */
typedef struct conv_weights {
    dnnl_memory_desc_t plain_md;   /* (out, in, row, column) inside `staging` */
    dnnl_memory_desc_t forward_md; /* what the primitives ask for */
    dnnl_memory_desc_t data_md;
    dnnl_memory_t plain, forward, data;
    dnnl_primitive_t to_forward, to_data; /* from plain */
    float *forward_floats, *data_floats;
} conv_weights;

typedef struct conv {
    vpsde_conv_spec spec; /* no names */
    vpsde_extent in[SOURCES], out;
    size_t n_sources, channels_in; /* of all sources */
    dnnl_stream_t stream;
    conv_weights weights[SOURCES];
    float *staging; /* (out, in, row, column), scaled */
    float *bias;    /* (2, out): scaled; zero */
} conv;

typedef enum conv_kind { CONV_FORWARD, CONV_DATA, CONV_WEIGHTS } conv_kind;

static inline size_t conv_floats(const conv *c) /* of the weights of one output channel */
{
    return c->channels_in * c->spec.kernel * c->spec.kernel;
}

/* One thread's own. Index 1 of a gradient's: of all n images at once. */
typedef struct conv_workspace {
    size_t n;
    bool serial; /* some primitive is none whose bits are known not to depend on threads */
    dnnl_stream_t stream;
    dnnl_memory_t x[SOURCES], y, bias, scratchpad;
    dnnl_primitive_t forward[SOURCES][2]; /* overwriting; adding */
    float *scratch;                       /* of the primitives */
    /* backward alone */
    dnnl_primitive_t data[SOURCES], gradient[SOURCES][2], unpack[SOURCES];
    dnnl_memory_t x_all[SOURCES], y_all;
    dnnl_memory_t packed[SOURCES], plain[SOURCES];
    float *packed_floats; /* one gradient in the primitive's format */
    float *plain_floats;  /* (out, in, row, column) */
    float *bias_floats;   /* (out) */
    float *dx;            /* one image of one source */
} conv_workspace;

/* The primitive of n images; `sum`: a forward that adds to its destination. Weights have the packed
 * format once it is known. To be given to vpsde_dnnl_primitive. */
vpsde_status vpsde_conv_describe(dnnl_primitive_desc_t *out, const conv *c, conv_kind kind,
                                 size_t source, size_t n, bool sum);

/* A primitive of the workspace that threads may share, or that keeps it on one (`serial`). The
 * description is taken over, also on failure. */
vpsde_status vpsde_conv_primitive(conv_workspace *w, dnnl_primitive_t *out,
                                  dnnl_primitive_desc_t description, size_t *scratch);

vpsde_status vpsde_conv_execute(const conv_workspace *ws, dnnl_primitive_t primitive, int n_args,
                                const dnnl_exec_arg_t *args);

/* The backward part of a workspace; `scratch` is raised. */
vpsde_status vpsde_conv_backward_create(conv_workspace *w, const conv *c, size_t *scratch);
void vpsde_conv_backward_destroy(conv_workspace *w);

vpsde_status vpsde_conv_workspace_create(void **ws, const vpsde_layer *layer, size_t n,
                                         bool backward);
void vpsde_conv_workspace_destroy(void *ws);
vpsde_status vpsde_conv_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);
vpsde_status vpsde_conv_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);
vpsde_status vpsde_conv_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);

#endif
