#include "analysis/report_json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* Room for n more bytes, or NULL after a failure. */
static char *reserve(vpsde_json *j, size_t n)
{
    if (j->status != VPSDE_OK) return NULL;
    if (j->capacity - j->length < n) {
        const size_t capacity = 2 * j->capacity + n + 4096;
        char *larger = realloc(j->text, capacity);
        if (!larger) {
            j->status = vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", capacity);
            return NULL;
        }
        j->text = larger;
        j->capacity = capacity;
    }
    return j->text + j->length;
}

static void put(vpsde_json *j, const char *bytes, size_t n)
{
    char *out = reserve(j, n);
    if (!out) return;
    memcpy(out, bytes, n);
    j->length += n;
}

static void put_word(vpsde_json *j, const char *word) { put(j, word, strlen(word)); }

/* Length of the UTF-8 sequence at c, or 0 when it is none. */
static size_t sequence(const unsigned char *c)
{
    const size_t n = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if (c[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((c[i] & 0xc0) != 0x80) return 0;
    }
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f)) {
        return 0;
    }
    return n;
}

static void put_string(vpsde_json *j, const char *text)
{
    put_word(j, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        const size_t n = sequence(c);
        char escaped[8];
        if (n == 1 && (*c < 0x20 || *c == 0x7f || strchr("\"\\<>&", *c))) {
            put(j, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", *c));
        } else if (n == 0) {
            put_word(j, "\\ufffd");
        } else {
            put(j, (const char *)c, n);
        }
        c += n ? n : 1;
    }
    put_word(j, "\"");
}

static void begin(vpsde_json *j, const char *key)
{
    if (j->comma) put_word(j, ",\n");
    j->comma = true;
    if (!key) return;
    put_string(j, key);
    put_word(j, ":");
}

void vpsde_json_object(vpsde_json *j, const char *key)
{
    begin(j, key);
    put_word(j, "{");
    j->comma = false;
}

void vpsde_json_end_object(vpsde_json *j)
{
    put_word(j, "}");
    j->comma = true;
}

void vpsde_json_list(vpsde_json *j, const char *key)
{
    begin(j, key);
    put_word(j, "[");
    j->comma = false;
}

void vpsde_json_end_list(vpsde_json *j)
{
    put_word(j, "]");
    j->comma = true;
}

void vpsde_json_text(vpsde_json *j, const char *key, const char *text)
{
    begin(j, key);
    put_string(j, text ? text : "");
}

void vpsde_json_format(vpsde_json *j, const char *key, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    vpsde_json_text(j, key, text);
}

void vpsde_json_bool(vpsde_json *j, const char *key, bool value)
{
    begin(j, key);
    put_word(j, value ? "true" : "false");
}

static void put_number(vpsde_json *j, double value)
{
    char text[40] = "null";
    if (isfinite(value)) snprintf(text, sizeof(text), "%.17g", value);
    put_word(j, text);
}

void vpsde_json_number(vpsde_json *j, const char *key, double value)
{
    begin(j, key);
    put_number(j, value);
}

void vpsde_json_numbers(vpsde_json *j, const char *key, const double *values, size_t n)
{
    begin(j, key);
    put_word(j, "[");
    for (size_t i = 0; i < n; i++) {
        if (i) put_word(j, ",");
        put_number(j, values[i]);
    }
    put_word(j, "]");
}

static void put_base64(vpsde_json *j, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = reserve(j, (n + 2) / 3 * 4);
    if (!out) return;
    for (size_t i = 0; i < n; i += 3) {
        const size_t m = n - i < 3 ? n - i : 3;
        const uint32_t word = (uint32_t)bytes[i] << 16 | (m > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                              (m > 2 ? (uint32_t)bytes[i + 2] : 0);
        *out++ = digits[word >> 18];
        *out++ = digits[word >> 12 & 63];
        *out++ = m > 1 ? digits[word >> 6 & 63] : '=';
        *out++ = m > 2 ? digits[word & 63] : '=';
    }
    j->length += (n + 2) / 3 * 4;
}

static void put_array(vpsde_json *j, const char *key, const char *type, const uint8_t *bytes,
                      size_t n)
{
    vpsde_json_object(j, key);
    begin(j, type);
    put_word(j, "\"");
    put_base64(j, bytes, n);
    put_word(j, "\"");
    vpsde_json_end_object(j);
}

void vpsde_json_bytes(vpsde_json *j, const char *key, const uint8_t *values, size_t n)
{
    put_array(j, key, "u8", values, n);
}

void vpsde_json_floats(vpsde_json *j, const char *key, const double *values, size_t n)
{
    uint8_t *bytes;
    if (j->status == VPSDE_OK) j->status = vpsde_alloc(&bytes, n, 4);
    if (j->status != VPSDE_OK) return;
    for (size_t i = 0; i < n; i++) {
        const float value = (float)values[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof(bits));
        for (size_t b = 0; b < 4; b++) bytes[4 * i + b] = (uint8_t)(bits >> 8 * b);
    }
    put_array(j, key, "f32", bytes, 4 * n);
    free(bytes);
}

void vpsde_json_free(vpsde_json *j)
{
    free(j->text);
    *j = (vpsde_json){.text = NULL};
}
