/* Facts a checkpoint carries beside its tensors, as safetensors metadata: plain text a key.
 *
 *   vpsde.kind       name of the registered model
 *   vpsde.shape      "2" or "1,14,14" (channel, row, column)
 *   vpsde.prediction what the network returns: eps, x0, v or score; absent: eps
 *   vpsde.schedule   name of the registered schedule; absent: made for any process
 *   vpsde.schedule.P one key for each parameter P of that schedule
 *   vpsde.betas      (a float64 tensor) for schedules that take a table
 *   vpsde.t_min, vpsde.t_max, vpsde.label_scale, vpsde.label_offset
 *
 * Numbers are %.17g, so that they come back bit for bit. */
#ifndef VPSDE_MODELS_CHECKPOINT_H
#define VPSDE_MODELS_CHECKPOINT_H

#include <vpsde/model.h>

#include "core/safetensors.h"

#define VPSDE_CHECKPOINT_BETAS      "vpsde.betas"
#define VPSDE_CHECKPOINT_PREDICTION "vpsde.prediction"

enum { VPSDE_CHECKPOINT_FACTS = 64, VPSDE_CHECKPOINT_TEXT = 96 };

/* Facts to be written: collect, then give `item` (n) to vpsde_safetensors_write. */
typedef struct vpsde_checkpoint {
    size_t n;
    vpsde_metadata item[VPSDE_CHECKPOINT_FACTS];
    char key[VPSDE_CHECKPOINT_FACTS][VPSDE_CHECKPOINT_TEXT];
    char value[VPSDE_CHECKPOINT_FACTS][VPSDE_CHECKPOINT_TEXT];
} vpsde_checkpoint;

void vpsde_checkpoint_text(vpsde_checkpoint *c, const char *key, const char *value);
void vpsde_checkpoint_number(vpsde_checkpoint *c, const char *key, double value);
/* kind, shape, prediction and process of a model. */
void vpsde_checkpoint_model(vpsde_checkpoint *c, const vpsde_model *model);
/* The tensor of betas where the model's schedule has one; returns how many were written (0, 1). */
size_t vpsde_checkpoint_betas(vpsde_tensor_out *tensor, const vpsde_model *model);

/* Reading; EDATA names the key. */
vpsde_status vpsde_checkpoint_read_number(double *out, const vpsde_safetensors *file,
                                          const char *key);
vpsde_status vpsde_checkpoint_read_size(size_t *out, const vpsde_safetensors *file, const char *key,
                                        size_t max);
/* The number of values of vpsde.shape. */
vpsde_status vpsde_checkpoint_read_dim(size_t *dim, const vpsde_safetensors *file);
/* shape, prediction, process and SHA-256 into a model; its dim must be the shape's product. */
vpsde_status vpsde_checkpoint_read_model(vpsde_model *model, const vpsde_safetensors *file);

#endif
