#include "core/vec.h"

#include <math.h>
#include <string.h>

VPSDE_VECTOR void vec_scale(size_t count, double *out, double a, const double *x)
{
    for (size_t e = 0; e < count; e++) out[e] = a * x[e];
}

VPSDE_VECTOR void vec_lin2(size_t count, double *out, double a, const double *x, double b,
                           const double *y)
{
    for (size_t e = 0; e < count; e++) out[e] = a * x[e] + b * y[e];
}

VPSDE_VECTOR void vec_lin3(size_t count, double *out, double a, const double *x, double b,
                           const double *y, double c, const double *z)
{
    for (size_t e = 0; e < count; e++) out[e] = a * x[e] + b * y[e] + c * z[e];
}

VPSDE_VECTOR void vec_lin4(size_t count, double *out, double a, const double *x, double b,
                           const double *y, double c, const double *z, double f, const double *w)
{
    for (size_t e = 0; e < count; e++) out[e] = a * x[e] + b * y[e] + c * z[e] + f * w[e];
}

VPSDE_VECTOR double vec_dot(size_t count, const double *x, const double *y)
{
    double lane[8] = {0};
    size_t e = 0;
    for (; e + 8 <= count; e += 8) {
        for (size_t l = 0; l < 8; l++) lane[l] += x[e + l] * y[e + l];
    }
    for (size_t l = 0; e < count; e++, l++) lane[l] += x[e] * y[e];
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

void vec_copy(size_t count, double *out, const double *x) { memmove(out, x, count * sizeof(*out)); }

VPSDE_VECTOR int vec_is_finite(size_t count, const double *x)
{
    double lane[8] = {0}; /* 0 x is NaN as soon as x is not finite, and NaN stays */
    size_t e = 0;
    for (; e + 8 <= count; e += 8) {
        for (size_t l = 0; l < 8; l++) lane[l] += 0 * x[e + l];
    }
    for (size_t l = 0; e < count; e++, l++) lane[l] += 0 * x[e];
    double sum = 0;
    for (size_t l = 0; l < 8; l++) sum += lane[l];
    return sum == 0;
}
