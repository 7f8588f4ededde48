/* Tensors as float32, of an expected shape, finite. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/half.h"
#include "core/safetensors.h"

/* Element i of raw little-endian data as double; exact for all four. */
static double get_f32(const unsigned char *data, size_t i)
{
    float value;
    memcpy(&value, data + i * sizeof(value), sizeof(value));
    return (double)value;
}

static double get_f64(const unsigned char *data, size_t i)
{
    double value;
    memcpy(&value, data + i * sizeof(value), sizeof(value));
    return value;
}

static double get_f16(const unsigned char *data, size_t i)
{
    uint16_t bits;
    memcpy(&bits, data + i * sizeof(bits), sizeof(bits));
    return (double)vpsde_f16_to_f32(bits);
}

static double get_bf16(const unsigned char *data, size_t i)
{
    uint16_t bits;
    memcpy(&bits, data + i * sizeof(bits), sizeof(bits));
    return (double)vpsde_bf16_to_f32(bits);
}

static const struct {
    const char *dtype;
    double (*get)(const unsigned char *data, size_t i);
} floats[] = {{"F32", get_f32}, {"F64", get_f64}, {"F16", get_f16}, {"BF16", get_bf16}};

static void shape_text(char *text, size_t size, size_t rank, const size_t *dims)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (size_t i = 0; i < rank && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, i ? ", %zu" : "%zu", dims[i]);
    }
    if (used < size) snprintf(text + used, size - used, ")");
}

static vpsde_status check_shape(const vpsde_tensor *tensor, const char *path, size_t rank,
                                const size_t *dims)
{
    char found[192], expected[192];
    bool same = tensor->rank == rank;
    for (size_t i = 0; same && i < rank; i++) same = tensor->dims[i] == dims[i];
    if (same) return VPSDE_OK;
    shape_text(found, sizeof(found), tensor->rank, tensor->dims);
    shape_text(expected, sizeof(expected), rank, dims);
    return vpsde_fail(VPSDE_EDATA, "%s: tensor %.200s: shape %s, expected %s", path, tensor->name,
                      found, expected);
}

/* What most files hold, without a call an element; false when an element is not finite. */
static bool copy_f32(float *out, const vpsde_tensor *tensor)
{
    size_t bad = 0;
    memcpy(out, tensor->data, tensor->count * sizeof(*out));
    for (size_t e = 0; e < tensor->count; e++) bad += !(fabsf(out[e]) <= FLT_MAX);
    return bad == 0;
}

vpsde_status vpsde_safetensors_read_f32(const vpsde_safetensors *file, const char *name, float *out,
                                        size_t rank, const size_t *dims)
{
    const char *path = vpsde_safetensors_path(file);
    const vpsde_tensor *tensor = vpsde_safetensors_find(file, name);
    double (*get)(const unsigned char *, size_t) = NULL;
    size_t bad = 0, first = 0;
    if (!tensor) return vpsde_fail(VPSDE_EDATA, "%s: tensor %.200s is missing", path, name);
    VPSDE_TRY(check_shape(tensor, path, rank, dims));
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
        if (strcmp(floats[i].dtype, tensor->dtype) == 0) get = floats[i].get;
    }
    if (!get) {
        return vpsde_fail(VPSDE_EDATA, "%s: tensor %.200s: %s, expected F32, F64, F16 or BF16",
                          path, name, tensor->dtype);
    }
    if (out && get == get_f32 && copy_f32(out, tensor)) return VPSDE_OK;
    for (size_t e = 0; out && e < tensor->count; e++) {
        const double value = get(tensor->data, e);
        const bool fits = fabs(value) <= (double)FLT_MAX; /* false for NaN */
        out[e] = fits ? (float)value : 0.0f;
        if (!fits && bad++ == 0) first = e;
    }
    if (bad == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: tensor %.200s: element %zu is %g, expected a finite float32 (%zu of %zu "
                      "elements)",
                      path, name, first, get(tensor->data, first), bad, tensor->count);
}
