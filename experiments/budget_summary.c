#include "experiments/budget_summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/digits.h"

/* Share of the budget from which on a term dominates, and of the tolerance from which the ODE
 * does. */
static const double dominates = 0.75, ode_beyond = 100;

static const char *const advice[VPSDE_BUDGET_TERMS] = {
    [VPSDE_TERM_ODE] = "tighter tolerances make it smaller",
    [VPSDE_TERM_TRACE] = "more probes or the exact trace make it smaller",
    [VPSDE_TERM_FLOAT32] = "it is the network's arithmetic",
    [VPSDE_TERM_TRUNCATION] = "a smaller t_min makes it smaller",
    [VPSDE_TERM_TERMINAL] =
        "the exact law (process.terminal), where the model has it, leaves it out",
    [VPSDE_TERM_GAP] = "more draws make it smaller",
    [VPSDE_TERM_DRAWS] = "more draws make it smaller",
};

static int column(const vpsde_table *table, const char *name)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        if (strcmp(table->columns[c].name, name) == 0) return (int)c;
    }
    return -1;
}

static const vpsde_fact *fact(const vpsde_table *table, const char *name)
{
    for (size_t f = 0; f < table->n_facts; f++) {
        if (strcmp(table->facts[f].name, name) == 0) return &table->facts[f];
    }
    return NULL;
}

static double number(const vpsde_table *table, const char *name)
{
    const vpsde_fact *f = fact(table, name);
    return f ? f->number : 0;
}

void vpsde_budget_summary_begin(vpsde_budget_summary *b, const vpsde_table *table)
{
    const vpsde_fact *asked = fact(table, "budget"), *label = fact(table, "label");
    *b = (vpsde_budget_summary){.total = -1};
    if (!asked || !asked->text || strcmp(asked->text, "true") != 0) return;
    b->total = column(table, "budget");
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        b->term[q] = column(table, vpsde_budget_terms[q].column);
        if (b->term[q] < 0) b->total = -1;
    }
    b->dim = number(table, "dim");
    b->logp_atol = number(table, "logp_atol");
    b->probes = number(table, "probes");
    snprintf(b->label, sizeof(b->label), "%s", label && label->text ? label->text : "likelihood");
}

void vpsde_budget_summary_row(vpsde_budget_summary *b, size_t i, const void *const *data)
{
    double term[VPSDE_BUDGET_TERMS];
    if (b->total < 0) return;
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        term[q] = ((const double *)data[b->term[q]])[i];
    }
    vpsde_budget_sums_add(&b->sums, term, ((const double *)data[b->total])[i]);
}

static void warn(const vpsde_budget_summary *b)
{
    double all = 0;
    size_t largest = 0;
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        all += vpsde_budget_size(&b->sums, q);
        if (vpsde_budget_size(&b->sums, q) > vpsde_budget_size(&b->sums, largest)) largest = q;
        if (b->sums.n_known[q] == 0) {
            fprintf(stderr,
                    "vpsde: warning: %s: %s is not known, so there is no total: too few probes or "
                    "draws tell no spread\n",
                    b->label, vpsde_budget_terms[q].column);
        }
    }
    const double size = vpsde_budget_size(&b->sums, largest);
    if (size > dominates * all &&
        size > (largest == VPSDE_TERM_ODE ? ode_beyond : 1) * b->logp_atol) {
        fprintf(
            stderr, "vpsde: warning: %s: %s makes up %.0f %% of the error budget (%.2g nat); %s\n",
            b->label, vpsde_budget_terms[largest].column, 100 * size / all, size, advice[largest]);
    }
    if (b->probes > 0 && b->probes >= b->dim) {
        fprintf(stderr,
                "vpsde: warning: %s: %g probes in %g dimensions: the exact trace costs no more and "
                "has no error\n",
                b->label, b->probes, b->dim);
    }
    if (vpsde_budget_size(&b->sums, VPSDE_TERM_FLOAT32) > b->logp_atol) {
        fprintf(stderr,
                "vpsde: warning: %s: logp_atol %.2g is below what float32 can give, about %.1g "
                "nat; it only costs evaluations\n",
                b->label, b->logp_atol, vpsde_budget_size(&b->sums, VPSDE_TERM_FLOAT32));
    }
}

static void line(void *context, const char *what, double nats, bool is_total)
{
    const double *bits = context;
    (void)is_total;
    printf("  %-22s %12" VPSDE_DIGITS_STDERR " %12" VPSDE_DIGITS_STDERR "\n", what, nats,
           nats * *bits);
}

void vpsde_budget_summary_print(const vpsde_budget_summary *b)
{
    const vpsde_budget_sums *sums = &b->sums;
    if (b->total < 0 || sums->n + sums->n_unknown == 0) return;
    double bits = 1 / (fmax(1, b->dim) * log(2));
    printf("%-24s %12s %12s\n", "error budget", "nat", "bits/dim");
    vpsde_budget_lines(sums, line, &bits);
    if (sums->n > 0 && sums->n_unknown > 0) {
        printf("  %zu of %zu rows without a total\n", sums->n_unknown, sums->n + sums->n_unknown);
    }
    fflush(stdout);
    warn(b);
}
