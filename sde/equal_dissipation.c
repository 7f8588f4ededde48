/* Equal shares of what is produced between t_max and t_min, of one of
 *   free energy F = KL(p_b || N(0, I)):        -dF/db = 1/2 E|x + s|^2               (dissipation)
 *   uncertainty H[x_0 | x_b]:                   dH/db = 1/2 (d / sigma^2 - E|s|^2)   (entropy)
 * (relative Fisher information, Jordan, Kinderlehrer & Otto 1998; the entropic time of Stancevic et
 * al. 2025, arXiv:2504.13612). The rates come from a calibration pass, as values at nodes of b.
 *
 * Integrated in lambda, where db = -2 sigma^2 dlambda keeps both bounded, by the cubic with the
 * values and three-point slopes at the nodes; slopes within 3 g/h keep it from falling below 0
 * (Schmidt & Hess 1988), so that the integral has an inverse. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "sde/registry.h"

enum { RATE, PILOT_NODES, N_PARAMS };
enum { BISECTIONS = 60 };
static const double same_end = 1e-9;

static const vpsde_param params[] = {
    [RATE] = {.name = "rate",
              .kind = VPSDE_PARAM_CHOICE,
              .max = 1,
              .choices = "dissipation|entropy",
              .doc = "What every step has the same share of: free energy or H[x_0 | x]."},
    [PILOT_NODES] = {.name = "pilot_nodes",
                     .kind = VPSDE_PARAM_INT,
                     .value = 128,
                     .min = 8,
                     .max = 4096,
                     .doc = "Steps of the pilot chains, equal in lambda, between which the rate is "
                            "interpolated."},
    [N_PARAMS] = {.name = NULL},
};

/* The integrand on the nodes, and its integral up to each. */
typedef struct curve {
    size_t n;
    double *memory;
    double *lambda, *g, *slope, *sum; /* (n) */
} curve;

static vpsde_status check_ends(const vpsde_rates *rates, const vpsde_process *process)
{
    const double first = vpsde_process_at(process, vpsde_process_t_max(process)).b;
    const double last = vpsde_process_at(process, vpsde_process_get_spec(process)->t_min).b;
    if (!(last > 0)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid equal-dissipation: needs t_min > 0 (lambda is infinite at t = 0), "
                          "got 0");
    }
    if (rates->n < 2 || !(fabs(rates->b[0] - first) <= same_end * first) ||
        !(fabs(rates->b[rates->n - 1] - last) <= same_end * last)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid equal-dissipation: rates must be given at 2 or more b from %.17g "
                          "down to %.17g",
                          first, last);
    }
    return VPSDE_OK;
}

/* g = 2 sigma^2 rate at each node; a negative estimate is noise about 0. */
static vpsde_status read_rates(curve *c, const vpsde_rates *rates, const double *rate)
{
    for (size_t m = 0; m < c->n; m++) {
        const double b = rates->b[m], variance = -expm1(-b);
        c->lambda[m] = -0.5 * log(expm1(b));
        c->g[m] = 2 * variance * fmax(rate[m], 0);
        if (!isfinite(c->g[m]) || (m > 0 && !(c->lambda[m] > c->lambda[m - 1]))) {
            return vpsde_fail(
                VPSDE_EINVAL,
                "grid equal-dissipation: b must decrease and rates be finite, got b = "
                "%g with rate %g at node %zu",
                b, rate[m], m);
        }
    }
    return VPSDE_OK;
}

static double secant(const curve *c, size_t m)
{
    return (c->g[m + 1] - c->g[m]) / (c->lambda[m + 1] - c->lambda[m]);
}

static void set_slopes(curve *c)
{
    const size_t last = c->n - 1;
    for (size_t m = 0; m <= last; m++) {
        const double left = m > 0 ? c->lambda[m] - c->lambda[m - 1] : INFINITY;
        const double right = m < last ? c->lambda[m + 1] - c->lambda[m] : INFINITY;
        double slope = secant(c, m < last ? m : m - 1);
        if (m > 0 && m < last) {
            slope = (right * secant(c, m - 1) + left * slope) / (left + right);
        }
        c->slope[m] = fmin(fmax(slope, -3 * c->g[m] / right), 3 * c->g[m] / left);
    }
}

/* Integral of the cubic from node m over the share u of its interval. */
static double within(const curve *c, size_t m, double u)
{
    const double h = c->lambda[m + 1] - c->lambda[m], rise = c->g[m + 1] - c->g[m];
    const double d0 = h * c->slope[m], d1 = h * c->slope[m + 1];
    const double c2 = 3 * rise - 2 * d0 - d1, c3 = d0 + d1 - 2 * rise;
    return h * u * (c->g[m] + u * (d0 / 2 + u * (c2 / 3 + u * c3 / 4)));
}

/* lambda where the integral is `target`, at or after node *m, which moves on with it. */
static double inverse(const curve *c, double target, size_t *m)
{
    while (*m + 2 < c->n && c->sum[*m + 1] < target) ++*m;
    double low = 0, high = 1;
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = 0.5 * (low + high);
        *(c->sum[*m] + within(c, *m, middle) < target ? &low : &high) = middle;
    }
    return c->lambda[*m] + 0.5 * (low + high) * (c->lambda[*m + 1] - c->lambda[*m]);
}

static vpsde_status integrate(curve *c, const vpsde_rates *rates, const double *rate)
{
    VPSDE_TRY(read_rates(c, rates, rate));
    set_slopes(c);
    for (size_t m = 0; m + 1 < c->n; m++) c->sum[m + 1] = c->sum[m] + within(c, m, 1);
    if (c->sum[c->n - 1] > 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "grid equal-dissipation: the rate is 0 at every node (data that are N(0, I) "
                      "dissipate nothing); take another grid");
}

static vpsde_status place_by(double *t, size_t n_steps, const vpsde_process *process,
                             const double *param, const vpsde_rates *rates)
{
    curve c = {.n = rates->n};
    VPSDE_TRY(check_ends(rates, process));
    VPSDE_TRY(vpsde_alloc(&c.memory, 4 * c.n, sizeof(*c.memory)));
    c.lambda = c.memory;
    c.g = c.memory + c.n;
    c.slope = c.memory + 2 * c.n;
    c.sum = c.memory + 3 * c.n;
    const vpsde_status status =
        integrate(&c, rates, param[RATE] > 0 ? rates->entropy : rates->dissipation);
    size_t m = 0;
    for (size_t k = 1; status == VPSDE_OK && k < n_steps; k++) {
        const double target = (double)k / (double)n_steps * c.sum[c.n - 1];
        t[k] = vpsde_process_at_lambda(process, inverse(&c, target, &m)).t;
    }
    free(c.memory);
    return status;
}

const vpsde_grid_type vpsde_grid_equal_dissipation = {
    .name = "equal-dissipation",
    .source = "Jordan, Kinderlehrer & Otto 1998; Stancevic et al. 2025, arXiv:2504.13612",
    .doc = "Equal free energy, or equal entropy, in every step, by rates from pilot chains.",
    .params = params,
    .place_by = place_by,
};
