#include "models/mixture_tile.h"

#include <math.h>

#include "core/vec.h"

enum { TILE = 64, COMPONENTS = 8, D = 2 };

typedef struct tile {
    size_t n;
    double x[D][TILE], s[D][TILE], top[TILE], sum[TILE];
    double g[COMPONENTS][TILE], s_k[COMPONENTS][D][TILE];
} tile;

bool mixture_tile_fits(const mixture *m, const vpsde_eval *e)
{
    const bool bare = !e->div && !e->ddiv && !e->logp && e->k == 0 && !e->classes;
    return bare && e->coef_stride == 0 && m->d == D && m->n <= COMPONENTS;
}

#define INLINE static inline __attribute__((always_inline))

static const double identity[D * D] = {1, 0, 0, 1};

/* U of component k, where it is not the identity. */
INLINE const double *basis_of(const mixture *m, size_t k)
{
    const bool turned = m->rotation[k] != MIXTURE_UNROTATED;
    return turned ? m->basis + m->rotation[k] * D * D : identity;
}

/* s_k in its own eigenbasis, and the logarithm of g_k. */
INLINE void component(tile *t, const mixture *m, const mixture_time *at, size_t k, bool turned)
{
    const double *mean = m->mean + k * D, *u = basis_of(m, k);
    const double *inverse = at->inverse + m->spectrum[k] * D;
    const double alpha = at->alpha, log_det = at->log_det[m->spectrum[k]];
    const double m0 = alpha * mean[0], m1 = alpha * mean[1], weight = m->log_weight[k];
    double *restrict s0 = t->s_k[k][0], *restrict s1 = t->s_k[k][1], *restrict g = t->g[k];
    for (size_t i = 0; i < TILE; i++) {
        const double r0 = t->x[0][i] - m0, r1 = t->x[1][i] - m1;
        const double y0 = turned ? 0 + u[0] * r0 + u[1] * r1 : r0;
        const double y1 = turned ? 0 + u[2] * r0 + u[3] * r1 : r1;
        s0[i] = -inverse[0] * y0;
        s1[i] = -inverse[1] * y1;
        g[i] = weight + 0.5 * (0 + y0 * s0[i] + y1 * s1[i] - log_det);
        t->top[i] = g[i] > t->top[i] ? g[i] : t->top[i];
    }
}

/* s += g_k s_k, turned out of its eigenbasis; nothing where g_k = 0, for s_k may be infinite there. */
INLINE void add_score(tile *t, const mixture *m, size_t k, bool turned)
{
    const double *u = basis_of(m, k);
    const double *restrict s0 = t->s_k[k][0], *restrict s1 = t->s_k[k][1];
    for (size_t i = 0; i < TILE; i++) {
        const double g = t->g[k][i] * t->sum[i]; /* the sum's inverse by now */
        const double r0 = turned ? 0 + s0[i] * u[0] + s1[i] * u[2] : s0[i];
        const double r1 = turned ? 0 + s0[i] * u[1] + s1[i] * u[3] : s1[i];
        const double more0 = t->s[0][i] + g * r0, more1 = t->s[1][i] + g * r1;
        t->s[0][i] = g == 0 ? t->s[0][i] : more0;
        t->s[1][i] = g == 0 ? t->s[1][i] : more1;
    }
}

VPSDE_VECTOR static void components(tile *t, const mixture *m, const mixture_time *at)
{
    for (size_t i = 0; i < TILE; i++) t->top[i] = -INFINITY;
    for (size_t k = 0; k < m->n; k++) {
        if (m->rotation[k] == MIXTURE_UNROTATED) component(t, m, at, k, false);
        if (m->rotation[k] != MIXTURE_UNROTATED) component(t, m, at, k, true);
    }
}

VPSDE_VECTOR static void scores(tile *t, const mixture *m)
{
    for (size_t i = 0; i < TILE; i++) {
        t->s[0][i] = t->s[1][i] = 0;
        t->sum[i] = 1 / t->sum[i];
    }
    for (size_t k = 0; k < m->n; k++) {
        if (m->rotation[k] == MIXTURE_UNROTATED) add_score(t, m, k, false);
        if (m->rotation[k] != MIXTURE_UNROTATED) add_score(t, m, k, true);
    }
}

/* Numbers of libm, one at a time; exp(0) is 1. */
static void weigh(tile *t, const mixture *m)
{
    for (size_t i = 0; i < t->n; i++) t->sum[i] = 0;
    for (size_t k = 0; k < m->n; k++) {
        for (size_t i = 0; i < t->n; i++) {
            const double below = t->g[k][i] - t->top[i];
            t->g[k][i] = below == 0 ? 1 : exp(below);
            t->sum[i] += t->g[k][i];
        }
    }
}

void mixture_tile_eps(const mixture *m, const mixture_time *at, const vpsde_eval *e)
{
    tile t = {.n = 0};
    const double *x = e->x;
    double *eps = e->eps;
    for (size_t begin = 0; begin < e->n; begin += t.n, x += D * t.n, eps += D * t.n) {
        t.n = e->n - begin < TILE ? e->n - begin : TILE;
        for (size_t i = 0; i < t.n; i++) {
            t.x[0][i] = x[D * i];
            t.x[1][i] = x[D * i + 1];
        }
        components(&t, m, at);
        weigh(&t, m);
        scores(&t, m);
        for (size_t i = 0; i < t.n; i++) {
            eps[D * i] = -at->sigma * t.s[0][i];
            eps[D * i + 1] = -at->sigma * t.s[1][i];
        }
    }
}
