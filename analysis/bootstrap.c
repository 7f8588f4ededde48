#include "analysis/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vpsde/noise.h>

#include "analysis/order.h"
#include "core/mem.h"
#include "core/vec.h"

/* Addresses: the resample stands for the sample, a group of four draws is a node. */
enum { FINE = 0, COARSE = 1 };

void vpsde_statistic_free(vpsde_statistic *s)
{
    free(s->column);
    free(s->kernel);
    free(s->pairs);
    *s = (vpsde_statistic){0};
}

vpsde_status vpsde_statistic_open(vpsde_statistic *s, size_t n, const size_t *number,
                                  size_t n_columns)
{
    *s = (vpsde_statistic){.n = n, .number = number, .n_columns = n_columns};
    return vpsde_alloc(&s->column, n * n_columns, sizeof(*s->column));
}

void vpsde_statistic_close(vpsde_statistic *s)
{
    double mean[VPSDE_COLUMNS_MAX] = {0};
    for (size_t c = 0; c < s->n_columns; c++) {
        for (size_t i = 0; i < s->n; i++) mean[c] += s->column[c * s->n + i];
        mean[c] /= (double)s->n;
    }
    s->value = s->finish ? s->finish(mean) : mean[0];
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t vpsde_pair_units(size_t n) { return smaller(n, VPSDE_PAIR_UNITS_MAX); }

/* count (units): how often each unit is among `units` draws with replacement. */
static void deal(uint8_t *count, size_t units, uint64_t seed, uint32_t resample, uint32_t which)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t k = 0; k < units; k += 4) {
        const uint32_t counter[4] = {resample, (uint32_t)VPSDE_NOISE_BOOTSTRAP << 16,
                                     (uint32_t)(k / 4), which};
        uint32_t word[4];
        vpsde_philox(word, counter, key);
        for (size_t q = 0; q < 4 && k + q < units; q++) count[(uint64_t)word[q] * units >> 32]++;
    }
}

vpsde_status vpsde_resampling_create(vpsde_resampling **out, size_t n, uint64_t seed)
{
    vpsde_resampling *r;
    VPSDE_TRY(vpsde_alloc(&r, 1, sizeof(*r)));
    r->units = smaller(n, VPSDE_UNITS_MAX);
    r->pair_units = vpsde_pair_units(n);
    vpsde_status status = vpsde_alloc(&r->count, VPSDE_RESAMPLES * r->units, 1);
    if (status == VPSDE_OK) {
        status = vpsde_alloc(&r->pair_count, VPSDE_RESAMPLES * r->pair_units, 1);
    }
    if (status != VPSDE_OK) {
        vpsde_resampling_destroy(r);
        return status;
    }
    for (uint32_t b = 0; b < VPSDE_RESAMPLES; b++) {
        deal(r->count + b * r->units, r->units, seed, b, FINE);
        deal(r->pair_count + b * r->pair_units, r->pair_units, seed, b, COARSE);
    }
    *out = r;
    return VPSDE_OK;
}

void vpsde_resampling_destroy(vpsde_resampling *r)
{
    if (!r) return;
    free(r->count);
    free(r->pair_count);
    free(r);
}

static void to_weights(double *weight, const uint8_t *count, size_t units)
{
    for (size_t u = 0; u < units; u++) weight[u] = count[u];
}

/* Sums over the rows of each unit: columns 0, 1, ... and, last, how many rows they are. */
static vpsde_status sum_units(double **out, const vpsde_statistic *s, size_t units)
{
    double *sum;
    VPSDE_TRY(vpsde_alloc(&sum, (s->n_columns + 1) * units, sizeof(*sum)));
    for (size_t i = 0; i < s->n; i++) {
        const size_t u = s->number[i] % units;
        for (size_t c = 0; c < s->n_columns; c++) sum[c * units + u] += s->column[c * s->n + i];
        sum[s->n_columns * units + u] += 1;
    }
    *out = sum;
    return VPSDE_OK;
}

static double of_means(const vpsde_statistic *s, const double *total, double rows)
{
    double mean[VPSDE_COLUMNS_MAX] = {0};
    for (size_t c = 0; c < s->n_columns; c++) mean[c] = total[c] / rows;
    return s->finish ? s->finish(mean) : mean[0];
}

static vpsde_status replicate_means(double *replicate, const vpsde_statistic *s,
                                    const vpsde_resampling *r)
{
    const size_t units = r->units;
    double *sum, weight[VPSDE_UNITS_MAX], total[VPSDE_COLUMNS_MAX];
    VPSDE_TRY(sum_units(&sum, s, units));
    for (size_t b = 0; b < VPSDE_RESAMPLES; b++) {
        to_weights(weight, r->count + b * units, units);
        for (size_t c = 0; c < s->n_columns; c++)
            total[c] = vec_dot(units, weight, sum + c * units);
        replicate[b] = of_means(s, total, vec_dot(units, weight, sum + s->n_columns * units));
    }
    free(sum);
    return VPSDE_OK;
}

/* Rows by value, each as often as its unit was drawn. The place that is sought lies near row `near` for
 * every resample, so counting begins there: with the rows of each unit below it. */
typedef struct cursor {
    const uint32_t *order, *unit; /* (n) rows by value; their units */
    const uint8_t *count;
    const uint32_t *below; /* how many rows of each unit are below `near` */
    size_t near;
} cursor;

static size_t drawn(const cursor *c, size_t units, const uint32_t *rows)
{
    size_t total = 0;
    for (size_t u = 0; u < units; u++) total += (size_t)c->count[u] * rows[u];
    return total;
}

/* The place-th and the next value of the resample, which has `total` of them. */
static void two_at(double out[2], const cursor *c, size_t units, const double *value, size_t place,
                   size_t total)
{
    const size_t next = place + 1 < total ? place + 1 : place;
    size_t k = c->near, seen = drawn(c, units, c->below);
    while (seen > place) seen -= c->count[c->unit[--k]];
    for (; seen + c->count[c->unit[k]] <= place; k++) seen += c->count[c->unit[k]];
    out[0] = value[c->order[k]];
    for (; seen + c->count[c->unit[k]] <= next; k++) seen += c->count[c->unit[k]];
    out[1] = value[c->order[k]];
}

static vpsde_status replicate_quantile(double *replicate, const vpsde_statistic *s,
                                       const vpsde_resampling *r)
{
    uint32_t *order, rows[VPSDE_UNITS_MAX] = {0}, below[VPSDE_UNITS_MAX] = {0};
    VPSDE_TRY(vpsde_alloc(&order, 2 * s->n, sizeof(*order)));
    uint32_t *unit = order + s->n;
    cursor c = {.order = order, .unit = unit, .below = below};
    c.near = (size_t)(s->p * (double)s->n);
    const vpsde_status status = vpsde_order(order, s->column, s->n);
    for (size_t i = 0; status == VPSDE_OK && i < s->n; i++) {
        unit[i] = (uint32_t)(s->number[order[i]] % r->units);
        rows[unit[i]]++;
        if (i < c.near) below[unit[i]]++;
    }
    for (size_t b = 0; status == VPSDE_OK && b < VPSDE_RESAMPLES; b++) {
        c.count = r->count + b * r->units;
        const size_t total = drawn(&c, r->units, rows);
        replicate[b] = (double)NAN;
        if (total == 0) continue;
        const double place = s->p * (double)(total - 1);
        double at[2];
        two_at(at, &c, r->units, s->column, (size_t)place, total);
        replicate[b] = at[0] + (place - floor(place)) * (at[1] - at[0]);
    }
    free(order);
    return status;
}

/* Mean of the kernel over pairs of different units with these weights. */
static double pair_mean(const vpsde_statistic *s, const double *weight, size_t units)
{
    double kernel = 0, pairs = 0;
    for (size_t u = 0; u < units; u++) {
        if (weight[u] == 0) continue;
        const size_t row = u * VPSDE_PAIR_UNITS_MAX;
        kernel += weight[u] * vec_dot(units, weight, s->kernel + row);
        pairs += weight[u] * vec_dot(units, weight, s->pairs + row);
    }
    return kernel / pairs;
}

static void replicate_pairs(double *replicate, const vpsde_statistic *s, const vpsde_resampling *r)
{
    const size_t units = r->pair_units;
    double weight[VPSDE_PAIR_UNITS_MAX];
    for (size_t u = 0; u < units; u++) weight[u] = 1;
    const double shift = s->value - pair_mean(s, weight, units);
    for (size_t b = 0; b < VPSDE_RESAMPLES; b++) {
        to_weights(weight, r->pair_count + b * units, units);
        replicate[b] = pair_mean(s, weight, units) + shift;
    }
}

vpsde_status vpsde_bootstrap(double *replicate, const vpsde_statistic *s, const vpsde_resampling *r)
{
    if (s->kind == VPSDE_STATISTIC_MEANS) return replicate_means(replicate, s, r);
    if (s->kind == VPSDE_STATISTIC_QUANTILE) return replicate_quantile(replicate, s, r);
    replicate_pairs(replicate, s, r);
    return VPSDE_OK;
}
