/* What the readers of data sets share; private to core/data*.c. */
#ifndef VPSDE_CORE_DATA_READER_H
#define VPSDE_CORE_DATA_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/data.h"

enum {
    VPSDE_DATA_AXES_MAX = 5,    /* the row and four more */
    VPSDE_DATA_HEAD = 64 * 1024 /* a header has to fit in this */
};

/* A type of number as it lies in memory; a row of one table. */
typedef struct vpsde_element {
    char kind; /* b, u, i, f as in NumPy */
    size_t size;
    const char *name; /* "uint8" */
    void (*convert)(size_t count, double *out, const void *values, double scale, double shift);
} vpsde_element;

/* NULL when there is none. */
const vpsde_element *vpsde_element_find(char kind, size_t size);

/* What a header says about the values behind it. */
typedef struct vpsde_layout {
    const vpsde_element *element;
    bool big_endian;
    size_t axes, dims[VPSDE_DATA_AXES_MAX];
    size_t start; /* byte of the first value */
} vpsde_layout;

/* Reads a header from the first n bytes of the (inflated) file; EDATA. */
typedef vpsde_status (*vpsde_layout_fn)(vpsde_layout *layout, const unsigned char *head, size_t n,
                                        const char *path);
vpsde_status vpsde_npy_layout(vpsde_layout *layout, const unsigned char *head, size_t n,
                              const char *path);
vpsde_status vpsde_idx_layout(vpsde_layout *layout, const unsigned char *head, size_t n,
                              const char *path);

/* gzip (RFC 1952). The first bytes, at most max of them; and exactly `total` bytes or EDATA. */
vpsde_status vpsde_gz_head(unsigned char *out, size_t max, size_t *got, const unsigned char *in,
                           size_t n, const char *path);
vpsde_status vpsde_gz_exact(unsigned char *out, size_t total, const unsigned char *in, size_t n,
                            const char *path);

#endif
