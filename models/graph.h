/* An image network as a list of layers over numbered tensors: memory planning, forward, forward-mode
 * tangents and reverse mode. models/unet_build.c writes such lists.
 *
 * Made once, then read by all threads; each thread has its own workspace. Tensors of the value pass
 * share memory by lifetime unless a tape is asked for; tangents always share. */
#ifndef VPSDE_MODELS_GRAPH_H
#define VPSDE_MODELS_GRAPH_H

#include "models/layers/layer.h"

typedef struct vpsde_graph vpsde_graph;
typedef struct vpsde_graph_workspace vpsde_graph_workspace;

/* No tensor: an input that is absent. */
#define VPSDE_TENSOR_NONE SIZE_MAX

vpsde_status vpsde_graph_create(vpsde_graph **out, vpsde_extent input);
void vpsde_graph_destroy(vpsde_graph *graph);

/* Tensor 0 is the network's input. */
vpsde_extent vpsde_graph_extent(const vpsde_graph *graph, size_t tensor);

/* Takes a made layer over (also on failure, when it is destroyed), gives its parameters their places and
 * its output a number. `in` holds VPSDE_LAYER_INPUTS different tensors (or NONE); their extents are
 * layer->in. EINVAL. */
vpsde_status vpsde_graph_add(vpsde_graph *graph, size_t *out, vpsde_layer *layer, const size_t *in);

/* The last added layer's output is the network's; every other layer's output must have a reader.
 * Allocates the flat vector of parameters, zeroed. EINVAL. */
vpsde_status vpsde_graph_finish(vpsde_graph *graph);

float *vpsde_graph_parameters(const vpsde_graph *graph);
size_t vpsde_graph_floats(const vpsde_graph *graph); /* of the flat vector, padding included */
size_t vpsde_graph_n_parameters(const vpsde_graph *graph); /* numbers, padding left out */
/* Tensor p of the state_dict in the order of the layers, NULL past the last. */
const vpsde_parameter *vpsde_graph_parameter(const vpsde_graph *graph, size_t p);
/* By its name, NULL: a finished network has none of it. */
const vpsde_parameter *vpsde_graph_find(const vpsde_graph *graph, const char *name);
double vpsde_graph_flops(const vpsde_graph *graph);

/* From the next pack on: the results of a bfloat16 network, whose layers multiply and add in float32. The
 * input, what passes from layer to layer and the weights of layers that have a matrix or kernels are
 * rounded, tangents likewise. What does not depend on the input (embeddings of times and classes and
 * their projections), the maps of norms and the output stay float32. Forward and jvp alone. */
void vpsde_graph_set_bf16(vpsde_graph *graph, bool bf16);

/* After parameters changed, from one thread; `backward`: a reverse pass will follow. EINVAL for a reverse
 * pass in bfloat16. */
vpsde_status vpsde_graph_pack(vpsde_graph *graph, bool backward);

typedef struct vpsde_graph_need {
    size_t images;   /* most of one call */
    size_t tangents; /* most images x tangents of one jvp call; 0: none */
    bool backward;
} vpsde_graph_need;

/* For one thread; EINVAL naming both figures for more memory than the machine has. The calls below never use more library threads than may be used when it is made. */
vpsde_status vpsde_graph_workspace_create(vpsde_graph_workspace **out, const vpsde_graph *graph,
                                          const vpsde_graph_need *need);
void vpsde_graph_workspace_destroy(vpsde_graph_workspace *ws);
/* Of its tensors and scratch, without the layers' own handles. */
size_t vpsde_graph_workspace_bytes(const vpsde_graph_workspace *ws);

/* Where the caller puts (n, input) and finds (n, output), and the same for tangents (n k, ...) and for
 * gradients (n, ...). */
float *vpsde_graph_in(vpsde_graph_workspace *ws);
const float *vpsde_graph_out(const vpsde_graph_workspace *ws);
float *vpsde_graph_din(vpsde_graph_workspace *ws);
const float *vpsde_graph_dout(const vpsde_graph_workspace *ws);
float *vpsde_graph_gout(vpsde_graph_workspace *ws);
const float *vpsde_graph_gin(const vpsde_graph_workspace *ws);

typedef struct vpsde_graph_times {
    const double *label;    /* (n), or (1) when shared */
    const int32_t *classes; /* (n) or NULL */
    bool shared;
} vpsde_graph_times;

vpsde_status vpsde_graph_forward(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t n,
                                 const vpsde_graph_times *times);
/* k tangents of each of the n images of the last forward. Any number of times after it. Images first to
 * first + n - 1 of them. */
vpsde_status vpsde_graph_jvp(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t first,
                             size_t n, size_t k);
/* After a forward: gradient (floats) += dL/dparameters, gin = dL/dinput when `want_gin`. */
vpsde_status vpsde_graph_backward(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t n,
                                  float *gradient, bool want_gin);

#endif
