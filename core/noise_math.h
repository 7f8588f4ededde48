/* The scalar kernels of noise.c, without branches, tables or libm calls, so that a loop over them
 * becomes vector code, and with no operation whose result depends on the instruction set.
 *
 *   philox  Philox4x32-10                       Salmon, Moraes, Dror & Shaw, SC'11
 *   log     log(2^k (1 + f)) = k log 2 + f - (f^2/2 - s (f^2/2 + R(s^2))),  s = f / (2 + f)
 *   sincos  of 2 pi u, reduced exactly to |x| <= pi/4
 * Polynomials: minimax coefficients of fdlibm (e_log.c, k_sin.c, k_cos.c). Errors over the range
 * used here are below 2 units in the last place (tests/test_noise.c). */
#ifndef VPSDE_CORE_NOISE_MATH_H
#define VPSDE_CORE_NOISE_MATH_H

#include <stdint.h>

#define NOISE_INLINE static inline __attribute__((always_inline))

typedef struct noise_block {
    uint32_t w[4];
} noise_block;

NOISE_INLINE noise_block noise_philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                      uint32_t k0, uint32_t k1)
{
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const uint32_t low0 = c0 * 0xD2511F53u, low1 = c2 * 0xCD9E8D57u;
        const uint32_t high0 = (uint32_t)((uint64_t)c0 * 0xD2511F53u >> 32);
        const uint32_t high1 = (uint32_t)((uint64_t)c2 * 0xCD9E8D57u >> 32);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (noise_block){{c0, c1, c2, c3}};
}

typedef union noise_bits {
    double d;
    uint64_t u;
} noise_bits;

/* 1 + m / 2^52 with the 52 high bits m. */
NOISE_INLINE double noise_one_to_two(uint64_t bits)
{
    const noise_bits b = {.u = UINT64_C(0x3FF0000000000000) | bits >> 12};
    return b.d;
}

/* Logarithm and sine come in parts, each short enough that a processor has several elements of a loop
 * over it under way. */
typedef struct noise_reduced {
    double k, f, s; /* u = 2^k (1 + f), s = f / (2 + f) */
} noise_reduced;

/* Of a positive normal number. */
NOISE_INLINE noise_reduced noise_log_reduce(double u)
{
    const uint64_t low = UINT64_C(0x3FE6A09E00000000); /* about sqrt(1/2) */
    const uint64_t one = UINT64_C(0x3FF0000000000000), mantissa = UINT64_C(0x000FFFFFFFFFFFFF);
    const noise_bits x = {.d = u};
    const uint64_t shifted = x.u + (one - low);
    const noise_bits m = {.u = (shifted & mantissa) + low};
    const noise_bits exponent = {.u = UINT64_C(0x4330000000000000) | shifted >> 52};
    const double f = m.d - 1;
    return (noise_reduced){.k = exponent.d - (0x1p52 + 1023), .f = f, .s = f / (2 + f)};
}

/* log u */
NOISE_INLINE double noise_log_sum(noise_reduced u)
{
    const double k = u.k, f = u.f, s = u.s;
    const double z = s * s, w = z * z;
    const double even = w * (3.999999999940941908e-01 +
                             w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const double odd = z * (6.666666666666735130e-01 +
                            w * (2.857142874366239149e-01 +
                                 w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01)));
    const double half = 0.5 * f * f;
    return k * 6.93147180369123816490e-01 -
           ((half - (s * (half + (odd + even)) + k * 1.90821492927058770002e-10)) - f);
}

typedef struct noise_angle {
    double x;   /* 2 pi u less a multiple of pi/2, |x| <= pi/4 */
    uint64_t q; /* that multiple, in the low bits */
} noise_angle;

/* 0 <= u < 1 */
NOISE_INLINE noise_angle noise_turn(double u)
{
    const double round = 0x1.8p52; /* adding it leaves round(4 u) in the low bits */
    const noise_bits q = {.d = 4 * u + round};
    return (noise_angle){.x = (4 * u - (q.d - round)) * 1.57079632679489661923, .q = q.u};
}

/* sin x, |x| <= pi/4 */
NOISE_INLINE double noise_sine(double x)
{
    const double z = x * x;
    const double tail =
        -1.66666666666666324348e-01 +
        z * (8.33333333332248946124e-03 +
             z * (-1.98412698298579493134e-04 +
                  z * (2.75573137070700676789e-06 +
                       z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10))));
    return x + x * z * tail;
}

/* cos x, |x| <= pi/4 */
NOISE_INLINE double noise_cosine(double x)
{
    const double z = x * x;
    const double tail =
        4.16666666666666019037e-02 +
        z * (-1.38888888888741095749e-03 +
             z * (2.48015872894767294178e-05 +
                  z * (-2.75573143513906633035e-07 +
                       z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11))));
    return 1 - (0.5 * z - z * z * tail);
}

/* *sine, *cosine: from those of the reduced angle to those of the whole one. */
NOISE_INLINE void noise_quadrant(double *sine, double *cosine, uint64_t q)
{
    const noise_bits s = {.d = *sine}, c = {.d = *cosine};
    const uint64_t swap = (s.u ^ c.u) & (0 - (q & 1));
    const noise_bits out_s = {.u = (s.u ^ swap) ^ (q & 2) << 62};
    const noise_bits out_c = {.u = (c.u ^ swap) ^ ((q + 1) & 2) << 62};
    *sine = out_s.d;
    *cosine = out_c.d;
}

#endif
