/* Nearest-neighbour doubling and averaging of 2 x 2 pixels. */
#ifndef VPSDE_MODELS_LAYERS_RESAMPLE_H
#define VPSDE_MODELS_LAYERS_RESAMPLE_H

#include "models/layers/layer.h"

vpsde_status vpsde_double_make(vpsde_layer *layer, vpsde_extent in);
/* The last row or column of an odd side is dropped, as by PyTorch's avg_pool2d. */
vpsde_status vpsde_halve_make(vpsde_layer *layer, vpsde_extent in);

#endif
