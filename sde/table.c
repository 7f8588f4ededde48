/* Any discrete chain beta_1 ... beta_N in (0, 1), at t = i/N, as diffusers' `trained_betas`.
 * Continuous by sde/beta_table.h. */
#include <stdlib.h>

#include "sde/beta_table.h"
#include "sde/registry.h"

static vpsde_status init(void **state, double *t_max, const double *param, const double *betas,
                         size_t n_betas)
{
    (void)param;
    *t_max = 1;
    return vpsde_beta_table_create(state, betas, n_betas);
}

const vpsde_schedule_type vpsde_schedule_table = {
    .name = "table",
    .source = "Ho et al. 2020, arXiv:2006.11239, eq. (2)",
    .doc = "A given list of beta_i, exact at its nodes, monotone C1 between them.",
    .takes_betas = true,
    .init = init,
    .fini = free,
    .b = vpsde_beta_table_b,
    .beta = vpsde_beta_table_beta,
    .t_of_b = vpsde_beta_table_t_of_b,
    .n_ddpm = vpsde_beta_table_steps,
};
