/* Counter-based noise: Philox4x32-10 (Salmon et al., SC'11; Random123) and Box-Muller,
 *   z_0 = sqrt(-2 log u_1) cos(2 pi u_2),  z_1 = sqrt(-2 log u_1) sin(2 pi u_2).
 * Blocks go through in tiles, structure of arrays; the value of a number depends on its address
 * alone, never on its place in a tile. */
#include <vpsde/noise.h>

#include <math.h>

#include <Random123/philox.h>

#include "core/noise_math.h"
#include "core/vec.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(VPSDE_NO_CLONES)
#define WORDS_AVX2
#include <immintrin.h>
#endif

enum {
    TILE = 64, /* blocks in flight: 3 KiB of stack */
    LANES = 8  /* tiles are filled up to whole vectors */
};

typedef struct tile {
    uint32_t c0[TILE], c1[TILE], c3[TILE]; /* counters; c2 is the node */
    uint64_t x[TILE], y[TILE];             /* words 0, 1 and words 2, 3 of the block */
    double a[TILE], b[TILE];               /* the block's two numbers */
} tile;

static void words_plain(tile *t, size_t count, uint32_t node, uint32_t k0, uint32_t k1)
{
    for (size_t e = 0; e < count; e++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): tiles are filled up to whole vectors */
        const noise_block block = noise_philox(t->c0[e], t->c1[e], node, t->c3[e], k0, k1);
        t->x[e] = (uint64_t)block.w[0] << 32 | block.w[1];
        t->y[e] = (uint64_t)block.w[2] << 32 | block.w[3];
    }
}

#ifdef WORDS_AVX2
#define LOAD(p) _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)(p)))

/* As words_plain with one block in each 64-bit lane, four at a time: the 32 x 32 -> 64 bit product
 * reads low halves alone, so high halves may hold anything. Compilers do not find this form. */
__attribute__((target("avx2"))) static void words_avx2(tile *t, size_t count, uint32_t node,
                                                       uint32_t key0, uint32_t key1)
{
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
    const __m256i low = _mm256_set1_epi64x(0xFFFFFFFF);
    for (size_t e = 0; e < count; e += 4) {
        __m256i c0 = LOAD(t->c0 + e), c1 = LOAD(t->c1 + e), c3 = LOAD(t->c3 + e);
        __m256i c2 = _mm256_set1_epi64x(node);
        uint32_t k0 = key0, k1 = key1;
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            const __m256i p0 = _mm256_mul_epu32(c0, m0), p1 = _mm256_mul_epu32(c2, m1);
            c1 = _mm256_xor_si256(c1, _mm256_set1_epi64x(k0));
            c3 = _mm256_xor_si256(c3, _mm256_set1_epi64x(k1));
            c0 = _mm256_xor_si256(c1, _mm256_srli_epi64(p1, 32));
            c2 = _mm256_xor_si256(c3, _mm256_srli_epi64(p0, 32));
            c1 = p1;
            c3 = p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        const __m256i x = _mm256_or_si256(_mm256_slli_epi64(c0, 32), _mm256_and_si256(c1, low));
        const __m256i y = _mm256_or_si256(_mm256_slli_epi64(c2, 32), _mm256_and_si256(c3, low));
        _mm256_storeu_si256((__m256i *)(void *)(t->x + e), x);
        _mm256_storeu_si256((__m256i *)(void *)(t->y + e), y);
    }
}

static void words(tile *t, size_t count, uint32_t node, uint32_t k0, uint32_t k1)
{
    if (__builtin_cpu_supports("avx2")) {
        words_avx2(t, count, node, k0, k1);
    } else {
        words_plain(t, count, node, k0, k1);
    }
}
#else
#define words words_plain
#endif

/* The two numbers of each of `count` blocks from their words. */
typedef void (*map_fn)(tile *t, size_t count);

VPSDE_VECTOR static void map_normals(tile *t, size_t count)
{
    for (size_t e = 0; e < count; e++) {
        const double u = 2 - noise_one_to_two(t->x[e]); /* (0, 1] */
        t->a[e] = sqrt(-2 * noise_log(u));
    }
    for (size_t e = 0; e < count; e++) {
        const double u = noise_one_to_two(t->y[e]) - 1; /* [0, 1) */
        double sine, cosine;
        noise_sincos(&sine, &cosine, u);
        t->b[e] = t->a[e] * sine;
        t->a[e] = t->a[e] * cosine;
    }
}

/* (2 m + 1) / 2^53 with 52 random bits m: symmetric about 1/2, never 0 or 1. */
VPSDE_VECTOR static void map_uniforms(tile *t, size_t count)
{
    for (size_t e = 0; e < count; e++) {
        t->a[e] = (noise_one_to_two(t->x[e]) - 1) + 0x1p-53;
        t->b[e] = (noise_one_to_two(t->y[e]) - 1) + 0x1p-53;
    }
}

/* -1 where the top bit is set. */
VPSDE_VECTOR static void map_signs(tile *t, size_t count)
{
    const uint64_t one = UINT64_C(0x3FF0000000000000), top = UINT64_C(1) << 63;
    for (size_t e = 0; e < count; e++) {
        const noise_bits a = {.u = one | (t->x[e] & top)}, b = {.u = one | (t->y[e] & top)};
        t->a[e] = a.d;
        t->b[e] = b.d;
    }
}

/* Writes blocks [0, count) of the tile as components; the first is pair number `pair` of its row. */
static double *store(double *out, const tile *t, size_t count, size_t pair, size_t d)
{
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

static void draw(double *out, map_fn map, uint64_t seed, vpsde_purpose purpose, uint64_t first,
                 size_t n, uint32_t node, size_t d)
{
    const size_t pairs = (d + 1) / 2;
    const uint32_t high = (uint32_t)purpose << 16;
    uint64_t sample = first;
    size_t pair = 0;
    tile t;
    for (size_t left = n * pairs; left > 0;) {
        const size_t count = left < TILE ? left : TILE;
        const size_t pair_of_tile = pair;
        for (size_t e = 0; e < count; e++) {
            t.c0[e] = (uint32_t)sample;
            t.c1[e] = (uint32_t)(sample >> 32 & 0xFFFF) | high;
            t.c3[e] = (uint32_t)pair;
            if (++pair == pairs) {
                pair = 0;
                sample++;
            }
        }
        const size_t whole = (count + LANES - 1) / LANES * LANES;
        for (size_t e = count; e < whole; e++) t.c0[e] = t.c1[e] = t.c3[e] = 0;
        words(&t, whole, node, (uint32_t)seed, (uint32_t)(seed >> 32));
        map(&t, whole);
        out = store(out, &t, count, pair_of_tile, d);
        left -= count;
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
