/* Heat, work and kernels of one step of a path. */
#ifndef VPSDE_EXPERIMENTS_THERMO_STEP_H
#define VPSDE_EXPERIMENTS_THERMO_STEP_H

#include <stddef.h>

/* Both ends, and the sampler's kernel N(mean, variance) from the noisier to the cleaner one. */
typedef struct vpsde_thermo_step {
    const double *x, *s;   /* (d) noisier: state, score */
    const double *xc, *sc; /* (d) cleaner */
    const double *mean;    /* (d) or NULL: not known, and no log ratio */
    double h, variance;    /* length in b; of the kernel */
} vpsde_thermo_step;

/* What the step adds to sums along the path. */
typedef enum vpsde_along {
    VPSDE_ALONG_HEAT, /* midpoint */
    VPSDE_ALONG_WORK,
    VPSDE_ALONG_KERNEL_HEAT, /* heat by log kernel ratios */
    VPSDE_ALONG_RATIO, /* log q(x|xc) - log p(xc|x): the exact transition over the sampler's step */
    VPSDE_ALONG_MARTINGALE, /* what noise alone makes of forward heat */
    VPSDE_N_ALONG
} vpsde_along;

/* Of a step that a sampler took, towards data, and of one that the process took. */
void vpsde_thermo_drive(double gain[VPSDE_N_ALONG], const vpsde_thermo_step *step, size_t d);
void vpsde_thermo_relax(double gain[VPSDE_N_ALONG], const vpsde_thermo_step *step, size_t d);

#endif
