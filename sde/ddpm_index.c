#include "sde/ddpm_index.h"

enum { N_CONTINUOUS = 1000 };

vpsde_status vpsde_ddpm_chain(double *n_chain, const vpsde_process *process, size_t n_steps,
                              size_t spare, const char *grid)
{
    const size_t own = vpsde_process_n_ddpm(process), n = own ? own : N_CONTINUOUS;
    if (n_steps + spare > n) {
        return vpsde_fail(VPSDE_EINVAL,
                          "steps: grid %s places at most %zu steps among %zu DDPM steps, got %zu",
                          grid, n - spare, n, n_steps);
    }
    *n_chain = (double)n;
    return VPSDE_OK;
}
