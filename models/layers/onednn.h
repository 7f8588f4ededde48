/* What the layers on oneDNN's primitives share: the engine, status translation, memory handles. Only
 * the files of such layers include this header. */
#ifndef VPSDE_MODELS_LAYERS_ONEDNN_H
#define VPSDE_MODELS_LAYERS_ONEDNN_H

#include <dnnl.h>

#include "models/layers/layer.h"

/* ENOMEM, or EINTERNAL naming `what` and oneDNN's status. */
vpsde_status vpsde_dnnl_check(dnnl_status_t status, const char *what);

/* The process's one CPU engine, made at first use. */
vpsde_status vpsde_dnnl_engine(dnnl_engine_t *out);

/* n images of extent e, channels last. */
vpsde_status vpsde_dnnl_image(dnnl_memory_desc_t *out, size_t n, vpsde_extent e);

/* A handle to memory that somebody else owns; NULL: set later by vpsde_dnnl_point. */
vpsde_status vpsde_dnnl_memory(dnnl_memory_t *out, const dnnl_memory_desc_t *md, float *data);
vpsde_status vpsde_dnnl_point(dnnl_memory_t memory, const float *data);

/* floats that hold a tensor of this description */
size_t vpsde_dnnl_floats(const dnnl_memory_desc_t *md);

/* A tensor's description as a primitive's description has it. EINTERNAL where it has none. */
vpsde_status vpsde_dnnl_query_md(dnnl_memory_desc_t *out, const_dnnl_primitive_desc_t description,
                                 dnnl_query_t what);

/* A primitive of a description that is taken over, also on failure. `scratch` is raised to the floats
 * it needs at DNNL_ARG_SCRATCHPAD. */
vpsde_status vpsde_dnnl_primitive(dnnl_primitive_t *out, dnnl_primitive_desc_t description,
                                  size_t *scratch);

/* A primitive that copies memory like `from` into the format of `to`. */
vpsde_status vpsde_dnnl_reorder_make(dnnl_primitive_t *out, dnnl_memory_t to, dnnl_memory_t from,
                                     size_t *scratch);

#endif
