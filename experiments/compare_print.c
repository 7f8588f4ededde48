/* A comparison on the terminal. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "core/mem.h"
#include "experiments/compare.h"

static void print_metrics(const vpsde_setup *s, const vpsde_compare_row *row)
{
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (!vpsde_compare_wants(s, m)) continue;
        const int width = (int)strlen(vpsde_metric_at(m)->name);
        if (isnan(row->metric[m]))
            printf(" %*s", width > 10 ? width : 10, "-");
        else
            printf(" %*" VPSDE_DIGITS_METRIC, width > 10 ? width : 10, row->metric[m]);
    }
}

/* The floor's paired metrics are not measured. */
static void print_floor(const vpsde_setup *s, const vpsde_compare_row *floor)
{
    bool any = false;
    vpsde_compare_row row = *floor;
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (!vpsde_compare_wants(s, m)) continue;
        if (vpsde_metric_at(m)->needs & VPSDE_METRIC_PAIRED) row.metric[m] = (double)NAN;
        any |= !isnan(row.metric[m]);
    }
    if (!any) return;
    printf("%-24s %9s %9s", "(an exact sample)", "", "");
    print_metrics(s, &row);
    putchar('\n');
}

static void print_levels(const vpsde_setup *s, const vpsde_compare_summary *y)
{
    printf("%-24s %9s %9s", "solver", "steps|tol", "nfe");
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (vpsde_compare_wants(s, m)) printf(" %10s", vpsde_metric_at(m)->name);
    }
    puts("    failed");
    for (size_t l = 0; l < s->compare.n_levels; l++) {
        const vpsde_compare_row *row = &y->pooled[l];
        printf("%-24s ", s->compare.entries[row->solver].label);
        if (row->steps < 0)
            printf("%9" VPSDE_DIGITS_TOLERANCE " %9" VPSDE_DIGITS_NFE, row->rtol, row->nfe);
        else
            printf("%9lld %9" VPSDE_DIGITS_NFE, (long long)row->steps, row->nfe);
        print_metrics(s, row);
        printf(" %9lld\n", (long long)row->failed);
    }
    print_floor(s, &y->floor[s->compare.n_seeds]);
}

/* One line of the second table: an entry's values at most at these evaluations. */
typedef struct line {
    const char *label;
    int32_t entry;
    double value[VPSDE_BUDGETS_MAX], error[VPSDE_BUDGETS_MAX]; /* NaN: nothing within the budget */
    size_t n;
} line;

/* The budgets that become columns: verdicts' numbers. */
typedef struct budgets {
    size_t verdict[VPSDE_BUDGETS_MAX], n;
} budgets;

/* The first, and each within which a case falls that none before it had: past the largest case the
 * columns would only repeat the last one. */
static budgets choose_columns(const vpsde_setup *s, const vpsde_compare_summary *y)
{
    budgets chosen = {.n = 0};
    for (size_t b = 0; b < y->n_verdicts; b++) {
        bool news = b == 0;
        for (size_t i = 0; i < s->compare.n_entries && !news; i++) {
            news = vpsde_compare_within(y, s, i, y->verdict[b].budget) !=
                   vpsde_compare_within(y, s, i, y->verdict[b - 1].budget);
        }
        if (news) chosen.verdict[chosen.n++] = b;
    }
    return chosen;
}

/* An entry's value with the most evaluations that stay within `budget`. */
static double value_within(const vpsde_setup *s, const vpsde_compare_summary *y, size_t entry,
                           double budget, size_t metric)
{
    const size_t l = vpsde_compare_within(y, s, entry, budget);
    return l < s->compare.n_levels ? y->pooled[l].metric[metric] : (double)NAN;
}

/* By the error at the largest budget, smallest first, NaN last. */
static int by_error(const void *a, const void *b)
{
    const line *x = a, *y = b;
    const double p = x->error[x->n - 1], q = y->error[y->n - 1];
    if (isnan(p) || isnan(q)) return isnan(p) - isnan(q);
    return (p > q) - (p < q);
}

/* The best at a budget has a star. */
static void print_line(const line *l, const vpsde_compare_summary *y, const budgets *shown)
{
    printf("%-24s", l->label);
    for (size_t b = 0; b < l->n; b++) {
        const char mark = y->verdict[shown->verdict[b]].best == l->entry ? '*' : ' ';
        if (isnan(l->value[b]))
            printf(" %8s%c", "-", mark);
        else
            printf(" %8" VPSDE_DIGITS_VERDICT "%c", l->value[b], mark);
    }
    putchar('\n');
}

/* Labels of the entries whose bits are set. */
static void print_names(const char *head, const vpsde_setup *s, uint64_t bits)
{
    for (size_t i = 0; i < s->compare.n_entries; i++) {
        if (!(bits >> i & 1)) continue;
        printf("%s%s", head, s->compare.entries[i].label);
        head = ", ";
    }
}

static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool same_answer(const vpsde_verdict *a, const vpsde_verdict *b)
{
    return a->best == b->best && a->next == b->next && a->tied == b->tied &&
           a->failed == b->failed && a->is_real == b->is_real &&
           same_number(a->best_value, b->best_value) && same_number(a->next_value, b->next_value) &&
           same_number(a->difference, b->difference) && same_number(a->low, b->low) &&
           same_number(a->high, b->high);
}

/* The best, whether it is the only one, and who was not ranked. */
static void print_verdict(const vpsde_setup *s, const vpsde_verdict *v)
{
    const vpsde_sampler_entry *entries = s->compare.entries;
    const int32_t nobody = (int32_t)s->compare.n_entries;
    if (v->best == nobody && v->failed == 0) return;
    printf("best within %" VPSDE_DIGITS_BUDGET ": ", v->budget);
    if (v->best == nobody)
        printf("nobody");
    else
        printf("%s, %" VPSDE_DIGITS_VERDICT, entries[v->best].label, v->best_value);
    if (v->next != nobody) {
        printf("; next %s, %" VPSDE_DIGITS_VERDICT ": the difference %" VPSDE_DIGITS_VERDICT
               " (%" VPSDE_DIGITS_VERDICT " to %" VPSDE_DIGITS_VERDICT ") is %s",
               entries[v->next].label, v->next_value, v->difference, v->low, v->high,
               v->is_real ? "real" : "not resolved");
    }
    print_names("; cannot be told from the best: ", s, v->tied);
    print_names("; not ranked, for samples failed: ", s, v->failed);
    putchar('\n');
}

static void fill_lines(line *lines, const vpsde_setup *s, const vpsde_compare_summary *y,
                       const budgets *shown)
{
    const size_t metric = vpsde_compare_leading(s);
    const double floor = y->floor[s->compare.n_seeds].metric[metric];
    for (size_t i = 0; i < s->compare.n_entries; i++) {
        line *l = &lines[i];
        *l = (line){.label = s->compare.entries[i].label, .entry = (int32_t)i, .n = shown->n};
        for (size_t b = 0; b < l->n; b++) {
            const double budget = y->verdict[shown->verdict[b]].budget;
            l->value[b] = value_within(s, y, i, budget, metric);
            l->error[b] = vpsde_compare_error(metric, l->value[b], floor);
        }
    }
    qsort(lines, s->compare.n_entries, sizeof(*lines), by_error);
}

static void print_against_nfe(const vpsde_setup *s, const vpsde_compare_summary *y, line *lines)
{
    const budgets shown = choose_columns(s, y);
    char heading[64];
    fill_lines(lines, s, y, &shown);
    snprintf(heading, sizeof(heading), "%s within nfe",
             vpsde_metric_at(vpsde_compare_leading(s))->name);
    printf("\n%-24s", heading);
    for (size_t b = 0; b < shown.n; b++)
        printf(" %8" VPSDE_DIGITS_BUDGET " ", y->verdict[shown.verdict[b]].budget);
    putchar('\n');
    for (size_t i = 0; i < s->compare.n_entries; i++) print_line(&lines[i], y, &shown);
    putchar('\n');
    for (size_t b = 0; b < y->n_verdicts; b++) {
        const vpsde_verdict *v = &y->verdict[b];
        if (b == 0 || !same_answer(v, v - 1)) print_verdict(s, v);
    }
}

void vpsde_compare_warn(const vpsde_setup *s)
{
    const vpsde_compare_setup *c = &s->compare;
    const vpsde_sampler_entry *r = &c->reference;
    if (c->against != VPSDE_AGAINST_SOLVER || !vpsde_solver_is_adaptive(r->solver)) return;
    if (s->model->type->flags & VPSDE_MODEL_ANALYTIC) return;
    if (fmax(r->rtol, r->atol) >= VPSDE_FLOAT32_TOLERANCE) return;
    fprintf(stderr,
            "vpsde: warning: compare.reference: rtol %g and atol %g are below what a network in "
            "float32 gives, about %g; they only cost evaluations\n",
            r->rtol, r->atol, VPSDE_FLOAT32_TOLERANCE);
}

vpsde_status vpsde_compare_print(const vpsde_setup *s, const vpsde_compare_summary *y)
{
    line *lines;
    VPSDE_TRY(vpsde_alloc(&lines, s->compare.n_entries, sizeof(*lines)));
    print_levels(s, y);
    print_against_nfe(s, y, lines);
    free(lines);
    return VPSDE_OK;
}
