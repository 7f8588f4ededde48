/* What follows from the cases of a comparison: means over the seeds, who is best, observed orders. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/compare.h"

static const double default_budgets[] = {5, 10, 20, 50, 100, 200};

bool vpsde_compare_wants(const vpsde_setup *s, size_t metric)
{
    return (s->compare.metrics >> metric & 1u) != 0;
}

static bool all_have(const vpsde_setup *s, size_t metric)
{
    const bool paired = (vpsde_metric_at(metric)->needs & VPSDE_METRIC_PAIRED) != 0;
    for (size_t i = 0; paired && i < s->compare.n_entries; i++) {
        if (!vpsde_compare_is_paired(&s->compare, i)) return false;
    }
    return true;
}

size_t vpsde_compare_leading(const vpsde_setup *s)
{
    size_t first = 0;
    while (!vpsde_compare_wants(s, first)) first++;
    size_t found = first;
    bool any = false;
    for (size_t m = first; vpsde_metric_at(m); m++) {
        if (!vpsde_compare_wants(s, m) || !all_have(s, m)) continue;
        /* no rank is the last one */
        if (!any || vpsde_metric_at(m)->rank - 1 < vpsde_metric_at(found)->rank - 1) found = m;
        any = true;
    }
    return found;
}

double vpsde_compare_error(size_t metric, double value, double floor)
{
    const double ideal = vpsde_metric_at(metric)->ideal;
    if (ideal == 0) return value; /* below 0: an unbiased estimate of about 0 */
    if (!isnan(ideal)) return fabs(value - ideal);
    return isnan(floor) ? value : fabs(value - floor);
}

/* Room for what n seeds say of one number. */
typedef struct seeds {
    double *value;
    vpsde_interval *of;
    size_t n;
} seeds;

/* Means over rows of the seeds, with their intervals. */
static vpsde_compare_row pool(const vpsde_compare_row *rows, const seeds *room)
{
    const size_t n = room->n;
    vpsde_compare_row mean = rows[0];
    mean.seed = -1;
    for (size_t i = 1; i < n; i++) {
        mean.nfe += rows[i].nfe;
        mean.jvp += rows[i].jvp;
        mean.rejected += rows[i].rejected;
        mean.bandwidth += rows[i].bandwidth;
        mean.failed += rows[i].failed;
    }
    mean.nfe /= (double)n;
    mean.jvp /= (double)n;
    mean.rejected /= (double)n;
    mean.bandwidth /= (double)n;
    for (size_t m = 0; m < VPSDE_METRICS_MAX; m++) {
        for (size_t i = 0; i < n; i++) {
            room->value[i] = rows[i].metric[m];
            room->of[i] = (vpsde_interval){.low = rows[i].low[m], .high = rows[i].high[m]};
        }
        const vpsde_interval of = vpsde_pool_intervals(&mean.metric[m], room->value, room->of, n);
        mean.low[m] = of.low;
        mean.high[m] = of.high;
    }
    return mean;
}

size_t vpsde_compare_within(const vpsde_compare_summary *y, const vpsde_setup *s, size_t entry,
                            double budget)
{
    size_t found = s->compare.n_levels;
    double most = 0;
    for (size_t l = 0; l < s->compare.n_levels; l++) {
        if (s->compare.levels[l].entry != entry) continue;
        if (y->pooled[l].nfe > budget || y->pooled[l].nfe < most) continue;
        most = y->pooled[l].nfe;
        found = l;
    }
    return found;
}

size_t vpsde_compare_ranked(const vpsde_compare_summary *y, const vpsde_setup *s,
                            const vpsde_verdict *v, size_t entry)
{
    const bool failed = v->failed >> entry & 1;
    return failed ? s->compare.n_levels : vpsde_compare_within(y, s, entry, v->budget);
}

/* The columns: compare.steps where they count evaluations. They are all entries' only if no entry
 * has its own, so those of the first fixed-step one stand for them. */
static size_t choose_budgets(double *budgets, const vpsde_compare_setup *c)
{
    size_t n = sizeof(default_budgets) / sizeof(default_budgets[0]);
    memcpy(budgets, default_budgets, sizeof(default_budgets));
    for (size_t i = 0; c->budget == VPSDE_BUDGET_NFE && i < c->n_entries; i++) {
        if (!c->ladders[i].steps) continue;
        n = c->ladders[i].n < VPSDE_BUDGETS_MAX ? c->ladders[i].n : VPSDE_BUDGETS_MAX;
        memcpy(budgets, c->ladders[i].steps, n * sizeof(*budgets));
        break;
    }
    return n;
}

/* Those that lost samples would be ranked by the others, the easy ones. */
static void leave_out(vpsde_verdict *v, const vpsde_compare_summary *y, const vpsde_setup *s)
{
    for (size_t i = 0; i < s->compare.n_entries; i++) {
        const size_t l = vpsde_compare_within(y, s, i, v->budget);
        if (l == s->compare.n_levels || y->pooled[l].failed == 0) continue;
        v->failed |= (uint64_t)1 << i;
        v->unranked++;
    }
}

static void judge(vpsde_verdict *v, const vpsde_compare_summary *y, const vpsde_setup *s,
                  double budget)
{
    const size_t m = vpsde_compare_leading(s);
    const double floor = y->floor[s->compare.n_seeds].metric[m];
    const int32_t nobody = (int32_t)s->compare.n_entries;
    double best = INFINITY, next = INFINITY;
    *v = (vpsde_verdict){.budget = budget,
                         .best = nobody,
                         .next = nobody,
                         .best_value = (double)NAN,
                         .next_value = (double)NAN,
                         .difference = (double)NAN,
                         .low = (double)NAN,
                         .high = (double)NAN};
    leave_out(v, y, s);
    for (size_t i = 0; i < s->compare.n_entries; i++) {
        const size_t l = vpsde_compare_ranked(y, s, v, i);
        if (l == s->compare.n_levels) continue;
        const double value = y->pooled[l].metric[m], error = vpsde_compare_error(m, value, floor);
        if (error < best) {
            next = best, v->next = v->best, v->next_value = v->best_value;
            best = error, v->best = (int32_t)i, v->best_value = value;
        } else if (error < next) {
            next = error, v->next = (int32_t)i, v->next_value = value;
        }
    }
    if (v->next != nobody) v->difference = next - best;
}

/* Least squares of log error on log evaluations over the levels whose error is above ten floors and
 * below a tenth. */
static void fit(vpsde_slope *slope, const vpsde_compare_summary *y, const vpsde_setup *s,
                size_t entry, size_t m, double floor)
{
    double n = 0, u = 0, v = 0, uu = 0, uv = 0, first = INFINITY, last = 0;
    for (size_t l = 0; l < s->compare.n_levels; l++) {
        const vpsde_compare_row *row = &y->pooled[l];
        const double error = vpsde_compare_error(m, row->metric[m], floor);
        if (s->compare.levels[l].entry != entry || !(row->nfe > 0)) continue;
        if (!(error > 10 * floor) || !(error < 0.1)) continue;
        const double a = log(row->nfe), b = log(error);
        n += 1, u += a, v += b, uu += a * a, uv += a * b;
        first = fmin(first, row->nfe);
        last = fmax(last, row->nfe);
    }
    const double spread = n * uu - u * u;
    const bool fits = n >= 3 && spread > 0;
    *slope = (vpsde_slope){.solver = (int32_t)entry,
                           .metric = (int32_t)m,
                           .order = fits ? -(n * uv - u * v) / spread : (double)NAN,
                           .nfe_first = fits ? first : (double)NAN,
                           .nfe_last = fits ? last : (double)NAN,
                           .points = (int64_t)n};
}

/* An exact sample's error at most, or that of the reference. */
static double floor_of(const vpsde_compare_summary *y, const vpsde_setup *s, size_t m)
{
    const vpsde_sampler_entry *r = &s->compare.reference;
    const vpsde_compare_row *exact = &y->floor[s->compare.n_seeds];
    if (!(vpsde_metric_at(m)->needs & VPSDE_METRIC_PAIRED)) {
        const double top = fmax(vpsde_compare_error(m, exact->low[m], (double)NAN),
                                vpsde_compare_error(m, exact->high[m], (double)NAN));
        return isnan(top) ? 0 : fmax(top, 0);
    }
    return r->solver && vpsde_solver_is_adaptive(r->solver) ? fmax(r->rtol, r->atol) : 0;
}

static vpsde_status fit_all(vpsde_compare_summary *y, const vpsde_setup *s)
{
    const size_t entries = s->compare.n_entries;
    VPSDE_TRY(vpsde_alloc(&y->slope, entries * VPSDE_METRICS_MAX, sizeof(*y->slope)));
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (!vpsde_compare_wants(s, m) || isnan(vpsde_metric_at(m)->ideal)) continue;
        for (size_t i = 0; i < entries; i++) {
            fit(&y->slope[y->n_slopes++], y, s, i, m, floor_of(y, s, m));
        }
    }
    return VPSDE_OK;
}

vpsde_status vpsde_compare_summarise(vpsde_compare_summary *y, const vpsde_setup *s,
                                     const vpsde_compare_row *rows)
{
    const vpsde_compare_setup *c = &s->compare;
    double budgets[VPSDE_BUDGETS_MAX];
    seeds room = {.n = c->n_seeds};
    VPSDE_TRY(vpsde_alloc(&y->pooled, c->n_levels, sizeof(*y->pooled)));
    vpsde_status status = vpsde_alloc(&room.value, room.n, sizeof(*room.value));
    if (status == VPSDE_OK) status = vpsde_alloc(&room.of, room.n, sizeof(*room.of));
    for (size_t l = 0; status == VPSDE_OK && l < c->n_levels; l++) {
        y->pooled[l] = pool(&rows[l * c->n_seeds], &room);
    }
    if (status == VPSDE_OK) y->floor[c->n_seeds] = pool(y->floor, &room);
    free(room.value);
    free(room.of);
    VPSDE_TRY(status);
    y->n_verdicts = choose_budgets(budgets, c);
    for (size_t b = 0; b < y->n_verdicts; b++) judge(&y->verdict[b], y, s, budgets[b]);
    return fit_all(y, s);
}

void vpsde_compare_summary_free(vpsde_compare_summary *y)
{
    free(y->pooled);
    free(y->floor);
    free(y->slope);
}
