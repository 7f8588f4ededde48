/* The section `data`: rows of a file, as the model sees them. */
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
    VPSDE_TRY(vpsde_setup_read_row_classes(s, c));
    d->first = first;
    d->count = count;
    d->pool = pool;
    d->width = (d->range[1] - d->range[0]) / (LEVELS - 1);
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
    if (s->model && s->model->dim) VPSDE_TRY(vpsde_setup_check_rows(s, d->data, d->path));
    const bool bytes = vpsde_data_is_8bit(d->data);
    const bool dequantised = s->likelihood.dequantization.kind != VPSDE_DEQUANTIZE_NONE;
    if (!bytes && dequantised && (s->uses & VPSDE_USES_LIKELIHOOD)) {
        return vpsde_fail(
            VPSDE_EDATA, "%s: likelihood.dequantization is for 8-bit data; expected none", d->path);
    }
    if (!bytes) d->width = 0;
    d->scale = bytes ? d->width : 1;
    d->shift = bytes ? d->range[0] : 0;
    return vpsde_setup_build_row_classes(s);
}

static vpsde_status read_rows(const void *context, size_t first, size_t n, double *x)
{
    const vpsde_data_setup *d = context;
    return vpsde_data_read(d->data, x, first, n, d->scale, d->shift);
}

vpsde_row_source vpsde_setup_source(const vpsde_setup *s)
{
    return (vpsde_row_source){.read = read_rows, .context = &s->data};
}
