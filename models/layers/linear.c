#include "models/layers/linear.h"

#include <dnnl.h>

size_t vpsde_linear_columns(size_t n)
{
    return (n + VPSDE_COLUMN_STEP - 1) / VPSDE_COLUMN_STEP * VPSDE_COLUMN_STEP;
}

static vpsde_status product(char ta, char tb, size_t m, size_t n, size_t k, const float *a,
                            size_t lda, const float *b, size_t ldb, float *c)
{
    const dnnl_status_t status =
        dnnl_sgemm(ta, tb, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0F, a, (dnnl_dim_t)lda, b,
                   (dnnl_dim_t)ldb, 0.0F, c, (dnnl_dim_t)n);
    if (status == dnnl_success) return VPSDE_OK;
    return vpsde_fail(status == dnnl_out_of_memory ? VPSDE_ENOMEM : VPSDE_EINTERNAL,
                      "oneDNN failed with status %d on a %zu x %zu x %zu product", (int)status, m,
                      n, k);
}

vpsde_status vpsde_linear(size_t out, size_t in, size_t columns, const float *w, const float *x,
                          float *y)
{
    return product('N', 'N', out, columns, in, w, in, x, columns, y);
}

vpsde_status vpsde_linear_input_gradient(size_t out, size_t in, size_t columns, const float *w,
                                         const float *dy, float *dx)
{
    return product('T', 'N', in, columns, out, w, in, dy, columns, dx);
}

vpsde_status vpsde_linear_weight_gradient(size_t out, size_t in, size_t columns, const float *dy,
                                          const float *x, float *dw)
{
    return product('N', 'T', out, in, columns, dy, columns, x, columns, dw);
}
