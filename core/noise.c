/* Counter-based noise: Philox4x32-10 (Salmon et al., SC'11; Random123) and Box-Muller,
 *   z_0 = sqrt(-2 log u_1) cos(2 pi u_2),  z_1 = sqrt(-2 log u_1) sin(2 pi u_2).
 * Blocks go through in tiles, structure of arrays; the value of a number depends on its address
 * alone, never on its place in a tile. */
#include <vpsde/noise.h>

#include <math.h>

#include <Random123/philox.h>

#include "core/noise_math.h"
#include "core/noise_tile.h"
#include "core/vec.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(VPSDE_NO_CLONES)
#define WORDS_AVX2
#include <immintrin.h>
#endif

static void words_plain(noise_tile *t, uint32_t node, uint32_t k0, uint32_t k1)
{
    for (size_t e = 0; e < t->whole; e++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): tiles are filled up to whole vectors */
        const noise_block block = noise_philox(t->c0[e], t->c1[e], node, t->c3[e], k0, k1);
        t->x[e] = (uint64_t)block.w[0] << 32 | block.w[1];
        t->y[e] = (uint64_t)block.w[2] << 32 | block.w[3];
    }
}

#ifdef WORDS_AVX2
typedef struct chain {
    __m256i c0, c1, c2, c3;
} chain;

#define AVX2 __attribute__((target("avx2")))

AVX2 NOISE_INLINE __m256i widen(const uint32_t *c)
{
    return _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)c));
}

AVX2 NOISE_INLINE chain chain_at(const noise_tile *t, size_t e, uint32_t node)
{
    return (chain){.c0 = widen(t->c0 + e),
                   .c1 = widen(t->c1 + e),
                   .c2 = _mm256_set1_epi64x(node),
                   .c3 = widen(t->c3 + e)};
}

AVX2 NOISE_INLINE chain next_round(chain c, const __m256i *key)
{
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
    const __m256i p0 = _mm256_mul_epu32(c.c0, m0), p1 = _mm256_mul_epu32(c.c2, m1);
    const __m256i high0 = _mm256_srli_epi64(p0, 32), high1 = _mm256_srli_epi64(p1, 32);
    return (chain){.c0 = _mm256_xor_si256(_mm256_xor_si256(c.c1, key[0]), high1),
                   .c1 = p1,
                   .c2 = _mm256_xor_si256(_mm256_xor_si256(c.c3, key[1]), high0),
                   .c3 = p0};
}

AVX2 NOISE_INLINE void chain_store(noise_tile *t, size_t e, chain c)
{
    const __m256i x = _mm256_blend_epi32(_mm256_slli_epi64(c.c0, 32), c.c1, 0x55);
    const __m256i y = _mm256_blend_epi32(_mm256_slli_epi64(c.c2, 32), c.c3, 0x55);
    _mm256_storeu_si256((__m256i *)(void *)(t->x + e), x);
    _mm256_storeu_si256((__m256i *)(void *)(t->y + e), y);
}

/* As words_plain with one block in each 64-bit lane, two vectors at a time to hide the products'
 * latency: the 32 x 32 -> 64 bit product reads low halves alone, so high halves may hold anything.
 * Compilers do not find this form. */
AVX2 static void words_avx2(noise_tile *t, uint32_t node, uint32_t k0, uint32_t k1)
{
    __m256i key[20];
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        key[2 * round] = _mm256_set1_epi64x(k0);
        key[2 * round + 1] = _mm256_set1_epi64x(k1);
    }
    for (size_t e = 0; e < t->whole; e += NOISE_LANES) {
        chain first = chain_at(t, e, node), second = chain_at(t, e + 4, node);
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            first = next_round(first, key + 2 * round);
            second = next_round(second, key + 2 * round);
        }
        chain_store(t, e, first);
        chain_store(t, e + 4, second);
    }
}

static void words(noise_tile *t, uint32_t node, uint32_t k0, uint32_t k1)
{
    if (__builtin_cpu_supports("avx2")) {
        words_avx2(t, node, k0, k1);
    } else {
        words_plain(t, node, k0, k1);
    }
}
#else
#define words words_plain
#endif

/* The two numbers of each block from its words. */
typedef void (*map_fn)(noise_tile *t);

/* a <- sqrt(-2 log u_1) */
VPSDE_VECTOR static void map_radii(noise_tile *t)
{
    double k[NOISE_TILE], f[NOISE_TILE], s[NOISE_TILE];
    for (size_t e = 0; e < t->whole; e++) {
        const noise_reduced u = noise_log_reduce(2 - noise_one_to_two(t->x[e])); /* (0, 1] */
        k[e] = u.k;
        f[e] = u.f;
        s[e] = u.s;
    }
    for (size_t e = 0; e < t->whole; e++) {
        t->a[e] = -2 * noise_log_sum((noise_reduced){.k = k[e], .f = f[e], .s = s[e]});
    }
    for (size_t e = 0; e < t->whole; e++) t->a[e] = sqrt(t->a[e]);
}

VPSDE_VECTOR static void map_normals(noise_tile *t)
{
    double x[NOISE_TILE], sine[NOISE_TILE], cosine[NOISE_TILE];
    uint64_t q[NOISE_TILE];
    map_radii(t);
    for (size_t e = 0; e < t->whole; e++) {
        const noise_angle angle = noise_turn(noise_one_to_two(t->y[e]) - 1); /* of [0, 1) */
        x[e] = angle.x;
        q[e] = angle.q;
    }
    for (size_t e = 0; e < t->whole; e++) sine[e] = noise_sine(x[e]);
    for (size_t e = 0; e < t->whole; e++) cosine[e] = noise_cosine(x[e]);
    for (size_t e = 0; e < t->whole; e++) {
        noise_quadrant(&sine[e], &cosine[e], q[e]);
        t->b[e] = t->a[e] * sine[e];
        t->a[e] = t->a[e] * cosine[e];
    }
}

/* (2 m + 1) / 2^53 with 52 random bits m: symmetric about 1/2, never 0 or 1. */
VPSDE_VECTOR static void map_uniforms(noise_tile *t)
{
    for (size_t e = 0; e < t->whole; e++) {
        t->a[e] = (noise_one_to_two(t->x[e]) - 1) + 0x1p-53;
        t->b[e] = (noise_one_to_two(t->y[e]) - 1) + 0x1p-53;
    }
}

/* -1 where the top bit is set. */
VPSDE_VECTOR static void map_signs(noise_tile *t)
{
    const uint64_t one = UINT64_C(0x3FF0000000000000), top = UINT64_C(1) << 63;
    for (size_t e = 0; e < t->whole; e++) {
        const noise_bits a = {.u = one | (t->x[e] & top)}, b = {.u = one | (t->y[e] & top)};
        t->a[e] = a.d;
        t->b[e] = b.d;
    }
}

/* Writes the blocks as components; the first is pair number `pair` of its row. */
static double *store(double *out, const noise_tile *t, size_t pair, size_t d)
{
    const size_t count = t->count;
    const size_t pairs = (d + 1) / 2;
    if (d % 2 == 0) {
        for (size_t e = 0; e < count; e++) {
            out[2 * e] = t->a[e];
            out[2 * e + 1] = t->b[e];
        }
        return out + 2 * count;
    }
    for (size_t e = 0; e < count; e++) {
        *out++ = t->a[e];
        if (++pair == pairs) {
            pair = 0;
        } else {
            *out++ = t->b[e];
        }
    }
    return out;
}

void vpsde_noise_address(noise_tile *t, vpsde_purpose purpose, uint64_t first, size_t begin,
                         size_t count, size_t pairs)
{
    const uint32_t high = (uint32_t)purpose << 16;
    uint64_t sample = first + begin / pairs;
    size_t pair = begin % pairs;
    t->count = count;
    t->whole = (count + NOISE_LANES - 1) / NOISE_LANES * NOISE_LANES;
    for (size_t e = 0; e < count; e++) {
        t->c0[e] = (uint32_t)sample;
        t->c1[e] = (uint32_t)(sample >> 32 & 0xFFFF) | high;
        t->c3[e] = (uint32_t)pair;
        if (++pair == pairs) {
            pair = 0;
            sample++;
        }
    }
    for (size_t e = count; e < t->whole; e++) t->c0[e] = t->c1[e] = t->c3[e] = 0;
}

void vpsde_noise_normals(noise_tile *t, uint64_t seed, uint32_t node)
{
    words(t, node, (uint32_t)seed, (uint32_t)(seed >> 32));
    map_normals(t);
}

static void draw(double *out, map_fn map, uint64_t seed, vpsde_purpose purpose, uint64_t first,
                 size_t n, uint32_t node, size_t d)
{
    const size_t pairs = (d + 1) / 2, all = n * pairs;
    noise_tile t;
    for (size_t begin = 0; begin < all; begin += t.count) {
        const size_t left = all - begin;
        vpsde_noise_address(&t, purpose, first, begin, left < NOISE_TILE ? left : NOISE_TILE,
                            pairs);
        words(&t, node, (uint32_t)seed, (uint32_t)(seed >> 32));
        map(&t);
        out = store(out, &t, begin % pairs, d);
    }
}

void vpsde_normals(double *z, uint64_t seed, vpsde_purpose purpose, uint64_t first, size_t n,
                   uint32_t node, size_t d)
{
    draw(z, map_normals, seed, purpose, first, n, node, d);
}

void vpsde_uniforms(double *u, uint64_t seed, vpsde_purpose purpose, uint64_t first, size_t n,
                    uint32_t node, size_t d)
{
    draw(u, map_uniforms, seed, purpose, first, n, node, d);
}

void vpsde_signs(double *v, uint64_t seed, vpsde_purpose purpose, uint64_t first, size_t n,
                 uint32_t node, size_t d)
{
    draw(v, map_signs, seed, purpose, first, n, node, d);
}

void vpsde_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    const philox4x32_ctr_t c = {{counter[0], counter[1], counter[2], counter[3]}};
    const philox4x32_key_t k = {{key[0], key[1]}};
    const philox4x32_ctr_t block = philox4x32(c, k);
    for (int j = 0; j < 4; j++) out[j] = block.v[j];
}
