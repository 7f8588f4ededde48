/* Do the rows of a file have the model's shape? */
#include <stdio.h>

#include "experiments/setup.h"

enum { AXES_MAX = 8, TEXT_SIZE = 160 };

/* "(1, 28, 28)" */
static const char *describe(char text[TEXT_SIZE], const size_t *shape, size_t rank)
{
    size_t used = (size_t)snprintf(text, TEXT_SIZE, "(");
    for (size_t i = 0; i < rank && used < TEXT_SIZE; i++) {
        used += (size_t)snprintf(text + used, TEXT_SIZE - used, "%s%zu", i ? ", " : "", shape[i]);
    }
    if (used < TEXT_SIZE) (void)snprintf(text + used, TEXT_SIZE - used, ")");
    return text;
}

/* `shape` behind axes of one, so that it has n. */
static void pad(size_t out[AXES_MAX], size_t n, const size_t *shape, size_t rank)
{
    for (size_t i = 0; i < n; i++) out[i] = i + rank < n ? 1 : shape[i + rank - n];
}

/* The same axes in another order: every length occurs as often, and not at the same places. */
static bool permuted(const size_t *a, const size_t *b, size_t n)
{
    bool differs = false;
    for (size_t i = 0; i < n; i++) {
        size_t in_a = 0, in_b = 0;
        for (size_t k = 0; k < n; k++) {
            in_a += a[k] == a[i];
            in_b += b[k] == a[i];
        }
        if (in_a != in_b) return false;
        differs |= a[i] != b[i];
    }
    return differs;
}

vpsde_status vpsde_setup_check_rows(const vpsde_setup *s, const vpsde_data *data, const char *path)
{
    const vpsde_model *m = s->model;
    const size_t *shape = vpsde_data_shape(data), rank = vpsde_data_rank(data);
    const size_t n = rank > m->rank ? rank : m->rank;
    size_t rows[AXES_MAX], model[AXES_MAX];
    char got[TEXT_SIZE], expected[TEXT_SIZE];
    if (vpsde_data_dim(data) != m->dim) {
        return vpsde_fail(VPSDE_EDATA, "%s: rows have %zu values, the model takes %zu", path,
                          vpsde_data_dim(data), m->dim);
    }
    if (rank < 2 || m->rank < 2 || n > AXES_MAX) return VPSDE_OK; /* flat: in the model's order */
    pad(rows, n, shape, rank);
    pad(model, n, m->shape, m->rank);
    if (!permuted(rows, model, n)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: rows have the shape %s, the model's is %s: the same axes in another "
                      "order; expected (channel, row, column)",
                      path, describe(got, shape, rank), describe(expected, m->shape, m->rank));
}
