#include "models/train_update.h"

#include <math.h>

#include "core/vec.h"
#include "models/layers/pointwise.h"

VPSDE_VECTOR static double sum_of_squares(size_t count, const float *g)
{
    double lane[8] = {0};
    size_t e = 0;
    for (; e + 8 <= count; e += 8) {
        for (size_t l = 0; l < 8; l++) lane[l] += (double)g[e + l] * (double)g[e + l];
    }
    for (size_t l = 0; e < count; e++, l++) lane[l] += (double)g[e] * (double)g[e];
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

double vpsde_gradient_fold(size_t count, size_t n_blocks, float *gradient, size_t stride)
{
    for (size_t reach = 1; reach < n_blocks; reach *= 2) {
        for (size_t b = 0; b + reach < n_blocks; b += 2 * reach) {
            vpsde_add(count, gradient + b * stride, gradient + (b + reach) * stride);
        }
    }
    return sum_of_squares(count, gradient);
}

VPSDE_VECTOR void vpsde_adam_update(size_t count, const vpsde_adam *adam, float *restrict w,
                                    float *restrict m, float *restrict v, float *restrict average,
                                    const float *restrict gradient)
{
    const vpsde_adam a = *adam;
    for (size_t e = 0; e < count; e++) {
        const float g = a.scale * gradient[e];
        m[e] = 0.9F * m[e] + 0.1F * g;
        v[e] = 0.999F * v[e] + 0.001F * (g * g);
        w[e] = w[e] - a.rate * (m[e] / a.first) / (sqrtf(v[e] / a.second) + 1e-8F);
        average[e] = average[e] + a.keep * (w[e] - average[e]);
    }
}
