#include "core/config_diff.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { DEPTH = 64, SHOWN = 6, WORD = 64 }; /* a SHA-256 is a word */

typedef struct leaf {
    char *path; /* "sampler.solver.0.steps" */
    char *value;
} leaf;

typedef struct leaves {
    leaf *leaf;
    size_t n, room;
} leaves;

/* The keys and indices above the current line, with their columns. */
typedef struct level {
    size_t column, index;
    const char *key; /* NULL: item `index` of a list */
    int length;
} level;

typedef struct stack {
    level level[DEPTH];
    size_t n;
} stack;

static void free_leaves(leaves *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->leaf[i].path);
        free(l->leaf[i].value);
    }
    free(l->leaf);
}

static vpsde_status add_leaf(leaves *l, const stack *s, const char *value, size_t length)
{
    if (l->n == l->room) {
        const size_t room = 2 * l->room + 64;
        leaf *larger = reallocarray(l->leaf, room, sizeof(*larger));
        if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu keys", room);
        l->leaf = larger;
        l->room = room;
    }
    leaf *added = &l->leaf[l->n++];
    *added = (leaf){NULL, NULL};
    VPSDE_TRY(vpsde_strdup(&added->path, ""));
    for (size_t i = 0; i < s->n; i++) {
        const level *at = &s->level[i];
        char *longer, *const path = added->path, *const dot = i > 0 ? "." : "";
        VPSDE_TRY(at->key ? vpsde_format(&longer, "%s%s%.*s", path, dot, at->length, at->key)
                          : vpsde_format(&longer, "%s%s%zu", path, dot, at->index));
        free(path);
        added->path = longer;
    }
    return vpsde_format(&added->value, "%.*s", (int)length, value);
}

static void pop(stack *s, size_t column)
{
    while (s->n > 0 && s->level[s->n - 1].column >= column) s->n--;
}

/* One line of block YAML: "- " any number of times, then "key:", then perhaps a value. */
static vpsde_status read_line(leaves *l, stack *s, const char *line, size_t length)
{
    size_t at = strspn(line, " ");
    for (; at < length && line[at] == '-' && (at + 1 == length || line[at + 1] == ' '); at += 2) {
        pop(s, at + 1);
        const bool next = s->n > 0 && s->level[s->n - 1].column == at && !s->level[s->n - 1].key;
        if (next) s->level[s->n - 1].index++;
        if (!next && s->n < DEPTH) s->level[s->n++] = (level){.column = at};
    }
    if (at >= length) return VPSDE_OK;
    size_t end = at;
    while (end < length && !(line[end] == ':' && (end + 1 == length || line[end + 1] == ' ')))
        end++;
    if (end < length) {
        pop(s, at);
        if (s->n < DEPTH) {
            s->level[s->n++] = (level){.column = at, .key = line + at, .length = (int)(end - at)};
        }
        at = end + 1 < length ? end + 2 : length;
    }
    return at < length ? add_leaf(l, s, line + at, length - at) : VPSDE_OK;
}

static vpsde_status flatten(leaves *l, const char *text)
{
    stack s = {.n = 0};
    while (*text) {
        const size_t length = strcspn(text, "\n");
        VPSDE_TRY(read_line(l, &s, text, length));
        text += length + (text[length] != '\0');
    }
    return VPSDE_OK;
}

static const char *find(const leaves *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->leaf[i].path, path) == 0) return l->leaf[i].value;
    }
    return NULL;
}

static vpsde_status tell(char **out, size_t *n, const char *path, const char *before,
                         const char *now)
{
    if (++*n > SHOWN + 1) return VPSDE_OK;
    if (*n > SHOWN) return vpsde_append(out, "; ...");
    return vpsde_append(out, "%s%s: %.*s, now %.*s", **out ? "; " : "", path, WORD,
                        before ? before : "not there", WORD, now ? now : "not there");
}

static vpsde_status compare(char **out, const leaves *before, const leaves *now)
{
    size_t n = 0;
    VPSDE_TRY(vpsde_strdup(out, ""));
    for (size_t i = 0; i < before->n; i++) {
        const leaf *was = &before->leaf[i];
        const char *value = find(now, was->path);
        if (value && strcmp(value, was->value) == 0) continue;
        VPSDE_TRY(tell(out, &n, was->path, was->value, value));
    }
    for (size_t i = 0; i < now->n; i++) {
        if (find(before, now->leaf[i].path)) continue;
        VPSDE_TRY(tell(out, &n, now->leaf[i].path, NULL, now->leaf[i].value));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_config_diff(char **out, const char *before, const char *now)
{
    leaves a = {0}, b = {0};
    *out = NULL;
    vpsde_status status = flatten(&a, before);
    if (status == VPSDE_OK) status = flatten(&b, now);
    if (status == VPSDE_OK) status = compare(out, &a, &b);
    free_leaves(&a);
    free_leaves(&b);
    if (status != VPSDE_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}
