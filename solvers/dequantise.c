/* A level stands for the cell [x0 - Delta/2, x0 + Delta/2]^d. With x drawn from r on the cell,
 *     log P(x0) = log E_r p(x)/r(x) >= E log (1/K) sum_q w_q,   w_q = p(x_q)/r(x_q),
 * tighter with every draw (Burda et al. 2016, arXiv:1509.00519, eq. (8), theorem 1).
 *   uniform            x = x0 + Delta (v - 1/2) at t_min: r = Delta^-d (Theis et al. 2016,
 *                      arXiv:1511.01844, sec. 3.1)
 *   truncated normal   x = alpha x0 + sigma u, u in TN(-tau, tau), tau = (Delta/2) alpha/sigma,
 *                      whose cell is the level's at t_min: p_{t_min} is the model, not a stand-in for p_0
 *                      (Zheng et al. 2023, arXiv:2305.03935, sec. 4.2)
 * The paper bounds with the entropy d (log sigma + h(tau)) for K = 1; -log r of the draw itself has
 * the same mean and, u^2/2 against log p, hardly any spread.
 *
 * Gap of the bound, from the K weights themselves: the delta method, Var(w)/(2K (E w)^2); or, where
 * that sees too little since one weight outweighs the others, what would be left of log-normal
 * ones: Var(log w)/2 less what the mean over draws has gained. */
#include "solvers/dequantise.h"

#include <math.h>

#include "core/vec.h"

/* ---- the normal distribution ----------------------------------------------------------------- */

enum { N_COEF = 8 };

static double ratio(const double *a, const double *b, double r)
{
    double above = a[N_COEF - 1], below = b[N_COEF - 1];
    for (size_t m = N_COEF - 1; m-- > 0;) {
        above = above * r + a[m];
        below = below * r + b[m];
    }
    return above / below;
}

/* u with P(0 < U < u) = centre, or P(U > u) = tail = 1/2 - centre where that is the smaller one;
 * centre >= 0. Wichura 1988, Applied Statistics 37, 477 (AS 241, PPND16): to 1e-16. */
static double normal_quantile(double centre, double tail)
{
    static const double a[3][N_COEF] = {
        {3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3,
         1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
         3.3430575583588128105e+4, 2.5090809287301226727e+3},
        {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
         3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
         2.27238449892691845833e-2, 7.74545014278341407640e-4},
        {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
         2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
         2.71155556874348757815e-5, 2.01033439929228813265e-7}};
    static const double b[3][N_COEF] = {
        {1, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
         2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4,
         5.2264952788528545610e+3},
        {1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
         1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
         1.05075007164441684324e-9},
        {1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
         7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
         2.04426310338993978564e-15}};
    if (centre <= 0.425) return centre * ratio(a[0], b[0], 0.180625 - centre * centre);
    const double r = sqrt(-log(tail));
    return r <= 5 ? ratio(a[1], b[1], r - 1.6) : ratio(a[2], b[2], r - 5);
}

/* u of TN(-tau, tau) at the uniform v: both tails to full relative accuracy. */
static double truncated_normal(const vpsde_dequantiser *q, double v)
{
    const double side = v - 0.5, least = fmin(v, 1 - v);
    const double u = normal_quantile(fabs(side) * q->within, q->tail + least * q->within);
    return copysign(fmin(u, q->tau), side);
}

/* ---- one draw -------------------------------------------------------------------------------- */

vpsde_status vpsde_dequantiser_init(vpsde_dequantiser *q, const vpsde_dequantization *how,
                                    const vpsde_coef *start, size_t d)
{
    const bool normal = how->kind == VPSDE_DEQUANTIZE_TRUNCATED_NORMAL;
    *q = (vpsde_dequantiser){.how = *how, .d = d, .alpha = start->alpha, .sigma = start->sigma};
    if (how->kind == VPSDE_DEQUANTIZE_NONE || how->draws == 0) q->how.draws = 1;
    if (how->kind == VPSDE_DEQUANTIZE_NONE) return VPSDE_OK;
    if (!(how->width > 0 && isfinite(how->width))) {
        return vpsde_fail(VPSDE_EINVAL,
                          "dequantization: width must be the distance of two levels, above 0, "
                          "got %g",
                          how->width);
    }
    if (how->draws > UINT32_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "dequantization: draws must be 1 to %u, got %zu",
                          UINT32_MAX, how->draws);
    }
    if (!normal) return VPSDE_OK;
    if (!(start->sigma > 0)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "dequantization: truncated-normal needs t_min > 0, where the noise of "
                          "the process fills a level; got t_min %g",
                          start->t);
    }
    q->tau = how->width / 2 * start->alpha / start->sigma;
    q->within = erf(q->tau / M_SQRT2);
    q->tail = erfc(q->tau / M_SQRT2) / 2;
    q->log_density = -0.5 * log(2 * M_PI) - log(q->within);
    q->log_cell = log(start->sigma / how->width);
    return VPSDE_OK;
}

double vpsde_dequantise_at(const vpsde_dequantiser *q, const double *x0, const double *v, double *x)
{
    double square = 0;
    if (q->how.kind == VPSDE_DEQUANTIZE_UNIFORM) {
        for (size_t j = 0; j < q->d; j++) x[j] = x0[j] + q->how.width * (v[j] - 0.5);
        return 0;
    }
    for (size_t j = 0; j < q->d; j++) {
        const double u = truncated_normal(q, v[j]);
        x[j] = q->alpha * x0[j] + q->sigma * u;
        square += u * u;
    }
    return square / 2 + (double)q->d * (q->log_cell - q->log_density);
}

double vpsde_dequantise(const vpsde_dequantiser *q, uint64_t seed, uint64_t row, size_t draw,
                        const double *x0, double *x)
{
    if (q->how.kind == VPSDE_DEQUANTIZE_NONE) {
        vec_copy(q->d, x, x0);
        return 0;
    }
    vpsde_uniforms(x, seed, VPSDE_NOISE_DEQUANTISE, row, 1, (uint32_t)draw, q->d);
    return vpsde_dequantise_at(q, x0, x, x);
}

/* ---- all draws of a row ---------------------------------------------------------------------- */

/* How much wider than an interval a bound must be: a little for weights that are not normal, and
 * much for a truncated normal's, the largest of which lie at the edges of a level, where it hardly
 * ever draws. Measured: tests/test_dequantise.c. */
static const double widening[] = {[VPSDE_DEQUANTIZE_NONE] = 0,
                                  [VPSDE_DEQUANTIZE_UNIFORM] = 1.2,
                                  [VPSDE_DEQUANTIZE_TRUNCATED_NORMAL] = 3};

void vpsde_draws_begin(vpsde_draws *draws)
{
    *draws = (vpsde_draws){.status = VPSDE_ROW_OK, .top = -INFINITY};
}

/* sum <- keep sum + weight term, for every number of a budget: its terms are small, so those of the
 * mean of w are the means of theirs. Standard errors add up as if their errors were one and the
 * same, which with the same probes for every draw they nearly are. */
static void weigh(vpsde_error_budget *sum, double keep, double weight, const vpsde_error_budget *b)
{
    sum->ode_error = keep * sum->ode_error + weight * b->ode_error;
    sum->trace_stderr = keep * sum->trace_stderr + weight * b->trace_stderr;
    sum->trace_halfwidth = keep * sum->trace_halfwidth + weight * b->trace_halfwidth;
    sum->float32_floor = keep * sum->float32_floor + weight * b->float32_floor;
    sum->truncation = keep * sum->truncation + weight * b->truncation;
    sum->truncation_halfwidth = keep * sum->truncation_halfwidth + weight * b->truncation_halfwidth;
    sum->terminal = keep * sum->terminal + weight * b->terminal;
}

void vpsde_draws_add(vpsde_draws *s, double correction, const vpsde_flow_result *r)
{
    const double log_w = r->prior + r->delta + correction, before = s->mean;
    s->n_rhs += r->n_rhs;
    s->n_rejected += r->n_rejected;
    if (s->status == VPSDE_ROW_OK) s->status = r->status;
    s->n++;
    s->mean += (log_w - before) / (double)s->n;
    s->square += (log_w - before) * (log_w - s->mean);
    const double top = fmax(s->top, log_w), keep = exp(s->top - top), weight = exp(log_w - top);
    s->top = top;
    s->weight = keep * s->weight + weight;
    s->weight_square = keep * keep * s->weight_square + weight * weight;
    s->prior = keep * s->prior + weight * r->prior;
    s->delta = keep * s->delta + weight * r->delta;
    weigh(&s->budget, keep, weight, &r->budget);
}

/* Both unknown from one draw. The interval is the wider one of two: Student's around the mean of w,
 * with as many degrees of freedom as the weights leave draws that count, and Cox's for the mean of
 * log-normal weights (Zhou & Gao 1997, Statistics in Medicine 16, 783). */
static void spread(const vpsde_draws *s, double wider, double logp, vpsde_error_budget *b)
{
    const double n = (double)s->n;
    b->dequantisation_gap = b->dequantisation_halfwidth = (double)NAN;
    if (s->n < 2) return;
    const double mean = s->weight / n, counting = s->weight * s->weight / s->weight_square;
    const double of_weights = fmax(s->weight_square / n / (mean * mean) - 1, 0) / (n - 1);
    const double of_logs = s->square / (n - 1);
    const double cox = sqrt(of_logs / n + of_logs * of_logs / (2 * (n - 1)));
    const size_t freedom = counting >= 3 ? (size_t)fmin(counting, n) - 1 : 1;
    b->dequantisation_gap = fmax(of_weights / 2, of_logs / 2 - (logp - s->mean));
    b->dequantisation_halfwidth = wider * fmax(vpsde_student_95(freedom) * sqrt(of_weights),
                                               vpsde_student_95(s->n - 1) * cox);
}

void vpsde_draws_end(const vpsde_draws *s, const vpsde_dequantiser *q, vpsde_flow_result *r,
                     double *logp)
{
    *r = (vpsde_flow_result){.status = s->status,
                             .prior = s->prior / s->weight,
                             .delta = s->delta / s->weight,
                             .n_rhs = s->n_rhs,
                             .n_rejected = s->n_rejected};
    *logp = s->top + log(s->weight / (double)s->n);
    weigh(&r->budget, 0, 1 / s->weight, &s->budget);
    if (q->how.kind != VPSDE_DEQUANTIZE_NONE) {
        spread(s, widening[q->how.kind], *logp, &r->budget);
    }
}
