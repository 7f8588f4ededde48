/* What the files of the configuration module share: the node tree, its memory and its messages. */
#ifndef VPSDE_CORE_CONFIG_IMPL_H
#define VPSDE_CORE_CONFIG_IMPL_H

#include "core/config.h"

enum {
    VPSDE_CONFIG_BYTES_MAX = 1 << 20,
    VPSDE_CONFIG_DEPTH_MAX = 64,
    VPSDE_CONFIG_KEYS_MAX = 1024, /* of one mapping: looking for duplicates stays cheap */
    VPSDE_CONFIG_NUMBER_SIZE = 40
};

typedef struct vpsde_config_chunk vpsde_config_chunk;

/* Nodes and texts live in chunks that go together, so no error path can lose one of them. */
typedef struct vpsde_config_document {
    vpsde_config_chunk *chunks;
    const char *name;   /* of the file, in messages */
    const char *folder; /* absolute; relative paths start here */
    vpsde_config *root;
    size_t n_asked; /* counts questions: the order of the resolved document */
} vpsde_config_document;

/* How the resolved document shows an asked node. */
typedef enum vpsde_config_record {
    VPSDE_RECORD_NONE,    /* by its children; nothing when it is absent */
    VPSDE_RECORD_SECTION, /* a mapping, even when the user wrote none */
    VPSDE_RECORD_LITERAL, /* `value` as it stands */
    VPSDE_RECORD_TEXT,    /* `value`, quoted when needed */
    VPSDE_RECORD_NUMBERS, /* a flow sequence of numbers */
    VPSDE_RECORD_WHOLES   /* one whose whole numbers look whole */
} vpsde_config_record;

struct vpsde_config {
    vpsde_config_document *document;
    vpsde_config *parent; /* NULL for the root */
    const char *key;      /* NULL for the root and for items */
    size_t index;         /* of an item */
    vpsde_node_kind kind; /* ABSENT: null, or never written */
    bool written;         /* by the user */
    bool quoted;          /* scalars */
    const char *text;     /* scalars */
    const char *set;      /* key path of the --set that wrote it, or NULL */
    size_t line, column;  /* 1-based; of the value */
    size_t key_line, key_column;
    vpsde_config **child;
    size_t n_children, capacity;
    size_t order; /* 0: nobody asked */
    vpsde_config_record record;
    const char *value;
};

/* config_node.c: memory, the tree, messages */
vpsde_status vpsde_config_document_create(vpsde_config_document **out, const char *name,
                                          const char *folder);
void vpsde_config_document_destroy(vpsde_config_document *document);
vpsde_status vpsde_config_copy(const char **out, vpsde_config_document *document, const char *text,
                               size_t length);
/* A new last child; key NULL for an item. */
vpsde_status vpsde_config_add(vpsde_config **out, vpsde_config *parent, const char *key);
vpsde_config *vpsde_config_find(const vpsde_config *c, const char *key); /* or NULL */
/* The node under key (NULL: c itself), made when absent, counted as asked. */
vpsde_status vpsde_config_ask(vpsde_config **out, vpsde_config *c, const char *key);
vpsde_status vpsde_config_record_value(vpsde_config *node, vpsde_config_record record,
                                       const char *value);
/* "text 'abc'", "a list", "a section", "nothing": for "..., got %s". */
const char *vpsde_config_describe(char *out, size_t size, const vpsde_config *node);
/* ECONFIG at the place of the node's key. */
vpsde_status vpsde_config_fail_key(const vpsde_config *node, const char *format, ...)
    VPSDE_PRINTF(2, 3);

/* config_parse.c: fills `node`, which stands `depth` levels deep, from YAML text. */
vpsde_status vpsde_config_read(vpsde_config *node, const char *text, size_t length, size_t depth);

/* config_override.c */
vpsde_status vpsde_config_override(vpsde_config_document *document, const char *assignment);

/* config_number.c: scalars of YAML 1.2's core schema, whatever the locale. */
typedef enum vpsde_number {
    VPSDE_NUMBER_OK,
    VPSDE_NUMBER_SYNTAX,
    VPSDE_NUMBER_NOT_FINITE,
    VPSDE_NUMBER_TOO_LARGE,
    VPSDE_NUMBER_NEGATIVE,
    VPSDE_NUMBER_FRACTION
} vpsde_number;
vpsde_number vpsde_config_read_real(double *out, const char *text);
vpsde_number vpsde_config_read_uint(uint64_t *out, const char *text);
bool vpsde_config_is_null(const char *text);
/* "is not a number", ... */
const char *vpsde_config_number_problem(vpsde_number problem);
/* The shortest digits that read back the same: "0.5", "20"; as a float also "20.0", "1.0e-05". */
void vpsde_config_print_real(char out[VPSDE_CONFIG_NUMBER_SIZE], double value, bool as_float);

/* config.c: the number in a node that the user wrote. */
vpsde_status vpsde_config_node_real(double *out, const vpsde_config *node, const char *expected);

#endif
