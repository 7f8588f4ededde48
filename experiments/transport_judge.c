/* On the rows' own pairs (x_i, E(x_i)) a Monge map is the best assignment: it is cyclically monotone, so
 * the gap is 0 whatever the number of rows (Villani 2009, theorem 5.10). The lengths are those of the
 * rows' empirical measure, for which the chain
 *     W2^2 <= L^2 <= b Sigma/2,   L = int sqrt(E |v|^2) db,  Sigma = 2 int E |v|^2 db,  v = -(x + s)/2
 * holds row for row (Benamou & Brenier 2000; Nakazato & Ito 2021, arXiv:2103.00503). */
#include <math.h>
#include <stdlib.h>

#include "analysis/assignment.h"
#include "core/mem.h"
#include "core/sink.h"
#include "experiments/transport.h"
#include "solvers/delivery.h"

typedef struct pairs {
    size_t n;                       /* rows that are fine */
    size_t *row;                    /* (n) their place */
    size_t *partner;                /* (n) among them */
    double *cost, *price, *price_2; /* (n, n), (n), (n) */
    int64_t *of_row;                /* (count) what the table holds */
    double *own_cost, *best_cost;   /* (count) */
} pairs;

static void close_pairs(pairs *p)
{
    free(p->row);
    free(p->partner);
    free(p->cost);
    free(p->price);
    free(p->price_2);
    free(p->of_row);
    free(p->own_cost);
    free(p->best_cost);
}

static vpsde_status open_pairs(pairs *p, const vpsde_transport_rows *r)
{
    size_t squares;
    p->n = r->n;
    VPSDE_TRY(vpsde_size_mul(&squares, r->n, r->n, "costs of all pairs"));
    VPSDE_TRY(vpsde_alloc(&p->row, r->n, sizeof(*p->row)));
    VPSDE_TRY(vpsde_alloc(&p->partner, r->n, sizeof(*p->partner)));
    VPSDE_TRY(vpsde_alloc(&p->cost, squares, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&p->price, r->n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&p->price_2, r->n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&p->of_row, r->count, sizeof(*p->of_row)));
    VPSDE_TRY(vpsde_alloc(&p->own_cost, r->count, sizeof(double)));
    return vpsde_alloc(&p->best_cost, r->count, sizeof(double));
}

static void fill_costs(pairs *p, const vpsde_transport_rows *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (r->status[i] == VPSDE_ROW_OK) p->row[n++] = i;
    }
    for (size_t e = 0; e < n * n; e++) {
        const double *x = r->x + p->row[e / n] * r->dim, *y = r->image + p->row[e % n] * r->dim;
        double sum = 0;
        for (size_t j = 0; j < r->dim; j++) sum += (x[j] - y[j]) * (x[j] - y[j]);
        p->cost[e] = sum;
    }
}

/* Where nothing is gained by another assignment everybody keeps the own image. */
static void compare(pairs *p, vpsde_transport_facts *f, const vpsde_transport_rows *r)
{
    const size_t n = p->n;
    double gain = 0, identity = 0, moved = 0;
    for (size_t i = 0; i < n; i++) {
        identity += p->cost[i * n + i];
        gain += p->cost[i * n + i] - p->cost[i * n + p->partner[i]];
    }
    for (size_t i = 0; i < n && !(gain > 0); i++) p->partner[i] = i;
    for (size_t i = 0; i < r->count; i++) {
        p->of_row[i] = -1;
        p->own_cost[i] = p->best_cost[i] = (double)NAN;
    }
    for (size_t i = 0; i < n; i++) {
        moved += p->partner[i] != i;
        p->of_row[p->row[i]] = (int64_t)(r->first + p->row[p->partner[i]]);
        p->own_cost[p->row[i]] = p->cost[i * n + i];
        p->best_cost[p->row[i]] = p->cost[i * n + p->partner[i]];
    }
    f->identity = identity / (double)n;
    f->gap = identity > 0 ? fmax(gain, 0) / identity : 0;
    f->optimal = f->identity * (1 - f->gap);
    f->reassigned = moved / (double)n;
}

/* Delta method: how row i moves log(optimal/L^2). */
static double influence(const vpsde_transport_rows *r, const vpsde_transport_facts *f,
                        const double *mean, double best_cost, size_t i)
{
    double along = 0;
    for (size_t k = 0; k < r->n_times; k++) {
        if (!(mean[k] > 0)) continue;
        along += r->weight[k] * (r->speed[i * r->n_times + k] - mean[k]) / (2 * sqrt(mean[k]));
    }
    return best_cost / f->optimal - 1 - 2 * along / f->length;
}

/* mean and stderror (n_times) of the squared speed. */
static void measure(vpsde_transport_facts *f, const vpsde_transport_rows *r, const pairs *p,
                    double *mean, double *stderror)
{
    const double n = (double)p->n;
    double spread = 0;
    f->length = f->entropy = 0;
    for (size_t k = 0; k < r->n_times; k++) {
        double square = 0;
        mean[k] = 0;
        for (size_t m = 0; m < p->n; m++) mean[k] += r->speed[p->row[m] * r->n_times + k] / n;
        for (size_t m = 0; m < p->n; m++) {
            const double off = r->speed[p->row[m] * r->n_times + k] - mean[k];
            square += off * off;
        }
        stderror[k] = sqrt(square / (n - 1) / n);
        f->length += r->weight[k] * sqrt(mean[k]);
        f->entropy += 2 * r->weight[k] * mean[k];
    }
    for (size_t m = 0; m < p->n; m++) {
        const double part = influence(r, f, mean, p->best_cost[p->row[m]], p->row[m]);
        spread += part * part;
    }
    f->straightness = f->optimal / (f->length * f->length);
    f->straightness_stderr = f->straightness * sqrt(spread / (n - 1) / n);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static vpsde_status store_pairs(const pairs *p, const vpsde_transport_facts *f,
                                const vpsde_transport_rows *r, vpsde_sink *sink)
{
    const vpsde_column columns[] = {
        {"partner", "1", "row whose image the best assignment gives this one; -1: the row failed",
         VPSDE_I64, "", 1, NULL},
        {"cost", "1", "|x - image|^2 of the row", VPSDE_F64, "", 1, NULL},
        {"partner_cost", "1", "|x - image of the partner|^2", VPSDE_F64, "", 1, NULL},
    };
    const vpsde_fact facts[] = {
        {.name = "rows", .number = (double)p->n, .whole = true},
        {.name = "identity_cost", .number = f->identity},
        {.name = "optimal_cost", .number = f->optimal},
        {.name = "gap", .number = f->gap},
        {.name = "reassigned", .number = f->reassigned},
    };
    const vpsde_table table = {.path = "/transport/pairs",
                               .first = r->first,
                               .count = r->count,
                               .columns = columns,
                               .n_columns = sizeof(columns) / sizeof(*columns),
                               .facts = facts,
                               .n_facts = sizeof(facts) / sizeof(*facts)};
    const void *const data[] = {p->of_row, p->own_cost, p->best_cost};
    return vpsde_sink_store(sink, &table, data);
}

static vpsde_status store_speed(const double *mean, const double *stderror,
                                const vpsde_transport_facts *f, const vpsde_transport_rows *r,
                                vpsde_sink *sink)
{
    const vpsde_column columns[] = {
        {"weight", "1", "of the stored time in an integral over b", VPSDE_F64, "", 1, NULL},
        {"mean_speed_squared", "1", "mean of |(x + s)/2|^2 over the rows", VPSDE_F64, "", 1, NULL},
        {"mean_speed_squared_stderr", "1", "its standard error", VPSDE_F64, "", 1, NULL},
    };
    const vpsde_fact facts[] = {
        {.name = "length", .number = f->length},
        {.name = "entropy_production", .number = f->entropy},
        {.name = "b_span", .number = f->b},
        {.name = "w2_squared", .number = f->optimal},
        {.name = "length_squared", .number = f->length * f->length},
        {.name = "speed_limit", .number = f->b * f->entropy / 2},
        {.name = "straightness", .number = f->straightness},
        {.name = "straightness_stderr", .number = f->straightness_stderr},
    };
    const vpsde_table table = {.path = "/transport/speed",
                               .row_axis = "time",
                               .count = r->n_times,
                               .columns = columns,
                               .n_columns = sizeof(columns) / sizeof(*columns),
                               .facts = facts,
                               .n_facts = sizeof(facts) / sizeof(*facts)};
    const void *const data[] = {r->weight, mean, stderror};
    return vpsde_sink_store(sink, &table, data);
}

static vpsde_status judge(vpsde_transport_facts *f, pairs *p, const vpsde_transport_rows *r,
                          double *mean, vpsde_sink *sink)
{
    double *const stderror = mean + r->n_times;
    VPSDE_TRY(open_pairs(p, r));
    fill_costs(p, r);
    VPSDE_TRY(vpsde_assignment(p->n, p->cost, p->partner, p->price, p->price_2));
    compare(p, f, r);
    measure(f, r, p, mean, stderror);
    VPSDE_TRY(store_pairs(p, f, r, sink));
    return store_speed(mean, stderror, f, r, sink);
}

vpsde_status vpsde_transport_judge(vpsde_transport_facts *f, const vpsde_transport_rows *r,
                                   const vpsde_setup *s, vpsde_sink *sink)
{
    pairs p = {0};
    double *mean;
    const double t_min = vpsde_process_get_spec(s->process)->t_min;
    const double t_max = vpsde_process_t_max(s->process);
    f->b = vpsde_process_at(s->process, t_max).b - vpsde_process_at(s->process, t_min).b;
    VPSDE_TRY(vpsde_alloc(&mean, 2 * r->n_times, sizeof(*mean)));
    const vpsde_status status = judge(f, &p, r, mean, sink);
    close_pairs(&p);
    free(mean);
    return status;
}
