#include "models/layers/norm_kernel.h"

#include <stdint.h>
#include <string.h>

#include "core/vec.h"

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

enum { STRIP = 64 };

/* v = exp(-u) = 2^n p(f) with p of degree 5, |p / 2^f - 1| < 8e-8 on [-1/2, 1/2] (Remez). |u| is held
 * to 87 as an integer, which keeps NaN out of the polynomial and lets both loops run in vectors; two
 * loops, since one chain of all these operations is longer than the processor looks ahead. */
INLINE void exp_minus(float v[STRIP], const float *u)
{
    int32_t power[STRIP];
    for (size_t e = 0; e < STRIP; e++) {
        int32_t bits;
        memcpy(&bits, u + e, sizeof(bits));
        const int32_t sign = bits & INT32_MIN, size = bits & INT32_MAX, most = 0x42AE0000;
        bits = (size < most ? size : most) | sign;
        float t;
        memcpy(&t, &bits, sizeof(t));
        t = t * -1.44269504F;
        const float shifted = t + 12582912.0F; /* 1.5 2^23: adding it leaves the nearest integer */
        v[e] = t - (shifted - 12582912.0F);
        memcpy(&bits, &shifted, sizeof(bits));
        power[e] = (int32_t)((uint32_t)bits << 23);
    }
    for (size_t e = 0; e < STRIP; e++) {
        const float f = v[e], f2 = f * f;
        const float high = 1.3276472454890609e-3F * f + 9.675541892647743e-3F;
        const float middle = 5.550713092088699e-2F * f + 2.4022120237350464e-1F;
        const float low = 6.931469440460205e-1F * f + 1.0F;
        const float p = (high * f2 + middle) * f2 + low;
        int32_t bits;
        memcpy(&bits, &p, sizeof(bits));
        bits = (int32_t)((uint32_t)bits + (uint32_t)power[e]);
        memcpy(v + e, &bits, sizeof(bits));
    }
}

INLINE void silu_strip(float *u)
{
    float v[STRIP];
    exp_minus(v, u);
    for (size_t e = 0; e < STRIP; e++) u[e] = u[e] * (1.0F / (1.0F + v[e]));
}

INLINE void slope_strip(float *u)
{
    float v[STRIP];
    exp_minus(v, u);
    for (size_t e = 0; e < STRIP; e++) {
        const float s = 1.0F / (1.0F + v[e]);
        u[e] = s * (1.0F + u[e] * (v[e] * s)); /* v s = 1 - s, not cancelled */
    }
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
