/* UNet2DModel of diffusers on oneDNN: built from its config, as a graph of layers. */
#ifndef VPSDE_MODELS_UNET_H
#define VPSDE_MODELS_UNET_H

#include <vpsde/model.h>

#include "models/graph.h"
#include "models/unet_spec.h"

struct vpsde_safetensors; /* core/safetensors.h */

/* What a file holds of a network's parameters. */
typedef struct vpsde_unet_store {
    /* A parameter's values; out = NULL: only whether they are there in its shape. EDATA. */
    vpsde_status (*read)(const void *files, const vpsde_parameter *p, float *out);
    const void *files;
} vpsde_unet_store;

/* EDATA for the first tensor of `file` that is not `known`: one that nobody asks for is of another
 * network under the same name. */
vpsde_status vpsde_unet_check_names(const struct vpsde_safetensors *file,
                                    bool (*known)(const void *context, const char *name),
                                    const void *context);

/* The graph of a spec (models/unet_build.c), parameters zero. EINVAL. With a store (or NULL) the sizes
 * come from a file, and memory is taken for none that is not that of one of its tensors. */
vpsde_status vpsde_unet_build(vpsde_graph **out, const vpsde_unet_spec *spec,
                              const vpsde_unet_store *store);

/* A network with weights drawn from `seed` (VPSDE_NOISE_INIT) by PyTorch's default rules; the output
 * convolution is 0. */
vpsde_status vpsde_unet_create(vpsde_model **out, const vpsde_unet_spec *spec, uint64_t seed);

/* A network with the store's parameters; NULL: zeros, to be filled in vpsde_unet_graph's vector. Either
 * way vpsde_unet_ready comes before its first use. */
vpsde_status vpsde_unet_wrap(vpsde_model **out, const vpsde_unet_spec *spec,
                             const vpsde_unet_store *store);
vpsde_graph *vpsde_unet_graph(const vpsde_model *model);
vpsde_status vpsde_unet_ready(vpsde_model *model);
const vpsde_unet_spec *vpsde_unet_get_spec(const vpsde_model *model);

/* A diffusers folder: config.json (also in unet/), diffusion_pytorch_model.safetensors or its sharded
 * index, scheduler_config.json (also in ../scheduler/, scheduler/). EDATA. */
vpsde_status vpsde_diffusers_open(vpsde_model **out, const char *folder);

#endif
