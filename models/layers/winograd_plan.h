/* Sizes shared by models/layers/winograd*.c. */
#ifndef VPSDE_MODELS_LAYERS_WINOGRAD_PLAN_H
#define VPSDE_MODELS_LAYERS_WINOGRAD_PLAN_H

#include "models/layers/winograd.h"

typedef struct winograd_plan {
    size_t planes; /* transformed numbers of a tile in each direction */
    size_t reach;  /* inputs of a tile in each direction */
    size_t step;   /* inputs from a tile to the next */
    size_t tile_rows, tile_columns;
    size_t out_height, out_width;
    size_t channels; /* the larger of in */
    size_t tiles;    /* of one chunk: see winograd_tiles_of */
} winograd_plan;

/* Enough tiles to feed a matrix product, few enough for their transforms to stay in the cache (measured:
 * 32 to 256 channels, 7 x 7 to 32 x 32 pixels). */
enum { WINOGRAD_TILES_MIN = 16, WINOGRAD_TILES_MAX = 128, WINOGRAD_TILE_FLOATS = 8192 };

static inline size_t winograd_tiles_of(size_t channels)
{
    const size_t tiles = WINOGRAD_TILE_FLOATS / channels;
    if (tiles < WINOGRAD_TILES_MIN) return WINOGRAD_TILES_MIN;
    return tiles < WINOGRAD_TILES_MAX ? tiles : WINOGRAD_TILES_MAX;
}

static inline winograd_plan winograd_plan_of(const vpsde_winograd *w)
{
    winograd_plan p = {.planes = w->doubled ? 3 : 4,
                       .reach = w->doubled ? 3 : 4,
                       .step = w->doubled ? 1 : 2,
                       .out_height = w->doubled ? 2 * w->height : w->height,
                       .out_width = w->doubled ? 2 * w->width : w->width,
                       .channels = w->in[0] > w->in[1] ? w->in[0] : w->in[1]};
    p.tile_rows = (p.out_height + 1) / 2;
    p.tile_columns = (p.out_width + 1) / 2;
    p.tiles = winograd_tiles_of(p.channels > w->out ? p.channels : w->out);
    return p;
}

/* Pixels of a line of inputs with the zeros around it. */
static inline size_t winograd_strip(const winograd_plan *p)
{
    return p->step * p->tile_columns + 2;
}

/* Tile rows of a chunk of about so many tiles, `rows` cut into equal parts. */
static inline size_t winograd_chunk(const winograd_plan *p, size_t tiles, size_t rows)
{
    const size_t most = (tiles + p->tile_columns - 1) / p->tile_columns;
    if (most >= rows) return rows;
    const size_t chunks = (rows - 1) / most + 1;
    return (rows - 1) / chunks + 1;
}

/* One row of tiles of x, which has c channels, to its place in v: B^T d B, `plane` floats from one
 * transformed number to the next. zeros: a line of them; strips (planes, strip, c): scratch. */
void vpsde_winograd_transform(const vpsde_winograd *w, const winograd_plan *p, size_t c,
                              const float *x, size_t tile_row, const float *zeros, float *strips,
                              float *v, size_t plane);

/* Floats of scratch of vpsde_winograd_backward. */
size_t vpsde_winograd_back_scratch(const vpsde_winograd *w);

#endif
