/* DPM-Solver-2, a stage at lambda_m = lambda + r h:
 *     u  = (alpha_m/alpha) x - sigma_m (e^(r h) - 1) eps
 *     x' = (alpha'/alpha) x - sigma' (e^h - 1) eps - sigma'/(2 r) (e^h - 1) (eps_u - eps),
 * h = lambda' - lambda. A step to sigma' = 0 is x' = x0hat, one call. Leaves eps of node k in w[0],
 * for methods that start with it.
 * Source: Lu et al. 2022 (arXiv:2206.00927), algorithm 1 (r = 1/2); other r: its appendix and
 * code. ODE order 2. */
#include "core/vec.h"
#include "solvers/exponential.h"

enum { R };
static const vpsde_param params[] = {
    {.name = "r", .value = 0.5, .min = 0, .max = 1, .open_min = true, .doc = "stage, share of h"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *u = s->w[1], *eps_u = s->w[2];
    const size_t count = s->n * s->d;
    const vpsde_exponential e = vpsde_exponential_eps(s->at, s->next);

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (!(s->next->sigma > 0)) {
        vec_lin2(count, s->x, e.on_x, s->x, e.on[0], eps);
        return VPSDE_OK;
    }
    const double r = s->param[R], on_difference = e.on[0] / (2 * r);
    const vpsde_coef mid = vpsde_process_at_lambda(s->process, s->at->lambda + r * e.h);
    const vpsde_exponential to_mid = vpsde_exponential_eps(s->at, &mid);
    vec_lin2(count, u, to_mid.on_x, s->x, to_mid.on[0], eps);
    VPSDE_TRY(vpsde_eps(s, &mid, u, eps_u));
    vec_lin3(count, s->x, e.on_x, s->x, e.on[0] - on_difference, eps, on_difference, eps_u);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpm_solver_2 = {
    .name = "dpm-solver-2",
    .source = "Lu et al. 2022 (arXiv:2206.00927), algorithm 1",
    .doc = "DPM-Solver-2: singlestep exponential midpoint in lambda, noise prediction.",
    .order = {.ode = 2},
    .forms = (const char *const[]){"r=0.75", NULL},
    .nfe_per_step = 2,
    .n_scratch = 3,
    .params = params,
    .step = step,
};
