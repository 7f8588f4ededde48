/* The probability-flow ODE in a clock: dx/du = on_x x + on_eps eps,
 *     phi:    (eps - sigma x)/alpha
 *     t:      -(beta/2)(x - eps/sigma)
 *     lambda: sigma^2 x - sigma eps */
#ifndef VPSDE_SOLVERS_SLOPE_H
#define VPSDE_SOLVERS_SLOPE_H

#include <vpsde/process.h>

typedef struct vpsde_slope {
    double u, on_x, on_eps;
} vpsde_slope;

/* A clock: the slope at a time, and the time where the clock shows u. */
typedef struct vpsde_slope_clock {
    vpsde_slope (*at)(const vpsde_coef *c);
    vpsde_coef (*when)(const vpsde_process *process, double u);
} vpsde_slope_clock;

enum { VPSDE_SLOPE_CLOCKS = 3 };
#define VPSDE_SLOPE_CHOICES "phi|t|lambda"
extern const vpsde_slope_clock vpsde_slope_clocks[VPSDE_SLOPE_CLOCKS];

#endif
