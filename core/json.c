#include "core/json.h"

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"

static const size_t file_max = (size_t)16 * 1000 * 1000;
static const vpsde_json_in_limits file_limits = {.depth = 16, .commas = 131072};

/* One pass over the text bounds what the parser can be made to do. */
static bool is_bounded(vpsde_json_in_error *error, const char *text, size_t length,
                       const vpsde_json_in_limits *limits)
{
    size_t depth = 0, commas = 0;
    bool quoted = false;
    error->line = 1;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        error->position = i;
        if (c == '\n') error->line++;
        if (quoted) {
            if (c == '\\') i++;
            if (c == '"') quoted = false;
            continue;
        }
        if (c == '"') quoted = true;
        if (c == ',') commas++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && depth > 0) depth--;
        if (depth > limits->depth) {
            (void)snprintf(error->text, sizeof(error->text), "is nested deeper than %zu levels",
                           limits->depth);
            return false;
        }
        if (commas > limits->commas) {
            (void)snprintf(error->text, sizeof(error->text), "has more than %zu values",
                           limits->commas);
            return false;
        }
    }
    return true;
}

/* When memory for more of a long text ends, jansson leaves out a letter and goes on: what it asks for is
 * watched. */
static json_malloc_t allocate;
static _Thread_local bool starved;

static void *watched(size_t size)
{
    void *const memory = allocate(size);
    if (!memory) starved = true;
    return memory;
}

static void watch(void)
{
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(watched, release);
}

bool vpsde_json_in_parse(vpsde_json_in **out, vpsde_json_in_error *error, const char *text,
                         size_t length, const vpsde_json_in_limits *limits)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    json_error_t e;
    *out = NULL;
    error->memory = false;
    if (!is_bounded(error, text, length, limits)) return false;
    (void)pthread_once(&once, watch);
    starved = false;
    *out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &e);
    if (*out && !starved) return true;
    json_decref(*out);
    *out = NULL;
    error->memory = starved;
    (void)snprintf(error->text, sizeof(error->text), "%s%.150s",
                   starved ? "cannot be read for want of memory" : "is not valid JSON: ",
                   starved ? "" : e.text);
    error->line = e.line > 0 ? (size_t)e.line : 0;
    error->position = e.position > 0 ? (size_t)e.position : 0;
    return false;
}

vpsde_status vpsde_json_in_read(vpsde_json_in **out, const char *text, size_t length,
                                const char *where)
{
    vpsde_json_in_error error;
    if (!vpsde_json_in_parse(out, &error, text, length, &file_limits)) {
        return vpsde_fail(error.memory ? VPSDE_ENOMEM : VPSDE_EDATA, "%s: %s, in line %zu", where,
                          error.text, error.line);
    }
    if (json_is_object(*out)) return VPSDE_OK;
    vpsde_json_in_free(*out);
    *out = NULL;
    return vpsde_fail(VPSDE_EDATA, "%s: holds a list, expected a JSON object", where);
}

vpsde_status vpsde_json_in_load(vpsde_json_in **out, const char *path)
{
    unsigned char *text;
    size_t size;
    *out = NULL;
    VPSDE_TRY(vpsde_file_load_small(&text, &size, path, file_max));
    const vpsde_status status = vpsde_json_in_read(out, (const char *)text, size, path);
    free(text);
    return status;
}

void vpsde_json_in_free(vpsde_json_in *root) { json_decref(root); }

vpsde_json_in_kind vpsde_json_in_kind_of(const vpsde_json_in *value)
{
    static const vpsde_json_in_kind kinds[] = {
        [JSON_OBJECT] = VPSDE_JSON_IN_MAP,  [JSON_ARRAY] = VPSDE_JSON_IN_LIST,
        [JSON_STRING] = VPSDE_JSON_IN_TEXT, [JSON_INTEGER] = VPSDE_JSON_IN_INTEGER,
        [JSON_REAL] = VPSDE_JSON_IN_REAL,   [JSON_TRUE] = VPSDE_JSON_IN_BOOL,
        [JSON_FALSE] = VPSDE_JSON_IN_BOOL,  [JSON_NULL] = VPSDE_JSON_IN_NULL,
    };
    return value ? kinds[json_typeof(value)] : VPSDE_JSON_IN_ABSENT;
}

vpsde_json_in *vpsde_json_in_get(const vpsde_json_in *map, const char *key)
{
    return json_object_get(map, key);
}

vpsde_json_in *vpsde_json_in_at(const vpsde_json_in *list, size_t index)
{
    return json_array_get(list, index);
}

size_t vpsde_json_in_size(const vpsde_json_in *value)
{
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

const char *vpsde_json_in_text(const vpsde_json_in *value) { return json_string_value(value); }

bool vpsde_json_in_true(const vpsde_json_in *value) { return json_is_true(value); }

bool vpsde_json_in_size_of(size_t *out, const vpsde_json_in *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

bool vpsde_json_in_number(double *out, const vpsde_json_in *value)
{
    if (!json_is_number(value)) return false;
    *out = json_number_value(value);
    return true;
}

/* jansson's iteration takes a map that may be changed; nothing here changes it. */
bool vpsde_json_in_next(void **at, const char **key, vpsde_json_in **value,
                        const vpsde_json_in *map)
{
    json_t *const object = (json_t *)(uintptr_t)map;
    *at = *at ? json_object_iter_next(object, *at) : json_object_iter(object);
    if (!*at) return false;
    *key = json_object_iter_key(*at);
    *value = json_object_iter_value(*at);
    return true;
}

const char *vpsde_json_in_show(char *out, size_t size, const vpsde_json_in *value)
{
    char *const text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *const whole = text ? text : "nothing";
    const bool cut = strlen(whole) >= size;
    (void)snprintf(out, size, "%s", whole);
    if (cut && size > 4) memcpy(out + size - 4, "...", 4);
    free(text);
    return out;
}
