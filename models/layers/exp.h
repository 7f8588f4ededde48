/* exp in float for loops that the compiler turns into vectors: 2^n p(r), n = round(x / log 2),
 * |r| <= log(2)/2, p of degree 7 (Cephes expf; Moshier 1989), summed in pairs. Without contraction and
 * without libm: the same bits on any vector width. */
#ifndef VPSDE_MODELS_LAYERS_EXP_H
#define VPSDE_MODELS_LAYERS_EXP_H

#include <stdint.h>
#include <string.h>

/* exp(x) for |x| <= 87 */
__attribute__((always_inline)) static inline float vpsde_exp_bounded(float x)
{
    const float round = 12582912.0F; /* 1.5 2^23: adding it leaves the nearest integer */
    const float shifted = x * 1.44269504F + round;
    const float n = shifted - round;
    const float r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
    const float r2 = r * r;
    const float high = 1.9875691500e-4F * r + 1.3981999507e-3F;
    const float middle = 8.3334519073e-3F * r + 4.1665795894e-2F;
    const float low = 1.6666665459e-1F * r + 5.0000001201e-1F;
    const float p = ((high * r2 + middle) * r2 + low) * r2 + r + 1.0F;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (int32_t)((uint32_t)(bits - 0x4B400000 + 127) << 23);
    float power;
    memcpy(&power, &bits, sizeof(power));
    return p * power;
}

#endif
