#include "core/h5_list.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/h5.h"
#include "core/mem.h"

enum { TEXT_SIZE = VPSDE_H5_TEXT, RANK_MAX = 8, TYPE_SIZE = 32 };

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

/* "float64", as NumPy calls it. */
static void describe_type(char text[TYPE_SIZE], hid_t object)
{
    const hid_t type = H5Dget_type(object);
    const H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    const size_t bits = 8 * H5Tget_size(type);
    const char *sign = class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "";
    if (class == H5T_FLOAT || class == H5T_INTEGER)
        snprintf(text, TYPE_SIZE, "%s%s%zu", sign, class == H5T_FLOAT ? "float" : "int", bits);
    else
        snprintf(text, TYPE_SIZE, "%s",
                 class == H5T_STRING     ? "text"
                 : class == H5T_COMPOUND ? "compound"
                                         : "other");
    if (type >= 0) H5Tclose(type);
}

static void describe_dataset(vpsde_h5_object *out, char type[TYPE_SIZE], hid_t object)
{
    describe_type(type, object);
    out->type = type;
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
    char path[TEXT_SIZE], units[TEXT_SIZE], description[TEXT_SIZE], type[TYPE_SIZE];
    (void)root;
    if (name[0] == '.' && name[1] == '\0') return 0;
    const hid_t object = H5Oopen(v->file, name, H5P_DEFAULT);
    if (object < 0) return -1;
    snprintf(path, sizeof(path), "/%s", name);
    vpsde_flatten(path);
    read_text(units, object, "units");
    read_text(description, object, "description");
    vpsde_h5_object out = {.path = path, .type = "", .units = units, .description = description};
    if (info->type == H5O_TYPE_DATASET) describe_dataset(&out, type, object);
    H5Oclose(object);
    v->fn(v->context, &out);
    return 0;
}

/* What HDF5 says; a file that cannot be read is bad data. */
static vpsde_status failed(const char *path, const char *doing)
{
    (void)vpsde_h5_failed(path, doing);
    return vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
}

static vpsde_status open_file(hid_t *file, const char *path)
{
    VPSDE_TRY(vpsde_h5_start());
    *file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    return *file < 0 ? failed(path, "opening") : VPSDE_OK;
}

vpsde_status vpsde_h5_list(const char *path, vpsde_h5_object_fn fn, void *context)
{
    visit v = {.fn = fn, .context = context};
    VPSDE_TRY(open_file(&v.file, path));
    const herr_t result =
        H5Ovisit2(v.file, H5_INDEX_CRT_ORDER, H5_ITER_INC, on_object, &v, H5O_INFO_BASIC);
    const vpsde_status status = result < 0 ? failed(path, "listing") : VPSDE_OK;
    H5Fclose(v.file);
    return status;
}

vpsde_status vpsde_h5_root_text(char text[VPSDE_H5_TEXT], const char *path, const char *name)
{
    hid_t file;
    VPSDE_TRY(open_file(&file, path));
    const hid_t root = H5Oopen(file, "/", H5P_DEFAULT);
    const bool good = root >= 0 && H5Aexists(root, name) >= 0;
    const vpsde_status status = good ? VPSDE_OK : failed(path, "reading the root's attributes");
    text[0] = '\0';
    if (good) read_text(text, root, name);
    if (root >= 0) H5Oclose(root);
    H5Fclose(file);
    return status;
}
