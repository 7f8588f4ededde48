/* Philox blocks in flight, structure of arrays, for callers that walk many nodes of the same rows:
 * the addresses are set once, each node then costs the numbers alone. */
#ifndef VPSDE_CORE_NOISE_TILE_H
#define VPSDE_CORE_NOISE_TILE_H

#include <vpsde/noise.h>

enum {
    NOISE_TILE = 64, /* 4 KiB, stays in a core's first cache */
    NOISE_LANES = 8  /* tiles are filled up to whole vectors */
};

typedef struct noise_tile {
    size_t count, whole; /* blocks wanted; the same in whole vectors */
    uint32_t c0[NOISE_TILE], c1[NOISE_TILE], c3[NOISE_TILE]; /* counters; c2 is the node */
    uint64_t x[NOISE_TILE], y[NOISE_TILE]; /* words 0, 1 and words 2, 3 of the block */
    double a[NOISE_TILE], b[NOISE_TILE];   /* the block's two numbers */
} noise_tile;

/* Turns to `count` <= NOISE_TILE blocks of rows of `pairs`, from the pair numbered `begin` on when
 * all pairs of samples first, first + 1, ... are counted through. */
void vpsde_noise_address(noise_tile *t, vpsde_purpose purpose, uint64_t first, size_t begin,
                         size_t count, size_t pairs);

/* a, b <- the blocks' normals at `node`: components 2 p and 2 p + 1 of pair p. */
void vpsde_noise_normals(noise_tile *t, uint64_t seed, uint32_t node);

#endif
