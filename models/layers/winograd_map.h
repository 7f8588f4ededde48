/* The one-dimensional maps of models/layers/winograd.c and the loops that run them along channels. */
#ifndef VPSDE_MODELS_LAYERS_WINOGRAD_MAP_H
#define VPSDE_MODELS_LAYERS_WINOGRAD_MAP_H

#include <stddef.h>

#include "core/vec.h"

#define WINOGRAD_INLINE static inline __attribute__((always_inline))

/* A map of up to 4 numbers to up to 4; n_from and n_to are its sizes. */
typedef void (*winograd_map)(float *to, const float *from);

/* B^T: 4 inputs of a tile, or (a, b, c) when doubled (the factor 2 of the middle one is in G). */
WINOGRAD_INLINE void winograd_b(float *v, const float *d)
{
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
}
WINOGRAD_INLINE void winograd_b_doubled(float *v, const float *d)
{
    v[0] = d[0] - d[1];
    v[1] = d[1];
    v[2] = d[1] - d[2];
}
/* B */
WINOGRAD_INLINE void winograd_b_back(float *d, const float *v)
{
    d[0] = v[0];
    d[1] = (v[1] - v[2]) + v[3];
    d[2] = (v[1] + v[2]) - v[0];
    d[3] = -v[3];
}
WINOGRAD_INLINE void winograd_b_doubled_back(float *d, const float *v)
{
    d[0] = v[0];
    d[1] = (v[1] - v[0]) + v[2];
    d[2] = -v[2];
}
/* A^T: 2 outputs of a tile. */
WINOGRAD_INLINE void winograd_a(float *y, const float *m)
{
    y[0] = (m[0] + m[1]) + m[2];
    y[1] = (m[1] - m[2]) - m[3];
}
WINOGRAD_INLINE void winograd_a_doubled(float *y, const float *m)
{
    y[0] = m[0] + m[1];
    y[1] = m[1] - m[2];
}
/* A */
WINOGRAD_INLINE void winograd_a_back(float *m, const float *y)
{
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
    m[3] = -y[1];
}
WINOGRAD_INLINE void winograd_a_doubled_back(float *m, const float *y)
{
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = -y[1];
}
/* G */
WINOGRAD_INLINE void winograd_g(float *u, const float *g)
{
    u[0] = g[0];
    u[1] = 0.5F * ((g[0] + g[2]) + g[1]);
    u[2] = 0.5F * ((g[0] + g[2]) - g[1]);
    u[3] = g[2];
}
WINOGRAD_INLINE void winograd_g_doubled(float *u, const float *g)
{
    u[0] = g[0];
    u[1] = (g[0] + g[2]) + g[1];
    u[2] = g[2];
}
/* G^T */
WINOGRAD_INLINE void winograd_g_back(float *g, const float *u)
{
    const float even = 0.5F * (u[1] + u[2]);
    g[0] = u[0] + even;
    g[1] = 0.5F * (u[1] - u[2]);
    g[2] = u[3] + even;
}
WINOGRAD_INLINE void winograd_g_doubled_back(float *g, const float *u)
{
    g[0] = u[0] + u[1];
    g[1] = u[1];
    g[2] = u[2] + u[1];
}

/* to[k] = map(from[.]) for count neighbours. The pointers are all different places. */
WINOGRAD_INLINE void winograd_line(size_t count, winograd_map map, size_t n_from,
                                   const float *const *from, size_t n_to, float *const *to)
{
    /* NOLINTBEGIN(clang-analyzer-core.uninitialized.Assign): 3 or 4, as many as are set */
    const float *const f0 = from[0], *const f1 = from[1], *const f2 = from[n_from > 2 ? 2 : 0],
                       *const f3 = from[n_from > 3 ? 3 : 0];
    float *const t0 = to[0], *const t1 = to[1], *const t2 = to[n_to > 2 ? 2 : 0],
                 *const t3 = to[n_to > 3 ? 3 : 0];
    /* NOLINTEND(clang-analyzer-core.uninitialized.Assign) */
    VPSDE_INDEPENDENT
    for (size_t e = 0; e < count; e++) {
        const float a[4] = {f0[e], f1[e], f2[e], f3[e]};
        float b[4];
        map(b, a);
        t0[e] = b[0];
        t1[e] = b[1];
        if (n_to > 2) t2[e] = b[2];
        if (n_to > 3) t3[e] = b[3];
    }
}

/* The same from and to places `from_step` apart, for each of `count` groups of c neighbours, which move on
 * by from_move and to_move. */
WINOGRAD_INLINE void winograd_tiles(size_t count, size_t c, winograd_map map, size_t n_from,
                                    const float *from, size_t from_step, size_t from_move,
                                    size_t n_to, float *to, size_t to_step, size_t to_move)
{
    for (size_t t = 0; t < count; t++) {
        const float *const f[4] = {from, from + from_step, from + 2 * from_step,
                                   from + 3 * from_step};
        float *const d[4] = {to, to + to_step, to + 2 * to_step, to + 3 * to_step};
        winograd_line(c, map, n_from, f, n_to, d);
        from += from_move;
        to += to_move;
    }
}

#endif
