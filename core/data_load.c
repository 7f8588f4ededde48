/* From a file's bytes to rows in memory: one table of readers, tried in order. */
#include <stdlib.h>
#include <string.h>

#include "core/data_impl.h"
#include "core/file.h"
#include "core/h5_read.h"
#include "core/mem.h"

enum { DEFLATE_MAX = 1032 /* bytes that one deflated byte can become (zlib's manual) */ };

static void swap_bytes(unsigned char *values, size_t count, size_t size)
{
    for (size_t e = 0; e < count; e++) {
        unsigned char *x = values + e * size;
        for (size_t i = 0; i < size / 2; i++) {
            const unsigned char kept = x[i];
            x[i] = x[size - 1 - i];
            x[size - 1 - i] = kept;
        }
    }
}

/* Bytes of header and values together. */
static vpsde_status total_bytes(size_t *total, const vpsde_data *data, const vpsde_layout *layout,
                                const char *path)
{
    size_t bytes;
    if (__builtin_mul_overflow(data->rows, data->dim, &bytes) ||
        __builtin_mul_overflow(bytes, layout->element->size, &bytes) ||
        __builtin_add_overflow(bytes, layout->start, total)) {
        return vpsde_fail(VPSDE_EDATA, "%s: the product of its shape does not fit this machine",
                          path);
    }
    return VPSDE_OK;
}

/* Replaces the deflated bytes by exactly `total` inflated ones. */
static vpsde_status inflate_source(vpsde_source *source, size_t total)
{
    unsigned char *inflated;
    if (total / DEFLATE_MAX > source->size) {
        return vpsde_fail(
            VPSDE_EDATA,
            "%s: its header declares %zu bytes, more than %zu compressed ones can hold",
            source->path, total, source->size);
    }
    VPSDE_TRY(vpsde_file_budget(total, source->path));
    VPSDE_TRY(vpsde_alloc(&inflated, total, 1));
    const vpsde_status status =
        vpsde_gz_exact(inflated, total, source->bytes, source->size, source->path);
    if (status != VPSDE_OK) {
        free(inflated);
        return status;
    }
    free(source->bytes);
    source->bytes = inflated;
    source->size = total;
    return VPSDE_OK;
}

static vpsde_status read_array(vpsde_data *data, vpsde_source *source, vpsde_layout_fn read_layout)
{
    vpsde_layout layout = {.axes = 0};
    size_t total = 0;
    VPSDE_TRY(read_layout(&layout, source->head, source->head_size, source->path));
    VPSDE_TRY(vpsde_data_set_axes(data, layout.axes, layout.dims));
    VPSDE_TRY(total_bytes(&total, data, &layout, source->path));
    if (source->gz) VPSDE_TRY(inflate_source(source, total));
    if (source->size != total) {
        return vpsde_fail(VPSDE_EDATA, "%s: %zu bytes where its header declares %zu", source->path,
                          source->size, total);
    }
    const size_t size = layout.element->size, count = data->rows * data->dim;
    data->element = layout.element;
    data->values = source->bytes; /* taken over; moved to the front, where it is aligned */
    source->bytes = NULL;
    memmove(data->values, data->values + layout.start, count * size);
    if (layout.big_endian) swap_bytes(data->values, count, size);
    return VPSDE_OK;
}

static vpsde_status read_npy(vpsde_data *data, vpsde_source *source)
{
    return read_array(data, source, vpsde_npy_layout);
}

static vpsde_status read_idx(vpsde_data *data, vpsde_source *source)
{
    return read_array(data, source, vpsde_idx_layout);
}

static vpsde_status read_hdf5(vpsde_data *data, vpsde_source *source)
{
    vpsde_h5_input input;
    VPSDE_TRY(vpsde_h5_input_open(&input, source->file, source->dataset));
    vpsde_status status = vpsde_data_set_axes(data, input.rank, input.dims);
    data->element = vpsde_element_find(input.kind, input.size);
    if (status == VPSDE_OK) status = vpsde_alloc(&data->values, input.count, input.size);
    if (status == VPSDE_OK) status = vpsde_h5_input_read(&input, data->values);
    vpsde_h5_input_close(&input);
    return status;
}

static vpsde_status name_dataset(vpsde_data *data, vpsde_source *source)
{
    (void)data;
    return vpsde_fail(VPSDE_EDATA, "%s: an HDF5 file: %s", source->path,
                      source->gz ? "it cannot be read compressed, gunzip it first"
                                 : "name the dataset, as in FILE.h5:/group/dataset");
}

static bool starts_with(const vpsde_source *source, const char *magic, size_t n)
{
    return source->head_size >= n && memcmp(source->head, magic, n) == 0;
}

static bool has_dataset(const vpsde_source *source) { return source->dataset != NULL; }

static bool is_npy(const vpsde_source *source) { return starts_with(source, "\x93NUMPY", 6); }

static bool is_hdf5(const vpsde_source *source) { return starts_with(source, "\x89HDF\r\n", 6); }

static bool is_idx(const vpsde_source *source) { return starts_with(source, "\0\0", 2); }

static const struct {
    const char *name;
    bool (*probe)(const vpsde_source *source);
    vpsde_status (*read)(vpsde_data *data, vpsde_source *source);
} readers[] = {
    {"HDF5 dataset", has_dataset, read_hdf5},
    {"npy", is_npy, read_npy},
    {"HDF5 file", is_hdf5, name_dataset},
    {"IDX", is_idx, read_idx},
};

vpsde_status vpsde_data_load(vpsde_data *data, vpsde_source *source)
{
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (readers[i].probe(source)) return readers[i].read(data, source);
    }
    return vpsde_fail(VPSDE_EDATA, "%s: neither .npy, IDX (plain or .gz) nor FILE.h5:/dataset",
                      source->path);
}
