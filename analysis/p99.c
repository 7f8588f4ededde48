#include "analysis/metrics.h"

static vpsde_status eval(double *out, const vpsde_metric_input *in)
{
    *out = vpsde_quantile(in->distance, in->n, 0.99);
    return VPSDE_OK;
}

const vpsde_metric vpsde_metric_p99 = {
    .name = "p99",
    .units = "1",
    .description = "99 % quantile of the distance |x - reference| of a sample",
    .eval = eval,
};
