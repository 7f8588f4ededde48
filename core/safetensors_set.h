/* Tensors of one network in one safetensors file, or in several that an index names
 * (NAME.safetensors.index.json of huggingface_hub: "weight_map" says which file holds which tensor). */
#ifndef VPSDE_CORE_SAFETENSORS_SET_H
#define VPSDE_CORE_SAFETENSORS_SET_H

#include "core/safetensors.h"

typedef struct vpsde_safetensors_set vpsde_safetensors_set;

/* A path that ends in .json is an index; its files lie beside it. EDATA names a tensor that is not where
 * the index says, or also where it does not. */
vpsde_status vpsde_safetensors_set_open(vpsde_safetensors_set **out, const char *path);
void vpsde_safetensors_set_close(vpsde_safetensors_set *set);

size_t vpsde_safetensors_set_files(const vpsde_safetensors_set *set);
const vpsde_safetensors *vpsde_safetensors_set_at(const vpsde_safetensors_set *set, size_t file);
/* The file that holds a tensor, or NULL. */
const vpsde_safetensors *vpsde_safetensors_set_find(const vpsde_safetensors_set *set,
                                                    const char *tensor);
/* Of one file: its own SHA-256; of several: of the lines "HEX  NAME\n" in the order of their names,
 * what `sha256sum NAME... | sha256sum` prints. */
const char *vpsde_safetensors_set_sha256(const vpsde_safetensors_set *set);

#endif
