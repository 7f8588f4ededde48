/* Work-precision: metrics against network evaluations, with their intervals and floors; who is best. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "analysis/report.h"
#include "core/mem.h"

#define GROUP   "/compare/pooled"
#define FLOOR   "/compare/floor"
#define VERDICT "/compare/verdict"
#define ORDERS  "/compare/order"

enum { SOLVER, STEPS, RTOL, NFE, FAILED, N_COLUMNS };
static const char *const names[N_COLUMNS] = {"solver", "steps", "rtol", "nfe", "failed"};

/* A level: one solver at one budget, over all seeds. */
typedef struct levels {
    double *column[N_COLUMNS];
    size_t n;
} levels;

static vpsde_status read_levels(levels *l, const vpsde_page *r)
{
    for (size_t c = 0; c < N_COLUMNS; c++) {
        size_t n;
        VPSDE_TRY(vpsde_page_column(&l->column[c], &n, r, GROUP, names[c]));
        if (c > 0 && n != l->n) {
            return vpsde_fail(VPSDE_EDATA, "%s:%s/%s: %zu rows, %s has %zu", r->path, GROUP,
                              names[c], n, names[0], l->n);
        }
        l->n = n;
    }
    return VPSDE_OK;
}

static const char *labels_of(const vpsde_page *r)
{
    return vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, GROUP, "solver"), "flag_meanings");
}

static vpsde_status put_word(const vpsde_page *r, const char *words, double index)
{
    char *word;
    VPSDE_TRY(vpsde_page_word(&word, words, index));
    vpsde_json_text(r->json, NULL, word);
    free(word);
    return VPSDE_OK;
}

static vpsde_status put_label(const vpsde_page *r, double index)
{
    return put_word(r, labels_of(r), index);
}

/* Budgets as the terminal shows them: steps, or the tolerance. */
static vpsde_status put_levels(const vpsde_page *r, const levels *l)
{
    vpsde_json *j = r->json;
    vpsde_json_list(j, "solver");
    for (size_t k = 0; k < l->n; k++) VPSDE_TRY(put_label(r, l->column[SOLVER][k]));
    vpsde_json_end_list(j);
    vpsde_json_list(j, "budget");
    for (size_t k = 0; k < l->n; k++) {
        const bool adaptive = l->column[STEPS][k] < 0;
        vpsde_page_cell(j, adaptive ? "%" VPSDE_DIGITS_TOLERANCE : "%" VPSDE_DIGITS_COUNT,
                        l->column[adaptive ? RTOL : STEPS][k]);
    }
    vpsde_json_end_list(j);
    vpsde_json_list(j, "adaptive");
    for (size_t k = 0; k < l->n; k++) vpsde_json_bool(j, NULL, l->column[STEPS][k] < 0);
    vpsde_json_end_list(j);
    vpsde_json_list(j, "nfe");
    for (size_t k = 0; k < l->n; k++) {
        vpsde_page_cell(j, "%" VPSDE_DIGITS_NFE, l->column[NFE][k]);
    }
    vpsde_json_end_list(j);
    vpsde_json_list(j, "failed");
    for (size_t k = 0; k < l->n; k++) {
        vpsde_page_cell(j, "%" VPSDE_DIGITS_COUNT, l->column[FAILED][k]);
    }
    vpsde_json_end_list(j);
    return VPSDE_OK;
}

/* "low" or "high": an end of the metric's interval over all seeds, empty where the file has none. */
static vpsde_status put_bound(const vpsde_page *r, const char *metric, const char *end)
{
    char *name;
    double *bound = NULL;
    size_t n = 0;
    VPSDE_TRY(vpsde_format(&name, "%s_%s", metric, end));
    const vpsde_status status = vpsde_page_column(&bound, &n, r, GROUP, name);
    free(name);
    vpsde_json_list(r->json, end);
    for (size_t k = 0; k < n; k++) vpsde_page_cell(r->json, "%" VPSDE_DIGITS_METRIC, bound[k]);
    vpsde_json_end_list(r->json);
    free(bound);
    return status;
}

/* What exact samples have: the last row is the mean over the seeds. */
static vpsde_status put_floor(const vpsde_page *r, const char *metric)
{
    double *floor;
    size_t n;
    VPSDE_TRY(vpsde_page_column(&floor, &n, r, FLOOR, metric));
    if (n > 0 && isfinite(floor[n - 1])) {
        vpsde_json_number(r->json, "floor", floor[n - 1]);
        vpsde_json_format(r->json, "floorText", "%" VPSDE_DIGITS_METRIC, floor[n - 1]);
    }
    free(floor);
    return VPSDE_OK;
}

/* What a perfect sample has, where that is known. */
static vpsde_status put_ideal(const vpsde_page *r, const char *metric)
{
    char *name;
    VPSDE_TRY(vpsde_format(&name, "ideal_%s", metric));
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, "/compare", NULL);
    vpsde_json_number(r->json, "ideal", vpsde_h5_node_number(group, name));
    free(name);
    return VPSDE_OK;
}

static vpsde_status put_metric(const vpsde_page *r, const vpsde_h5_node *node)
{
    double *values;
    size_t n;
    vpsde_json *j = r->json;
    const char *name = vpsde_h5_node_name(node);
    VPSDE_TRY(vpsde_page_column(&values, &n, r, GROUP, name));
    vpsde_json_object(j, NULL);
    vpsde_json_text(j, "name", name);
    vpsde_json_text(j, "unit", vpsde_h5_node_text(node, "units"));
    vpsde_json_text(j, "description", vpsde_h5_node_text(node, "description"));
    const vpsde_status status = put_ideal(r, name);
    vpsde_json_list(j, "mean");
    for (size_t k = 0; k < n; k++) vpsde_page_cell(j, "%" VPSDE_DIGITS_METRIC, values[k]);
    vpsde_json_end_list(j);
    free(values);
    VPSDE_TRY(status);
    VPSDE_TRY(put_bound(r, name, "low"));
    VPSDE_TRY(put_bound(r, name, "high"));
    VPSDE_TRY(put_floor(r, name));
    vpsde_json_end_object(j);
    return VPSDE_OK;
}

/* A metric is what has an interval. */
static bool is_metric(const vpsde_page *r, const vpsde_h5_node *node, size_t n)
{
    char low[256];
    snprintf(low, sizeof(low), "%s_low", vpsde_h5_node_name(node));
    return !node->is_group && node->kind == 'f' && node->rank == 1 && node->dims[0] == n &&
           vpsde_h5_tree_find(&r->tree, GROUP, low);
}

/* A table with a row for each index that all its columns have. */
typedef struct listing {
    const char *group, *id, *title;
    size_t n_columns;
    const char *const *columns;   /* (n_columns) names of datasets */
    const vpsde_page_head *heads; /* (n_columns) */
    vpsde_status (*put_row)(const vpsde_page *r, double *const *values, size_t i);
} listing;

enum { LISTED_MAX = 16 };

static vpsde_status put_listing(const vpsde_page *r, const listing *l)
{
    double *v[LISTED_MAX] = {NULL};
    size_t n[LISTED_MAX], least = SIZE_MAX;
    vpsde_status status = vpsde_page_columns(v, n, r, l->group, l->columns, l->n_columns);
    for (size_t c = 0; c < l->n_columns; c++) least = n[c] < least ? n[c] : least;
    vpsde_page_begin_table(r->json, l->id, l->title, l->heads, l->n_columns);
    for (size_t i = 0; i < least && status == VPSDE_OK; i++) status = l->put_row(r, v, i);
    vpsde_page_end_table(r->json);
    for (size_t c = 0; c < l->n_columns; c++) free(v[c]);
    return status;
}

/* ---- who is best ----------------------------------------------------------------------------- */

enum { BUDGET, BEST, BEST_VALUE, NEXT, NEXT_VALUE, DIFFERENCE, LOW, HIGH, REAL, TIES, N_VERDICT };
static const char *const verdict_columns[N_VERDICT] = {
    "budget",     "best",           "best_value",      "next",    "next_value",
    "difference", "difference_low", "difference_high", "is_real", "ties"};
static const vpsde_page_head verdict_heads[N_VERDICT] = {
    [BUDGET] = {.name = "within nfe"},
    [BEST] = {.name = "best", .text = true},
    [BEST_VALUE] = {.name = "its value"},
    [NEXT] = {.name = "next", .text = true},
    [NEXT_VALUE] = {.name = "its value"},
    [DIFFERENCE] = {.name = "difference"},
    [LOW] = {.name = "from",
             .help = "lower end of its interval; those of all differences to the best hold "
                     "together with 95 %"},
    [HIGH] = {.name = "to", .help = "upper end"},
    [REAL] = {.name = "is it real", .text = true},
    [TIES] = {.name = "as good", .help = "solvers that cannot be told from the best"},
};

/* How many words a list has. */
static double count_words(const char *words)
{
    size_t n = 0;
    for (const char *c = words + strspn(words, " "); *c; n++) {
        c += strcspn(c, " ");
        c += strspn(c, " ");
    }
    return (double)n;
}

/* Does row i say what the row before it does? */
static bool repeats(double *const *v, size_t i)
{
    for (size_t c = BEST; c < N_VERDICT && i > 0; c++) {
        if (v[c][i] != v[c][i - 1] && !(isnan(v[c][i]) && isnan(v[c][i - 1]))) return false;
    }
    return i > 0;
}

/* Each answer once, as on the terminal. */
static vpsde_status put_verdict(const vpsde_page *r, double *const *v, size_t i)
{
    vpsde_json *j = r->json;
    const double nobody = count_words(labels_of(r)); /* the category after the last entry */
    const bool known = v[NEXT][i] >= 0 && v[NEXT][i] < nobody;
    if (!(v[BEST][i] >= 0 && v[BEST][i] < nobody) || repeats(v, i)) return VPSDE_OK;
    vpsde_json_list(j, NULL);
    vpsde_page_cell(j, "%" VPSDE_DIGITS_BUDGET, v[BUDGET][i]);
    VPSDE_TRY(put_label(r, v[BEST][i]));
    vpsde_page_cell(j, "%" VPSDE_DIGITS_VERDICT, v[BEST_VALUE][i]);
    VPSDE_TRY(put_label(r, v[NEXT][i]));
    for (size_t c = NEXT_VALUE; c <= HIGH; c++) {
        vpsde_page_cell_if(j, known, "%" VPSDE_DIGITS_VERDICT, v[c][i]);
    }
    vpsde_json_text(j, NULL, !known ? "-" : v[REAL][i] != 0 ? "real" : "not resolved");
    vpsde_page_cell_if(j, known, "%" VPSDE_DIGITS_COUNT, v[TIES][i]);
    vpsde_json_end_list(j);
    return VPSDE_OK;
}

static const listing verdicts = {.group = VERDICT,
                                 .id = "verdict",
                                 .title = "Best within a number of evaluations",
                                 .n_columns = N_VERDICT,
                                 .columns = verdict_columns,
                                 .heads = verdict_heads,
                                 .put_row = put_verdict};

/* ---- observed orders ------------------------------------------------------------------------- */

enum { METRIC, WHOSE, ORDER, FIRST, LAST, POINTS, N_ORDER };
_Static_assert((size_t)N_VERDICT <= (size_t)LISTED_MAX && (size_t)N_ORDER <= (size_t)LISTED_MAX,
               "more columns than LISTED_MAX");
static const char *const order_columns[N_ORDER] = {"metric",    "solver",   "order",
                                                   "nfe_first", "nfe_last", "points"};
static const vpsde_page_head order_heads[N_ORDER] = {
    [METRIC] = {.name = "metric", .text = true},
    [WHOSE] = {.name = "solver", .text = true},
    [ORDER] = {.name = "order", .help = "minus the slope of log error on log evaluations"},
    [FIRST] = {.name = "from nfe", .help = "first level in the window"},
    [LAST] = {.name = "to nfe", .help = "last level in the window"},
    [POINTS] = {.name = "levels", .help = "with an error above 10 floors and below 0.1"},
};

/* Without three levels in the window there is none. */
static vpsde_status put_order(const vpsde_page *r, double *const *v, size_t i)
{
    const char *metrics =
        vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, ORDERS, "metric"), "flag_meanings");
    if (!isfinite(v[ORDER][i])) return VPSDE_OK;
    vpsde_json_list(r->json, NULL);
    VPSDE_TRY(put_word(r, metrics, v[METRIC][i]));
    VPSDE_TRY(put_label(r, v[WHOSE][i]));
    vpsde_page_cell(r->json, "%" VPSDE_DIGITS_ORDER, v[ORDER][i]);
    vpsde_page_cell(r->json, "%" VPSDE_DIGITS_NFE, v[FIRST][i]);
    vpsde_page_cell(r->json, "%" VPSDE_DIGITS_NFE, v[LAST][i]);
    vpsde_page_cell(r->json, "%" VPSDE_DIGITS_COUNT, v[POINTS][i]);
    vpsde_json_end_list(r->json);
    return VPSDE_OK;
}

static const listing orders = {.group = ORDERS,
                               .id = "order",
                               .title = "Observed orders",
                               .n_columns = N_ORDER,
                               .columns = order_columns,
                               .heads = order_heads,
                               .put_row = put_order};

static vpsde_status put_all(const vpsde_page *r, const levels *l)
{
    static const char *const facts[] = {"samples", "seeds",          "reference",
                                        "target",  "leading_metric", "budget_unit"};
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, "/compare", NULL), *node = NULL;
    vpsde_json *j = r->json;
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        vpsde_json_text(j, facts[i], vpsde_h5_node_text(group, facts[i]));
    }
    VPSDE_TRY(put_levels(r, l));
    vpsde_json_list(j, "metrics");
    while ((node = vpsde_h5_tree_next(&r->tree, GROUP, node))) {
        if (is_metric(r, node, l->n)) VPSDE_TRY(put_metric(r, node));
    }
    vpsde_json_end_list(j);
    VPSDE_TRY(put_listing(r, &verdicts));
    return put_listing(r, &orders);
}

static vpsde_status write(const vpsde_page *r)
{
    levels l = {.n = 0};
    vpsde_status status = read_levels(&l, r);
    if (status == VPSDE_OK) status = put_all(r, &l);
    for (size_t c = 0; c < N_COLUMNS; c++) free(l.column[c]);
    return status;
}

const vpsde_page_section vpsde_page_section_compare = {
    .name = "compare", .group = GROUP, .write = write};
