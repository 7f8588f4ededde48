/* SDE-DPM-Solver++(2M): SDE-DPM-Solver++(1) plus a slope of x0hat from the node before,
 *     midpoint: + (alpha'/2) (1 - e^(-H)) (D_0 - D_1)/r
 *     heun:     + alpha' ((e^(-H) - 1)/H + 1) (D_0 - D_1)/r,
 * D_j = x0hat of node k - j, r = h_(k-1)/h_k, H = (1 + eta) h_k. Heun integrates the line through
 * both exactly. The first step, the one to sigma = 0 and that of VPSDE_LAST_LOWER_ORDER have no
 * slope.
 * Source: Lu et al. 2022 (arXiv:2211.01095), SDE-DPM-Solver++; k-diffusion, sample_dpmpp_2m_sde,
 * for the variants. Strong order 1, weak order 2; ODE order 2 at eta = 0. */
#include "solvers/sde_exponential.h"

enum { ETA, VARIANT };
enum { MIDPOINT };
static const vpsde_param params[] = {
    {.name = "eta", .value = 1, .max = 10, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = "variant",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "midpoint|heun",
     .max = 1,
     .doc = "weights of the slope"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, s->param[ETA]);
    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, s->w[s->k % 2]));
    if (s->param[VARIANT] == MIDPOINT) e.on[1] = e.h / 2 * e.on[0];
    vpsde_multistep(s, &e, 2);
    vpsde_add_step_noise(s, e.noise, s->w[2]);
    return VPSDE_OK;
}

static double kernel_std(const vpsde_step *s) { return vpsde_exponential_std(s, s->param[ETA]); }

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[ETA] == 0) *order = (vpsde_orders){.ode = 2};
}

const vpsde_solver_type vpsde_solver_sde_dpmpp_2m = {
    .name = "sde-dpmpp-2m",
    .source = "Lu et al. 2022 (arXiv:2211.01095), SDE-DPM-Solver++",
    .doc = "SDE-DPM-Solver++ with a slope from the node before.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 2},
    .orders = orders,
    .forms = (const char *const[]){"variant=heun", "eta=0", "eta=0, variant=heun", "eta=0.5", NULL},
    .nfe_per_step = 1,
    .n_scratch = 3,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
};
