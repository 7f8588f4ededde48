/* likelihood.trace.control: the covariance of a file's rows, for the control variate of the probes. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "experiments/setup.h"

enum { ROWS_MAX = 10000, DIM_MAX = 1024 };

/* Two passes: the mean, then products about it, row after row. */
static vpsde_status covariance_of(double *covariance, const vpsde_data *data, size_t n,
                                  double scale, double shift)
{
    const size_t d = vpsde_data_dim(data);
    double *mean, *x;
    VPSDE_TRY(vpsde_alloc(&mean, 2 * d, sizeof(double)));
    x = mean + d;
    vpsde_status status = VPSDE_OK;
    for (size_t i = 0; status == VPSDE_OK && i < n; i++) {
        status = vpsde_data_read(data, x, i, 1, scale, shift);
        vec_lin2(d, mean, 1, mean, 1 / (double)n, x);
    }
    for (size_t i = 0; status == VPSDE_OK && i < n; i++) {
        status = vpsde_data_read(data, x, i, 1, scale, shift);
        vec_lin2(d, x, 1, x, -1, mean);
        for (size_t j = 0; j < d; j++) {
            double *row = covariance + j * d;
            vec_lin2(d, row, 1, row, x[j] / (double)n, x);
        }
    }
    free(mean);
    return status;
}

static vpsde_status from_data(double **covariance, const vpsde_setup *s, const vpsde_data *data)
{
    const char *path = s->likelihood.control_path;
    const size_t d = vpsde_data_dim(data), rows = vpsde_data_rows(data);
    size_t cells;
    VPSDE_TRY(vpsde_setup_check_rows(s, data, path));
    if (rows < 2 || d > DIM_MAX) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: a control variate takes 2 rows or more of at most %d values, got "
                          "%zu of %zu",
                          path, DIM_MAX, rows, d);
    }
    const bool bytes = vpsde_data_is_8bit(data);
    VPSDE_TRY(vpsde_size_mul(&cells, d, d, "covariance"));
    VPSDE_TRY(vpsde_alloc(covariance, cells, sizeof(double)));
    return covariance_of(*covariance, data, rows < ROWS_MAX ? rows : ROWS_MAX,
                         bytes ? (s->data.range[1] - s->data.range[0]) / 255 : 1,
                         bytes ? s->data.range[0] : 0);
}

vpsde_status vpsde_setup_build_control(vpsde_setup *s)
{
    vpsde_likelihood_setup *l = &s->likelihood;
    vpsde_data *data;
    if (!*l->control_path) return VPSDE_OK;
    VPSDE_TRY(vpsde_data_open(&data, l->control_path));
    vpsde_status status = s->data.pool > 1 ? vpsde_data_pool(data, s->data.pool) : VPSDE_OK;
    if (status == VPSDE_OK) status = from_data(&l->covariance, s, data);
    snprintf(l->control_sha256, sizeof(l->control_sha256), "%s", vpsde_data_sha256(data));
    vpsde_data_close(data);
    return status;
}
