/* Getters of lists: items one by one, or a rectangular array of numbers at once. */
#include "core/config_impl.h"

#include <stdlib.h>

#include "core/mem.h"

vpsde_status vpsde_config_count(size_t *n, vpsde_config *c, const char *key)
{
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    *n = node->kind == VPSDE_NODE_ABSENT     ? 0
         : node->kind == VPSDE_NODE_SEQUENCE ? node->n_children
                                             : 1;
    return VPSDE_OK;
}

vpsde_status vpsde_config_item(vpsde_config **out, vpsde_config *c, const char *key, size_t index)
{
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    const bool is_list = node->kind == VPSDE_NODE_SEQUENCE;
    const size_t count = is_list ? node->n_children : node->kind != VPSDE_NODE_ABSENT;
    if (index >= count) {
        return vpsde_config_fail(node, NULL, "has %zu items; expected more than %zu", count, index);
    }
    if (!is_list) {
        *out = node;
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_config_record_value(node, VPSDE_RECORD_NONE, NULL));
    return vpsde_config_ask(out, node->child[index], NULL);
}

static const char expected_numbers[] = "a number or a list of numbers";

/* Every list at one level has the length of the first one. */
static vpsde_status fill(double **next, const vpsde_config *node, const size_t *dims, size_t rank)
{
    if (rank == 0) {
        VPSDE_TRY(vpsde_config_node_real(*next, node, "a number"));
        (*next)++;
        return VPSDE_OK;
    }
    if (node->kind != VPSDE_NODE_SEQUENCE) {
        char got[100];
        return vpsde_config_fail(node, NULL, "is %s; expected a list of %zu as before it",
                                 vpsde_config_describe(got, sizeof(got), node), dims[0]);
    }
    if (node->n_children != dims[0]) {
        return vpsde_config_fail(node, NULL, "has %zu entries; expected %zu as before it",
                                 node->n_children, dims[0]);
    }
    for (size_t i = 0; i < node->n_children; i++) {
        VPSDE_TRY(fill(next, node->child[i], dims + 1, rank - 1));
    }
    return VPSDE_OK;
}

static vpsde_status shape(size_t *rank, size_t *dims, size_t rank_max, size_t *count,
                          const vpsde_config *node)
{
    *rank = 0;
    *count = 1;
    for (; node && node->kind == VPSDE_NODE_SEQUENCE; (*rank)++) {
        if (*rank == rank_max) {
            return vpsde_config_fail(node, NULL, "is nested deeper than %zu lists; expected %s",
                                     rank_max, rank_max ? expected_numbers : "a number");
        }
        dims[*rank] = node->n_children;
        *count *= node->n_children;
        if (*count > VPSDE_CONFIG_BYTES_MAX) { /* more than the text can hold */
            return vpsde_config_fail(node, NULL,
                                     "is not rectangular; expected lists of equal length");
        }
        node = node->n_children ? node->child[0] : NULL;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_config_numbers(double **out, size_t *rank, size_t *dims, size_t rank_max,
                                  vpsde_config *c, const char *key)
{
    vpsde_config *node;
    size_t count;
    *out = NULL;
    *rank = 0;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    if (node->kind == VPSDE_NODE_ABSENT) {
        return vpsde_config_record_value(node, VPSDE_RECORD_NONE, NULL);
    }
    if (node->kind == VPSDE_NODE_MAPPING) {
        return vpsde_config_fail(node, NULL, "is a section; expected %s", expected_numbers);
    }
    VPSDE_TRY(shape(rank, dims, rank_max, &count, node));
    double *values;
    VPSDE_TRY(vpsde_alloc(&values, count, sizeof(values[0])));
    double *next = values;
    const vpsde_status status = fill(&next, node, dims, *rank);
    if (status != VPSDE_OK) {
        free(values);
        return status;
    }
    *out = values;
    return vpsde_config_record_value(node, VPSDE_RECORD_NUMBERS, NULL);
}

vpsde_status vpsde_config_wholes(double **out, size_t *rank, size_t *dims, size_t rank_max,
                                 vpsde_config *c, const char *key)
{
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_numbers(out, rank, dims, rank_max, c, key));
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    if (*out) node->record = VPSDE_RECORD_WHOLES;
    return VPSDE_OK;
}

vpsde_status vpsde_config_show(vpsde_config *c, const char *key, const char *text)
{
    vpsde_config *node;
    VPSDE_TRY(vpsde_config_ask(&node, c, key));
    return vpsde_config_record_value(node, VPSDE_RECORD_LITERAL, text);
}
