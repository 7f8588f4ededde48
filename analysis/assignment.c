/* One row after another is brought in along the shortest augmenting path (Dijkstra over reduced costs
 * c(i, j) - u(i) - v(j) >= 0), and the prices u, v follow.
 * Source: Jonker & Volgenant 1987 (Computing 38:325); Crouse 2016 (IEEE TAES 52:1679), algorithm 1. */
#include "analysis/assignment.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"

#define NOBODY SIZE_MAX

/* What a search knows of the columns. */
typedef struct search {
    size_t n;
    const double *cost;
    double *u, *v;            /* prices of rows and columns */
    size_t *row_of;           /* (n) of each column, or NOBODY */
    double *distance;         /* (n) to each column */
    size_t *from, *open_list; /* (n) the row before it; columns that are not reached, n_open */
    size_t n_open;
} search;

static vpsde_status check(size_t n, const double *cost)
{
    for (size_t e = 0; e < n * n; e++) {
        if (isfinite(cost[e])) continue;
        return vpsde_fail(VPSDE_ENUMERIC, "assignment: the cost of row %zu and column %zu is %g",
                          e / n, e % n, cost[e]);
    }
    return VPSDE_OK;
}

/* From `row`, reached at `so_far`: the place in open_list of the nearest column, a free one before
 * others as near. */
static size_t relax(search *s, size_t row, double so_far)
{
    const double *cost = s->cost + row * s->n;
    size_t nearest = 0;
    double least = INFINITY;
    for (size_t q = 0; q < s->n_open; q++) {
        const size_t j = s->open_list[q];
        const double through = so_far + cost[j] - s->u[row] - s->v[j];
        if (through < s->distance[j]) {
            s->distance[j] = through;
            s->from[j] = row;
        }
        if (s->distance[j] < least || (s->distance[j] == least && s->row_of[j] == NOBODY)) {
            least = s->distance[j];
            nearest = q;
        }
    }
    return nearest;
}

/* The free column that is nearest to `row`. Columns reached before it stand behind n_open. */
static size_t find(search *s, size_t row)
{
    double so_far = 0;
    s->n_open = s->n;
    for (size_t j = 0; j < s->n; j++) {
        s->distance[j] = INFINITY;
        s->open_list[j] = j;
    }
    for (size_t at = row;;) {
        const size_t q = relax(s, at, so_far), j = s->open_list[q];
        so_far = s->distance[j];
        s->open_list[q] = s->open_list[--s->n_open];
        s->open_list[s->n_open] = j;
        if (s->row_of[j] == NOBODY) return j;
        at = s->row_of[j];
    }
}

static void bring_in(search *s, size_t *partner, size_t row)
{
    const size_t sink = find(s, row);
    const double length = s->distance[sink];
    s->u[row] += length;
    for (size_t q = s->n_open; q < s->n; q++) {
        const size_t j = s->open_list[q];
        if (j == sink) continue;
        s->u[s->row_of[j]] += length - s->distance[j];
        s->v[j] -= length - s->distance[j];
    }
    for (size_t j = sink, next, at = NOBODY; at != row; j = next) {
        at = s->from[j];
        next = partner[at];
        s->row_of[j] = at;
        partner[at] = j;
    }
}

vpsde_status vpsde_assignment(size_t n, const double *cost, size_t *partner, double *row_price,
                              double *column_price)
{
    search s = {.n = n, .cost = cost, .u = row_price, .v = column_price};
    VPSDE_TRY(check(n, cost));
    if (n == 0) return VPSDE_OK;
    vpsde_status status = vpsde_alloc(&s.row_of, 3 * n, sizeof(*s.row_of));
    if (status == VPSDE_OK) status = vpsde_alloc(&s.distance, n, sizeof(*s.distance));
    if (status == VPSDE_OK) {
        s.from = s.row_of + n;
        s.open_list = s.from + n;
        for (size_t i = 0; i < n; i++) {
            partner[i] = s.row_of[i] = NOBODY;
            row_price[i] = column_price[i] = 0;
        }
        for (size_t i = 0; i < n; i++) bring_in(&s, partner, i);
    }
    free(s.row_of);
    free(s.distance);
    return status;
}
