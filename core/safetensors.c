/* Reading safetensors: 8 bytes little-endian header length, a JSON object of tensors, raw data.
 * The rules are those of the format's specification (huggingface/safetensors, README "Format"),
 * every one checked before memory is taken for what the header claims. */
#include "core/safetensors.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/sha256.h"

enum {
    PREFIX = 8,
    HEADER_MAX = 100 * 1000 * 1000,
    TENSORS_MAX = 65536,
};

/* Header, tensor, its shape; 65,536 tensors need 16 commas each at most. */
static const vpsde_json_in_limits limits = {.depth = 3, .commas = 1 << 20};

struct vpsde_safetensors {
    char *path;
    char sha256[65];
    vpsde_json_in *header; /* owns every name, dtype and metadata text */
    vpsde_json_in *metadata;
    size_t count;
    vpsde_tensor *tensors;        /* in the header's order */
    const vpsde_tensor **by_name; /* sorted */
    unsigned char *bytes;         /* the whole file */
};

/* Where a tensor's bytes are, counted from the end of the header. */
typedef struct span {
    size_t begin, end;
    vpsde_tensor *tensor;
} span;

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    {"F32", 4}, {"F64", 8}, {"F16", 2},     {"BF16", 2},    {"I64", 8},     {"I32", 4},
    {"I16", 2}, {"I8", 1},  {"U8", 1},      {"BOOL", 1},    {"U16", 2},     {"U32", 4},
    {"U64", 8}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
};

static size_t dtype_size(const char *name)
{
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        if (strcmp(dtypes[i].name, name) == 0) return dtypes[i].size;
    }
    return 0;
}

/* Byte of `"name":` in the header, for messages; the header's first byte when it is escaped. */
static size_t place(const unsigned char *header, size_t length, const char *name)
{
    const size_t n = strlen(name);
    for (size_t at = 1; at + n + 1 < length; at++) {
        if (header[at - 1] != '"' || memcmp(header + at, name, n) != 0) continue;
        if (header[at + n] == '"' && header[at + n + 1] == ':') return PREFIX + at - 1;
    }
    return PREFIX;
}

static vpsde_status parse_header(vpsde_json_in **out, const unsigned char *text, size_t length,
                                 const char *path)
{
    vpsde_json_in_error error;
    if (text[0] != '{') {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: header must start with '{', found byte 0x%02x, at byte 8", path,
                          text[0]);
    }
    if (vpsde_json_in_parse(out, &error, (const char *)text, length, &limits)) return VPSDE_OK;
    return vpsde_fail(error.memory ? VPSDE_ENOMEM : VPSDE_EDATA, "%s: header %s, at byte %zu", path,
                      error.text, PREFIX + error.position);
}

static vpsde_status read_metadata(vpsde_safetensors *file)
{
    const char *key;
    vpsde_json_in *value;
    void *at = NULL;
    file->metadata = vpsde_json_in_get(file->header, "__metadata__");
    if (!file->metadata) return VPSDE_OK;
    if (vpsde_json_in_kind_of(file->metadata) != VPSDE_JSON_IN_MAP) {
        return vpsde_fail(VPSDE_EDATA, "%s: __metadata__ must be a map of strings", file->path);
    }
    while (vpsde_json_in_next(&at, &key, &value, file->metadata)) {
        if (vpsde_json_in_text(value)) continue;
        return vpsde_fail(VPSDE_EDATA, "%s: __metadata__ key %.200s must be a string", file->path,
                          key);
    }
    return VPSDE_OK;
}

/* Fills shape and count; the sentence of what is wrong, or NULL. */
static const char *read_shape(vpsde_tensor *tensor, const vpsde_json_in *shape)
{
    if (vpsde_json_in_kind_of(shape) != VPSDE_JSON_IN_LIST)
        return "shape must be a list of whole numbers";
    if (vpsde_json_in_size(shape) > VPSDE_TENSOR_RANK_MAX)
        return "shape has more than 8 dimensions";
    tensor->rank = vpsde_json_in_size(shape);
    tensor->count = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!vpsde_json_in_size_of(&tensor->dims[i], vpsde_json_in_at(shape, i))) {
            return "shape must hold whole numbers >= 0";
        }
        if (__builtin_mul_overflow(tensor->count, tensor->dims[i], &tensor->count)) {
            return "the product of the shape does not fit this machine";
        }
    }
    return NULL;
}

/* One entry of the header; the sentence of what is wrong, or NULL. */
static const char *read_entry(vpsde_tensor *tensor, span *where, const vpsde_json_in *entry,
                              size_t data_size)
{
    const vpsde_json_in *dtype = vpsde_json_in_get(entry, "dtype");
    const vpsde_json_in *offsets = vpsde_json_in_get(entry, "data_offsets");
    size_t bytes;
    if (vpsde_json_in_kind_of(entry) != VPSDE_JSON_IN_MAP) return "its entry must be a JSON object";
    if (!vpsde_json_in_text(dtype)) return "dtype is missing";
    tensor->dtype = vpsde_json_in_text(dtype);
    const size_t size = dtype_size(tensor->dtype);
    if (size == 0) return "dtype is unknown; F64, F32, F16, BF16, I8 to I64, U8 to U64 are known";
    const char *wrong = read_shape(tensor, vpsde_json_in_get(entry, "shape"));
    if (wrong) return wrong;
    if (vpsde_json_in_kind_of(offsets) != VPSDE_JSON_IN_LIST || vpsde_json_in_size(offsets) != 2 ||
        !vpsde_json_in_size_of(&where->begin, vpsde_json_in_at(offsets, 0)) ||
        !vpsde_json_in_size_of(&where->end, vpsde_json_in_at(offsets, 1))) {
        return "data_offsets must be two whole numbers >= 0";
    }
    if (vpsde_json_in_size(entry) != 3) return "only dtype, shape and data_offsets are allowed";
    if (where->begin > where->end) return "data_offsets end before they begin";
    if (where->end > data_size) return "data_offsets lie outside the file";
    if (__builtin_mul_overflow(tensor->count, size, &bytes)) {
        return "the product of the shape does not fit this machine";
    }
    if (where->end - where->begin != bytes) {
        return "data_offsets are not as far apart as shape and dtype say";
    }
    return NULL;
}

static int compare_spans(const void *left, const void *right)
{
    const span *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return 0;
}

static int compare_names(const void *left, const void *right)
{
    const vpsde_tensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* Tensors must tile the data exactly: no hole, no overlap, nothing behind the last one. */
static vpsde_status check_tiling(span *spans, size_t count, size_t start, size_t data_size,
                                 const char *path)
{
    size_t at = 0;
    if (count > 0) qsort(spans, count, sizeof(*spans), compare_spans);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].begin != at) {
            return vpsde_fail(
                VPSDE_EDATA,
                "%s: tensor %.200s: begins %zu bytes into the data where %zu was expected "
                "(%s), at byte %zu",
                path, spans[i].tensor->name, spans[i].begin, at,
                spans[i].begin < at ? "an overlap" : "a hole", start + at);
        }
        at = spans[i].end;
    }
    if (at == data_size) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: %zu bytes that belong to no tensor, at byte %zu", path,
                      data_size - at, start + at);
}

static vpsde_status read_entries(vpsde_safetensors *file, span *spans, const unsigned char *text,
                                 size_t length, size_t data_size)
{
    const char *name;
    vpsde_json_in *entry;
    void *at = NULL;
    size_t i = 0;
    while (vpsde_json_in_next(&at, &name, &entry, file->header)) {
        if (entry == file->metadata) continue;
        vpsde_tensor *tensor = &file->tensors[i];
        const char *wrong = read_entry(tensor, &spans[i], entry, data_size);
        if (wrong) {
            return vpsde_fail(VPSDE_EDATA, "%s: tensor %.200s: %s, at byte %zu", file->path, name,
                              wrong, place(text, length, name));
        }
        tensor->name = name;
        spans[i].tensor = tensor;
        file->by_name[i++] = tensor;
    }
    return check_tiling(spans, file->count, PREFIX + length, data_size, file->path);
}

/* The header as JSON, its metadata, and room for its tensors. */
static vpsde_status read_header(vpsde_safetensors *file, const unsigned char *text, size_t length)
{
    VPSDE_TRY(parse_header(&file->header, text, length, file->path));
    VPSDE_TRY(read_metadata(file));
    file->count = vpsde_json_in_size(file->header) - (file->metadata ? 1 : 0);
    if (file->count > TENSORS_MAX) {
        return vpsde_fail(VPSDE_EDATA, "%s: %zu tensors, at most %d are read, at byte %d",
                          file->path, file->count, TENSORS_MAX, PREFIX);
    }
    VPSDE_TRY(vpsde_alloc(&file->tensors, file->count, sizeof(*file->tensors)));
    VPSDE_TRY(vpsde_alloc(&file->by_name, file->count, sizeof(*file->by_name)));
    return VPSDE_OK;
}

/* A file, or its bytes in memory. */
typedef struct source {
    const char *path;
    size_t size;
    int fd;
    const unsigned char *bytes; /* NULL: in the file */
} source;

/* Of what the size says is there. */
static vpsde_status take(const source *from, void *out, size_t n, size_t offset)
{
    if (!from->bytes) return vpsde_file_read(from->fd, out, n, offset, from->path);
    memcpy(out, from->bytes + offset, n);
    return VPSDE_OK;
}

/* The data, once the header is known to describe exactly this many bytes. */
static vpsde_status read_data(vpsde_safetensors *file, const span *spans, const source *from,
                              size_t start, const unsigned char *prefix, const unsigned char *text)
{
    VPSDE_TRY(vpsde_file_budget(from->size, file->path));
    VPSDE_TRY(vpsde_alloc(&file->bytes, from->size, 1));
    memcpy(file->bytes, prefix, PREFIX);
    memcpy(file->bytes + PREFIX, text, start - PREFIX);
    VPSDE_TRY(take(from, file->bytes + start, from->size - start, start));
    vpsde_sha256(file->sha256, file->bytes, from->size);
    for (size_t i = 0; i < file->count; i++) {
        spans[i].tensor->data = file->bytes + start + spans[i].begin;
    }
    if (file->count > 0) {
        qsort(file->by_name, file->count, sizeof(*file->by_name), compare_names);
    }
    return VPSDE_OK;
}

static vpsde_status header_length(size_t *length, const unsigned char *prefix, size_t size,
                                  const char *path)
{
    uint64_t value = 0;
    for (size_t i = PREFIX; i-- > 0;) value = value << 8 | prefix[i];
    if (value >= 2 && value <= HEADER_MAX && value <= size - PREFIX) {
        *length = (size_t)value;
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EDATA,
                      "%s: header of %llu bytes, expected 2 to %zu (the file has %zu), at byte 0",
                      path, (unsigned long long)value,
                      size - PREFIX < HEADER_MAX ? size - PREFIX : (size_t)HEADER_MAX, size);
}

static vpsde_status read_parts(vpsde_safetensors *file, const source *from)
{
    unsigned char prefix[PREFIX], *text = NULL;
    span *spans = NULL;
    size_t length = 0;
    if (from->size < PREFIX + 2) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: %zu bytes are too few for a safetensors file, at byte 0", file->path,
                          from->size);
    }
    VPSDE_TRY(take(from, prefix, PREFIX, 0));
    VPSDE_TRY(header_length(&length, prefix, from->size, file->path));
    const size_t start = PREFIX + length;
    vpsde_status status = vpsde_alloc(&text, length, 1);
    if (status == VPSDE_OK) status = take(from, text, length, PREFIX);
    if (status == VPSDE_OK) status = read_header(file, text, length);
    if (status == VPSDE_OK) status = vpsde_alloc(&spans, file->count, sizeof(*spans));
    if (status == VPSDE_OK) status = read_entries(file, spans, text, length, from->size - start);
    if (status == VPSDE_OK) status = read_data(file, spans, from, start, prefix, text);
    free(spans);
    free(text);
    return status;
}

static vpsde_status create(vpsde_safetensors **out, const source *from)
{
    vpsde_safetensors *file;
    VPSDE_TRY(vpsde_alloc(&file, 1, sizeof(*file)));
    vpsde_status status = vpsde_strdup(&file->path, from->path);
    if (status == VPSDE_OK) status = read_parts(file, from);
    if (status == VPSDE_OK) {
        *out = file;
    } else {
        vpsde_safetensors_close(file);
    }
    return status;
}

vpsde_status vpsde_safetensors_open(vpsde_safetensors **out, const char *path)
{
    source from = {.path = path};
    *out = NULL;
    VPSDE_TRY(vpsde_file_open(&from.fd, &from.size, path));
    const vpsde_status status = create(out, &from);
    close(from.fd);
    return status;
}

vpsde_status vpsde_safetensors_parse(vpsde_safetensors **out, const void *bytes, size_t size,
                                     const char *path)
{
    *out = NULL;
    return create(out, &(source){.path = path, .size = size, .bytes = bytes});
}

void vpsde_safetensors_close(vpsde_safetensors *file)
{
    if (!file) return;
    vpsde_json_in_free(file->header);
    free(file->tensors);
    free(file->by_name);
    free(file->bytes);
    free(file->path);
    free(file);
}

size_t vpsde_safetensors_count(const vpsde_safetensors *file) { return file->count; }

const vpsde_tensor *vpsde_safetensors_at(const vpsde_safetensors *file, size_t index)
{
    return index < file->count ? &file->tensors[index] : NULL;
}

const vpsde_tensor *vpsde_safetensors_find(const vpsde_safetensors *file, const char *name)
{
    const vpsde_tensor wanted = {.name = name}, *key = &wanted;
    if (file->count == 0) return NULL;
    const vpsde_tensor *const *found =
        bsearch(&key, file->by_name, file->count, sizeof(*file->by_name), compare_names);
    return found ? *found : NULL;
}

const char *vpsde_safetensors_metadata(const vpsde_safetensors *file, const char *key)
{
    return vpsde_json_in_text(vpsde_json_in_get(file->metadata, key));
}

const char *vpsde_safetensors_path(const vpsde_safetensors *file) { return file->path; }

const char *vpsde_safetensors_sha256(const vpsde_safetensors *file) { return file->sha256; }
