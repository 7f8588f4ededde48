/* beta(t) = beta_min + (beta_max - beta_min) t on [0, 1], so b(t) = beta_min t + D t^2 / 2 with
 * D = beta_max - beta_min, and beta^2 = beta_min^2 + 2 D b gives the inverse
 * t = 2 b / (beta_min + beta), which does not cancel at small b.
 * Song et al. 2021, arXiv:2011.13456, appendix C; the inverse as in Lu et al. 2022. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "sde/registry.h"

enum { BETA_MIN, BETA_MAX };

static const vpsde_param params[] = {
    [BETA_MIN] = {.name = "beta_min",
                  .value = 0.1,
                  .max = 200,
                  .open_min = true,
                  .doc = "Rate beta(0) at the data."},
    [BETA_MAX] = {.name = "beta_max",
                  .value = 20,
                  .max = 200,
                  .open_min = true,
                  .doc = "Rate beta(1) at the noise; equal to beta_min for a constant rate."},
    {.name = NULL},
};

typedef struct line {
    double beta_min, slope;
} line;

static vpsde_status init(void **state, double *t_max, const double *param, const double *betas,
                         size_t n_betas)
{
    (void)betas, (void)n_betas;
    if (param[BETA_MAX] < param[BETA_MIN]) {
        return vpsde_fail(VPSDE_EINVAL, "beta_max: must be at least beta_min = %g, got %g",
                          param[BETA_MIN], param[BETA_MAX]);
    }
    line *l;
    VPSDE_TRY(vpsde_alloc(&l, 1, sizeof(*l)));
    l->beta_min = param[BETA_MIN];
    l->slope = param[BETA_MAX] - param[BETA_MIN];
    *state = l;
    *t_max = 1;
    return VPSDE_OK;
}

static double b(const void *state, double t)
{
    const line *l = state;
    return t * (l->beta_min + 0.5 * l->slope * t);
}

static double beta(const void *state, double t)
{
    const line *l = state;
    return l->beta_min + l->slope * t;
}

static double t_of_b(const void *state, double value)
{
    const line *l = state;
    return 2 * value / (l->beta_min + sqrt(l->beta_min * l->beta_min + 2 * l->slope * value));
}

const vpsde_schedule_type vpsde_schedule_vp_linear = {
    .name = "vp-linear",
    .source = "Song et al. 2021, arXiv:2011.13456, appendix C",
    .doc = "Continuous linear rate beta(t), the VP-SDE of score matching.",
    .params = params,
    .init = init,
    .fini = free,
    .b = b,
    .beta = beta,
    .t_of_b = t_of_b,
};
