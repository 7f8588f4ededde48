#include "solvers/jacobian_certificate.h"

#include <math.h>

#include "core/vec.h"
#include "models/eigen.h"

static void exchange(size_t d, double *x, double *y)
{
    for (size_t j = 0; j < d; j++) {
        const double swap = x[j];
        x[j] = y[j];
        y[j] = swap;
    }
}

/* By elimination with row exchanges; a (d, d) is destroyed. */
static double log_abs_det(size_t d, double *a)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++) {
        size_t best = k;
        for (size_t i = k + 1; i < d; i++) {
            if (fabs(a[i * d + k]) > fabs(a[best * d + k])) best = i;
        }
        if (best != k) exchange(d, a + k * d, a + best * d);
        sum += log(fabs(a[k * d + k]));
        for (size_t i = k + 1; i < d; i++) {
            const double factor = a[i * d + k] / a[k * d + k];
            for (size_t j = k + 1; j < d; j++) a[i * d + j] -= factor * a[k * d + j];
        }
    }
    return sum;
}

bool vpsde_certify(vpsde_certificate *of, size_t d, const double *J, double *memory)
{
    double *a = memory, *vectors = a + d * d, *values = vectors + d * d, skew = 0;
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j < d; j++) {
            const double difference = J[i * d + j] - J[j * d + i];
            skew += difference * difference;
            a[i * d + j] = (J[i * d + j] + J[j * d + i]) / 2;
        }
    }
    of->antisymmetry = sqrt(skew / vec_dot(d * d, J, J));
    if (vpsde_eigen_symmetric(d, a, values, vectors) != VPSDE_OK) return false;
    of->smallest_eigenvalue = values[0];
    for (size_t j = 1; j < d; j++)
        of->smallest_eigenvalue = fmin(of->smallest_eigenvalue, values[j]);
    vec_copy(d * d, a, J);
    of->log_det = log_abs_det(d, a);
    return isfinite(of->log_det);
}
