/* A whole HDF5 file but its values: groups and datasets in order of creation, with their scalar
 * attributes. For files that nobody vouches for; values are read through core/h5_read.h. */
#ifndef VPSDE_CORE_H5_TREE_H
#define VPSDE_CORE_H5_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

enum { VPSDE_H5_TREE_AXES = 8 };

typedef struct vpsde_h5_attr {
    char *name;
    char *text;    /* of a number its shortest decimal form that reads back the same */
    double number; /* NaN for text */
    bool is_text;
} vpsde_h5_attr;

typedef struct vpsde_h5_node {
    char *path; /* "/runs/ddim"; the root is "/" */
    bool is_group;
    size_t rank, dims[VPSDE_H5_TREE_AXES];
    char kind; /* of a dataset, as in NumPy: u, i, f; 0 for other types */
    vpsde_h5_attr *attrs;
    size_t n_attrs;
} vpsde_h5_node;

typedef struct vpsde_h5_tree {
    vpsde_h5_node *nodes;
    size_t n, capacity;
} vpsde_h5_tree;

/* EDATA when it is no HDF5 file or is damaged. */
vpsde_status vpsde_h5_tree_open(vpsde_h5_tree *tree, const char *path);
void vpsde_h5_tree_close(vpsde_h5_tree *tree);

/* The object at GROUP/NAME, or GROUP itself for NAME NULL; NULL when there is none. Borrowed. */
const vpsde_h5_node *vpsde_h5_tree_find(const vpsde_h5_tree *tree, const char *group,
                                        const char *name);
/* The next object directly in `group` after `last` (NULL: the first), or NULL. */
const vpsde_h5_node *vpsde_h5_tree_next(const vpsde_h5_tree *tree, const char *group,
                                        const vpsde_h5_node *last);
/* What follows the last '/'. */
const char *vpsde_h5_node_name(const vpsde_h5_node *node);

/* An attribute; NULL, "", NaN where there is none (node may be NULL). */
const vpsde_h5_attr *vpsde_h5_node_attr(const vpsde_h5_node *node, const char *name);
const char *vpsde_h5_node_text(const vpsde_h5_node *node, const char *name);
double vpsde_h5_node_number(const vpsde_h5_node *node, const char *name);

#endif
