/* Every dataset of the file. */
#include <stdio.h>
#include <string.h>

#include "analysis/report.h"

static const vpsde_page_head heads[] = {
    {.name = "path", .text = true},
    {.name = "shape", .text = true},
    {.name = "unit", .text = true},
    {.name = "what", .text = true},
};

static vpsde_status write(const vpsde_page *r)
{
    vpsde_json *j = r->json;
    vpsde_page_begin_table(j, "table", "Datasets", heads, sizeof(heads) / sizeof(heads[0]));
    for (size_t i = 0; i < r->tree.n; i++) {
        const vpsde_h5_node *node = &r->tree.nodes[i];
        char shape[256] = "(";
        if (node->is_group) continue;
        for (size_t a = 0; a < node->rank; a++) {
            const size_t used = strlen(shape);
            snprintf(shape + used, sizeof(shape) - used, "%s%zu", a ? ", " : "", node->dims[a]);
        }
        vpsde_json_list(j, NULL);
        vpsde_json_text(j, NULL, node->path);
        vpsde_json_format(j, NULL, "%s)", shape);
        vpsde_json_text(j, NULL, vpsde_h5_node_text(node, "units"));
        vpsde_json_text(j, NULL, vpsde_h5_node_text(node, "description"));
        vpsde_json_end_list(j);
    }
    vpsde_page_end_table(j);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_contents = {
    .name = "contents", .group = "", .write = write};
