/* Pointwise layers on float32, feature-major (features, columns). Plain C without contraction and
 * without libm: the same bits on any vector width. */
#ifndef VPSDE_MODELS_LAYERS_POINTWISE_H
#define VPSDE_MODELS_LAYERS_POINTWISE_H

#include <stdbool.h>
#include <stddef.h>

/* y = u / (1 + exp(-u)), relative error below 2e-7 for |u| <= 80; y may be u. */
void vpsde_silu(size_t count, float *y, const float *u);
/* The same bits of y, and slope = dy/du. */
void vpsde_silu_slope(size_t count, float *y, float *slope, const float *u);

/* z[f,i] += bias[f] + shift[f * stride] (stride 1: one a feature, for all columns), or
 * z[f,i] += bias[f] + shift[f,i] (stride = columns). Both orders of addition are the same. */
void vpsde_bias_shift(size_t features, size_t columns, float *z, const float *bias,
                      const float *shift, size_t stride);
/* z[f,i] += bias[f] */
void vpsde_bias(size_t features, size_t columns, float *z, const float *bias);
/* h[f,i] += z[f,i] + bias[f] */
void vpsde_residual(size_t features, size_t columns, float *h, const float *z, const float *bias);
/* to = (add ? to : 0) + scale x; to may be x */
void vpsde_put(size_t count, float *to, bool add, float scale, const float *x);
/* out = x y, out += x y, out += x */
void vpsde_multiply(size_t count, float *out, const float *x, const float *y);
void vpsde_multiply_add(size_t count, float *out, const float *x, const float *y);
void vpsde_add(size_t count, float *out, const float *x);
/* sums[f] += sum_i z[f,i], in a fixed order; columns a multiple of 16 */
void vpsde_row_sums(size_t features, size_t columns, float *sums, const float *z);

/* f[k,i] = cos(2 pi frequency[k] label[i]), f[half + k, i] = sin(...); frequencies in turns.
 * Absolute error below 1e-7 for up to 1e6 turns. */
void vpsde_time_features(size_t half, size_t columns, float *f, const double *frequency,
                         const double *label);

#endif
