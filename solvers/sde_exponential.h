/* What the exponential solvers of the reverse SDE share beside solvers/exponential.h. */
#ifndef VPSDE_SOLVERS_SDE_EXPONENTIAL_H
#define VPSDE_SOLVERS_SDE_EXPONENTIAL_H

#include "solvers/exponential.h"

/* x <- x + scale z, z (n, d) the driving noise of the whole step; nothing, and z is left alone,
 * when scale is 0. */
void vpsde_add_step_noise(vpsde_step *s, double scale, double *z);

/* kernel_std of a multistep solver with this eta. */
double vpsde_exponential_std(const vpsde_step *s, double eta);

/* One step of two stages from x0 = x0hat(x) at s->at, with the stage at lambda + r h. */
typedef struct vpsde_two_stages {
    double eta, r;
    bool exact_slope;       /* integrates the line through both x0hat; else the weights
                               on[0] (1 - 1/(2 r), 1/(2 r)) of DPM-Solver++(2S) */
    bool independent_noise; /* the step's noise forgets the stage's */
} vpsde_two_stages;

/* The network is called once, at the stage; never in a step to sigma = 0, which is x' = x0hat.
 * x0, u, z (n, d) are buffers of the caller; x0 is kept. */
vpsde_status vpsde_two_stage_step(vpsde_step *s, const vpsde_two_stages *form, const double *x0,
                                  double *u, double *z);

#endif
