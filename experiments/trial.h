/* What a row of a run costs, network, solver, noise and log together: by running a few. */
#ifndef VPSDE_EXPERIMENTS_TRIAL_H
#define VPSDE_EXPERIMENTS_TRIAL_H

#include <vpsde/vpsde.h>

typedef struct vpsde_trial {
    vpsde_status (*run)(const void *work, size_t rows, vpsde_sink *sink); /* on one thread */
    const void *work;
    const vpsde_model *model;
    size_t count; /* rows of the run itself */
    double
        network; /* seconds of a row in the model's evaluations, where they come in full blocks */
} vpsde_trial;

/* Seconds of the whole run. Where a block of the network alone takes long, nothing is run: what comes beside
 * it is small then. */
vpsde_status vpsde_trial_seconds(double *seconds, const vpsde_trial *trial, size_t threads);

/* Takes everything and keeps nothing. */
vpsde_sink vpsde_trial_sink(void);

#endif
