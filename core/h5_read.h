/* HDF5 in: one dataset of numbers from a file that nobody vouches for.
 *
 * Refused: anything but hard links on the path, external and virtual storage, filters other than
 * deflate, shuffle and fletcher32, chunks above 256 MiB, types other than integers and floats of 1,
 * 2, 4, 8 bytes, shapes that the file cannot hold. Plug-ins are never loaded. */
#ifndef VPSDE_CORE_H5_READ_H
#define VPSDE_CORE_H5_READ_H

#include <stddef.h>

#include <vpsde/status.h>

enum { VPSDE_H5_AXES_MAX = 5 };

typedef struct vpsde_h5_input {
    size_t rank, dims[VPSDE_H5_AXES_MAX];
    size_t count; /* elements; 1 for a scalar */
    char kind;    /* u, i, f as in NumPy */
    size_t size;  /* bytes an element has in memory: the file's, 4 at least for floats */
    struct vpsde_h5_handles *handles;
} vpsde_h5_input;

/* EDATA when it cannot be read or is refused, EINVAL when it does not fit this machine's memory. */
vpsde_status vpsde_h5_input_open(vpsde_h5_input *input, const char *path, const char *dataset);
/* The same of a dataset that is read row by row and may be larger than the memory. */
vpsde_status vpsde_h5_input_open_rows(vpsde_h5_input *input, const char *path, const char *dataset);
/* Fine after a failed open. */
void vpsde_h5_input_close(vpsde_h5_input *input);

/* All `count` values, row-major, as they are (native byte order) or as double. EDATA. */
vpsde_status vpsde_h5_input_read(const vpsde_h5_input *input, void *out);
vpsde_status vpsde_h5_input_read_double(const vpsde_h5_input *input, double *out);
/* The same of n entries along the first axis, from `first` on; they have to be there. */
vpsde_status vpsde_h5_input_read_rows(const vpsde_h5_input *input, size_t first, size_t n,
                                      double *out);
/* The same as they are: n entries of count / dims[0] values of `size` bytes. */
vpsde_status vpsde_h5_input_read_raw_rows(const vpsde_h5_input *input, size_t first, size_t n,
                                          void *out);

#endif
