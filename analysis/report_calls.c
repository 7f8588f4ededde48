/* Network calls and rejected steps of every sample, and step sizes where the log tells them. */
#include <math.h>
#include <stdlib.h>

#include "analysis/digits.h"
#include "analysis/report.h"

static const char *const parents[] = {"/runs", "/likelihood"};
enum { N_PARENTS = sizeof(parents) / sizeof(parents[0]), BINS = 40 };

static const vpsde_page_head heads[] = {
    {.name = "solver", .text = true},
    {.name = "nfe/sample"},
    {.name = "least"},
    {.name = "most"},
    {.name = "rejected/sample"},
    {.name = "jvp/sample"},
    {.name = "calls for the log"},
};

static void put_row(vpsde_json *j, const vpsde_h5_node *group, const vpsde_page_mean m[4])
{
    vpsde_json_list(j, NULL);
    vpsde_json_text(j, NULL, vpsde_h5_node_name(group));
    vpsde_page_cell(j, "%" VPSDE_DIGITS_NFE, m[0].mean);
    vpsde_page_cell_if(j, m[0].n > 0, "%" VPSDE_DIGITS_COUNT, m[0].low);
    vpsde_page_cell_if(j, m[0].n > 0, "%" VPSDE_DIGITS_COUNT, m[0].high);
    for (size_t i = 1; i < 4; i++) vpsde_page_cell(j, "%" VPSDE_DIGITS_NFE, m[i].mean);
    vpsde_json_end_list(j);
}

static vpsde_status put_table(const vpsde_page *r)
{
    static const char *const names[] = {"nfe", "rejected", "jvp", "nfe_log"};
    vpsde_page_begin_table(r->json, "table", "Network calls", heads,
                           sizeof(heads) / sizeof(heads[0]));
    for (size_t p = 0; p < N_PARENTS; p++) {
        const vpsde_h5_node *group = NULL;
        while ((group = vpsde_h5_tree_next(&r->tree, parents[p], group))) {
            vpsde_page_mean m[4];
            for (size_t i = 0; i < 4; i++) {
                double *values;
                size_t n;
                VPSDE_TRY(vpsde_page_column(&values, &n, r, group->path, names[i]));
                m[i] = vpsde_page_average(values, n);
                free(values);
            }
            put_row(r->json, group, m);
        }
    }
    vpsde_page_end_table(r->json);
    return VPSDE_OK;
}

static vpsde_status put_histogram(const vpsde_page *r, const vpsde_h5_node *group)
{
    double *nfe, *rejected;
    size_t n, n_rejected;
    VPSDE_TRY(vpsde_page_column(&nfe, &n, r, group->path, "nfe"));
    const vpsde_status status =
        vpsde_page_column(&rejected, &n_rejected, r, group->path, "rejected");
    if (status == VPSDE_OK) {
        vpsde_json_object(r->json, NULL);
        vpsde_json_text(r->json, "name", vpsde_h5_node_name(group));
        vpsde_page_histogram(r->json, "nfe", nfe, n, BINS, true);
        vpsde_page_histogram(r->json, "rejected", rejected, n_rejected, BINS, true);
        vpsde_json_end_object(r->json);
    }
    free(nfe);
    free(rejected);
    return status;
}

/* Nodes of a run that stores every one of them: step sizes are then known. */
static bool has_nodes(const vpsde_page *r, const vpsde_h5_node *group)
{
    const double steps = vpsde_h5_node_number(group, "steps");
    const vpsde_h5_node *time = vpsde_h5_tree_find(&r->tree, group->path, "t");
    return time && !time->is_group && time->rank == 1 && steps > 0 &&
           (double)time->dims[0] >= steps + 1;
}

/* A run whose solver chose its steps, and that stored how many it took up to each node. */
static bool has_steps(const vpsde_page *r, const vpsde_h5_node *group)
{
    const vpsde_h5_node *steps = vpsde_h5_tree_find(&r->tree, group->path, "steps");
    return steps && !steps->is_group && steps->rank == 2 && steps->dims[1] > 1;
}

static bool has_step_sizes(const vpsde_page *r, const vpsde_h5_node *group)
{
    return has_nodes(r, group) || has_steps(r, group);
}

/* Mean number of steps up to each node, which the samples share. */
static vpsde_status put_steps(const vpsde_page *r, const vpsde_h5_node *group, size_t stride)
{
    double *steps;
    size_t n;
    VPSDE_TRY(vpsde_page_mean_row(&steps, &n, r, group->path, "steps"));
    vpsde_json_list(r->json, "steps");
    for (size_t k = 0; k < n; k += stride) vpsde_json_number(r->json, NULL, steps[k]);
    vpsde_json_end_list(r->json);
    free(steps);
    return VPSDE_OK;
}

/* Every node, or every stride-th one. */
static vpsde_status put_grid(const vpsde_page *r, const vpsde_h5_node *group, size_t n_grids)
{
    static const char *const names[] = {"t", "lambda"};
    size_t stride = 1;
    vpsde_json_object(r->json, NULL);
    vpsde_json_text(r->json, "name", vpsde_h5_node_name(group));
    vpsde_json_text(r->json, "grid", vpsde_h5_node_text(group, "grid"));
    for (size_t i = 0; i < 2; i++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, group->path, names[i]));
        stride = vpsde_page_stride(n, 2 * n_grids);
        vpsde_json_list(r->json, names[i]);
        for (size_t k = 0; k < n; k += stride) vpsde_json_number(r->json, NULL, values[k]);
        vpsde_json_end_list(r->json);
        if (i == 0) vpsde_json_number(r->json, "stride", (double)stride);
        free(values);
    }
    if (has_steps(r, group)) VPSDE_TRY(put_steps(r, group, stride));
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *group = NULL;
    VPSDE_TRY(put_table(r));
    vpsde_json_list(r->json, "histograms");
    for (size_t p = 0; p < N_PARENTS; p++) {
        while ((group = vpsde_h5_tree_next(&r->tree, parents[p], group))) {
            VPSDE_TRY(put_histogram(r, group));
        }
    }
    vpsde_json_end_list(r->json);
    size_t n_grids = 0;
    while ((group = vpsde_h5_tree_next(&r->tree, parents[0], group))) {
        n_grids += has_step_sizes(r, group);
    }
    vpsde_json_list(r->json, "grids");
    while ((group = vpsde_h5_tree_next(&r->tree, parents[0], group))) {
        if (has_step_sizes(r, group)) VPSDE_TRY(put_grid(r, group, n_grids));
    }
    vpsde_json_end_list(r->json);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_calls = {.name = "calls", .group = "", .write = write};
