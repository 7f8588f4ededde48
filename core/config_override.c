#include "core/config_impl.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* The key or item called `part` below `node`, made where sections miss it. */
static vpsde_status step(vpsde_config **out, vpsde_config *node, const char *part, const char *path)
{
    if (*part == '\0') {
        return vpsde_fail(VPSDE_ECONFIG, "--set %.250s: empty key; expected key.path=value", path);
    }
    if (node->kind == VPSDE_NODE_SEQUENCE) {
        uint64_t index;
        if (strspn(part, "0123456789") != strlen(part) ||
            vpsde_config_read_uint(&index, part) != VPSDE_NUMBER_OK || index >= node->n_children) {
            return vpsde_fail(VPSDE_ECONFIG,
                              "--set %.250s: '%.60s' is not an item of the list; expected a number "
                              "below %zu",
                              path, part, node->n_children);
        }
        *out = node->child[index];
        return VPSDE_OK;
    }
    if (node->kind == VPSDE_NODE_SCALAR) {
        return vpsde_fail(VPSDE_ECONFIG,
                          "--set %.250s: '%.60s' stands below the single value '%.60s'; expected a "
                          "section or a list there",
                          path, part, node->text);
    }
    if (node->kind == VPSDE_NODE_ABSENT) {
        node->kind = VPSDE_NODE_MAPPING;
        node->set = path;
    }
    *out = vpsde_config_find(node, part);
    if (*out) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_add(out, node, part));
    (*out)->written = true;
    (*out)->set = path;
    return VPSDE_OK;
}

static vpsde_status assign(vpsde_config_document *document, const char *path, char *parts,
                           const char *value)
{
    vpsde_config *node = document->root;
    size_t depth = 0;
    for (char *part; (part = strsep(&parts, ".")) != NULL; depth++) {
        if (depth >= VPSDE_CONFIG_DEPTH_MAX) {
            return vpsde_fail(VPSDE_ECONFIG, "--set %.60s...: nested deeper than %d levels", path,
                              VPSDE_CONFIG_DEPTH_MAX);
        }
        VPSDE_TRY(step(&node, node, part, path));
    }
    node->kind = VPSDE_NODE_ABSENT;
    node->n_children = 0;
    node->set = path;
    return vpsde_config_read(node, value, strlen(value), depth);
}

vpsde_status vpsde_config_override(vpsde_config_document *document, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        return vpsde_fail(VPSDE_ECONFIG, "--set %.250s: no key; expected key.path=value",
                          assignment);
    }
    const char *path;
    char *parts;
    VPSDE_TRY(vpsde_config_copy(&path, document, assignment, (size_t)(equals - assignment)));
    VPSDE_TRY(vpsde_strdup(&parts, path));
    const vpsde_status status = assign(document, path, parts, equals + 1);
    free(parts);
    return status;
}
