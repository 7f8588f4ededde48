/* YAML text to nodes through libyaml's events (its document API is quadratic and follows aliases).
 *
 * Look-ahead is the one thing that happens before an event tells the depth: the scanner reads up to
 * 1,024 characters of openers to find out whether a collection is a key, each at the cost of all
 * the open ones, so runs of openers are refused before it sees them. */
#include "core/config_impl.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    const char *text;
    size_t length;
    vpsde_config *top;
} reader;

static vpsde_status fail_at(const vpsde_config *top, size_t line, size_t column, const char *what)
{
    if (top->set) return vpsde_fail(VPSDE_ECONFIG, "--set %.250s: %s", top->set, what);
    return vpsde_fail(VPSDE_ECONFIG, "%s:%zu:%zu: %s", top->document->name, line, column, what);
}

static vpsde_status fail_at_byte(const vpsde_config *top, const char *text, size_t byte,
                                 const char *what)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < byte; i++) {
        const bool continues = ((unsigned char)text[i] & 0xC0u) == 0x80u; /* UTF-8 */
        column += !continues;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return fail_at(top, line, column, what);
}

static vpsde_status check_bytes(const vpsde_config *top, const char *text, size_t length)
{
    if (length > VPSDE_CONFIG_BYTES_MAX) {
        return fail_at(top, 1, 1, "larger than 1 MiB; expected a configuration, not data");
    }
    if (length >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0)) {
        return fail_at(top, 1, 1, "is UTF-16; expected UTF-8 text");
    }
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        return fail_at(top, 1, 1, "begins with a byte order mark; expected UTF-8 text without one");
    }
    const char *nul = length ? memchr(text, '\0', length) : NULL;
    if (nul) {
        return fail_at_byte(top, text, (size_t)(nul - text),
                            "NUL byte; expected UTF-8 text (UTF-16 is not read)");
    }
    size_t run = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '[' || text[i] == '{') {
            run++;
        } else if (!strchr(" \t\r\n", text[i])) {
            run = 0;
        }
        if (run > VPSDE_CONFIG_DEPTH_MAX) {
            return fail_at_byte(top, text, i, "nested deeper than 64 levels; expected fewer");
        }
    }
    return VPSDE_OK;
}

static vpsde_status fail_syntax(const reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR) return vpsde_fail(VPSDE_ENOMEM, "out of memory in libyaml");
    if (p->error == YAML_READER_ERROR) {
        const size_t byte = p->problem_offset < r->length ? p->problem_offset : r->length;
        char what[200];
        snprintf(what, sizeof(what), "not valid YAML: %s; expected UTF-8 text", problem);
        return fail_at_byte(r->top, r->text, byte, what);
    }
    char what[400];
    snprintf(what, sizeof(what), "not valid YAML: %s%s%s", problem, p->context ? " " : "",
             p->context ? p->context : "");
    return fail_at(r->top, p->problem_mark.line + 1, p->problem_mark.column + 1, what);
}

static vpsde_status next(reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        memset(&r->event, 0, sizeof(r->event));
        return fail_syntax(r);
    }
    return VPSDE_OK;
}

static vpsde_status fail_here(const reader *r, const char *what)
{
    return fail_at(r->top, r->event.start_mark.line + 1, r->event.start_mark.column + 1, what);
}

/* What every node and key may not have. */
static vpsde_status check_properties(const reader *r, const vpsde_config *node)
{
    const yaml_event_t *e = &r->event;
    const bool is_scalar = e->type == YAML_SCALAR_EVENT;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_ALIAS_EVENT) {
        return vpsde_config_fail(node, NULL, "alias *%.60s; aliases are not accepted, write it out",
                                 (const char *)e->data.alias.anchor);
    }
    if (is_scalar) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    if (anchor) {
        return vpsde_config_fail(node, NULL, "anchor &%.60s; anchors are not accepted",
                                 (const char *)anchor);
    }
    if (tag) {
        return vpsde_config_fail(node, NULL, "tag %.60s; tags are not accepted", (const char *)tag);
    }
    if (is_scalar && strlen((const char *)e->data.scalar.value) != e->data.scalar.length) {
        return vpsde_config_fail(node, NULL, "text with a NUL character; expected none");
    }
    return VPSDE_OK;
}

static vpsde_status read_node(reader *r, vpsde_config *node, size_t depth);

static vpsde_status read_scalar(reader *r, vpsde_config *node)
{
    const char *value = (const char *)r->event.data.scalar.value;
    node->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->quoted && vpsde_config_is_null(value)) return VPSDE_OK;
    node->kind = VPSDE_NODE_SCALAR;
    return vpsde_config_copy(&node->text, node->document, value, r->event.data.scalar.length);
}

static vpsde_status read_sequence(reader *r, vpsde_config *node, size_t depth)
{
    node->kind = VPSDE_NODE_SEQUENCE;
    for (;;) {
        VPSDE_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return VPSDE_OK;
        vpsde_config *item;
        VPSDE_TRY(vpsde_config_add(&item, node, NULL));
        VPSDE_TRY(read_node(r, item, depth));
    }
}

static vpsde_status read_key(reader *r, vpsde_config **out, vpsde_config *mapping)
{
    if (r->event.type != YAML_SCALAR_EVENT && r->event.type != YAML_ALIAS_EVENT) {
        return fail_here(r, "a list or section as a key; expected a word");
    }
    if (r->event.type == YAML_ALIAS_EVENT) return fail_here(r, "alias as a key; expected a word");
    const char *key = (const char *)r->event.data.scalar.value;
    const bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (*key == '\0') return fail_here(r, "empty key; expected a word");
    if (mapping->n_children >= VPSDE_CONFIG_KEYS_MAX) {
        return fail_here(r, "more than 1024 keys in one section; expected fewer");
    }
    const vpsde_config *earlier = vpsde_config_find(mapping, key);
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_add(&node, mapping, key));
    node->written = true;
    node->set = r->top->set;
    node->line = node->key_line = r->event.start_mark.line + 1;
    node->column = node->key_column = r->event.start_mark.column + 1;
    VPSDE_TRY(check_properties(r, node));
    if (plain && strcmp(key, "<<") == 0) {
        return vpsde_config_fail_key(node, "merge keys are not accepted; write the keys out");
    }
    if (earlier) {
        return vpsde_config_fail_key(node, "duplicate key '%.60s'; it stands already on line %zu",
                                     key, earlier->key_line);
    }
    *out = node;
    return VPSDE_OK;
}

static vpsde_status read_mapping(reader *r, vpsde_config *node, size_t depth)
{
    node->kind = VPSDE_NODE_MAPPING;
    for (;;) {
        VPSDE_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return VPSDE_OK;
        vpsde_config *value = NULL;
        VPSDE_TRY(read_key(r, &value, node));
        VPSDE_TRY(next(r));
        VPSDE_TRY(read_node(r, value, depth));
    }
}

static vpsde_status read_node(reader *r, vpsde_config *node, size_t depth)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): read_key fails or makes the node */
    node->written = true;
    node->set = r->top->set;
    node->line = r->event.start_mark.line + 1;
    node->column = r->event.start_mark.column + 1;
    VPSDE_TRY(check_properties(r, node));
    if (r->event.type == YAML_SCALAR_EVENT) return read_scalar(r, node);
    if (depth >= VPSDE_CONFIG_DEPTH_MAX) {
        return vpsde_config_fail(node, NULL, "nested deeper than %d levels; expected fewer",
                                 VPSDE_CONFIG_DEPTH_MAX);
    }
    if (r->event.type == YAML_SEQUENCE_START_EVENT) return read_sequence(r, node, depth + 1);
    if (r->event.type == YAML_MAPPING_START_EVENT) return read_mapping(r, node, depth + 1);
    return vpsde_fail(VPSDE_EINTERNAL, "unexpected libyaml event %d", (int)r->event.type);
}

static vpsde_status check_directives(const reader *r)
{
    const yaml_version_directive_t *version = r->event.data.document_start.version_directive;
    const bool is_12 = !version || (version->major == 1 && version->minor == 2);
    if (!is_12) return fail_here(r, "not YAML 1.2; expected %YAML 1.2 or no directive");
    if (r->event.data.document_start.tag_directives.start !=
        r->event.data.document_start.tag_directives.end) {
        return fail_here(r, "%TAG directive; tags are not accepted");
    }
    return VPSDE_OK;
}

static vpsde_status read_stream(reader *r, size_t depth)
{
    VPSDE_TRY(next(r)); /* stream start */
    VPSDE_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return VPSDE_OK;
    VPSDE_TRY(check_directives(r));
    VPSDE_TRY(next(r));
    VPSDE_TRY(read_node(r, r->top, depth));
    VPSDE_TRY(next(r)); /* document end */
    VPSDE_TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT) {
        return fail_here(r, "second document; expected one");
    }
    return VPSDE_OK;
}

vpsde_status vpsde_config_read(vpsde_config *node, const char *text, size_t length, size_t depth)
{
    VPSDE_TRY(check_bytes(node, text, length));
    reader r = {.text = text, .length = length, .top = node};
    if (!yaml_parser_initialize(&r.parser)) {
        return vpsde_fail(VPSDE_ENOMEM, "libyaml cannot be started: out of memory");
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    const vpsde_status status = read_stream(&r, depth);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return status;
}
