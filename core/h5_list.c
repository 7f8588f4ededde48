#include "core/h5_list.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/h5.h"
#include "core/mem.h"

enum { TEXT_SIZE = 512, RANK_MAX = 8 };

typedef struct visit {
    hid_t file;
    vpsde_h5_object_fn fn;
    void *context;
} visit;

/* A text attribute of the house form: a scalar of fixed length. "" when it is anything else. */
static void read_text(char text[TEXT_SIZE], hid_t object, const char *name)
{
    text[0] = '\0';
    if (H5Aexists(object, name) <= 0) return;
    const hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    const hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    const bool fits = type >= 0 && H5Tget_class(type) == H5T_STRING &&
                      H5Tis_variable_str(type) == 0 && H5Tget_size(type) < TEXT_SIZE &&
                      H5Aget_storage_size(attribute) < TEXT_SIZE;
    if (fits && H5Aread(attribute, type, text) >= 0) text[H5Tget_size(type)] = '\0';
    vpsde_flatten(text);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
}

static void describe_dataset(vpsde_h5_object *out, hid_t object)
{
    const hid_t space = H5Dget_space(object);
    hsize_t dims[H5S_MAX_RANK];
    const int rank = space < 0 ? 0 : H5Sget_simple_extent_dims(space, dims, NULL);
    for (int i = 0; i < rank && i < RANK_MAX; i++) out->dims[i] = dims[i];
    out->rank = rank < RANK_MAX ? (size_t)(rank > 0 ? rank : 0) : RANK_MAX;
    if (space >= 0) H5Sclose(space);
}

static herr_t on_object(hid_t root, const char *name, const H5O_info_t *info, void *op)
{
    const visit *v = op;
    char path[TEXT_SIZE], units[TEXT_SIZE], description[TEXT_SIZE];
    (void)root;
    if (name[0] == '.' && name[1] == '\0') return 0;
    const hid_t object = H5Oopen(v->file, name, H5P_DEFAULT);
    if (object < 0) return -1;
    snprintf(path, sizeof(path), "/%s", name);
    vpsde_flatten(path);
    read_text(units, object, "units");
    read_text(description, object, "description");
    vpsde_h5_object out = {.path = path, .units = units, .description = description};
    if (info->type == H5O_TYPE_DATASET) describe_dataset(&out, object);
    H5Oclose(object);
    v->fn(v->context, &out);
    return 0;
}

vpsde_status vpsde_h5_list(const char *path, vpsde_h5_object_fn fn, void *context)
{
    visit v = {.fn = fn, .context = context};
    VPSDE_TRY(vpsde_h5_start());
    v.file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (v.file < 0) {
        (void)vpsde_h5_failed(path, "opening");
        return vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
    }
    const herr_t result =
        H5Ovisit2(v.file, H5_INDEX_CRT_ORDER, H5_ITER_INC, on_object, &v, H5O_INFO_BASIC);
    vpsde_status status = VPSDE_OK;
    if (result < 0) {
        (void)vpsde_h5_failed(path, "listing");
        status = vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
    }
    H5Fclose(v.file);
    return status;
}
