#include "experiments/summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/digits.h"
#include "core/clock.h"

/* A column of one value a row. */
static struct vpsde_watched watch(const vpsde_table *table, const char *name)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const vpsde_column *column = &table->columns[c];
        if (strcmp(column->name, name) != 0 || (column->dims && *column->dims)) continue;
        return (struct vpsde_watched){(int)c, column->type};
    }
    return (struct vpsde_watched){.column = -1};
}

/* Row i of a one-value column as a number; 0 when there is no such column. */
static double value(const void *const *data, struct vpsde_watched w, size_t i)
{
    if (w.column < 0) return 0;
    const void *values = data[w.column];
    switch (w.type) {
    case VPSDE_F64:
        return ((const double *)values)[i];
    case VPSDE_F32:
        return (double)((const float *)values)[i];
    case VPSDE_I64:
        return (double)((const int64_t *)values)[i];
    case VPSDE_I32:
        return (double)((const int32_t *)values)[i];
    case VPSDE_U8:
        return (double)((const uint8_t *)values)[i];
    }
    return 0;
}

static void count_row(vpsde_summary *s, size_t i, const void *const *data)
{
    const double nfe = value(data, s->nfe, i), bits = value(data, s->bits, i);
    s->n++;
    s->sum_nfe += nfe;
    s->sum_jvp += value(data, s->jvp, i);
    s->max_nfe = fmax(s->max_nfe, nfe);
    if (value(data, s->status, i) != 0) {
        s->n_failed++;
        return;
    }
    s->sum_logp += value(data, s->logp, i);
    const double iwae = value(data, s->iwae, i), i_mmse = value(data, s->i_mmse, i);
    s->sum_iwae += iwae;
    s->sum_iwae_2 += iwae * iwae;
    s->sum_i_mmse += i_mmse;
    s->sum_i_mmse_2 += i_mmse * i_mmse;
    s->sum_bits += bits;
    s->sum_bits_2 += bits * bits;
    vpsde_budget_summary_row(&s->budget, i, data);
}

static void count_rows(void *self, size_t first, size_t n, const void *const *data)
{
    (void)first;
    for (size_t i = 0; i < n; i++) count_row(self, i, data);
}

static vpsde_status begin(void *self, const vpsde_table *table)
{
    vpsde_summary *s = self;
    const char *slash = strrchr(table->path, '/');
    snprintf(s->label, sizeof(s->label), "%s", slash ? slash + 1 : table->path);
    s->nfe = watch(table, "nfe");
    s->jvp = watch(table, "jvp");
    s->status = watch(table, "status");
    s->logp = watch(table, "logp");
    s->iwae = watch(table, "iwae");
    s->i_mmse = watch(table, "i_mmse");
    if (s->iwae.column >= 0) s->logp = watch(table, "elbo");
    s->bits = watch(table, "bits_per_dim");
    vpsde_budget_summary_begin(&s->budget, table);
    s->start_s = vpsde_clock_s();
    VPSDE_TRY(s->next->begin(s->next->self, table));
    if (!s->run) return VPSDE_OK;
    if (!s->next->meet) VPSDE_TRY(vpsde_run_each_stored(s->run, count_rows, s));
    s->n_before = s->n;
    return VPSDE_OK;
}

static vpsde_status forward(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_summary *s = self;
    if (!s->next->meet) count_rows(s, first, n, data);
    return s->next->write(s->next->self, first, n, data);
}

/* What the file gets, so that it is also what is told. */
static double number(const vpsde_fact *facts, size_t n, const char *name, double otherwise)
{
    for (size_t f = 0; f < n; f++) {
        if (strcmp(facts[f].name, name) == 0) return facts[f].number;
    }
    return otherwise;
}

static vpsde_status end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    vpsde_summary *s = self;
    const double seconds = vpsde_clock_s() - s->start_s;
    s->wall_s = number(provenance, n_facts, "wall_seconds", seconds);
    s->rate =
        number(provenance, n_facts, "samples_per_second", (double)(s->n - s->n_before) / s->wall_s);
    return s->next->end(s->next->self, provenance, n_facts);
}

static bool has(void *self, size_t first, size_t n)
{
    const vpsde_summary *s = self;
    return s->next->has && s->next->has(s->next->self, first, n);
}

static size_t take(void *self)
{
    const vpsde_summary *s = self;
    return s->next->take(s->next->self);
}

/* Where the table is shared, its rows are counted when all are there. */
static vpsde_status meet(void *self, vpsde_status status, double *sums, size_t n, uint64_t *least)
{
    vpsde_summary *s = self;
    VPSDE_TRY(s->next->meet(s->next->self, status, sums, n, least));
    return s->run ? vpsde_run_each_stored(s->run, count_rows, s) : VPSDE_OK;
}

vpsde_sink vpsde_summary_sink(vpsde_summary *summary, vpsde_sink *next)
{
    *summary = (vpsde_summary){.next = next};
    return (vpsde_sink){.self = summary,
                        .begin = begin,
                        .write = forward,
                        .end = end,
                        .has = has,
                        .take = next->take ? take : NULL,
                        .meet = next->meet ? meet : NULL};
}

void vpsde_summary_stderr(char text[VPSDE_STDERR_SIZE], double n, double sum, double square)
{
    const double mean = sum / n;
    snprintf(text, VPSDE_STDERR_SIZE, "-");
    if (!(n > 1)) return;
    const double variance = fmax(0, square - n * mean * mean) / (n - 1);
    snprintf(text, VPSDE_STDERR_SIZE, "%" VPSDE_DIGITS_STDERR, sqrt(variance / n));
}

static void print_logp(const vpsde_summary *s, bool heading)
{
    const double n = fmax(1, (double)(s->n - s->n_failed)), mean = s->sum_bits / n;
    char error[VPSDE_STDERR_SIZE];
    vpsde_summary_stderr(error, n, s->sum_bits, s->sum_bits_2);
    if (heading) {
        printf("%-24s %8s %7s %12s %12s %10s %9s %9s\n", "likelihood", "rows", "failed",
               "logp [nat]", "bits/dim", "+- s.e.", "nfe/row", "wall [s]");
    }
    if (s->n_failed == s->n) {
        printf("%-24s %8zu %7zu %12s %12s %10s %9" VPSDE_DIGITS_NFE " %9" VPSDE_DIGITS_SECONDS "\n",
               s->label, s->n, s->n_failed, "-", "-", "-", s->sum_nfe / (double)s->n, s->wall_s);
        return;
    }
    printf("%-24s %8zu %7zu %12" VPSDE_DIGITS_NATS " %12" VPSDE_DIGITS_BITS
           " %10s %9" VPSDE_DIGITS_NFE " %9" VPSDE_DIGITS_SECONDS "\n",
           s->label, s->n, s->n_failed, s->sum_logp / n, mean, error, s->sum_nfe / (double)s->n,
           s->wall_s);
}

static void print_bound(const vpsde_summary *s, bool heading)
{
    const double n = fmax(1, (double)(s->n - s->n_failed)), mean = s->sum_bits / n;
    char error[VPSDE_STDERR_SIZE];
    vpsde_summary_stderr(error, n, s->sum_bits, s->sum_bits_2);
    if (heading) {
        printf("%-24s %8s %7s %12s %12s %10s %12s %12s %9s %9s\n", "elbo", "rows", "failed",
               "elbo [nat]", "bits/dim", "+- s.e.", "iwae [nat]", "i-mmse [nat]", "nfe/row",
               "wall [s]");
    }
    printf("%-24s %8zu %7zu ", s->label, s->n, s->n_failed);
    if (s->n_failed == s->n) {
        printf("%12s %12s %10s %12s %12s", "-", "-", "-", "-", "-");
    } else {
        printf("%12" VPSDE_DIGITS_NATS " %12" VPSDE_DIGITS_BITS " %10s %12" VPSDE_DIGITS_NATS
               " %12" VPSDE_DIGITS_NATS,
               s->sum_logp / n, mean, error, s->sum_iwae / n, s->sum_i_mmse / n);
    }
    printf(" %9" VPSDE_DIGITS_NFE " %9" VPSDE_DIGITS_SECONDS "\n", s->sum_nfe / (double)s->n,
           s->wall_s);
}

void vpsde_summary_print(const vpsde_summary *s, bool heading)
{
    if (s->iwae.column >= 0) {
        print_bound(s, heading);
        return;
    }
    if (s->bits.column >= 0) {
        print_logp(s, heading);
        vpsde_budget_summary_print(&s->budget);
        return;
    }
    if (heading) {
        printf("%-24s %9s %7s %10s %8s %9s %11s\n", "solver", "samples", "failed", "nfe/sample",
               "max nfe", "wall [s]", "samples/s");
    }
    printf("%-24s %9zu %7zu %10" VPSDE_DIGITS_NFE " %8" VPSDE_DIGITS_COUNT
           " %9" VPSDE_DIGITS_SECONDS " %11" VPSDE_DIGITS_RATE "\n",
           s->label, s->n, s->n_failed, s->sum_nfe / (double)s->n, s->max_nfe, s->wall_s, s->rate);
}

vpsde_status vpsde_summary_status(const vpsde_summary *s, vpsde_status status)
{
    if (status != VPSDE_OK || s->n_failed == 0) return status;
    return vpsde_fail(VPSDE_EPARTIAL, "%s: %zu of %zu samples failed", s->label, s->n_failed, s->n);
}
