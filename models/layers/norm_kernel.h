/* Group normalisation's loops over the memory. Plain C without contraction: the same bits on any
 * vector width.
 *
 * Pixels are read as rows of `fold` pixels each, wide enough for vectors, so that arrays by channel
 * repeat themselves `fold` times; what does not fill a row is its beginning. */
#ifndef VPSDE_MODELS_LAYERS_NORM_KERNEL_H
#define VPSDE_MODELS_LAYERS_NORM_KERNEL_H

#include <stddef.h>

typedef struct vpsde_norm_rows {
    size_t rows, width, tail; /* whole rows, floats of one, floats of the last that is not whole */
} vpsde_norm_rows;

/* s[j] = sum_r (x[r,j] - c[j]), q[j] = sum_r (x[r,j] - c[j])^2; x is contiguous. */
void vpsde_norm_moments(vpsde_norm_rows at, const float *x, const float *c, float *s, float *q);
/* s[j] = sum_r d[r,j], q[j] = sum_r d[r,j] t[r,j]; rows `ds` and `ts` floats apart. */
void vpsde_norm_products(vpsde_norm_rows at, const float *d, size_t ds, const float *t, size_t ts,
                         float *s, float *q);

/* out = (x - m) a + b */
void vpsde_norm_affine(vpsde_norm_rows at, const float *x, size_t xs, float *out, size_t os,
                       const float *m, const float *a, const float *b);
/* out = t (d - a - h b) */
void vpsde_norm_tangent(vpsde_norm_rows at, const float *d, size_t ds, float *out, size_t os,
                        const float *t, const float *h, const float *a, const float *b);
/* out = w t - a - h b, or += */
void vpsde_norm_gradient(vpsde_norm_rows at, const float *t, const float *h, size_t ts, float *out,
                         size_t os, const float *w, const float *a, const float *b, int add);
/* out[r,j] *= w[j] */
void vpsde_norm_weigh(vpsde_norm_rows at, float *out, const float *w);

/* u <- u / (1 + exp(-u)), or its slope there. Half the work of vpsde_silu, by giving up the relative
 * error of values that are nearly 0: the error is below 1.5e-7 max(1, |u|), the slope's below 3e-7
 * while |u| < 1e30. */
void vpsde_norm_silu(size_t count, float *u);
void vpsde_norm_silu_slope(size_t count, float *u);

/* total[j] += sum_i part[i stride + j] in double, i ascending */
void vpsde_norm_fold(size_t n, size_t stride, size_t width, const float *part, double *total);

#endif
