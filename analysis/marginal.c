/* Mean over the coordinates of W1 between the marginals: int |F - G|. */
#include <stdlib.h>

#include "analysis/metrics.h"
#include "analysis/order.h"
#include "core/mem.h"
#include "core/parallel.h"

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    const size_t n = in->n, d = in->d;
    double *x;
    VPSDE_TRY(vpsde_statistic_open(out, n, in->number, 1));
    VPSDE_TRY(vpsde_alloc(&x, 2 * n, sizeof(*x)));
    double *y = x + n;
    vpsde_status status = VPSDE_OK;
    for (size_t j = 0; status == VPSDE_OK && j < d; j++) {
        for (size_t i = 0; i < n; i++) {
            x[i] = in->x[i * d + j];
            y[i] = in->target[i * d + j];
        }
        status = vpsde_transport(out->column, x, y, n, 1, 1 / (double)d);
        if (status == VPSDE_OK) status = vpsde_check_stop(in->stop);
    }
    free(x);
    vpsde_statistic_close(out);
    return status;
}

const vpsde_metric vpsde_metric_marginal = {
    .name = "marginal",
    .units = "1",
    .description = "Wasserstein-1 distance between the one-dimensional marginals, mean over the "
                   "coordinates",
    .needs = VPSDE_METRIC_TARGET,
    .measure = measure,
};
