#include "analysis/budget_sums.h"

#include <math.h>

enum { PER_DECADE = 64, FROM = -16 };

const vpsde_budget_term vpsde_budget_terms[VPSDE_BUDGET_TERMS] = {
    [VPSDE_TERM_ODE] = {"ode_error", "integration", false},
    [VPSDE_TERM_TRACE] = {"trace_halfwidth", "trace, 95 %", true},
    [VPSDE_TERM_FLOAT32] = {"float32_floor", "float32", false},
    [VPSDE_TERM_TRUNCATION] = {"truncation", "truncation at t_min", false},
    [VPSDE_TERM_TERMINAL] = {"terminal", "terminal law", false},
    [VPSDE_TERM_GAP] = {"dequantisation_gap", "dequantisation", false},
    [VPSDE_TERM_DRAWS] = {"dequantisation_halfwidth", "its draws, 95 %", true},
};

void vpsde_budget_sums_add(vpsde_budget_sums *b, const double term[VPSDE_BUDGET_TERMS],
                           double total)
{
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        if (!isfinite(term[q])) continue;
        b->n_known[q]++;
        b->sum[q] += term[q];
        b->sum_size[q] += fabs(term[q]);
        b->sum_2[q] += term[q] * term[q];
    }
    if (!isfinite(total)) {
        b->n_unknown++;
        return;
    }
    b->n++;
    const double place = total > 0 ? PER_DECADE * (log10(total) - FROM) : 0;
    b->bin[(size_t)fmin(fmax(place, 0), VPSDE_BUDGET_BINS - 1)]++;
}

double vpsde_budget_size(const vpsde_budget_sums *b, size_t term)
{
    return b->sum_size[term] / fmax(1, (double)b->n_known[term]);
}

double vpsde_budget_quantile(const vpsde_budget_sums *b, double share)
{
    size_t below = 0, q = 0;
    while (q + 1 < VPSDE_BUDGET_BINS && (double)(below += b->bin[q]) < share * (double)b->n) q++;
    return pow(10, FROM + (double)(q + 1) / PER_DECADE);
}

double vpsde_budget_of_mean(const vpsde_budget_sums *b)
{
    double sum = 0;
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        const double n = fmax(1, (double)b->n_known[q]);
        sum += (vpsde_budget_terms[q].random ? sqrt(b->sum_2[q]) : fabs(b->sum[q])) / n;
    }
    return sum;
}

void vpsde_budget_lines(const vpsde_budget_sums *b, vpsde_budget_line_fn line, void *context)
{
    for (size_t q = 0; q < VPSDE_BUDGET_TERMS; q++) {
        const double size = vpsde_budget_size(b, q);
        if (size > 0) line(context, vpsde_budget_terms[q].what, size, false);
    }
    if (b->n == 0) return;
    line(context, "total, median row", vpsde_budget_quantile(b, 0.5), true);
    line(context, "total, 95 % of rows", vpsde_budget_quantile(b, 0.95), true);
    line(context, "total of the mean", vpsde_budget_of_mean(b), true);
}
