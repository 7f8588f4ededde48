#include "solvers/clock.h"

#include <math.h>

double vpsde_stride_b(const vpsde_coef *at, const vpsde_coef *next) { return at->b - next->b; }

double vpsde_stride_t(const vpsde_coef *at, const vpsde_coef *next)
{
    return at->beta * (at->t - next->t);
}

double vpsde_stride_beta(const vpsde_coef *at, const vpsde_coef *next)
{
    return -expm1(next->b - at->b);
}
