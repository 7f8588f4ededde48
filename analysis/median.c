#include "analysis/metrics.h"

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    return vpsde_measure_quantile(out, in, 0.5);
}

const vpsde_metric vpsde_metric_median = {
    .name = "median",
    .units = "1",
    .description = "median of the distance |x - reference| of a sample",
    .needs = VPSDE_METRIC_PAIRED,
    .rank = 1,
    .measure = measure,
};
