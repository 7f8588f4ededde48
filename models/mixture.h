/* The Gaussian mixture's data: what mixture_build.c checks and diagonalises and gaussian_mixture.c
 * evaluates. */
#ifndef VPSDE_MODELS_MIXTURE_H
#define VPSDE_MODELS_MIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

struct vpsde_config;

#define MIXTURE_UNROTATED SIZE_MAX

/* Component k: Sigma_k = U_k diag(lambda) U_k^T. Equal spectra are stored once, and so are the
 * tables made from them at each time. */
typedef struct mixture {
    size_t n, d;                     /* components, dimension */
    double *log_weight, *cumulative; /* (n) */
    double *mean;                    /* (n, d) */
    size_t *spectrum;                /* (n) row of lambda */
    size_t n_spectra;
    double *lambda;   /* (n_spectra, d) */
    char *isotropic;  /* (n_spectra) all lambda equal */
    size_t *rotation; /* (n) matrix of basis, or MIXTURE_UNROTATED where U is the identity */
    size_t n_rotations;
    double *basis; /* (n_rotations, d, d): row j is eigenvector j */
    size_t n_classes;
    int32_t *class_of; /* (n), NULL without classes */
    double *log_share; /* (n_classes) log of the weight of a class */
} mixture;

/* Either variances (n, d) or covariances (n, d, d) is given, the other is NULL. EINVAL naming the
 * component; *key is then the offending key of the configuration. */
vpsde_status mixture_build(mixture **out, const char **key, size_t n, size_t d,
                           const double *weights, const double *means, const double *variances,
                           const double *covariances);
void mixture_free(mixture *m); /* NULL is fine */

/* Component k belongs to class class_of[k] >= 0, every class up to the largest has weight. EINVAL. */
vpsde_status mixture_set_classes(mixture *m, const int32_t *class_of);

/* The component, of a class or of all (label < 0), that a uniform number falls on. */
size_t mixture_choose(const mixture *m, int32_t label, double u);

/* Reads weights, means, variances or covariances, and classes. ECONFIG. */
vpsde_status mixture_configure(mixture **out, struct vpsde_config *section);

#endif
