/* Intervals from bootstrap replicates. */
#include <math.h>
#include <stdlib.h>

#include "analysis/bootstrap.h"
#include "analysis/metrics.h"
#include "core/mem.h"

static double normal_cdf(double z) { return 0.5 * erfc(-z * 0.70710678118654752440); }

/* By bisection: a few dozen calls an interval. */
static double normal_quantile(double p)
{
    double low = -9, high = 9;
    for (int k = 0; k < 64; k++) {
        const double middle = 0.5 * (low + high);
        if (normal_cdf(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

static int ascending_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Finite replicates in ascending order, fresh memory. */
static vpsde_status sort_replicates(double **out, size_t *n, const double *replicate)
{
    VPSDE_TRY(vpsde_alloc(out, VPSDE_RESAMPLES, sizeof(**out)));
    *n = 0;
    for (size_t b = 0; b < VPSDE_RESAMPLES; b++) {
        if (isfinite(replicate[b])) (*out)[(*n)++] = replicate[b];
    }
    qsort(*out, *n, sizeof(**out), ascending_order);
    return VPSDE_OK;
}

static vpsde_interval between(const double *ascending, size_t n, double low, double high)
{
    if (n == 0) return (vpsde_interval){.low = (double)NAN, .high = (double)NAN};
    return (vpsde_interval){.low = vpsde_quantile(ascending, n, low),
                            .high = vpsde_quantile(ascending, n, high)};
}

vpsde_status vpsde_percentile_interval(vpsde_interval *out, const double *replicate, double level)
{
    double *sorted;
    size_t n;
    VPSDE_TRY(sort_replicates(&sorted, &n, replicate));
    *out = between(sorted, n, 0.5 * (1 - level), 0.5 * (1 + level));
    free(sorted);
    return VPSDE_OK;
}

/* sum (m - v_u)^3 / (6 (sum (m - v_u)^2)^1.5) over the values v_u without unit u: Efron & Tibshirani
 * 1993, eq. (14.15). */
static vpsde_status acceleration(double *out, const vpsde_statistic *s, size_t units)
{
    double *without, total[VPSDE_COLUMNS_MAX + 1] = {0}, mean = 0, square = 0, cube = 0;
    const size_t columns = s->n_columns;
    VPSDE_TRY(vpsde_alloc(&without, (columns + 2) * units, sizeof(*without)));
    double *value = without + (columns + 1) * units;
    for (size_t i = 0; i < s->n; i++) {
        const size_t u = s->number[i] % units;
        for (size_t c = 0; c < columns; c++) {
            without[c * units + u] += s->column[c * s->n + i];
            total[c] += s->column[c * s->n + i];
        }
        without[columns * units + u] += 1;
        total[columns] += 1;
    }
    for (size_t u = 0; u < units; u++) {
        const double rows = total[columns] - without[columns * units + u];
        double means[VPSDE_COLUMNS_MAX] = {0};
        for (size_t c = 0; c < columns; c++) means[c] = (total[c] - without[c * units + u]) / rows;
        value[u] = s->finish ? s->finish(means) : means[0];
        mean += value[u] / (double)units;
    }
    for (size_t u = 0; u < units; u++) {
        const double difference = mean - value[u];
        square += difference * difference;
        cube += difference * difference * difference;
    }
    *out = square > 0 ? cube / (6 * pow(square, 1.5)) : 0;
    free(without);
    return VPSDE_OK;
}

/* Share of the replicates below the value, never 0 or 1. */
static double share_below(const double *ascending, size_t n, double value)
{
    double below = 0;
    for (size_t b = 0; b < n; b++) {
        below += ascending[b] < value ? 1 : ascending[b] == value ? 0.5 : 0;
    }
    return fmin(fmax(below, 1), (double)n - 1) / (double)n;
}

/* Efron & Tibshirani 1993, eq. (14.10). */
static double adjusted(double p, double z0, double a)
{
    const double z = z0 + normal_quantile(p);
    return normal_cdf(z0 + z / (1 - a * z));
}

vpsde_status vpsde_bootstrap_interval(vpsde_interval *out, const vpsde_statistic *s,
                                      const vpsde_resampling *r, const double *replicate,
                                      double level)
{
    double *sorted, a = 0;
    size_t n;
    const double low = 0.5 * (1 - level), high = 0.5 * (1 + level);
    if (!s->is_smooth) return vpsde_percentile_interval(out, replicate, level);
    VPSDE_TRY(acceleration(&a, s, r->units));
    VPSDE_TRY(sort_replicates(&sorted, &n, replicate));
    if (n < 2 || !isfinite(a)) {
        *out = between(sorted, n, low, high);
    } else {
        const double z0 = normal_quantile(share_below(sorted, n, s->value));
        *out = between(sorted, n, adjusted(low, z0, a), adjusted(high, z0, a));
    }
    free(sorted);
    return VPSDE_OK;
}

vpsde_interval vpsde_pool_intervals(double *mean, const double *value, const vpsde_interval *of,
                                    size_t n)
{
    double sum = 0, below = 0, above = 0;
    for (size_t i = 0; i < n; i++) {
        sum += value[i];
        below += (value[i] - of[i].low) * (value[i] - of[i].low);
        above += (of[i].high - value[i]) * (of[i].high - value[i]);
    }
    *mean = sum / (double)n;
    return (vpsde_interval){.low = *mean - sqrt(below) / (double)n,
                            .high = *mean + sqrt(above) / (double)n};
}
