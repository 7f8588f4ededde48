#include "core/config_impl.h"

#include <stdio.h>

#include "core/mem.h"

enum { LISTED_MAX = 12, LIST_SIZE = 512 };

static vpsde_status list_keys(const vpsde_config *node, const char *const *names, size_t count)
{
    char list[LIST_SIZE] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && i < LISTED_MAX && used < sizeof(list); i++) {
        const int length =
            snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", names[i]);
        if (length < 0) break;
        used += (size_t)length;
    }
    if (count == 0) {
        return vpsde_config_fail_key(node, "unknown key '%.60s'; expected no keys here", node->key);
    }
    return vpsde_config_fail_key(node, "unknown key '%.60s'; expected one of %s%s", node->key, list,
                                 count > LISTED_MAX ? ", ..." : "");
}

static vpsde_status fail_unknown(const vpsde_config *node)
{
    const vpsde_config *parent = node->parent;
    if (!node->key) {
        return vpsde_config_fail(node, NULL, "item is not used; expected a shorter list");
    }
    const char *names[2 * VPSDE_CONFIG_KEYS_MAX] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < parent->n_children && count < sizeof(names) / sizeof(names[0]); i++) {
        if (parent->child[i]->order) names[count++] = parent->child[i]->key;
    }
    const char *near = vpsde_nearest(node->key, names, count);
    if (!near) return list_keys(node, names, count);
    return vpsde_config_fail_key(node, "unknown key '%.60s'; did you mean '%s'?", node->key, near);
}

vpsde_status vpsde_config_check(const vpsde_config *root)
{
    const bool is_value = root->record != VPSDE_RECORD_NONE && root->record != VPSDE_RECORD_SECTION;
    if (is_value) return VPSDE_OK;
    for (size_t i = 0; i < root->n_children; i++) {
        const vpsde_config *node = root->child[i];
        const bool removed = node->kind == VPSDE_NODE_ABSENT && node->set; /* --set key=null */
        if (node->written && node->order == 0 && !removed) return fail_unknown(node);
        VPSDE_TRY(vpsde_config_check(node));
    }
    return VPSDE_OK;
}
