#include "models/layers/winograd.h"

#include <string.h>

#include "core/parallel.h"
#include "core/vec.h"
#include "models/layers/linear.h"
#include "models/layers/winograd_map.h"
#include "models/layers/winograd_plan.h"

/* The most chunks at once; the most transformed numbers of a tile in one direction; from how many
 * multiplications on threads share the products of a lone chunk. */
enum { SLOTS = 4, PLANES = 4, SHARED_MIN = 2000000 };
/* Measured beside oneDNN's direct form with 8 to 256 channels, 1 x 1 to 32 x 32 pixels: where the
 * transforms pay. */
enum { CHANNELS_MIN = 16, TILES_MIN = 4, TILES_TIMES_CHANNELS_MIN = 512 };

bool vpsde_winograd_pays(const vpsde_winograd *w)
{
    const winograd_plan p = winograd_plan_of(w);
    const size_t in = w->in[0] + w->in[1], least = in < w->out ? in : w->out;
    const size_t tiles = p.tile_rows * p.tile_columns;
    return least >= CHANNELS_MIN && tiles >= TILES_MIN && tiles * least >= TILES_TIMES_CHANNELS_MIN;
}

size_t vpsde_winograd_weights(const vpsde_winograd *w)
{
    const winograd_plan p = winograd_plan_of(w);
    return p.planes * p.planes * (w->in[0] + w->in[1]) * w->out;
}

/* Weights of up to BUNDLE outputs and one input, side by side so that the maps run along outputs. */
enum { BUNDLE = 16 };

/* to (n_to, n_to, BUNDLE) = map from (n_from, n_from, BUNDLE) map^T */
WINOGRAD_INLINE void both_sides(float *to, winograd_map map, size_t n_to, const float *from,
                                size_t n_from)
{
    float half[4 * 4 * BUNDLE];
    winograd_tiles(1, n_from * BUNDLE, map, n_from, from, n_from * BUNDLE, 0, n_to, half,
                   n_from * BUNDLE, 0);
    winograd_tiles(n_to, BUNDLE, map, n_from, half, BUNDLE, n_from * BUNDLE, n_to, to, BUNDLE,
                   n_to * BUNDLE);
}

VPSDE_VECTOR void vpsde_winograd_pack(const vpsde_winograd *w, float *u, const float *weight)
{
    const winograd_plan p = winograd_plan_of(w);
    const size_t in = w->in[0] + w->in[1], plane = in * w->out, square = p.planes * p.planes;
    float g[9 * BUNDLE] = {0}, packed[16 * BUNDLE];
    for (size_t first = 0; first < w->out; first += BUNDLE) {
        const size_t count = w->out - first < BUNDLE ? w->out - first : BUNDLE;
        for (size_t c = 0; c < in; c++) {
            for (size_t o = 0; o < count; o++) {
                const float *const k = weight + ((first + o) * in + c) * 9;
                for (size_t e = 0; e < 9; e++) g[e * BUNDLE + o] = k[e];
            }
            if (w->doubled) {
                both_sides(packed, winograd_g_doubled, 3, g, 3);
            } else {
                both_sides(packed, winograd_g, 4, g, 3);
            }
            for (size_t q = 0; q < square; q++) {
                memcpy(u + q * plane + c * w->out + first, packed + q * BUNDLE,
                       count * sizeof(float));
            }
        }
    }
}

VPSDE_VECTOR void vpsde_winograd_unpack(const vpsde_winograd *w, float *gradient, const float *gu)
{
    const winograd_plan p = winograd_plan_of(w);
    const size_t in = w->in[0] + w->in[1], plane = in * w->out, square = p.planes * p.planes;
    float g[9 * BUNDLE], packed[16 * BUNDLE] = {0};
    for (size_t first = 0; first < w->out; first += BUNDLE) {
        const size_t count = w->out - first < BUNDLE ? w->out - first : BUNDLE;
        for (size_t c = 0; c < in; c++) {
            for (size_t q = 0; q < square; q++) {
                memcpy(packed + q * BUNDLE, gu + q * plane + c * w->out + first,
                       count * sizeof(float));
            }
            if (w->doubled) {
                both_sides(g, winograd_g_doubled_back, 3, packed, 3);
            } else {
                both_sides(g, winograd_g_back, 3, packed, 4);
            }
            for (size_t o = 0; o < count; o++) {
                float *const k = gradient + ((first + o) * in + c) * 9;
                for (size_t e = 0; e < 9; e++) k[e] += g[e * BUNDLE + o];
            }
        }
    }
}

/* One thread's part of the scratch of a forward call. */
typedef struct room {
    float *zeros; /* (width, channels) a line outside of the image */
    float *strip; /* (planes, strip, channels) */
    float *v;     /* (planes^2, tiles, channels) */
    float *m;     /* (planes^2, tiles, out) */
    float *half;  /* (2, planes, tile columns, out) */
    float *line;  /* (2 tile columns, out) */
    size_t floats;
} room;

static room room_of(const vpsde_winograd *w, const winograd_plan *p, float *at)
{
    const size_t square = p->planes * p->planes;
    const size_t tiles = winograd_chunk(p, p->tiles, p->tile_rows) * p->tile_columns;
    const size_t size[] = {w->width * p->channels,
                           p->planes * winograd_strip(p) * p->channels,
                           square * tiles * p->channels,
                           square * tiles * w->out,
                           2 * p->planes * p->tile_columns * w->out,
                           2 * p->tile_columns * w->out};
    float *place[6];
    size_t used = 0;
    for (size_t i = 0; i < 6; i++) {
        place[i] = at ? at + used : NULL;
        used += (size[i] + 15) / 16 * 16;
    }
    return (room){place[0], place[1], place[2], place[3], place[4], place[5], used};
}

VPSDE_VECTOR void vpsde_winograd_transform(const vpsde_winograd *w, const winograd_plan *p,
                                           size_t c, const float *x, size_t tile_row,
                                           const float *zeros, float *strips, float *v,
                                           size_t plane)
{
    const size_t strip = winograd_strip(p) * c, line = w->width * c;
    const float *from[4];
    float *to[4];
    for (size_t k = 0; k < p->reach; k++) {
        const size_t row = p->step * tile_row + k; /* one more than the image's */
        from[k] = row >= 1 && row <= w->height ? x + (row - 1) * line : zeros;
    }
    for (size_t i = 0; i < p->planes; i++) {
        to[i] = strips + i * strip + c;
        memset(strips + i * strip, 0, c * sizeof(float));
        memset(to[i] + line, 0, (strip - line - c) * sizeof(float));
    }
    if (w->doubled) {
        winograd_line(line, winograd_b_doubled, 3, from, 3, to);
        for (size_t i = 0; i < 3; i++) {
            winograd_tiles(p->tile_columns, c, winograd_b_doubled, 3, strips + i * strip, c, c, 3,
                           v + 3 * i * plane, plane, c);
        }
        return;
    }
    winograd_line(line, winograd_b, 4, from, 4, to);
    for (size_t i = 0; i < 4; i++) {
        winograd_tiles(p->tile_columns, c, winograd_b, 4, strips + i * strip, c, 2 * c, 4,
                       v + 4 * i * plane, plane, c);
    }
}

/* out = scale (line + bias + residual) over pixels. */
VPSDE_VECTOR static void finish(size_t pixels, size_t channels, const float *restrict line,
                                const float *restrict bias, const float *restrict residual,
                                float scale, float *restrict out)
{
    for (size_t i = 0; i < pixels; i++) {
        const float *const from = line + i * channels;
        float *const to = out + i * channels;
        for (size_t j = 0; j < channels; j++) to[j] = bias ? from[j] + bias[j] : from[j];
        if (residual) {
            const float *const more = residual + i * channels;
            for (size_t j = 0; j < channels; j++) to[j] += more[j];
        }
        if (scale != 1) {
            for (size_t j = 0; j < channels; j++) to[j] *= scale;
        }
    }
}

/* One row of tiles of m to two rows of the output. */
VPSDE_VECTOR static void output_row(const vpsde_winograd *w, const winograd_plan *p,
                                    const vpsde_winograd_call *c, size_t tile_row, const room *r,
                                    const float *m, size_t plane)
{
    const size_t columns = p->tile_columns * w->out, planes = p->planes;
    for (size_t j = 0; j < planes; j++) {
        const float *from[4];
        for (size_t i = 0; i < planes; i++) from[i] = m + (i * planes + j) * plane;
        float *to[2] = {r->half + j * columns, r->half + (planes + j) * columns};
        if (w->doubled) {
            winograd_line(columns, winograd_a_doubled, 3, from, 2, to);
        } else {
            winograd_line(columns, winograd_a, 4, from, 2, to);
        }
    }
    for (size_t a = 0; a < 2 && 2 * tile_row + a < p->out_height; a++) {
        const float *const half = r->half + a * planes * columns;
        const size_t at = (2 * tile_row + a) * p->out_width * w->out;
        if (w->doubled) {
            winograd_tiles(p->tile_columns, w->out, winograd_a_doubled, 3, half, columns, w->out, 2,
                           r->line, w->out, 2 * w->out);
        } else {
            winograd_tiles(p->tile_columns, w->out, winograd_a, 4, half, columns, w->out, 2,
                           r->line, w->out, 2 * w->out);
        }
        finish(p->out_width, w->out, r->line, c->bias, c->residual ? c->residual + at : NULL,
               c->scale, c->out + at);
    }
}

/* The products of one chunk with source s: those of a lone chunk are dealt out to spare threads. */
typedef struct products {
    const vpsde_winograd *w;
    const float *v, *u;
    float *m;
    size_t tiles, channels;
    bool add; /* to those of another source */
    vpsde_status status[PLANES * PLANES];
} products;

static void product_of_plane(void *context, size_t q)
{
    products *const t = context;
    const size_t in = t->w->in[0] + t->w->in[1], out = t->w->out;
    t->status[q] =
        vpsde_product(t->tiles, out, t->channels, 1,
                      (vpsde_matrix){t->v + q * t->tiles * t->channels, t->channels, false},
                      (vpsde_matrix){t->u + q * in * out, out, false}, t->add ? 1 : 0,
                      t->m + q * t->tiles * out, out);
}

static vpsde_status run_products(products *t, size_t square)
{
    const bool small = square * t->tiles * t->channels * t->w->out < SHARED_MIN;
    const int saved = small ? vpsde_serial_begin() : 1;
    vpsde_team(square, product_of_plane, t);
    vpsde_serial_end(saved);
    return vpsde_products_check(square, t->status, t->tiles, "tiles");
}

/* Tile rows first to first + rows - 1. */
static vpsde_status run_chunk(const vpsde_winograd *w, const winograd_plan *p,
                              const vpsde_winograd_call *c, size_t first, size_t rows,
                              const room *r)
{
    const size_t tiles = rows * p->tile_columns, square = p->planes * p->planes;
    products t = {.w = w, .v = r->v, .m = r->m, .tiles = tiles};
    for (size_t s = 0; s < 2; s++) {
        t.channels = w->in[s];
        if (t.channels == 0 || !c->x[s]) continue;
        for (size_t i = 0; i < rows; i++) {
            vpsde_winograd_transform(w, p, t.channels, c->x[s], first + i, r->zeros, r->strip,
                                     r->v + i * p->tile_columns * t.channels, tiles * t.channels);
        }
        t.u = c->u + (s ? w->in[0] : 0) * w->out;
        VPSDE_TRY(run_products(&t, square));
        t.add = true;
    }
    if (!t.add) memset(r->m, 0, square * tiles * w->out * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        output_row(w, p, c, first + i, r, r->m + i * p->tile_columns * w->out, tiles * w->out);
    }
    return VPSDE_OK;
}

/* Slot s of `slots` works on chunks s, s + slots, ... in its own part of the scratch. */
typedef struct team {
    const vpsde_winograd *w;
    const winograd_plan *p;
    const vpsde_winograd_call *c;
    size_t slots;
    vpsde_status status[SLOTS];
} team;

static void run_slot(void *context, size_t slot)
{
    team *const t = context;
    const winograd_plan *const p = t->p;
    const size_t chunk = winograd_chunk(p, p->tiles, p->tile_rows);
    room r = room_of(t->w, p, t->c->scratch);
    if (slot > 0) r = room_of(t->w, p, t->c->scratch + slot * r.floats);
    memset(r.zeros, 0, t->w->width * p->channels * sizeof(float));
    t->status[slot] = VPSDE_OK;
    for (size_t first = slot * chunk; first < p->tile_rows; first += t->slots * chunk) {
        const size_t rows = p->tile_rows - first < chunk ? p->tile_rows - first : chunk;
        t->status[slot] = run_chunk(t->w, p, t->c, first, rows, &r);
        if (t->status[slot] != VPSDE_OK) return;
    }
}

static size_t slots_of(const winograd_plan *p)
{
    const size_t chunk = winograd_chunk(p, p->tiles, p->tile_rows);
    const size_t chunks = (p->tile_rows + chunk - 1) / chunk;
    return chunks < SLOTS ? chunks : SLOTS;
}

size_t vpsde_winograd_scratch(const vpsde_winograd *w)
{
    const winograd_plan p = winograd_plan_of(w);
    const size_t forward = slots_of(&p) * room_of(w, &p, NULL).floats;
    const size_t backward = vpsde_winograd_back_scratch(w);
    return forward > backward ? forward : backward;
}

vpsde_status vpsde_winograd_forward(const vpsde_winograd *w, const vpsde_winograd_call *c)
{
    const winograd_plan p = winograd_plan_of(w);
    team t = {.w = w, .p = &p, .c = c, .slots = slots_of(&p)};
    if (vpsde_team_threads() < 2) t.slots = 1;
    vpsde_team(t.slots, run_slot, &t);
    return vpsde_products_check(t.slots, t.status, p.tile_rows * p.tile_columns, "tiles");
}
