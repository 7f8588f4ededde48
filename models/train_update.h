/* Elementwise half of a training step: sum of block gradients, norm, Adam, moving average. */
#ifndef VPSDE_MODELS_TRAIN_UPDATE_H
#define VPSDE_MODELS_TRAIN_UPDATE_H

#include <stddef.h>

/* Adam's numbers of one step (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1). */
typedef struct vpsde_adam {
    float rate;          /* learning rate */
    float scale;         /* of the gradient: clipping */
    float first, second; /* 1 - beta_1^step, 1 - beta_2^step */
    float keep;          /* 1 - decay of the moving average */
} vpsde_adam;

/* gradient[0] += gradient[1] + ... + gradient[n_blocks - 1] over count elements, pairwise in an
 * order that depends on n_blocks alone; block b starts at gradient + b * stride. Returns the sum of
 * squares of the result. The blocks are consumed. */
double vpsde_gradient_fold(size_t count, size_t n_blocks, float *gradient, size_t stride);

void vpsde_adam_update(size_t count, const vpsde_adam *adam, float *w, float *m, float *v,
                       float *average, const float *gradient);

#endif
