/* The loss curve and its moving average. */
#include <math.h>
#include <stdlib.h>

#include "analysis/plots.h"

#define GROUP "/training"

static vpsde_status write(vpsde_plot_out *out, const vpsde_page *r)
{
    static const char *const names[] = {"step", "loss", "loss_ema"};
    double *v[3];
    size_t n[3], known = 0;
    const vpsde_status status = vpsde_page_columns(v, n, r, GROUP, names, 3);
    fprintf(out->data, "# step, loss, loss_ema\n");
    for (size_t i = 0; i < n[0] && i < n[1] && i < n[2] && status == VPSDE_OK; i++) {
        if (!isfinite(v[1][i])) continue;
        fprintf(out->data, "%.17g %.17g %.17g\n", v[0][i], v[1][i], v[2][i]);
        known++;
    }
    out->empty = known == 0;
    fprintf(out->script,
            "set logscale y\nset xlabel 'training step'\nset ylabel 'loss'\n"
            "plot '%s' using 1:2 with lines lc rgb '#bbbbbb' lw 0.5 title 'loss', \\\n"
            " '' using 1:3 with lines lt 1 lw 1.5 title 'moving average'\n",
            out->file);
    for (size_t c = 0; c < 3; c++) free(v[c]);
    return status;
}

const vpsde_plot vpsde_plot_loss = {.name = "loss", .group = GROUP, .write = write};
