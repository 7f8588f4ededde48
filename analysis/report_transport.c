/* Certificates of optimal transport: over the rows, over their pairs, and the chain of lengths. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "analysis/report.h"
#include "analysis/report_states.h"

#define GROUP "/transport"
#define PAIRS GROUP "/pairs"
#define SPEED GROUP "/speed"

enum { BINS = 40, LINES = 120 };

/* ---- figures --------------------------------------------------------------------------------- */

typedef struct figure {
    const char *group, *name, *label, *format, *monge;
} figure;
static const figure figures[] = {
    {PAIRS, "gap", "assignment gap, relative", "%" VPSDE_DIGITS_DISTANCE, "0"},
    {PAIRS, "reassigned", "share of rows reassigned", "%" VPSDE_DIGITS_DISTANCE, "0"},
    {PAIRS, "identity_cost", "cost of the pairs, E|E(x) - x|^2", "%" VPSDE_DIGITS_NATS, "W2^2"},
    {SPEED, "w2_squared", "W2^2 of the rows", "%" VPSDE_DIGITS_NATS, ""},
    {SPEED, "length_squared", "L^2, flow's length squared", "%" VPSDE_DIGITS_NATS, "at least W2^2"},
    {SPEED, "speed_limit", "b Sigma/2, speed limit", "%" VPSDE_DIGITS_NATS, "at least L^2"},
    {SPEED, "entropy_production", "entropy production Sigma [nat]", "%" VPSDE_DIGITS_NATS, ""},
    {SPEED, "straightness", "straightness W2^2/L^2", "%" VPSDE_DIGITS_SHARE, "at most 1"},
    {SPEED, "straightness_stderr", "± s.e. of the straightness", "%" VPSDE_DIGITS_STDERR, ""},
};
static const vpsde_page_head heads[] = {
    {.name = "quantity", .text = true},
    {.name = "this map"},
    {.name = "a Monge map", .text = true},
};

static void put_line(vpsde_json *j, const char *label, const char *format, double value,
                     const char *monge)
{
    if (isnan(value)) return;
    vpsde_json_list(j, NULL);
    vpsde_json_text(j, NULL, label);
    vpsde_page_cell(j, format, value);
    vpsde_json_text(j, NULL, monge);
    vpsde_json_end_list(j);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Moves what is finite to the front, sorted. */
static size_t sort_finite(double *values, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(values[i])) values[kept++] = values[i];
    }
    if (kept > 0) qsort(values, kept, sizeof(*values), ascending);
    return kept;
}

static vpsde_status put_local(const vpsde_page *r)
{
    double *v;
    size_t n;
    VPSDE_TRY(vpsde_page_column(&v, &n, r, GROUP, "antisymmetry"));
    n = sort_finite(v, n);
    if (n > 0) {
        const double median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
        const char *format = "%" VPSDE_DIGITS_ROUGH;
        put_line(r->json, "antisymmetry |J - J^T|/|J|, median", format, median, "0");
        put_line(r->json, "antisymmetry, largest", format, v[n - 1], "0");
    }
    free(v);
    VPSDE_TRY(vpsde_page_column(&v, &n, r, GROUP, "smallest_eigenvalue"));
    n = sort_finite(v, n);
    if (n > 0) {
        put_line(r->json, "smallest eigenvalue", "%" VPSDE_DIGITS_RATE, v[0], "above 0");
    }
    free(v);
    return VPSDE_OK;
}

static vpsde_status put_table(const vpsde_page *r)
{
    vpsde_page_begin_table(r->json, "table", "Certificates", heads,
                           sizeof(heads) / sizeof(heads[0]));
    VPSDE_TRY(put_local(r));
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        const figure *f = &figures[i];
        const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, f->group, NULL);
        put_line(r->json, f->label, f->format, vpsde_h5_node_number(group, f->name), f->monge);
    }
    vpsde_page_end_table(r->json);
    return VPSDE_OK;
}

/* The chain as lengths of bars, each with how it reads. */
static void put_chain(const vpsde_page *r)
{
    static const char *const names[] = {"w2_squared", "length_squared", "speed_limit"};
    const vpsde_h5_node *speed = vpsde_h5_tree_find(&r->tree, SPEED, NULL);
    vpsde_json_list(r->json, "chain");
    for (size_t i = 0; speed && i < sizeof(names) / sizeof(names[0]); i++) {
        vpsde_page_cell(r->json, "%" VPSDE_DIGITS_NATS, vpsde_h5_node_number(speed, names[i]));
    }
    vpsde_json_end_list(r->json);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static vpsde_status put_histograms(const vpsde_page *r)
{
    static const char *const names[] = {"antisymmetry", "smallest_eigenvalue", "log_det"};
    vpsde_json_object(r->json, "histograms");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, GROUP, names[i]));
        vpsde_page_histogram(r->json, names[i], values, n, BINS, false);
        free(values);
    }
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

/* Rows and their images by two coordinates, and the best partner of each. */
static vpsde_status put_map(const vpsde_page *r)
{
    static const char *const names[] = {"x", "image"};
    double *partner;
    size_t n = LINES, n_partner;
    vpsde_page_state state[2];
    const vpsde_h5_node *node[2];
    for (size_t i = 0; i < 2; i++) {
        node[i] = vpsde_h5_tree_find(&r->tree, GROUP, names[i]);
        if (!node[i] || node[i]->is_group || node[i]->rank != 2 ||
            !vpsde_page_state_of(&state[i], node[i], 1) || state[i].coordinates < 2)
            return VPSDE_OK;
        if (node[i]->dims[0] < n) n = node[i]->dims[0];
    }
    if (state[0].dim > VPSDE_PAGE_ROOM / LINES || state[1].dim != state[0].dim) return VPSDE_OK;
    vpsde_json_object(r->json, "map");
    vpsde_json_number(r->json, "shown", (double)n);
    vpsde_json_number(r->json, "count", (double)node[0]->dims[0]);
    vpsde_json_number(r->json, "dim", (double)state[0].dim);
    for (size_t i = 0; i < 2; i++) {
        double *values;
        VPSDE_TRY(vpsde_page_rows(&values, r, node[i], n));
        vpsde_json_object(r->json, names[i]);
        const vpsde_status status = vpsde_page_state_put_points(r->json, &state[i], values, n);
        vpsde_json_end_object(r->json);
        free(values);
        VPSDE_TRY(status);
    }
    VPSDE_TRY(vpsde_page_column(&partner, &n_partner, r, PAIRS, "partner"));
    vpsde_json_numbers(r->json, "partner", partner, n < n_partner ? n : n_partner);
    free(partner);
    VPSDE_TRY(vpsde_page_column(&partner, &n_partner, r, GROUP, "sample"));
    vpsde_json_numbers(r->json, "sample", partner, n < n_partner ? n : n_partner);
    free(partner);
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

/* ---- in time --------------------------------------------------------------------------------- */

static vpsde_status put_speed(const vpsde_page *r)
{
    static const char *const from[][2] = {{GROUP, "t"},
                                          {GROUP, "b"},
                                          {SPEED, "mean_speed_squared"},
                                          {SPEED, "mean_speed_squared_stderr"}};
    enum { N = sizeof(from) / sizeof(from[0]) };
    vpsde_json_object(r->json, "speed");
    for (size_t i = 0; i < N; i++) {
        double *values;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&values, &n, r, from[i][0], from[i][1]));
        vpsde_page_picks(r->json, from[i][1], values, n, vpsde_page_stride(n, N));
        free(values);
    }
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

static vpsde_status write(const vpsde_page *r)
{
    vpsde_json_number(r->json, "rows",
                      vpsde_h5_node_number(vpsde_h5_tree_find(&r->tree, PAIRS, NULL), "rows"));
    VPSDE_TRY(put_table(r));
    put_chain(r);
    VPSDE_TRY(put_histograms(r));
    VPSDE_TRY(put_map(r));
    return put_speed(r);
}

const vpsde_page_section vpsde_page_section_transport = {
    .name = "transport", .group = GROUP, .write = write};
