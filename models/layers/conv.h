/* 2-D convolution, channels last; one image at a time, so that its bits are its own.
 *
 *   out = scale (conv([x, x2]; W) + b + residual)
 *
 * over the channels of x followed by those of x2, optionally after nearest-neighbour doubling of both
 * sides. A kernel of 1 serves as the linear layer of every pixel. */
#ifndef VPSDE_MODELS_LAYERS_CONV_H
#define VPSDE_MODELS_LAYERS_CONV_H

#include "models/layers/layer.h"

enum { VPSDE_CONV_X, VPSDE_CONV_X2, VPSDE_CONV_RESIDUAL };
enum { VPSDE_CONV_PARTS = 3 };

typedef struct vpsde_conv_spec {
    size_t channels;      /* of the output */
    size_t kernel;        /* 1 or 3 */
    size_t stride;        /* 1 or 2 */
    size_t before, after; /* rows and columns of zeros at the near and the far ends */
    bool upsample;        /* nearest x 2 before; stride 1, one part */
    double scale;         /* 0 means 1 */
    size_t n_parts;       /* the output's channels come in so many tensors (q, k, v); 0 means 1 */
    /* names: PART.weight (channels / n_parts, in, kernel, kernel), PART.bias */
    const char *part[VPSDE_CONV_PARTS];
    bool matrix; /* PART.weight is stored with rank 2: (out, in); kernel 1 */
} vpsde_conv_spec;

/* in[VPSDE_CONV_X..]; x2 and residual may be absent. EINVAL. */
vpsde_status vpsde_conv_make(vpsde_layer *layer, const vpsde_conv_spec *spec,
                             const vpsde_extent in[VPSDE_LAYER_INPUTS]);

#endif
