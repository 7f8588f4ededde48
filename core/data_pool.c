/* Smaller images: the mean of factor x factor pixels over the last two axes of a row. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/data_impl.h"
#include "core/mem.h"

/* Images of height x width in, one after the other. */
typedef struct pooling {
    size_t images, height, width, factor;
} pooling;

/* The pixel at the top left of pooled pixel `e`, counted over all images. */
static size_t corner(const pooling *p, size_t e)
{
    const size_t columns = p->width / p->factor, rows = p->height / p->factor;
    const size_t column = e % columns, row = e / columns % rows, image = e / columns / rows;
    return (image * p->height + row * p->factor) * p->width + column * p->factor;
}

/* Whole numbers, halves up: floor(sum / f^2 + 1/2) = floor((2 sum + f^2) / (2 f^2)). */
static void pool_bytes(const pooling *p, size_t count, uint8_t *out, const uint8_t *in)
{
    const size_t area = p->factor * p->factor;
    for (size_t e = 0; e < count; e++) {
        const uint8_t *from = in + corner(p, e);
        size_t sum = 0;
        for (size_t r = 0; r < p->factor; r++) {
            for (size_t c = 0; c < p->factor; c++) sum += from[r * p->width + c];
        }
        out[e] = (uint8_t)((2 * sum + area) / (2 * area));
    }
}

static void pool_numbers(const pooling *p, size_t count, double *out, const vpsde_data *data)
{
    const vpsde_element *type = data->element;
    const double area = (double)(p->factor * p->factor);
    for (size_t e = 0; e < count; e++) {
        const size_t from = corner(p, e);
        double sum = 0;
        for (size_t r = 0; r < p->factor; r++) {
            for (size_t c = 0; c < p->factor; c++) {
                double value;
                const size_t at = from + r * p->width + c;
                type->convert(1, &value, data->values + at * type->size, 1, 0);
                sum += value;
            }
        }
        out[e] = sum / area;
    }
}

/* The pooled data beside the old: bytes stay bytes, everything else becomes float64. */
static vpsde_status pool_into(vpsde_data *pooled, const vpsde_data *data, const pooling *p)
{
    const size_t count = pooled->rows * pooled->dim;
    pooled->values = NULL;
    if (!vpsde_data_is_8bit(data)) pooled->element = vpsde_element_find('f', sizeof(double));
    VPSDE_TRY(vpsde_alloc(&pooled->values, count, pooled->element->size));
    if (vpsde_data_is_8bit(data)) {
        pool_bytes(p, count, pooled->values, data->values);
        return VPSDE_OK;
    }
    pool_numbers(p, count, (double *)(void *)pooled->values, data);
    return vpsde_data_check_finite(pooled); /* a sum can overflow */
}

vpsde_status vpsde_data_pool(vpsde_data *data, size_t factor)
{
    if (factor == 0) return vpsde_fail(VPSDE_EINVAL, "pool must be at least 1, got 0");
    if (factor == 1) return VPSDE_OK;
    if (data->rank < 2) {
        return vpsde_fail(VPSDE_EDATA, "%s: rows of %zu values are no images and cannot be pooled",
                          data->path, data->dim);
    }
    size_t *height = &data->shape[data->rank - 2], *width = &data->shape[data->rank - 1];
    if (*height % factor != 0 || *width % factor != 0) {
        return vpsde_fail(VPSDE_EDATA, "%s: images of %zu x %zu cannot be pooled by %zu",
                          data->path, *height, *width, factor);
    }
    const pooling p = {data->rows * (data->dim / (*height * *width)), *height, *width, factor};
    vpsde_data pooled = *data;
    pooled.shape[data->rank - 2] = *height / factor;
    pooled.shape[data->rank - 1] = *width / factor;
    pooled.dim = data->dim / factor / factor;
    const vpsde_status status = pool_into(&pooled, data, &p);
    free(status == VPSDE_OK ? data->values : pooled.values);
    if (status == VPSDE_OK) *data = pooled;
    return status;
}
