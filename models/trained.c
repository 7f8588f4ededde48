/* The times a network was trained for: a DDPM network saw t = i/N, i = 1 ... N, that is labels 0 to
 * N - 1 (Ho et al. 2020, arXiv:2006.11239, algorithm 1); one of a continuous schedule t_min < t. */
#include "models/trained.h"

static const double rounding = 1e-12;

vpsde_status vpsde_model_t_min(double *t_min, const vpsde_model *model)
{
    vpsde_process *trained;
    *t_min = 0;
    if (!model->process.schedule) return VPSDE_OK;
    VPSDE_TRY(vpsde_process_create(&trained, &model->process));
    const size_t n = vpsde_process_n_ddpm(trained);
    *t_min =
        n > 0 ? vpsde_process_t_max(trained) / (double)n : vpsde_process_get_spec(trained)->t_min;
    vpsde_process_destroy(trained);
    return VPSDE_OK;
}

vpsde_status vpsde_model_check_t_min(const vpsde_model *model, double t_min)
{
    double trained;
    VPSDE_TRY(vpsde_model_t_min(&trained, model));
    if (t_min >= trained * (1 - rounding)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "t_min: must be at least %.17g, the smallest time this %s was trained for, "
                      "got %g; last_step: euler or tweedie goes on to t = 0",
                      trained, model->type->name, t_min);
}
