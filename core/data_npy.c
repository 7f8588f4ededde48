/* .npy, versions 1.0 to 3.0 (NumPy enhancement proposal 1; numpy.lib.format): a magic word, a length,
 * and a Python literal such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. Only the
 * literals that NumPy itself writes for arrays of numbers are understood. */
#include <stdint.h>
#include <string.h>

#include "core/data_reader.h"

enum { MAGIC = 6, DESCR_MAX = 16 };

typedef struct text {
    const unsigned char *bytes;
    size_t at, end;
} text;

typedef struct header {
    char descr[DESCR_MAX];
    bool fortran_order;
    bool seen[3];
} header;

static void skip_blanks(text *t)
{
    while (t->at < t->end && strchr(" \t\r\n", t->bytes[t->at]) && t->bytes[t->at]) t->at++;
}

/* Takes one character after blanks. */
static bool take(text *t, char c)
{
    skip_blanks(t);
    if (t->at == t->end || t->bytes[t->at] != (unsigned char)c) return false;
    t->at++;
    return true;
}

static bool take_word(text *t, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(t);
    if (t->end - t->at < n || memcmp(t->bytes + t->at, word, n) != 0) return false;
    t->at += n;
    return true;
}

/* A quoted string without escapes, of fewer than `max` printable characters. */
static bool take_quoted(text *t, char *out, size_t max)
{
    size_t n = 0;
    skip_blanks(t);
    if (t->at == t->end || !(t->bytes[t->at] == '\'' || t->bytes[t->at] == '"')) return false;
    const unsigned char quote = t->bytes[t->at++];
    while (t->at < t->end && t->bytes[t->at] != quote) {
        const unsigned char c = t->bytes[t->at++];
        if (n + 1 >= max || c < ' ' || c > '~' || c == '\\') return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    if (t->at == t->end) return false;
    t->at++;
    return true;
}

static bool take_number(text *t, size_t *out)
{
    const size_t first = (skip_blanks(t), t->at);
    *out = 0;
    while (t->at < t->end && t->bytes[t->at] >= '0' && t->bytes[t->at] <= '9') {
        if (__builtin_mul_overflow(*out, (size_t)10, out) ||
            __builtin_add_overflow(*out, (size_t)(t->bytes[t->at] - '0'), out)) {
            return false;
        }
        t->at++;
    }
    return t->at > first;
}

/* Each value parser fills its part; the sentence of what is wrong, or NULL. */
static const char *read_descr(text *t, header *h, vpsde_layout *layout)
{
    (void)layout;
    return take_quoted(t, h->descr, sizeof(h->descr))
               ? NULL
               : "descr must be one type of numbers, such as '<f4' (no structured arrays)";
}

static const char *read_order(text *t, header *h, vpsde_layout *layout)
{
    (void)layout;
    h->fortran_order = take_word(t, "True");
    return h->fortran_order || take_word(t, "False") ? NULL : "fortran_order must be True or False";
}

static const char *read_shape(text *t, header *h, vpsde_layout *layout)
{
    (void)h;
    if (!take(t, '(')) return "shape must be a tuple of whole numbers";
    while (!take(t, ')')) {
        if (layout->axes == VPSDE_DATA_AXES_MAX) return "shape has more than 5 axes";
        if (!take_number(t, &layout->dims[layout->axes])) {
            return "shape must be a tuple of whole numbers that fit this machine";
        }
        layout->axes++;
        if (take(t, ',')) continue;
        return take(t, ')') ? NULL : "shape must be a tuple of whole numbers";
    }
    return NULL;
}

static const struct {
    const char *key;
    const char *(*read)(text *t, header *h, vpsde_layout *layout);
} fields[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};

static const char *read_field(text *t, header *h, vpsde_layout *layout)
{
    char key[DESCR_MAX];
    if (!take_quoted(t, key, sizeof(key)) || !take(t, ':')) return "a quoted key was expected";
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].key, key) != 0) continue;
        if (h->seen[i]) return "a key is given twice";
        h->seen[i] = true;
        return fields[i].read(t, h, layout);
    }
    return "only the keys descr, fortran_order and shape are known";
}

static const char *read_dictionary(text *t, header *h, vpsde_layout *layout)
{
    if (!take(t, '{')) return "a Python dictionary was expected";
    while (!take(t, '}')) {
        const char *wrong = read_field(t, h, layout);
        if (wrong) return wrong;
        if (take(t, ',')) continue;
        if (!take(t, '}')) return "',' or '}' was expected";
        break;
    }
    skip_blanks(t);
    if (t->at != t->end) return "only blanks may follow the dictionary";
    if (!h->seen[0] || !h->seen[1] || !h->seen[2]) {
        return "descr, fortran_order and shape are all required";
    }
    return NULL;
}

/* '<f4', '>i8', '|u1': byte order, kind, bytes. */
static vpsde_status read_type(vpsde_layout *layout, const char *descr, const char *path)
{
    const bool known =
        strlen(descr) == 3 && strchr("<>|=", descr[0]) && descr[2] > '0' && descr[2] <= '9';
    const size_t size = known ? (size_t)(descr[2] - '0') : 0;
    layout->element = known ? vpsde_element_find(descr[1], size) : NULL;
    if (!layout->element || (size > 1 && descr[0] == '|')) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: .npy of type '%s', expected booleans, whole numbers or floats of 1, "
                          "2, 4 or 8 bytes",
                          path, descr);
    }
    layout->big_endian = descr[0] == '>';
    return VPSDE_OK;
}

/* The text of the header, by version; lengths are little-endian, 2 bytes in 1.0 and 4 later. */
static vpsde_status find_text(text *t, const unsigned char *head, size_t n, const char *path)
{
    if (n < MAGIC + 4) return vpsde_fail(VPSDE_EDATA, "%s: a .npy file of only %zu bytes", path, n);
    const unsigned char version = head[MAGIC];
    if (version < 1 || version > 3 || head[MAGIC + 1] != 0) {
        return vpsde_fail(VPSDE_EDATA, "%s: .npy version %d.%d, expected 1.0 to 3.0, at byte %d",
                          path, version, head[MAGIC + 1], MAGIC);
    }
    const size_t width = version == 1 ? 2 : 4;
    size_t length = 0;
    t->at = MAGIC + 2 + width;
    if (n < t->at) return vpsde_fail(VPSDE_EDATA, "%s: ends within its .npy header", path);
    for (size_t i = width; i-- > 0;) length = length << 8 | head[MAGIC + 2 + i];
    if (length > n - t->at) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: .npy header of %zu bytes, at most %zu can be, at byte %d", path,
                          length, n - t->at, MAGIC + 2);
    }
    t->bytes = head;
    t->end = t->at + length;
    return VPSDE_OK;
}

vpsde_status vpsde_npy_layout(vpsde_layout *layout, const unsigned char *head, size_t n,
                              const char *path)
{
    text t;
    header h = {.fortran_order = false};
    VPSDE_TRY(find_text(&t, head, n, path));
    const char *wrong = read_dictionary(&t, &h, layout);
    if (wrong) {
        return vpsde_fail(VPSDE_EDATA, "%s: .npy header: %s, at byte %zu", path, wrong, t.at);
    }
    VPSDE_TRY(read_type(layout, h.descr, path));
    if (h.fortran_order && layout->axes > 1) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: the array is in Fortran order, expected C order: save "
                          "numpy.ascontiguousarray(array)",
                          path);
    }
    layout->start = t.end;
    return VPSDE_OK;
}
