#include "core/h5_tree.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"
#include "core/mem.h"
#include "core/number.h"

enum { NODES_MAX = 100000, ATTRS_MAX = 4096, TEXT_MAX = 4 << 20 };

typedef struct visit {
    hid_t file;
    vpsde_h5_tree *tree;
    vpsde_status status; /* the first failure */
} visit;

static vpsde_status read_text(vpsde_h5_attr *out, hid_t attribute, hid_t type)
{
    const size_t size = H5Tget_size(type);
    if (H5Tis_variable_str(type) != 0 || size > TEXT_MAX) return vpsde_strdup(&out->text, "");
    VPSDE_TRY(vpsde_alloc(&out->text, size + 1, 1));
    if (H5Aread(attribute, type, out->text) < 0) out->text[0] = '\0';
    out->is_text = true;
    return VPSDE_OK;
}

static vpsde_status read_number(vpsde_h5_attr *out, hid_t attribute, hid_t type)
{
    char text[64] = "";
    if (H5Tget_class(type) == H5T_FLOAT) {
        double value = (double)NAN;
        if (H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) < 0) value = (double)NAN;
        vpsde_format_real(text, sizeof(text), value, 1);
        out->number = value;
    } else if (H5Tget_sign(type) == H5T_SGN_NONE) {
        unsigned long long value = 0;
        if (H5Aread(attribute, H5T_NATIVE_ULLONG, &value) >= 0)
            snprintf(text, sizeof(text), "%llu", value);
        out->number = (double)value;
    } else {
        long long value = 0;
        if (H5Aread(attribute, H5T_NATIVE_LLONG, &value) >= 0)
            snprintf(text, sizeof(text), "%lld", value);
        out->number = (double)value;
    }
    return vpsde_strdup(&out->text, text);
}

/* Scalars of the house form: text of fixed length, integers, floats. Others are left out. */
static vpsde_status read_attribute(vpsde_h5_node *node, hid_t attribute)
{
    const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    const H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    const bool scalar = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SCALAR;
    vpsde_h5_attr out = {.number = (double)NAN};
    vpsde_status status = VPSDE_OK;
    char name[256] = "";
    const bool named = H5Aget_name(attribute, sizeof(name), name) >= 0;
    const bool text = class == H5T_STRING;
    if (named && scalar && (text || class == H5T_INTEGER || class == H5T_FLOAT)) {
        status = vpsde_strdup(&out.name, name);
        if (status == VPSDE_OK) {
            status = text ? read_text(&out, attribute, type) : read_number(&out, attribute, type);
        }
        node->attrs[node->n_attrs++] = out;
    }
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    return status;
}

static vpsde_status read_attributes(vpsde_h5_node *node, hid_t object)
{
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS) < 0 || info.num_attrs == 0) return VPSDE_OK;
    const hsize_t n = info.num_attrs < ATTRS_MAX ? info.num_attrs : ATTRS_MAX;
    VPSDE_TRY(vpsde_alloc(&node->attrs, n, sizeof(*node->attrs)));
    vpsde_status status = VPSDE_OK;
    for (hsize_t i = 0; i < n && status == VPSDE_OK; i++) {
        hid_t attribute = H5Aopen_by_idx(object, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, i,
                                         H5P_DEFAULT, H5P_DEFAULT);
        if (attribute < 0) { /* other writers do not track the order */
            attribute = H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT,
                                       H5P_DEFAULT);
        }
        if (attribute < 0) continue;
        status = read_attribute(node, attribute);
        H5Aclose(attribute);
    }
    return status;
}

static void read_shape(vpsde_h5_node *node, hid_t object)
{
    const hid_t space = H5Dget_space(object), type = H5Dget_type(object);
    hsize_t dims[H5S_MAX_RANK];
    const int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dims, NULL);
    const H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    if (class == H5T_FLOAT) node->kind = 'f';
    if (class == H5T_INTEGER) node->kind = H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i';
    if (rank < 0 || rank > VPSDE_H5_TREE_AXES) node->kind = 0;
    for (int i = 0; i < rank && i < VPSDE_H5_TREE_AXES; i++) node->dims[i] = (size_t)dims[i];
    node->rank = rank < 0 ? 0 : rank < VPSDE_H5_TREE_AXES ? (size_t)rank : VPSDE_H5_TREE_AXES;
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
}

static vpsde_status grow(vpsde_h5_tree *tree)
{
    if (tree->n < tree->capacity) return VPSDE_OK;
    if (tree->n >= NODES_MAX) {
        return vpsde_fail(VPSDE_EDATA, "more than %d objects in the file", NODES_MAX);
    }
    const size_t capacity = 2 * tree->capacity + 64;
    vpsde_h5_node *larger = realloc(tree->nodes, capacity * sizeof(*larger));
    if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu objects", capacity);
    tree->nodes = larger;
    tree->capacity = capacity;
    return VPSDE_OK;
}

static vpsde_status add(visit *v, const char *name, bool is_group, hid_t object)
{
    VPSDE_TRY(grow(v->tree));
    vpsde_h5_node *node = &v->tree->nodes[v->tree->n++];
    *node = (vpsde_h5_node){.is_group = is_group};
    VPSDE_TRY(vpsde_format(&node->path, "/%s", strcmp(name, ".") == 0 ? "" : name));
    if (!is_group) read_shape(node, object);
    return read_attributes(node, object);
}

static herr_t on_object(hid_t root, const char *name, const H5O_info_t *info, void *op)
{
    visit *v = op;
    (void)root;
    if (info->type != H5O_TYPE_GROUP && info->type != H5O_TYPE_DATASET) return 0;
    const hid_t object = H5Oopen(v->file, name, H5P_DEFAULT);
    if (object < 0) return -1;
    v->status = add(v, name, info->type == H5O_TYPE_GROUP, object);
    H5Oclose(object);
    return v->status == VPSDE_OK ? 0 : -1;
}

static vpsde_status hdf5_failed(const char *path, const char *doing)
{
    (void)vpsde_h5_failed(path, doing);
    return vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
}

vpsde_status vpsde_h5_tree_open(vpsde_h5_tree *tree, const char *path)
{
    *tree = (vpsde_h5_tree){.nodes = NULL};
    VPSDE_TRY(vpsde_h5_start());
    visit v = {.tree = tree, .status = VPSDE_OK};
    v.file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (v.file < 0) return hdf5_failed(path, "opening");
    const herr_t result =
        H5Ovisit2(v.file, H5_INDEX_CRT_ORDER, H5_ITER_INC, on_object, &v, H5O_INFO_BASIC);
    vpsde_status status = v.status;
    if (result < 0 && status == VPSDE_OK) status = hdf5_failed(path, "listing");
    H5Fclose(v.file);
    if (status != VPSDE_OK) vpsde_h5_tree_close(tree);
    return status;
}

void vpsde_h5_tree_close(vpsde_h5_tree *tree)
{
    for (size_t i = 0; i < tree->n; i++) {
        vpsde_h5_node *node = &tree->nodes[i];
        for (size_t a = 0; a < node->n_attrs; a++) {
            free(node->attrs[a].name);
            free(node->attrs[a].text);
        }
        free(node->attrs);
        free(node->path);
    }
    free(tree->nodes);
    *tree = (vpsde_h5_tree){.nodes = NULL};
}

const vpsde_h5_node *vpsde_h5_tree_find(const vpsde_h5_tree *tree, const char *group,
                                        const char *name)
{
    const size_t n = strlen(group);
    for (size_t i = 0; i < tree->n; i++) {
        const char *path = tree->nodes[i].path;
        if (strncmp(path, group, n) != 0) continue;
        if (name ? path[n] == '/' && strcmp(path + n + 1, name) == 0 : path[n] == '\0') {
            return &tree->nodes[i];
        }
    }
    return NULL;
}

const vpsde_h5_node *vpsde_h5_tree_next(const vpsde_h5_tree *tree, const char *group,
                                        const vpsde_h5_node *last)
{
    const size_t n = strlen(group);
    for (size_t i = last ? (size_t)(last - tree->nodes) + 1 : 0; i < tree->n; i++) {
        const char *path = tree->nodes[i].path;
        if (strncmp(path, group, n) == 0 && path[n] == '/' && path[n + 1] &&
            !strchr(path + n + 1, '/')) {
            return &tree->nodes[i];
        }
    }
    return NULL;
}

const char *vpsde_h5_node_name(const vpsde_h5_node *node) { return strrchr(node->path, '/') + 1; }

const vpsde_h5_attr *vpsde_h5_node_attr(const vpsde_h5_node *node, const char *name)
{
    for (size_t i = 0; node && i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) return &node->attrs[i];
    }
    return NULL;
}

const char *vpsde_h5_node_text(const vpsde_h5_node *node, const char *name)
{
    const vpsde_h5_attr *attr = vpsde_h5_node_attr(node, name);
    return attr ? attr->text : "";
}

double vpsde_h5_node_number(const vpsde_h5_node *node, const char *name)
{
    const vpsde_h5_attr *attr = vpsde_h5_node_attr(node, name);
    return attr ? attr->number : (double)NAN;
}
