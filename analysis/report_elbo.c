/* The discrete bound: the terminal's table, and its terms by step. */
#include <math.h>
#include <stdlib.h>

#include "analysis/digits.h"
#include "analysis/report.h"
#include "core/mem.h"

#define GROUP "/elbo"

enum { ELBO, BITS, IWAE, I_MMSE, NFE, STATUS, L_PRIOR, N_COLUMNS };
static const char *const names[N_COLUMNS] = {"elbo", "bits_per_dim", "iwae",   "i_mmse",
                                             "nfe",  "status",       "l_prior"};
static const vpsde_page_head heads[] = {
    {.name = "elbo", .text = true},
    {.name = "rows"},
    {.name = "failed"},
    {.name = "elbo", .unit = "nat"},
    {.name = "bits/dim"},
    {.name = "± s.e.", .help = "standard error of the mean over the rows, of bits/dim"},
    {.name = "iwae", .unit = "nat", .help = "importance-weighted bound"},
    {.name = "i-mmse", .unit = "nat", .help = "estimate of log p"},
    {.name = "L_T", .unit = "nat", .help = "l_prior"},
    {.name = "nfe/row"},
    {.name = "wall", .unit = "s"},
};

static void put_row(const vpsde_page *r, const vpsde_h5_node *group,
                    double *const columns[N_COLUMNS], const size_t n[N_COLUMNS])
{
    vpsde_json *j = r->json;
    vpsde_page_mean m[N_COLUMNS];
    for (size_t c = 0; c < N_COLUMNS; c++) m[c] = vpsde_page_average(columns[c], n[c]);
    vpsde_json_list(j, NULL);
    vpsde_json_text(j, NULL, vpsde_h5_node_name(group));
    vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, (double)n[NFE]);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, vpsde_page_nonzero(columns[STATUS], n[STATUS]));
    vpsde_page_cell(j, "%" VPSDE_DIGITS_NATS, m[ELBO].mean);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_BITS, m[BITS].mean);
    vpsde_page_cell_if(j, m[BITS].n > 1, "%" VPSDE_DIGITS_STDERR, m[BITS].stderror);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_NATS, m[IWAE].mean);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_NATS, m[I_MMSE].mean);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_NATS, m[L_PRIOR].mean);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_NFE, m[NFE].mean);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_SECONDS, vpsde_page_timing(r, group, "wall_seconds"));
    vpsde_json_end_list(j);
}

static vpsde_status put_table_row(const vpsde_page *r, const vpsde_h5_node *group)
{
    double *columns[N_COLUMNS];
    size_t n[N_COLUMNS];
    const vpsde_status status = vpsde_page_columns(columns, n, r, group->path, names, N_COLUMNS);
    if (status == VPSDE_OK) put_row(r, group, columns, n);
    for (size_t c = 0; c < N_COLUMNS; c++) free(columns[c]);
    return status;
}

static const char *const terms[] = {"l_step", "mse_eps", "mse_x0"};
static const char *const axes[] = {"step", "t"};
enum { N_TERMS = sizeof(terms) / sizeof(terms[0]), N_AXES = sizeof(axes) / sizeof(axes[0]) };

/* Means over the rows, by step; so many steps to a point. */
static vpsde_status put_by_step(const vpsde_page *r, const vpsde_h5_node *group, const char *name,
                                size_t curves)
{
    double *mean;
    size_t steps;
    VPSDE_TRY(vpsde_page_mean_row(&mean, &steps, r, group->path, name));
    vpsde_page_means(r->json, name, mean, steps, vpsde_page_stride(steps, curves));
    free(mean);
    return VPSDE_OK;
}

static vpsde_status put_terms(const vpsde_page *r, const vpsde_h5_node *group, size_t n_groups)
{
    const size_t curves = n_groups * (N_TERMS + N_AXES);
    vpsde_json_object(r->json, NULL);
    vpsde_json_text(r->json, "name", vpsde_h5_node_name(group));
    for (size_t i = 0; i < N_TERMS; i++) VPSDE_TRY(put_by_step(r, group, terms[i], curves));
    for (size_t i = 0; i < N_AXES; i++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, group->path, axes[i]));
        const size_t stride = vpsde_page_stride(n, curves);
        vpsde_page_means(r->json, axes[i], values, n, stride);
        if (i == 0) vpsde_json_number(r->json, "stride", (double)stride);
        free(values);
    }
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *group = NULL;
    size_t n = 0;
    vpsde_page_begin_table(r->json, "table", "Bounds on log p", heads,
                           sizeof(heads) / sizeof(heads[0]));
    while ((group = vpsde_h5_tree_next(&r->tree, GROUP, group))) {
        if (!group->is_group) continue;
        VPSDE_TRY(put_table_row(r, group));
        n++;
    }
    vpsde_page_end_table(r->json);
    vpsde_json_list(r->json, "terms");
    while ((group = vpsde_h5_tree_next(&r->tree, GROUP, group))) {
        if (group->is_group) VPSDE_TRY(put_terms(r, group, n));
    }
    vpsde_json_end_list(r->json);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_elbo = {.name = "elbo", .group = GROUP, .write = write};
