/* The double well p_0(y) = exp(-h_0(y))/Z, h_0 = a (y^2 - 1)^2, in one dimension: no mixture, and exact to
 * rounding at every time.
 *
 *   p_t(x) = int p_0(y) N(x; alpha y, sigma^2) dy,  by the trapezoidal rule
 *   with mean m, variance v and third central moment k of y given x:
 *   eps = (x - alpha m)/sigma,  eps' = (1 - alpha^2 v/sigma^2)/sigma,  eps'' = -alpha^3 k/sigma^5
 * The rule converges faster than any power of its step for such integrands (Trefethen & Weideman 2014,
 * SIAM Review 56:385). Its nodes lie where the integrand is above exp(-DEEP) of its largest value, so
 * they are as dense as sigma asks. Draws invert the distribution function of p_0. */
#include <math.h>
#include <stdlib.h>

#include "core/config.h"
#include "core/mem.h"
#include "models/model.h"

/* As in gaussian_mixture.c: the last nodes of a purpose, which no step reaches. */
#define NODE_NORMALS UINT32_C(0xFFFFFFFE)
#define NODE_UNIFORM UINT32_C(0xFFFFFFFF)

enum { NODES = 384, CELLS = 4096 };
static const double deep = 40; /* exp(-40) is below rounding */

typedef struct double_well {
    double a, log_z;
    double edge;           /* |y| beyond it has no weight */
    double cdf[CELLS + 1]; /* P(y < -edge + 2 edge i/CELLS) */
} double_well;

static double energy(const double_well *w, double y)
{
    const double q = y * y - 1;
    return w->a * q * q;
}

/* ---- the law of y given x ------------------------------------------------------------------- */

typedef struct posterior {
    double log_p; /* of x */
    double mean, variance, third;
} posterior;

/* The least h = h_0(y) + (x - alpha y)^2/(2 sigma^2) for x >= 0: it lies at the only y >= 0 where h' = 0
 * and, h' being convex there, Newton's steps from above never pass it. */
static double least(const double_well *w, const vpsde_coef *c, double x)
{
    const double r = c->alpha / (c->sigma * c->sigma);
    double y = fmax(1, x / c->alpha);
    for (size_t i = 0; i < 100; i++) {
        const double slope = 4 * w->a * y * (y * y - 1) - r * (x - c->alpha * y);
        const double curvature = 4 * w->a * (3 * y * y - 1) + r * c->alpha;
        const double next = y - slope / curvature;
        if (!(curvature > 0) || !(next < y)) break;
        y = fmax(next, 0);
    }
    const double misfit = (x - c->alpha * y) / c->sigma;
    return energy(w, y) + misfit * misfit / 2;
}

static posterior given(const double_well *w, const vpsde_coef *c, double signed_x)
{
    const double sign = signed_x < 0 ? -1 : 1, x = fabs(signed_x);
    const double alpha = c->alpha, sigma = c->sigma;
    const double lowest = least(w, c, x), top = lowest + deep;
    const double reach = sigma * sqrt(2 * top), edge = sqrt(1 + sqrt(top / w->a));
    const double from = fmax(-edge, (x - reach) / alpha), to = fmin(edge, (x + reach) / alpha);
    const double step = (to - from) / (NODES - 1);
    double weight[NODES], sum = 0, mean = 0, variance = 0, third = 0;
    for (size_t i = 0; i < NODES; i++) {
        const double y = from + (double)i * step, misfit = (x - alpha * y) / sigma;
        weight[i] = exp(lowest - energy(w, y) - misfit * misfit / 2);
        sum += weight[i];
        mean += weight[i] * ((double)i * step);
    }
    mean /= sum;
    for (size_t i = 0; i < NODES; i++) {
        const double off = (double)i * step - mean, g = weight[i] / sum;
        variance += g * off * off;
        third += g * off * off * off;
    }
    return (posterior){
        .log_p = log(step * sum) - lowest - w->log_z - log(2 * M_PI * sigma * sigma) / 2,
        .mean = sign * (from + mean),
        .variance = variance,
        .third = sign * third,
    };
}

/* ---- the model's functions ------------------------------------------------------------------- */

static void row(const double_well *w, const vpsde_eval *e, size_t i)
{
    const vpsde_coef *c = &e->coef[i * e->coef_stride];
    const double x = e->x[i], alpha = c->alpha, sigma = c->sigma;
    double eps = 0, slope = 0, bend = 0, log_p = -energy(w, x) - w->log_z;
    if (sigma > 0 && isfinite(x)) {
        const posterior p = given(w, c, x);
        const double scale = alpha / sigma;
        eps = (x - alpha * p.mean) / sigma;
        slope = (1 - scale * scale * p.variance) / sigma;
        bend = -scale * scale * scale * p.third / (sigma * sigma);
        log_p = p.log_p;
    } else if (!isfinite(x)) {
        eps = slope = bend = log_p = (double)NAN;
    }
    e->eps[i] = eps;
    for (size_t q = i * e->k; q < (i + 1) * e->k; q++) e->deps[q] = slope * e->dx[q];
    if (e->div) e->div[i] = slope;
    if (e->ddiv) e->ddiv[i] = bend;
    if (e->logp) e->logp[i] = log_p;
}

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    (void)ws;
    for (size_t i = 0; i < e->n; i++) row(model->impl, e, i);
    return VPSDE_OK;
}

static vpsde_status log_p(const vpsde_model *model, size_t n, const vpsde_coef *c, const double *x,
                          double *logp)
{
    const double_well *w = model->impl;
    for (size_t i = 0; i < n; i++) {
        logp[i] = c->sigma > 0 ? given(w, c, x[i]).log_p : -energy(w, x[i]) - w->log_z;
    }
    return VPSDE_OK;
}

/* The y with P(. < y) = u: bisection to a cell, then in its cubic through both ends' values and
 * densities. */
static double quantile(const double_well *w, double u)
{
    const double h = 2 * w->edge / CELLS;
    size_t low = 0, high = CELLS;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        *(w->cdf[middle] <= u ? &low : &high) = middle;
    }
    const double y = -w->edge + (double)low * h;
    const double f0 = w->cdf[low], f1 = w->cdf[high];
    const double d0 = h * exp(-energy(w, y) - w->log_z), d1 = h * exp(-energy(w, y + h) - w->log_z);
    const double c2 = 3 * (f1 - f0) - 2 * d0 - d1, c3 = d0 + d1 - 2 * (f1 - f0);
    double below = 0, above = 1;
    for (size_t i = 0; i < 50; i++) {
        const double s = (below + above) / 2;
        *(f0 + s * (d0 + s * (c2 + s * c3)) <= u ? &below : &above) = s;
    }
    return y + below * h;
}

static vpsde_status draw(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                         vpsde_purpose purpose, uint64_t first, size_t n, double *x)
{
    vpsde_normals(x, seed, purpose, first, n, NODE_NORMALS, 1);
    for (size_t i = 0; i < n; i++) {
        double u;
        vpsde_uniforms(&u, seed, purpose, first + i, 1, NODE_UNIFORM, 1);
        x[i] = c->alpha * quantile(model->impl, u) + c->sigma * x[i];
    }
    return VPSDE_OK;
}

static vpsde_status workspace_create(void **ws, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    (void)model, (void)rows, (void)tangents;
    *ws = NULL;
    return VPSDE_OK;
}

static void workspace_destroy(void *ws) { (void)ws; }

/* Z and the distribution function, cell by cell by Simpson's rule. */
static void tabulate(double_well *w)
{
    w->edge = sqrt(1 + sqrt(deep / w->a));
    const double h = 2 * w->edge / CELLS;
    for (size_t i = 0; i < CELLS; i++) {
        const double y = -w->edge + (double)i * h;
        w->cdf[i + 1] =
            w->cdf[i] +
            h / 6 * (exp(-energy(w, y)) + 4 * exp(-energy(w, y + h / 2)) + exp(-energy(w, y + h)));
    }
    const double z = w->cdf[CELLS];
    for (size_t i = 0; i <= CELLS; i++) w->cdf[i] /= z;
    w->log_z = log(z);
}

static vpsde_status configure(vpsde_model **out, struct vpsde_config *section)
{
    double_well *w;
    double a;
    VPSDE_TRY(vpsde_config_real(&a, section, "a", 5, 0.01, 1000));
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    w->a = a;
    tabulate(w);
    return vpsde_model_wrap(out, &vpsde_model_double_well, 1, w);
}

const vpsde_model_type vpsde_model_double_well = {
    .name = "double-well",
    .source = "a closed form",
    .doc = "Density exp(-a (x^2 - 1)^2) in one dimension, by quadrature at every time.",
    .flags = VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE | VPSDE_MODEL_LOG_P | VPSDE_MODEL_DRAW |
             VPSDE_MODEL_JVP | VPSDE_MODEL_ANY_ROWS | VPSDE_MODEL_DIV_GRADIENT,
    .configure = configure,
    .destroy = free,
    .workspace_create = workspace_create,
    .workspace_destroy = workspace_destroy,
    .eval = eval,
    .log_p = log_p,
    .draw = draw,
};
