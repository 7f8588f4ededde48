/* Scaled dot-product self-attention over the pixels of each image (Vaswani et al. 2017,
 * arXiv:1706.03762, eq. (1)): in[0] = [q, k, v] (3 C channels), out C channels, C / heads a head. */
#ifndef VPSDE_MODELS_LAYERS_ATTENTION_H
#define VPSDE_MODELS_LAYERS_ATTENTION_H

#include "models/layers/layer.h"

vpsde_status vpsde_attention_make(vpsde_layer *layer, size_t heads, vpsde_extent qkv);

#endif
