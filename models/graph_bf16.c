#include "models/graph_bf16.h"

#include <stdint.h>

#include "core/parallel.h"
#include "core/vec.h"

enum { PIECE = 1 << 14 }; /* floats of one call: 64 KB */

/* Half a unit of the last bit kept, less one where that bit is even, carries into it when it shall; from
 * the largest significand it carries into the exponent, up to infinity's. */
VPSDE_VECTOR static void round_all(size_t count, float *x)
{
    typedef uint32_t __attribute__((may_alias)) bits;
    bits *const at = (bits *)x;
    for (size_t e = 0; e < count; e++) {
        const uint32_t b = at[e];
        const uint32_t nearest = b + 0x7FFFu + (b >> 16 & 1u);
        const uint32_t quiet = b | 0x00400000u;
        at[e] = ((b & 0x7FFFFFFFu) > 0x7F800000u ? quiet : nearest) & 0xFFFF0000u;
    }
}

typedef struct pieces {
    size_t count;
    float *x;
} pieces;

static void round_piece(void *context, size_t i)
{
    const pieces *const all = context;
    const size_t first = i * PIECE, left = all->count - first;
    round_all(left < PIECE ? left : PIECE, all->x + first);
}

void graph_bf16(size_t count, float *x)
{
    pieces all = {count, x};
    vpsde_team((count + PIECE - 1) / PIECE, round_piece, &all);
}
