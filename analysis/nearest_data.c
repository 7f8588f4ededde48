/* Mean distance of a sample to the nearest row of the data: near 0 where a model repeats its training
 * set. Of the first samples only, as many as 2^31 operations allow. */
#include <math.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"

enum { BLOCK = 64 };
static const double work_max = 2147483648.0; /* samples, rows of the data, values */

static vpsde_status scan(double *square, const vpsde_metric_input *in, size_t n, double *rows)
{
    const size_t d = in->d;
    double *difference = rows + BLOCK * d;
    for (size_t first = 0; first < in->data_count; first += BLOCK) {
        const size_t left = in->data_count - first, m = left < BLOCK ? left : BLOCK;
        VPSDE_TRY(vpsde_check_stop(in->stop));
        VPSDE_TRY(in->data->read(in->data->context, in->data_first + first, m, rows));
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < m; k++) {
                vec_lin2(d, difference, 1, in->x + i * d, -1, rows + k * d);
                square[i] = fmin(square[i], vec_dot(d, difference, difference));
            }
        }
    }
    return VPSDE_OK;
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    const double most = work_max / ((double)in->data_count * (double)in->d);
    const size_t n = (double)in->n <= most ? in->n : most < 1 ? 1 : (size_t)most;
    double *rows;
    VPSDE_TRY(vpsde_statistic_open(out, n, in->number, 1));
    VPSDE_TRY(vpsde_alloc(&rows, (BLOCK + 1) * in->d, sizeof(*rows)));
    for (size_t i = 0; i < n; i++) out->column[i] = INFINITY;
    const vpsde_status status = scan(out->column, in, n, rows);
    for (size_t i = 0; i < n; i++) out->column[i] = sqrt(out->column[i]);
    free(rows);
    out->is_smooth = true;
    vpsde_statistic_close(out);
    return status;
}

const vpsde_metric vpsde_metric_nearest_data = {
    .name = "nearest-data",
    .units = "1",
    .description = "distance of a sample to the nearest row of the data, mean",
    .needs = VPSDE_METRIC_DATA,
    .ideal = (double)NAN,
    .measure = measure,
};
