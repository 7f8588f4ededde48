#include "core/fletcher32.h"

#include <string.h>

#include "core/vec.h"

/* Words of a run stand in lanes; a lane's sum of sums stays below 2^32 for ROUNDS words. */
enum { LANES = 32, ROUNDS = 360 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "words are taken from memory as they are: low byte first");

/* Modulo 2^16 - 1, and 0 for 0 alone. */
static uint32_t fold(uint64_t x)
{
    while (x >> 16) x = (x & 0xffff) + (x >> 16);
    return (uint32_t)x;
}

/* Puts `message` and then words with these sums together. */
static void append(vpsde_fletcher32 *message, uint64_t n_words, uint64_t sum, uint64_t sums)
{
    message->sums = fold(message->sums + fold(n_words) * (uint64_t)message->sum + fold(sums));
    message->sum = fold(message->sum + sum);
}

VPSDE_VECTOR static void add_lanes(vpsde_fletcher32 *f, const uint16_t *words, size_t rounds)
{
    uint32_t a[LANES] = {0}, b[LANES] = {0};
    for (size_t r = 0; r < rounds; r++) {
        for (size_t l = 0; l < LANES; l++) {
            a[l] += words[r * LANES + l];
            b[l] += a[l];
        }
    }
    uint64_t sum = 0, sums = 0;
    for (size_t l = 0; l < LANES; l++) {
        sum += a[l];
        sums += (uint64_t)LANES * b[l] - (uint64_t)l * a[l];
    }
    append(f, (uint64_t)LANES * rounds, sum, sums);
}

static void add_rest(vpsde_fletcher32 *f, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        uint16_t word;
        memcpy(&word, bytes + i, sizeof(word));
        append(f, 1, word, word);
    }
}

void vpsde_fletcher32_add(vpsde_fletcher32 *f, const void *piece, size_t n, size_t after)
{
    const unsigned char *bytes = piece;
    vpsde_fletcher32 own = {0, 0};
    uint16_t words[LANES * ROUNDS];
    while (n >= 2 * LANES) {
        const size_t rounds = n / (2 * LANES) < ROUNDS ? n / (2 * LANES) : ROUNDS;
        const size_t length = 2 * LANES * rounds;
        memcpy(words, bytes, length); /* the piece need not be aligned */
        add_lanes(&own, words, rounds);
        bytes += length;
        n -= length;
    }
    add_rest(&own, bytes, n);
    f->sums = fold(f->sums + own.sums + fold(after / 2) * (uint64_t)own.sum);
    f->sum = fold(f->sum + own.sum);
}

/* Words with their bytes exchanged are 256 times the words, modulo 2^16 - 1: so are their sums. */
uint32_t vpsde_fletcher32_value(const vpsde_fletcher32 *f)
{
    return (uint32_t)__builtin_bswap16((uint16_t)f->sums) << 16 |
           __builtin_bswap16((uint16_t)f->sum);
}
