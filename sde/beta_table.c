/* Piecewise cubic Hermite b(t) on the nodes i/N with secants delta_i = -N log1p(-beta_i):
 *   slope at an inner node: 2 delta_i delta_{i+1}/(delta_i + delta_{i+1}), harmonic, at most twice
 *   the smaller secant, so that b' > 0 (Fritsch & Carlson 1980; Fritsch & Butland 1984);
 *   slope at an end: (3 delta_1 - delta_2)/2, three points, kept above delta_1/4.
 * On interval i, s = N t - i:  b = b_i + s (c1 + s (c2 + s c3)). */
#include "sde/beta_table.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

enum { NEWTON_MAX = 60 };

typedef struct piece {
    double b;          /* at the left node */
    double c1, c2, c3; /* in s, 0 to 1 */
} piece;

typedef struct beta_table {
    size_t n;
    piece at[]; /* (n + 1): the last one holds b(1) */
} beta_table;

static double end_slope(double secant, double inner)
{
    return fmax(1.5 * secant - 0.5 * inner, 0.25 * secant);
}

/* Slope in s at node i, 0 to n. */
static double slope(const double *rise, size_t n, size_t i)
{
    if (n == 1) return rise[0];
    if (i == 0) return end_slope(rise[0], rise[1]);
    if (i == n) return end_slope(rise[n - 1], rise[n - 2]);
    return 2 * rise[i - 1] * rise[i] / (rise[i - 1] + rise[i]);
}

static void interpolate(beta_table *table, const double *rise)
{
    const size_t n = table->n;
    double sum = 0, lost = 0; /* Kahan: each node keeps its last digit */
    double low = 0;           /* a small rise may correct the sum downwards: b must not fall */
    for (size_t i = 0; i < n; i++) {
        low = fmax(low, sum);
        const double d0 = slope(rise, n, i), d1 = slope(rise, n, i + 1);
        table->at[i] = (piece){
            .b = low,
            .c1 = d0,
            .c2 = 3 * rise[i] - 2 * d0 - d1,
            .c3 = d0 + d1 - 2 * rise[i],
        };
        const double term = rise[i] - lost, next = sum + term;
        lost = (next - sum) - term;
        sum = next;
    }
    table->at[n] = (piece){.b = fmax(low, sum), .c1 = slope(rise, n, n)};
}

vpsde_status vpsde_beta_table_create(void **out, const double *betas, size_t n)
{
    beta_table *table;
    double *rise;
    size_t bytes;
    for (size_t i = 0; i < n; i++) {
        if (!(betas[i] > 0 && betas[i] < 1)) {
            return vpsde_fail(VPSDE_EINVAL, "betas[%zu]: must be in (0, 1), got %.17g", i,
                              betas[i]);
        }
    }
    VPSDE_TRY(vpsde_size_mul(&bytes, n + 1, sizeof(piece), "betas"));
    VPSDE_TRY(vpsde_alloc(&rise, n, sizeof(*rise)));
    const vpsde_status status = vpsde_alloc(&table, 1, sizeof(*table) + bytes);
    if (status == VPSDE_OK) {
        for (size_t i = 0; i < n; i++) rise[i] = -log1p(-betas[i]);
        table->n = n;
        interpolate(table, rise);
        *out = table;
    }
    free(rise);
    return status;
}

/* Interval of t in [0, 1], and where in it; a t that is some i/N to the bit stands at s = 0 exactly. */
static const piece *find(const beta_table *table, double t, double *s)
{
    const double n = (double)table->n, whole = nearbyint(n * t);
    const double x = whole / n == t ? whole : n * t;
    const double i = fmin(floor(x), n);
    *s = x - i;
    return &table->at[(size_t)i];
}

double vpsde_beta_table_b(const void *table, double t)
{
    const beta_table *bt = table;
    double s;
    if (!(t >= 0 && t <= 1)) return (double)NAN;
    const piece *p = find(bt, t, &s);
    if (s == 0) return p->b;
    return fmin(fmax(p->b + s * (p->c1 + s * (p->c2 + s * p->c3)), p->b), p[1].b);
}

double vpsde_beta_table_beta(const void *table, double t)
{
    const beta_table *bt = table;
    double s;
    if (!(t >= 0 && t <= 1)) return (double)NAN;
    const piece *p = find(bt, t, &s);
    return (double)bt->n * fmax(p->c1 + s * (2 * p->c2 + s * 3 * p->c3), 0);
}

/* s with s (c1 + s (c2 + s c3)) = rise: Newton from the chord, kept inside a shrinking bracket. */
static double solve(const piece *p, double rise, double chord)
{
    double low = 0, high = 1, s = rise / chord;
    for (int k = 0; k < NEWTON_MAX; k++) {
        const double excess = s * (p->c1 + s * (p->c2 + s * p->c3)) - rise;
        if (excess > 0) {
            high = s;
        } else {
            low = s;
        }
        const double step = excess / (p->c1 + s * (2 * p->c2 + s * 3 * p->c3));
        const double next = s - step;
        const double inside = next >= low && next <= high ? next : 0.5 * (low + high);
        if (fabs(inside - s) <= DBL_EPSILON * s) return inside;
        s = inside;
    }
    return s;
}

double vpsde_beta_table_t_of_b(const void *table, double b)
{
    const beta_table *bt = table;
    size_t low = 0, high = bt->n;
    if (b >= bt->at[high].b) return 1;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (bt->at[middle].b <= b) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const piece *p = &bt->at[low];
    const double s = b == p->b ? 0 : solve(p, b - p->b, p[1].b - p->b);
    return ((double)low + s) / (double)bt->n;
}

size_t vpsde_beta_table_steps(const void *table) { return ((const beta_table *)table)->n; }
