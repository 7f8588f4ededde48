/* Error budgets of a likelihood's rows, counted as they pass, and told on the terminal. */
#ifndef VPSDE_EXPERIMENTS_BUDGET_SUMMARY_H
#define VPSDE_EXPERIMENTS_BUDGET_SUMMARY_H

#include <vpsde/sink.h>

#include "analysis/budget_sums.h"

typedef struct vpsde_budget_summary {
    int term[VPSDE_BUDGET_TERMS], total; /* columns; total -1: the table has no budget */
    double dim, logp_atol, probes;       /* probes 0: exact trace */
    char label[128];
    vpsde_budget_sums sums;
} vpsde_budget_summary;

/* Looks for the columns; rows of a run without `budget` are not counted. */
void vpsde_budget_summary_begin(vpsde_budget_summary *b, const vpsde_table *table);
/* Row i of a block: one that is fine. */
void vpsde_budget_summary_row(vpsde_budget_summary *b, size_t i, const void *const *data);

/* The mean of each term; the total of a row (median, 95 %) and of the mean of all. Warnings, a line
 * each, go to stderr. */
void vpsde_budget_summary_print(const vpsde_budget_summary *b);

#endif
