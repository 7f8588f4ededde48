/* Over |u| <= 80 silu's relative error is below 2e-7, its slope's absolute error below 2.5e-7.
 * sin(2 pi r), |r| <= 1/4, by its Taylor series to r^13 (error 7e-10) after removing whole turns in
 * double. */
#include "models/layers/pointwise.h"

#include "core/vec.h"
#include "models/layers/exp.h"

#define INLINE static inline __attribute__((always_inline))

enum { STRIP = 128 };

/* v = exp(-u), u held within the range where 1 / (1 + v) stays normal: vpsde_exp_bounded in two loops,
 * since one chain of all its operations is longer than the processor looks ahead. The bound is taken
 * as an integer, or the compiler threads it through the polynomial. */
INLINE void exp_minus(size_t count, float v[STRIP], const float *u)
{
    float power[STRIP];
    for (size_t e = 0; e < count; e++) v[e] = vpsde_exp_reduce(power + e, -vpsde_exp_hold(u[e]));
    for (size_t e = 0; e < count; e++) v[e] = vpsde_exp_of(v[e]) * power[e];
}

VPSDE_VECTOR void vpsde_silu(size_t count, float *y, const float *u)
{
    float v[STRIP];
    for (size_t start = 0; start < count; start += STRIP) {
        const size_t n = count - start < STRIP ? count - start : STRIP;
        exp_minus(n, v, u + start);
        for (size_t e = 0; e < n; e++) y[start + e] = vpsde_silu_of(u[start + e], v[e]);
    }
}

VPSDE_VECTOR void vpsde_silu_slope(size_t count, float *restrict y, float *restrict slope,
                                   const float *restrict u)
{
    float v[STRIP];
    for (size_t start = 0; start < count; start += STRIP) {
        const size_t n = count - start < STRIP ? count - start : STRIP;
        exp_minus(n, v, u + start);
        for (size_t e = 0; e < n; e++) {
            const float w = u[start + e];
            y[start + e] = vpsde_silu_of(w, v[e]);
            slope[start + e] = vpsde_silu_slope_of(w, v[e]);
        }
    }
}

/* One column: the features are what lies along the vectors. */
VPSDE_VECTOR static void one_column(size_t features, float *restrict z, const float *restrict bias,
                                    const float *restrict shift)
{
    for (size_t f = 0; f < features; f++) z[f] = z[f] + (bias[f] + shift[f]);
}

VPSDE_VECTOR static void shift_rows(size_t features, size_t columns, float *restrict z,
                                    const float *restrict bias, const float *restrict shift,
                                    size_t stride)
{
    for (size_t f = 0; f < features; f++) {
        float *const row = z + f * columns;
        const float *const s = shift + f * stride;
        if (stride == 1) {
            const float b = bias[f] + s[0];
            for (size_t i = 0; i < columns; i++) row[i] = row[i] + b;
        } else {
            for (size_t i = 0; i < columns; i++) row[i] = row[i] + (bias[f] + s[i]);
        }
    }
}

void vpsde_bias_shift(size_t features, size_t columns, float *z, const float *bias,
                      const float *shift, size_t stride)
{
    if (columns == 1) {
        one_column(features, z, bias, shift);
    } else {
        shift_rows(features, columns, z, bias, shift, stride);
    }
}

VPSDE_VECTOR void vpsde_bias(size_t features, size_t columns, float *restrict z,
                             const float *restrict bias)
{
    if (columns == 1) {
        for (size_t f = 0; f < features; f++) z[f] += bias[f];
        return;
    }
    for (size_t f = 0; f < features; f++) {
        for (size_t i = 0; i < columns; i++) z[f * columns + i] += bias[f];
    }
}

VPSDE_VECTOR void vpsde_residual(size_t features, size_t columns, float *restrict h,
                                 const float *restrict z, const float *restrict bias)
{
    if (columns == 1) {
        for (size_t f = 0; f < features; f++) h[f] = h[f] + (z[f] + bias[f]);
        return;
    }
    for (size_t f = 0; f < features; f++) {
        for (size_t i = 0; i < columns; i++) {
            h[f * columns + i] = h[f * columns + i] + (z[f * columns + i] + bias[f]);
        }
    }
}

VPSDE_VECTOR void vpsde_put(size_t count, float *to, bool add, float scale, const float *x)
{
    if (add) {
        VPSDE_INDEPENDENT
        for (size_t e = 0; e < count; e++) to[e] += scale * x[e];
    } else {
        VPSDE_INDEPENDENT
        for (size_t e = 0; e < count; e++) to[e] = scale * x[e];
    }
}

VPSDE_VECTOR void vpsde_multiply(size_t count, float *out, const float *x, const float *y)
{
    for (size_t e = 0; e < count; e++) out[e] = x[e] * y[e];
}

VPSDE_VECTOR void vpsde_multiply_add(size_t count, float *restrict out, const float *restrict x,
                                     const float *restrict y)
{
    for (size_t e = 0; e < count; e++) out[e] = out[e] + x[e] * y[e];
}

VPSDE_VECTOR void vpsde_add(size_t count, float *restrict out, const float *restrict x)
{
    for (size_t e = 0; e < count; e++) out[e] = out[e] + x[e];
}

VPSDE_VECTOR void vpsde_row_sums(size_t features, size_t columns, float *sums, const float *z)
{
    for (size_t f = 0; f < features; f++) {
        float lane[16] = {0}; /* columns are a multiple of 16 */
        for (size_t i = 0; i < columns; i += 16) {
            for (size_t l = 0; l < 16; l++) lane[l] += z[f * columns + i + l];
        }
        for (size_t half = 8; half > 0; half /= 2) {
            for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
        }
        sums[f] += lane[0];
    }
}

/* sin of `turns` whole turns */
INLINE float sin_turns(double turns)
{
    const double round = 6755399441055744.0; /* 1.5 2^52 */
    const double whole = (turns + round) - round;
    const double r = turns - whole;
    const double folded = r > 0.25 ? 0.5 - r : (r < -0.25 ? -0.5 - r : r);
    const double a = 6.283185307179586 * folded, a2 = a * a;
    double p = 1.0 / 6227020800.0;
    p = p * a2 - 1.0 / 39916800.0;
    p = p * a2 + 1.0 / 362880.0;
    p = p * a2 - 1.0 / 5040.0;
    p = p * a2 + 1.0 / 120.0;
    p = p * a2 - 1.0 / 6.0;
    return (float)(a + a * (a2 * p));
}

VPSDE_VECTOR void vpsde_time_features(size_t half, size_t columns, float *restrict f,
                                      const double *restrict frequency,
                                      const double *restrict label)
{
    if (columns == 1) {
        for (size_t k = 0; k < half; k++) f[k] = sin_turns(frequency[k] * label[0] + 0.25);
        for (size_t k = 0; k < half; k++) f[half + k] = sin_turns(frequency[k] * label[0]);
        return;
    }
    for (size_t k = 0; k < half; k++) {
        float *const c = f + k * columns, *const s = f + (half + k) * columns;
        for (size_t i = 0; i < columns; i++) {
            const double turns = frequency[k] * label[i];
            c[i] = sin_turns(turns + 0.25);
            s[i] = sin_turns(turns);
        }
    }
}
