#include "core/h5_read.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/h5.h"
#include "core/mem.h"

enum {
    CHUNK_MAX = 256 * 1024 * 1024,
    DEFLATE_MAX = 1032 /* bytes that one deflated byte can become (zlib's manual) */
};

struct vpsde_h5_handles {
    hid_t file, dataset;
    size_t file_size;
    char *path, *name;
    hid_t memory_type;
};

static vpsde_status refuse(const struct vpsde_h5_handles *h, const char *why)
{
    return vpsde_fail(VPSDE_EDATA, "%s:%s: %s", h->path, h->name, why);
}

/* What HDF5 says went wrong; damaged input is data, not storage. */
static vpsde_status failed(const struct vpsde_h5_handles *h, const char *doing)
{
    (void)vpsde_h5_failed(h->path, doing);
    return vpsde_fail(VPSDE_EDATA, "%s (dataset %s)", vpsde_last_error(), h->name);
}

static vpsde_status open_file(struct vpsde_h5_handles *h)
{
    int fd;
    VPSDE_TRY(vpsde_file_open(&fd, &h->file_size, h->path)); /* errno's text, regular files only */
    close(fd);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0) return failed(h, "opening");
    if (H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0) {
        h->file = H5Fopen(h->path, H5F_ACC_RDONLY, access);
    }
    /* the reason first: the next call clears HDF5's error stack */
    const vpsde_status status = h->file < 0 ? failed(h, "opening") : VPSDE_OK;
    H5Pclose(access);
    return status;
}

/* Every step of the path has to be a hard link: soft ones may loop, external ones leave the file. */
static vpsde_status check_links(const struct vpsde_h5_handles *h)
{
    char *path;
    vpsde_status status = VPSDE_OK;
    VPSDE_TRY(vpsde_strdup(&path, h->name));
    for (char *end = path; *end && status == VPSDE_OK;) {
        H5L_info_t link;
        end += strspn(end, "/");
        end += strcspn(end, "/");
        const char kept = *end;
        *end = '\0';
        if (strcmp(path + strspn(path, "/"), "") != 0) {
            if (H5Lget_info(h->file, path, &link, H5P_DEFAULT) < 0) {
                status = refuse(h, "there is no such dataset in the file");
            } else if (link.type != H5L_TYPE_HARD) {
                status = refuse(h, "soft, external and user links are not followed");
            }
        }
        *end = kept;
    }
    free(path);
    return status;
}

static vpsde_status open_dataset(struct vpsde_h5_handles *h)
{
    VPSDE_TRY(check_links(h));
    const hid_t object = H5Oopen(h->file, h->name, H5P_DEFAULT);
    if (object < 0) return failed(h, "opening");
    if (H5Iget_type(object) == H5I_DATASET) {
        h->dataset = object;
        return VPSDE_OK;
    }
    H5Oclose(object);
    return refuse(h, "this is a group or type, a dataset was expected");
}

static vpsde_status check_filters(const struct vpsde_h5_handles *h, hid_t plist, bool *deflate)
{
    const int n = H5Pget_nfilters(plist);
    if (n < 0) return failed(h, "reading filters");
    for (int i = 0; i < n; i++) {
        unsigned flags, config;
        size_t values = 0;
        char name[1];
        const H5Z_filter_t filter =
            H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, sizeof(name), name, &config);
        if (filter < 0) return failed(h, "reading filters");
        if (filter == H5Z_FILTER_DEFLATE) *deflate = true;
        if (filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE ||
            filter == H5Z_FILTER_FLETCHER32) {
            continue;
        }
        return vpsde_fail(VPSDE_EDATA,
                          "%s:%s: HDF5 filter %d is not read, expected deflate, shuffle or "
                          "fletcher32",
                          h->path, h->name, (int)filter);
    }
    return VPSDE_OK;
}

static vpsde_status check_chunk(const struct vpsde_h5_handles *h, hid_t plist, size_t size)
{
    hsize_t dims[H5S_MAX_RANK];
    size_t bytes = size;
    const int rank = H5Pget_chunk(plist, H5S_MAX_RANK, dims);
    if (rank < 0) return failed(h, "reading chunks");
    for (int i = 0; i < rank; i++) {
        if (__builtin_mul_overflow(bytes, (size_t)dims[i], &bytes) || bytes > CHUNK_MAX) {
            return refuse(h, "its chunks are larger than 256 MiB");
        }
    }
    return VPSDE_OK;
}

/* The values must be in this file, plainly: `most` is what they can take in memory at most. */
static vpsde_status check_storage(const struct vpsde_h5_handles *h, size_t file_bytes,
                                  size_t element)
{
    const hid_t plist = H5Dget_create_plist(h->dataset);
    if (plist < 0) return failed(h, "reading properties");
    const H5D_layout_t layout = H5Pget_layout(plist);
    vpsde_status status = VPSDE_OK;
    bool deflate = false;
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) {
        status = refuse(h, "virtual datasets are not read, copy the values into the file");
    } else if (H5Pget_external_count(plist) != 0) {
        status = refuse(h, "external raw data files are not read, copy the values into the file");
    }
    if (status == VPSDE_OK) status = check_filters(h, plist, &deflate);
    if (status == VPSDE_OK && layout == H5D_CHUNKED) status = check_chunk(h, plist, element);
    H5Pclose(plist);
    VPSDE_TRY(status);
    const hsize_t stored = H5Dget_storage_size(h->dataset);
    const size_t most =
        deflate ? (h->file_size > SIZE_MAX / DEFLATE_MAX ? SIZE_MAX : h->file_size * DEFLATE_MAX)
                : h->file_size;
    if (file_bytes <= most && (layout == H5D_CHUNKED || stored == file_bytes)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s:%s: its shape needs %zu bytes, %llu are stored in a file of %zu bytes",
                      h->path, h->name, file_bytes, (unsigned long long)stored, h->file_size);
}

/* Types as memory holds them; a float of 1 or 2 bytes is read as float32. */
static const struct {
    char kind;
    size_t file_size, size;
} types[] = {
    {'u', 1, 1}, {'u', 2, 2}, {'u', 4, 4}, {'u', 8, 8}, {'i', 1, 1}, {'i', 2, 2},
    {'i', 4, 4}, {'i', 8, 8}, {'f', 1, 4}, {'f', 2, 4}, {'f', 4, 4}, {'f', 8, 8},
};

static hid_t memory_type(char kind, size_t size)
{
    if (kind == 'f') return size == 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
    const hid_t whole[2][4] = {
        {H5T_NATIVE_UINT8, H5T_NATIVE_UINT16, H5T_NATIVE_UINT32, H5T_NATIVE_UINT64},
        {H5T_NATIVE_INT8, H5T_NATIVE_INT16, H5T_NATIVE_INT32, H5T_NATIVE_INT64}};
    return whole[kind == 'i'][size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3];
}

static vpsde_status read_type(vpsde_h5_input *input, size_t *file_size)
{
    struct vpsde_h5_handles *h = input->handles;
    const hid_t type = H5Dget_type(h->dataset);
    if (type < 0) return failed(h, "reading the type");
    const H5T_class_t class = H5Tget_class(type);
    *file_size = H5Tget_size(type);
    char kind = 0;
    if (class == H5T_FLOAT) kind = 'f';
    if (class == H5T_INTEGER) kind = H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i';
    H5Tclose(type);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].kind != kind || types[i].file_size != *file_size) continue;
        input->kind = kind;
        input->size = types[i].size;
        h->memory_type = memory_type(kind, types[i].size);
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EDATA,
                      "%s:%s: HDF5 type of class %d and %zu bytes, expected integers (0) or floats "
                      "(1) of 1, 2, 4 or 8 bytes",
                      h->path, h->name, (int)class, *file_size);
}

static vpsde_status read_shape(vpsde_h5_input *input)
{
    const struct vpsde_h5_handles *h = input->handles;
    hsize_t dims[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(h->dataset);
    if (space < 0) return failed(h, "reading the shape");
    const bool null = H5Sget_simple_extent_type(space) == H5S_NULL;
    const int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    if (null || rank < 0) return refuse(h, "it holds no values");
    if (rank > VPSDE_H5_AXES_MAX) {
        return vpsde_fail(VPSDE_EDATA, "%s:%s: %d axes, at most %d are read", h->path, h->name,
                          rank, VPSDE_H5_AXES_MAX);
    }
    input->rank = (size_t)rank;
    input->count = 1;
    for (size_t i = 0; i < input->rank; i++) {
        input->dims[i] = (size_t)dims[i];
        if (__builtin_mul_overflow(input->count, input->dims[i], &input->count)) {
            return refuse(h, "the product of its shape does not fit this machine");
        }
    }
    return VPSDE_OK;
}

static vpsde_status open_all(vpsde_h5_input *input, const char *path, const char *dataset)
{
    struct vpsde_h5_handles *h = input->handles;
    size_t file_size = 0, file_bytes, bytes;
    VPSDE_TRY(vpsde_strdup(&h->path, path));
    VPSDE_TRY(vpsde_strdup(&h->name, dataset));
    VPSDE_TRY(vpsde_h5_start());
    VPSDE_TRY(open_file(h));
    VPSDE_TRY(open_dataset(h));
    VPSDE_TRY(read_type(input, &file_size));
    VPSDE_TRY(read_shape(input));
    if (__builtin_mul_overflow(input->count, file_size, &file_bytes) ||
        __builtin_mul_overflow(input->count, sizeof(double), &bytes)) {
        return refuse(h, "the product of its shape does not fit this machine");
    }
    return check_storage(h, file_bytes, file_size);
}

vpsde_status vpsde_h5_input_open_rows(vpsde_h5_input *input, const char *path, const char *dataset)
{
    *input = (vpsde_h5_input){.handles = NULL};
    VPSDE_TRY(vpsde_alloc(&input->handles, 1, sizeof(*input->handles)));
    input->handles->file = input->handles->dataset = H5I_INVALID_HID;
    const vpsde_status status = open_all(input, path, dataset);
    if (status != VPSDE_OK) vpsde_h5_input_close(input);
    return status;
}

vpsde_status vpsde_h5_input_open(vpsde_h5_input *input, const char *path, const char *dataset)
{
    VPSDE_TRY(vpsde_h5_input_open_rows(input, path, dataset));
    const vpsde_status status = vpsde_file_budget(input->count * input->size, path);
    if (status != VPSDE_OK) vpsde_h5_input_close(input);
    return status;
}

void vpsde_h5_input_close(vpsde_h5_input *input)
{
    struct vpsde_h5_handles *h = input->handles;
    if (!h) return;
    if (h->dataset >= 0) H5Oclose(h->dataset);
    if (h->file >= 0) H5Fclose(h->file);
    free(h->path);
    free(h->name);
    free(h);
    input->handles = NULL;
}

static vpsde_status read_as(const vpsde_h5_input *input, hid_t type, void *out)
{
    const struct vpsde_h5_handles *h = input->handles;
    if (H5Dread(h->dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0) {
        return failed(h, "reading");
    }
    return VPSDE_OK;
}

vpsde_status vpsde_h5_input_read(const vpsde_h5_input *input, void *out)
{
    return read_as(input, input->handles->memory_type, out);
}

vpsde_status vpsde_h5_input_read_double(const vpsde_h5_input *input, double *out)
{
    return read_as(input, H5T_NATIVE_DOUBLE, out);
}

static vpsde_status read_rows_as(const vpsde_h5_input *input, hid_t type, size_t first, size_t n,
                                 void *out)
{
    const struct vpsde_h5_handles *h = input->handles;
    hsize_t start[VPSDE_H5_AXES_MAX] = {first}, count[VPSDE_H5_AXES_MAX] = {n};
    if (input->rank == 0 || first > input->dims[0] || n > input->dims[0] - first) {
        return vpsde_fail(VPSDE_EINVAL, "%s:%s: rows %zu to %zu were asked for, it has %zu",
                          h->path, h->name, first, first + n,
                          input->rank == 0 ? 0 : input->dims[0]);
    }
    for (size_t i = 1; i < input->rank; i++) count[i] = input->dims[i];
    const hid_t file_space = H5Dget_space(h->dataset);
    const hid_t space = H5Screate_simple((int)input->rank, count, NULL);
    const bool good =
        file_space >= 0 && space >= 0 &&
        H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
        H5Dread(h->dataset, type, space, file_space, H5P_DEFAULT, out) >= 0;
    const vpsde_status status = good ? VPSDE_OK : failed(h, "reading");
    if (space >= 0) H5Sclose(space);
    if (file_space >= 0) H5Sclose(file_space);
    return status;
}

vpsde_status vpsde_h5_input_read_rows(const vpsde_h5_input *input, size_t first, size_t n,
                                      double *out)
{
    return read_rows_as(input, H5T_NATIVE_DOUBLE, first, n, out);
}

vpsde_status vpsde_h5_input_read_raw_rows(const vpsde_h5_input *input, size_t first, size_t n,
                                          void *out)
{
    return read_rows_as(input, input->handles->memory_type, first, n, out);
}
