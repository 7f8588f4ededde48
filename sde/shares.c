#include "sde/shares.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

enum { BISECTIONS = 60 };
static const double same_end = 1e-9;

static vpsde_status check_ends(const vpsde_process *process, const char *grid, size_t n,
                               const double *b)
{
    const double first = vpsde_process_at(process, vpsde_process_t_max(process)).b;
    const double last = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min).b;
    if (!(last > 0)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid %s: needs t_min > 0 (lambda is infinite at t = 0), got 0", grid);
    }
    if (n < 2 || !(fabs(b[0] - first) <= same_end * first) ||
        !(fabs(b[n - 1] - last) <= same_end * last)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid %s: rates must be given at 2 or more b from %.17g down to %.17g",
                          grid, first, last);
    }
    return VPSDE_OK;
}

static vpsde_status read_nodes(vpsde_shares *s, const char *grid, const double *b, const double *f)
{
    for (size_t m = 0; m < s->n; m++) {
        s->lambda[m] = -0.5 * log(expm1(b[m]));
        s->g[m] = -2 * expm1(-b[m]) * (f[m] < 0 ? 0 : f[m]);
        if (!isfinite(s->g[m]) || (m > 0 && !(s->lambda[m] > s->lambda[m - 1]))) {
            return vpsde_fail(VPSDE_EINVAL,
                              "grid %s: b must decrease and rates be finite, got b = %g with rate "
                              "%g at node %zu",
                              grid, b[m], f[m], m);
        }
    }
    return VPSDE_OK;
}

static double secant(const vpsde_shares *s, size_t m)
{
    return (s->g[m + 1] - s->g[m]) / (s->lambda[m + 1] - s->lambda[m]);
}

static void set_slopes(vpsde_shares *s)
{
    const size_t last = s->n - 1;
    for (size_t m = 0; m <= last; m++) {
        const double left = m > 0 ? s->lambda[m] - s->lambda[m - 1] : 0;
        const double right = m < last ? s->lambda[m + 1] - s->lambda[m] : 0;
        double slope = secant(s, m < last ? m : m - 1);
        if (m > 0 && m < last) {
            slope = (right * secant(s, m - 1) + left * slope) / (left + right);
        }
        if (m < last) slope = fmax(slope, -3 * s->g[m] / right);
        s->slope[m] = m > 0 ? fmin(slope, 3 * s->g[m] / left) : slope;
    }
}

/* Integral of the cubic from node m over the share u of its interval. */
static double within(const vpsde_shares *s, size_t m, double u)
{
    const double h = s->lambda[m + 1] - s->lambda[m], rise = s->g[m + 1] - s->g[m];
    const double d0 = h * s->slope[m], d1 = h * s->slope[m + 1];
    const double c2 = 3 * rise - 2 * d0 - d1, c3 = d0 + d1 - 2 * rise;
    return h * u * (s->g[m] + u * (d0 / 2 + u * (c2 / 3 + u * c3 / 4)));
}

/* lambda where the integral is `target`, at or after node *m, which moves on with it. */
static double inverse(const vpsde_shares *s, double target, size_t *m)
{
    while (*m + 2 < s->n && s->sum[*m + 1] < target) ++*m;
    double low = 0, high = 1;
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = 0.5 * (low + high);
        *(s->sum[*m] + within(s, *m, middle) < target ? &low : &high) = middle;
    }
    return s->lambda[*m] + 0.5 * (low + high) * (s->lambda[*m + 1] - s->lambda[*m]);
}

double vpsde_shares_to(const vpsde_shares *s, double lambda)
{
    size_t m = 0;
    while (m + 2 < s->n && s->lambda[m + 1] < lambda) m++;
    const double u = (lambda - s->lambda[m]) / (s->lambda[m + 1] - s->lambda[m]);
    return s->sum[m] + within(s, m, fmin(fmax(u, 0), 1));
}

vpsde_status vpsde_shares_open(vpsde_shares *s, const char *grid, size_t n, const double *b,
                               const double *f)
{
    *s = (vpsde_shares){.n = n};
    VPSDE_TRY(vpsde_alloc(&s->memory, 4 * n, sizeof(*s->memory)));
    s->lambda = s->memory;
    s->g = s->memory + n;
    s->slope = s->memory + 2 * n;
    s->sum = s->memory + 3 * n;
    VPSDE_TRY(read_nodes(s, grid, b, f));
    set_slopes(s);
    for (size_t m = 0; m + 1 < n; m++) s->sum[m + 1] = s->sum[m] + within(s, m, 1);
    if (s->sum[n - 1] > 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "grid %s: the rate is 0 at every node (data that are N(0, I) dissipate "
                      "nothing); take another grid",
                      grid);
}

void vpsde_shares_close(vpsde_shares *s)
{
    free(s->memory);
    s->memory = NULL;
}

vpsde_status vpsde_shares_place(double *t, size_t n_steps, const vpsde_process *process,
                                const char *grid, size_t n_b, const double *b, const double *f)
{
    vpsde_shares shares;
    VPSDE_TRY(check_ends(process, grid, n_b, b));
    const vpsde_status status = vpsde_shares_open(&shares, grid, n_b, b, f);
    size_t m = 0;
    for (size_t k = 1; status == VPSDE_OK && k < n_steps; k++) {
        const double target = (double)k / (double)n_steps * shares.sum[n_b - 1];
        t[k] = vpsde_process_at_lambda(process, inverse(&shares, target, &m)).t;
    }
    vpsde_shares_close(&shares);
    return status;
}
