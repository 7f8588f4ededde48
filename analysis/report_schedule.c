/* The geometry of the schedule at its nodes, and what every grid makes of it. */
#include <stdlib.h>

#include "analysis/digits.h"
#include "analysis/report.h"

#define GROUP "/thermo/schedule"
#define GRIDS "/thermo/grids"

static const vpsde_page_head heads[] = {
    {.name = "grid", .text = true},
    {.name = "path KL", .unit = "nat", .help = "of a DDPM chain on the grid, to leading order"},
    {.name = "from", .unit = "nat", .help = "95 % interval"},
    {.name = "to", .unit = "nat", .help = "95 % interval"},
    {.name = "eta_sched", .help = "L^2 / (2 N path KL); 1 for steps of equal length"},
    {.name = "eta from", .help = "95 % interval"},
    {.name = "eta to", .help = "95 % interval"},
};
static const char *const columns[] = {"grid",           "path_kl",    "path_kl_low",
                                      "path_kl_high",   "efficiency", "efficiency_low",
                                      "efficiency_high"};
enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]), N_KL = 4 };

static vpsde_status put_rows(const vpsde_page *r, const vpsde_h5_node *grid,
                             double *const v[N_COLUMNS], const size_t n[N_COLUMNS])
{
    for (size_t i = 0; i < n[0]; i++) {
        char *name;
        VPSDE_TRY(vpsde_page_word(&name, vpsde_h5_node_text(grid, "flag_meanings"), v[0][i]));
        vpsde_json_list(r->json, NULL);
        vpsde_json_text(r->json, NULL, name);
        for (size_t c = 1; c < N_COLUMNS; c++) {
            const bool known = i < n[c];
            vpsde_page_cell_if(r->json, known,
                               c < N_KL ? "%" VPSDE_DIGITS_RATE : "%" VPSDE_DIGITS_SHARE,
                               known ? v[c][i] : 0);
        }
        vpsde_json_end_list(r->json);
        free(name);
    }
    return VPSDE_OK;
}

static vpsde_status put_grids(const vpsde_page *r)
{
    double *v[N_COLUMNS];
    size_t n[N_COLUMNS];
    vpsde_page_begin_table(r->json, "table", "Efficiency of time grids", heads, N_COLUMNS);
    vpsde_status status = vpsde_page_columns(v, n, r, GRIDS, columns, N_COLUMNS);
    if (status == VPSDE_OK) {
        status = put_rows(r, vpsde_h5_tree_find(&r->tree, GRIDS, "grid"), v, n);
    }
    vpsde_page_end_table(r->json);
    for (size_t c = 0; c < N_COLUMNS; c++) free(v[c]);
    return status;
}

static vpsde_status put_nodes(const vpsde_page *r)
{
    static const char *const names[] = {"t",           "b",      "metric",     "metric_low",
                                        "metric_high", "length", "length_low", "length_high",
                                        "dissipation", "entropy"};
    enum { N = sizeof(names) / sizeof(names[0]) };
    vpsde_json_object(r->json, "nodes");
    for (size_t i = 0; i < N; i++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, GROUP, names[i]));
        vpsde_page_picks(r->json, names[i], values, n, vpsde_page_stride(n, N));
        free(values);
    }
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, GROUP, NULL);
    vpsde_json_format(r->json, "length", "%" VPSDE_DIGITS_RATE,
                      vpsde_h5_node_number(group, "length"));
    vpsde_json_format(r->json, "interval", "%" VPSDE_DIGITS_RATE " to %" VPSDE_DIGITS_RATE,
                      vpsde_h5_node_number(group, "length_low"),
                      vpsde_h5_node_number(group, "length_high"));
    vpsde_json_number(r->json, "samples", vpsde_h5_node_number(group, "samples"));
    vpsde_json_number(r->json, "steps",
                      vpsde_h5_node_number(vpsde_h5_tree_find(&r->tree, GRIDS, NULL), "steps"));
    VPSDE_TRY(put_nodes(r));
    return put_grids(r);
}

const vpsde_page_section vpsde_page_section_schedule = {
    .name = "schedule", .group = GROUP, .write = write};
