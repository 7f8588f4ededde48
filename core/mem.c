#include "core/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, WORD_MAX = 63 };

vpsde_status vpsde_size_mul(size_t *out, size_t a, size_t b, const char *what)
{
    if (__builtin_mul_overflow(a, b, out)) {
        return vpsde_fail(VPSDE_EINVAL, "%s: %zu times %zu does not fit this machine", what, a, b);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_alloc(void *out, size_t count, size_t size)
{
    size_t bytes;
    memset(out, 0, sizeof(void *));
    VPSDE_TRY(vpsde_size_mul(&bytes, count, size, "allocation"));
    if (bytes > SIZE_MAX - ALIGNMENT) {
        return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", bytes);
    }
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
    if (!memory) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", bytes);
    memset(memory, 0, bytes);
    memcpy(out, &memory, sizeof(memory));
    return VPSDE_OK;
}

vpsde_status vpsde_strdup(char **out, const char *text)
{
    *out = NULL;
    if (!text) return VPSDE_OK;
    *out = strdup(text);
    if (!*out) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", strlen(text) + 1);
    return VPSDE_OK;
}

static vpsde_status format_in(char **out, const char *format, va_list args)
{
    if (vasprintf(out, format, args) >= 0) return VPSDE_OK;
    *out = NULL;
    return vpsde_fail(VPSDE_ENOMEM, "cannot allocate a message");
}

vpsde_status vpsde_format(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const vpsde_status status = format_in(out, format, args);
    va_end(args);
    return status;
}

vpsde_status vpsde_append(char **text, const char *format, ...)
{
    char *piece, *longer = NULL;
    va_list args;
    va_start(args, format);
    vpsde_status status = format_in(&piece, format, args);
    va_end(args);
    if (status == VPSDE_OK) status = vpsde_format(&longer, "%s%s", *text ? *text : "", piece);
    free(piece);
    free(*text);
    *text = longer;
    return status;
}

bool vpsde_ends_in(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

void vpsde_flatten(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        const bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (c1) c[1] = ' ';
        if (c1 || *c < ' ' || *c == 0x7f) *c = ' ';
    }
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Levenshtein distance by one rolling row, capitals as small letters; words longer than WORD_MAX count as
 * far. */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    size_t row[WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX) return WORD_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t replaced = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            size_t best = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
            if (replaced < best) best = replaced;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *vpsde_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        const size_t distance = edit_distance(word, names[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}
