/* What is in an HDF5 file: groups and datasets, in order of creation. */
#ifndef VPSDE_CORE_H5_LIST_H
#define VPSDE_CORE_H5_LIST_H

#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_h5_object {
    const char *path;
    const char *type; /* of a dataset: "float64", "uint8", "text", ..., "other"; "" of a group */
    size_t rank;
    size_t dims[8];
    const char *units, *description; /* "" where there is none; all flattened */
} vpsde_h5_object;

typedef void (*vpsde_h5_object_fn)(void *context, const vpsde_h5_object *object);

/* Calls fn for each object below the root. EDATA when it is not an HDF5 file. */
vpsde_status vpsde_h5_list(const char *path, vpsde_h5_object_fn fn, void *context);

/* A text attribute of the root in the house form; "" where there is none. EDATA as above. */
enum { VPSDE_H5_TEXT = 512 };
vpsde_status vpsde_h5_root_text(char text[VPSDE_H5_TEXT], const char *path, const char *name);

#endif
