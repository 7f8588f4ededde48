/* Stored trajectories: paths in the plane, or film strips; and the mixture's parameters, where the
 * model is one in the plane, from which the page evaluates p_t itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report.h"
#include "analysis/report_states.h"
#include "core/config.h"
#include "core/mem.h"

#define GROUP "/runs"

enum {
    VALUES = 160000,
    PATHS_EACH = 256,
    STRIP_BYTES = 900000,
    STRIPS = 6,
    FRAMES = 9,
    N_AXES = 4
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Samples whose states are read, `most` at most: all components of a sample at all times, in memory. */
static size_t samples_to_read(const vpsde_h5_node *x, const vpsde_page_state *state, size_t most)
{
    const size_t room = VPSDE_PAGE_ROOM / (x->dims[1] * state->dim);
    return smaller(x->dims[0], smaller(most, room > 0 ? room : 1));
}

/* ---- the density ----------------------------------------------------------------------------- */

/* Covariances of any form the configuration has, as 2 x 2 matrices. */
static bool expand(double *out, size_t n, const double *v, size_t rank, const size_t *dims)
{
    for (size_t k = 0; k < n; k++) {
        double *c = out + 4 * k;
        if (rank == 3 && dims[0] == n && dims[1] == 2 && dims[2] == 2) {
            memcpy(c, v + 4 * k, 4 * sizeof(*c));
        } else if (rank == 2 && dims[0] == n && dims[1] == 2) {
            c[0] = v[2 * k];
            c[3] = v[2 * k + 1];
        } else if (rank == 0 || (rank == 1 && dims[0] == n)) {
            c[0] = c[3] = rank == 0 ? v[0] : v[k];
        } else {
            return false;
        }
    }
    return true;
}

static void put_mixture(const vpsde_page *r, vpsde_config *model)
{
    static const char *const keys[] = {"weights", "means", "variances", "covariances"};
    double *v[4] = {NULL}, *covariance = NULL;
    size_t rank[4] = {0}, dims[4][3] = {{0}};
    vpsde_status status = VPSDE_OK;
    for (size_t k = 0; k < 4 && status == VPSDE_OK; k++) {
        status = vpsde_config_numbers(&v[k], &rank[k], dims[k], 3, model, keys[k]);
    }
    bool good = status == VPSDE_OK;
    const size_t n = good && v[1] && rank[1] == 2 && dims[1][1] == 2 ? dims[1][0] : 0;
    const size_t which = v[3] ? 3 : 2;
    good = n > 0 && v[which] && (!v[0] || (rank[0] == 1 && dims[0][0] == n));
    if (good) status = vpsde_alloc(&covariance, 4 * n, sizeof(*covariance));
    if (status == VPSDE_ENOMEM) r->json->status = status; /* not a page that lacks it */
    good = good && status == VPSDE_OK && expand(covariance, n, v[which], rank[which], dims[which]);
    if (good) {
        vpsde_json_object(r->json, "mixture");
        vpsde_json_list(r->json, "weights");
        for (size_t k = 0; k < n; k++) {
            vpsde_json_number(r->json, NULL, v[0] ? v[0][k] : 1 / (double)n);
        }
        vpsde_json_end_list(r->json);
        vpsde_json_numbers(r->json, "means", v[1], 2 * n);
        vpsde_json_numbers(r->json, "covariances", covariance, 4 * n);
        vpsde_json_end_object(r->json);
    }
    for (size_t k = 0; k < 4; k++) free(v[k]);
    free(covariance);
}

static void put_density(const vpsde_page *r)
{
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, "/model", NULL);
    vpsde_config *model;
    if (strcmp(vpsde_h5_node_text(group, "kind"), "gaussian-mixture") != 0 || !r->config) return;
    if (vpsde_config_section(&model, r->config, "model") == VPSDE_OK) put_mixture(r, model);
}

/* ---- the paths ------------------------------------------------------------------------------- */

/* Those of the stored times that are shown, the first and the last among them. */
typedef struct times {
    size_t n, stored;
} times;

static times choose_times(size_t stored, size_t n_runs)
{
    const size_t n = (stored - 1) / vpsde_page_stride(stored, (N_AXES + 1) * n_runs) + 1;
    return (times){.n = n, .stored = stored};
}

static size_t time_at(const times *at, size_t k)
{
    return at->n > 1 ? k * (at->stored - 1) / (at->n - 1) : 0;
}

static vpsde_status put_axis(const vpsde_page *r, const vpsde_h5_node *run, const times *at,
                             double *sigma)
{
    static const char *const names[N_AXES] = {"t", "alpha", "sigma", "lambda"};
    for (size_t i = 0; i < N_AXES; i++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, run->path, names[i]));
        vpsde_json_list(r->json, names[i]);
        for (size_t k = 0; k < at->n && time_at(at, k) < n; k++) {
            vpsde_json_number(r->json, NULL, values[time_at(at, k)]);
            if (i == 2) sigma[k] = values[time_at(at, k)];
        }
        vpsde_json_end_list(r->json);
        free(values);
    }
    return VPSDE_OK;
}

/* Points (path, time, coordinate). */
static vpsde_status put_points(const vpsde_page *r, const vpsde_h5_node *x,
                               const vpsde_page_state *state, size_t n_runs, const times *at)
{
    const size_t n_time = x->dims[1], d = state->dim;
    const size_t most = VALUES / n_runs / (at->n * state->coordinates);
    const size_t n = samples_to_read(x, state, smaller(PATHS_EACH, most));
    double *values;
    VPSDE_TRY(vpsde_page_rows(&values, r, x, n));
    for (size_t i = 0; i < n; i++) { /* never to a place that is still to be read */
        for (size_t k = 0; k < at->n; k++) {
            memmove(values + (i * at->n + k) * d, values + (i * n_time + time_at(at, k)) * d,
                    d * sizeof(*values));
        }
    }
    vpsde_json_number(r->json, "shown", (double)n);
    const vpsde_status status = vpsde_page_state_put_points(r->json, state, values, n * at->n);
    free(values);
    return status;
}

/* A few samples at a few of the stored times, wider greys where there is more noise. */
static vpsde_status put_strips(const vpsde_page *r, const vpsde_h5_node *x,
                               const vpsde_page_state *state, size_t n_runs, const times *at,
                               const double *sigma)
{
    const size_t n_time = x->dims[1], frames = smaller(at->n, FRAMES);
    const size_t most = STRIP_BYTES / n_runs / (frames * state->picture);
    const size_t n = samples_to_read(x, state, smaller(STRIPS, most));
    double frame[FRAMES], widen[STRIPS * FRAMES], *values, *chosen;
    VPSDE_TRY(vpsde_page_rows(&values, r, x, n));
    vpsde_status status = vpsde_alloc(&chosen, n * frames * state->dim, sizeof(*chosen));
    if (status != VPSDE_OK) {
        free(values);
        return status;
    }
    for (size_t f = 0; f < frames; f++) {
        const size_t k = frames > 1 ? f * (at->n - 1) / (frames - 1) : 0;
        const size_t stored = time_at(at, k);
        frame[f] = (double)k;
        for (size_t i = 0; i < n; i++) {
            widen[i * frames + f] = sigma[k];
            memcpy(chosen + (i * frames + f) * state->dim,
                   values + (i * n_time + stored) * state->dim, state->dim * sizeof(*values));
        }
    }
    vpsde_json_number(r->json, "shown", (double)n);
    vpsde_json_numbers(r->json, "frames", frame, frames);
    status = vpsde_page_state_put_pictures(r, state, chosen, n * frames, widen);
    free(values);
    free(chosen);
    return status;
}

static const vpsde_h5_node *stored(const vpsde_page *r, const vpsde_h5_node *run,
                                   vpsde_page_state *state)
{
    const vpsde_h5_node *x = vpsde_h5_tree_find(&r->tree, run->path, "x");
    const bool good = x && !x->is_group && x->rank >= 3 && vpsde_page_state_of(state, x, 2);
    size_t path; /* values of one, which is read whole */
    return good && x->dims[1] <= VALUES / 2 &&
                   !__builtin_mul_overflow(x->dims[1], state->dim, &path) &&
                   path <= VPSDE_PAGE_ONE_MAX
               ? x
               : NULL;
}

static vpsde_status put_run(const vpsde_page *r, const vpsde_h5_node *run, size_t n_runs)
{
    vpsde_page_state state;
    const vpsde_h5_node *x = stored(r, run, &state);
    double *sigma;
    if (!x) return VPSDE_OK;
    const times at = choose_times(x->dims[1], n_runs);
    VPSDE_TRY(vpsde_alloc(&sigma, at.n, sizeof(*sigma)));
    vpsde_json_object(r->json, NULL);
    vpsde_json_text(r->json, "name", vpsde_h5_node_name(run));
    vpsde_json_number(r->json, "count", (double)x->dims[0]);
    vpsde_json_number(r->json, "times", (double)at.n);
    vpsde_json_number(r->json, "stored", (double)at.stored);
    vpsde_page_state_put_shape(r->json, &state);
    vpsde_status status = put_axis(r, run, &at, sigma);
    if (status == VPSDE_OK) {
        status = state.image ? put_strips(r, x, &state, n_runs, &at, sigma)
                             : put_points(r, x, &state, n_runs, &at);
    }
    vpsde_json_end_object(r->json);
    free(sigma);
    return status;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *run = NULL;
    vpsde_page_state state;
    size_t n = 0;
    put_density(r);
    while ((run = vpsde_h5_tree_next(&r->tree, GROUP, run))) n += stored(r, run, &state) != NULL;
    vpsde_json_list(r->json, "runs");
    while (n > 0 && (run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        VPSDE_TRY(put_run(r, run, n));
    }
    vpsde_json_end_list(r->json);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_paths = {
    .name = "paths", .group = GROUP, .write = write};
