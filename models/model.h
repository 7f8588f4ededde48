/* What the model files share beside the public interface. */
#ifndef VPSDE_MODELS_MODEL_H
#define VPSDE_MODELS_MODEL_H

#include <vpsde/model.h>

#define VPSDE_MODEL(name) extern const vpsde_model_type vpsde_model_##name;
#include "models/registry.def"
#undef VPSDE_MODEL

/* The metadata key of a checkpoint that names its model type. */
#define VPSDE_MODEL_KIND_KEY "vpsde.kind"

/* A flat (dim) model without parameters that takes over `impl`; on failure impl is destroyed. */
vpsde_status vpsde_model_wrap(vpsde_model **out, const vpsde_model_type *type, size_t dim,
                              void *impl);

#endif
