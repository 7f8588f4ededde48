/* SEEDS-3: stages at lambda + h/3 and lambda + 2h/3, each from the line through x0hat of the start
 * and of the stage before it, integrated exactly (letters of seeds_2.c, r_1 = 1/3, r_2 = 2/3):
 *     u_1 = [1]  + sigma_1 n_1
 *     u_2 = [r_2 h: x0hat(x), x0hat(u_1)] + sigma_2 n_2
 *     x'  = [h:     x0hat(x), x0hat(u_2)] + sigma' n
 * where the noise goes on from stage to stage, n_2 = e^(-eta (r_2 - r_1) h) n_1 + sqrt(...) z_2 and
 * so on: three disjoint stretches of the path. A step to sigma = 0 is x' = x0hat(x), one call.
 * Source: Gonzalez et al. 2023 (arXiv:2305.14267), algorithm of SEEDS-3. Strong order 1, weak
 * order 2; ODE order 3 at eta = 0. */
#include <string.h>

#include "core/vec.h"
#include "solvers/sde_exponential.h"

enum { ETA };
static const vpsde_param params[] = {
    {.name = "eta", .value = 1, .max = 10, .doc = "noise; 1: the reverse SDE, 0: the flow"},
    {.name = NULL},
};

/* noise (n, d), sigma n of a stage, goes on from there to the next. */
static void carry(vpsde_step *s, const vpsde_coef *from, const vpsde_coef *to, double *noise,
                  double *z)
{
    if (s->param[ETA] == 0) return;
    const vpsde_exponential e = vpsde_exponential_x0(from, to, s->param[ETA]);
    vpsde_step_noise(s, from, to, z, NULL);
    vec_lin2(s->n * s->d, noise, e.on_x, noise, e.noise, z);
}

/* out = the step to `to` from the line through x0 at the start and x1 at offset tau. */
static void line(const vpsde_step *s, const vpsde_coef *to, double tau, double *out,
                 const double *x0, const double *x1, const double *noise)
{
    const vpsde_exponential e = vpsde_exponential_x0(s->at, to, s->param[ETA]);
    double c[2];
    vpsde_exponential_weights(2, (const double[]){0, tau}, e.on, c);
    vec_lin4(s->n * s->d, out, e.on_x, s->x, c[0], x0, c[1], x1, 1, noise);
}

static vpsde_status step(vpsde_step *s)
{
    double *x0 = s->w[0], *u = s->w[1], *noise = s->w[2], *z = s->w[3];
    const size_t count = s->n * s->d;
    const double h = s->next->lambda - s->at->lambda;

    VPSDE_TRY(vpsde_x0hat(s, s->at, s->x, x0));
    if (!(s->next->sigma > 0)) {
        vec_scale(count, s->x, s->next->alpha, x0);
        return VPSDE_OK;
    }
    const vpsde_coef c1 = vpsde_process_at_lambda(s->process, s->at->lambda + h / 3);
    const vpsde_coef c2 = vpsde_process_at_lambda(s->process, s->at->lambda + 2 * h / 3);
    const vpsde_exponential e1 = vpsde_exponential_x0(s->at, &c1, s->param[ETA]);

    memset(noise, 0, count * sizeof(*noise));
    carry(s, s->at, &c1, noise, z);
    vec_lin3(count, u, e1.on_x, s->x, e1.on[0], x0, 1, noise);
    carry(s, &c1, &c2, noise, z);
    VPSDE_TRY(vpsde_x0hat(s, &c1, u, z));
    line(s, &c2, h / 3, u, x0, z, noise);
    carry(s, &c2, s->next, noise, z);
    VPSDE_TRY(vpsde_x0hat(s, &c2, u, z));
    line(s, s->next, 2 * h / 3, s->x, x0, z, noise);
    return VPSDE_OK;
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[ETA] == 0) *order = (vpsde_orders){.ode = 3};
}

const vpsde_solver_type vpsde_solver_seeds_3 = {
    .name = "seeds-3",
    .source = "Gonzalez et al. 2023 (arXiv:2305.14267)",
    .doc = "Three stages whose noises belong to one path.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 2},
    .orders = orders,
    .forms = (const char *const[]){"eta=0", "eta=0.5", NULL},
    .nfe_per_step = 3,
    .n_scratch = 4,
    .params = params,
    .step = step,
};
