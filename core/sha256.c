/* SHA-256 (FIPS 180-4). The SHA instructions (Gulley et al., Intel SHA Extensions, 2013) hash faster
 * than a disk writes; on processors without them libmd does it, at a tenth of that. */
#include "core/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <sha256.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

enum { BLOCK = 64, READ_BYTES = 1 << 15 };

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static bool has_instructions(void)
{
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("sse4.1") || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return b >> 29 & 1;
}

/* The instructions hold the state as (a, b, e, f) and (c, d, g, h). */
__attribute__((target("sha,sse4.1"))) static void compress(uint32_t state[8], const void *blocks,
                                                           size_t n)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i *in = blocks, *k = (const __m128i *)(const void *)round_constant;
    __m128i *out = (__m128i *)(void *)state;
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(out), 0xB1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(out + 1), 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    for (; n > 0; n--, in += 4) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int q = 0; q < 4; q++) w[q] = _mm_shuffle_epi8(_mm_loadu_si128(in + q), swap);
#pragma GCC unroll 16
        for (int q = 0; q < 16; q++) {
            const __m128i now = w[q % 4], sum = _mm_add_epi32(now, _mm_loadu_si128(k + q));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            const __m128i last = w[(q + 3) % 4];
            const __m128i shifted = _mm_alignr_epi8(last, w[(q + 2) % 4], 4);
            const __m128i half = _mm_sha256msg1_epu32(now, w[(q + 1) % 4]);
            w[q % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(half, shifted), last);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(out, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(out + 1, _mm_alignr_epi8(dchg, feba, 8));
}

static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* The last `length` % 64 bytes of a message, its end mark and length in bits; then the digits. */
static void finish(char hex[65], uint32_t state[8], const unsigned char *rest, uint64_t length)
{
    unsigned char tail[2 * BLOCK] = {0};
    const size_t left = length % BLOCK, n = left < BLOCK - 8 ? 1 : 2;
    const uint64_t bits = __builtin_bswap64(8 * length);
    if (left > 0) memcpy(tail, rest, left);
    tail[left] = 0x80;
    memcpy(tail + n * BLOCK - 8, &bits, sizeof(bits));
    compress(state, tail, n);
    for (size_t word = 0; word < 8; word++) snprintf(hex + 8 * word, 9, "%08x", state[word]);
}

static void with_instructions(char hex[65], const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    const size_t n = length / BLOCK;
    uint32_t state[8];
    memcpy(state, start, sizeof(state));
    compress(state, at, n);
    finish(hex, state, n > 0 ? at + n * BLOCK : at, length);
}

/* Bytes until the buffer is full or the file ends; -1: errno says why. */
static ssize_t fill(int fd, unsigned char *buffer, size_t size)
{
    size_t have = 0;
    while (have < size) {
        const ssize_t got = read(fd, buffer + have, size - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static bool file_with_instructions(char hex[65], int fd)
{
    unsigned char buffer[READ_BYTES];
    uint32_t state[8];
    uint64_t length = 0;
    ssize_t got;
    memcpy(state, start, sizeof(state));
    do {
        got = fill(fd, buffer, READ_BYTES);
        if (got < 0) return false;
        length += (uint64_t)got;
        compress(state, buffer, (size_t)got / BLOCK);
    } while (got == READ_BYTES);
    finish(hex, state, buffer + (size_t)got / BLOCK * BLOCK, length);
    return true;
}

void vpsde_sha256(char hex[65], const void *bytes, size_t length)
{
    if (has_instructions()) {
        with_instructions(hex, bytes, length);
    } else {
        SHA256Data(bytes, length, hex);
    }
}

static bool hash_file(char hex[65], const char *path)
{
    if (!has_instructions()) return SHA256File(path, hex) != NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool done = file_with_instructions(hex, fd);
    const int reason = errno;
    close(fd);
    errno = reason;
    return done;
}
#else
void vpsde_sha256(char hex[65], const void *bytes, size_t length)
{
    SHA256Data(bytes, length, hex);
}

static bool hash_file(char hex[65], const char *path) { return SHA256File(path, hex) != NULL; }
#endif

vpsde_status vpsde_sha256_file(char hex[65], const char *path)
{
    if (hash_file(hex, path)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be read: %s", path, strerror(errno));
}
