/* sqrt(t_k) = sqrt(t_max) + (k/n) (sqrt(t_min) - sqrt(t_max)): finer near the data.
 * Song, Meng & Ermon 2021 (DDIM), arXiv:2010.02502, appendix D.2. */
#include <math.h>

#include "sde/registry.h"

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    (void)param;
    const double first = sqrt(vpsde_process_t_max(process));
    const double last = sqrt(vpsde_process_get_spec(process)->t_min);
    for (size_t k = 0; k <= n_steps; k++) {
        const double root = first + (double)k / (double)n_steps * (last - first);
        t[k] = root * root;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_quadratic_t = {
    .name = "quadratic-t",
    .source = "Song, Meng & Ermon 2021, arXiv:2010.02502, appendix D.2",
    .doc = "Equal steps in sqrt(t).",
    .place = place,
};
