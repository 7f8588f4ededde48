/* Getters of single values: each checks, records what it resolved to, and returns. */
#include "core/config_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { TEXT_SIZE = 200, WORDS_MAX = 64 };

bool vpsde_config_has(const vpsde_config *c, const char *key)
{
    return vpsde_config_kind(c, key) != VPSDE_NODE_ABSENT;
}

vpsde_node_kind vpsde_config_kind(const vpsde_config *c, const char *key)
{
    const vpsde_config *node = key ? vpsde_config_find(c, key) : c;
    return node ? node->kind : VPSDE_NODE_ABSENT;
}

vpsde_status vpsde_config_section(vpsde_config **out, vpsde_config *c, const char *key)
{
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    if (node->kind == VPSDE_NODE_SCALAR || node->kind == VPSDE_NODE_SEQUENCE) {
        char got[TEXT_SIZE];
        return vpsde_config_fail(node, NULL, "is %s; expected a section",
                                 vpsde_config_describe(got, sizeof(got), node));
    }
    *out = node;
    return vpsde_config_record_value(node, VPSDE_RECORD_SECTION, NULL);
}

/* The required key may be there, misspelt: a key near it that nobody asked for so far. */
static vpsde_status fail_missing(const vpsde_config *node, const char *expected)
{
    const vpsde_config *section = node->parent;
    for (size_t i = 0; node->key && i < section->n_children; i++) {
        const vpsde_config *other = section->child[i];
        if (other->written && !other->order && vpsde_nearest(node->key, &other->key, 1)) {
            return vpsde_config_fail(node, NULL, "is missing; expected %s; is '%.60s' meant?",
                                     expected, other->key);
        }
    }
    return vpsde_config_fail(node, NULL, "is missing; expected %s", expected);
}

/* Asks for a single value; *present tells whether the user wrote one. */
static vpsde_status ask_scalar(vpsde_config **node, bool *present, vpsde_config *c, const char *key,
                               bool required, const char *expected)
{
    VPSDE_TRY(vpsde_config_ask(node, c, key));
    *present = (*node)->kind == VPSDE_NODE_SCALAR;
    if (*present) return VPSDE_OK;
    if ((*node)->kind != VPSDE_NODE_ABSENT) {
        char got[TEXT_SIZE];
        return vpsde_config_fail(*node, NULL, "is %s; expected %s",
                                 vpsde_config_describe(got, sizeof(got), *node), expected);
    }
    return required ? fail_missing(*node, expected) : VPSDE_OK;
}

static vpsde_status fail_number(const vpsde_config *node, vpsde_number problem,
                                const char *expected)
{
    return vpsde_config_fail(node, NULL, "'%.60s' %s; expected %s", node->text,
                             vpsde_config_number_problem(problem), expected);
}

vpsde_status vpsde_config_node_real(double *out, const vpsde_config *node, const char *expected)
{
    if (node->kind != VPSDE_NODE_SCALAR) {
        char got[TEXT_SIZE];
        return vpsde_config_fail(node, NULL, "is %s; expected %s",
                                 vpsde_config_describe(got, sizeof(got), node), expected);
    }
    if (node->quoted) {
        return vpsde_config_fail(node, NULL, "'%.60s' is quoted, which makes it text; expected %s",
                                 node->text, expected);
    }
    const vpsde_number problem = vpsde_config_read_real(out, node->text);
    return problem == VPSDE_NUMBER_OK ? VPSDE_OK : fail_number(node, problem, expected);
}

/* "a number in (0, 1]", "a number of at least 0", ... */
static const char *range(char out[TEXT_SIZE], const char *noun, double min, double max, bool open)
{
    char low[VPSDE_CONFIG_NUMBER_SIZE], high[VPSDE_CONFIG_NUMBER_SIZE];
    vpsde_config_print_real(low, min, false);
    vpsde_config_print_real(high, max, false);
    const bool below = isfinite(min) && min > -1e300, above = isfinite(max) && max < 1e300;
    if (below && above) {
        snprintf(out, TEXT_SIZE, "%s in %c%s, %s]", noun, open ? '(' : '[', low, high);
    } else if (below) {
        snprintf(out, TEXT_SIZE, "%s %s %s", noun, open ? "above" : "of at least", low);
    } else if (above) {
        snprintf(out, TEXT_SIZE, "%s of at most %s", noun, high);
    } else {
        snprintf(out, TEXT_SIZE, "%s", noun);
    }
    return out;
}

static bool within(double value, double min, double max, bool open)
{
    return isfinite(value) && (open ? value > min : value >= min) && value <= max;
}

/* A fallback outside the bounds says "not given": it has no place in the resolved document. */
static vpsde_status record_number(vpsde_config *node, double value, bool shown, bool as_float)
{
    char text[VPSDE_CONFIG_NUMBER_SIZE];
    if (!shown) return vpsde_config_record_value(node, VPSDE_RECORD_NONE, NULL);
    vpsde_config_print_real(text, value, as_float);
    return vpsde_config_record_value(node, VPSDE_RECORD_LITERAL, text);
}

typedef struct bounds {
    double min, max;
    bool open_min, whole;
} bounds;

static vpsde_status get_number(double *out, vpsde_config *c, const char *key, double fallback,
                               const bounds *b)
{
    char expected[TEXT_SIZE];
    vpsde_config *node;
    bool present;
    range(expected, b->whole ? "a whole number" : "a number", b->min, b->max, b->open_min);
    VPSDE_TRY(ask_scalar(&node, &present, c, key, isnan(fallback), expected));
    double value = fallback;
    if (present) {
        VPSDE_TRY(vpsde_config_node_real(&value, node, expected));
        if (b->whole && value != floor(value)) {
            return fail_number(node, VPSDE_NUMBER_FRACTION, expected);
        }
        if (!within(value, b->min, b->max, b->open_min)) {
            return vpsde_config_fail(node, NULL, "%.60s is out of range; expected %s", node->text,
                                     expected);
        }
    }
    VPSDE_TRY(record_number(node, value, within(value, b->min, b->max, b->open_min), !b->whole));
    *out = value;
    return VPSDE_OK;
}

vpsde_status vpsde_config_real(double *out, vpsde_config *c, const char *key, double fallback,
                               double min, double max)
{
    return get_number(out, c, key, fallback, &(bounds){.min = min, .max = max});
}

vpsde_status vpsde_config_uint(uint64_t *out, vpsde_config *c, const char *key, uint64_t fallback,
                               uint64_t min, uint64_t max)
{
    char expected[TEXT_SIZE], text[VPSDE_CONFIG_NUMBER_SIZE];
    vpsde_config *node;
    bool present;
    if (max == UINT64_MAX) {
        snprintf(expected, sizeof(expected), "a whole number of at least %" PRIu64, min);
    } else {
        snprintf(expected, sizeof(expected), "a whole number in [%" PRIu64 ", %" PRIu64 "]", min,
                 max);
    }
    VPSDE_TRY(ask_scalar(&node, &present, c, key, fallback == UINT64_MAX, expected));
    uint64_t value = fallback;
    if (present) {
        double real;
        VPSDE_TRY(vpsde_config_node_real(&real, node, expected)); /* the common complaints */
        const vpsde_number problem = vpsde_config_read_uint(&value, node->text);
        if (problem != VPSDE_NUMBER_OK) return fail_number(node, problem, expected);
        if (value < min || value > max) {
            return vpsde_config_fail(node, NULL, "%.60s is out of range; expected %s", node->text,
                                     expected);
        }
    }
    *out = value;
    const bool shown = value >= min && value <= max;
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return vpsde_config_record_value(node, shown ? VPSDE_RECORD_LITERAL : VPSDE_RECORD_NONE,
                                     shown ? text : NULL);
}

vpsde_status vpsde_config_bool(bool *out, vpsde_config *c, const char *key, bool fallback)
{
    vpsde_config *node;
    bool present, value = fallback;
    VPSDE_TRY(ask_scalar(&node, &present, c, key, false, "true or false"));
    if (present) {
        const bool yes = strcmp(node->text, "true") == 0, no = strcmp(node->text, "false") == 0;
        if (node->quoted || (!yes && !no)) {
            return vpsde_config_fail(node, NULL, "'%.60s' is %s; expected true or false",
                                     node->text, node->quoted ? "quoted text" : "neither");
        }
        value = yes;
    }
    *out = value;
    return vpsde_config_record_value(node, VPSDE_RECORD_LITERAL, value ? "true" : "false");
}

static vpsde_status record_text(const char **out, vpsde_config *node, bool present,
                                const char *value)
{
    const bool shown = present || *value != '\0';
    const vpsde_config_record record = shown ? VPSDE_RECORD_TEXT : VPSDE_RECORD_NONE;
    VPSDE_TRY(vpsde_config_record_value(node, record, value));
    *out = node->value;
    return VPSDE_OK;
}

vpsde_status vpsde_config_text(const char **out, vpsde_config *c, const char *key,
                               const char *fallback)
{
    vpsde_config *node;
    bool present;
    VPSDE_TRY(ask_scalar(&node, &present, c, key, !fallback, "text"));
    return record_text(out, node, present, present ? node->text : fallback);
}

/* Splits "a|b|c" in place. */
static size_t split_words(const char *words[WORDS_MAX], char *choices)
{
    size_t count = 0;
    for (char *word; count < WORDS_MAX && (word = strsep(&choices, "|")) != NULL;) {
        words[count++] = word;
    }
    return count;
}

static vpsde_status choose(int *out, const vpsde_config *node, const char *const *words,
                           size_t count, const char *choices)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], node->text) == 0) {
            *out = (int)i;
            return VPSDE_OK;
        }
    }
    const char *near = vpsde_nearest(node->text, words, count);
    return vpsde_config_fail(node, NULL, "unknown word '%.60s'%s%s%s; expected one of %s",
                             node->text, near ? "; did you mean '" : "", near ? near : "",
                             near ? "'?" : "", choices);
}

vpsde_status vpsde_config_choice(int *out, vpsde_config *c, const char *key, const char *choices,
                                 int fallback)
{
    vpsde_config *node;
    bool present;
    const char *words[WORDS_MAX];
    char *copy;
    VPSDE_TRY(ask_scalar(&node, &present, c, key, fallback < 0, choices));
    VPSDE_TRY(vpsde_strdup(&copy, choices));
    const size_t count = split_words(words, copy);
    vpsde_status status = VPSDE_OK;
    int chosen = fallback;
    if (present) {
        status = choose(&chosen, node, words, count, choices);
    } else if ((size_t)fallback >= count) {
        status = vpsde_fail(VPSDE_EINTERNAL, "choice %d of %s does not exist", fallback, choices);
    }
    if (status == VPSDE_OK) {
        *out = chosen;
        status = vpsde_config_record_value(node, VPSDE_RECORD_TEXT, words[chosen]);
    }
    free(copy);
    return status;
}

vpsde_status vpsde_config_path(const char **out, vpsde_config *c, const char *key,
                               const char *fallback)
{
    vpsde_config *node;
    bool present;
    VPSDE_TRY(ask_scalar(&node, &present, c, key, !fallback, "a path"));
    const char *path = present ? node->text : fallback;
    char *absolute = NULL;
    if (*path != '\0' && *path != '/') {
        while (strncmp(path, "./", 2) == 0) path += 2;
        const char *folder = c->document->folder;
        VPSDE_TRY(vpsde_format(&absolute, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path));
    }
    const vpsde_status status = record_text(out, node, present, absolute ? absolute : path);
    free(absolute);
    return status;
}

static vpsde_status get_param(double *out, vpsde_config *c, const vpsde_param *p)
{
    if (p->kind == VPSDE_PARAM_BOOL) {
        bool value;
        VPSDE_TRY(vpsde_config_bool(&value, c, p->name, p->value != 0));
        *out = value;
        return VPSDE_OK;
    }
    if (p->kind == VPSDE_PARAM_CHOICE) {
        int value;
        VPSDE_TRY(vpsde_config_choice(&value, c, p->name, p->choices, (int)p->value));
        *out = value;
        return VPSDE_OK;
    }
    return get_number(out, c, p->name, p->value,
                      &(bounds){.min = p->min,
                                .max = p->max,
                                .open_min = p->open_min,
                                .whole = p->kind == VPSDE_PARAM_INT});
}

vpsde_status vpsde_config_params(double *values, vpsde_config *c, const vpsde_param *table)
{
    for (size_t i = 0; i < vpsde_param_count(table); i++) {
        VPSDE_TRY(get_param(&values[i], c, &table[i]));
    }
    return VPSDE_OK;
}
