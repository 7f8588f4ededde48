/* SEEDS-2 as programs run it that give k-diffusion's sample_dpmpp_sde a plain randn as its noise
 * sampler: the noise of the stage is drawn beside that of the step, so that x0hat(u) does not see
 * the path the step takes (seeds_2.c). Weak order 1 for the declared 2. */
#include "solvers/sde_exponential.h"

enum { ETA, R };
static const vpsde_param params[] = {
    {.name = "eta", .value = 1, .max = 10, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = "r", .value = 0.5, .min = 0.01, .max = 0.99, .doc = "place of the stage in the step"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    const vpsde_two_stages form = {
        .eta = s->param[ETA], .r = s->param[R], .independent_noise = true};
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[0]));
    return vpsde_two_stage_step(s, &form, s->w[0], s->w[1], s->w[2]);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    if (param[ETA] > 0) return;
    *order = (vpsde_orders){.ode = 2};
    *claimed = (vpsde_orders){0};
}

const vpsde_solver_type vpsde_solver_seeds_2_compat = {
    .name = "seeds-2-compat",
    .source = "k-diffusion, sample_dpmpp_sde, with a noise_sampler of independent numbers",
    .doc = "SEEDS-2 with a stage noise of its own.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_COMPAT,
    .order = {.strong = 1, .weak = 1},
    .claimed = {.weak = 2},
    .orders = orders,
    .forms = (const char *const[]){"eta=0", NULL},
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
