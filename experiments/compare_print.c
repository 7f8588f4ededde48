/* A comparison on the terminal. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/compare.h"

enum { BUDGETS_MAX = 12 };
static const double default_budgets[] = {5, 10, 20, 50, 100, 200};

/* Means over the seeds of one level. */
static vpsde_compare_row mean_row(const vpsde_setup *s, const vpsde_compare_row *rows, size_t level)
{
    const size_t n = s->compare.n_seeds;
    vpsde_compare_row mean = rows[level * n];
    for (size_t i = 1; i < n; i++) {
        const vpsde_compare_row *row = &rows[level * n + i];
        mean.nfe += row->nfe;
        mean.failed += row->failed;
        for (size_t m = 0; m < VPSDE_METRICS_MAX; m++) mean.metric[m] += row->metric[m];
    }
    mean.nfe /= (double)n;
    for (size_t m = 0; m < VPSDE_METRICS_MAX; m++) mean.metric[m] /= (double)n;
    return mean;
}

static bool wanted(const vpsde_setup *s, size_t metric)
{
    return (s->compare.metrics & 1u << metric) != 0;
}

static void print_levels(const vpsde_setup *s, const vpsde_compare_row *rows)
{
    printf("%-24s %9s %9s", "solver", "steps|tol", "nfe");
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (wanted(s, m)) printf(" %10s", vpsde_metric_at(m)->name);
    }
    puts("    failed");
    for (size_t l = 0; l < s->compare.n_levels; l++) {
        const vpsde_compare_row row = mean_row(s, rows, l);
        printf("%-24s ", s->compare.entries[row.solver].label);
        if (row.steps < 0)
            printf("%9.1e %9.1f", row.rtol, row.nfe);
        else
            printf("%9lld %9.1f", (long long)row.steps, row.nfe);
        for (size_t m = 0; vpsde_metric_at(m); m++) {
            if (wanted(s, m)) printf(" %10.3e", row.metric[m]);
        }
        printf(" %9lld\n", (long long)row.failed);
    }
}

/* The metric that the second table shows: the median, or the first there is. */
static size_t leading_metric(const vpsde_setup *s)
{
    size_t first = VPSDE_METRICS_MAX;
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (!wanted(s, m)) continue;
        if (strcmp(vpsde_metric_at(m)->name, "median") == 0) return m;
        if (first == VPSDE_METRICS_MAX) first = m;
    }
    return first;
}

/* One line of the second table: an entry's errors at most at these evaluations. */
typedef struct line {
    const char *label;
    double error[BUDGETS_MAX]; /* NaN: nothing within the budget */
    size_t n;
} line;

/* An entry's error with the most evaluations that stay within `budget`. */
static double error_within(const vpsde_setup *s, const vpsde_compare_row *rows, size_t entry,
                           double budget, size_t metric)
{
    double error = (double)NAN, most = 0;
    for (size_t l = 0; l < s->compare.n_levels; l++) {
        if (s->compare.levels[l].entry != entry) continue;
        const vpsde_compare_row row = mean_row(s, rows, l);
        if (row.nfe > budget || row.nfe < most) continue;
        most = row.nfe;
        error = row.metric[metric];
    }
    return error;
}

/* By the error at the largest budget, smallest first, NaN last. */
static int by_error(const void *a, const void *b)
{
    const line *x = a, *y = b;
    const double p = x->error[x->n - 1], q = y->error[y->n - 1];
    if (isnan(p) || isnan(q)) return isnan(p) - isnan(q);
    return (p > q) - (p < q);
}

static void print_line(const line *l)
{
    printf("%-24s", l->label);
    for (size_t b = 0; b < l->n; b++) {
        if (isnan(l->error[b]))
            printf(" %9s", "-");
        else
            printf(" %9.1e", l->error[b]);
    }
    putchar('\n');
}

static void print_best(const line *lines, size_t n, const double *budgets)
{
    for (size_t b = 0; b < lines[0].n; b++) {
        const line *best = NULL;
        for (size_t i = 0; i < n; i++) {
            const double error = lines[i].error[b];
            if (isnan(error) || (best && error >= best->error[b])) continue;
            best = &lines[i];
        }
        if (best) printf("best within %g: %s, %.1e\n", budgets[b], best->label, best->error[b]);
    }
}

/* The columns: compare.steps where they count evaluations. They are all entries' only if no entry
 * has its own, so those of the first fixed-step one stand for them. */
static size_t choose_budgets(double *budgets, const vpsde_compare_setup *c)
{
    size_t n = sizeof(default_budgets) / sizeof(default_budgets[0]);
    memcpy(budgets, default_budgets, sizeof(default_budgets));
    for (size_t i = 0; c->budget == VPSDE_BUDGET_NFE && i < c->n_entries; i++) {
        if (!c->ladders[i].steps) continue;
        n = c->ladders[i].n < BUDGETS_MAX ? c->ladders[i].n : BUDGETS_MAX;
        memcpy(budgets, c->ladders[i].steps, n * sizeof(*budgets));
        break;
    }
    return n;
}

static void print_against_nfe(const vpsde_setup *s, const vpsde_compare_row *rows, line *lines)
{
    const vpsde_compare_setup *c = &s->compare;
    double budgets[BUDGETS_MAX];
    const size_t metric = leading_metric(s), n = choose_budgets(budgets, c);
    for (size_t i = 0; i < c->n_entries; i++) {
        lines[i] = (line){.label = c->entries[i].label, .n = n};
        for (size_t b = 0; b < n; b++) {
            lines[i].error[b] = error_within(s, rows, i, budgets[b], metric);
        }
    }
    qsort(lines, c->n_entries, sizeof(*lines), by_error);
    char heading[64];
    snprintf(heading, sizeof(heading), "%s within nfe", vpsde_metric_at(metric)->name);
    printf("\n%-24s", heading);
    for (size_t b = 0; b < n; b++) printf(" %9g", budgets[b]);
    putchar('\n');
    for (size_t i = 0; i < c->n_entries; i++) print_line(&lines[i]);
    putchar('\n');
    print_best(lines, c->n_entries, budgets);
}

void vpsde_compare_print(const vpsde_setup *s, const vpsde_compare_row *rows)
{
    line *lines = calloc(s->compare.n_entries, sizeof(*lines));
    print_levels(s, rows);
    if (lines) print_against_nfe(s, rows, lines);
    free(lines);
}
