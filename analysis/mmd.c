/* Squared maximum mean discrepancy (Gretton et al. 2012) with the kernel exp(-|x - y|^2 / (2 h^2)). */
#include <math.h>

#include "analysis/metrics.h"

/* Minus the kernel: the energy distance's signs are the other ones. */
static void gaussian(double *square, size_t m, double bandwidth)
{
    const double factor = -0.5 / (bandwidth * bandwidth);
    for (size_t j = 0; j < m; j++) square[j] = -exp(factor * square[j]);
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    return vpsde_measure_pairs(out, in, gaussian);
}

const vpsde_metric vpsde_metric_mmd = {
    .name = "mmd",
    .units = "1",
    .description =
        "squared maximum mean discrepancy to the law with a Gaussian kernel, unbiased: it "
        "may be below 0",
    .needs = VPSDE_METRIC_TARGET,
    .measure = measure,
};
