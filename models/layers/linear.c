#include "models/layers/linear.h"

#include <dnnl.h>
#include <stdio.h>

size_t vpsde_linear_columns(size_t n)
{
    return (n + VPSDE_COLUMN_STEP - 1) / VPSDE_COLUMN_STEP * VPSDE_COLUMN_STEP;
}

vpsde_status vpsde_product(size_t rows, size_t columns, size_t inner, float alpha, vpsde_matrix a,
                           vpsde_matrix b, float beta, float *c, size_t stride)
{
    const dnnl_status_t status =
        dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', (dnnl_dim_t)rows,
                   (dnnl_dim_t)columns, (dnnl_dim_t)inner, alpha, a.at, (dnnl_dim_t)a.stride, b.at,
                   (dnnl_dim_t)b.stride, beta, c, (dnnl_dim_t)stride);
    if (status == dnnl_success) return VPSDE_OK;
    return vpsde_fail(status == dnnl_out_of_memory ? VPSDE_ENOMEM : VPSDE_EINTERNAL,
                      "oneDNN failed with status %d on a %zu x %zu x %zu product", (int)status,
                      rows, columns, inner);
}

vpsde_status vpsde_products_check(size_t n, const vpsde_status *status, size_t count,
                                  const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (status[i] == VPSDE_OK) continue;
        return vpsde_fail(status[i], "oneDNN failed on a product over %zu %s", count, what);
    }
    return VPSDE_OK;
}

static vpsde_status product(char ta, char tb, size_t m, size_t n, size_t k, const float *a,
                            size_t lda, const float *b, size_t ldb, float beta, float *c)
{
    return vpsde_product(m, n, k, 1.0F, (vpsde_matrix){a, lda, ta == 'T'},
                         (vpsde_matrix){b, ldb, tb == 'T'}, beta, c, n);
}

vpsde_status vpsde_linear(size_t out, size_t in, size_t columns, const float *w, const float *x,
                          float *y)
{
    return product('N', 'N', out, columns, in, w, in, x, columns, 0, y);
}

vpsde_status vpsde_linear_input_gradient(size_t out, size_t in, size_t columns, const float *w,
                                         const float *dy, float *dx)
{
    return product('T', 'N', in, columns, out, w, in, dy, columns, 0, dx);
}

vpsde_status vpsde_linear_weight_gradient(size_t out, size_t in, size_t columns, const float *dy,
                                          const float *x, float *dw)
{
    return product('N', 'T', out, in, columns, dy, columns, x, columns, 1, dw);
}

const char *vpsde_dnnl_version(void)
{
    static _Thread_local char text[32];
    const dnnl_version_t *const v = dnnl_version();
    (void)snprintf(text, sizeof(text), "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

const char *vpsde_dnnl_isa(void)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } known[] = {
        {dnnl_cpu_isa_all, "all"},
        {dnnl_cpu_isa_sse41, "sse41"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    };
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (known[i].isa == isa) return known[i].name;
    }
    return "other";
}
