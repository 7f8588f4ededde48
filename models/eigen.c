/* Cyclic Jacobi: A <- J^T A J with J(p, q) chosen so that a_pq becomes 0, until the off-diagonal
 * part is below rounding. Golub & Van Loan, Matrix Computations, 4th ed., algorithms 8.5.1 and 8.5.3;
 * converges quadratically, and finds small eigenvalues of scaled diagonally dominant matrices to
 * high relative accuracy (Demmel & Veselic 1992). */
#include "models/eigen.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SWEEPS_MAX = 60 };

/* (x, y) <- (c x - s y, s x + c y) for count elements with the given stride. */
static void rotate(size_t count, size_t stride, double *x, double *y, double c, double s)
{
    for (size_t e = 0; e < count; e++, x += stride, y += stride) {
        const double u = *x, v = *y;
        *x = c * u - s * v;
        *y = s * u + c * v;
    }
}

/* Removes a_pq where it is not negligible beside its diagonal; returns whether it was. */
static int annihilate(size_t d, double *a, double *vectors, size_t p, size_t q)
{
    const double apq = a[p * d + q], app = a[p * d + p], aqq = a[q * d + q];
    if (fabs(apq) <= DBL_EPSILON / 2 * sqrt(fabs(app)) * sqrt(fabs(aqq))) {
        a[p * d + q] = a[q * d + p] = 0;
        return 0;
    }
    const double tau = (aqq - app) / (2 * apq);
    const double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + hypot(1, tau));
    const double c = 1 / sqrt(1 + t * t), s = t * c;
    rotate(d, d, a + p, a + q, c, s);
    rotate(d, 1, a + p * d, a + q * d, c, s);
    rotate(d, 1, vectors + p * d, vectors + q * d, c, s);
    a[p * d + p] = app - t * apq;
    a[q * d + q] = aqq + t * apq;
    a[p * d + q] = a[q * d + p] = 0;
    return 1;
}

vpsde_status vpsde_eigen_symmetric(size_t d, double *a, double *values, double *vectors)
{
    memset(vectors, 0, d * d * sizeof(*vectors));
    for (size_t j = 0; j < d; j++) vectors[j * d + j] = 1;
    int rotated = 1;
    for (int sweep = 0; rotated && sweep < SWEEPS_MAX; sweep++) {
        rotated = 0;
        for (size_t p = 0; p + 1 < d; p++) {
            for (size_t q = p + 1; q < d; q++) rotated |= annihilate(d, a, vectors, p, q);
        }
    }
    if (rotated) {
        return vpsde_fail(VPSDE_ENUMERIC,
                          "eigenvalues of a %zu x %zu matrix did not converge in %d sweeps", d, d,
                          SWEEPS_MAX);
    }
    for (size_t j = 0; j < d; j++) values[j] = a[j * d + j];
    return VPSDE_OK;
}
