/* t_k = t_max + (k/n) (t_min - t_max). Song et al. 2021, arXiv:2011.13456. */
#include "sde/registry.h"

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    (void)param;
    const double first = vpsde_process_t_max(process);
    const double last = vpsde_process_get_spec(process)->t_min;
    for (size_t k = 0; k <= n_steps; k++) {
        t[k] = first + (double)k / (double)n_steps * (last - first);
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_uniform_t = {
    .name = "uniform-t",
    .source = "Song et al. 2021, arXiv:2011.13456",
    .doc = "Equal steps in t.",
    .place = place,
};
