/* With rho and the noise-to-signal ratio r = sigma/alpha = exp(-lambda):
 *   r_k^(1/rho) = r(t_max)^(1/rho) + (k/n) (r(t_min)^(1/rho) - r(t_max)^(1/rho)).
 * Karras et al. 2022, arXiv:2206.00364, eq. (5), whose r is sigma and whose final 0 is
 * last_step: euler. */
#include <math.h>

#include "sde/registry.h"

static const vpsde_param params[] = {
    {.name = "rho",
     .value = 7,
     .min = 1,
     .max = 100,
     .doc = "Exponent: 1 is equal steps in sigma/alpha, large values approach uniform-lambda."},
    {.name = NULL},
};

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    const double rho = param[0];
    const vpsde_coef first = vpsde_process_at(process, vpsde_process_t_max(process));
    const vpsde_coef last = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min);
    const double from = exp(-first.lambda / rho), to = exp(-last.lambda / rho);
    for (size_t k = 0; k <= n_steps; k++) {
        const double root = from + (double)k / (double)n_steps * (to - from);
        t[k] = vpsde_process_at_lambda(process, -rho * log(root)).t;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_karras = {
    .name = "karras",
    .source = "Karras et al. 2022, arXiv:2206.00364, eq. (5)",
    .doc = "Equal steps in (sigma/alpha)^(1/rho).",
    .params = params,
    .place = place,
};
