/* UNet2DModel of diffusers on oneDNN: built from its config, as a graph of layers. */
#ifndef VPSDE_MODELS_UNET_H
#define VPSDE_MODELS_UNET_H

#include <vpsde/model.h>

#include "models/graph.h"
#include "models/unet_spec.h"

/* The graph of a spec (models/unet_build.c), parameters zero. EINVAL. */
vpsde_status vpsde_unet_build(vpsde_graph **out, const vpsde_unet_spec *spec);

/* A network with weights drawn from `seed` (VPSDE_NOISE_INIT) by PyTorch's default rules; the output
 * convolution is 0. */
vpsde_status vpsde_unet_create(vpsde_model **out, const vpsde_unet_spec *spec, uint64_t seed);

/* A network whose parameters are still zero: fill vpsde_unet_graph's vector, then vpsde_unet_ready. */
vpsde_status vpsde_unet_wrap(vpsde_model **out, const vpsde_unet_spec *spec);
vpsde_graph *vpsde_unet_graph(const vpsde_model *model);
vpsde_status vpsde_unet_ready(vpsde_model *model);
const vpsde_unet_spec *vpsde_unet_get_spec(const vpsde_model *model);

/* A diffusers folder: config.json (also in unet/), diffusion_pytorch_model.safetensors or its sharded
 * index, scheduler_config.json (also in ../scheduler/, scheduler/). EDATA. */
vpsde_status vpsde_diffusers_open(vpsde_model **out, const char *folder);

#endif
