/* What a Jacobian says of its map: a gradient's is symmetric, that of a convex function's has no
 * eigenvalue below 0. */
#ifndef VPSDE_SOLVERS_JACOBIAN_CERTIFICATE_H
#define VPSDE_SOLVERS_JACOBIAN_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct vpsde_certificate {
    double antisymmetry;        /* |J - J^T|/|J|, Frobenius; at most 2 */
    double smallest_eigenvalue; /* of (J + J^T)/2 */
    double log_det;             /* log |det J| */
} vpsde_certificate;

/* Doubles of `memory` that J (d, d) takes. */
static inline size_t vpsde_certificate_doubles(size_t d) { return 2 * d * d + d; }

/* J finite; its rows may be its columns. False: it is singular to the last bit. */
bool vpsde_certify(vpsde_certificate *of, size_t d, const double *J, double *memory);

#endif
