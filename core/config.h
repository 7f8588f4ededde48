/* Strict YAML whose schema is what the program asks for.
 *
 * A vpsde_config is one node of the document. Every getter names a key, its default and its bounds:
 * the set of keys asked for *is* the schema. After everything was read, vpsde_config_check() finds
 * keys nobody asked for and names the nearest one that was, and vpsde_config_resolved() prints the
 * document with every default filled in, in the order of asking.
 *
 * Messages read "FILE:LINE:COL: path.to.key: what is wrong; what was expected" and come with
 * ECONFIG. YAML 1.2 core schema only: no anchors, aliases, tags, merge keys, second documents; at
 * most 1 MiB and 64 levels; duplicate keys refused. */
#ifndef VPSDE_CORE_CONFIG_H
#define VPSDE_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/param.h>
#include <vpsde/status.h>

typedef struct vpsde_config vpsde_config;

/* Reads a file; overrides (n) are "key.path=value" with YAML values (the --set option):
 * missing sections are made, "list.0.key" reaches into lists. ECONFIG, also when the file cannot be
 * read. */
vpsde_status vpsde_config_open(vpsde_config **out, const char *path, char *const *overrides,
                               size_t n);
/* The same from memory; `name` stands for the file in messages, `folder` for relative paths. */
vpsde_status vpsde_config_parse(vpsde_config **out, const char *text, size_t length,
                                const char *name, const char *folder, char *const *overrides,
                                size_t n);
void vpsde_config_close(vpsde_config *root); /* NULL is fine */

/* In every function below, key NULL means the node itself, which is how items of lists are read. */

/* Was the key written by the user (not null)? Does not count as asking. */
bool vpsde_config_has(const vpsde_config *c, const char *key);

/* The mapping under key; an absent one reads as empty. ECONFIG when it is something else. Borrowed. */
vpsde_status vpsde_config_section(vpsde_config **out, vpsde_config *c, const char *key);

/* Items of a sequence under key (0 when absent); a scalar or mapping counts as one item. */
vpsde_status vpsde_config_count(size_t *n, vpsde_config *c, const char *key);
vpsde_status vpsde_config_item(vpsde_config **out, vpsde_config *c, const char *key, size_t index);

/* Kind of the node under key. */
typedef enum vpsde_node_kind {
    VPSDE_NODE_ABSENT,
    VPSDE_NODE_SCALAR,
    VPSDE_NODE_SEQUENCE,
    VPSDE_NODE_MAPPING
} vpsde_node_kind;
vpsde_node_kind vpsde_config_kind(const vpsde_config *c, const char *key);

/* Numbers: finite, min <= value <= max. NAN as fallback makes the key required; any other fallback
 * outside the bounds means "not given" and is left out of the resolved document. */
vpsde_status vpsde_config_real(double *out, vpsde_config *c, const char *key, double fallback,
                               double min, double max);
/* Whole numbers, also 0x1f and 1.0e+5; UINT64_MAX as fallback makes the key required. */
vpsde_status vpsde_config_uint(uint64_t *out, vpsde_config *c, const char *key, uint64_t fallback,
                               uint64_t min, uint64_t max);
vpsde_status vpsde_config_bool(bool *out, vpsde_config *c, const char *key, bool fallback);
/* Text; borrowed from the document. NULL fallback makes it required; "" means "not given" and is
 * left out of the resolved document. */
vpsde_status vpsde_config_text(const char **out, vpsde_config *c, const char *key,
                               const char *fallback);
/* One word of "a|b|c"; *out is its index. Unknown words name the nearest. A negative fallback makes
 * it required. */
vpsde_status vpsde_config_choice(int *out, vpsde_config *c, const char *key, const char *choices,
                                 int fallback);
/* A path, made absolute relative to the configuration file (a leading ~ is not expanded). A suffix
 * ":/dataset" (HDF5) is kept. NULL fallback makes it required; "" stays "". Borrowed. */
vpsde_status vpsde_config_path(const char **out, vpsde_config *c, const char *key,
                               const char *fallback);
/* A number or a (nested) sequence of numbers, flattened row-major into fresh memory (free it).
 * dims (rank_max) receive the shape; ragged shapes are ECONFIG. A single number has rank 0. Absent:
 * *out = NULL. */
vpsde_status vpsde_config_numbers(double **out, size_t *rank, size_t *dims, size_t rank_max,
                                  vpsde_config *c, const char *key);
/* The same, and the resolved document shows whole ones as whole numbers: 28 instead of 28.0. */
vpsde_status vpsde_config_wholes(double **out, size_t *rank, size_t *dims, size_t rank_max,
                                 vpsde_config *c, const char *key);
/* Shows `text`, YAML on one line, as the value of a list that was read, given or not. */
vpsde_status vpsde_config_show(vpsde_config *c, const char *key, const char *text);
/* Every row of a parameter table as a key of this section. */
vpsde_status vpsde_config_params(double *values, vpsde_config *c, const vpsde_param *table);

/* A short form written out: a single word under `key` (NULL: the node itself) becomes the section
 * {word_key: word}, so that `solver: [ddim]` and `solver: [{solver: ddim}]` are one thing and the
 * resolved document shows every parameter. Anything else stays as it is. */
vpsde_status vpsde_config_expand(vpsde_config *c, const char *key, const char *word_key);
/* A list of words of "a|b|c" (or one word): bit i of *bits for the i-th. */
vpsde_status vpsde_config_words(unsigned *bits, vpsde_config *c, const char *key,
                                const char *choices, unsigned fallback);
/* Two numbers. */
vpsde_status vpsde_config_pair(double out[2], vpsde_config *c, const char *key,
                               const double fallback[2]);

/* ECONFIG at the place of `key` (NULL: the node itself): for checks the caller makes. */
vpsde_status vpsde_config_fail(const vpsde_config *c, const char *key, const char *format, ...)
    VPSDE_PRINTF(3, 4);
/* Puts the place of `key` before the current message and returns ECONFIG for EINVAL, else status. */
vpsde_status vpsde_config_fail_at(vpsde_status status, const vpsde_config *c, const char *key);

/* Keys nobody asked for: ECONFIG with the nearest asked one. Call once everything was read. */
vpsde_status vpsde_config_check(const vpsde_config *root);

/* The document with every default, canonical block YAML that parses back to the same values. Paths
 * are absolute. What nobody asked for is left out. Fresh memory. */
vpsde_status vpsde_config_resolved(char **out, const vpsde_config *root);

#endif
