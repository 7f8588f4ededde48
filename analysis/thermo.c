#include "analysis/thermo.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

/* ---- sums at every node ---------------------------------------------------------------------- */

vpsde_status vpsde_node_sums_open(vpsde_node_sums *sums, size_t n_nodes)
{
    *sums = (vpsde_node_sums){.n_nodes = n_nodes};
    VPSDE_TRY(vpsde_alloc(&sums->sum, n_nodes * (2 * VPSDE_N_AT + 1), sizeof(double)));
    sums->square = sums->sum + n_nodes * VPSDE_N_AT;
    sums->cross = sums->square + n_nodes * VPSDE_N_AT;
    return VPSDE_OK;
}

void vpsde_node_sums_close(vpsde_node_sums *sums) { free(sums->sum); }

void vpsde_node_sums_add(vpsde_node_sums *sums, double *const at[VPSDE_N_AT], size_t stride)
{
    sums->n++;
    for (size_t k = 0; k < sums->n_nodes; k++) {
        for (size_t q = 0; q < VPSDE_N_AT; q++) {
            const double v = at[q][k * stride];
            sums->sum[k * VPSDE_N_AT + q] += v;
            sums->square[k * VPSDE_N_AT + q] += v * v;
        }
        sums->cross[k] += at[VPSDE_AT_SCORE][k * stride] * at[VPSDE_AT_DIVERGENCE][k * stride];
    }
}

void vpsde_node_sums_merge(vpsde_node_sums *into, const vpsde_node_sums *from)
{
    into->n += from->n;
    for (size_t e = 0; e < into->n_nodes * (2 * VPSDE_N_AT + 1); e++) into->sum[e] += from->sum[e];
}

/* Standard error of a mean of n values from the mean of their squares. */
static double error_of(double mean, double mean_square, double n)
{
    const double variance = mean_square - mean * mean;
    return n > 1 ? sqrt((variance < 0 ? 0 : variance) / (n - 1)) : (double)NAN;
}

vpsde_estimate vpsde_node_mean(const vpsde_node_sums *sums, size_t k, vpsde_observable q)
{
    const double n = (double)sums->n, mean = sums->sum[k * VPSDE_N_AT + q] / n;
    return (vpsde_estimate){mean, error_of(mean, sums->square[k * VPSDE_N_AT + q] / n, n)};
}

vpsde_estimate vpsde_node_temperature(const vpsde_node_sums *sums, size_t k)
{
    const double *square = sums->square + k * VPSDE_N_AT, n = (double)sums->n;
    const double a = vpsde_node_mean(sums, k, VPSDE_AT_SCORE).value;
    const double b = vpsde_node_mean(sums, k, VPSDE_AT_DIVERGENCE).value, t = a / b;
    const double spread = square[VPSDE_AT_SCORE] - 2 * t * sums->cross[k] +
                          t * t * square[VPSDE_AT_DIVERGENCE]; /* of |s|^2 + t div s, mean 0 */
    return (vpsde_estimate){t, error_of(0, spread / n, n) / fabs(b)};
}

/* ---- means ----------------------------------------------------------------------------------- */

vpsde_estimate vpsde_mean_difference(const double *v, const double *u, size_t n)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) mean += (v[i] - (u ? u[i] : 0)) / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double off = v[i] - (u ? u[i] : 0) - mean;
        square += off * off;
    }
    return (vpsde_estimate){mean, error_of(0, square / (double)n, (double)n)};
}

vpsde_estimate vpsde_mean(const double *v, size_t n) { return vpsde_mean_difference(v, NULL, n); }

vpsde_estimate vpsde_quotient(vpsde_estimate a, vpsde_estimate b)
{
    const double t = a.value / b.value;
    return (vpsde_estimate){t, hypot(a.error, t * b.error) / fabs(b.value)};
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

vpsde_status vpsde_exponential_mean_of(vpsde_exponential_mean *out, const double *v, size_t n,
                                       double sign)
{
    double *w, log_excess = 0;
    VPSDE_TRY(vpsde_alloc(&w, n, sizeof(*w)));
    for (size_t i = 0; i < n; i++) w[i] = sign * v[i];
    qsort(w, n, sizeof(*w), descending);
    const double top = n > 0 ? w[0] : (double)NAN;
    const size_t tail = (size_t)sqrt((double)n);
    for (size_t i = 0; i < tail && tail < n; i++) log_excess += w[i] - w[tail];
    for (size_t i = 0; i < n; i++) w[i] = exp(w[i] - top);
    const vpsde_estimate mean = vpsde_mean(w, n); /* of the weights over the largest one */
    free(w);
    *out = (vpsde_exponential_mean){
        .mean = {mean.value * exp(top), mean.error * exp(top)},
        .log_mean = {log(mean.value) + top, mean.error / mean.value},
        .top_share = 1 / ((double)n * mean.value),
        .tail_index = (double)tail / log_excess,
    };
    return VPSDE_OK;
}

/* ---- Crooks ---------------------------------------------------------------------------------- */

enum { NEWTON_MAX = 200 };
static const double settled = 1e-12;

/* Log-odds a + c (R - origin) that a path is from P, and the information on (a, c). */
typedef struct fit {
    double origin, a, c;
    double gradient[2], information[3]; /* aa, ac, cc */
} fit;

static void collect(fit *f, const double *r, size_t n, double is_p)
{
    for (size_t i = 0; i < n; i++) {
        const double off = r[i] - f->origin;
        const double g = 1 / (1 + exp(-(f->a + f->c * off))), v = g * (1 - g);
        f->gradient[0] += is_p - g;
        f->gradient[1] += (is_p - g) * off;
        f->information[0] += v;
        f->information[1] += v * off;
        f->information[2] += v * off * off;
    }
}

static double look(fit *f, const double *p, size_t n_p, const double *q, size_t n_q)
{
    for (int e = 0; e < 2; e++) f->gradient[e] = 0;
    for (int e = 0; e < 3; e++) f->information[e] = 0;
    collect(f, p, n_p, 1);
    collect(f, q, n_q, 0);
    return f->information[0] * f->information[2] - f->information[1] * f->information[1];
}

static void widen(double *least, double *most, const double *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *least = fmin(*least, r[i]);
        *most = fmax(*most, r[i]);
    }
}

/* The offset at slope 1, which lies where the log-odds of some R are those of the numbers of paths: by
 * Newton's steps between bounds, for far from the answer there is next to no information. */
static fit bennett(const double *p, size_t n_p, const double *q, size_t n_q)
{
    const double odds = log((double)n_p / (double)n_q);
    double least = INFINITY, most = -INFINITY;
    widen(&least, &most, p, n_p);
    widen(&least, &most, q, n_q);
    double low = odds - most, high = odds - least;
    fit f = {.a = low + (high - low) / 2, .c = 1};
    for (int i = 0; i < NEWTON_MAX; i++) {
        (void)look(&f, p, n_p, q, n_q);
        if (isnan(f.gradient[0])) break;
        *(f.gradient[0] > 0 ? &low : &high) = f.a;
        const double newton = f.a + f.gradient[0] / f.information[0], before = f.a;
        f.a = newton >= low && newton <= high ? newton : low + (high - low) / 2;
        if (fabs(f.a - before) <= settled * (1 + fabs(before))) return f;
    }
    f.a = (double)NAN;
    return f;
}

vpsde_crooks vpsde_crooks_fit(const double *p, size_t n_p, const double *q, size_t n_q)
{
    const double odds = log((double)n_p / (double)n_q);
    const double shares = 1 / (double)n_p + 1 / (double)n_q; /* known, not estimated */
    const fit bar = bennett(p, n_p, q, n_q);
    fit f = {.origin = odds - bar.a, .a = odds, .c = 1};
    double det = 0;
    bool found = false;
    for (int i = 0; i < NEWTON_MAX && !found; i++) {
        det = look(&f, p, n_p, q, n_q);
        const double *g = f.gradient, *m = f.information;
        const double a = (m[2] * g[0] - m[1] * g[1]) / det, c = (m[0] * g[1] - m[1] * g[0]) / det;
        f.a += a;
        f.c += c;
        found = fabs(a) + fabs(c) <= settled * (1 + fabs(f.a) + fabs(f.c));
    }
    return (vpsde_crooks){
        .bar = {odds - bar.a, sqrt(fmax(0, 1 / bar.information[0] - shares))},
        .slope = {found ? f.c : (double)NAN, sqrt(f.information[0] / det)},
    };
}

const vpsde_quantity vpsde_thermo_quantities[] = {
    {"delta_f", "free energy gained, Delta F", "nat", "KL(p_0 || pi) - KL(p_T || pi)", NULL},
    {"work", "work, <W>", "nat", "2 Delta F", NULL},
    {"work_over_delta_f", "<W> / Delta F", "1", "2", NULL},
    {"eta_gen", "efficiency, eta_gen", "1", "0.5", NULL},
    {"heat", "heat to the bath, <Q>", "nat", "<W> - Delta E", NULL},
    {"energy_change", "energy, Delta E", "nat", "Delta F + Delta S", NULL},
    {"entropy_change", "entropy, Delta S", "nat", "<W> - <Q> - Delta F", NULL},
    {"entropy_production", "entropy production, <Sigma>", "nat", "Delta F", NULL},
    {"rate_integral", "its rate, integrated", "nat", "Delta F", NULL},
    {"first_law_residual", "first law, largest residual", "nat", "0", NULL},
    {"elbo", "ELBO, <log weight>", "nat", "-entropy of the data - path KL", NULL},
    {"t_conf", "temperature of the samples", "1", "1", NULL},
    {"ift", "<exp(-Sigma)>, reverse paths", "1", "1", "ift_tail_index"},
    {"ift_relaxation", "<exp(-Sigma)>, forward paths", "1", "1", "ift_relaxation_tail_index"},
    {"ift_chain", "<exp(-R)>, forward paths", "1", "1", "ift_chain_tail_index"},
    {"path_kl", "path KL, <R> on forward paths", "nat", "0 as steps shrink", NULL},
    {"jarzynski", "Jarzynski, log<exp(-R)>", "nat", "0", NULL},
    {"bar", "Bennett's acceptance ratio", "nat", "0", NULL},
    {"crooks_slope", "Crooks' slope", "1", "1", NULL},
    {.name = NULL},
};
const double vpsde_tail_too_heavy = 2;
const char vpsde_tail_warning[] = "; tail too heavy for its s.e.";
