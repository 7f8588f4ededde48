/* How log p is distributed over the rows. */
#include <math.h>
#include <stdlib.h>

#include "analysis/plots.h"

#define GROUP "/likelihood"

enum { BINS = 40, LABELS_MAX = 16 };

static vpsde_status write(vpsde_plot_out *out, const vpsde_page *r)
{
    const vpsde_h5_node *group = NULL, *shown[LABELS_MAX];
    double low = (double)INFINITY, high = -(double)INFINITY;
    size_t n_blocks = 0, most = 0;
    fprintf(out->data, "# log p [nat] of a row; a block a label\n");
    fprintf(out->script, "set xlabel 'log p [nat]'\nset ylabel 'rows'\nset style fill solid 0.6\n"
                         "bin(x) = width * (floor(x / width) + 0.5)\n");
    while (n_blocks < LABELS_MAX && (group = vpsde_h5_tree_next(&r->tree, GROUP, group))) {
        double *logp;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&logp, &n, r, group->path, "logp"));
        const vpsde_page_mean m = vpsde_page_average(logp, n);
        if (m.n > 0) {
            fprintf(out->data, "%s# %s\n", n_blocks ? "\n\n" : "", vpsde_h5_node_name(group));
            for (size_t i = 0; i < n; i++) {
                if (isfinite(logp[i])) fprintf(out->data, "%.17g\n", logp[i]);
            }
            low = fmin(low, m.low);
            high = fmax(high, m.high);
            most = m.n > most ? m.n : most;
            shown[n_blocks++] = group;
        }
        free(logp);
    }
    out->empty = n_blocks == 0;
    const double bins = fmin(BINS, fmax(6, ceil(1.5 * sqrt((double)most))));
    fprintf(out->script, "width = %.17g\nset boxwidth width\nplot",
            high > low ? (high - low) / bins : 1);
    for (size_t b = 0; b < n_blocks; b++) {
        fprintf(out->script,
                "%s '%s' index %zu using (bin($1)):(1.0) smooth frequency with boxes title ",
                b ? ", \\\n" : "", out->file, b);
        vpsde_plot_text(out->script, vpsde_h5_node_name(shown[b]));
    }
    fprintf(out->script, "\n");
    return VPSDE_OK;
}

const vpsde_plot vpsde_plot_log_likelihood = {
    .name = "log-likelihood", .group = GROUP, .write = write};
