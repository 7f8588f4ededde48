#include "analysis/metrics.h"

#include <math.h>
#include <stdlib.h>

#define VPSDE_METRIC(name) extern const vpsde_metric vpsde_metric_##name;
#include "analysis/registry.def"
#undef VPSDE_METRIC

static const vpsde_metric *const metrics[] = {
#define VPSDE_METRIC(name) &vpsde_metric_##name,
#include "analysis/registry.def"
#undef VPSDE_METRIC
};
enum { N_METRICS = sizeof(metrics) / sizeof(metrics[0]) };
_Static_assert((size_t)N_METRICS <= (size_t)VPSDE_METRICS_MAX,
               "more metrics than VPSDE_METRICS_MAX");

const vpsde_metric *vpsde_metric_at(size_t index)
{
    return index < N_METRICS ? metrics[index] : NULL;
}

static int ascending_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

size_t vpsde_distances(double *distance, const double *x, const double *reference, size_t n,
                       size_t d)
{
    size_t n_finite = 0;
    for (size_t i = 0; i < n; i++) {
        double square = 0;
        for (size_t j = 0; j < d; j++) {
            const double difference = x[i * d + j] - reference[i * d + j];
            square += difference * difference;
        }
        if (isfinite(square)) distance[n_finite++] = sqrt(square);
    }
    qsort(distance, n_finite, sizeof(*distance), ascending_order);
    return n_finite;
}

double vpsde_quantile(const double *ascending, size_t n, double p)
{
    const double place = p * (double)(n - 1);
    const size_t below = (size_t)place, above = below + 1 < n ? below + 1 : below;
    return ascending[below] + (place - (double)below) * (ascending[above] - ascending[below]);
}
