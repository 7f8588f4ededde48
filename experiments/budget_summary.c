#include "experiments/budget_summary.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ODE, TRACE, FLOAT32, TRUNCATION, TERMINAL, GAP, DRAWS };
enum { PER_DECADE = 64, FROM = -16 };

/* Share of the budget from which on a term dominates, and of the tolerance from which the ODE
 * does. */
static const double dominates = 0.75, ode_beyond = 100;

static const struct {
    const char *column, *what;
    bool random; /* from row to row: shrinks in their mean */
    const char *advice;
} terms[VPSDE_BUDGET_TERMS] = {
    [ODE] = {"ode_error", "integration", false, "tighter tolerances make it smaller"},
    [TRACE] = {"trace_halfwidth", "trace, 95 %", true,
               "more probes or the exact trace make it smaller"},
    [FLOAT32] = {"float32_floor", "float32", false, "it is the network's arithmetic"},
    [TRUNCATION] = {"truncation", "truncation at t_min", false, "a smaller t_min makes it smaller"},
    [TERMINAL] = {"terminal", "terminal law", false,
                  "the exact law (process.terminal), where the model has it, leaves it out"},
    [GAP] = {"dequantisation_gap", "dequantisation", false, "more draws make it smaller"},
    [DRAWS] = {"dequantisation_halfwidth", "its draws, 95 %", true, "more draws make it smaller"},
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
        b->term[q] = column(table, terms[q].column);
        if (b->term[q] < 0) b->total = -1;
    }
    b->dim = number(table, "dim");
    b->logp_atol = number(table, "logp_atol");
    b->probes = number(table, "probes");
    snprintf(b->label, sizeof(b->label), "%s", label && label->text ? label->text : "likelihood");
}

void vpsde_budget_summary_row(vpsde_budget_summary *b, size_t i, const void *const *data)
{
    if (b->total < 0) return;
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        const double value = ((const double *)data[b->term[q]])[i];
        if (!isfinite(value)) continue;
        b->n_known[q]++;
        b->sum[q] += value;
        b->sum_size[q] += fabs(value);
        b->sum_2[q] += value * value;
    }
    const double total = ((const double *)data[b->total])[i];
    if (!isfinite(total)) {
        b->n_unknown++;
        return;
    }
    b->n++;
    const double place = total > 0 ? PER_DECADE * (log10(total) - FROM) : 0;
    b->bin[(size_t)fmin(fmax(place, 0), VPSDE_BUDGET_BINS - 1)]++;
}

/* Upper edge of the bin that holds this share of the rows. */
static double quantile(const vpsde_budget_summary *b, double share)
{
    size_t below = 0, q = 0;
    while (q + 1 < VPSDE_BUDGET_BINS && (double)(below += b->bin[q]) < share * (double)b->n) q++;
    return pow(10, FROM + (double)(q + 1) / PER_DECADE);
}

/* Mean size of a term over the rows where it is known. */
static double size_of(const vpsde_budget_summary *b, size_t q)
{
    return b->sum_size[q] / fmax(1, (double)b->n_known[q]);
}

/* Of the mean over the rows: what is random shrinks with their root, what is not stays. */
static double of_mean(const vpsde_budget_summary *b)
{
    double sum = 0;
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        const double n = fmax(1, (double)b->n_known[q]);
        sum += (terms[q].random ? sqrt(b->sum_2[q]) : fabs(b->sum[q])) / n;
    }
    return sum;
}

static void warn(const vpsde_budget_summary *b)
{
    double all = 0;
    size_t largest = 0;
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        all += size_of(b, q);
        if (size_of(b, q) > size_of(b, largest)) largest = q;
        if (b->n_known[q] == 0) {
            fprintf(stderr,
                    "vpsde: warning: %s: %s is not known, so there is no total: too few probes or "
                    "draws tell no spread\n",
                    b->label, terms[q].column);
        }
    }
    const double size = size_of(b, largest);
    if (size > dominates * all && size > (largest == ODE ? ode_beyond : 1) * b->logp_atol) {
        fprintf(stderr,
                "vpsde: warning: %s: %s makes up %.0f %% of the error budget (%.2g nat); %s\n",
                b->label, terms[largest].column, 100 * size / all, size, terms[largest].advice);
    }
    if (b->probes > 0 && b->probes >= b->dim) {
        fprintf(stderr,
                "vpsde: warning: %s: %g probes in %g dimensions: the exact trace costs no more and "
                "has no error\n",
                b->label, b->probes, b->dim);
    }
    if (size_of(b, FLOAT32) > b->logp_atol) {
        fprintf(stderr,
                "vpsde: warning: %s: logp_atol %.2g is below what float32 can give, about %.1g "
                "nat; it only costs evaluations\n",
                b->label, b->logp_atol, size_of(b, FLOAT32));
    }
}

static void line(const char *what, double nats, double bits)
{
    printf("  %-22s %12.2g %12.2g\n", what, nats, nats * bits);
}

void vpsde_budget_summary_print(const vpsde_budget_summary *b)
{
    if (b->total < 0 || b->n + b->n_unknown == 0) return;
    const double bits = 1 / (fmax(1, b->dim) * log(2));
    printf("%-24s %12s %12s\n", "error budget", "nat", "bits/dim");
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        if (size_of(b, q) > 0) line(terms[q].what, size_of(b, q), bits);
    }
    if (b->n > 0) {
        line("total, median row", quantile(b, 0.5), bits);
        line("total, 95 % of rows", quantile(b, 0.95), bits);
        line("total of the mean", of_mean(b), bits);
    }
    if (b->n > 0 && b->n_unknown > 0) {
        printf("  %zu of %zu rows without a total\n", b->n_unknown, b->n + b->n_unknown);
    }
    fflush(stdout);
    warn(b);
}
