#include <vpsde/param.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/number.h"

size_t vpsde_param_count(const vpsde_param *table)
{
    size_t count = 0;
    if (!table) return 0;
    while (table[count].name) count++;
    return count;
}

void vpsde_param_defaults(double *values, const vpsde_param *table)
{
    for (size_t i = 0; i < vpsde_param_count(table); i++) values[i] = table[i].value;
}

int vpsde_param_find(const vpsde_param *table, const char *name)
{
    for (size_t i = 0; i < vpsde_param_count(table); i++) {
        if (strcmp(table[i].name, name) == 0) return (int)i;
    }
    return -1;
}

static vpsde_status unknown(const vpsde_param *table, const char *name)
{
    const char *names[VPSDE_PARAM_MAX] = {NULL};
    const size_t count = vpsde_param_count(table);
    for (size_t i = 0; i < count && i < VPSDE_PARAM_MAX; i++) names[i] = table[i].name;
    const char *near = vpsde_nearest(name, names, count);
    if (count == 0) return vpsde_fail(VPSDE_EINVAL, "%s: unknown; it takes no parameters", name);
    return vpsde_fail(VPSDE_EINVAL, "%s: unknown parameter; did you mean %s?", name,
                      near ? near : names[0]);
}

vpsde_status vpsde_param_set(double *values, const vpsde_param *table, const char *name,
                             double value)
{
    const int index = vpsde_param_find(table, name);
    if (index < 0) return unknown(table, name);
    const vpsde_param *p = &table[index];
    const bool below = p->open_min ? !(value > p->min) : !(value >= p->min);
    if (!isfinite(value) || below || value > p->max) {
        return vpsde_fail(VPSDE_EINVAL, "%s: must be in %c%g, %g], got %g", name,
                          p->open_min ? '(' : '[', p->min, p->max, value);
    }
    if (p->kind != VPSDE_PARAM_REAL && value != floor(value)) {
        return vpsde_fail(VPSDE_EINVAL, "%s: must be a whole number, got %g", name, value);
    }
    values[index] = value;
    return VPSDE_OK;
}

/* Index of `word` in "a|b|c", or -1. */
static int choice_find(const char *choices, const char *word)
{
    const size_t length = strlen(word);
    int index = 0;
    for (const char *c = choices; c; index++) {
        const char *end = strchr(c, '|');
        const size_t span = end ? (size_t)(end - c) : strlen(c);
        if (span == length && strncmp(c, word, span) == 0) return index;
        c = end ? end + 1 : NULL;
    }
    return -1;
}

vpsde_status vpsde_param_set_text(double *values, const vpsde_param *table, const char *name,
                                  const char *text)
{
    const int index = vpsde_param_find(table, name);
    if (index < 0) return unknown(table, name);
    const vpsde_param *p = &table[index];
    if (p->kind == VPSDE_PARAM_CHOICE) {
        const int choice = choice_find(p->choices, text);
        if (choice < 0) {
            return vpsde_fail(VPSDE_EINVAL, "%s: must be one of %s, got '%s'", name, p->choices,
                              text);
        }
        values[index] = choice;
        return VPSDE_OK;
    }
    if (p->kind == VPSDE_PARAM_BOOL) {
        const bool yes = strcmp(text, "true") == 0, no = strcmp(text, "false") == 0;
        if (!yes && !no) {
            return vpsde_fail(VPSDE_EINVAL, "%s: must be true or false, got '%s'", name, text);
        }
        values[index] = yes;
        return VPSDE_OK;
    }
    double value;
    if (!vpsde_parse_real(&value, text)) {
        return vpsde_fail(VPSDE_EINVAL, "%s: must be a number, got '%s'", name, text);
    }
    return vpsde_param_set(values, table, name, value);
}

vpsde_status vpsde_param_parse(double *values, const vpsde_param *table, const char *text)
{
    enum { WORD_MAX = 64 };
    for (const char *at = text + strspn(text, " "); *at;) {
        char word[WORD_MAX];
        const size_t length = strcspn(at, ",");
        if (length >= sizeof(word)) return vpsde_fail(VPSDE_EINVAL, "'%s' is too long", at);
        memcpy(word, at, length);
        word[length] = '\0';
        word[strcspn(word, " ")] = '\0';
        char *value = strchr(word, '=');
        if (!value) return vpsde_fail(VPSDE_EINVAL, "'%s': expected name=value", word);
        *value++ = '\0';
        VPSDE_TRY(vpsde_param_set_text(values, table, word, value));
        at += length + strspn(at + length, ", ");
    }
    return VPSDE_OK;
}

void vpsde_param_format(char *out, size_t size, const vpsde_param *param, double value)
{
    if (param->kind == VPSDE_PARAM_BOOL) {
        snprintf(out, size, "%s", value != 0 ? "true" : "false");
        return;
    }
    if (param->kind == VPSDE_PARAM_CHOICE) {
        const char *c = param->choices;
        for (int i = 0; i < (int)value && c; i++) {
            c = strchr(c, '|');
            c = c ? c + 1 : NULL;
        }
        snprintf(out, size, "%.*s", c ? (int)strcspn(c, "|") : 0, c ? c : "");
        return;
    }
    vpsde_format_real(out, size, value, 6);
}
