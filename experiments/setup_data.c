/* The section `data`: rows of a file, as the model sees them. */
#include <math.h>
#include <stdlib.h>

#include <vpsde/noise.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { LEVELS = 256 }; /* of 8-bit data */

vpsde_status vpsde_setup_read_data(vpsde_setup *s)
{
    vpsde_data_setup *d = &s->data;
    vpsde_config *c;
    uint64_t first, count, pool;
    static const double whole[2] = {-1, 1};
    VPSDE_TRY(vpsde_config_section(&c, s->config, "data"));
    VPSDE_TRY(vpsde_config_path(&d->path, c, "path", NULL));
    VPSDE_TRY(vpsde_config_pair(d->range, c, "range", whole));
    if (!(d->range[0] < d->range[1])) {
        return vpsde_config_fail(c, "range", "expected [low, high] with low < high");
    }
    VPSDE_TRY(vpsde_config_uint(&first, c, "first", 0, 0, SIZE_MAX / 2));
    VPSDE_TRY(vpsde_config_uint(&count, c, "count", 0, 1, SIZE_MAX / 2));
    VPSDE_TRY(vpsde_config_uint(&pool, c, "pool", 1, 1, 1024));
    d->first = first;
    d->count = count;
    d->pool = pool;
    return VPSDE_OK;
}

vpsde_status vpsde_setup_build_data(vpsde_setup *s)
{
    vpsde_data_setup *d = &s->data;
    if (!d->data) { /* a training has opened it for its dimension */
        VPSDE_TRY(vpsde_data_open(&d->data, d->path));
        if (d->pool > 1) VPSDE_TRY(vpsde_data_pool(d->data, d->pool));
    }
    const size_t rows = vpsde_data_rows(d->data);
    if (d->count == 0 && d->first < rows) d->count = rows - d->first;
    if (d->first >= rows || d->count > rows - d->first) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: has %zu rows; data.first %zu and data.count %zu reach "
                          "past the end",
                          d->path, rows, d->first, d->count);
    }
    if (s->model && s->model->dim && vpsde_data_dim(d->data) != s->model->dim) {
        return vpsde_fail(VPSDE_EDATA, "%s: rows have %zu values, the model takes %zu", d->path,
                          vpsde_data_dim(d->data), s->model->dim);
    }
    const bool bytes = vpsde_data_is_8bit(d->data);
    d->scale = bytes ? (d->range[1] - d->range[0]) / (LEVELS - 1) : 1;
    d->shift = bytes ? d->range[0] : 0;
    return VPSDE_OK;
}

/* x + u with u uniform on one level's width: the density of x + u bounds the probability of the
 * level (Theis et al. 2016, sec. 3.1). */
static vpsde_status dequantise(double *x, const vpsde_setup *s, size_t dim)
{
    double *u;
    VPSDE_TRY(vpsde_alloc(&u, dim, sizeof(*u)));
    for (size_t i = 0; i < s->data.count; i++) {
        vpsde_uniforms(u, s->seed, VPSDE_NOISE_DEQUANTISE, s->data.first + i, 1, 0, dim);
        for (size_t j = 0; j < dim; j++) x[i * dim + j] += s->data.scale * (u[j] - 0.5);
    }
    free(u);
    return VPSDE_OK;
}

vpsde_status vpsde_setup_rows(double **x, double *bits_offset, const vpsde_setup *s,
                              vpsde_dequantization dequantization)
{
    const vpsde_data_setup *d = &s->data;
    const size_t dim = vpsde_data_dim(d->data);
    const bool bytes = vpsde_data_is_8bit(d->data);
    const bool uniform = dequantization == VPSDE_DEQUANTIZE_UNIFORM;
    size_t count;
    *x = NULL;
    if (uniform && !bytes) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: dequantization uniform is for 8-bit data; expected none", d->path);
    }
    VPSDE_TRY(vpsde_size_mul(&count, d->count, dim, "data"));
    VPSDE_TRY(vpsde_alloc(x, count, sizeof(**x)));
    vpsde_status status = vpsde_data_read(d->data, *x, d->first, d->count, d->scale, d->shift);
    if (status == VPSDE_OK && uniform) status = dequantise(*x, s, dim);
    if (status != VPSDE_OK) {
        free(*x);
        *x = NULL;
    }
    *bits_offset = bytes ? -log2(d->scale) : 0; /* a level is `scale` wide */
    return status;
}
