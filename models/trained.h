/* What times a network was trained for. */
#ifndef VPSDE_MODELS_TRAINED_H
#define VPSDE_MODELS_TRAINED_H

#include <vpsde/model.h>

/* EINVAL, naming both, when t_min > 0 of the training lies above `t_min`. */
vpsde_status vpsde_model_check_t_min(const vpsde_model *model, double t_min);

#endif
