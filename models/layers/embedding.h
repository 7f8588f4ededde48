/* Layers on embeddings, (images, 1, 1, channels): sinusoidal and Fourier times, the linear layer, the
 * table of classes. */
#ifndef VPSDE_MODELS_LAYERS_EMBEDDING_H
#define VPSDE_MODELS_LAYERS_EMBEDDING_H

#include "models/layers/layer.h"

/* out = [sin(w_j label), cos(w_j label)], w_j = exp(-log(10000) j / (half - freq_shift)), or with the
 * cosines first; diffusers' Timesteps. `of_classes`: of the class number instead of the label. No input. */
typedef struct vpsde_sinusoid_spec {
    size_t channels;
    bool cosine_first; /* flip_sin_to_cos */
    double freq_shift;
    bool of_classes;
} vpsde_sinusoid_spec;
vpsde_status vpsde_sinusoid_make(vpsde_layer *layer, const vpsde_sinusoid_spec *spec);

/* out = [sin(2 pi w_j log label), cos(...)] with a stored w (half): diffusers' GaussianFourierProjection,
 * NAME.weight. `channels` = 2 half. */
vpsde_status vpsde_fourier_make(vpsde_layer *layer, const char *name, size_t channels,
                                bool cosine_first);

/* out = W a(x) + b, then a'(.): a, a' identity or SiLU. NAME.weight (out, in), NAME.bias. */
typedef struct vpsde_dense_spec {
    size_t channels;
    bool silu_in, silu_out;
    const char *name;
} vpsde_dense_spec;
vpsde_status vpsde_dense_make(vpsde_layer *layer, const vpsde_dense_spec *spec, vpsde_extent in);

/* out = in[0] + table[class]: NAME (n_classes, channels). Class -1 is the row `null_row` (SIZE_MAX: EINVAL
 * when asked). */
vpsde_status vpsde_class_table_make(vpsde_layer *layer, const char *name, size_t n_classes,
                                    size_t null_row, vpsde_extent in);

/* out = in[0] + in[1] */
vpsde_status vpsde_sum_make(vpsde_layer *layer, vpsde_extent a, vpsde_extent b);

#endif
