#include <math.h>

#include "analysis/metrics.h"

static double root(const double *mean) { return sqrt(mean[0]); }

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    VPSDE_TRY(vpsde_statistic_open(out, in->n, in->number, 1));
    out->finish = root;
    out->is_smooth = true;
    for (size_t i = 0; i < in->n; i++) out->column[i] = in->distance[i] * in->distance[i];
    vpsde_statistic_close(out);
    return VPSDE_OK;
}

const vpsde_metric vpsde_metric_rmse = {
    .name = "rmse",
    .units = "1",
    .description = "root of the mean squared distance |x - reference| of a sample",
    .needs = VPSDE_METRIC_PAIRED,
    .rank = 2,
    .measure = measure,
};
