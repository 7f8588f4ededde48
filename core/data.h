/* Data sets in: .npy, IDX (both also .gz) and HDF5 (FILE.h5:/dataset), rows of equal shape.
 * Values stay in the file's type in memory and become double row by row. Refused: NaN and Inf (row
 * named), shapes that do not match the file's length, gz bombs, HDF5 with external links or storage,
 * virtual datasets, plug-in filters, types other than integers and floats of 1, 2, 4, 8 bytes. */
#ifndef VPSDE_CORE_DATA_H
#define VPSDE_CORE_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_data vpsde_data;

/* EDATA when it cannot be read or does not fit its format, EINVAL when it is larger than this
 * machine's memory. `path` may be FILE.h5:/group/dataset (or .hdf5). */
vpsde_status vpsde_data_open(vpsde_data **out, const char *path);
/* The same of a file's bytes, from malloc, which it takes over; `path` stands for it in messages. */
vpsde_status vpsde_data_parse(vpsde_data **out, unsigned char *bytes, size_t size,
                              const char *path);
void vpsde_data_close(vpsde_data *data);

size_t vpsde_data_rows(const vpsde_data *data);
size_t vpsde_data_dim(const vpsde_data *data);  /* values a row */
size_t vpsde_data_rank(const vpsde_data *data); /* axes after the row */
const size_t *vpsde_data_shape(const vpsde_data *data);
bool vpsde_data_is_8bit(const vpsde_data *data); /* unsigned bytes */
/* "uint8", "float64", ...: what the values are held as. */
const char *vpsde_data_type(const vpsde_data *data);
const char *vpsde_data_sha256(const vpsde_data *data); /* hex, of the file's bytes */
const char *vpsde_data_path(const vpsde_data *data);

/* Replaces each image (row, column) by the mean of factor x factor pixels, rounded to the nearest
 * whole number for 8-bit data. EDATA unless both sides divide. */
vpsde_status vpsde_data_pool(vpsde_data *data, size_t factor);

/* out[i * dim + j] = scale * value + shift of row first + i. EDATA past the end. Thread-safe. */
vpsde_status vpsde_data_read(const vpsde_data *data, double *out, size_t first, size_t n,
                             double scale, double shift);

#endif
