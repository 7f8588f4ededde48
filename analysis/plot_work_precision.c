/* Error against network evaluations: the best and the next best in colour, the others grey. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/plots.h"
#include "core/mem.h"

#define GROUP "/compare/pooled"

enum { SOLVER, NFE, VALUE, LOW, HIGH, N_COLUMNS, SOLVERS_MAX = 64 };

typedef struct columns {
    double *v[N_COLUMNS];
    size_t n;
} columns;

/* The leading metric's name as a column. */
static vpsde_status leading(char **metric, const vpsde_page *r)
{
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, "/compare", NULL);
    VPSDE_TRY(vpsde_strdup(metric, vpsde_h5_node_text(group, "leading_metric")));
    for (char *c = *metric; *c; c++) *c = *c == '-' ? '_' : *c;
    return VPSDE_OK;
}

static vpsde_status read_columns(columns *c, const vpsde_page *r, const char *metric)
{
    static const char *const format[N_COLUMNS] = {"solver", "nfe", "%s", "%s_low", "%s_high"};
    for (size_t i = 0; i < N_COLUMNS; i++) {
        char *name;
        size_t n;
        vpsde_status status = i < VALUE ? vpsde_strdup(&name, format[i])
                                        : vpsde_format(&name, "%s%s", metric, format[i] + 2);
        if (status == VPSDE_OK) {
            status = vpsde_page_column(&c->v[i], &n, r, GROUP, name);
            free(name);
        }
        if (status != VPSDE_OK) return status;
        c->n = i == 0 || n < c->n ? n : c->n;
    }
    return VPSDE_OK;
}

/* A bit a solver that is best or next at some budget. */
static vpsde_status find_leaders(uint64_t *leaders, const vpsde_page *r)
{
    static const char *const names[] = {"best", "next"};
    *leaders = 0;
    for (size_t c = 0; c < 2; c++) {
        double *v;
        size_t n;
        VPSDE_TRY(vpsde_page_column(&v, &n, r, "/compare/verdict", names[c]));
        for (size_t i = 0; i < n; i++) {
            if (v[i] >= 0 && v[i] < SOLVERS_MAX) *leaders |= (uint64_t)1 << (unsigned)v[i];
        }
        free(v);
    }
    return VPSDE_OK;
}

/* Below every value: where intervals end that reach 0, which the axis does not have. */
static double lower_edge(const columns *c)
{
    double least = INFINITY;
    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = VALUE; k <= HIGH; k++) {
            if (c->v[k][i] > 0) least = fmin(least, c->v[k][i]);
        }
    }
    return isfinite(least) ? 0.5 * least : 1;
}

/* One block a solver, empty ones too: its number is that of the block. */
static size_t put_data(FILE *file, const columns *c)
{
    double last = -1;
    for (size_t i = 0; i < c->n; i++) last = fmax(last, c->v[SOLVER][i]);
    const size_t n = last < 0 ? 0 : (size_t)fmin(last + 1, SOLVERS_MAX);
    fprintf(file, "# nfe, value, low, high; a block a solver\n");
    for (size_t s = 0; s < n; s++) {
        fprintf(file, "%s# %zu\n", s ? "\n\n" : "", s);
        size_t known = 0;
        for (size_t i = 0; i < c->n; i++) {
            if (c->v[SOLVER][i] != (double)s || !isfinite(c->v[VALUE][i])) continue;
            fprintf(file, "%.17g %.17g %.17g %.17g\n", c->v[NFE][i], c->v[VALUE][i], c->v[LOW][i],
                    c->v[HIGH][i]);
            known++;
        }
        if (known == 0) fprintf(file, "NaN NaN NaN NaN\n");
    }
    return n;
}

static vpsde_status put_script(vpsde_plot_out *out, const vpsde_page *r, const char *metric,
                               size_t n, uint64_t leaders, double edge)
{
    const char *labels =
        vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, GROUP, "solver"), "flag_meanings");
    fprintf(out->script,
            "set logscale xy\nset format y '10^{%%T}'\nset autoscale xfix\nset errorbars small\n"
            "edge = %.3g # of intervals that reach 0, with a triangle\nset xlabel 'network "
            "evaluations a sample (mean)'\nset ylabel ",
            edge);
    vpsde_plot_text(out->script, metric);
    fprintf(out->script, " noenhanced\nplot");
    int type = 0;
    for (int colour = 0; colour < 2; colour++) {
        for (size_t s = 0; s < n; s++) {
            char *label;
            if ((int)(leaders >> s & 1) != colour) continue;
            if (!colour) {
                fprintf(out->script,
                        " '%s' index %zu using 1:2 with lines lc rgb '#cccccc' notitle, \\\n",
                        out->file, s);
                continue;
            }
            VPSDE_TRY(vpsde_page_word(&label, labels, (double)s));
            fprintf(
                out->script,
                " '%s' index %zu using 1:2:($3 > 0 ? $3 : edge):4 with yerrorlines lt %d lw 1.5 "
                "title ",
                out->file, s, ++type);
            vpsde_plot_text(out->script, label);
            fprintf(
                out->script,
                ", \\\n '' index %zu using 1:($3 > 0 || $2 <= 0 ? NaN : edge) with points pt 11 "
                "lt %d notitle, \\\n",
                s, type);
            free(label);
        }
    }
    fprintf(out->script, " NaN notitle\n");
    return VPSDE_OK;
}

static vpsde_status write(vpsde_plot_out *out, const vpsde_page *r)
{
    columns c = {.n = 0};
    uint64_t leaders = 0;
    char *metric;
    VPSDE_TRY(leading(&metric, r));
    vpsde_status status = read_columns(&c, r, metric);
    if (status == VPSDE_OK) status = find_leaders(&leaders, r);
    if (status == VPSDE_OK) {
        const size_t n = put_data(out->data, &c);
        out->empty = n == 0;
        status = put_script(out, r, metric, n, leaders, lower_edge(&c));
    }
    for (size_t i = 0; i < N_COLUMNS; i++) free(c.v[i]);
    free(metric);
    return status;
}

const vpsde_plot vpsde_plot_work_precision = {
    .name = "work-precision", .group = GROUP, .write = write};
