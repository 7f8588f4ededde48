/* beta_i = beta_start + (beta_end - beta_start) (i - 1)/(N - 1), i = 1 ... N, at t = i/N.
 * Ho et al. 2020, arXiv:2006.11239, section 4. Continuous by sde/beta_table.h. */
#include <stdlib.h>

#include "core/mem.h"
#include "sde/beta_table.h"
#include "sde/registry.h"

enum { BETA_START, BETA_END, STEPS };

static const vpsde_param params[] = {
    [BETA_START] = {.name = "beta_start",
                    .value = 1e-4,
                    .max = 0.999,
                    .open_min = true,
                    .doc = "beta_1, the noise of the first step."},
    [BETA_END] = {.name = "beta_end",
                  .value = 0.02,
                  .max = 0.999,
                  .open_min = true,
                  .doc = "beta_N, the noise of the last step."},
    [STEPS] = {.name = "steps",
               .kind = VPSDE_PARAM_INT,
               .value = 1000,
               .min = 1,
               .max = 1e6,
               .doc = "N, the number of steps of the discrete chain."},
    {.name = NULL},
};

static vpsde_status init(void **state, double *t_max, const double *param, const double *betas,
                         size_t n_betas)
{
    (void)betas, (void)n_betas;
    const size_t n = (size_t)param[STEPS];
    double *line;
    VPSDE_TRY(vpsde_alloc(&line, n, sizeof(*line)));
    for (size_t i = 0; i < n; i++) {
        const double share = n > 1 ? (double)i / (double)(n - 1) : 0;
        line[i] = param[BETA_START] + share * (param[BETA_END] - param[BETA_START]);
    }
    const vpsde_status status = vpsde_beta_table_create(state, line, n);
    free(line);
    *t_max = 1;
    return status;
}

const vpsde_schedule_type vpsde_schedule_ddpm_linear = {
    .name = "ddpm-linear",
    .source = "Ho et al. 2020, arXiv:2006.11239, section 4",
    .doc = "The discrete chain of DDPM, exact at its nodes, monotone C1 between them.",
    .params = params,
    .init = init,
    .fini = free,
    .b = vpsde_beta_table_b,
    .beta = vpsde_beta_table_beta,
    .t_of_b = vpsde_beta_table_t_of_b,
    .n_ddpm = vpsde_beta_table_steps,
};
