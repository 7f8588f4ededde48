/* Numbers as files hold them, to double. Whole numbers above 2^53 round to nearest. */
#include <stdint.h>

#include "core/data_reader.h"
#include "core/half.h"

#define CONVERT(name, type, value)                                                                 \
    static void name(size_t count, double *out, const void *values, double scale, double shift)    \
    {                                                                                              \
        const type *x = values;                                                                    \
        for (size_t e = 0; e < count; e++) out[e] = scale * (double)(value) + shift;               \
    }

CONVERT(from_b1, uint8_t, x[e] != 0)
CONVERT(from_u1, uint8_t, x[e])
CONVERT(from_u2, uint16_t, x[e])
CONVERT(from_u4, uint32_t, x[e])
CONVERT(from_u8, uint64_t, x[e])
CONVERT(from_i1, int8_t, x[e])
CONVERT(from_i2, int16_t, x[e])
CONVERT(from_i4, int32_t, x[e])
CONVERT(from_i8, int64_t, x[e])
CONVERT(from_f2, uint16_t, vpsde_f16_to_f32(x[e]))
CONVERT(from_f4, float, x[e])
CONVERT(from_f8, double, x[e])

static const vpsde_element elements[] = {
    {'b', 1, "bool", from_b1},    {'u', 1, "uint8", from_u1},   {'u', 2, "uint16", from_u2},
    {'u', 4, "uint32", from_u4},  {'u', 8, "uint64", from_u8},  {'i', 1, "int8", from_i1},
    {'i', 2, "int16", from_i2},   {'i', 4, "int32", from_i4},   {'i', 8, "int64", from_i8},
    {'f', 2, "float16", from_f2}, {'f', 4, "float32", from_f4}, {'f', 8, "float64", from_f8},
};

const vpsde_element *vpsde_element_find(char kind, size_t size)
{
    for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
        if (elements[i].kind == kind && elements[i].size == size) return &elements[i];
    }
    return NULL;
}
