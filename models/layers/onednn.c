#include "models/layers/onednn.h"

#include <threads.h>

vpsde_status vpsde_dnnl_check(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success) return VPSDE_OK;
    return vpsde_fail(status == dnnl_out_of_memory ? VPSDE_ENOMEM : VPSDE_EINTERNAL,
                      "oneDNN failed with status %d: %s", (int)status, what);
}

static once_flag engine_once = ONCE_FLAG_INIT;
static dnnl_engine_t engine;
static dnnl_status_t engine_status;

static void engine_make(void) { engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0); }

vpsde_status vpsde_dnnl_engine(dnnl_engine_t *out)
{
    call_once(&engine_once, engine_make);
    *out = engine;
    return vpsde_dnnl_check(engine_status, "CPU engine");
}

vpsde_status vpsde_dnnl_image(dnnl_memory_desc_t *out, size_t n, vpsde_extent e)
{
    const dnnl_dims_t dims = {(dnnl_dim_t)n, (dnnl_dim_t)e.channels, (dnnl_dim_t)e.height,
                              (dnnl_dim_t)e.width};
    return vpsde_dnnl_check(dnnl_memory_desc_init_by_tag(out, 4, dims, dnnl_f32, dnnl_nhwc),
                            "description of an image");
}

vpsde_status vpsde_dnnl_memory(dnnl_memory_t *out, const dnnl_memory_desc_t *md, float *data)
{
    dnnl_engine_t e;
    VPSDE_TRY(vpsde_dnnl_engine(&e));
    return vpsde_dnnl_check(dnnl_memory_create(out, md, e, data), "memory handle");
}

vpsde_status vpsde_dnnl_point(dnnl_memory_t memory, const float *data)
{
    return vpsde_dnnl_check(dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data),
                            "setting a memory handle");
}

size_t vpsde_dnnl_floats(const dnnl_memory_desc_t *md)
{
    return (dnnl_memory_desc_get_size(md) + sizeof(float) - 1) / sizeof(float);
}

vpsde_status vpsde_dnnl_query_md(dnnl_memory_desc_t *out, const_dnnl_primitive_desc_t description,
                                 dnnl_query_t what)
{
    const dnnl_memory_desc_t *const md = dnnl_primitive_desc_query_md(description, what, 0);
    if (!md) {
        return vpsde_fail(VPSDE_EINTERNAL, "oneDNN: a primitive has no tensor for query %d",
                          (int)what);
    }
    *out = *md;
    return VPSDE_OK;
}

vpsde_status vpsde_dnnl_primitive(dnnl_primitive_t *out, dnnl_primitive_desc_t description,
                                  size_t *scratch)
{
    const dnnl_memory_desc_t *const md =
        dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    const size_t need = md ? vpsde_dnnl_floats(md) : 0;
    const dnnl_status_t status = dnnl_primitive_create(out, description);
    const dnnl_status_t freed = dnnl_primitive_desc_destroy(description);
    if (need > *scratch) *scratch = need;
    VPSDE_TRY(vpsde_dnnl_check(status, "creating a primitive"));
    return vpsde_dnnl_check(freed, "freeing a primitive's description");
}

vpsde_status vpsde_dnnl_reorder_make(dnnl_primitive_t *out, dnnl_memory_t to, dnnl_memory_t from,
                                     size_t *scratch)
{
    dnnl_engine_t e;
    const dnnl_memory_desc_t *to_md = NULL;
    const dnnl_memory_desc_t *from_md = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t description = NULL;
    VPSDE_TRY(vpsde_dnnl_engine(&e));
    VPSDE_TRY(vpsde_dnnl_check(dnnl_memory_get_memory_desc(to, &to_md), "reorder"));
    VPSDE_TRY(vpsde_dnnl_check(dnnl_memory_get_memory_desc(from, &from_md), "reorder"));
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    }
    if (status == dnnl_success) {
        status = dnnl_reorder_primitive_desc_create(&description, from_md, e, to_md, e, attr);
    }
    (void)dnnl_primitive_attr_destroy(attr);
    VPSDE_TRY(vpsde_dnnl_check(status, "reorder"));
    return vpsde_dnnl_primitive(out, description, scratch);
}
