/* safetensors files: named tensors and a metadata map (https://github.com/huggingface/safetensors).
 * Hostile files are refused by name and offset before anything is allocated for them: header
 * <= 100 MB and within the file, no holes, overlaps, duplicates, unknown types, wrapped products,
 * depth bombs. */
#ifndef VPSDE_CORE_SAFETENSORS_H
#define VPSDE_CORE_SAFETENSORS_H

#include <stddef.h>

#include <vpsde/status.h>

#define VPSDE_TENSOR_RANK_MAX 8

typedef struct vpsde_safetensors vpsde_safetensors;

typedef struct vpsde_tensor {
    const char *name;
    const char *dtype; /* "F32", "F64", "F16", "BF16", "I64", ... */
    size_t rank, dims[VPSDE_TENSOR_RANK_MAX];
    size_t count;     /* elements */
    const void *data; /* raw little-endian; aligned to 8 bytes or not */
} vpsde_tensor;

/* Reads a whole file (pread, never mmap). EDATA names tensor and byte, or why it cannot be read. */
vpsde_status vpsde_safetensors_open(vpsde_safetensors **out, const char *path);
/* The same of a file's bytes, of which it keeps a copy; `path` stands for it in messages. */
vpsde_status vpsde_safetensors_parse(vpsde_safetensors **out, const void *bytes, size_t size,
                                     const char *path);
void vpsde_safetensors_close(vpsde_safetensors *file);
size_t vpsde_safetensors_count(const vpsde_safetensors *file);
const vpsde_tensor *vpsde_safetensors_at(const vpsde_safetensors *file, size_t index);
const vpsde_tensor *vpsde_safetensors_find(const vpsde_safetensors *file, const char *name);
const char *vpsde_safetensors_metadata(const vpsde_safetensors *file,
                                       const char *key); /* or NULL */
const char *vpsde_safetensors_path(const vpsde_safetensors *file);
/* Hex SHA-256 of the file's bytes; borrowed. */
const char *vpsde_safetensors_sha256(const vpsde_safetensors *file);
/* Copies a tensor of exactly this shape as float32 (from F32, F64, F16, BF16); refuses NaN and Inf.
 * out = NULL: only whether shape and type are right.
 * EDATA "tensor NAME: shape (a, b), expected (c, d)". */
vpsde_status vpsde_safetensors_read_f32(const vpsde_safetensors *file, const char *name, float *out,
                                        size_t rank, const size_t *dims);

/* Writing: durable (temporary file, fsync, rename, fsync of the folder). F32 and F64 tensors.
 * EIO leaves the old file and no temporary one; EINVAL for what the format forbids. */
typedef struct vpsde_tensor_out {
    const char *name, *dtype;
    size_t rank, dims[VPSDE_TENSOR_RANK_MAX];
    const void *data;
} vpsde_tensor_out;
typedef struct vpsde_metadata {
    const char *key, *value;
} vpsde_metadata;
vpsde_status vpsde_safetensors_write(const char *path, const vpsde_tensor_out *tensors, size_t n,
                                     const vpsde_metadata *metadata, size_t n_metadata);

#endif
