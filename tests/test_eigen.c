#include "tests/check.h"

#include <vpsde/noise.h>

#include "models/eigen.h"

enum { D_MAX = 24 };

/* Largest |A v - lambda v| and |V V^T - I| entries. */
static void check_decomposition(size_t d, const double *a, double tolerance)
{
    double work[D_MAX * D_MAX], values[D_MAX], v[D_MAX * D_MAX];
    memcpy(work, a, d * d * sizeof(*a));
    assert_ok(vpsde_eigen_symmetric(d, work, values, v));
    for (size_t p = 0; p < d; p++) {
        for (size_t i = 0; i < d; i++) {
            double product = 0, inner = 0;
            for (size_t j = 0; j < d; j++) {
                product += a[i * d + j] * v[p * d + j];
                inner += v[i * d + j] * v[p * d + j];
            }
            assert_close(product, values[p] * v[p * d + i], tolerance);
            assert_close(inner, i == p, 1e-13);
        }
    }
}

static void random_matrices_are_diagonalised(void **state)
{
    static const size_t dims[] = {1, 2, 3, 5, 10, 24};
    double z[D_MAX * D_MAX], a[D_MAX * D_MAX];
    (void)state;
    for (size_t q = 0; q < sizeof(dims) / sizeof(dims[0]); q++) {
        const size_t d = dims[q];
        vpsde_normals(z, 1, VPSDE_NOISE_TEST, q, 1, 0, d * d);
        for (size_t i = 0; i < d; i++) {
            for (size_t j = 0; j < d; j++) a[i * d + j] = z[i * d + j] + z[j * d + i];
        }
        check_decomposition(d, a, 1e-13 * (double)(d + 1));
    }
}

static void known_spectra_are_found(void **state)
{
    /* (2, 1; 1, 2): 1 and 3; equal diagonal is the 45 degree rotation */
    double a[4] = {2, 1, 1, 2}, values[2], v[4];
    (void)state;
    assert_ok(vpsde_eigen_symmetric(2, a, values, v));
    assert_close(fmin(values[0], values[1]), 1, 1e-15);
    assert_close(fmax(values[0], values[1]), 3, 1e-15);
    assert_close(fabs(v[0]), sqrt(0.5), 1e-15);
    /* D B D with tiny scales: eigenvalues keep their relative accuracy (det = product) */
    double graded[4] = {1, 1e-10, 1e-10, 4e-20};
    assert_ok(vpsde_eigen_symmetric(2, graded, values, v));
    assert_close(values[0] * values[1] / 3e-20, 1, 1e-14);
    double diagonal[9] = {3, 0, 0, 0, 3, 0, 0, 0, -1}, three[3], basis[9];
    assert_ok(vpsde_eigen_symmetric(3, diagonal, three, basis));
    for (size_t j = 0; j < 9; j++) assert_true(basis[j] == (j % 4 == 0));
}

static void repeated_and_zero_eigenvalues_converge(void **state)
{
    enum { D = 6 };
    double a[D * D];
    (void)state;
    for (size_t e = 0; e < D * D; e++) a[e] = 1; /* rank one */
    check_decomposition(D, a, 1e-13);
    for (size_t j = 0; j < D; j++) a[j * D + j] += 1e-8;
    check_decomposition(D, a, 1e-13);
}

static void matrices_that_are_not_finite_are_refused(void **state)
{
    double a[4] = {1, (double)NAN, (double)NAN, 1}, values[2], v[4];
    (void)state;
    assert_fails(vpsde_eigen_symmetric(2, a, values, v), VPSDE_ENUMERIC, "did not converge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_matrices_are_diagonalised),
        cmocka_unit_test(known_spectra_are_found),
        cmocka_unit_test(repeated_and_zero_eigenvalues_converge),
        cmocka_unit_test(matrices_that_are_not_finite_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
