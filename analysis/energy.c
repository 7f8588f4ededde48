/* Squared energy distance (Szekely & Rizzo 2013): 2 E|x - y| - E|x - x'| - E|y - y'|. */
#include <math.h>

#include "analysis/metrics.h"

static void distance(double *square, size_t m, double bandwidth)
{
    (void)bandwidth;
    for (size_t j = 0; j < m; j++) square[j] = sqrt(square[j]);
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    return vpsde_measure_pairs(out, in, distance);
}

const vpsde_metric vpsde_metric_energy = {
    .name = "energy",
    .units = "1",
    .description = "squared energy distance to the law, unbiased: it may be below 0",
    .needs = VPSDE_METRIC_TARGET,
    .rank = 4,
    .measure = measure,
};
