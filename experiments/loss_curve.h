/* The loss curve of a training: in memory while it goes on, in a run file at every checkpoint. */
#ifndef VPSDE_EXPERIMENTS_LOSS_CURVE_H
#define VPSDE_EXPERIMENTS_LOSS_CURVE_H

#include "experiments/setup.h"
#include "models/train.h"

typedef struct vpsde_loss_curve vpsde_loss_curve;

vpsde_status vpsde_loss_curve_create(vpsde_loss_curve **out, uint64_t steps);
void vpsde_loss_curve_destroy(vpsde_loss_curve *curve); /* NULL is fine */
/* A report of vpsde_train; `curve` is the vpsde_loss_curve. */
void vpsde_loss_curve_add(void *curve, const vpsde_train_report *report);
/* Writes PATH with one row a step. EIO. */
vpsde_status vpsde_loss_curve_write(const vpsde_loss_curve *curve, const char *path,
                                    const vpsde_setup *setup, const char *status);
/* The first `steps` rows of an earlier file; a missing or other file leaves them unknown (NaN). */
vpsde_status vpsde_loss_curve_read(vpsde_loss_curve *curve, const char *path, uint64_t steps);
/* Moving average of the loss after the last step. */
double vpsde_loss_curve_running(const vpsde_loss_curve *curve);
/* Mean loss of the last tenth of the steps done. */
double vpsde_loss_curve_tail(const vpsde_loss_curve *curve);

#endif
