/* The resolved document: block style, keys in the order of asking. */
#include "core/config_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { INDENT = 2 };

/* Words that some reader of YAML 1.1 takes for something else than text. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) return true;
    }
    double number;
    return strcasecmp(text, "null") == 0 ||
           vpsde_config_read_real(&number, text) != VPSDE_NUMBER_SYNTAX;
}

static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const size_t length = strlen(text);
    if (length == 0 || (!strchr(letters, *text) && *text != '/' && *text != '_')) return false;
    size_t span = 0;
    while (text[span] && (strchr(letters, text[span]) || strchr("0123456789_-./+:", text[span]))) {
        span++;
    }
    return span == length && text[length - 1] != ':' && !is_reserved(text);
}

/* Decodes one UTF-8 sequence; 0 when it is not one. */
static size_t decode(unsigned *point, const char *text)
{
    const unsigned char *b = (const unsigned char *)text;
    const size_t length = b[0] < 0x80 ? 1 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (b[0] >= 0x80 && (b[0] < 0xC2 || b[0] > 0xF4)) return 0;
    *point = length == 1 ? b[0] : b[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xC0u) != 0x80) return 0;
        *point = *point << 6 | (b[i] & 0x3Fu);
    }
    const bool surrogate = *point >= 0xD800 && *point <= 0xDFFF;
    return *point < least[length] || surrogate || *point > 0x10FFFF ? 0 : length;
}

/* Double quotes with everything but plain ASCII escaped, so that no reader folds or drops it. */
static vpsde_status print_escaped(FILE *f, const char *text, const vpsde_config *node)
{
    fputc('"', f);
    while (*text) {
        unsigned point;
        const size_t length = decode(&point, text);
        if (length == 0) {
            return vpsde_config_fail(node, NULL, "text or folder is not UTF-8; expected UTF-8");
        }
        if (point == '"' || point == '\\') {
            fprintf(f, "\\%c", (int)point);
        } else if (point >= 0x20 && point < 0x7F) {
            fputc((int)point, f);
        } else {
            fprintf(f, point > 0xFFFF ? "\\U%08X" : "\\u%04X", point);
        }
        text += length;
    }
    fputc('"', f);
    return VPSDE_OK;
}

static vpsde_status print_text(FILE *f, const char *text, const vpsde_config *node)
{
    if (is_plain(text)) {
        fputs(text, f);
        return VPSDE_OK;
    }
    for (const char *c = text; *c; c++) {
        if (*c < 0x20 || *c > 0x7E) return print_escaped(f, text, node);
    }
    fputc('\'', f);
    for (const char *c = text; *c; c++) {
        if (*c == '\'') fputc('\'', f);
        fputc(*c, f);
    }
    fputc('\'', f);
    return VPSDE_OK;
}

static vpsde_status print_numbers(FILE *f, const vpsde_config *node, bool as_float)
{
    if (node->kind == VPSDE_NODE_SCALAR) {
        double value;
        char text[VPSDE_CONFIG_NUMBER_SIZE];
        VPSDE_TRY(vpsde_config_node_real(&value, node, "a number"));
        vpsde_config_print_real(text, value, as_float);
        fputs(text, f);
        return VPSDE_OK;
    }
    fputc('[', f);
    for (size_t i = 0; i < node->n_children; i++) {
        if (i > 0) fputs(", ", f);
        VPSDE_TRY(print_numbers(f, node->child[i], as_float));
    }
    fputc(']', f);
    return VPSDE_OK;
}

static bool has_asked(const vpsde_config *node)
{
    for (size_t i = 0; i < node->n_children; i++) {
        if (node->child[i]->order) return true;
    }
    return false;
}

static bool is_shown(const vpsde_config *node)
{
    return node->order && (node->record != VPSDE_RECORD_NONE || node->kind != VPSDE_NODE_ABSENT ||
                           has_asked(node));
}

static vpsde_status print_node(FILE *f, const vpsde_config *node, size_t indent, bool in_item);

static int by_order(const void *a, const void *b)
{
    const vpsde_config *const *x = a, *const *y = b;
    return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

/* Keys in the order of asking; the first one on the current line when `inline_first`. */
static vpsde_status print_keys(FILE *f, const vpsde_config **sorted, size_t count, size_t indent,
                               bool inline_first)
{
    for (size_t i = 0; i < count; i++) {
        if (!inline_first || i > 0) fprintf(f, "%*s", (int)indent, "");
        VPSDE_TRY(print_text(f, sorted[i]->key, sorted[i]));
        fputc(':', f);
        VPSDE_TRY(print_node(f, sorted[i], indent + INDENT, false));
    }
    return VPSDE_OK;
}

static vpsde_status print_mapping(FILE *f, const vpsde_config *node, size_t indent, bool in_item)
{
    const vpsde_config **sorted;
    size_t count = 0;
    VPSDE_TRY(vpsde_alloc(&sorted, node->n_children, sizeof(sorted[0])));
    for (size_t i = 0; i < node->n_children; i++) {
        if (is_shown(node->child[i])) sorted[count++] = node->child[i];
    }
    qsort(sorted, count, sizeof(sorted[0]), by_order);
    const bool is_root = !node->parent;
    if (count == 0) {
        fputs(is_root ? "{}\n" : " {}\n", f);
    } else if (!is_root) {
        fputc(in_item ? ' ' : '\n', f);
    }
    const vpsde_status status = print_keys(f, sorted, count, indent, in_item);
    free(sorted);
    return status;
}

static vpsde_status print_sequence(FILE *f, const vpsde_config *node, size_t indent)
{
    if (!has_asked(node)) {
        fputs(" []\n", f);
        return VPSDE_OK;
    }
    fputc('\n', f);
    for (size_t i = 0; i < node->n_children; i++) {
        if (node->child[i]->order == 0) continue;
        fprintf(f, "%*s-", (int)indent, "");
        VPSDE_TRY(print_node(f, node->child[i], indent + INDENT, true));
    }
    return VPSDE_OK;
}

/* A value that was handed out as an item and not read: as it was written. */
static vpsde_status print_unread(FILE *f, const vpsde_config *node)
{
    if (!node->text) {
        fputs("null", f);
        return VPSDE_OK;
    }
    if (!node->quoted && is_reserved(node->text)) {
        fputs(node->text, f);
        return VPSDE_OK;
    }
    return print_text(f, node->text, node);
}

/* What follows "key:" or "-", with the line's end. */
static vpsde_status print_node(FILE *f, const vpsde_config *node, size_t indent, bool in_item)
{
    const bool has_value =
        node->record != VPSDE_RECORD_NONE && node->record != VPSDE_RECORD_SECTION;
    if (!has_value) {
        if (node->kind == VPSDE_NODE_SEQUENCE) return print_sequence(f, node, indent);
        if (node->kind == VPSDE_NODE_MAPPING || node->record == VPSDE_RECORD_SECTION ||
            has_asked(node)) {
            return print_mapping(f, node, indent, in_item);
        }
    }
    fputc(' ', f);
    if (node->record == VPSDE_RECORD_LITERAL) {
        fputs(node->value, f);
    } else if (node->record == VPSDE_RECORD_TEXT) {
        VPSDE_TRY(print_text(f, node->value, node));
    } else if (node->record == VPSDE_RECORD_NUMBERS || node->record == VPSDE_RECORD_WHOLES) {
        VPSDE_TRY(print_numbers(f, node, node->record == VPSDE_RECORD_NUMBERS));
    } else {
        VPSDE_TRY(print_unread(f, node));
    }
    fputc('\n', f);
    return VPSDE_OK;
}

vpsde_status vpsde_config_resolved(char **out, const vpsde_config *root)
{
    char *text = NULL;
    size_t size;
    *out = NULL;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return vpsde_fail(VPSDE_ENOMEM, "cannot hold the resolved document: %s", strerror(errno));
    vpsde_status status = print_mapping(f, root, 0, false);
    const bool failed = ferror(f) != 0;
    const bool closed = fclose(f) == 0 && text; /* glibc cannot give `text` its size: NULL */
    if ((failed || !closed) && status == VPSDE_OK) {
        status = vpsde_fail(VPSDE_ENOMEM, "cannot hold the resolved document: out of memory");
    }
    if (status != VPSDE_OK) {
        free(text);
        return status;
    }
    *out = text;
    return VPSDE_OK;
}
