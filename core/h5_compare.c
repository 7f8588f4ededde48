#include "core/h5_compare.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"
#include "core/h5_tree.h"
#include "core/h5_values.h"
#include "core/mem.h"

enum { FIRST, SECOND, FILES };
enum { TEXT = 160, LINE = VPSDE_H5_DIFFERENCE };

typedef struct comparison {
    vpsde_h5_comparison *out;
    const char *path[FILES];
    hid_t file[FILES];
    vpsde_h5_tree tree[FILES];
    vpsde_h5_difference_fn tell;
    void *context;
} comparison;

static void differs(const comparison *c, const char *object, const char *what)
{
    c->out->differences++;
    c->tell(c->context, object, what);
}

/* The dataset that numbers the rows of another one: the first of its group. */
static const char *row_axis(const vpsde_h5_tree *tree, const char *path)
{
    char group[TEXT];
    snprintf(group, sizeof(group), "%.*s", (int)(strrchr(path, '/') - path), path);
    const vpsde_h5_node *node = vpsde_h5_tree_next(tree, group, NULL);
    while (node && node->is_group) node = vpsde_h5_tree_next(tree, group, node);
    return node && node->rank == 1 ? node->path : NULL;
}

static vpsde_status compare_dataset(comparison *c, const char *path)
{
    char line[LINE];
    double bytes = 0;
    VPSDE_TRY(
        vpsde_h5_compare_values(line, &bytes, c->path, path, row_axis(&c->tree[FIRST], path)));
    c->out->bytes += bytes;
    if (line[0]) differs(c, path, line);
    return VPSDE_OK;
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Their values are addresses within the file. */
static bool is_bookkeeping(const char *name)
{
    return strcmp(name, "DIMENSION_LIST") == 0 || strcmp(name, "REFERENCE_LIST") == 0;
}

/* The first line in which two texts differ, on one line. */
static void differing_line(char out[FILES][TEXT], const char *a, const char *b)
{
    const char *text[FILES] = {a, b};
    size_t same = 0;
    while (a[same] && a[same] == b[same]) same++;
    while (same > 0 && a[same - 1] != '\n') same--;
    for (size_t side = 0; side < FILES; side++) {
        const char *line = text[side] + same;
        line += strspn(line, " ");
        snprintf(out[side], TEXT, "%.*s", (int)strcspn(line, "\n"), line);
        vpsde_flatten(out[side]);
    }
}

/* Bytes of an attribute as the file has them; NULL for types that hold addresses. */
static vpsde_status load_attribute(void **value, size_t *bytes, hid_t *type, hid_t attribute)
{
    const hid_t space = H5Aget_space(attribute);
    const hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    *value = NULL;
    *bytes = 0;
    *type = H5Aget_type(attribute);
    vpsde_status status = VPSDE_OK;
    if (n > 0 && *type >= 0 && H5Tdetect_class(*type, H5T_VLEN) == 0 &&
        H5Tdetect_class(*type, H5T_REFERENCE) == 0 && H5Tis_variable_str(*type) == 0) {
        *bytes = (size_t)n * H5Tget_size(*type);
        status = vpsde_alloc(value, *bytes, 1);
        if (status == VPSDE_OK && H5Aread(attribute, *type, *value) < 0) {
            free(*value);
            *value = NULL;
        }
    }
    if (space >= 0) H5Sclose(space);
    return status;
}

static vpsde_status same_attribute(bool *same, const hid_t attribute[FILES])
{
    void *value[FILES] = {NULL};
    size_t bytes[FILES] = {0};
    hid_t type[FILES] = {H5I_INVALID_HID, H5I_INVALID_HID};
    vpsde_status status = VPSDE_OK;
    for (size_t side = 0; side < FILES && status == VPSDE_OK; side++) {
        status = load_attribute(&value[side], &bytes[side], &type[side], attribute[side]);
    }
    *same = status == VPSDE_OK && value[FIRST] && value[SECOND] && bytes[FIRST] == bytes[SECOND] &&
            H5Tequal(type[FIRST], type[SECOND]) > 0 &&
            memcmp(value[FIRST], value[SECOND], bytes[FIRST]) == 0;
    for (size_t side = 0; side < FILES; side++) {
        free(value[side]);
        if (type[side] >= 0) H5Tclose(type[side]);
    }
    return status;
}

typedef struct holder {
    comparison *c;
    hid_t object[FILES];
    const vpsde_h5_node *node[FILES];
    vpsde_status status;
} holder;

static void tell_attribute(const holder *h, const char *name)
{
    char what[LINE], line[FILES][TEXT];
    const vpsde_h5_attr *a = vpsde_h5_node_attr(h->node[FIRST], name);
    const vpsde_h5_attr *b = vpsde_h5_node_attr(h->node[SECOND], name);
    differing_line(line, a && a->text ? a->text : "", b && b->text ? b->text : "");
    snprintf(what, sizeof(what), "attribute %s differs: '%s' and '%s'", name, line[FIRST],
             line[SECOND]);
    differs(h->c, h->node[FIRST]->path, what);
}

static herr_t on_attribute(hid_t object, const char *name, const H5A_info_t *info, void *op)
{
    holder *h = op;
    hid_t attribute[FILES] = {H5I_INVALID_HID, H5I_INVALID_HID};
    bool same = false;
    (void)info;
    if (is_bookkeeping(name)) return 0;
    h->c->out->attributes++;
    if (H5Aexists(h->object[SECOND], name) > 0) {
        attribute[FIRST] = H5Aopen(object, name, H5P_DEFAULT);
        attribute[SECOND] = H5Aopen(h->object[SECOND], name, H5P_DEFAULT);
        h->status = same_attribute(&same, attribute);
    }
    for (size_t side = 0; side < FILES; side++) {
        if (attribute[side] >= 0) H5Aclose(attribute[side]);
    }
    if (h->status == VPSDE_OK && !same) tell_attribute(h, name);
    return h->status == VPSDE_OK ? 0 : -1;
}

static herr_t on_attribute_of_second(hid_t object, const char *name, const H5A_info_t *info,
                                     void *op)
{
    holder *h = op;
    (void)object, (void)info;
    if (!is_bookkeeping(name) && H5Aexists(h->object[FIRST], name) <= 0) tell_attribute(h, name);
    return 0;
}

static vpsde_status compare_attributes(comparison *c, const vpsde_h5_node *const node[FILES])
{
    holder h = {.c = c, .node = {node[FIRST], node[SECOND]}, .status = VPSDE_OK};
    bool good = true;
    for (size_t side = 0; side < FILES; side++) {
        h.object[side] = H5Oopen(c->file[side], node[side]->path, H5P_DEFAULT);
        good = good && h.object[side] >= 0;
    }
    good = good &&
           H5Aiterate2(h.object[FIRST], H5_INDEX_NAME, H5_ITER_INC, NULL, on_attribute, &h) >= 0 &&
           H5Aiterate2(h.object[SECOND], H5_INDEX_NAME, H5_ITER_INC, NULL, on_attribute_of_second,
                       &h) >= 0;
    if (!good && h.status == VPSDE_OK) {
        (void)vpsde_h5_failed(c->path[FIRST], node[FIRST]->path);
        h.status = vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
    }
    for (size_t side = 0; side < FILES; side++) {
        if (h.object[side] >= 0) H5Oclose(h.object[side]);
    }
    return h.status;
}

static bool is_inside(const char *path, const char *group)
{
    const size_t n = strlen(group);
    return strncmp(path, group, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static const vpsde_h5_node *find(const vpsde_h5_tree *tree, const char *path)
{
    for (size_t i = 0; i < tree->n; i++) {
        if (strcmp(tree->nodes[i].path, path) == 0) return &tree->nodes[i];
    }
    return NULL;
}

/* The node of the second file that goes with one of the first; NULL when there is none. */
static const vpsde_h5_node *partner(const comparison *c, const vpsde_h5_node *node)
{
    const vpsde_h5_node *other = find(&c->tree[SECOND], node->path);
    return other && other->is_group == node->is_group ? other : NULL;
}

/* ---- links ----------------------------------------------------------------------------------- */

typedef struct linker {
    comparison *c;
    size_t side;
    const char *except;
} linker;

/* What a link says where it is no object's only name: its kind, and the name it leads to. */
static bool describe_link(char out[TEXT], hid_t file, const char *name)
{
    H5L_info_t info;
    char value[TEXT] = "";
    if (H5Lexists(file, name, H5P_DEFAULT) <= 0) return false;
    if (H5Lget_info(file, name, &info, H5P_DEFAULT) < 0) return false;
    if (info.type == H5L_TYPE_HARD) {
        snprintf(out, TEXT, "another name of an object");
        return true;
    }
    const bool read = info.u.val_size <= sizeof(value) &&
                      H5Lget_val(file, name, value, sizeof(value), H5P_DEFAULT) >= 0;
    const char *const to = info.type == H5L_TYPE_SOFT && read ? value : "";
    snprintf(out, TEXT, "%s link%s%.100s", info.type == H5L_TYPE_SOFT ? "a soft" : "an external",
             *to ? " to " : "", to);
    return true;
}

/* Objects are compared under the name that they are listed by. */
static herr_t on_link(hid_t root, const char *name, const H5L_info_t *info, void *op)
{
    const linker *l = op;
    const size_t other = l->side == FIRST ? SECOND : FIRST;
    char path[LINE], mine[TEXT], theirs[TEXT] = "", what[LINE];
    (void)root;
    snprintf(path, sizeof(path), "/%s", name);
    if (is_inside(path, l->except)) return 0;
    if (info->type == H5L_TYPE_HARD && find(&l->c->tree[l->side], path)) return 0;
    if (!describe_link(mine, l->c->file[l->side], name)) return 0;
    if (describe_link(theirs, l->c->file[other], name) && strcmp(mine, theirs) == 0) return 0;
    snprintf(what, sizeof(what), "is %s in the %s file alone", mine,
             l->side == FIRST ? "first" : "second");
    differs(l->c, path, what);
    return 0;
}

static vpsde_status compare_links(comparison *c, const char *except)
{
    for (size_t side = 0; side < FILES; side++) {
        linker l = {.c = c, .side = side, .except = except};
        if (H5Lvisit(c->file[side], H5_INDEX_NAME, H5_ITER_INC, on_link, &l) >= 0) continue;
        (void)vpsde_h5_failed(c->path[side], "listing links");
        return vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
    }
    return VPSDE_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static vpsde_status compare_structure(comparison *c, const char *except)
{
    for (size_t i = 0; i < c->tree[FIRST].n; i++) {
        const vpsde_h5_node *node = &c->tree[FIRST].nodes[i];
        const vpsde_h5_node *const pair[FILES] = {node, partner(c, node)};
        if (is_inside(node->path, except)) continue;
        if (!node->is_group) c->out->datasets++;
        if (!pair[SECOND]) differs(c, node->path, "is not in the second file");
        if (pair[SECOND]) VPSDE_TRY(compare_attributes(c, pair));
    }
    for (size_t i = 0; i < c->tree[SECOND].n; i++) {
        const char *path = c->tree[SECOND].nodes[i].path;
        if (is_inside(path, except) || find(&c->tree[FIRST], path)) continue;
        const bool there = H5Lexists(c->file[FIRST], path, H5P_DEFAULT) > 0;
        differs(c, path,
                there ? "is listed by another name, or is a link, in the first file"
                      : "is not in the first file");
    }
    return VPSDE_OK;
}

static vpsde_status compare_datasets(comparison *c, const char *except)
{
    for (size_t i = 0; i < c->tree[FIRST].n; i++) {
        const vpsde_h5_node *node = &c->tree[FIRST].nodes[i];
        if (node->is_group || is_inside(node->path, except) || !partner(c, node)) continue;
        VPSDE_TRY(compare_dataset(c, node->path));
    }
    return VPSDE_OK;
}

static vpsde_status open_files(comparison *c)
{
    for (size_t side = 0; side < FILES; side++) {
        VPSDE_TRY(vpsde_h5_tree_open(&c->tree[side], c->path[side]));
        c->file[side] = H5Fopen(c->path[side], H5F_ACC_RDONLY, H5P_DEFAULT);
        if (c->file[side] >= 0) continue;
        (void)vpsde_h5_failed(c->path[side], "opening");
        return vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
    }
    return VPSDE_OK;
}

/* HDF5 does not open a file in two ways at once, so values, which core/h5_read.c reads, come second. */
vpsde_status vpsde_h5_compare(vpsde_h5_comparison *out, const char *first, const char *second,
                              const char *except, vpsde_h5_difference_fn tell, void *context)
{
    comparison c = {.out = out,
                    .path = {first, second},
                    .file = {H5I_INVALID_HID, H5I_INVALID_HID},
                    .tell = tell,
                    .context = context};
    *out = (vpsde_h5_comparison){0};
    VPSDE_TRY(vpsde_h5_start());
    vpsde_status status = open_files(&c);
    if (status == VPSDE_OK) status = compare_structure(&c, except);
    if (status == VPSDE_OK) status = compare_links(&c, except);
    for (size_t side = 0; side < FILES; side++) {
        if (c.file[side] >= 0) H5Fclose(c.file[side]);
    }
    if (status == VPSDE_OK) status = compare_datasets(&c, except);
    for (size_t side = 0; side < FILES; side++) vpsde_h5_tree_close(&c.tree[side]);
    return status;
}
