/* A data set in memory; private to core/data*.c. */
#ifndef VPSDE_CORE_DATA_IMPL_H
#define VPSDE_CORE_DATA_IMPL_H

#include "core/data_reader.h"

struct vpsde_data {
    char *path;
    char sha256[65];
    const vpsde_element *element;
    unsigned char *values; /* native byte order, row-major, 64-byte aligned */
    size_t rows, dim;
    size_t rank, shape[VPSDE_DATA_AXES_MAX]; /* of a row */
};

/* A file on its way in. */
typedef struct vpsde_source {
    const char *path;    /* as the user wrote it, for messages */
    char *file;          /* without the dataset */
    const char *dataset; /* behind "FILE.h5:", or NULL */
    bool gz;
    unsigned char *bytes; /* the whole file, as stored; NULL for HDF5 */
    size_t size;
    const unsigned char *head; /* its first bytes, inflated; at most VPSDE_DATA_HEAD */
    size_t head_size;
    unsigned char *inflated; /* what head is then, or NULL */
} vpsde_source;

/* Sets rows, dim, rank and shape from the file's axes; EDATA when there is nothing in them. */
vpsde_status vpsde_data_set_axes(vpsde_data *data, size_t axes, const size_t *dims);

/* EDATA naming the first row with NaN or Inf and how many there are. */
vpsde_status vpsde_data_check_finite(const vpsde_data *data);

/* The readers behind vpsde_data_open(): fill data from source. */
vpsde_status vpsde_data_load(vpsde_data *data, vpsde_source *source);

#endif
