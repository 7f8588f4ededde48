/* The loss curve. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/report.h"

#define GROUP "/training"

static vpsde_status write(const vpsde_page *r)
{
    vpsde_json *j = r->json;
    const vpsde_h5_node *node = NULL;
    vpsde_json_text(j, "missing",
                    vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, GROUP, NULL), "missing_rows"));
    vpsde_json_list(j, "curves");
    while ((node = vpsde_h5_tree_next(&r->tree, GROUP, node))) {
        double *values;
        size_t n;
        if (node->is_group || !node->kind || node->rank != 1) continue;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, GROUP, vpsde_h5_node_name(node)));
        const size_t stride = vpsde_page_stride(n, 1);
        const double last = n > 0 ? values[n - 1] : (double)NAN;
        vpsde_json_object(j, NULL);
        vpsde_json_text(j, "name", vpsde_h5_node_name(node));
        vpsde_json_text(j, "unit", vpsde_h5_node_text(node, "units"));
        vpsde_json_text(j, "description", vpsde_h5_node_text(node, "description"));
        vpsde_json_number(j, "stride", (double)stride);
        vpsde_page_means(j, "values", values, n, stride);
        vpsde_json_format(j, "last", "%.6g", last);
        vpsde_json_end_object(j);
        free(values);
    }
    vpsde_json_end_list(j);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_training = {
    .name = "training", .group = GROUP, .write = write};
