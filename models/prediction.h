/* From what a network predicts to eps: private to vpsde_model_eval. */
#ifndef VPSDE_MODELS_PREDICTION_H
#define VPSDE_MODELS_PREDICTION_H

#include <vpsde/model.h>

/* Turns the outputs that model->type->eval has left in e into eps, deps and div of eps, in
 * place. */
void vpsde_prediction_to_eps(const vpsde_model *model, const vpsde_eval *e);

#endif
