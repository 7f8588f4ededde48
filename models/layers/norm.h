/* Group normalisation of [x, x2] + shift, with affine map and SiLU, in one pass over the memory after
 * the one that takes the moments.
 *
 *   u = gamma_c (h - mean_g) / sqrt(var_g + eps) + beta_c,   h = [x, x2] + shift
 *   u <- u (1 + scale) + offset   with in[SCALE_SHIFT] = [scale, offset]
 *   out = u silu'd or not
 *
 * Wu & He 2018 (arXiv:1803.08494). Groups run over x's channels followed by x2's. */
#ifndef VPSDE_MODELS_LAYERS_NORM_H
#define VPSDE_MODELS_LAYERS_NORM_H

#include "models/layers/layer.h"

enum {
    VPSDE_NORM_X,
    VPSDE_NORM_X2,
    VPSDE_NORM_SHIFT,      /* (1, 1, C) added to every pixel: the time embedding */
    VPSDE_NORM_SCALE_SHIFT /* (1, 1, 2 C) */
};

typedef struct vpsde_norm_spec {
    size_t groups;
    double eps;
    bool silu;
    const char *name; /* NAME.weight, NAME.bias */
} vpsde_norm_spec;

vpsde_status vpsde_norm_make(vpsde_layer *layer, const vpsde_norm_spec *spec,
                             const vpsde_extent in[VPSDE_LAYER_INPUTS]);

#endif
