/* log p of the rows: the terminal's tables, how it is distributed, and the rows themselves. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/budget_sums.h"
#include "analysis/digits.h"
#include "analysis/report.h"
#include "core/mem.h"

#define GROUP "/likelihood"

enum { BINS = 40, ROWS_MAX = 400 };

static const vpsde_page_head heads[] = {
    {.name = "likelihood", .text = true},
    {.name = "rows"},
    {.name = "failed"},
    {.name = "logp", .unit = "nat"},
    {.name = "bits/dim"},
    {.name = "± s.e.", .help = "standard error of the mean over the rows, of bits/dim"},
    {.name = "nfe/row"},
    {.name = "wall", .unit = "s"},
};

static vpsde_status put_row(const vpsde_page *r, const vpsde_h5_node *group)
{
    static const char *const names[] = {"logp", "bits_per_dim", "nfe", "status"};
    double *v[4];
    size_t n[4];
    vpsde_json *j = r->json;
    const vpsde_status status = vpsde_page_columns(v, n, r, group->path, names, 4);
    if (status == VPSDE_OK) {
        const vpsde_page_mean bits = vpsde_page_average(v[1], n[1]);
        vpsde_json_list(j, NULL);
        vpsde_json_text(j, NULL, vpsde_h5_node_name(group));
        vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, (double)n[0]);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, vpsde_page_nonzero(v[3], n[3]));
        vpsde_page_cell(j, "%" VPSDE_DIGITS_NATS, vpsde_page_average(v[0], n[0]).mean);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_BITS, bits.mean);
        vpsde_page_cell_if(j, bits.n > 1, "%" VPSDE_DIGITS_STDERR, bits.stderror);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_NFE, vpsde_page_average(v[2], n[2]).mean);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_SECONDS, vpsde_page_timing(r, group, "wall_seconds"));
        vpsde_json_end_list(j);
    }
    for (size_t c = 0; c < 4; c++) free(v[c]);
    return status;
}

/* ---- the budget ------------------------------------------------------------------------------ */

typedef struct budget_table {
    vpsde_json *json;
    double bits; /* of a nat */
} budget_table;

static void put_line(void *context, const char *what, double nats, bool is_total)
{
    const budget_table *t = context;
    vpsde_json_list(t->json, NULL);
    vpsde_json_text(t->json, NULL, what);
    vpsde_page_cell(t->json, "%" VPSDE_DIGITS_STDERR, nats);
    vpsde_page_cell(t->json, "%" VPSDE_DIGITS_STDERR, nats * t->bits);
    vpsde_json_text(t->json, NULL, is_total ? "total" : "term, mean size");
    vpsde_json_end_list(t->json);
}

/* Rows that are fine, as the terminal counts them. */
static vpsde_status sum_budget(vpsde_budget_sums *sums, const vpsde_page *r,
                               const vpsde_h5_node *group)
{
    enum { TOTAL = VPSDE_BUDGET_TERMS, FAILED, N };
    double *v[N] = {NULL};
    size_t n = SIZE_MAX, rows;
    vpsde_status status = VPSDE_OK;
    for (size_t c = 0; c < N && status == VPSDE_OK; c++) {
        const char *name = c == TOTAL    ? "budget"
                           : c == FAILED ? "status"
                                         : vpsde_budget_terms[c].column;
        status = vpsde_page_column(&v[c], &rows, r, group->path, name);
        n = rows < n ? rows : n;
    }
    for (size_t i = 0; i < n && status == VPSDE_OK; i++) {
        double term[VPSDE_BUDGET_TERMS];
        for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) term[q] = v[q][i];
        if (v[FAILED][i] == 0) vpsde_budget_sums_add(sums, term, v[TOTAL][i]);
    }
    for (size_t c = 0; c < N; c++) free(v[c]);
    return status;
}

static vpsde_status put_budget(const vpsde_page *r, const vpsde_h5_node *group)
{
    static const vpsde_page_head budget_heads[] = {{.name = "error budget", .text = true},
                                                   {.name = "size", .unit = "nat"},
                                                   {.name = "size", .unit = "bits/dim"},
                                                   {.name = "kind", .text = true}};
    budget_table t = {
        .json = r->json,
        .bits = 1 / (fmax(1, vpsde_h5_node_number(group, "dim")) * log(2)),
    };
    vpsde_budget_sums *sums;
    if (strcmp(vpsde_h5_node_text(group, "budget"), "true") != 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&sums, 1, sizeof(*sums)));
    const vpsde_status status = sum_budget(sums, r, group);
    vpsde_page_begin_table(r->json, "budget", "Error budget of log p", budget_heads, 4);
    if (status == VPSDE_OK) vpsde_budget_lines(sums, put_line, &t);
    vpsde_page_end_table(r->json);
    free(sums);
    return status;
}

/* ---- the rows -------------------------------------------------------------------------------- */

static const struct {
    vpsde_page_head head;
    const char *column, *format;
} columns[] = {
    {{.name = "row"}, "sample", "%" VPSDE_DIGITS_COUNT},
    {{.name = "logp", .unit = "nat"}, "logp", "%" VPSDE_DIGITS_NATS},
    {{.name = "bits/dim"}, "bits_per_dim", "%" VPSDE_DIGITS_BITS},
    {{.name = "budget", .unit = "nat"}, "budget", "%" VPSDE_DIGITS_STDERR},
    {{.name = "ode error", .unit = "nat"}, "ode_error", "%" VPSDE_DIGITS_STDERR},
    {{.name = "trace s.e.", .unit = "nat"}, "trace_stderr", "%" VPSDE_DIGITS_STDERR},
    {{.name = "nfe"}, "nfe", "%" VPSDE_DIGITS_COUNT},
    {{.name = "status", .help = "0: ok"}, "status", "%" VPSDE_DIGITS_COUNT},
};
enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static vpsde_status put_rows(const vpsde_page *r, const vpsde_h5_node *group)
{
    vpsde_page_head row_heads[N_COLUMNS];
    double *v[N_COLUMNS] = {NULL};
    size_t n[N_COLUMNS] = {0};
    vpsde_status status = VPSDE_OK;
    for (size_t c = 0; c < N_COLUMNS && status == VPSDE_OK; c++) {
        row_heads[c] = columns[c].head;
        status = vpsde_page_column(&v[c], &n[c], r, group->path, columns[c].column);
    }
    vpsde_page_begin_table(r->json, "rows", "Rows", row_heads, status == VPSDE_OK ? N_COLUMNS : 0);
    for (size_t i = 0; i < n[0] && i < ROWS_MAX && status == VPSDE_OK; i++) {
        vpsde_json_list(r->json, NULL);
        for (size_t c = 0; c < N_COLUMNS; c++) {
            vpsde_page_cell(r->json, columns[c].format, i < n[c] ? v[c][i] : (double)NAN);
        }
        vpsde_json_end_list(r->json);
    }
    vpsde_page_end_table(r->json);
    vpsde_json_number(r->json, "count", (double)n[0]);
    const size_t bins = (size_t)fmin(BINS, fmax(6, ceil(1.5 * sqrt((double)n[0]))));
    vpsde_page_histogram(r->json, "logp", v[1], n[1], bins, false);
    vpsde_page_histogram(r->json, "bits", v[2], n[2], bins, false);
    for (size_t c = 0; c < N_COLUMNS; c++) free(v[c]);
    return status;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *group = NULL;
    vpsde_json *j = r->json;
    vpsde_page_begin_table(j, "table", "Likelihoods", heads, sizeof(heads) / sizeof(heads[0]));
    while ((group = vpsde_h5_tree_next(&r->tree, GROUP, group))) {
        if (group->is_group) VPSDE_TRY(put_row(r, group));
    }
    vpsde_page_end_table(j);
    vpsde_json_list(j, "labels");
    while ((group = vpsde_h5_tree_next(&r->tree, GROUP, group))) {
        if (!group->is_group) continue;
        vpsde_json_object(j, NULL);
        vpsde_json_text(j, "name", vpsde_h5_node_name(group));
        vpsde_json_text(j, "convention", vpsde_h5_node_text(group, "bits_convention"));
        VPSDE_TRY(put_budget(r, group));
        VPSDE_TRY(put_rows(r, group));
        vpsde_json_end_object(j);
    }
    vpsde_json_end_list(j);
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_likelihood = {
    .name = "likelihood", .group = GROUP, .write = write};
