/* index_k = (n - 1 - k) floor(N/n) + steps_offset: every floor(N/n)-th step from the first.
 * Lin et al. 2024, arXiv:2305.08891, table 2; diffusers scheduling_ddim.py. With steps_offset 1 the
 * chain ends at index 0, t_min = 1/N (Stable Diffusion), and n = N would begin at index N, which is
 * none (diffusers #10003); with 0 it ends at the data: t_min < 1/N, or last_step: euler. */
#include <math.h>

#include "sde/ddpm_index.h"
#include "sde/registry.h"

static const vpsde_param params[] = {
    {.name = "steps_offset",
     .kind = VPSDE_PARAM_INT,
     .value = 1,
     .max = 1,
     .doc = "Added to each index; 0 needs t_min < 1/N or last_step: euler."},
    {.name = NULL},
};

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    double n;
    VPSDE_TRY(vpsde_ddpm_chain(&n, process, n_steps, (size_t)param[0], "leading"));
    const double stride = floor(n / (double)n_steps);
    for (size_t k = 1; k < n_steps; k++) {
        const double index = (double)(n_steps - 1 - k) * stride + param[0];
        t[k] = (index + 1) / n;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_leading = {
    .name = "leading",
    .source = "Lin et al. 2024, arXiv:2305.08891, table 2",
    .doc = "Every floor(N/n)-th DDPM step, counted from the first; node 0 is t_max all the same.",
    .params = params,
    .place = place,
};
