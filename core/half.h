/* Sixteen-bit floats as float32; exact. */
#ifndef VPSDE_CORE_HALF_H
#define VPSDE_CORE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float vpsde_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* bfloat16: the upper half of a float32. */
static inline float vpsde_bf16_to_f32(uint16_t half)
{
    return vpsde_float_of_bits((uint32_t)half << 16);
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static inline float vpsde_f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu, fraction = half & 0x3ffu;
    if (exponent == 0x1fu) return vpsde_float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0) return vpsde_float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    const float tiny = (float)fraction * 0x1p-24f; /* zero and subnormals */
    return sign ? -tiny : tiny;
}

#endif
