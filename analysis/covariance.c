/* |C - Sigma|_F of the samples' covariance C (divided by n); Sigma is exact where the model gives it,
 * else the target's. The terms are those of its derivative: (x_i - m)^T E (x_i - m), E the unit matrix
 * of C - Sigma. */
#include <math.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"

enum { DIM_MAX = 128 };

typedef struct work {
    double *e, *row, *mean, *target_mean; /* (d, d), (d), (d), (d) */
} work;

static void set_mean(double *mean, const double *rows, size_t n, size_t d)
{
    for (size_t j = 0; j < d; j++) mean[j] = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) mean[j] += rows[i * d + j] / (double)n;
    }
}

/* e += factor times the covariance of the rows */
static vpsde_status add_covariance(work *w, const vpsde_metric_input *in, const double *mean,
                                   const double *rows, double factor)
{
    const size_t n = in->n, d = in->d;
    for (size_t i = 0; i < n; i++) {
        VPSDE_TRY(vpsde_metric_look(in, i));
        for (size_t j = 0; j < d; j++) w->row[j] = rows[i * d + j] - mean[j];
        for (size_t j = 0; j < d; j++) {
            const double a = factor / (double)n * w->row[j];
            for (size_t k = 0; k < d; k++) w->e[j * d + k] += a * w->row[k];
        }
    }
    return VPSDE_OK;
}

static double form(const work *w, const double *mean, const double *x, size_t d)
{
    double sum = 0;
    for (size_t j = 0; j < d; j++) w->row[j] = x[j] - mean[j];
    for (size_t j = 0; j < d; j++) {
        double along = 0;
        for (size_t k = 0; k < d; k++) along += w->e[j * d + k] * w->row[k];
        sum += w->row[j] * along;
    }
    return sum;
}

static vpsde_status fill(vpsde_statistic *out, work *w, const vpsde_metric_input *in)
{
    const size_t n = in->n, d = in->d;
    double square = 0, exact = 0;
    set_mean(w->mean, in->x, n, d);
    VPSDE_TRY(add_covariance(w, in, w->mean, in->x, 1));
    if (in->covariance) {
        for (size_t q = 0; q < d * d; q++) w->e[q] -= in->covariance[q];
    } else {
        set_mean(w->target_mean, in->target, n, d);
        VPSDE_TRY(add_covariance(w, in, w->target_mean, in->target, -1));
    }
    for (size_t q = 0; q < d * d; q++) square += w->e[q] * w->e[q];
    const double norm = sqrt(square);
    for (size_t q = 0; norm > 0 && q < d * d; q++) w->e[q] /= norm;
    for (size_t q = 0; in->covariance && q < d * d; q++) exact += w->e[q] * in->covariance[q];
    for (size_t i = 0; i < n; i++) {
        VPSDE_TRY(vpsde_metric_look(in, i));
        if (!in->covariance) exact = form(w, w->target_mean, in->target + i * d, d);
        out->column[i] = form(w, w->mean, in->x + i * d, d) - exact;
    }
    out->value = norm;
    return VPSDE_OK;
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    const size_t d = in->d;
    work w;
    VPSDE_TRY(vpsde_statistic_open(out, in->n, in->number, 1));
    VPSDE_TRY(vpsde_alloc(&w.e, d * d + 3 * d, sizeof(*w.e)));
    w.row = w.e + d * d;
    w.mean = w.row + d;
    w.target_mean = w.mean + d;
    const vpsde_status status = fill(out, &w, in);
    const double norm = out->value;
    free(w.e);
    vpsde_statistic_close(out);
    out->value = norm;
    return status;
}

const vpsde_metric vpsde_metric_covariance = {
    .name = "covariance",
    .units = "1",
    .description = "Frobenius norm of the error of the samples' covariance",
    .needs = VPSDE_METRIC_TARGET,
    .dim_max = DIM_MAX,
    .measure = measure,
};
