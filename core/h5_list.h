/* What is in an HDF5 file: groups and datasets, in order of creation. */
#ifndef VPSDE_CORE_H5_LIST_H
#define VPSDE_CORE_H5_LIST_H

#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_h5_object {
    const char *path;
    size_t rank; /* 0: a group */
    size_t dims[8];
    const char *units, *description; /* "" where there is none; all flattened */
} vpsde_h5_object;

typedef void (*vpsde_h5_object_fn)(void *context, const vpsde_h5_object *object);

/* Calls fn for each object below the root. EDATA when it is not an HDF5 file. */
vpsde_status vpsde_h5_list(const char *path, vpsde_h5_object_fn fn, void *context);

#endif
