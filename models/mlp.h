/* The residual SiLU network of models/mlp.c, made from C. */
#ifndef VPSDE_MODELS_MLP_H
#define VPSDE_MODELS_MLP_H

#include <vpsde/model.h>

typedef struct vpsde_mlp_spec {
    size_t dim;           /* d */
    size_t hidden;        /* H; 0: 128 */
    size_t layers;        /* L residual blocks; 0: 3 */
    size_t time_features; /* F, even; 0: 64 */
} vpsde_mlp_spec;

/* A network with weights drawn from `seed` (VPSDE_NOISE_INIT): uniform on +-1/sqrt(in), the output
 * layer 0. EINVAL for sizes out of bounds. Destroyed by vpsde_model_destroy. */
vpsde_status vpsde_mlp_create(vpsde_model **out, const vpsde_mlp_spec *spec, uint64_t seed);

/* The named tensor of the network (row-major (rows, cols); a bias has cols 1), or NULL. Workspaces
 * made before a change do not see it. */
float *vpsde_mlp_tensor(vpsde_model *model, const char *name, size_t *rows, size_t *cols);

#endif
