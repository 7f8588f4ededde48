#include "sde/brownian.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/noise_tile.h"
#include "core/vec.h"

/* A path from the left end of a stretch: w = B(end) - B(left), integral = int (B - B(left)). */
typedef struct piece {
    double length;
    double *w, *integral; /* (n, d) */
} piece;

/* What is known of one point of a cell: the stretch from the cell's left end to it. */
typedef struct known {
    double b;
    piece from_left;
} known;

/* Elements [begin, end) of the (n, d): a tile of numbers. The levels of a tree are the inner loop,
 * tiles the outer one, so that what a level writes is still near when the next one reads it. */
typedef struct range {
    size_t begin, end;
} range;

/* An interval on the way down a cell's tree: its own increment and area, and the stretch from the
 * cell's left end to it. */
typedef struct interval {
    double *w, *h, *left_w, *left_integral; /* (n, d) */
} interval;

enum {
    N_KNOWN = 2,
    DEPTH = VPSDE_BROWNIAN_DEPTH,
    WAY_BUDGET = 1 << 15, /* doubles that the way down may take: it should stay in a core's cache */
    WAY_BUFFERS = 4,
    OTHER_BUFFERS = 2 * N_KNOWN + 4
};

struct vpsde_brownian {
    size_t d, n; /* of n samples */
    uint64_t seed, first;
    vpsde_purpose purpose;
    known known[N_KNOWN]; /* the last points asked for */
    size_t oldest;
    interval way[DEPTH + 1]; /* the last way down: neighbouring queries share its upper part */
    int kept; /* levels above this one have buffers of their own, the others share one */
    uint32_t way_cell, way_leaf;
    piece sum, cell; /* (n, d) */
    noise_tile z;
    double memory[];
};

/* [left, left + width) and the number of its tree. */
typedef struct cell {
    double left, width;
    uint32_t number;
} cell;

enum { OCTAVES = 64 }; /* the last one is [0, 2^-63) */

static cell cell_of(double b)
{
    if (b >= 1) {
        const double left = floor(b);
        return (cell){.left = left, .width = 1, .number = OCTAVES + (uint32_t)left};
    }
    int exponent; /* b = f 2^exponent, 1/2 <= f < 1 */
    frexp(b, &exponent);
    const int octave = -exponent;
    if (b <= 0 || octave >= OCTAVES - 1) {
        return (cell){.left = 0, .width = ldexp(1, 1 - OCTAVES), .number = OCTAVES};
    }
    const double left = ldexp(1, -octave - 1);
    return (cell){.left = left, .width = left, .number = 1 + (uint32_t)octave};
}

/* Whether there is a next range; its numbers' addresses are set. The first one begins at 0, 0. */
static bool next_range(vpsde_brownian *path, range *r)
{
    const size_t count = path->n * path->d, left = count - r->end;
    if (left == 0) return false;
    r->begin = r->end;
    r->end += left < NOISE_TILE ? left : NOISE_TILE;
    vpsde_noise_address(&path->z, path->purpose, path->first, r->begin, r->end - r->begin, path->d);
    return true;
}

/* Two normals an element for one node of a cell's tree: 0 the cell as a whole, 1 its halves, ... */
static void draw(vpsde_brownian *path, const cell *c, uint32_t node)
{
    const uint32_t address = (c->number << (VPSDE_BROWNIAN_DEPTH + 1)) | node;
    vpsde_noise_normals(&path->z, path->seed, address);
}

VPSDE_VECTOR static void whole(range r, double length, const noise_tile *z, double *w, double *h)
{
    const double on_w = sqrt(length), on_h = sqrt(length / 12);
    VPSDE_INDEPENDENT
    for (size_t e = r.begin; e < r.end; e++) {
        w[e] = on_w * z->a[e - r.begin];
        h[e] = on_h * z->b[e - r.begin];
    }
}

/* Halves an interval of `length` and goes on with one half. Given W and H of the whole, with W1 of
 * the left half and H1, H2 of both:
 *     W1 = W/2 + (3/2) H + sqrt(length/16) z,  H1 + H2 = 2 H - (W1 - W/2),
 *     H1 - H2 ~ N(0, length/12). */
VPSDE_VECTOR static void descend(range r, double length, bool right, const noise_tile *z,
                                 const interval *from, const interval *to)
{
    const double on_a = sqrt(length / 16), on_difference = sqrt(length / 12), half = length / 2;
    VPSDE_INDEPENDENT
    for (size_t e = r.begin; e < r.end; e++) {
        const double w = from->w[e], h = from->h[e], left_w = from->left_w[e];
        const double a = 1.5 * h + on_a * z->a[e - r.begin];
        const double difference = on_difference * z->b[e - r.begin];
        const double w1 = w / 2 + a, sum = 2 * h - a;
        const double left = half * (left_w + (sum + difference) / 2 + w1 / 2);
        to->left_integral[e] = from->left_integral[e] + (right ? left : 0);
        to->left_w[e] = left_w + (right ? w1 : 0);
        to->w[e] = right ? w - w1 : w1;
        to->h[e] = (right ? sum - difference : sum + difference) / 2;
    }
}

/* The point at fraction x of an interval of `length` with W, H: with W1, H1 of what lies left,
 *     W1 = x W + 6 x y H + sqrt(x y (1 - 3 x y) length) z,  y = 1 - x,
 *     H1 = x^2 G / (x^3 + y^3) + sqrt(x y^3 length / (12 (x^3 + y^3))) z',
 *     G = H - (W1 - x W)/2. */
VPSDE_VECTOR static void bridge(range r, double length, double x, const noise_tile *z,
                                const interval *from, const piece *out)
{
    const double y = 1 - x, cubes = x * x * x + y * y * y;
    const double on_a = sqrt(x * y * (1 - 3 * x * y) * length);
    const double on_h = sqrt(x * y * y * y * length / (12 * cubes));
    VPSDE_INDEPENDENT
    for (size_t e = r.begin; e < r.end; e++) {
        const double a = 6 * x * y * from->h[e] + on_a * z->a[e - r.begin];
        const double w1 = x * from->w[e] + a;
        const double h1 = x * x / cubes * (from->h[e] - a / 2) + on_h * z->b[e - r.begin];
        out->integral[e] = from->left_integral[e] + x * length * (from->left_w[e] + h1 + w1 / 2);
        out->w[e] = from->left_w[e] + w1;
    }
}

/* How many levels below the cell the way to `leaf` goes where the last one went and is kept; -1:
 * not even the cell. */
static int shared_levels(const vpsde_brownian *path, const cell *c, uint32_t leaf)
{
    if (path->way_cell != c->number) return -1;
    int level = DEPTH;
    for (uint32_t differ = leaf ^ path->way_leaf; differ; differ >>= 1) level--;
    const bool whole_way = level == DEPTH; /* the deepest buffers hold the last interval */
    return whole_way || level < path->kept ? level : path->kept - 1;
}

/* way[DEPTH] <- the smallest interval `leaf` of the cell, from the level that is there; below 0: none. */
static void go_down(vpsde_brownian *path, const cell *c, uint32_t leaf, int level, range r)
{
    if (level < 0) {
        const interval *all = &path->way[0];
        draw(path, c, 0);
        whole(r, c->width, &path->z, all->w, all->h);
        for (size_t e = r.begin; e < r.end; e++) all->left_w[e] = all->left_integral[e] = 0;
        level = 0;
    }
    for (; level < DEPTH; level++) {
        const int below = DEPTH - 1 - level;
        draw(path, c, (leaf | 1u << DEPTH) >> (below + 1));
        descend(r, ldexp(c->width, -level), leaf >> below & 1, &path->z, &path->way[level],
                &path->way[level + 1]);
    }
}

/* From the cell's left end to b. */
static void walk(vpsde_brownian *path, const cell *c, double b, piece *out)
{
    const double position = ldexp((b - c->left) / c->width, DEPTH);
    const uint32_t leaf = (uint32_t)position;
    const int level = shared_levels(path, c, leaf);
    const interval *last = &path->way[DEPTH];
    path->way_cell = c->number;
    path->way_leaf = leaf;
    out->length = b - c->left;
    for (range r = {0}; next_range(path, &r);) {
        go_down(path, c, leaf, level, r);
        if (position == (double)leaf) {
            vec_copy(r.end - r.begin, out->w + r.begin, last->left_w + r.begin);
            vec_copy(r.end - r.begin, out->integral + r.begin, last->left_integral + r.begin);
            continue;
        }
        draw(path, c, leaf | 1u << DEPTH);
        bridge(r, ldexp(c->width, -DEPTH), position - (double)leaf, &path->z, last, out);
    }
}

static const piece *from_left(vpsde_brownian *path, const cell *c, double b)
{
    for (size_t k = 0; k < N_KNOWN; k++) {
        if (path->known[k].b != b) continue;
        path->oldest = (k + 1) % N_KNOWN;
        return &path->known[k].from_left;
    }
    known *slot = &path->known[path->oldest];
    path->oldest = (path->oldest + 1) % N_KNOWN;
    slot->b = b;
    walk(path, c, b, &slot->from_left);
    return &slot->from_left;
}

static void whole_cell(vpsde_brownian *path, const cell *c, piece *out)
{
    const size_t count = path->n * path->d;
    out->length = c->width;
    for (range r = {0}; next_range(path, &r);) {
        draw(path, c, 0);
        whole(r, c->width, &path->z, out->w, out->integral); /* the area, for now */
    }
    for (size_t e = 0; e < count; e++) {
        out->integral[e] = c->width * (out->integral[e] + out->w[e] / 2);
    }
}

/* out = what follows `part` within `all`, both from the same left end. */
static void rest(size_t count, piece *out, const piece *all, const piece *part)
{
    out->length = all->length - part->length;
    for (size_t e = 0; e < count; e++) {
        out->w[e] = all->w[e] - part->w[e];
        out->integral[e] = all->integral[e] - part->integral[e] - out->length * part->w[e];
    }
}

/* sum <- sum and then `next` */
static void append(size_t count, piece *sum, const piece *next)
{
    sum->length += next->length;
    for (size_t e = 0; e < count; e++) {
        sum->integral[e] += next->integral[e] + next->length * sum->w[e];
        sum->w[e] += next->w[e];
    }
}

/* sum <- the stretch from b_to up to b_from, cell by cell. */
static void collect(vpsde_brownian *path, double b_from, double b_to)
{
    const size_t count = path->n * path->d;
    const cell last = cell_of(b_from);
    cell c = cell_of(b_to);
    piece *sum = &path->sum;
    const piece *high = from_left(path, &last, b_from); /* before b_to, whose slot may go next */
    const piece *low = from_left(path, &c, b_to);
    if (c.number == last.number) {
        rest(count, sum, high, low);
        return;
    }
    whole_cell(path, &c, &path->cell);
    rest(count, sum, &path->cell, low);
    for (c = cell_of(c.left + c.width); c.number != last.number; c = cell_of(c.left + c.width)) {
        whole_cell(path, &c, &path->cell);
        append(count, sum, &path->cell);
    }
    append(count, sum, high);
}

void vpsde_brownian_stretch(vpsde_brownian *path, double b_from, double b_to, double *z,
                            double *area)
{
    const size_t count = path->n * path->d;
    const double h = b_from - b_to;
    const piece *sum = &path->sum;
    collect(path, b_from, b_to);
    vec_scale(count, z, 1 / sqrt(h), sum->w);
    /* seen backwards, W is the same and H changes its sign */
    if (area) vec_lin2(count, area, -sqrt(12 / h) / h, sum->integral, sqrt(12 / h) / 2, sum->w);
}

void vpsde_brownian_place(vpsde_brownian *path, uint64_t seed, vpsde_purpose purpose,
                          uint64_t first, size_t n)
{
    path->seed = seed;
    path->purpose = purpose;
    path->first = first;
    path->n = n;
    path->way_cell = 0; /* no cell's number */
    for (size_t k = 0; k < N_KNOWN; k++) path->known[k].b = NAN;
}

/* Levels below the cell whose buffers fit the budget; at least one. */
static int levels_to_keep(size_t state)
{
    const size_t fit = WAY_BUDGET / WAY_BUFFERS / (state + 1);
    return fit > DEPTH ? DEPTH : fit > 1 ? (int)fit : 1;
}

static void lay_out(vpsde_brownian *path, size_t state)
{
    double *at = path->memory;
    double **const others[OTHER_BUFFERS] = {
        &path->known[0].from_left.w,
        &path->known[0].from_left.integral,
        &path->known[1].from_left.w,
        &path->known[1].from_left.integral,
        &path->sum.w,
        &path->sum.integral,
        &path->cell.w,
        &path->cell.integral,
    };
    for (size_t k = 0; k < OTHER_BUFFERS; k++, at += state) *others[k] = at;
    for (int level = 0; level <= DEPTH; level++) {
        path->way[level] = (interval){
            .w = at, .h = at + state, .left_w = at + 2 * state, .left_integral = at + 3 * state};
        if (level < path->kept) at += WAY_BUFFERS * state;
    }
}

vpsde_status vpsde_brownian_create(vpsde_brownian **out, size_t rows, size_t d)
{
    vpsde_brownian *path;
    size_t state, all;
    *out = NULL;
    VPSDE_TRY(vpsde_size_mul(&state, rows, d, "Brownian paths of a block"));
    const int kept = levels_to_keep(state);
    const size_t buffers = OTHER_BUFFERS + WAY_BUFFERS * ((size_t)kept + 1);
    VPSDE_TRY(vpsde_size_mul(&all, state, buffers, "Brownian paths of a block"));
    VPSDE_TRY(vpsde_alloc(&path, 1 + (sizeof(*path) + 7) / 8 + all, sizeof(double)));
    path->d = d;
    path->kept = kept;
    lay_out(path, state);
    *out = path;
    return VPSDE_OK;
}

void vpsde_brownian_destroy(vpsde_brownian *path) { free(path); }
