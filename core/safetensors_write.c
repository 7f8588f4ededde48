/* Writing safetensors: the same tensors and metadata give the same bytes, and PATH is either the old
 * file or the complete new one, also after a power cut. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/safetensors.h"

enum { PREFIX = 8, TRIES = 100 };

static size_t element_size(const char *dtype)
{
    if (strcmp(dtype, "F32") == 0) return sizeof(float);
    if (strcmp(dtype, "F64") == 0) return sizeof(double);
    return 0;
}

static vpsde_status tensor_bytes(size_t *bytes, const vpsde_tensor_out *tensor)
{
    *bytes = element_size(tensor->dtype);
    if (*bytes == 0) {
        return vpsde_fail(VPSDE_EINVAL, "tensor %s: %s cannot be written, only F32 and F64",
                          tensor->name, tensor->dtype);
    }
    if (tensor->rank > VPSDE_TENSOR_RANK_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "tensor %s: rank %zu, at most %d", tensor->name,
                          tensor->rank, VPSDE_TENSOR_RANK_MAX);
    }
    for (size_t i = 0; i < tensor->rank; i++) {
        VPSDE_TRY(vpsde_size_mul(bytes, *bytes, tensor->dims[i], tensor->name));
    }
    return VPSDE_OK;
}

static vpsde_status no_memory(void)
{
    return vpsde_fail(VPSDE_ENOMEM, "cannot allocate memory for a safetensors header");
}

/* Takes over `value`, which is NULL where it is no UTF-8 or memory has ended: errno, which
 * make_header() has cleared, tells which. */
static vpsde_status put(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return vpsde_fail(VPSDE_EINVAL, "safetensors: %s is given twice", key);
    }
    if (json_object_set_new(object, key, value) == 0) return VPSDE_OK;
    if (errno == ENOMEM) return no_memory();
    return vpsde_fail(VPSDE_EINVAL, "safetensors: %s cannot be stored: it must be valid UTF-8",
                      key);
}

static json_t *shape_json(const vpsde_tensor_out *tensor)
{
    json_t *shape = json_array();
    for (size_t i = 0; shape && i < tensor->rank; i++) {
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->dims[i])) == 0) continue;
        json_decref(shape);
        shape = NULL;
    }
    return shape;
}

static vpsde_status put_tensor(json_t *header, const vpsde_tensor_out *tensor, size_t *end)
{
    const size_t begin = *end;
    size_t bytes;
    if (strcmp(tensor->name, "__metadata__") == 0) {
        return vpsde_fail(VPSDE_EINVAL, "tensor __metadata__: the format reserves this name");
    }
    VPSDE_TRY(tensor_bytes(&bytes, tensor));
    if (__builtin_add_overflow(begin, bytes, end) || *end > INT64_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "tensor %s: the file would be too large", tensor->name);
    }
    return put(header, tensor->name,
               json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype, "shape",
                         shape_json(tensor), "data_offsets", (json_int_t)begin, (json_int_t)*end));
}

static vpsde_status fill_header(json_t *header, const vpsde_tensor_out *tensors, size_t n,
                                const vpsde_metadata *metadata, size_t n_metadata)
{
    size_t end = 0;
    if (n_metadata > 0) {
        json_t *map = json_object();
        VPSDE_TRY(put(header, "__metadata__", map));
        for (size_t i = 0; i < n_metadata; i++) {
            VPSDE_TRY(put(map, metadata[i].key, json_string(metadata[i].value)));
        }
    }
    for (size_t i = 0; i < n; i++) VPSDE_TRY(put_tensor(header, &tensors[i], &end));
    return VPSDE_OK;
}

/* The length prefix and the header, padded with blanks so that the data starts at a multiple of 8. */
static vpsde_status make_header(char **out, size_t *size, const vpsde_tensor_out *tensors, size_t n,
                                const vpsde_metadata *metadata, size_t n_metadata)
{
    errno = 0;
    json_t *header = json_object();
    if (!header) return no_memory();
    vpsde_status status = fill_header(header, tensors, n, metadata, n_metadata);
    char *text = status == VPSDE_OK ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    VPSDE_TRY(status);
    if (!text || errno == ENOMEM) { /* for want of which json_dumps() leaves out letters of keys */
        free(text);
        return no_memory();
    }
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    status = vpsde_alloc(out, PREFIX + padded, 1);
    if (status == VPSDE_OK) {
        for (size_t i = 0; i < PREFIX; i++) (*out)[i] = (char)(padded >> 8 * i & 0xff);
        memset(*out + PREFIX, ' ', padded);
        memcpy(*out + PREFIX, text, length);
        *size = PREFIX + padded;
    }
    free(text);
    return status;
}

static int write_file(int fd, const char *header, size_t size, const vpsde_tensor_out *tensors,
                      size_t n)
{
    if (vpsde_fd_write(fd, header, size) != 0) return -1;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = element_size(tensors[i].dtype);
        for (size_t k = 0; k < tensors[i].rank; k++) bytes *= tensors[i].dims[k];
        if (vpsde_fd_write(fd, tensors[i].data, bytes) != 0) return -1;
    }
    return vpsde_fd_sync(fd);
}

static vpsde_status storage_failed(const char *path)
{
    return vpsde_fail(VPSDE_EIO, "%s: cannot be written: %s", path, strerror(errno));
}

/* A new file beside `path`, its name in *temporary. */
static vpsde_status create_beside(int *fd, char **temporary, const char *path)
{
    for (int k = 0; k < TRIES; k++) {
        VPSDE_TRY(vpsde_format(temporary, "%s.%ld-%d.tmp", path, (long)getpid(), k));
        *fd = vpsde_fd_open(AT_FDCWD, *temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
        if (*fd >= 0) return VPSDE_OK;
        const bool taken = errno == EEXIST;
        (void)storage_failed(path);
        free(*temporary);
        *temporary = NULL;
        if (!taken) return VPSDE_EIO;
    }
    return VPSDE_EIO;
}

vpsde_status vpsde_safetensors_write(const char *path, const vpsde_tensor_out *tensors, size_t n,
                                     const vpsde_metadata *metadata, size_t n_metadata)
{
    char *header = NULL, *temporary = NULL;
    size_t size = 0;
    int fd = -1;
    VPSDE_TRY(make_header(&header, &size, tensors, n, metadata, n_metadata));
    vpsde_status status = create_beside(&fd, &temporary, path);
    if (fd >= 0 && write_file(fd, header, size, tensors, n) != 0) status = storage_failed(path);
    if (fd >= 0 && close(fd) != 0 && status == VPSDE_OK) status = storage_failed(path);
    if (status == VPSDE_OK && rename(temporary, path) != 0) status = storage_failed(path);
    if (status == VPSDE_OK)
        status = vpsde_sync_folder_of(path);
    else if (temporary)
        unlink(temporary);
    free(temporary);
    free(header);
    return status;
}
