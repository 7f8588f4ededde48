/* One layer of an image network: a table of functions over float32 tensors (images, row, column,
 * channel), channels last, and what the network keeps of each layer.
 *
 * Layers know nothing of their neighbours; models/graph.h strings them together, owns all memory and
 * hands every call its tensors. In forward and jvp an image's bits depend on that image alone, never on
 * its place in the call, its neighbours, their number or the number of threads: reductions run in an
 * order fixed by the layer's extents, and work is split over threads by images or by whole outputs
 * only. The bits of a backward call, whose gradient is a sum over images, may depend on n too, but
 * never on threads: the trainer cuts a minibatch into the same calls whatever its threads. */
#ifndef VPSDE_MODELS_LAYERS_LAYER_H
#define VPSDE_MODELS_LAYERS_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

enum { VPSDE_LAYER_INPUTS = 4, VPSDE_LAYER_TENSORS = 6, VPSDE_LAYER_NAME = 120 };

/* One image's extents; height = width = 1 for embeddings. channels = 0: an input that is absent. */
typedef struct vpsde_extent {
    size_t height, width, channels;
} vpsde_extent;

static inline size_t vpsde_extent_pixels(vpsde_extent e) { return e.height * e.width; }
static inline size_t vpsde_extent_floats(vpsde_extent e) { return e.height * e.width * e.channels; }

/* A parameter tensor by the name it has in PyTorch's state_dict, in PyTorch's layout. */
typedef struct vpsde_parameter {
    char name[VPSDE_LAYER_NAME];
    size_t rank, dims[4];
    size_t count;  /* product of dims */
    size_t offset; /* into the flat vector, set by the graph; on a 64-byte boundary */
} vpsde_parameter;

typedef struct vpsde_layer vpsde_layer;

/* Tensors of one call. Pointers to values cover n images, to tangents n k (all k of image 0 first). */
typedef struct vpsde_layer_call {
    size_t n, k;             /* images; tangents an image */
    const float *parameters; /* the network's flat vector */
    const double *label;     /* (n) the network's time input; (1) when `shared` */
    const int32_t *classes;  /* (n) or NULL */
    bool shared;    /* all images share label[0]: time branches compute image 0 and repeat it */
    float *scratch; /* (layer->scratch) of this call alone */

    const float *in[VPSDE_LAYER_INPUTS]; /* (n, in); NULL where the layer has no such input */
    float *out;                          /* (n, out) */
    /* (n, layer->keep) from forward to jvp and backward; NULL when neither follows */
    float *keep;

    const float *din[VPSDE_LAYER_INPUTS]; /* jvp: (n, k, in); NULL: zero, but one at least is set */
    float *dout;                          /* jvp: (n, k, out) */

    const float *gout;              /* backward: (n, out) dL/dout */
    float *gin[VPSDE_LAYER_INPUTS]; /* backward: (n, in) dL/din; NULL: not wanted */
    bool add[VPSDE_LAYER_INPUTS];   /* backward: gin[i] += instead of = */
    float *gradient;                /* backward: flat vector, += */
} vpsde_layer_call;

typedef struct vpsde_layer_type {
    const char *name;
    /* Frees layer->own. */
    void (*destroy)(vpsde_layer *layer);
    /* Derives layer->own's form of the parameters (for `backward` too when asked); called after every
     * change of them, never beside a running call. NULL: nothing is derived. */
    vpsde_status (*pack)(vpsde_layer *layer, const float *parameters, bool backward);
    /* One thread's own handles, for calls of up to n images made with the number of library threads
     * that is set now; NULL: none needed. */
    vpsde_status (*workspace_create)(void **ws, const vpsde_layer *layer, size_t n, bool backward);
    void (*workspace_destroy)(void *ws);
    /* out from in. */
    vpsde_status (*forward)(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);
    /* dout from din, after a forward whose in, out and keep still stand. */
    vpsde_status (*jvp)(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);
    /* gin and gradient from gout, after a forward whose in, out and keep still stand. */
    vpsde_status (*backward)(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);
} vpsde_layer_type;

/* Filled by the layer's own maker (vpsde_conv_make, ...), from the extents of its inputs. */
struct vpsde_layer {
    const vpsde_layer_type *type;
    vpsde_extent in[VPSDE_LAYER_INPUTS], out;
    size_t n_parameters; /* tensors */
    vpsde_parameter parameter[VPSDE_LAYER_TENSORS];
    size_t keep;    /* floats an image from forward to jvp and backward */
    size_t scratch; /* floats a call of any kind needs, whatever n and k */
    /* of one image's forward, 2 a multiply-add, by the layer's definition whatever way computes it: a
     * doubling convolution's 9 taps at every pixel of the output */
    double flops;
    void *own;
};

/* Adds "PREFIX.SUFFIX" (or PREFIX alone for suffix NULL) to the layer's table. */
vpsde_status vpsde_layer_parameter(vpsde_layer *layer, const char *prefix, const char *suffix,
                                   size_t rank, const size_t *dims);

static inline const float *vpsde_layer_at(const vpsde_layer *layer, const float *vector, size_t p)
{
    return vector + layer->parameter[p].offset;
}

#endif
