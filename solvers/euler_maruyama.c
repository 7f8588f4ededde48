/* Euler-Maruyama on the reverse-time SDE, in the b clock
 *     dx = (x/2 + s) db + dw,   s = -eps/sigma:
 *     x' = (1 + h/2) x - (h/sigma) eps + sqrt(h) z
 * with h = b_k - b_{k+1}, or h = beta(t_k)(t_k - t_{k+1}) (clock t, the textbook form).
 * Source: Song et al. 2021 (arXiv:2011.13456), eq. (6). Strong order 1 (the noise is additive),
 * weak order 1. */
#include <math.h>

#include <vpsde/solver.h>

#include "core/vec.h"
#include "solvers/clock.h"

enum { CLOCK };
static const vpsde_param params[] = {
    {.name = "clock",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "b|t",
     .max = 1,
     .doc = "length of a step: b_k - b_{k+1}, or beta(t_k)(t_k - t_{k+1})"},
    {.name = NULL},
};

static double (*const stride[])(const vpsde_coef *, const vpsde_coef *) = {vpsde_stride_b,
                                                                           vpsde_stride_t};

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const double h = stride[(size_t)s->param[CLOCK]](s->at, s->next);

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin3(s->n * s->d, s->x, 1 + h / 2, s->x, -h / s->at->sigma, eps, sqrt(h), z);
    return VPSDE_OK;
}

static double kernel_std(const vpsde_step *s)
{
    return sqrt(stride[(size_t)s->param[CLOCK]](s->at, s->next));
}

const vpsde_solver_type vpsde_solver_euler_maruyama = {
    .name = "euler-maruyama",
    .source = "Song et al. 2021 (arXiv:2011.13456), eq. (6)",
    .doc = "Euler-Maruyama on the reverse-time SDE.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .order = {.strong = 1, .weak = 1},
    .forms = (const char *const[]){"clock=t", NULL},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = params,
    .step = step,
    .kernel_std = kernel_std,
};
