#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/eigen.h"
#include "models/mixture.h"

static const double weight_sum_tolerance = 1e-9, symmetry_tolerance = 1e-12;

void mixture_free(mixture *m)
{
    if (!m) return;
    free(m->log_weight);
    free(m->cumulative);
    free(m->mean);
    free(m->spectrum);
    free(m->lambda);
    free(m->isotropic);
    free(m->rotation);
    free(m->basis);
    free(m->class_of);
    free(m->log_share);
    free(m);
}

static vpsde_status set_weights(mixture *m, const double *weights)
{
    double sum = 0;
    for (size_t k = 0; k < m->n; k++) {
        if (!(weights[k] >= 0 && isfinite(weights[k]))) {
            return vpsde_fail(VPSDE_EINVAL,
                              "weight of component %zu must be finite and at least 0, got %g", k,
                              weights[k]);
        }
        sum += weights[k];
        m->log_weight[k] = log(weights[k]);
        m->cumulative[k] = sum;
    }
    if (fabs(sum - 1) > weight_sum_tolerance) {
        return vpsde_fail(VPSDE_EINVAL,
                          "weights of %zu components must sum to 1 within %g, got %.12g", m->n,
                          weight_sum_tolerance, sum);
    }
    return VPSDE_OK;
}

static vpsde_status set_means(mixture *m, const double *means)
{
    for (size_t e = 0; e < m->n * m->d; e++) {
        if (!isfinite(means[e])) {
            return vpsde_fail(VPSDE_EINVAL,
                              "mean of component %zu, entry %zu, must be finite, got %g", e / m->d,
                              e % m->d, means[e]);
        }
    }
    memcpy(m->mean, means, m->n * m->d * sizeof(*means));
    return VPSDE_OK;
}

/* Files component k under an equal spectrum seen before, or a new one. */
static void file_spectrum(mixture *m, size_t k)
{
    const size_t d = m->d, last = m->n_spectra;
    const double *lambda = m->lambda + last * d;
    size_t found = 0;
    while (memcmp(m->lambda + found * d, lambda, d * sizeof(*lambda)) != 0) found++;
    m->spectrum[k] = found;
    if (found < last) return;
    m->isotropic[last] = 1;
    for (size_t j = 1; j < d; j++) {
        if (lambda[j] != lambda[0]) m->isotropic[last] = 0;
    }
    m->n_spectra++;
}

static vpsde_status check_spectrum(const mixture *m, size_t k, const char *what)
{
    const double *lambda = m->lambda + m->n_spectra * m->d;
    for (size_t j = 0; j < m->d; j++) {
        if (!(lambda[j] > 0 && isfinite(lambda[j]))) {
            return vpsde_fail(VPSDE_EINVAL,
                              "%s of component %zu must be finite and above 0, got %g", what, k,
                              lambda[j]);
        }
    }
    return VPSDE_OK;
}

static vpsde_status set_variances(mixture *m, const double *variances)
{
    for (size_t k = 0; k < m->n; k++) {
        memcpy(m->lambda + m->n_spectra * m->d, variances + k * m->d, m->d * sizeof(*variances));
        VPSDE_TRY(check_spectrum(m, k, "variances"));
        file_spectrum(m, k);
        m->rotation[k] = MIXTURE_UNROTATED;
    }
    return VPSDE_OK;
}

/* Copies a covariance, made exactly symmetric, to `a`; *diagonal where it has no other entries. */
static vpsde_status check_covariance(size_t d, const double *covariance, size_t k, double *a,
                                     int *diagonal)
{
    *diagonal = 1;
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++) {
            const double lower = covariance[i * d + j], upper = covariance[j * d + i];
            const double scale =
                sqrt(fabs(covariance[i * d + i])) * sqrt(fabs(covariance[j * d + j]));
            if (!isfinite(lower) || !isfinite(upper)) {
                return vpsde_fail(VPSDE_EINVAL,
                                  "covariance of component %zu, entry (%zu, %zu), must be finite",
                                  k, i, j);
            }
            if (fabs(lower - upper) > symmetry_tolerance * scale) {
                return vpsde_fail(
                    VPSDE_EINVAL,
                    "covariance of component %zu must be symmetric: entry (%zu, %zu) is "
                    "%.17g, entry (%zu, %zu) is %.17g",
                    k, i, j, lower, j, i, upper);
            }
            a[i * d + j] = a[j * d + i] = 0.5 * lower + 0.5 * upper;
            if (i != j && a[i * d + j] != 0) *diagonal = 0;
        }
    }
    return VPSDE_OK;
}

static vpsde_status set_covariances(mixture *m, const double *covariances, double *a)
{
    const size_t d = m->d;
    for (size_t k = 0; k < m->n; k++) {
        double *lambda = m->lambda + m->n_spectra * d;
        int diagonal;
        VPSDE_TRY(check_covariance(d, covariances + k * d * d, k, a, &diagonal));
        m->rotation[k] = diagonal ? MIXTURE_UNROTATED : m->n_rotations;
        if (diagonal) {
            for (size_t j = 0; j < d; j++) lambda[j] = a[j * d + j];
        } else {
            const vpsde_status status =
                vpsde_eigen_symmetric(d, a, lambda, m->basis + m->n_rotations++ * d * d);
            if (status != VPSDE_OK) {
                return vpsde_fail_in(VPSDE_EINVAL, "covariance of component %zu", k);
            }
        }
        VPSDE_TRY(check_spectrum(m, k, diagonal ? "variances" : "eigenvalues of the covariance"));
        file_spectrum(m, k);
    }
    return VPSDE_OK;
}

static vpsde_status allocate(mixture *m, int full)
{
    size_t nd, ndd = 0;
    VPSDE_TRY(vpsde_size_mul(&nd, m->n, m->d, "mixture means"));
    if (full) VPSDE_TRY(vpsde_size_mul(&ndd, nd, m->d, "mixture covariances"));
    VPSDE_TRY(vpsde_alloc(&m->log_weight, m->n, sizeof(*m->log_weight)));
    VPSDE_TRY(vpsde_alloc(&m->cumulative, m->n, sizeof(*m->cumulative)));
    VPSDE_TRY(vpsde_alloc(&m->mean, nd, sizeof(*m->mean)));
    VPSDE_TRY(vpsde_alloc(&m->spectrum, m->n, sizeof(*m->spectrum)));
    VPSDE_TRY(vpsde_alloc(&m->lambda, nd, sizeof(*m->lambda)));
    VPSDE_TRY(vpsde_alloc(&m->isotropic, m->n, sizeof(*m->isotropic)));
    VPSDE_TRY(vpsde_alloc(&m->rotation, m->n, sizeof(*m->rotation)));
    return vpsde_alloc(&m->basis, ndd, sizeof(*m->basis));
}

static vpsde_status fill(mixture *m, const char **key, const double *weights, const double *means,
                         const double *variances, const double *covariances)
{
    *key = NULL;
    VPSDE_TRY(allocate(m, covariances != NULL));
    *key = "weights";
    VPSDE_TRY(set_weights(m, weights));
    *key = "means";
    VPSDE_TRY(set_means(m, means));
    *key = "variances";
    if (variances) return set_variances(m, variances);
    *key = "covariances";
    double *a;
    VPSDE_TRY(vpsde_alloc(&a, m->d * m->d, sizeof(*a)));
    const vpsde_status status = set_covariances(m, covariances, a);
    free(a);
    return status;
}

vpsde_status mixture_build(mixture **out, const char **key, size_t n, size_t d,
                           const double *weights, const double *means, const double *variances,
                           const double *covariances)
{
    *key = NULL;
    *out = NULL;
    if (n == 0 || d == 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "a mixture needs at least one component and dimension, got %zu and %zu",
                          n, d);
    }
    mixture *m;
    VPSDE_TRY(vpsde_alloc(&m, 1, sizeof(*m)));
    m->n = n;
    m->d = d;
    const vpsde_status status = fill(m, key, weights, means, variances, covariances);
    if (status != VPSDE_OK) {
        mixture_free(m);
        return status;
    }
    *out = m;
    return VPSDE_OK;
}

/* Each class' weight, as its log. */
static vpsde_status weigh_classes(const double *log_weight, size_t n, const int32_t *class_of,
                                  size_t n_classes, double *log_share)
{
    for (size_t k = 0; k < n; k++) log_share[class_of[k]] += exp(log_weight[k]);
    for (size_t q = 0; q < n_classes; q++) {
        if (!(log_share[q] > 0)) {
            return vpsde_fail(VPSDE_EINVAL,
                              "class %zu of %zu has no component with a weight; expected classes "
                              "numbered from 0, each with weight",
                              q, n_classes);
        }
        log_share[q] = log(log_share[q]);
    }
    return VPSDE_OK;
}

vpsde_status mixture_set_classes(mixture *m, const int32_t *class_of)
{
    size_t n_classes = 0;
    int32_t *own;
    double *log_share;
    for (size_t k = 0; k < m->n; k++) {
        if (class_of[k] < 0 || (size_t)class_of[k] >= m->n) {
            return vpsde_fail(VPSDE_EINVAL, "class of component %zu must be from 0 to %zu, got %d",
                              k, m->n - 1, class_of[k]);
        }
        if ((size_t)class_of[k] >= n_classes) n_classes = (size_t)class_of[k] + 1;
    }
    VPSDE_TRY(vpsde_alloc(&log_share, n_classes, sizeof(*log_share)));
    vpsde_status status = weigh_classes(m->log_weight, m->n, class_of, n_classes, log_share);
    if (status == VPSDE_OK) status = vpsde_alloc(&own, m->n, sizeof(*own));
    if (status != VPSDE_OK) {
        free(log_share);
        return status;
    }
    memcpy(own, class_of, m->n * sizeof(*own));
    free(m->class_of);
    free(m->log_share);
    m->class_of = own;
    m->log_share = log_share;
    m->n_classes = n_classes;
    return VPSDE_OK;
}

static size_t choose(const mixture *m, double u)
{
    size_t k = 0;
    while (k + 1 < m->n && !(u < m->cumulative[k])) k++;
    while (k > 0 && isinf(m->log_weight[k])) k--; /* cumulative weights that end below u */
    return k;
}

size_t mixture_choose(const mixture *m, int32_t label, double u)
{
    size_t last = 0;
    double sum = 0;
    if (label < 0) return choose(m, u);
    for (size_t k = 0; k < m->n; k++) {
        if (m->class_of[k] != label || isinf(m->log_weight[k])) continue;
        last = k;
        sum += exp(m->log_weight[k] - m->log_share[label]);
        if (u < sum) break;
    }
    return last;
}
