/* eps of many points of the plane at one time, component by component over a tile of points: the
 * bits of the general path of gaussian_mixture.c. */
#ifndef VPSDE_MODELS_MIXTURE_TILE_H
#define VPSDE_MODELS_MIXTURE_TILE_H

#include <stdbool.h>

#include <vpsde/model.h>

#include "models/mixture.h"

/* A time, with the eigenvalues of C^-1 and log det C of each spectrum there. */
typedef struct mixture_time {
    double alpha, sigma;
    const double *inverse, *log_det;
} mixture_time;

/* Is eps alone asked for at one time, in two dimensions, of few components without classes? */
bool mixture_tile_fits(const mixture *m, const vpsde_eval *e);
void mixture_tile_eps(const mixture *m, const mixture_time *at, const vpsde_eval *e);

#endif
