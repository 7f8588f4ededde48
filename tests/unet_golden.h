/* What tests/golden/unet/make_unet_golden.py made with diffusers, and how far one is from it. */
#ifndef VPSDE_TESTS_UNET_GOLDEN_H
#define VPSDE_TESTS_UNET_GOLDEN_H

#include <unistd.h>

#include "core/data.h"
#include "tests/check.h"

enum { PATH = 512, VALUES_MAX = 65536 };

static const char *root;

static inline const char *golden(const char *name, const char *file)
{
    static char paths[4][PATH];
    static size_t next;
    char *const path = paths[next++ % 4];
    (void)snprintf(path, PATH, "%s/tests/golden/unet/%s%s", root, name, file);
    return path;
}

/* A .npy file's values; how many rows. 0: there is no such file. */
static inline size_t read_npy(double *out, const char *name, const char *file)
{
    const char *const path = golden(name, file);
    vpsde_data *data;
    if (access(path, F_OK) != 0) return 0;
    assert_ok(vpsde_data_open(&data, path));
    const size_t n = vpsde_data_rows(data);
    assert_true(n * vpsde_data_dim(data) <= VALUES_MAX);
    assert_ok(vpsde_data_read(data, out, 0, n, 1, 0));
    vpsde_data_close(data);
    return n;
}

static inline vpsde_model *open_golden(const char *name)
{
    vpsde_model *model;
    assert_ok(vpsde_model_open(&model, golden(name, "")));
    return model;
}

/* max |a - b| / max |b| */
static inline double relative(const double *a, const double *b, size_t n)
{
    double difference = 0, size = 0;
    for (size_t e = 0; e < n; e++) {
        difference = fmax(difference, fabs(a[e] - b[e]));
        size = fmax(size, fabs(b[e]));
        if (isnan(a[e])) return INFINITY;
    }
    return difference / size;
}

#endif
