/* index_k = round((n - k) (N - 1)/n): N - 1 down to 0, whose place at 1/N is left to t_min; the N
 * points have N - 1 steps between them. Lin et al. 2024, arXiv:2305.08891, table 2, with the n + 1
 * points of diffusers' scheduling_dpmsolver_multistep.py. */
#include <math.h>

#include "sde/ddpm_index.h"
#include "sde/registry.h"

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    double n;
    (void)param;
    VPSDE_TRY(vpsde_ddpm_chain(&n, process, n_steps, 1, "linspace"));
    const double stride = (n - 1) / (double)n_steps;
    for (size_t k = 1; k < n_steps; k++) {
        const double index = nearbyint((double)(n_steps - k) * stride);
        t[k] = (index + 1) / n;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_linspace = {
    .name = "linspace",
    .source = "Lin et al. 2024, arXiv:2305.08891, table 2",
    .doc = "DDPM steps spread from the last to the first.",
    .place = place,
};
