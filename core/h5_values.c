#include "core/h5_values.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5_read.h"
#include "core/mem.h"
#include "core/number.h"

enum { FIRST, SECOND, FILES };
enum { BLOCK_BYTES = 4 << 20, TEXT = 160 };

/* Where two datasets differ. */
typedef struct found {
    size_t elements, rows;
    size_t at; /* flat index of the first */
    unsigned char value[FILES][sizeof(double)];
} found;

static void print_value(char text[TEXT], const vpsde_h5_input *input, const void *value)
{
    uint64_t bits = 0;
    memcpy(&bits, value, input->size); /* little-endian, as all this code is built for */
    if (input->kind == 'f') {
        double number;
        float narrow;
        memcpy(&narrow, value, sizeof(narrow));
        memcpy(&number, value, sizeof(number));
        vpsde_format_real(text, TEXT, input->size == sizeof(float) ? (double)narrow : number, 1);
    } else if (input->kind == 'i') {
        const unsigned unused = (unsigned)(64 - 8 * input->size);
        snprintf(text, TEXT, "%lld", (long long)((int64_t)(bits << unused) >> unused));
    } else {
        snprintf(text, TEXT, "%llu", (unsigned long long)bits);
    }
}

/* "sample 17" */
static void name_row(char text[TEXT], const char *file, const char *path, size_t row)
{
    vpsde_h5_input axis;
    double number;
    snprintf(text, TEXT, "row %zu", row);
    if (!path || vpsde_h5_input_open_rows(&axis, file, path) != VPSDE_OK) return;
    if (axis.rank == 1 && row < axis.dims[0] &&
        vpsde_h5_input_read_rows(&axis, row, 1, &number) == VPSDE_OK) {
        snprintf(text, TEXT, "%s %.0f", strrchr(path, '/') + 1, number);
    }
    vpsde_h5_input_close(&axis);
}

/* " [0, 2]", the place within the row; nothing where a row is one number. */
static void name_place(char text[TEXT], const vpsde_h5_input *input, size_t within)
{
    size_t index[VPSDE_H5_AXES_MAX] = {0}, used = 0;
    for (size_t a = input->rank; a-- > 1; within /= input->dims[a]) {
        index[a] = within % input->dims[a];
    }
    text[0] = '\0';
    for (size_t a = 1; a < input->rank && used < TEXT; a++) {
        used += (size_t)snprintf(text + used, TEXT - used, "%s%zu%s", a == 1 ? " [" : ", ",
                                 index[a], a + 1 == input->rank ? "]" : "");
    }
}

static void print_found(char line[VPSDE_H5_DIFFERENCE], const found *f, const vpsde_h5_input *input,
                        const char *file, const char *axis)
{
    char row[TEXT], place[TEXT], value[FILES][TEXT];
    for (size_t side = 0; side < FILES; side++) print_value(value[side], input, f->value[side]);
    const size_t rows = input->dims[0], width = input->count / rows;
    name_row(row, file, axis, f->at / width);
    name_place(place, input, f->at % width);
    const bool alike = strcmp(value[FIRST], value[SECOND]) == 0; /* NaNs of other bits */
    snprintf(line, VPSDE_H5_DIFFERENCE,
             "%zu of %zu values differ, in %zu of %zu rows; first %s%s: %s and %s%s", f->elements,
             input->count, f->rows, rows, row, place, value[FIRST], value[SECOND],
             alike ? " of other bits" : "");
}

static void look_at_rows(found *f, const vpsde_h5_input *input, size_t first, size_t n,
                         unsigned char *const data[FILES])
{
    const size_t width = input->count / input->dims[0], size = input->size;
    for (size_t i = 0; i < n; i++) {
        const size_t before = f->elements;
        for (size_t e = i * width; e < (i + 1) * width; e++) {
            if (memcmp(data[FIRST] + e * size, data[SECOND] + e * size, size) == 0) continue;
            if (f->elements++ > 0) continue;
            f->at = first * width + e;
            for (size_t side = 0; side < FILES; side++) {
                memcpy(f->value[side], data[side] + e * size, size);
            }
        }
        f->rows += f->elements > before;
    }
}

static vpsde_status look_at_blocks(found *f, const vpsde_h5_input input[FILES],
                                   unsigned char *const data[FILES], size_t block)
{
    const size_t rows = input->dims[0], row_bytes = input->count / rows * input->size;
    for (size_t first = 0; first < rows; first += block) {
        const size_t n = rows - first < block ? rows - first : block;
        for (size_t side = 0; side < FILES; side++) {
            VPSDE_TRY(vpsde_h5_input_read_raw_rows(&input[side], first, n, data[side]));
        }
        if (memcmp(data[FIRST], data[SECOND], n * row_bytes) == 0) continue;
        look_at_rows(f, input, first, n, data);
    }
    return VPSDE_OK;
}

static vpsde_status find_differences(found *f, const vpsde_h5_input input[FILES])
{
    unsigned char *data[FILES] = {NULL};
    if (input->rank == 0 || input->count == 0) return VPSDE_OK; /* vpsde writes none */
    const size_t row_bytes = input->count / input->dims[0] * input->size;
    const size_t block = row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
    vpsde_status status = vpsde_alloc(&data[FIRST], block, row_bytes);
    if (status == VPSDE_OK) status = vpsde_alloc(&data[SECOND], block, row_bytes);
    if (status == VPSDE_OK) status = look_at_blocks(f, input, data, block);
    free(data[FIRST]);
    free(data[SECOND]);
    return status;
}

/* "float64 (500, 2)" */
static void print_shape(char text[TEXT], const vpsde_h5_input *input)
{
    size_t used = (size_t)snprintf(text, TEXT, "%s%zu (",
                                   input->kind == 'f'   ? "float"
                                   : input->kind == 'i' ? "int"
                                                        : "uint",
                                   8 * input->size);
    for (size_t a = 0; a < input->rank && used < TEXT; a++) {
        used += (size_t)snprintf(text + used, TEXT - used, "%s%zu", a ? ", " : "", input->dims[a]);
    }
    if (used < TEXT) snprintf(text + used, TEXT - used, ")");
}

vpsde_status vpsde_h5_compare_values(char line[VPSDE_H5_DIFFERENCE], double *bytes,
                                     const char *const file[2], const char *path, const char *axis)
{
    vpsde_h5_input input[FILES] = {{0}, {0}};
    char shape[FILES][TEXT];
    found f = {0};
    line[0] = '\0';
    vpsde_status status = vpsde_h5_input_open_rows(&input[FIRST], file[FIRST], path);
    if (status == VPSDE_OK) {
        status = vpsde_h5_input_open_rows(&input[SECOND], file[SECOND], path);
    }
    if (status == VPSDE_OK) {
        for (size_t side = 0; side < FILES; side++) print_shape(shape[side], &input[side]);
        if (strcmp(shape[FIRST], shape[SECOND]) != 0) {
            snprintf(line, VPSDE_H5_DIFFERENCE, "%s and %s", shape[FIRST], shape[SECOND]);
        } else {
            status = find_differences(&f, input);
            *bytes = (double)input->count * (double)input->size;
        }
    }
    if (status == VPSDE_OK && f.elements > 0) print_found(line, &f, input, file[FIRST], axis);
    vpsde_h5_input_close(&input[FIRST]);
    vpsde_h5_input_close(&input[SECOND]);
    return status;
}
