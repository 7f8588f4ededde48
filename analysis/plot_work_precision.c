/* Error against network evaluations: the best and the next best thick, with intervals, the others thin. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/plots.h"
#include "core/mem.h"

#define GROUP "/compare/pooled"

enum { SOLVER, NFE, VALUE, LOW, HIGH, N_COLUMNS, SOLVERS_MAX = 64, COLOURS = 8, DASHES = 5 };
enum { KEY_ROWS = 20 /* beside the picture, in the usual letters */ };

typedef struct columns {
    double *v[N_COLUMNS];
    size_t n;
} columns;

static const char *leading_name(const vpsde_page *r)
{
    return vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, "/compare", NULL), "leading_metric");
}

/* The same as a column. */
static vpsde_status leading(char **metric, const vpsde_page *r)
{
    VPSDE_TRY(vpsde_strdup(metric, leading_name(r)));
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

/* Every solver its own colour and mark: the style's eight colours, then again with other marks, dashed. */
static void put_look(FILE *file, size_t number)
{
    static const int marks[COLOURS] = {7, 5, 9, 13, 12, 2, 6, 4}; /* 11 is an interval's end */
    const size_t round = number / COLOURS;
    fprintf(file, " lt %zu pt %d dt %zu", number % COLOURS + 1, marks[(number + round) % COLOURS],
            round % DASHES + 1);
}

/* Which solver has which number: those that lead first. */
static size_t number_of(uint64_t leaders, size_t solver, size_t n)
{
    const bool leads = leaders >> solver & 1;
    size_t before = 0;
    for (size_t s = 0; s < n; s++) {
        const bool other = leaders >> s & 1;
        before += other == leads ? s < solver : other;
    }
    return before;
}

static void put_axes(FILE *file, const vpsde_page *r, const char *metric, double edge)
{
    const vpsde_h5_node *node = vpsde_h5_tree_find(&r->tree, GROUP, metric);
    const char *unit = vpsde_h5_node_text(node, "units");
    fprintf(file,
            "set logscale xy\nset format y '10^{%%T}'\nset autoscale xfix\nset errorbars small\n"
            "edge = %.3g # of intervals that reach 0, with a triangle\nset xlabel 'network "
            "evaluations a sample (mean)'\nset ylabel ",
            edge);
    vpsde_plot_text(file, leading_name(r));
    fprintf(file, " . ' [' . ");
    vpsde_plot_text(file, *unit ? unit : "1");
    fprintf(file, " . ']' noenhanced\nset tmargin 3\nset label 1 ");
    vpsde_plot_text(file, vpsde_h5_node_text(node, "description"));
    fprintf(file, " at graph 0, graph 1.04 left font ',11' noenhanced\n");
}

typedef struct drawing {
    vpsde_plot_out *out;
    const char *labels; /* of the solvers */
    uint64_t leaders;
    size_t n;
} drawing;

static vpsde_status put_title(const drawing *d, size_t solver)
{
    char *label;
    VPSDE_TRY(vpsde_page_word(&label, d->labels, (double)solver));
    fprintf(d->out->script, " title ");
    vpsde_plot_text(d->out->script, label);
    fprintf(d->out->script, ", \\\n");
    free(label);
    return VPSDE_OK;
}

static vpsde_status put_leader(const drawing *d, size_t solver)
{
    FILE *file = d->out->script;
    const size_t number = number_of(d->leaders, solver, d->n);
    fprintf(file, " '%s' index %zu using 1:2:($3 > 0 ? $3 : edge):4 with yerrorlines lw 1.5",
            d->out->file, solver);
    put_look(file, number);
    VPSDE_TRY(put_title(d, solver));
    fprintf(file,
            " '' index %zu using 1:($3 > 0 || $2 <= 0 ? NaN : edge) with points pt 11 lt %zu "
            "notitle, \\\n",
            solver, number % COLOURS + 1);
    return VPSDE_OK;
}

/* Beneath the leaders, and after them in the key. */
static vpsde_status put_other(const drawing *d, size_t solver, bool key)
{
    FILE *file = d->out->script;
    if (key)
        fprintf(file, " NaN");
    else
        fprintf(file, " '%s' index %zu using 1:2", d->out->file, solver);
    fprintf(file, " with linespoints lw 0.6 ps 0.6");
    put_look(file, number_of(d->leaders, solver, d->n));
    if (key) return put_title(d, solver);
    fprintf(file, " notitle, \\\n");
    return VPSDE_OK;
}

static vpsde_status put_curves(const drawing *d)
{
    enum { BENEATH, LEADING, KEY };
    if (d->n > KEY_ROWS) fprintf(d->out->script, "set key font ',7' spacing 0.9 samplen 1.5\n");
    fprintf(d->out->script, "plot");
    for (int pass = BENEATH; pass <= KEY; pass++) {
        for (size_t s = 0; s < d->n; s++) {
            if ((d->leaders >> s & 1) != (pass == LEADING)) continue;
            VPSDE_TRY(pass == LEADING ? put_leader(d, s) : put_other(d, s, pass == KEY));
        }
    }
    fprintf(d->out->script, " NaN notitle\n");
    return VPSDE_OK;
}

static const char *labels_of(const vpsde_page *r)
{
    return vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, GROUP, "solver"), "flag_meanings");
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
        const drawing d = {
            .out = out, .labels = labels_of(r), .leaders = leaders, .n = put_data(out->data, &c)};
        out->empty = d.n == 0;
        put_axes(out->script, r, metric, lower_edge(&c));
        status = put_curves(&d);
    }
    for (size_t i = 0; i < N_COLUMNS; i++) free(c.v[i]);
    free(metric);
    return status;
}

const vpsde_plot vpsde_plot_work_precision = {
    .name = "work-precision", .group = GROUP, .write = write};
