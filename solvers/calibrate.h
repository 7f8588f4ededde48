/* Calibration passes, kept: grids that need the same one share it. */
#ifndef VPSDE_SOLVERS_CALIBRATE_H
#define VPSDE_SOLVERS_CALIBRATE_H

#include <vpsde/solver.h>

/* Passes of one model, seed, clip, guidance and kind of classes. Zero-initialise. */
typedef struct vpsde_calibrations {
    struct vpsde_calibration *last;
} vpsde_calibrations;

void vpsde_calibrations_close(vpsde_calibrations *kept);

/* vpsde_grid_calibrate with what is kept, to which it adds. grid->pilot_nfe is what the pass cost,
 * whether it was kept or not. */
vpsde_status vpsde_grid_calibrate_with(vpsde_calibrations *kept, vpsde_grid **out,
                                       const vpsde_grid_type *type, const vpsde_sampling *run,
                                       size_t n_steps, const double *param, const double *times,
                                       vpsde_last_step last_step);

#endif
