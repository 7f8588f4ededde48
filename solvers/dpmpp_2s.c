/* DPM-Solver++(2S), a stage at lambda_m = lambda + r h, D = x0hat:
 *     u  = (sigma_m/sigma) x - alpha_m (e^(-r h) - 1) D
 *     x' = (sigma'/sigma) x - alpha' (e^-h - 1) [(1 - 1/(2r)) D + 1/(2r) D_u],
 * h = lambda' - lambda. A step to sigma' = 0 is x' = D, one call. Leaves D of node k in w[0], for
 * methods that start with it.
 * Source: Lu et al. 2022 (arXiv:2211.01095), algorithm 1. ODE order 2. */
#include "core/vec.h"
#include "solvers/exponential.h"

enum { R };
static const vpsde_param params[] = {
    {.name = "r", .value = 0.5, .min = 0, .max = 1, .open_min = true, .doc = "stage, share of h"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    double *D = s->w[0], *u = s->w[1], *D_u = s->w[2];
    const size_t count = s->n * s->d;
    const vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, 0);

    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, D));
    if (!(s->next->sigma > 0)) {
        vec_lin2(count, s->x, e.on_x, s->x, e.on[0], D);
        return VPSDE_OK;
    }
    const double r = s->param[R], on_u = e.on[0] / (2 * r);
    const vpsde_coef mid = vpsde_process_at_lambda(s->process, s->at->lambda + r * e.h);
    const vpsde_exponential to_mid = vpsde_exponential_x0(s->at, &mid, 0);
    vec_lin2(count, u, to_mid.on_x, s->x, to_mid.on[0], D);
    VPSDE_TRY(vpsde_x0hat(s, &mid, u, D_u));
    vec_lin3(count, s->x, e.on_x, s->x, e.on[0] - on_u, D, on_u, D_u);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpmpp_2s = {
    .name = "dpmpp-2s",
    .source = "Lu et al. 2022 (arXiv:2211.01095), algorithm 1",
    .doc = "DPM-Solver++(2S): singlestep exponential midpoint in lambda, data prediction.",
    .order = {.ode = 2},
    .forms = (const char *const[]){"r=0.75", NULL},
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
