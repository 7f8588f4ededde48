/* |m - mu|_2 of the samples' mean m; mu is exact where the model gives it, else the target's mean. The
 * terms are those of its derivative: e . (x_i - mu), e the unit vector of m - mu. */
#include <math.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"

static void add_mean(double *out, const double *rows, size_t n, size_t d, double factor)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) out[j] += factor / (double)n * rows[i * d + j];
    }
}

static double dot(const double *a, const double *b, size_t d)
{
    double sum = 0;
    for (size_t j = 0; j < d; j++) sum += a[j] * b[j];
    return sum;
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    const size_t n = in->n, d = in->d;
    double *e, along = 0;
    VPSDE_TRY(vpsde_statistic_open(out, n, in->number, 1));
    VPSDE_TRY(vpsde_alloc(&e, d, sizeof(*e)));
    add_mean(e, in->x, n, d, 1);
    if (in->mean) {
        add_mean(e, in->mean, 1, d, -1);
    } else {
        add_mean(e, in->target, n, d, -1);
    }
    const double norm = sqrt(dot(e, e, d));
    for (size_t j = 0; norm > 0 && j < d; j++) e[j] /= norm;
    if (in->mean) along = dot(e, in->mean, d);
    for (size_t i = 0; i < n; i++) {
        out->column[i] =
            dot(e, in->x + i * d, d) - (in->mean ? along : dot(e, in->target + i * d, d));
    }
    free(e);
    vpsde_statistic_close(out);
    out->value = norm;
    return VPSDE_OK;
}

const vpsde_metric vpsde_metric_mean = {
    .name = "mean",
    .units = "1",
    .description = "2-norm of the error of the samples' mean",
    .needs = VPSDE_METRIC_TARGET,
    .measure = measure,
};
