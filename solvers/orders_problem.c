/* Mixtures in one dimension and their rotated products: densities, scores and exact flow maps. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "solvers/orders_impl.h"

static double component_variance(const orders_law *law, const vpsde_coef *c, size_t k)
{
    return c->alpha * c->alpha * law->v[k] + c->sigma * c->sigma;
}

double orders_density(const orders_law *law, const vpsde_coef *c, double x)
{
    double p = 0;
    for (size_t k = 0; k < law->n; k++) {
        const double v = component_variance(law, c, k), r = x - c->alpha * law->mu[k];
        p += law->w[k] * exp(-r * r / (2 * v)) / sqrt(2 * M_PI * v);
    }
    return p;
}

double orders_score(const orders_law *law, const vpsde_coef *c, double x)
{
    double g[ORDERS_COMPONENTS], s[ORDERS_COMPONENTS], top = -INFINITY, sum = 0, score = 0;
    for (size_t k = 0; k < law->n; k++) {
        const double v = component_variance(law, c, k), r = x - c->alpha * law->mu[k];
        g[k] = log(law->w[k]) - r * r / (2 * v) - 0.5 * log(v);
        s[k] = -r / v;
        top = fmax(top, g[k]);
    }
    for (size_t k = 0; k < law->n; k++) {
        const double w = exp(g[k] - top);
        sum += w;
        score += w * s[k];
    }
    return score / sum;
}

double orders_cdf(const orders_law *law, const vpsde_coef *c, double x)
{
    double p = 0;
    for (size_t k = 0; k < law->n; k++) {
        const double v = component_variance(law, c, k);
        p += law->w[k] * 0.5 * erfc(-(x - c->alpha * law->mu[k]) / sqrt(2 * v));
    }
    return p;
}

/* Newton's method kept inside a bracket that bisection shrinks. */
double orders_quantile(const orders_law *law, const vpsde_coef *c, double p)
{
    double low = -40, high = 40, x = orders_mean(law, c);
    for (int i = 0; i < 200; i++) {
        const double excess = orders_cdf(law, c, x) - p;
        if (excess > 0)
            high = x;
        else
            low = x;
        double next = x - excess / orders_density(law, c, x);
        if (!(next > low && next < high)) next = (low + high) / 2;
        const bool done = fabs(next - x) <= 2e-16 * fmax(1, fabs(x));
        x = next;
        if (done) break;
    }
    return x;
}

double orders_mean(const orders_law *law, const vpsde_coef *c)
{
    double m = 0;
    for (size_t k = 0; k < law->n; k++) m += law->w[k] * c->alpha * law->mu[k];
    return m;
}

double orders_variance(const orders_law *law, const vpsde_coef *c)
{
    const double mean = orders_mean(law, c);
    double v = 0;
    for (size_t k = 0; k < law->n; k++) {
        const double r = c->alpha * law->mu[k] - mean;
        v += law->w[k] * (component_variance(law, c, k) + r * r);
    }
    return v;
}

double orders_score_square(const orders_law *law, const vpsde_coef *c)
{
    const double mean = orders_mean(law, c), width = sqrt(orders_variance(law, c));
    const double dx = width / 40;
    double sum = 0;
    if (law->n == 1) return 1 / component_variance(law, c, 0);
    for (int i = -400; i <= 400; i++) {
        const double x = mean + i * dx, s = orders_score(law, c, x);
        sum += dx * s * s * orders_density(law, c, x);
    }
    return sum;
}

static void rotate(const orders_problem *p, double sign, double *x)
{
    if (p->d < 2) return;
    const double co = cos(p->angle), si = sign * sin(p->angle), a = x[0], b = x[1];
    x[0] = co * a - si * b;
    x[1] = si * a + co * b;
}

void orders_flow(const orders_problem *p, const vpsde_coef *t, const vpsde_coef *s, double *x)
{
    rotate(p, -1, x);
    for (size_t j = 0; j < p->d; j++) {
        x[j] = orders_quantile(&p->law[j], s, orders_cdf(&p->law[j], t, x[j]));
    }
    rotate(p, 1, x);
}

void orders_points(const orders_problem *p, const vpsde_coef *t, double *x)
{
    for (size_t i = 0; i < ORDERS_POINTS; i++) {
        const double spread = ((double)i + 0.5) / ORDERS_POINTS;
        const double share[2] = {spread, fmod(0.5 + 0.6180339887498949 * (double)i, 1)};
        for (size_t j = 0; j < p->d; j++) {
            /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): d <= 2 */
            x[i * p->d + j] = orders_quantile(&p->law[j], t, 0.02 + 0.96 * share[j]);
        }
        rotate(p, 1, x + i * p->d);
    }
}

static vpsde_status make_model(orders_problem *p)
{
    double w[ORDERS_COMPONENTS * ORDERS_COMPONENTS];
    double mu[2 * ORDERS_COMPONENTS * ORDERS_COMPONENTS];
    double cov[4 * ORDERS_COMPONENTS * ORDERS_COMPONENTS];
    const double co = cos(p->angle), si = sin(p->angle);
    const orders_law *a = &p->law[0], *b = &p->law[1];
    if (p->d == 1) return vpsde_gaussian_mixture_create(&p->model, a->n, 1, a->w, a->mu, a->v);
    for (size_t i = 0; i < a->n; i++) {
        for (size_t j = 0; j < b->n; j++) {
            const size_t k = i * b->n + j;
            const double va = a->v[i], vb = b->v[j], off = co * si * (va - vb);
            w[k] = a->w[i] * b->w[j];
            mu[2 * k] = a->mu[i];
            mu[2 * k + 1] = b->mu[j];
            rotate(p, 1, mu + 2 * k);
            cov[4 * k] = co * co * va + si * si * vb;
            cov[4 * k + 1] = off;
            cov[4 * k + 2] = off;
            cov[4 * k + 3] = si * si * va + co * co * vb;
        }
    }
    return vpsde_gaussian_mixture_create(&p->model, a->n * b->n, 2, w, mu, cov);
}

/* The mixtures are close: their modes merge and part within the times that are integrated, and no
 * path is torn between them. */
static const orders_problem problems[ORDERS_N_PROBLEMS] = {
    [ORDERS_GAUSSIAN] = {.name = "gaussian",
                         .d = 1,
                         .law = {{.n = 1, .w = {1}, .mu = {0.7}, .v = {0.25}}}},
    [ORDERS_NARROW] = {.name = "narrow gaussian",
                       .d = 1,
                       .law = {{.n = 1, .w = {1}, .mu = {0.7}, .v = {0.02}}}},
    [ORDERS_CLOSE] = {.name = "mixture",
                      .d = 1,
                      .law = {{.n = 2, .w = {0.4, 0.6}, .mu = {-0.6, 0.7}, .v = {0.2, 0.15}}}},
    [ORDERS_BENT] = {.name = "mixture",
                     .d = 1,
                     .law = {{.n = 2, .w = {0.4, 0.6}, .mu = {-0.8, 0.9}, .v = {0.06, 0.05}}}},
    [ORDERS_ROTATED] = {.name = "mixture",
                        .d = 2,
                        .law = {{.n = 2, .w = {0.4, 0.6}, .mu = {-0.6, 0.7}, .v = {0.2, 0.15}},
                                {.n = 2, .w = {0.5, 0.5}, .mu = {-0.5, 0.9}, .v = {0.3, 0.2}}},
                        .angle = 0.6},
    [ORDERS_SHARP] = {.name = "mixture",
                      .d = 2,
                      .law = {{.n = 2, .w = {0.4, 0.6}, .mu = {-0.6, 0.7}, .v = {0.05, 0.04}},
                              {.n = 2, .w = {0.5, 0.5}, .mu = {-0.5, 0.9}, .v = {0.06, 0.05}}},
                      .angle = 0.6},
};

vpsde_status orders_lab_create(orders_lab **out, const vpsde_control *control)
{
    orders_lab *lab;
    vpsde_process_spec spec;
    *out = NULL;
    VPSDE_TRY(vpsde_process_spec_init(&spec, "vp-linear"));
    spec.terminal = VPSDE_TERMINAL_EXACT;
    VPSDE_TRY(vpsde_alloc(&lab, 1, sizeof(*lab)));
    lab->control = control;
    vpsde_status status = vpsde_process_create(&lab->process, &spec);
    for (size_t i = 0; i < ORDERS_N_PROBLEMS && status == VPSDE_OK; i++) {
        lab->problem[i] = problems[i];
        status = make_model(&lab->problem[i]);
    }
    if (status != VPSDE_OK) {
        orders_lab_destroy(lab);
        return status;
    }
    *out = lab;
    return VPSDE_OK;
}

void orders_lab_destroy(orders_lab *lab)
{
    if (!lab) return;
    for (size_t i = 0; i < ORDERS_N_PROBLEMS; i++) vpsde_model_destroy(lab->problem[i].model);
    vpsde_process_destroy(lab->process);
    free(lab->fine);
    free(lab);
}
