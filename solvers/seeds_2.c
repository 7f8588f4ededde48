/* SEEDS-2 = DPM-Solver++(2S) for the reverse SDE (dpmpp_sde): the stage at lambda + r h,
 *     u  = SDE-DPM-Solver++(1) from x to the stage, with noise sigma_u n_u,
 *     x' = (sigma'/sigma) e^(-eta h) x + c_0 x0hat(x) + c_1 x0hat(u) + sigma' n,
 *     n  = e^(-(1-r) eta h) n_u + sqrt(1 - e^(-2 (1-r) eta h)) z_2,
 * so that the noise of the step contains that of its stage: two disjoint stretches of the path.
 *     weights = phi-1: c_1 = (c_0 + c_1)/(2 r), c_0 + c_1 = alpha' (1 - e^(-(1+eta) h))
 *     weights = phi-2: the line through both x0hat integrated exactly
 * A step to sigma = 0 is x' = x0hat(x), one call.
 * Source: Gonzalez et al. 2023 (arXiv:2305.14267), algorithm of SEEDS-2; k-diffusion,
 * sample_dpmpp_sde. Strong order 1, weak order 2; ODE order 2 at eta = 0. */
#include "solvers/sde_exponential.h"

enum { ETA, R, WEIGHTS };
static const vpsde_param params[] = {
    {.name = "eta", .value = 1, .max = 10, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = "r", .value = 0.5, .min = 0.01, .max = 0.99, .doc = "place of the stage in the step"},
    {.name = "weights",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "phi-1|phi-2",
     .max = 1,
     .doc = "weights of both x0hat"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    const vpsde_two_stages form = {
        .eta = s->param[ETA], .r = s->param[R], .exact_slope = s->param[WEIGHTS] > 0};
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[0]));
    return vpsde_two_stage_step(s, &form, s->w[0], s->w[1], s->w[2]);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[ETA] == 0) *order = (vpsde_orders){.ode = 2};
}

const vpsde_solver_type vpsde_solver_seeds_2 = {
    .name = "seeds-2",
    .source = "Gonzalez et al. 2023 (arXiv:2305.14267); k-diffusion, sample_dpmpp_sde",
    .doc = "Two stages whose noises belong to one path.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 2},
    .orders = orders,
    .forms = (const char *const[]){"weights=phi-2", "r=0.7", "eta=0", "eta=0, weights=phi-2",
                                   "eta=0.5", NULL},
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
