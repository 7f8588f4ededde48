/* Statistics of pairs of rows: one pass over all pairs, summed by units for the bootstrap. */
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"

enum { ROWS_MAX = 2048 };
static const double work_max = 268435456; /* n^2 d */

size_t vpsde_pair_rows(size_t d)
{
    size_t n = ROWS_MAX;
    while (n > 2 && (double)n * (double)n * (double)d > work_max) n--;
    return n;
}

/* out[j] = |a - row j|^2 of the first m rows, given column by column (d, n). */
VPSDE_VECTOR static void squares(double *restrict out, const double *a, const double *columns,
                                 size_t m, size_t n, size_t d)
{
    for (size_t j = 0; j < m; j++) out[j] = 0;
    for (size_t k = 0; k < d; k++) {
        const double *restrict column = columns + k * n;
        for (size_t j = 0; j < m; j++) {
            const double difference = a[k] - column[j];
            out[j] += difference * difference;
        }
    }
}

static void transpose(double *columns, const double *rows, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < d; k++) columns[k * n + i] = rows[i * d + k];
    }
}

typedef struct work {
    double *x, *y;             /* (d, n) */
    double *xx, *yy, *xy, *yx; /* (n) one row of pairs each */
} work;

static vpsde_status open_work(work *w, const vpsde_metric_input *in, size_t n)
{
    VPSDE_TRY(vpsde_alloc(&w->x, n * (2 * in->d + 4), sizeof(*w->x)));
    w->y = w->x + n * in->d;
    w->xx = w->y + n * in->d;
    w->yy = w->xx + n;
    w->xy = w->yy + n;
    w->yx = w->xy + n;
    transpose(w->x, in->x, n, in->d);
    transpose(w->y, in->target, n, in->d);
    return VPSDE_OK;
}

/* Pairs of row i with those before it; returns the sum of the kernel. */
static double add_row(vpsde_statistic *out, const work *w, const vpsde_metric_input *in, size_t i,
                      vpsde_kernel_fn kernel)
{
    const size_t d = in->d, n = out->n, units = vpsde_pair_units(in->samples);
    const size_t u = in->number[i] % units;
    double sum = 0;
    squares(w->xx, in->x + i * d, w->x, i, n, d);
    squares(w->xy, in->x + i * d, w->y, i, n, d);
    squares(w->yx, in->target + i * d, w->x, i, n, d);
    squares(w->yy, in->target + i * d, w->y, i, n, d);
    double *const rows[] = {w->xx, w->xy, w->yx, w->yy};
    for (size_t q = 0; q < 4; q++) kernel(rows[q], i, in->bandwidth);
    for (size_t j = 0; j < i; j++) {
        const size_t v = in->number[j] % units;
        const double h = w->xy[j] + w->yx[j] - w->xx[j] - w->yy[j];
        sum += h;
        if (u == v) continue;
        out->kernel[u * VPSDE_PAIR_UNITS_MAX + v] += h;
        out->kernel[v * VPSDE_PAIR_UNITS_MAX + u] += h;
        out->pairs[u * VPSDE_PAIR_UNITS_MAX + v] += 1;
        out->pairs[v * VPSDE_PAIR_UNITS_MAX + u] += 1;
    }
    return sum;
}

vpsde_status vpsde_measure_pairs(vpsde_statistic *out, const vpsde_metric_input *in,
                                 vpsde_kernel_fn kernel)
{
    const size_t most = vpsde_pair_rows(in->d), n = in->n < most ? in->n : most;
    enum { SIZE = VPSDE_PAIR_UNITS_MAX * VPSDE_PAIR_UNITS_MAX };
    work w;
    *out = (vpsde_statistic){.kind = VPSDE_STATISTIC_PAIRS, .n = n, .number = in->number};
    VPSDE_TRY(vpsde_alloc(&out->kernel, SIZE, sizeof(*out->kernel)));
    VPSDE_TRY(vpsde_alloc(&out->pairs, SIZE, sizeof(*out->pairs)));
    VPSDE_TRY(open_work(&w, in, n));
    double sum = 0;
    vpsde_status status = VPSDE_OK;
    for (size_t i = 1; status == VPSDE_OK && i < n; i++) {
        sum += add_row(out, &w, in, i, kernel);
        status = vpsde_check_stop(in->stop);
    }
    out->value = sum / (0.5 * (double)n * (double)(n - 1));
    free(w.x);
    return status;
}
