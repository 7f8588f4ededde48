/* Rows of a minibatch from their addresses: data, time, noise, class, flip; and what the network is
 * asked for there. */
#ifndef VPSDE_MODELS_TRAIN_ROW_H
#define VPSDE_MODELS_TRAIN_ROW_H

#include "models/train.h"

typedef struct vpsde_train_rows {
    const vpsde_training *t;
    size_t d;
    size_t width;      /* pixels of an image's line that may be mirrored; 0: no flips */
    size_t n_nodes;    /* of a DDPM table up to t_max; 0: continuous */
    double lambda[2];  /* VPSDE_WEIGHTING_LIKELIHOOD: from the noisiest to the cleanest time */
    bool needs_weight; /* false: every weight is 1 */
} vpsde_train_rows;

/* EINVAL for options that do not go together, or not with the model. */
vpsde_status vpsde_train_rows_init(vpsde_train_rows *rows, const vpsde_training *t,
                                   const vpsde_model *model);

/* Where n rows go; `weight` and `classes` may be NULL. */
typedef struct vpsde_train_slab {
    float *x, *target; /* (n, d) */
    double *label;     /* (n) */
    float *weight;     /* (n) */
    int32_t *classes;  /* (n) */
} vpsde_train_slab;

/* Rows at places position ... position + n - 1 of the endless shuffled sequence. `scratch` holds
 * (n + 1) d. Fails as the source of the data does. */
vpsde_status vpsde_train_rows_fill(const vpsde_train_rows *rows, uint64_t position, size_t n,
                                   double *scratch, const vpsde_train_slab *out);

/* What chance decides at one place, before noise. */
typedef struct vpsde_train_chance {
    vpsde_coef time;
    bool drop, flip; /* the class, the image */
} vpsde_train_chance;

vpsde_train_chance vpsde_train_rows_chance(const vpsde_train_rows *rows, uint64_t position);

#endif
