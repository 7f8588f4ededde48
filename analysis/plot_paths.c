/* Paths in the plane of the first solver that stored some. */
#include <stdlib.h>

#include "analysis/plots.h"
#include "analysis/report_states.h"

#define GROUP "/runs"

enum { PATHS_MAX = 64 };

static vpsde_status put_data(FILE *file, const vpsde_page *r, const vpsde_h5_node *x,
                             const vpsde_page_state *state)
{
    const size_t n = x->dims[0] < PATHS_MAX ? x->dims[0] : PATHS_MAX, n_time = x->dims[1];
    double *values;
    VPSDE_TRY(vpsde_page_rows(&values, r, x, n));
    fprintf(file, "# x, y along a path from noise to data; then where they end\n");
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n_time; k++) {
            const double *at = values + (i * n_time + k) * state->dim;
            fprintf(file, "%.17g %.17g\n", at[0], at[1]);
        }
        fprintf(file, "\n");
    }
    fprintf(file, "\n");
    for (size_t i = 0; i < n; i++) {
        const double *end = values + (i * n_time + n_time - 1) * state->dim;
        fprintf(file, "%.17g %.17g\n", end[0], end[1]);
    }
    free(values);
    return VPSDE_OK;
}

static vpsde_status write(vpsde_plot_out *out, const vpsde_page *r)
{
    const vpsde_h5_node *run = NULL, *x = NULL;
    vpsde_page_state state;
    bool found = false;
    while (!found && (run = vpsde_h5_tree_next(&r->tree, GROUP, run))) {
        x = vpsde_h5_tree_find(&r->tree, run->path, "x");
        found = x && !x->is_group && x->rank == 3 && vpsde_page_state_of(&state, x, 2) &&
                state.coordinates == 2;
    }
    out->empty = !found;
    if (!found) return VPSDE_OK;
    VPSDE_TRY(put_data(out->data, r, x, &state));
    fprintf(out->script, "set size ratio -1\nset title ");
    vpsde_plot_text(out->script, vpsde_h5_node_name(run));
    fprintf(out->script,
            " noenhanced\nset xlabel '%s'\nset ylabel '%s'\nunset key\n"
            "plot '%s' index 0 using 1:2 with lines lc rgb '#990072b2' lw 0.7, \\\n"
            " '' index 1 using 1:2 with points pt 7 ps 0.4 lc rgb '#d55e00'\n",
            state.dim > 2 ? "first coordinate" : "x", state.dim > 2 ? "second coordinate" : "y",
            out->file);
    return VPSDE_OK;
}

const vpsde_plot vpsde_plot_paths = {.name = "paths", .group = GROUP, .write = write};
