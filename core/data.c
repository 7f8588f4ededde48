#include "core/data.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/data_impl.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/sha256.h"

vpsde_status vpsde_data_set_axes(vpsde_data *data, size_t axes, const size_t *dims)
{
    if (axes == 0) {
        return vpsde_fail(VPSDE_EDATA, "%s: a single number, expected rows", data->path);
    }
    data->rows = dims[0];
    data->rank = axes - 1;
    data->dim = 1;
    for (size_t i = 0; i < data->rank; i++) {
        data->shape[i] = dims[i + 1];
        if (__builtin_mul_overflow(data->dim, data->shape[i], &data->dim)) {
            return vpsde_fail(VPSDE_EDATA, "%s: the product of its shape does not fit this machine",
                              data->path);
        }
    }
    if (data->rank == 0) data->shape[data->rank++] = 1; /* numbers are rows of one value */
    if (data->rows > 0 && data->dim > 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: %zu rows of %zu values, expected at least one of each",
                      data->path, data->rows, data->dim);
}

static bool row_is_finite(const vpsde_data *data, size_t row)
{
    for (size_t j = 0; j < data->dim; j++) {
        double value;
        const size_t e = row * data->dim + j;
        data->element->convert(1, &value, data->values + e * data->element->size, 1, 0);
        if (!isfinite(value)) return false;
    }
    return true;
}

vpsde_status vpsde_data_check_finite(const vpsde_data *data)
{
    size_t bad = 0, first = 0;
    if (data->element->kind != 'f') return VPSDE_OK;
    for (size_t i = 0; i < data->rows; i++) {
        if (!row_is_finite(data, i) && bad++ == 0) first = i;
    }
    if (bad == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: row %zu holds NaN or Inf (%zu of %zu rows do)", data->path,
                      first, bad, data->rows);
}

/* "FILE.h5:/group/dataset" into its two parts; other paths stay whole. */
static vpsde_status split_path(vpsde_source *source, const char *path)
{
    static const char *const suffixes[] = {".h5", ".hdf5"};
    source->path = path;
    VPSDE_TRY(vpsde_strdup(&source->file, path));
    for (char *colon = source->file; (colon = strstr(colon, ":/")) != NULL; colon++) {
        const size_t length = (size_t)(colon - source->file);
        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
            const size_t n = strlen(suffixes[i]);
            if (length < n || strncmp(colon - n, suffixes[i], n) != 0) continue;
            *colon = '\0';
            source->dataset = colon + 1;
            return VPSDE_OK;
        }
    }
    return VPSDE_OK;
}

/* The file's bytes, or only the hash of an HDF5 file, which is read by HDF5 itself. */
static vpsde_status fetch(vpsde_source *source, char sha256[65])
{
    int fd;
    if (!source->dataset) return vpsde_file_load(&source->bytes, &source->size, source->file);
    VPSDE_TRY(vpsde_file_open(&fd, &source->size, source->file));
    close(fd);
    const vpsde_status status = vpsde_sha256_file(sha256, source->file);
    return status == VPSDE_OK ? status : vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
}

/* The file's first bytes, inflated. */
static vpsde_status look(vpsde_source *source)
{
    source->gz = source->size >= 2 && source->bytes[0] == 0x1f && source->bytes[1] == 0x8b;
    if (source->gz) {
        VPSDE_TRY(vpsde_alloc(&source->inflated, VPSDE_DATA_HEAD, 1));
        source->head = source->inflated;
        return vpsde_gz_head(source->inflated, VPSDE_DATA_HEAD, &source->head_size, source->bytes,
                             source->size, source->path);
    }
    source->head = source->bytes;
    source->head_size = source->size < VPSDE_DATA_HEAD ? source->size : VPSDE_DATA_HEAD;
    return VPSDE_OK;
}

static vpsde_status fill(vpsde_data *data, vpsde_source *source)
{
    VPSDE_TRY(vpsde_strdup(&data->path, source->path));
    if (!source->bytes) VPSDE_TRY(fetch(source, data->sha256));
    if (source->bytes) {
        vpsde_sha256(data->sha256, source->bytes, source->size);
        VPSDE_TRY(look(source));
    }
    VPSDE_TRY(vpsde_data_load(data, source));
    return vpsde_data_check_finite(data);
}

/* Gives back what the source holds. */
static vpsde_status create(vpsde_data **out, vpsde_source *source)
{
    vpsde_data *data;
    *out = NULL;
    vpsde_status status = vpsde_alloc(&data, 1, sizeof(*data));
    if (status == VPSDE_OK) {
        status = fill(data, source);
        if (status == VPSDE_OK) {
            *out = data;
        } else {
            vpsde_data_close(data);
        }
    }
    free(source->file);
    free(source->bytes);
    free(source->inflated);
    return status;
}

vpsde_status vpsde_data_open(vpsde_data **out, const char *path)
{
    vpsde_source source = {.path = NULL};
    *out = NULL;
    VPSDE_TRY(split_path(&source, path));
    return create(out, &source);
}

vpsde_status vpsde_data_parse(vpsde_data **out, unsigned char *bytes, size_t size, const char *path)
{
    return create(out, &(vpsde_source){.path = path, .bytes = bytes, .size = size});
}

void vpsde_data_close(vpsde_data *data)
{
    if (!data) return;
    free(data->path);
    free(data->values);
    free(data);
}

size_t vpsde_data_rows(const vpsde_data *data) { return data->rows; }

size_t vpsde_data_dim(const vpsde_data *data) { return data->dim; }

size_t vpsde_data_rank(const vpsde_data *data) { return data->rank; }

const size_t *vpsde_data_shape(const vpsde_data *data) { return data->shape; }

bool vpsde_data_is_8bit(const vpsde_data *data)
{
    return data->element->kind == 'u' && data->element->size == 1;
}

const char *vpsde_data_type(const vpsde_data *data) { return data->element->name; }

const char *vpsde_data_sha256(const vpsde_data *data) { return data->sha256; }

const char *vpsde_data_path(const vpsde_data *data) { return data->path; }

vpsde_status vpsde_data_read(const vpsde_data *data, double *out, size_t first, size_t n,
                             double scale, double shift)
{
    if (first > data->rows || n > data->rows - first) {
        return vpsde_fail(VPSDE_EDATA, "%s: %zu rows from row %zu on, the file has %zu rows",
                          data->path, n, first, data->rows);
    }
    const unsigned char *from = data->values + first * data->dim * data->element->size;
    data->element->convert(n * data->dim, out, from, scale, shift);
    return VPSDE_OK;
}
