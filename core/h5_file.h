/* What core/h5.c shares with core/h5_dataset.c, the only two that write HDF5. */
#ifndef VPSDE_CORE_H5_FILE_H
#define VPSDE_CORE_H5_FILE_H

#include <hdf5.h>

#include "core/h5.h"

struct vpsde_h5 {
    hid_t id;
    char *path;
    size_t held; /* bytes of rows since the disk was last told to take them */
};

/* An attribute with one dimension of n elements, or a scalar for n == 0. */
vpsde_status vpsde_h5_attribute(vpsde_h5 *file, const char *object, const char *name,
                                hid_t file_type, hid_t memory_type, size_t n, const void *value);

#endif
