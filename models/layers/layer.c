#include "models/layers/layer.h"

#include <stdio.h>

vpsde_status vpsde_layer_parameter(vpsde_layer *layer, const char *prefix, const char *suffix,
                                   size_t rank, const size_t *dims)
{
    if (layer->n_parameters == VPSDE_LAYER_TENSORS) {
        return vpsde_fail(VPSDE_EINTERNAL, "layer %s: more than %d tensors", layer->type->name,
                          (int)VPSDE_LAYER_TENSORS);
    }
    vpsde_parameter *const p = &layer->parameter[layer->n_parameters++];
    const int length = snprintf(p->name, sizeof(p->name), "%s%s%s", prefix, suffix ? "." : "",
                                suffix ? suffix : "");
    if (length < 0 || (size_t)length >= sizeof(p->name)) {
        return vpsde_fail(VPSDE_EINVAL, "parameter name %s.%s: too long", prefix,
                          suffix ? suffix : "");
    }
    p->rank = rank;
    p->count = 1;
    for (size_t a = 0; a < rank; a++) {
        p->dims[a] = dims[a];
        p->count *= dims[a];
    }
    return VPSDE_OK;
}
