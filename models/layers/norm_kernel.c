#include "models/layers/norm_kernel.h"

#include <string.h>

#include "core/vec.h"
#include "models/layers/exp.h"

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));

enum { LANES = 8, BLOCK = 4 };

/* Sums of `vectors` vectors' columns stay in registers over the rows. */
INLINE void moments_block(size_t vectors, size_t rows, size_t stride, const float *x,
                          const float *c, float *s, float *q)
{
    lanes centre[BLOCK], sum[BLOCK], square[BLOCK];
    for (size_t v = 0; v < vectors; v++) {
        centre[v] = *(const lanes *)(c + LANES * v);
        sum[v] = square[v] = (lanes){0};
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) {
            const lanes d = *(const lanes *)(x + r * stride + LANES * v) - centre[v];
            sum[v] += d;
            square[v] += d * d;
        }
    }
    for (size_t v = 0; v < vectors; v++) {
        *(lanes *)(s + LANES * v) = sum[v];
        *(lanes *)(q + LANES * v) = square[v];
    }
}

VPSDE_VECTOR void vpsde_norm_moments(vpsde_norm_rows at, const float *x, const float *c, float *s,
                                     float *q)
{
    const size_t w = at.width;
    size_t j = 0;
    for (; j + LANES * BLOCK <= w; j += LANES * BLOCK) {
        moments_block(BLOCK, at.rows, w, x + j, c + j, s + j, q + j);
    }
    for (; j + LANES <= w; j += LANES) {
        moments_block(1, at.rows, w, x + j, c + j, s + j, q + j);
    }
    for (; j < w; j++) {
        s[j] = q[j] = 0;
        for (size_t r = 0; r < at.rows; r++) {
            const float d = x[r * w + j] - c[j];
            s[j] += d;
            q[j] += d * d;
        }
    }
    for (j = 0; j < at.tail; j++) {
        const float d = x[at.rows * w + j] - c[j];
        s[j] += d;
        q[j] += d * d;
    }
}

INLINE void products_block(size_t vectors, size_t rows, const float *d, size_t ds, const float *t,
                           size_t ts, float *s, float *q)
{
    lanes sum[BLOCK], product[BLOCK];
    for (size_t v = 0; v < vectors; v++) sum[v] = product[v] = (lanes){0};
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) {
            const lanes u = *(const lanes *)(d + r * ds + LANES * v);
            sum[v] += u;
            product[v] += u * *(const lanes *)(t + r * ts + LANES * v);
        }
    }
    for (size_t v = 0; v < vectors; v++) {
        *(lanes *)(s + LANES * v) = sum[v];
        *(lanes *)(q + LANES * v) = product[v];
    }
}

VPSDE_VECTOR void vpsde_norm_products(vpsde_norm_rows at, const float *d, size_t ds, const float *t,
                                      size_t ts, float *s, float *q)
{
    size_t j = 0;
    for (; j + LANES * BLOCK <= at.width; j += LANES * BLOCK) {
        products_block(BLOCK, at.rows, d + j, ds, t + j, ts, s + j, q + j);
    }
    for (; j + LANES <= at.width; j += LANES) {
        products_block(1, at.rows, d + j, ds, t + j, ts, s + j, q + j);
    }
    for (; j < at.width; j++) {
        s[j] = q[j] = 0;
        for (size_t r = 0; r < at.rows; r++) {
            s[j] += d[r * ds + j];
            q[j] += d[r * ds + j] * t[r * ts + j];
        }
    }
    for (j = 0; j < at.tail; j++) {
        s[j] += d[at.rows * ds + j];
        q[j] += d[at.rows * ds + j] * t[at.rows * ts + j];
    }
}

/* Row r's floats: the last row may be short. */
INLINE size_t row_width(vpsde_norm_rows at, size_t r) { return r < at.rows ? at.width : at.tail; }

VPSDE_VECTOR void vpsde_norm_affine(vpsde_norm_rows at, const float *x, size_t xs,
                                    float *restrict out, size_t os, const float *restrict m,
                                    const float *restrict a, const float *restrict b)
{
    for (size_t r = 0; r <= at.rows; r++) {
        const size_t width = row_width(at, r);
        const float *const from = x + r * xs;
        float *restrict const to = out + r * os;
        for (size_t j = 0; j < width; j++) to[j] = (from[j] - m[j]) * a[j] + b[j];
    }
}

VPSDE_VECTOR void vpsde_norm_tangent(vpsde_norm_rows at, const float *d, size_t ds,
                                     float *restrict out, size_t os, const float *restrict t,
                                     const float *restrict h, const float *restrict a,
                                     const float *restrict b)
{
    for (size_t r = 0; r <= at.rows; r++) {
        const size_t width = row_width(at, r);
        const float *const from = d + r * ds, *const slope = t + r * os, *const hat = h + r * os;
        float *restrict const to = out + r * os;
        for (size_t j = 0; j < width; j++) {
            to[j] = slope[j] * ((from[j] - a[j]) - hat[j] * b[j]);
        }
    }
}

INLINE void gradient_row(size_t width, const float *t, const float *h, float *restrict out,
                         const float *w, const float *a, const float *b, int add)
{
    for (size_t j = 0; j < width; j++) {
        const float g = (w[j] * t[j] - a[j]) - h[j] * b[j];
        out[j] = add ? out[j] + g : g;
    }
}

VPSDE_VECTOR void vpsde_norm_gradient(vpsde_norm_rows at, const float *t, const float *h, size_t ts,
                                      float *restrict out, size_t os, const float *restrict w,
                                      const float *restrict a, const float *restrict b, int add)
{
    for (size_t r = 0; r <= at.rows; r++) {
        const size_t width = row_width(at, r);
        if (add) {
            gradient_row(width, t + r * ts, h + r * ts, out + r * os, w, a, b, 1);
        } else {
            gradient_row(width, t + r * ts, h + r * ts, out + r * os, w, a, b, 0);
        }
    }
}

VPSDE_VECTOR void vpsde_norm_weigh(vpsde_norm_rows at, float *restrict out, const float *restrict w)
{
    for (size_t r = 0; r <= at.rows; r++) {
        const size_t width = row_width(at, r);
        float *restrict const to = out + r * at.width;
        for (size_t j = 0; j < width; j++) to[j] *= w[j];
    }
}

VPSDE_VECTOR void vpsde_norm_fold(size_t n, size_t stride, size_t width, const float *part,
                                  double *restrict total)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < width; j++) total[j] += (double)part[i * stride + j];
    }
}

enum { STRIP = VPSDE_EXP_STRIP };

INLINE void silu_strip(float *u)
{
    float v[STRIP];
    vpsde_exp_minus(v, u);
    for (size_t e = 0; e < STRIP; e++) u[e] = vpsde_silu_of(u[e], v[e]);
}

INLINE void slope_strip(float *u)
{
    float v[STRIP];
    vpsde_exp_minus(v, u);
    for (size_t e = 0; e < STRIP; e++) u[e] = vpsde_silu_slope_of(u[e], v[e]);
}

VPSDE_VECTOR void vpsde_norm_silu(size_t count, float *u)
{
    size_t e = 0;
    for (; e + STRIP <= count; e += STRIP) silu_strip(u + e);
    if (e == count) return;
    float rest[STRIP] = {0};
    memcpy(rest, u + e, (count - e) * sizeof(*u));
    silu_strip(rest);
    memcpy(u + e, rest, (count - e) * sizeof(*u));
}

VPSDE_VECTOR void vpsde_norm_silu_slope(size_t count, float *u)
{
    size_t e = 0;
    for (; e + STRIP <= count; e += STRIP) slope_strip(u + e);
    if (e == count) return;
    float rest[STRIP] = {0};
    memcpy(rest, u + e, (count - e) * sizeof(*u));
    slope_strip(rest);
    memcpy(u + e, rest, (count - e) * sizeof(*u));
}
