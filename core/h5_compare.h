/* Two HDF5 files, bit by bit: every group, dataset, attribute and link. */
#ifndef VPSDE_CORE_H5_COMPARE_H
#define VPSDE_CORE_H5_COMPARE_H

#include <stddef.h>

#include <vpsde/status.h>

/* Called for each difference: "/runs/ddim/final" and what about it, in one line. */
typedef void (*vpsde_h5_difference_fn)(void *context, const char *object, const char *what);

typedef struct vpsde_h5_comparison {
    size_t datasets, attributes; /* of the first file */
    size_t differences;
    double bytes; /* of values compared */
} vpsde_h5_comparison;

/* Everything but the group `except`, what is in it, and HDF5's own lists of dimension scales. EDATA
 * when one of them cannot be read. */
vpsde_status vpsde_h5_compare(vpsde_h5_comparison *out, const char *first, const char *second,
                              const char *except, vpsde_h5_difference_fn tell, void *context);

#endif
