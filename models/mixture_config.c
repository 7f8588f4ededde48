#include <math.h>
#include <stdlib.h>

#include "core/config.h"
#include "core/mem.h"
#include "models/mixture.h"

enum { RANK_MAX = 3 };

/* A rectangular array as it stands in the configuration. */
typedef struct array {
    double *value; /* NULL: absent */
    size_t rank, dims[RANK_MAX];
} array;

typedef struct section {
    array weights, means, variances, covariances, classes;
} section;

static vpsde_status read_array(array *a, vpsde_config *c, const char *key)
{
    return vpsde_config_numbers(&a->value, &a->rank, a->dims, RANK_MAX, c, key);
}

static vpsde_status read_section(section *s, vpsde_config *c)
{
    VPSDE_TRY(read_array(&s->weights, c, "weights"));
    VPSDE_TRY(read_array(&s->means, c, "means"));
    VPSDE_TRY(read_array(&s->variances, c, "variances"));
    VPSDE_TRY(read_array(&s->covariances, c, "covariances"));
    return read_array(&s->classes, c, "classes");
}

/* Shapes: weights (n), means (n, d) or (n) for d = 1. */
static vpsde_status check_shapes(const section *s, const vpsde_config *c, size_t *n, size_t *d)
{
    if (!s->weights.value || s->weights.rank != 1) {
        return vpsde_config_fail(c, "weights", "must be a list with one number a component");
    }
    if (!s->means.value || s->means.rank < 1 || s->means.rank > 2) {
        return vpsde_config_fail(c, "means", "must be a list with one vector a component");
    }
    *n = s->weights.dims[0];
    *d = s->means.rank == 2 ? s->means.dims[1] : 1;
    if (s->means.dims[0] != *n) {
        return vpsde_config_fail(c, "means", "has %zu components; weights has %zu",
                                 s->means.dims[0], *n);
    }
    if (!s->variances.value == !s->covariances.value) {
        return vpsde_config_fail(c, s->variances.value ? "covariances" : NULL,
                                 "needs exactly one of variances and covariances");
    }
    const array *full = &s->covariances;
    if (full->value &&
        (full->rank != 3 || full->dims[0] != *n || full->dims[1] != *d || full->dims[2] != *d)) {
        return vpsde_config_fail(c, "covariances", "must be %zu matrices of %zu x %zu", *n, *d, *d);
    }
    return VPSDE_OK;
}

/* variances as (n, d) from one number, one a component, or one vector a component. */
static vpsde_status expand(double **out, const array *a, const vpsde_config *c, size_t n, size_t d)
{
    const int fits = a->rank == 0 || (a->dims[0] == n && (a->rank == 1 || a->dims[1] == d));
    if (a->rank > 2 || !fits) {
        return vpsde_config_fail(
            c, "variances",
            "must be one number, %zu numbers (one a component) or %zu vectors of "
            "%zu numbers",
            n, n, d);
    }
    size_t count;
    VPSDE_TRY(vpsde_size_mul(&count, n, d, "mixture variances"));
    VPSDE_TRY(vpsde_alloc(out, count, sizeof(**out)));
    for (size_t e = 0; e < count; e++) {
        const size_t source[] = {0, e / d, e};
        (*out)[e] = a->value[source[a->rank]];
    }
    return VPSDE_OK;
}

static vpsde_status set_classes(mixture *m, const array *a, const vpsde_config *c)
{
    int32_t *class_of;
    if (a->rank != 1 || a->dims[0] != m->n) {
        return vpsde_config_fail(c, "classes", "must be %zu whole numbers, one a component", m->n);
    }
    for (size_t k = 0; k < m->n; k++) {
        if (!(a->value[k] >= 0 && a->value[k] < INT32_MAX && a->value[k] == floor(a->value[k]))) {
            return vpsde_config_fail(c, "classes", "must be whole numbers from 0, got %g",
                                     a->value[k]);
        }
    }
    VPSDE_TRY(vpsde_alloc(&class_of, m->n, sizeof(*class_of)));
    for (size_t k = 0; k < m->n; k++) class_of[k] = (int32_t)a->value[k];
    const vpsde_status status = mixture_set_classes(m, class_of);
    free(class_of);
    return status == VPSDE_OK ? VPSDE_OK : vpsde_config_fail_at(status, c, "classes");
}

static vpsde_status build(mixture **out, const section *s, const vpsde_config *c)
{
    size_t n = 0, d = 0;
    double *variances = NULL;
    const char *key = NULL;
    VPSDE_TRY(check_shapes(s, c, &n, &d));
    if (s->variances.value) VPSDE_TRY(expand(&variances, &s->variances, c, n, d));
    const vpsde_status status = mixture_build(out, &key, n, d, s->weights.value, s->means.value,
                                              variances, s->covariances.value);
    free(variances);
    if (status != VPSDE_OK) return vpsde_config_fail_at(status, c, key);
    return s->classes.value ? set_classes(*out, &s->classes, c) : VPSDE_OK;
}

vpsde_status mixture_configure(mixture **out, vpsde_config *c)
{
    section s = {0};
    *out = NULL;
    vpsde_status status = read_section(&s, c);
    if (status == VPSDE_OK) status = build(out, &s, c);
    free(s.weights.value);
    free(s.means.value);
    free(s.variances.value);
    free(s.covariances.value);
    free(s.classes.value);
    if (status != VPSDE_OK) {
        mixture_free(*out);
        *out = NULL;
    }
    return status;
}
