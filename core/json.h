/* JSON values by jansson, read only. Absent values are NULL and every question about NULL has an answer,
 * so that a chain of look-ups needs one check at its end. */
#ifndef VPSDE_CORE_JSON_H
#define VPSDE_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct json_t vpsde_json_in;

typedef enum vpsde_json_in_kind {
    VPSDE_JSON_IN_ABSENT,
    VPSDE_JSON_IN_NULL,
    VPSDE_JSON_IN_BOOL,
    VPSDE_JSON_IN_INTEGER,
    VPSDE_JSON_IN_REAL,
    VPSDE_JSON_IN_TEXT,
    VPSDE_JSON_IN_LIST,
    VPSDE_JSON_IN_MAP,
} vpsde_json_in_kind;

/* Where text is refused and why, as "is not valid JSON: ...". */
typedef struct vpsde_json_in_error {
    char text[192];
    size_t line, position; /* position in bytes */
    bool memory;           /* nothing is wrong with the text: memory has ended */
} vpsde_json_in_error;

/* What bounds the memory of the values that a text makes: levels of maps and lists, and commas. */
typedef struct vpsde_json_in_limits {
    size_t depth, commas;
} vpsde_json_in_limits;

/* One list or map with no key twice; false with the reason. Free with vpsde_json_in_free. */
bool vpsde_json_in_parse(vpsde_json_in **out, vpsde_json_in_error *error, const char *text,
                         size_t length, const vpsde_json_in_limits *limits);
/* A whole file that holds one map, of at most 16 MB, 16 levels and 131,072 commas (weight_map of an
 * index has up to 65,536 tensors); EDATA names file and line. */
vpsde_status vpsde_json_in_load(vpsde_json_in **out, const char *path);
/* The same of text that `where` names. */
vpsde_status vpsde_json_in_read(vpsde_json_in **out, const char *text, size_t length,
                                const char *where);
void vpsde_json_in_free(vpsde_json_in *root);

/* Borrowed from the root, all of them. */
vpsde_json_in_kind vpsde_json_in_kind_of(const vpsde_json_in *value);
vpsde_json_in *vpsde_json_in_get(const vpsde_json_in *map, const char *key);
vpsde_json_in *vpsde_json_in_at(const vpsde_json_in *list, size_t index);
size_t vpsde_json_in_size(const vpsde_json_in *value);      /* of a list or a map; 0 for others */
const char *vpsde_json_in_text(const vpsde_json_in *value); /* NULL unless text */
bool vpsde_json_in_true(const vpsde_json_in *value);
bool vpsde_json_in_size_of(size_t *out, const vpsde_json_in *value); /* a whole number >= 0 */
bool vpsde_json_in_number(double *out, const vpsde_json_in *value);

/* All entries of a map in the text's order: `at` starts as NULL; false past the last. */
bool vpsde_json_in_next(void **at, const char **key, vpsde_json_in **value,
                        const vpsde_json_in *map);

/* The value as JSON on one line, cut to `size` with dots; "nothing" for NULL. Returns `out`. */
const char *vpsde_json_in_show(char *out, size_t size, const vpsde_json_in *value);

#endif
