/* lambda_k = lambda(t_max) + (k/n) (lambda(t_min) - lambda(t_max)): equal steps in half the log of
 * the signal-to-noise ratio. Lu et al. 2022, arXiv:2206.00927, section 3.4. */
#include <math.h>

#include "sde/registry.h"

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    (void)param;
    const double t_min = vpsde_process_get_spec(process)->t_min;
    const double first = vpsde_process_at(process, vpsde_process_t_max(process)).lambda;
    const double last = vpsde_process_at(process, t_min).lambda;
    if (!isfinite(last)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid uniform-lambda: needs t_min > 0 (lambda is infinite "
                          "at t = 0), got %g",
                          t_min);
    }
    for (size_t k = 0; k <= n_steps; k++) {
        const double lambda = first + (double)k / (double)n_steps * (last - first);
        t[k] = vpsde_process_at_lambda(process, lambda).t;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_uniform_lambda = {
    .name = "uniform-lambda",
    .source = "Lu et al. 2022, arXiv:2206.00927, section 3.4",
    .doc = "Equal steps in lambda = log(alpha / sigma).",
    .place = place,
};
