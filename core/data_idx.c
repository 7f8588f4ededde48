/* IDX, the format of MNIST (LeCun, Cortes, Burges: "The MNIST database"): two zero bytes, a type, the
 * number of axes, the axes as big-endian 32-bit numbers, the values big-endian. */
#include "core/data_reader.h"

enum { MAGIC = 4, AXIS = 4 };

static const struct {
    unsigned char code;
    char kind;
    size_t size;
} types[] = {
    {0x08, 'u', 1}, {0x09, 'i', 1}, {0x0b, 'i', 2}, {0x0c, 'i', 4}, {0x0d, 'f', 4}, {0x0e, 'f', 8},
};

static const vpsde_element *find_type(unsigned char code)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].code == code) return vpsde_element_find(types[i].kind, types[i].size);
    }
    return NULL;
}

vpsde_status vpsde_idx_layout(vpsde_layout *layout, const unsigned char *head, size_t n,
                              const char *path)
{
    if (n < MAGIC) return vpsde_fail(VPSDE_EDATA, "%s: an IDX file of only %zu bytes", path, n);
    layout->element = find_type(head[2]);
    if (!layout->element) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: IDX type 0x%02x is unknown, expected 0x08, 0x09 or 0x0b to 0x0e, at "
                          "byte 2",
                          path, head[2]);
    }
    layout->axes = head[3];
    if (layout->axes < 1 || layout->axes > VPSDE_DATA_AXES_MAX) {
        return vpsde_fail(VPSDE_EDATA, "%s: IDX with %zu axes, expected 1 to %d, at byte 3", path,
                          layout->axes, VPSDE_DATA_AXES_MAX);
    }
    layout->start = MAGIC + AXIS * layout->axes;
    if (n < layout->start) {
        return vpsde_fail(VPSDE_EDATA, "%s: ends within its IDX header, at byte %zu", path, n);
    }
    for (size_t i = 0; i < layout->axes; i++) {
        const unsigned char *axis = head + MAGIC + AXIS * i;
        layout->dims[i] =
            (size_t)axis[0] << 24 | (size_t)axis[1] << 16 | (size_t)axis[2] << 8 | axis[3];
    }
    layout->big_endian = true;
    return VPSDE_OK;
}
