/* What the solvers made: the terminal's table, and a bounded part of the final states. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "analysis/metrics.h"
#include "analysis/report.h"
#include "analysis/report_states.h"
#include "core/mem.h"

#define GROUP "/runs"

/* Values of all solvers together that a page takes along. */
enum { POINTS = 60000, IMAGE_BYTES = 900000, POINTS_EACH = 2000, IMAGES_EACH = 48 };

static const vpsde_page_head heads[] = {
    {.name = "solver", .text = true},
    {.name = "samples"},
    {.name = "failed"},
    {.name = "nfe/sample", .help = "network calls a sample, mean"},
    {.name = "max nfe"},
    {.name = "wall", .unit = "s"},
    {.name = "samples/s", .unit = "1/s"},
};

static vpsde_status put_row(const vpsde_page *r, const vpsde_h5_node *run)
{
    vpsde_json *j = r->json;
    double *nfe, *status;
    size_t n, n_status;
    VPSDE_TRY(vpsde_page_column(&nfe, &n, r, run->path, "nfe"));
    const vpsde_status read = vpsde_page_column(&status, &n_status, r, run->path, "status");
    if (read == VPSDE_OK) {
        const vpsde_page_mean m = vpsde_page_average(nfe, n);
        vpsde_json_list(j, NULL);
        vpsde_json_text(j, NULL, vpsde_h5_node_name(run));
        vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, (double)n);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, vpsde_page_nonzero(status, n_status));
        vpsde_page_cell(j, "%" VPSDE_DIGITS_NFE, m.mean);
        vpsde_page_cell_if(j, m.n > 0, "%" VPSDE_DIGITS_COUNT, m.high);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_SECONDS, vpsde_page_timing(r, run, "wall_seconds"));
        vpsde_page_cell(j, "%" VPSDE_DIGITS_RATE, vpsde_page_timing(r, run, "samples_per_second"));
        vpsde_json_end_list(j);
    }
    free(nfe);
    free(status);
    return read;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How far samples went: of the tasks that have such a column. */
static vpsde_status put_distances(const vpsde_page *r)
{
    static const char *const columns[] = {"round_trip_error", "distance"};
    static const vpsde_page_head distance_heads[] = {
        {.name = "solver", .text = true},
        {.name = "what", .text = true},
        {.name = "median"},
        {.name = "99 %"},
        {.name = "largest"},
    };
    vpsde_json *j = r->json;
    const vpsde_h5_node *run = NULL;
    vpsde_page_begin_table(j, "distances", "Distances", distance_heads, 5);
    while ((run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        for (size_t c = 0; c < 2; c++) {
            double *values;
            size_t n, m = 0;
            VPSDE_TRY(vpsde_page_column(&values, &n, r, run->path, columns[c]));
            for (size_t i = 0; i < n; i++) {
                if (isfinite(values[i])) values[m++] = values[i];
            }
            if (m > 0) {
                qsort(values, m, sizeof(*values), ascending);
                vpsde_json_list(j, NULL);
                vpsde_json_text(j, NULL, vpsde_h5_node_name(run));
                vpsde_json_text(
                    j, NULL,
                    vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, run->path, columns[c]),
                                       "description"));
                vpsde_page_cell(j, "%" VPSDE_DIGITS_DISTANCE, vpsde_quantile(values, m, 0.5));
                vpsde_page_cell(j, "%" VPSDE_DIGITS_DISTANCE, vpsde_quantile(values, m, 0.99));
                vpsde_page_cell(j, "%" VPSDE_DIGITS_DISTANCE, values[m - 1]);
                vpsde_json_end_list(j);
            }
            free(values);
        }
    }
    vpsde_page_end_table(j);
    return VPSDE_OK;
}

/* After how many samples the classes begin again; 0 where they do not, or there are none. */
static vpsde_status find_period(size_t *period, const vpsde_page *r, const vpsde_h5_node *run,
                                size_t shown)
{
    double *class;
    size_t n, at = 1;
    VPSDE_TRY(vpsde_page_column(&class, &n, r, run->path, "class"));
    if (n > shown) n = shown;
    for (size_t i = 1; i < n; i++) {
        if (class[i] != class[i % at]) at = i + 1;
    }
    *period = at > 1 && at < n ? at : 0;
    free(class);
    return VPSDE_OK;
}

/* The first samples' first two coordinates, or their pictures. */
static vpsde_status put_states(const vpsde_page *r, const vpsde_h5_node *run, size_t n_runs)
{
    const vpsde_h5_node *final = vpsde_h5_tree_find(&r->tree, run->path, "final");
    vpsde_page_state state;
    vpsde_json *j = r->json;
    if (n_runs == 0 || !final || final->is_group) return VPSDE_OK;
    if (!vpsde_page_state_of(&state, final, 1)) return VPSDE_OK;
    const size_t most = state.image ? IMAGE_BYTES / n_runs / state.picture : POINTS / n_runs / 2;
    const size_t each = state.image ? IMAGES_EACH : POINTS_EACH;
    size_t n = final->dims[0] < each ? final->dims[0] : each;
    const size_t room = VPSDE_PAGE_ROOM / state.dim;
    if (n > room) n = room > 0 ? room : 1;
    if (n > most) n = most;
    if (n == 0) return VPSDE_OK;
    double *values;
    size_t period;
    VPSDE_TRY(find_period(&period, r, run, n));
    VPSDE_TRY(vpsde_page_rows(&values, r, final, n));
    vpsde_json_object(j, NULL);
    vpsde_json_text(j, "name", vpsde_h5_node_name(run));
    if (period > 0) vpsde_json_number(j, "period", (double)period);
    vpsde_json_number(j, "count", (double) final->dims[0]);
    vpsde_json_number(j, "shown", (double)n);
    vpsde_page_state_put_shape(j, &state);
    vpsde_status status;
    if (state.image)
        status = vpsde_page_state_put_pictures(r, &state, values, n, NULL);
    else
        status = vpsde_page_state_put_points(j, &state, values, n);
    vpsde_json_end_object(j);
    free(values);
    return status;
}

static vpsde_status write(const vpsde_page *r)
{
    vpsde_json *j = r->json;
    const vpsde_h5_node *run = NULL;
    size_t n = 0;
    vpsde_page_begin_table(j, "table", "Solvers", heads, sizeof(heads) / sizeof(heads[0]));
    while ((run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        if (!run->is_group) continue;
        VPSDE_TRY(put_row(r, run));
        n++;
    }
    vpsde_page_end_table(j);
    VPSDE_TRY(put_distances(r));
    vpsde_json_list(j, "states");
    while ((run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        if (run->is_group) VPSDE_TRY(put_states(r, run, n));
    }
    vpsde_json_end_list(j);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_samples = {
    .name = "samples", .group = GROUP, .write = write};
