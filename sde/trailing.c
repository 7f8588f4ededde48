/* index_k = round(N - k N/n) - 1: from N - 1 down to N/n - 1.
 * Lin et al. 2024, arXiv:2305.08891, table 2; diffusers scheduling_ddim.py. */
#include <math.h>

#include "sde/ddpm_index.h"
#include "sde/registry.h"

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    double n;
    (void)param;
    VPSDE_TRY(vpsde_ddpm_chain(&n, process, n_steps, 0, "trailing"));
    const double stride = n / (double)n_steps;
    for (size_t k = 1; k < n_steps; k++) {
        const double index = nearbyint(n - (double)k * stride) - 1;
        t[k] = (index + 1) / n;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_trailing = {
    .name = "trailing",
    .source = "Lin et al. 2024, arXiv:2305.08891, table 2",
    .doc = "Every (N/n)-th DDPM step, counted from the last.",
    .place = place,
};
