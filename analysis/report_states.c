#include "analysis/report_states.h"

#include <math.h>
#include <stdlib.h>

#include "core/config.h"
#include "core/mem.h"

/* False where it does not fit: a file may say any shape. */
static bool product(size_t *out, size_t a, size_t b, size_t c)
{
    return !__builtin_mul_overflow(a, b, out) && !__builtin_mul_overflow(*out, c, out);
}

bool vpsde_page_state_of(vpsde_page_state *state, const vpsde_h5_node *node, size_t first)
{
    *state = (vpsde_page_state){.dim = 1};
    for (size_t i = 0; i < node->rank; i++) {
        if (node->dims[i] == 0) return false;
    }
    if (node->kind == 0) return false;
    if (node->rank == first + 3) {
        const size_t *dims = node->dims + first;
        state->image = true;
        state->channels = dims[0];
        state->rows = dims[1];
        state->columns = dims[2];
        return product(&state->dim, dims[0], dims[1], dims[2]) &&
               state->dim <= VPSDE_PAGE_ONE_MAX &&
               product(&state->picture, dims[0] == 3 ? 3 : 1, dims[1], dims[2]);
    }
    if (node->rank != first + 1) return false;
    state->dim = node->dims[first];
    state->coordinates = state->dim < 2 ? state->dim : 2;
    return state->dim <= VPSDE_PAGE_ONE_MAX;
}

void vpsde_page_state_put_shape(vpsde_json *j, const vpsde_page_state *state)
{
    vpsde_json_bool(j, "image", state->image);
    vpsde_json_number(j, "dim", (double)state->dim);
    if (state->image) {
        vpsde_json_number(j, "channels", state->channels == 3 ? 3 : 1);
        vpsde_json_number(j, "allChannels", (double)state->channels);
        vpsde_json_number(j, "rows", (double)state->rows);
        vpsde_json_number(j, "columns", (double)state->columns);
    } else {
        vpsde_json_number(j, "coordinates", (double)state->coordinates);
    }
}

vpsde_status vpsde_page_state_put_points(vpsde_json *j, const vpsde_page_state *state,
                                         const double *values, size_t n)
{
    double *points;
    const size_t c = state->coordinates;
    VPSDE_TRY(vpsde_alloc(&points, n * c, sizeof(*points)));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < c; k++) points[i * c + k] = values[i * state->dim + k];
    }
    vpsde_json_floats(j, "points", points, n * c);
    free(points);
    return j->status;
}

static uint8_t level(double value, double low, double high)
{
    const double share = (value - low) / (high - low);
    return isfinite(share) ? (uint8_t)lrint(255 * fmin(fmax(share, 0), 1)) : 0;
}

vpsde_status vpsde_page_state_put_pictures(const vpsde_page *r, const vpsde_page_state *state,
                                           const double *values, size_t n, const double *widen)
{
    static const double usual[2] = {-1, 1};
    double range[2] = {-1, 1};
    vpsde_config *data;
    uint8_t *pixels;
    const bool given = r->config && vpsde_config_has(r->config, "data") &&
                       vpsde_config_section(&data, r->config, "data") == VPSDE_OK &&
                       vpsde_config_pair(range, data, "range", usual) == VPSDE_OK;
    if (!given || !(range[1] > range[0])) {
        range[0] = -1;
        range[1] = 1;
    }
    VPSDE_TRY(vpsde_alloc(&pixels, n, state->picture));
    const size_t shown = state->channels == 3 ? 3 : 1, plane = state->rows * state->columns;
    for (size_t i = 0; i < n; i++) {
        const double more = widen ? widen[i] * (range[1] - range[0]) : 0;
        for (size_t e = 0; e < plane; e++) {
            for (size_t c = 0; c < shown; c++) {
                pixels[i * state->picture + e * shown + c] =
                    level(values[i * state->dim + c * plane + e], range[0] - more, range[1] + more);
            }
        }
    }
    vpsde_json_numbers(r->json, "range", range, 2);
    vpsde_json_bytes(r->json, "pixels", pixels, n * state->picture);
    free(pixels);
    return r->json->status;
}
