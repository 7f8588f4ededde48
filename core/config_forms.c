/* Short and long forms of the same thing: a word for a section, one value for a list. */
#include "core/config_impl.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { LIST_SIZE = 512 };

vpsde_status vpsde_config_expand(vpsde_config *c, const char *key, const char *word_key)
{
    vpsde_config *node = key ? vpsde_config_find(c, key) : c, *word;
    if (!node || node->kind != VPSDE_NODE_SCALAR) return VPSDE_OK;
    const vpsde_config scalar = *node;
    node->kind = VPSDE_NODE_MAPPING;
    VPSDE_TRY(vpsde_config_add(&word, node, word_key));
    word->kind = VPSDE_NODE_SCALAR;
    word->written = scalar.written;
    word->quoted = scalar.quoted;
    word->text = scalar.text;
    word->set = scalar.set;
    word->line = word->key_line = scalar.line;
    word->column = word->key_column = scalar.column;
    return VPSDE_OK;
}

/* "[x, eps]" of the bits set. */
static vpsde_status record_words(vpsde_config *node, unsigned bits, const char *choices)
{
    char text[LIST_SIZE] = "[";
    size_t used = 1;
    for (unsigned bit = 0; choices; bit++) {
        const char *end = strchr(choices, '|');
        const int span = end ? (int)(end - choices) : (int)strlen(choices);
        if (bits >> bit & 1u) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s",
                                     used > 1 ? ", " : "", span, choices);
        }
        if (used + 2 > sizeof(text)) return vpsde_fail(VPSDE_EINTERNAL, "%s: too long", choices);
        choices = end ? end + 1 : NULL;
    }
    memcpy(text + used, "]", 2);
    return vpsde_config_record_value(node, VPSDE_RECORD_LITERAL, text);
}

vpsde_status vpsde_config_words(unsigned *bits, vpsde_config *c, const char *key,
                                const char *choices, unsigned fallback)
{
    vpsde_config *node;
    size_t n;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    if (node->kind == VPSDE_NODE_ABSENT) {
        *bits = fallback;
        return record_words(node, fallback, choices);
    }
    VPSDE_TRY(vpsde_config_count(&n, c, key));
    *bits = 0;
    for (size_t i = 0; i < n; i++) {
        vpsde_config *item;
        int word;
        VPSDE_TRY(vpsde_config_item(&item, c, key, i));
        VPSDE_TRY(vpsde_config_choice(&word, item, NULL, choices, -1));
        *bits |= 1u << word;
    }
    return record_words(node, *bits, choices);
}

vpsde_status vpsde_config_pair(double out[2], vpsde_config *c, const char *key,
                               const double fallback[2])
{
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    for (size_t i = 0; i < 2; i++) out[i] = fallback[i];
    if (node->kind != VPSDE_NODE_ABSENT) {
        if (node->kind != VPSDE_NODE_SEQUENCE || node->n_children != 2) {
            return vpsde_config_fail(node, NULL, "expected a list of two numbers");
        }
        for (size_t i = 0; i < 2; i++) {
            VPSDE_TRY(vpsde_config_node_real(&out[i], node->child[i], "a number"));
        }
    }
    char text[2][VPSDE_CONFIG_NUMBER_SIZE], list[LIST_SIZE];
    for (size_t i = 0; i < 2; i++) vpsde_config_print_real(text[i], out[i], true);
    snprintf(list, sizeof(list), "[%s, %s]", text[0], text[1]);
    return vpsde_config_record_value(node, VPSDE_RECORD_LITERAL, list);
}
