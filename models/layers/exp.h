/* exp, and SiLU from it, in float for loops that the compiler turns into vectors. Without contraction
 * and without libm: the same bits on any vector width. Two accuracies:
 *
 *   vpsde_exp_bounded  full relative accuracy: attention's softmax, and the SiLU of dense layers and of
 *                      the MLP (pointwise.c)
 *   vpsde_exp_minus    half the work: the SiLU behind a group norm, which is most of a U-Net's */
#ifndef VPSDE_MODELS_LAYERS_EXP_H
#define VPSDE_MODELS_LAYERS_EXP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* exp(x) for |x| <= 87: 2^n p(r), n = round(x / log 2), |r| <= log(2)/2, p of degree 7 (Cephes expf;
 * Moshier 1989), summed in pairs. Here r, and 2^n in `power`. */
__attribute__((always_inline)) static inline float vpsde_exp_reduce(float *power, float x)
{
    const float round = 12582912.0F; /* 1.5 2^23: adding it leaves the nearest integer */
    const float shifted = x * 1.44269504F + round;
    const float n = shifted - round;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (int32_t)((uint32_t)(bits - 0x4B400000 + 127) << 23);
    memcpy(power, &bits, sizeof(bits));
    return (x - n * 0.693359375F) - n * -2.12194440e-4F;
}

__attribute__((always_inline)) static inline float vpsde_exp_of(float r)
{
    const float r2 = r * r;
    const float high = 1.9875691500e-4F * r + 1.3981999507e-3F;
    const float middle = 8.3334519073e-3F * r + 4.1665795894e-2F;
    const float low = 1.6666665459e-1F * r + 5.0000001201e-1F;
    return ((high * r2 + middle) * r2 + low) * r2 + r + 1.0F;
}

__attribute__((always_inline)) static inline float vpsde_exp_bounded(float x)
{
    float power;
    const float r = vpsde_exp_reduce(&power, x);
    return vpsde_exp_of(r) * power;
}

/* u held to |u| <= 87 as an integer, which also keeps NaN out. */
__attribute__((always_inline)) static inline float vpsde_exp_hold(float u)
{
    int32_t bits;
    memcpy(&bits, &u, sizeof(bits));
    const int32_t sign = bits & INT32_MIN, size = bits & INT32_MAX, most = 0x42AE0000;
    bits = (size < most ? size : most) | sign;
    memcpy(&u, &bits, sizeof(u));
    return u;
}

enum { VPSDE_EXP_STRIP = 64 };

/* v = exp(-u) over a strip: 2^n p(f) with p of degree 5, |p / 2^f - 1| < 8e-8 on [-1/2, 1/2] (Remez).
 * |u| is held to 87 without a comparison of floats, which lets both loops run in vectors; two loops,
 * since one chain of all these operations is longer than the processor looks ahead. */
__attribute__((always_inline)) static inline void vpsde_exp_minus(float v[VPSDE_EXP_STRIP],
                                                                  const float *u)
{
    int32_t power[VPSDE_EXP_STRIP];
    for (size_t e = 0; e < VPSDE_EXP_STRIP; e++) {
        int32_t bits;
        const float t = vpsde_exp_hold(u[e]) * -1.44269504F;
        const float shifted = t + 12582912.0F; /* 1.5 2^23: adding it leaves the nearest integer */
        v[e] = t - (shifted - 12582912.0F);
        memcpy(&bits, &shifted, sizeof(bits));
        power[e] = (int32_t)((uint32_t)bits << 23);
    }
    for (size_t e = 0; e < VPSDE_EXP_STRIP; e++) {
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

/* SiLU(u) = u / (1 + v) and its slope, v = exp(-u). */
__attribute__((always_inline)) static inline float vpsde_silu_of(float u, float v)
{
    return u * (1.0F / (1.0F + v));
}

__attribute__((always_inline)) static inline float vpsde_silu_slope_of(float u, float v)
{
    const float s = 1.0F / (1.0F + v);
    return s * (1.0F + u * (v * s)); /* v s = 1 - s, not cancelled */
}

#endif
