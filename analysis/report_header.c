/* What the run is, how to repeat it, and where it comes from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report.h"

/* [[name, text], ...] of a group's attributes. */
static void put_facts(vpsde_json *j, const char *key, const vpsde_h5_node *node)
{
    vpsde_json_list(j, key);
    for (size_t i = 0; node && i < node->n_attrs; i++) {
        vpsde_json_list(j, NULL);
        vpsde_json_text(j, NULL, node->attrs[i].name);
        vpsde_json_text(j, NULL, node->attrs[i].text);
        vpsde_json_end_list(j);
    }
    vpsde_json_end_list(j);
}

static void put_provenance(vpsde_json *j, const vpsde_page *r)
{
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, "/provenance", NULL), *child = NULL;
    vpsde_json_list(j, "provenance");
    vpsde_json_object(j, NULL);
    vpsde_json_text(j, "name", "machine and libraries");
    put_facts(j, "facts", group);
    vpsde_json_end_object(j);
    while (group && (child = vpsde_h5_tree_next(&r->tree, "/provenance", child))) {
        if (!child->is_group || child->n_attrs == 0) continue;
        vpsde_json_object(j, NULL);
        vpsde_json_text(j, "name", vpsde_h5_node_name(child));
        put_facts(j, "facts", child);
        vpsde_json_end_object(j);
    }
    vpsde_json_end_list(j);
}

/* Attributes of the groups of results: solver, source, parameters, grid. */
static void put_settings(vpsde_json *j, const vpsde_page *r)
{
    static const char *const parents[] = {"/runs", "/likelihood", "/elbo", "/gradient", "/compare"};
    vpsde_json_list(j, "settings");
    for (size_t p = 0; p < sizeof(parents) / sizeof(parents[0]); p++) {
        const vpsde_h5_node *node = vpsde_h5_tree_find(&r->tree, parents[p], NULL);
        const vpsde_h5_node *child = NULL;
        bool own = node && node->n_attrs > 0;
        while (node && (own || (child = vpsde_h5_tree_next(&r->tree, parents[p], child)))) {
            const vpsde_h5_node *shown = own ? node : child;
            own = false;
            if (!shown->is_group) continue;
            vpsde_json_object(j, NULL);
            vpsde_json_text(j, "name", shown->path + 1);
            put_facts(j, "facts", shown);
            vpsde_json_end_object(j);
        }
    }
    vpsde_json_end_list(j);
}

static void put_labels(vpsde_json *j, const vpsde_page *r)
{
    static const char *const parents[] = {"/runs", "/likelihood", "/elbo"};
    vpsde_json_list(j, "labels");
    for (size_t p = 0; p < sizeof(parents) / sizeof(parents[0]); p++) {
        const vpsde_h5_node *child = NULL;
        while ((child = vpsde_h5_tree_next(&r->tree, parents[p], child))) {
            const char *label = vpsde_h5_node_text(child, "label");
            vpsde_json_text(j, NULL, *label ? label : vpsde_h5_node_name(child));
        }
    }
    vpsde_json_end_list(j);
}

static vpsde_status write(const vpsde_page *r)
{
    static const char *const names[] = {"verb", "status", "schema", "seed", "config", "missing"};
    const vpsde_h5_node *root = vpsde_h5_tree_find(&r->tree, "/", NULL);
    const vpsde_h5_node *provenance = vpsde_h5_tree_find(&r->tree, "/provenance", NULL);
    vpsde_json *j = r->json;
    vpsde_json_text(j, "file", r->name);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        vpsde_json_text(j, names[i], vpsde_h5_node_text(root, names[i]));
    }
    vpsde_json_text(j, "created", vpsde_h5_node_text(provenance, "created"));
    vpsde_json_text(j, "version", vpsde_h5_node_text(provenance, "version"));
    put_facts(j, "model", vpsde_h5_tree_find(&r->tree, "/model", NULL));
    put_facts(j, "inputs", vpsde_h5_tree_find(&r->tree, "/inputs", NULL));
    put_labels(j, r);
    vpsde_json_list(j, "repeat");
    for (size_t i = 0; r->repeat && r->repeat[i]; i++) vpsde_json_text(j, NULL, r->repeat[i]);
    vpsde_json_end_list(j);
    put_settings(j, r);
    put_provenance(j, r);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_header = {
    .name = "header", .group = "", .write = write};
