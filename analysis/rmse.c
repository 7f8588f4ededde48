#include <math.h>

#include "analysis/metrics.h"

static vpsde_status eval(double *out, const vpsde_metric_input *in)
{
    double sum = 0;
    for (size_t i = 0; i < in->n; i++) sum += in->distance[i] * in->distance[i];
    *out = sqrt(sum / (double)in->n);
    return VPSDE_OK;
}

const vpsde_metric vpsde_metric_rmse = {
    .name = "rmse",
    .units = "1",
    .description = "root of the mean squared distance |x - reference| of a sample",
    .eval = eval,
};
