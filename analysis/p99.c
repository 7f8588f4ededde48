#include "analysis/metrics.h"

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    return vpsde_measure_quantile(out, in, 0.99);
}

const vpsde_metric vpsde_metric_p99 = {
    .name = "p99",
    .units = "1",
    .description = "99 % quantile of the distance |x - reference| of a sample",
    .needs = VPSDE_METRIC_PAIRED,
    .rank = 3,
    .measure = measure,
};
