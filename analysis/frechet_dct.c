/* Squared Frechet distance of Gaussians fitted to features of samples and data (Dowson & Landau 1982),
 *   |m - m'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2),
 * the features being the low-frequency coefficients of the orthonormal DCT-II, at most 64: k by k of each
 * channel of an image. (An FID has an Inception network's features; the two do not compare.) The terms are
 * those of its derivative, with the transport map A = C^-1/2 (C^1/2 C' C^1/2)^1/2 C^-1/2:
 *   (f - m)^T (I - A) (f - m) + 2 (m - m') . (f - m). */
#include <math.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "core/vec.h"
#include "models/eigen.h"

enum { FEATURES_MAX = 64, BLOCK = 64 };

struct vpsde_features {
    size_t k, d;         /* features, values of a row */
    double *basis;       /* (k, d) */
    double *mean, *form; /* (k), (k, k) of the data */
};

static double cosine(size_t frequency, size_t at, size_t length)
{
    const double pi = 3.14159265358979323846;
    return sqrt((frequency ? 2.0 : 1.0) / (double)length) *
           cos(pi * ((double)at + 0.5) * (double)frequency / (double)length);
}

/* Frequencies below `rows` and `columns` that leave at most FEATURES_MAX features. */
static void choose(size_t *rows, size_t *columns, const size_t shape[3])
{
    *rows = shape[1], *columns = shape[2];
    while (shape[0] * *rows * *columns > FEATURES_MAX) {
        if (*rows >= *columns)
            --*rows;
        else
            --*columns;
    }
}

static void fill_basis(double *basis, size_t rows, size_t columns, const size_t shape[3])
{
    const size_t pixels = shape[1] * shape[2], d = shape[0] * pixels;
    for (size_t c = 0; c < shape[0]; c++) {
        for (size_t q = 0; q < rows * columns; q++, basis += d) {
            for (size_t at = 0; at < pixels; at++) {
                basis[c * pixels + at] = cosine(q / columns, at / shape[2], shape[1]) *
                                         cosine(q % columns, at % shape[2], shape[2]);
            }
        }
    }
}

static void transform(double *out, const vpsde_features *f, const double *row)
{
    for (size_t q = 0; q < f->k; q++) out[q] = vec_dot(f->d, f->basis + q * f->d, row);
}

/* Sums about `origin`, so that no digits are lost. */
static void add_row(double *mean, double *form, const double *feature, const double *origin,
                    size_t k, double share)
{
    for (size_t p = 0; p < k; p++) {
        const double a = feature[p] - origin[p];
        mean[p] += share * a;
        for (size_t q = 0; q < k; q++) form[p * k + q] += share * a * (feature[q] - origin[q]);
    }
}

static void centre(double *mean, double *form, const double *origin, size_t k)
{
    for (size_t p = 0; p < k; p++) {
        for (size_t q = 0; q < k; q++) form[p * k + q] -= mean[p] * mean[q];
    }
    for (size_t p = 0; p < k; p++) mean[p] += origin[p];
}

static vpsde_status fit_data(vpsde_features *f, const vpsde_row_source *data, size_t first,
                             size_t count)
{
    double *rows;
    VPSDE_TRY(vpsde_alloc(&rows, BLOCK * f->d + 2 * f->k, sizeof(*rows)));
    double *feature = rows + BLOCK * f->d, *origin = feature + f->k;
    vpsde_status status = VPSDE_OK;
    for (size_t done = 0; status == VPSDE_OK && done < count; done += BLOCK) {
        const size_t m = count - done < BLOCK ? count - done : BLOCK;
        status = data->read(data->context, first + done, m, rows);
        for (size_t i = 0; status == VPSDE_OK && i < m; i++) {
            transform(feature, f, rows + i * f->d);
            if (done + i == 0) vec_copy(f->k, origin, feature);
            add_row(f->mean, f->form, feature, origin, f->k, 1 / (double)count);
        }
    }
    centre(f->mean, f->form, origin, f->k);
    free(rows);
    return status;
}

vpsde_status vpsde_features_create(vpsde_features **out, const vpsde_row_source *data, size_t first,
                                   size_t count, const size_t shape[3])
{
    vpsde_features *f;
    size_t rows, columns;
    if (shape[0] > FEATURES_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "frechet-dct: %zu channels; expected at most %d", shape[0],
                          FEATURES_MAX);
    }
    choose(&rows, &columns, shape);
    VPSDE_TRY(vpsde_alloc(&f, 1, sizeof(*f)));
    f->k = shape[0] * rows * columns;
    f->d = shape[0] * shape[1] * shape[2];
    vpsde_status status = vpsde_alloc(&f->basis, f->k * (f->d + 1 + f->k), sizeof(*f->basis));
    if (status == VPSDE_OK) {
        f->mean = f->basis + f->k * f->d;
        f->form = f->mean + f->k;
        fill_basis(f->basis, rows, columns, shape);
        status = fit_data(f, data, first, count);
    }
    if (status == VPSDE_OK) {
        *out = f;
    } else {
        vpsde_features_destroy(f);
    }
    return status;
}

void vpsde_features_destroy(vpsde_features *f)
{
    if (!f) return;
    free(f->basis);
    free(f);
}

static double matrix_trace(const double *a, size_t k)
{
    double sum = 0;
    for (size_t p = 0; p < k; p++) sum += a[p * k + p];
    return sum;
}

/* out = a^power by the eigenvalues, those below `cut` of the largest as 0; a is destroyed. `room`:
 * k^2 + k. */
static vpsde_status matrix_power(double *out, double *a, size_t k, double power, double cut,
                                 double *room)
{
    double *value = room + k * k, top = 0;
    const double lift = 1e-15 * matrix_trace(a, k); /* zero eigenvalues trouble Jacobi's method */
    for (size_t p = 0; p < k; p++) a[p * k + p] += lift;
    VPSDE_TRY(vpsde_eigen_symmetric(k, a, value, room));
    for (size_t q = 0; q < k; q++) top = fmax(top, value[q]);
    for (size_t q = 0; q < k * k; q++) out[q] = 0;
    for (size_t r = 0; r < k; r++) {
        if (!(value[r] > cut * top)) continue;
        const double factor = pow(value[r], power), *v = room + r * k;
        for (size_t p = 0; p < k; p++) {
            for (size_t q = 0; q < k; q++) out[p * k + q] += factor * v[p] * v[q];
        }
    }
    return VPSDE_OK;
}

static void multiply(double *out, const double *a, const double *b, size_t k)
{
    for (size_t p = 0; p < k; p++) {
        for (size_t q = 0; q < k; q++) out[p * k + q] = 0;
        for (size_t r = 0; r < k; r++) {
            for (size_t q = 0; q < k; q++) out[p * k + q] += a[p * k + r] * b[r * k + q];
        }
    }
}

/* map = I - A and *root_trace = tr (C^1/2 C' C^1/2)^1/2. `w`: six matrices and k. */
static vpsde_status transport_map(double *map, double *root_trace, const double *own,
                                  const double *other, size_t k, double *w)
{
    const size_t size = k * k;
    const double cut = 1e-13;
    double *a = w, *root = w + size, *middle = w + 2 * size, *inverse = w + 3 * size;
    double *room = w + 4 * size;
    vec_copy(size, a, own);
    VPSDE_TRY(matrix_power(root, a, k, 0.5, cut, room));
    vec_copy(size, a, own);
    VPSDE_TRY(matrix_power(inverse, a, k, -0.5, cut, room));
    multiply(a, root, other, k);
    multiply(middle, a, root, k);
    for (size_t p = 0; p < k; p++) { /* symmetric to the last bit */
        for (size_t q = 0; q < p; q++) middle[p * k + q] = middle[q * k + p];
    }
    VPSDE_TRY(matrix_power(a, middle, k, 0.5, cut, room));
    *root_trace = matrix_trace(a, k);
    multiply(middle, inverse, a, k);
    multiply(map, middle, inverse, k);
    for (size_t q = 0; q < size; q++) map[q] = -map[q];
    for (size_t p = 0; p < k; p++) map[p * k + p] += 1;
    return VPSDE_OK;
}

static vpsde_status measure_with(vpsde_statistic *out, const vpsde_metric_input *in, double *work)
{
    const vpsde_features *f = in->features;
    const size_t n = in->n, k = f->k;
    double *feature = work, *mean = feature + n * k, *form = mean + k, *map = form + k * k;
    double root_trace, distance = 0;
    for (size_t i = 0; i < n; i++) {
        VPSDE_TRY(vpsde_metric_look(in, i));
        transform(feature + i * k, f, in->x + i * f->d);
        add_row(mean, form, feature + i * k, f->mean, k, 1 / (double)n);
    }
    centre(mean, form, f->mean, k);
    VPSDE_TRY(transport_map(map, &root_trace, form, f->form, k, map + k * k));
    for (size_t q = 0; q < k; q++) distance += (mean[q] - f->mean[q]) * (mean[q] - f->mean[q]);
    distance += matrix_trace(form, k) + matrix_trace(f->form, k) - 2 * root_trace;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double term = 0;
        for (size_t p = 0; p < k; p++) {
            double along = 2 * (mean[p] - f->mean[p]);
            for (size_t q = 0; q < k; q++) {
                along += map[p * k + q] * (feature[i * k + q] - mean[q]);
            }
            term += along * (feature[i * k + p] - mean[p]);
        }
        out->column[i] = term;
        sum += term;
    }
    for (size_t i = 0; i < n; i++) out->column[i] += distance - sum / (double)n;
    return VPSDE_OK;
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    const size_t k = in->features->k;
    double *work;
    VPSDE_TRY(vpsde_statistic_open(out, in->n, in->number, 1));
    VPSDE_TRY(vpsde_alloc(&work, in->n * k + 2 * k + 8 * k * k, sizeof(*work)));
    const vpsde_status status = measure_with(out, in, work);
    free(work);
    vpsde_statistic_close(out);
    return status;
}

const vpsde_metric vpsde_metric_frechet_dct = {
    .name = "frechet-dct",
    .units = "1",
    .description =
        "squared Frechet distance to the data of low-frequency DCT coefficients (at most "
        "64; no FID)",
    .needs = VPSDE_METRIC_DATA,
    .measure = measure,
};
