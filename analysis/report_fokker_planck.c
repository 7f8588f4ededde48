/* Densities and fluxes on cells, on a coarser raster where there are many, and figures by time. */
#include <math.h>
#include <stdlib.h>

#include "analysis/digits.h"
#include "analysis/report.h"
#include "analysis/report_states.h"
#include "core/h5_read.h"
#include "core/mem.h"

#define GROUP "/fokker_planck"

enum {
    FRAMES_LINE = 96,
    FRAMES_PLANE = 36,
    CELLS_LINE = 480,
    CELLS_PLANE = 64, /* a side */
    ARROWS = 28       /* a side */
};

enum { T, B, MASS, TV, FREE_ENERGY, ENTROPY, MIN_DENSITY, EDGE_MASS, STEPS, N_COLUMNS };
static const char *const names[N_COLUMNS] = {
    "t", "b", "mass", "tv", "free_energy", "entropy", "min_density", "edge_mass", "steps"};
static const char *const formats[N_COLUMNS] = {
    "%" VPSDE_DIGITS_RATE,    "%" VPSDE_DIGITS_RATE,    "%" VPSDE_DIGITS_VERDICT,
    "%" VPSDE_DIGITS_METRIC,  "%" VPSDE_DIGITS_BITS,    "%" VPSDE_DIGITS_BITS,
    "%" VPSDE_DIGITS_VERDICT, "%" VPSDE_DIGITS_VERDICT, "%" VPSDE_DIGITS_COUNT};
static const vpsde_page_head heads[] = {
    {.name = "direction", .text = true},
    {.name = "t"},
    {.name = "b", .help = "integral of beta, the clock of the flux"},
    {.name = "mass - 1"},
    {.name = "TV to exact", .help = "total variation distance to the law of the model"},
    {.name = "F", .unit = "nat", .help = "KL(density, N(0, I))"},
    {.name = "entropy", .unit = "nat"},
    {.name = "min density"},
    {.name = "edge mass", .help = "probability in the outermost cells"},
    {.name = "steps", .help = "BDF steps so far"},
};

/* ---- frames ---------------------------------------------------------------------------------- */

/* Of the stored times those that are shown, the first and the last among them. */
typedef struct frames {
    size_t n, stored;
} frames;

static size_t frame_at(const frames *f, size_t k)
{
    return f->n > 1 ? k * (f->stored - 1) / (f->n - 1) : 0;
}

/* Cells of a frame in blocks of `step` a side, ny = 1 in one dimension. */
typedef struct raster {
    size_t nx, ny, step;
} raster;

static size_t blocks(size_t n, size_t step) { return (n + step - 1) / step; }

static raster coarse(size_t nx, size_t ny, size_t most)
{
    const size_t longer = nx > ny ? nx : ny;
    return (raster){nx, ny, blocks(longer, most)};
}

/* Means over the blocks; those at the far edges hold what is left. */
static void average(double *out, const double *in, const raster *at)
{
    const size_t columns = blocks(at->ny, at->step);
    for (size_t bx = 0; bx < blocks(at->nx, at->step); bx++) {
        for (size_t by = 0; by < columns; by++) {
            double sum = 0, n = 0;
            for (size_t x = bx * at->step; x < at->nx && x < (bx + 1) * at->step; x++) {
                for (size_t y = by * at->step; y < at->ny && y < (by + 1) * at->step; y++) {
                    sum += in[x * at->ny + y];
                    n++;
                }
            }
            out[bx * columns + by] = sum / n;
        }
    }
}

/* (frame, field, block): `fields` of a time, 2 of a flux in the plane. */
static vpsde_status put_frames(const vpsde_page *r, const vpsde_h5_node *node, const char *key,
                               const frames *shown, size_t fields, const raster *at)
{
    const size_t cells = at->nx * at->ny;
    const size_t n_blocks = blocks(at->nx, at->step) * blocks(at->ny, at->step);
    double *values, *out = NULL;
    vpsde_h5_input input;
    VPSDE_TRY(vpsde_h5_input_open(&input, r->path, node->path));
    vpsde_status status = vpsde_alloc(&values, fields * cells, sizeof(*values));
    if (status == VPSDE_OK) status = vpsde_alloc(&out, shown->n * fields * n_blocks, sizeof(*out));
    for (size_t k = 0; k < shown->n && status == VPSDE_OK; k++) {
        status = vpsde_h5_input_read_rows(&input, frame_at(shown, k), 1, values);
        for (size_t f = 0; f < fields && status == VPSDE_OK; f++) {
            average(out + (k * fields + f) * n_blocks, values + f * cells, at);
        }
    }
    if (status == VPSDE_OK) vpsde_json_floats(r->json, key, out, shown->n * fields * n_blocks);
    vpsde_h5_input_close(&input);
    free(values);
    free(out);
    return status;
}

static bool has_shape(const vpsde_h5_node *node, size_t rank, const size_t *dims)
{
    bool good = node && !node->is_group && node->kind == 'f' && node->rank == rank;
    for (size_t i = 0; i < rank && good; i++) good = node->dims[i] == dims[i] && dims[i] > 0;
    return good;
}

static vpsde_status put_axis(const vpsde_page *r, const char *group, const char *name, size_t step)
{
    double *values;
    size_t n;
    VPSDE_TRY(vpsde_page_column(&values, &n, r, group, name));
    vpsde_page_means(r->json, name, values, n, step);
    free(values);
    return VPSDE_OK;
}

static vpsde_status put_fields(const vpsde_page *r, const vpsde_h5_node *run,
                               const vpsde_h5_node *density, const frames *shown)
{
    const bool plane = density->rank == 3;
    const size_t nx = density->dims[1], ny = plane ? density->dims[2] : 1;
    const size_t flux_dims[4] = {density->dims[0], plane ? 2 : 1, nx, ny};
    const vpsde_h5_node *flux = vpsde_h5_tree_find(&r->tree, run->path, "flux"),
                        *exact = vpsde_h5_tree_find(&r->tree, run->path, "exact");
    const raster at = coarse(nx, ny, plane ? CELLS_PLANE : CELLS_LINE);
    const raster arrows = plane ? coarse(nx, ny, ARROWS) : at;
    VPSDE_TRY(put_axis(r, run->path, "x", at.step));
    if (plane) VPSDE_TRY(put_axis(r, run->path, "y", at.step));
    VPSDE_TRY(put_frames(r, density, "density", shown, 1, &at));
    if (!plane && has_shape(exact, density->rank, density->dims)) {
        VPSDE_TRY(put_frames(r, exact, "exact", shown, 1, &at));
    }
    if (has_shape(flux, density->rank + 1, flux_dims)) {
        vpsde_json_number(r->json, "arrow_step", (double)arrows.step);
        VPSDE_TRY(put_frames(r, flux, "flux", shown, flux_dims[1], &arrows));
    }
    vpsde_json_number(r->json, "step", (double)at.step);
    vpsde_json_number(r->json, "cells_x", (double)nx);
    vpsde_json_number(r->json, "cells_y", (double)ny);
    return VPSDE_OK;
}

/* ---- by time --------------------------------------------------------------------------------- */

static vpsde_status put_course(const vpsde_page *r, const vpsde_h5_node *run, const frames *shown)
{
    for (size_t c = 0; c < N_COLUMNS; c++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, run->path, names[c]));
        vpsde_json_list(r->json, names[c]);
        for (size_t k = 0; k < shown->n && frame_at(shown, k) < n; k++) {
            vpsde_json_number(r->json, NULL, values[frame_at(shown, k)] - (c == MASS));
        }
        vpsde_json_end_list(r->json);
        free(values);
    }
    return VPSDE_OK;
}

static vpsde_status put_run(const vpsde_page *r, const vpsde_h5_node *run)
{
    static const char *const texts[] = {"equation", "source", "terminal"};
    static const char *const edges[] = {"x_low", "x_high", "y_low", "y_high"};
    const vpsde_h5_node *density = vpsde_h5_tree_find(&r->tree, run->path, "density");
    size_t cells;
    if (!density || density->rank < 2 || density->rank > 3 ||
        !has_shape(density, density->rank, density->dims) ||
        __builtin_mul_overflow(density->dims[1], density->rank == 3 ? density->dims[2] : 1,
                               &cells) ||
        cells > VPSDE_PAGE_ROOM)
        return VPSDE_OK;
    const size_t most = density->rank == 3 ? FRAMES_PLANE : FRAMES_LINE, stored = density->dims[0];
    const frames shown = {.n = stored < most ? stored : most, .stored = stored};
    vpsde_json_object(r->json, NULL);
    vpsde_json_text(r->json, "name", vpsde_h5_node_name(run));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        vpsde_json_text(r->json, texts[i], vpsde_h5_node_text(run, texts[i]));
    }
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        vpsde_json_number(r->json, edges[i], vpsde_h5_node_number(run, edges[i]));
    }
    vpsde_json_number(r->json, "dim", (double)density->rank - 1);
    vpsde_json_number(r->json, "times", (double)shown.n);
    vpsde_json_number(r->json, "stored", (double)stored);
    VPSDE_TRY(put_course(r, run, &shown));
    VPSDE_TRY(put_fields(r, run, density, &shown));
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

static vpsde_status put_rows(const vpsde_page *r, const vpsde_h5_node *run)
{
    double *v[N_COLUMNS];
    size_t n[N_COLUMNS];
    const vpsde_status status = vpsde_page_columns(v, n, r, run->path, names, N_COLUMNS);
    const frames shown = {.n = n[T] < FRAMES_LINE ? n[T] : FRAMES_LINE, .stored = n[T]};
    for (size_t k = 0; k < shown.n && status == VPSDE_OK; k++) {
        const size_t i = frame_at(&shown, k);
        vpsde_json_list(r->json, NULL);
        vpsde_json_text(r->json, NULL, vpsde_h5_node_name(run));
        for (size_t c = 0; c < N_COLUMNS; c++) {
            const bool known = i < n[c] && !isnan(v[c][i]);
            vpsde_page_cell_if(r->json, known, formats[c], known ? v[c][i] - (c == MASS) : 0);
        }
        vpsde_json_end_list(r->json);
    }
    for (size_t c = 0; c < N_COLUMNS; c++) free(v[c]);
    return status;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *run = NULL;
    vpsde_page_begin_table(r->json, "table", "Densities by time", heads,
                           sizeof(heads) / sizeof(heads[0]));
    while ((run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        if (run->is_group) VPSDE_TRY(put_rows(r, run));
    }
    vpsde_page_end_table(r->json);
    vpsde_json_list(r->json, "runs");
    while ((run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        if (run->is_group) VPSDE_TRY(put_run(r, run));
    }
    vpsde_json_end_list(r->json);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_fokker_planck = {
    .name = "fokker_planck", .group = GROUP, .write = write};
