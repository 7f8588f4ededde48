#include "analysis/metrics.h"

static vpsde_status eval(double *out, const vpsde_metric_input *in)
{
    *out = vpsde_quantile(in->distance, in->n, 0.5);
    return VPSDE_OK;
}

const vpsde_metric vpsde_metric_median = {
    .name = "median",
    .units = "1",
    .description = "median of the distance |x - reference| of a sample",
    .eval = eval,
};
