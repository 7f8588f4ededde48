#include "core/config_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { CHUNK_SIZE = 1 << 15, PATH_SIZE = 256, NAME_SHOWN = 256, PLACE_SIZE = 700, WHAT_SIZE = 800 };

struct vpsde_config_chunk {
    vpsde_config_chunk *next;
    size_t used, size;
    max_align_t data[];
};

static vpsde_status take(void *out, vpsde_config_document *document, size_t bytes)
{
    const size_t unit = sizeof(max_align_t);
    const size_t rounded = (bytes / unit + 1) * unit;
    vpsde_config_chunk *chunk = document->chunks;
    if (!chunk || chunk->size - chunk->used < rounded) {
        const size_t size = rounded > CHUNK_SIZE ? rounded : CHUNK_SIZE;
        VPSDE_TRY(vpsde_alloc(&chunk, 1, sizeof(*chunk) + size));
        chunk->size = size;
        chunk->next = document->chunks;
        document->chunks = chunk;
    }
    void *memory = (char *)chunk->data + chunk->used;
    chunk->used += rounded;
    memcpy(out, &memory, sizeof(memory));
    return VPSDE_OK;
}

vpsde_status vpsde_config_copy(const char **out, vpsde_config_document *document, const char *text,
                               size_t length)
{
    char *copy;
    VPSDE_TRY(take(&copy, document, length + 1));
    if (length > 0) memcpy(copy, text, length);
    copy[length] = '\0';
    *out = copy;
    return VPSDE_OK;
}

static vpsde_status fill_document(vpsde_config_document *document, const char *name,
                                  const char *folder)
{
    const size_t length = strlen(name); /* only the end of a long one fits into messages */
    const char *shown = length > NAME_SHOWN ? name + length - NAME_SHOWN : name;
    VPSDE_TRY(vpsde_config_copy(&document->name, document, shown, strlen(shown)));
    VPSDE_TRY(vpsde_config_copy(&document->folder, document, folder, strlen(folder)));
    VPSDE_TRY(take(&document->root, document, sizeof(*document->root)));
    *document->root = (vpsde_config){
        .document = document, .written = true, .line = 1, .column = 1, .kind = VPSDE_NODE_MAPPING};
    return VPSDE_OK;
}

vpsde_status vpsde_config_document_create(vpsde_config_document **out, const char *name,
                                          const char *folder)
{
    vpsde_config_document *document;
    VPSDE_TRY(vpsde_alloc(&document, 1, sizeof(*document)));
    const vpsde_status status = fill_document(document, name, folder);
    if (status != VPSDE_OK) {
        vpsde_config_document_destroy(document);
        return status;
    }
    *out = document;
    return VPSDE_OK;
}

void vpsde_config_document_destroy(vpsde_config_document *document)
{
    vpsde_config_chunk *next;
    for (vpsde_config_chunk *chunk = document->chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(document);
}

vpsde_status vpsde_config_add(vpsde_config **out, vpsde_config *parent, const char *key)
{
    vpsde_config_document *document = parent->document;
    if (parent->n_children == parent->capacity) {
        const size_t capacity = parent->capacity ? 2 * parent->capacity : 4;
        vpsde_config **child;
        VPSDE_TRY(take(&child, document, capacity * sizeof(child[0])));
        if (parent->n_children > 0) {
            memcpy(child, parent->child, parent->n_children * sizeof(child[0]));
        }
        parent->child = child;
        parent->capacity = capacity;
    }
    vpsde_config *node;
    VPSDE_TRY(take(&node, document, sizeof(*node)));
    *node = (vpsde_config){.document = document, .parent = parent, .index = parent->n_children};
    if (key) VPSDE_TRY(vpsde_config_copy(&node->key, document, key, strlen(key)));
    parent->child[parent->n_children++] = node;
    *out = node;
    return VPSDE_OK;
}

vpsde_config *vpsde_config_find(const vpsde_config *c, const char *key)
{
    for (size_t i = 0; i < c->n_children; i++) {
        if (c->child[i]->key && strcmp(c->child[i]->key, key) == 0) return c->child[i];
    }
    return NULL;
}

vpsde_status vpsde_config_ask(vpsde_config **out, vpsde_config *c, const char *key)
{
    vpsde_config *node = c;
    if (key) {
        if (c->kind == VPSDE_NODE_SCALAR || c->kind == VPSDE_NODE_SEQUENCE) {
            char got[PATH_SIZE];
            return vpsde_config_fail(c, NULL, "is %s; expected a section with keys such as %s",
                                     vpsde_config_describe(got, sizeof(got), c), key);
        }
        node = vpsde_config_find(c, key);
        if (!node) VPSDE_TRY(vpsde_config_add(&node, c, key));
    }
    if (node->order == 0) node->order = ++c->document->n_asked;
    *out = node;
    return VPSDE_OK;
}

vpsde_status vpsde_config_record_value(vpsde_config *node, vpsde_config_record record,
                                       const char *value)
{
    node->record = record;
    if (node->value && value && strcmp(node->value, value) == 0) return VPSDE_OK;
    node->value = NULL;
    if (!value) return VPSDE_OK;
    return vpsde_config_copy(&node->value, node->document, value, strlen(value));
}

const char *vpsde_config_describe(char *out, size_t size, const vpsde_config *node)
{
    static const char *const kinds[] = {[VPSDE_NODE_ABSENT] = "nothing",
                                        [VPSDE_NODE_SEQUENCE] = "a list",
                                        [VPSDE_NODE_MAPPING] = "a section"};
    if (node->kind == VPSDE_NODE_SCALAR) {
        snprintf(out, size, "%s '%.60s'", node->quoted ? "quoted text" : "the single value",
                 node->text);
    } else {
        snprintf(out, size, "%s", kinds[node->kind]);
    }
    return out;
}

/* Writes "a.b.0.c" from the end of the buffer backwards, "..." where the front does not fit. */
static const char *key_path(char out[PATH_SIZE], const vpsde_config *c, const char *key)
{
    size_t start = PATH_SIZE - 1;
    out[start] = '\0';
    for (const vpsde_config *node = c; key || node->parent; key = NULL) {
        char index[24];
        const char *part = key ? key : node->key;
        if (!part) {
            snprintf(index, sizeof(index), "%zu", node->index);
            part = index;
        }
        const size_t length = strlen(part), dot = out[start] != '\0';
        if (length + dot + 3 > start) {
            memcpy(out + (start -= 3), "...", 3);
            break;
        }
        if (dot) out[--start] = '.';
        memcpy(out + (start -= length), part, length);
        if (!key) node = node->parent;
    }
    return out + start;
}

/* "FILE:LINE:COL: path", or "--set path". An absent key stands where its section does. */
static void place(char out[PLACE_SIZE], const vpsde_config *c, const char *key, bool at_key)
{
    char buffer[PATH_SIZE];
    const char *path = key_path(buffer, c, key);
    const vpsde_config *node = key ? vpsde_config_find(c, key) : NULL;
    if (!node) node = c;
    while (!node->written) node = node->parent;
    if (node->set) {
        const bool same = strcmp(node->set, path) == 0;
        snprintf(out, PLACE_SIZE, "--set %.250s%s%s", node->set, same ? "" : ": ",
                 same ? "" : path);
        return;
    }
    snprintf(out, PLACE_SIZE, "%s:%zu:%zu%s%s", c->document->name,
             at_key ? node->key_line : node->line, at_key ? node->key_column : node->column,
             *path ? ": " : "", path);
}

vpsde_status vpsde_config_fail(const vpsde_config *c, const char *key, const char *format, ...)
{
    char where[PLACE_SIZE], what[WHAT_SIZE];
    place(where, c, key, false);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return vpsde_fail(VPSDE_ECONFIG, "%s: %s", where, what);
}

vpsde_status vpsde_config_fail_key(const vpsde_config *node, const char *format, ...)
{
    char where[PLACE_SIZE], what[WHAT_SIZE];
    place(where, node, NULL, node->key != NULL);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return vpsde_fail(VPSDE_ECONFIG, "%s: %s", where, what);
}

vpsde_status vpsde_config_fail_at(vpsde_status status, const vpsde_config *c, const char *key)
{
    if (status == VPSDE_OK) return VPSDE_OK;
    char where[PLACE_SIZE];
    place(where, c, key, false);
    return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_ECONFIG : status, "%s", where);
}
