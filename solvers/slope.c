#include "solvers/slope.h"

static vpsde_slope slope_phi(const vpsde_coef *c)
{
    return (vpsde_slope){.u = c->phi, .on_x = -c->sigma / c->alpha, .on_eps = 1 / c->alpha};
}

static vpsde_slope slope_t(const vpsde_coef *c)
{
    return (vpsde_slope){.u = c->t, .on_x = -c->beta / 2, .on_eps = c->beta / 2 / c->sigma};
}

static vpsde_slope slope_lambda(const vpsde_coef *c)
{
    return (vpsde_slope){.u = c->lambda, .on_x = c->sigma * c->sigma, .on_eps = -c->sigma};
}

const vpsde_slope_clock vpsde_slope_clocks[VPSDE_SLOPE_CLOCKS] = {
    {slope_phi, vpsde_process_at_phi},
    {slope_t, vpsde_process_at},
    {slope_lambda, vpsde_process_at_lambda},
};
