/* The values of one dataset in two HDF5 files, bit by bit. */
#ifndef VPSDE_CORE_H5_VALUES_H
#define VPSDE_CORE_H5_VALUES_H

#include <vpsde/status.h>

enum { VPSDE_H5_DIFFERENCE = 1024 };

/* What differs, in one line, with the first place; "" when nothing does. *bytes of values were compared.
 * Rows are called by the dataset `axis` of the first file, which may be NULL. EDATA. */
vpsde_status vpsde_h5_compare_values(char line[VPSDE_H5_DIFFERENCE], double *bytes,
                                     const char *const file[2], const char *path, const char *axis);

#endif
