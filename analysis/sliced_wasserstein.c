/* Sliced Wasserstein-2 distance (Bonneel et al. 2015): root of the mean over directions of W2^2 of the
 * projections. The directions are the same ones in every run. */
#include <math.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "analysis/order.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"

enum { DIRECTIONS = 256, SEED = 0 };

static double root(const double *mean) { return sqrt(fmax(mean[0], 0)); }

static void set_direction(double *direction, size_t number, size_t d)
{
    vpsde_normals(direction, SEED, VPSDE_NOISE_DIRECTION, number, 1, 0, d);
    vec_scale(d, direction, 1 / sqrt(vec_dot(d, direction, direction)), direction);
}

static void project(double *out, const double *rows, const double *direction, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) out[i] = vec_dot(d, rows + i * d, direction);
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    const size_t n = in->n, d = in->d;
    double *x;
    VPSDE_TRY(vpsde_statistic_open(out, n, in->number, 1));
    VPSDE_TRY(vpsde_alloc(&x, 2 * n + d, sizeof(*x)));
    double *y = x + n, *direction = y + n;
    vpsde_status status = VPSDE_OK;
    for (size_t k = 0; status == VPSDE_OK && k < DIRECTIONS; k++) {
        set_direction(direction, k, d);
        project(x, in->x, direction, n, d);
        project(y, in->target, direction, n, d);
        status = vpsde_transport(out->column, x, y, n, 2, 1.0 / DIRECTIONS);
        if (status == VPSDE_OK) status = vpsde_check_stop(in->stop);
    }
    free(x);
    out->finish = root;
    vpsde_statistic_close(out);
    return status;
}

const vpsde_metric vpsde_metric_sliced_wasserstein = {
    .name = "sliced-wasserstein",
    .units = "1",
    .description = "sliced Wasserstein-2 distance to the law, 256 directions",
    .needs = VPSDE_METRIC_TARGET,
    .rank = 5,
    .measure = measure,
};
