/* Inside the convolution: its three ways of working, and what they share.
 *
 * conv_winograd.c  kernel 3, stride 1, one row of zeros around, enough channels; all that double
 * conv_few.c       the same kernel to a few channels
 * conv_direct.c    everything else, on oneDNN's direct convolution */
#ifndef VPSDE_MODELS_LAYERS_CONV_IMPL_H
#define VPSDE_MODELS_LAYERS_CONV_IMPL_H

#include "models/layers/conv.h"

enum { SOURCES = 2 };

/* Whether this way takes the convolution, and its maker for a layer whose extents and parameters stand
 * (scale and n_parts are at least 1); a failure leaves the layer to be destroyed. */
typedef struct vpsde_conv_way {
    bool (*takes)(const vpsde_conv_spec *spec, const vpsde_extent *in);
    vpsde_status (*make)(vpsde_layer *layer, const vpsde_conv_spec *spec);
} vpsde_conv_way;

extern const vpsde_conv_way vpsde_conv_winograd, vpsde_conv_few, vpsde_conv_direct;

/* Kernel 3, stride 1, one row of zeros around, output in one part. */
static inline bool conv_is_plain(const vpsde_conv_spec *spec)
{
    return spec->kernel == 3 && spec->stride == 1 && spec->before == 1 && spec->after == 1 &&
           spec->n_parts == 1;
}

/* gradient (channels) += scale times the sum over pixels of gout (pixels, channels) */
void vpsde_conv_bias_gradient(size_t channels, size_t pixels, float scale, const float *gout,
                              float *gradient);
/* EINTERNAL unless the reverse pass of this call was prepared. */
vpsde_status vpsde_conv_prepared(bool prepared, const vpsde_layer_call *call);
/* What a reverse pass owes the residual, if anything. */
void vpsde_conv_residual_gradient(const vpsde_layer *layer, const vpsde_layer_call *call,
                                  float scale);

#endif
