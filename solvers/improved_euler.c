#include "solvers/improved_euler.h"

#include "core/vec.h"

const vpsde_param vpsde_euler_pair_params[] = {
    {.name = "theta",
     .value = 0.9,
     .min = 0,
     .max = 1,
     .open_min = true,
     .doc = "safety factor of the next step"},
    {.name = "r", .value = 0.9, .min = 0.5, .max = 1, .doc = "the next step is theta h E^-r"},
    {.name = "h0", .value = 0.01, .min = 0, .max = 1, .open_min = true, .doc = "first step, in t"},
    VPSDE_WALK_PARAM_ROW,
    {.name = NULL},
};

vpsde_status vpsde_euler_pair_attempt(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to,
                                      const vpsde_euler_pair *p, const double *z, double *eps_1)
{
    const double f = p->on_f[0], f1 = p->on_f[1];
    vec_lin3(w->d, w->low, 1 + f / 2, w->x, -f / from->sigma, w->eps, p->on_z[0], z);
    VPSDE_TRY(vpsde_walk_eps(w, to, w->low, eps_1));
    vec_lin3(w->d, w->high, 1, w->x, f1 / 2, w->low, -f1 / to->sigma, eps_1);
    vec_lin3(w->d, w->high, 0.5, w->low, 0.5, w->high, p->on_z[1] / 2, z);
    return VPSDE_OK;
}

void vpsde_euler_pair_drift(const vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to,
                            const vpsde_euler_pair *p, double u, const double *eps_1, double *out)
{
    const double f = (u - u * u / 2) * p->on_f[0], f1 = u * u / 2 * p->on_f[1];
    vec_lin4(w->d, out, 1 + f / 2, w->x, -f / from->sigma, w->eps, f1 / 2, w->low, -f1 / to->sigma,
             eps_1);
}
