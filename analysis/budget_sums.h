/* Error budgets of a likelihood's rows, summed up as they pass: what the terminal and the page show. */
#ifndef VPSDE_ANALYSIS_BUDGET_SUMS_H
#define VPSDE_ANALYSIS_BUDGET_SUMS_H

#include <stdbool.h>
#include <stddef.h>

enum { VPSDE_BUDGET_TERMS = 7, VPSDE_BUDGET_BINS = 24 * 64 };

typedef enum vpsde_budget_term_id {
    VPSDE_TERM_ODE,
    VPSDE_TERM_TRACE,
    VPSDE_TERM_FLOAT32,
    VPSDE_TERM_TRUNCATION,
    VPSDE_TERM_TERMINAL,
    VPSDE_TERM_GAP,
    VPSDE_TERM_DRAWS
} vpsde_budget_term_id;

typedef struct vpsde_budget_term {
    const char *column, *what;
    bool random; /* from row to row: shrinks in their mean */
} vpsde_budget_term;
extern const vpsde_budget_term vpsde_budget_terms[VPSDE_BUDGET_TERMS];

/* Starts as zeros. */
typedef struct vpsde_budget_sums {
    size_t n, n_unknown; /* rows with a total, and without */
    size_t n_known[VPSDE_BUDGET_TERMS];
    double sum[VPSDE_BUDGET_TERMS], sum_size[VPSDE_BUDGET_TERMS], sum_2[VPSDE_BUDGET_TERMS];
    size_t bin[VPSDE_BUDGET_BINS]; /* of log10 total, 64 a decade from 1e-16 */
} vpsde_budget_sums;

/* One row's terms and their total, the column `budget`. What is not finite is not known. */
void vpsde_budget_sums_add(vpsde_budget_sums *b, const double term[VPSDE_BUDGET_TERMS],
                           double total);

/* Mean size of a term over the rows where it is known. */
double vpsde_budget_size(const vpsde_budget_sums *b, size_t term);

/* The total that this share of the rows stays below: upper edge of a bin (3.7 % wide). */
double vpsde_budget_quantile(const vpsde_budget_sums *b, double share);

/* Of the mean over the rows: what is random shrinks with their root, what is not stays. */
double vpsde_budget_of_mean(const vpsde_budget_sums *b);

/* The lines of the table, in nats: terms that are not 0, then the totals. */
typedef void (*vpsde_budget_line_fn)(void *context, const char *what, double nats, bool is_total);
void vpsde_budget_lines(const vpsde_budget_sums *b, vpsde_budget_line_fn line, void *context);

#endif
