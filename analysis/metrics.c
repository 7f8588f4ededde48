#include "analysis/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"

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

vpsde_status vpsde_metric_look(const vpsde_metric_input *in, size_t row)
{
    return row % 1024 == 0 ? vpsde_check_stop(in->stop) : VPSDE_OK;
}

static double distance_of(const double *a, const double *b, size_t d)
{
    double square = 0;
    for (size_t j = 0; j < d; j++) square += (a[j] - b[j]) * (a[j] - b[j]);
    return sqrt(square);
}

void vpsde_distances(double *distance, const double *x, const double *reference, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) distance[i] = distance_of(x + i * d, reference + i * d, d);
}

double vpsde_quantile(const double *ascending, size_t n, double p)
{
    const double place = p * (double)(n - 1);
    const size_t below = (size_t)place, above = below + 1 < n ? below + 1 : below;
    return ascending[below] + (place - (double)below) * (ascending[above] - ascending[below]);
}

static int ascending_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { BANDWIDTH_ROWS = 512 };

vpsde_status vpsde_bandwidth(double *out, const double *rows, size_t n, size_t d)
{
    double *distance;
    size_t pairs = 0;
    if (n > BANDWIDTH_ROWS) n = BANDWIDTH_ROWS;
    VPSDE_TRY(vpsde_alloc(&distance, n * (n - 1) / 2 + 1, sizeof(*distance)));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            distance[pairs++] = distance_of(rows + i * d, rows + j * d, d);
        }
    }
    qsort(distance, pairs, sizeof(*distance), ascending_order);
    *out = pairs > 0 ? vpsde_quantile(distance, pairs, 0.5) : 0;
    if (!(*out > 0)) *out = 1;
    free(distance);
    return VPSDE_OK;
}

vpsde_status vpsde_measure_quantile(vpsde_statistic *out, const vpsde_metric_input *in, double p)
{
    double *sorted;
    VPSDE_TRY(vpsde_statistic_open(out, in->n, in->number, 1));
    out->kind = VPSDE_STATISTIC_QUANTILE;
    out->p = p;
    VPSDE_TRY(vpsde_alloc(&sorted, in->n, sizeof(*sorted)));
    for (size_t i = 0; i < in->n; i++) out->column[i] = sorted[i] = in->distance[i];
    qsort(sorted, in->n, sizeof(*sorted), ascending_order);
    out->value = vpsde_quantile(sorted, in->n, p);
    free(sorted);
    return VPSDE_OK;
}
