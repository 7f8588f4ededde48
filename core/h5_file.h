/* What core/h5.c, h5_dataset.c and h5_reserve.c share, the only three that write HDF5. */
#ifndef VPSDE_CORE_H5_FILE_H
#define VPSDE_CORE_H5_FILE_H

#include <hdf5.h>

#include "core/h5.h"

struct vpsde_h5 {
    hid_t id;
    char *path;
    size_t reserved; /* datasets that have had room made for them */
    size_t held;     /* bytes of rows since the disk was last told to take them */
};

/* An attribute with one dimension of n elements, or a scalar for n == 0. */
vpsde_status vpsde_h5_attribute(vpsde_h5 *file, const char *object, const char *name,
                                hid_t file_type, hid_t memory_type, size_t n, const void *value);

/* As vpsde_h5_create(), by a driver of HDF5's; 0: its own choice. */
vpsde_status vpsde_h5_create_on(vpsde_h5 **out, const char *path, hid_t driver);

/* How a dataset is cut. */
void vpsde_h5_chunk_shape(hsize_t chunk[VPSDE_H5_RANK], const vpsde_h5_dataset *spec);

/* An open dataset without scales and attributes, and then those. */
vpsde_status vpsde_h5_dataset_make(hid_t *id, vpsde_h5 *file, const char *path,
                                   const vpsde_h5_dataset *spec);
vpsde_status vpsde_h5_dataset_describe(vpsde_h5 *file, const vpsde_h5_dataset *spec, hid_t id);

#endif
