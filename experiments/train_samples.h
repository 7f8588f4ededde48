/* The sheet of samples that a training draws now and then. */
#ifndef VPSDE_EXPERIMENTS_TRAIN_SAMPLES_H
#define VPSDE_EXPERIMENTS_TRAIN_SAMPLES_H

#include "experiments/setup.h"

/* Draws train.samples images from the model, the same noise every time and the classes in turn, and
 * writes them side by side as a binary PGM (PPM for three channels). ESTOPPED; EIO. */
vpsde_status vpsde_train_samples(const vpsde_setup *s, const vpsde_cli *cli, const char *path);

#endif
