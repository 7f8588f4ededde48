/* Eigenvalues and vectors of small symmetric matrices. */
#ifndef VPSDE_MODELS_EIGEN_H
#define VPSDE_MODELS_EIGEN_H

#include <stddef.h>

#include <vpsde/status.h>

/* a (d, d), symmetric, is destroyed; values (d) in no order; row j of vectors (d, d) is the unit
 * eigenvector of values[j]. ENUMERIC when it does not converge (entries that are not finite). */
vpsde_status vpsde_eigen_symmetric(size_t d, double *a, double *values, double *vectors);

#endif
