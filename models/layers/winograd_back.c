/* The transpose of models/layers/winograd.c: every map runs the other way, and neighbouring tiles add up
 * where they share inputs. */
#include <stdint.h>
#include <string.h>

#include "core/parallel.h"
#include "core/vec.h"
#include "models/layers/linear.h"
#include "models/layers/pointwise.h"
#include "models/layers/winograd_map.h"
#include "models/layers/winograd_plan.h"

typedef struct room {
    float *zeros; /* one line outside of an image, of inputs or of outputs */
    float *spill; /* where gradients of such a line go */
    float *strip; /* (planes, strip, channels) or (planes, 2 tile columns, out) */
    float *v;     /* (planes^2, tiles, channels) */
    float *m;     /* (planes^2, tiles, out) */
    size_t line;  /* floats of zeros */
    size_t floats;
} room;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static room room_of(const vpsde_winograd *w, const winograd_plan *p, float *at)
{
    const size_t square = p->planes * p->planes;
    const size_t tiles = winograd_chunk(p, 2 * p->tiles, SIZE_MAX) * p->tile_columns;
    const size_t line = larger(w->width * p->channels, 2 * p->tile_columns * w->out);
    const size_t strip =
        larger(winograd_strip(p) * p->channels, 2 * p->tile_columns * w->out) * p->planes;
    const size_t size[] = {line, line, strip, square * tiles * p->channels,
                           square * tiles * w->out};
    float *place[5];
    size_t used = 0;
    for (size_t i = 0; i < 5; i++) {
        place[i] = at ? at + used : NULL;
        used += (size[i] + 15) / 16 * 16;
    }
    return (room){place[0], place[1], place[2], place[3], place[4], line, used};
}

size_t vpsde_winograd_back_scratch(const vpsde_winograd *w)
{
    const winograd_plan p = winograd_plan_of(w);
    return room_of(w, &p, NULL).floats;
}

/* One row of tiles of gout to its place in m: A gout A^T. */
VPSDE_VECTOR static void spread_row(const vpsde_winograd *w, const winograd_plan *p,
                                    const float *gout, size_t tile_row, const room *r, float *m,
                                    size_t plane)
{
    const size_t o = w->out, line = p->out_width * o, strip = 2 * p->tile_columns * o;
    const bool last = 2 * tile_row + 1 == p->out_height;
    const float *const from[2] = {gout + 2 * tile_row * line,
                                  last ? r->zeros : gout + (2 * tile_row + 1) * line};
    float *to[4];
    for (size_t i = 0; i < p->planes; i++) {
        to[i] = r->strip + i * strip;
        memset(to[i] + line, 0, (strip - line) * sizeof(float));
    }
    if (w->doubled) {
        winograd_line(line, winograd_a_doubled_back, 2, from, 3, to);
        for (size_t i = 0; i < 3; i++) {
            winograd_tiles(p->tile_columns, o, winograd_a_doubled_back, 2, to[i], o, 2 * o, 3,
                           m + 3 * i * plane, plane, o);
        }
        return;
    }
    winograd_line(line, winograd_a_back, 2, from, 4, to);
    for (size_t i = 0; i < 4; i++) {
        winograd_tiles(p->tile_columns, o, winograd_a_back, 2, to[i], o, 2 * o, 4,
                       m + 4 * i * plane, plane, o);
    }
}

/* The first two of a tile's inputs it shares with the tile before. */
WINOGRAD_INLINE void gather_tiles(size_t count, size_t c, winograd_map map, size_t planes,
                                  const float *v, size_t plane, float *strip, size_t move)
{
    for (size_t t = 0; t < count; t++) {
        const float *const v0 = v + t * c, *const v1 = v0 + plane, *const v2 = v1 + plane,
                           *const v3 = planes > 3 ? v2 + plane : v2;
        float *const d0 = strip + t * move, *const d1 = d0 + c, *const d2 = d1 + c,
                     *const d3 = planes > 3 ? d2 + c : d2;
        VPSDE_INDEPENDENT
        for (size_t e = 0; e < c; e++) {
            const float a[4] = {v0[e], v1[e], v2[e], v3[e]};
            float b[4];
            map(b, a);
            d0[e] += b[0];
            d1[e] += b[1];
            d2[e] = b[2];
            if (planes > 3) d3[e] = b[3];
        }
    }
}

WINOGRAD_INLINE void gather_lines(size_t count, winograd_map map, size_t planes,
                                  const float *const *v, float *const *gx)
{
    /* NOLINTBEGIN(clang-analyzer-core.uninitialized.Assign): 3 or 4, as many as are set */
    const float *const v0 = v[0], *const v1 = v[1], *const v2 = v[2],
                       *const v3 = v[planes > 3 ? 3 : 2];
    float *const d0 = gx[0], *const d1 = gx[1], *const d2 = gx[2],
                 *const d3 = gx[planes > 3 ? 3 : 2];
    /* NOLINTEND(clang-analyzer-core.uninitialized.Assign) */
    VPSDE_INDEPENDENT
    for (size_t e = 0; e < count; e++) {
        const float a[4] = {v0[e], v1[e], v2[e], v3[e]};
        float b[4];
        map(b, a);
        d0[e] += b[0];
        d1[e] += b[1];
        d2[e] += b[2];
        if (planes > 3) d3[e] += b[3];
    }
}

/* One row of tiles of v added to its inputs' lines of gx: B v B^T. */
VPSDE_VECTOR static void gather_row(const vpsde_winograd *w, const winograd_plan *p, size_t c,
                                    const float *v, size_t plane, size_t tile_row, const room *r,
                                    float *gx)
{
    const size_t strip = winograd_strip(p) * c, line = w->width * c;
    const float *from[4];
    float *to[4];
    for (size_t i = 0; i < p->planes; i++) {
        float *const s = r->strip + i * strip;
        from[i] = s + c;
        memset(s, 0, 2 * c * sizeof(float));
        if (w->doubled) {
            gather_tiles(p->tile_columns, c, winograd_b_doubled_back, 3, v + 3 * i * plane, plane,
                         s, c);
        } else {
            gather_tiles(p->tile_columns, c, winograd_b_back, 4, v + 4 * i * plane, plane, s,
                         2 * c);
        }
    }
    for (size_t k = 0; k < p->reach; k++) {
        const size_t row = p->step * tile_row + k;
        to[k] = row >= 1 && row <= w->height ? gx + (row - 1) * line : r->spill;
    }
    if (w->doubled) {
        gather_lines(line, winograd_b_doubled_back, 3, from, to);
    } else {
        gather_lines(line, winograd_b_back, 4, from, to);
    }
}

/* Tile rows first to first + rows - 1 of all images' together, for source s. */
static vpsde_status source_chunk(const vpsde_winograd *w, const winograd_plan *p,
                                 const vpsde_winograd_back *c, size_t s, size_t first, size_t rows,
                                 const room *r)
{
    const size_t channels = w->in[s], in = w->in[0] + w->in[1], square = p->planes * p->planes;
    const size_t tiles = rows * p->tile_columns, plane = tiles * channels;
    const size_t image = w->height * w->width * channels, offset = (s ? w->in[0] : 0) * w->out;
    for (size_t i = 0; c->gu && i < rows; i++) {
        vpsde_winograd_transform(w, p, channels, c->x[s] + (first + i) / p->tile_rows * image,
                                 (first + i) % p->tile_rows, r->zeros, r->strip,
                                 r->v + i * p->tile_columns * channels, plane);
    }
    for (size_t q = 0; c->gu && q < square; q++) {
        VPSDE_TRY(vpsde_product(channels, w->out, tiles, 1,
                                (vpsde_matrix){r->v + q * plane, channels, true},
                                (vpsde_matrix){r->m + q * tiles * w->out, w->out, false}, 1,
                                c->gu + q * in * w->out + offset, w->out));
    }
    if (!c->gx[s]) return VPSDE_OK;
    for (size_t q = 0; q < square; q++) {
        VPSDE_TRY(vpsde_product(tiles, channels, w->out, 1,
                                (vpsde_matrix){r->m + q * tiles * w->out, w->out, false},
                                (vpsde_matrix){c->u + q * in * w->out + offset, w->out, true}, 0,
                                r->v + q * plane, channels));
    }
    for (size_t i = 0; i < rows; i++) {
        gather_row(w, p, channels, r->v + i * p->tile_columns * channels, plane,
                   (first + i) % p->tile_rows, r, c->gx[s] + (first + i) / p->tile_rows * image);
    }
    return VPSDE_OK;
}

static vpsde_status run(const vpsde_winograd *w, const winograd_plan *p,
                        const vpsde_winograd_back *c, const room *r)
{
    const size_t total = c->n * p->tile_rows, chunk = winograd_chunk(p, 2 * p->tiles, total);
    const size_t image = p->out_height * p->out_width * w->out;
    for (size_t first = 0; first < total; first += chunk) {
        const size_t rows = total - first < chunk ? total - first : chunk;
        const size_t plane = rows * p->tile_columns * w->out;
        for (size_t i = 0; i < rows; i++) {
            spread_row(w, p, c->gout + (first + i) / p->tile_rows * image,
                       (first + i) % p->tile_rows, r, r->m + i * p->tile_columns * w->out, plane);
        }
        if (c->scale != 1) vpsde_put(p->planes * p->planes * plane, r->m, false, c->scale, r->m);
        for (size_t s = 0; s < 2; s++) {
            if (w->in[s] > 0) VPSDE_TRY(source_chunk(w, p, c, s, first, rows, r));
        }
    }
    return VPSDE_OK;
}

vpsde_status vpsde_winograd_backward(const vpsde_winograd *w, const vpsde_winograd_back *c)
{
    const winograd_plan p = winograd_plan_of(w);
    const room r = room_of(w, &p, c->scratch);
    memset(r.zeros, 0, r.line * sizeof(float));
    const int saved = vpsde_serial_begin();
    const vpsde_status status = run(w, &p, c, &r);
    vpsde_serial_end(saved);
    return status;
}
