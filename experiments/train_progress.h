/* What a training says while it goes on: one line on a terminal, else one at each checkpoint. */
#ifndef VPSDE_EXPERIMENTS_TRAIN_PROGRESS_H
#define VPSDE_EXPERIMENTS_TRAIN_PROGRESS_H

#include "experiments/cli.h"
#include "experiments/loss_curve.h"

typedef struct vpsde_train_progress {
    bool terminal, quiet;
    uint64_t batch, steps, step;
    const vpsde_loss_curve *curve;
    double last_s;  /* when the last step ended; 0: what went on since was no training */
    double step_s;  /* a step takes, moving average; 0: not known yet */
    double shown_s; /* when the line was shown */
} vpsde_train_progress;

/* Steps follow on end: what went on before the first one is not counted as its time. */
void vpsde_train_progress_start(vpsde_train_progress *p);
void vpsde_train_progress_step(vpsde_train_progress *p, uint64_t step);
void vpsde_train_progress_checkpoint(vpsde_train_progress *p);

#endif
