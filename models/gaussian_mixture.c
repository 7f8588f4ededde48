/* Gaussian mixture p_0 = sum_k w_k N(mu_k, Sigma_k): exact at every time of the process.
 *
 *   p_t = sum_k w_k N(alpha mu_k, C_k),  C_k = alpha^2 Sigma_k + sigma^2 I
 *   s_k = -C_k^-1 (x - alpha mu_k),  g_k = w_k N_k(x) / p_t(x)
 *   s = grad log p_t = sum_k g_k s_k,  eps = -sigma s
 *   Hess log p_t = sum_k g_k (-C_k^-1 + (s_k - s)(s_k - s)^T)
 *   div s = sum_k g_k (|s_k - s|^2 - tr C_k^-1)
 * p_t of a class is the same over its components, weights over their sum.
 *   grad div s = sum_k g_k ((|s_k - s|^2 - tr C_k^-1) (s_k - s) - 2 C_k^-1 (s_k - s))
 * (the Hessian is sum_k g_k s_k s_k^T - s s^T written without cancellation). C_k^-1 for all t comes
 * from one eigendecomposition: O(n d^2) a row, O(n d) where all covariances are diagonal. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "models/mixture_tile.h"
#include "models/model.h"

/* Where draws take their numbers: the last nodes of a purpose, which no step reaches. */
#define NODE_NORMALS   UINT32_C(0xFFFFFFFE)
#define NODE_COMPONENT UINT32_C(0xFFFFFFFF)

enum { SHORT = 16 }; /* rows below it are not worth a call of vec_dot */

static const double log_two_pi = 1.83787706640934548356;

typedef struct scratch {
    double alpha, sigma;        /* the time of the three tables; NaN before the first */
    double *inverse;            /* (n_spectra, d) eigenvalues of C^-1 */
    double *log_det, *trace;    /* (n_spectra) log det C, tr C^-1 */
    double *g;                  /* (n) responsibilities */
    double *s_k;                /* (n, d); rows with g = 0 hold nothing of use */
    double *s, *residual, *row; /* (d) */
    double memory[];
} scratch;

static vpsde_status scratch_create(scratch **out, const mixture *m)
{
    const size_t n = m->n, d = m->d, spectra = m->n_spectra;
    size_t tables;
    VPSDE_TRY(vpsde_size_mul(&tables, n + spectra + 3, d + 2, "mixture workspace"));
    VPSDE_TRY(vpsde_size_mul(&tables, tables, sizeof(double), "mixture workspace"));
    VPSDE_TRY(vpsde_alloc(out, 1, sizeof(**out) + tables));
    scratch *w = *out;
    w->alpha = w->sigma = (double)NAN;
    w->inverse = w->memory;
    w->s_k = w->inverse + spectra * d;
    w->s = w->s_k + n * d;
    w->residual = w->s + d;
    w->row = w->residual + d;
    w->log_det = w->row + d;
    w->trace = w->log_det + spectra;
    w->g = w->trace + spectra;
    return VPSDE_OK;
}

static void set_time(scratch *w, const mixture *m, const vpsde_coef *c)
{
    if (c->alpha == w->alpha && c->sigma == w->sigma) return;
    const double a2 = c->alpha * c->alpha, s2 = c->sigma * c->sigma;
    for (size_t q = 0; q < m->n_spectra; q++) {
        const double *lambda = m->lambda + q * m->d;
        double *inverse = w->inverse + q * m->d;
        if (m->isotropic[q]) {
            const double v = a2 * lambda[0] + s2;
            for (size_t j = 0; j < m->d; j++) inverse[j] = 1 / v;
            w->log_det[q] = (double)m->d * log(v);
            w->trace[q] = (double)m->d / v;
            continue;
        }
        w->log_det[q] = w->trace[q] = 0;
        for (size_t j = 0; j < m->d; j++) {
            const double v = a2 * lambda[j] + s2;
            inverse[j] = 1 / v;
            w->log_det[q] += log(v);
            w->trace[q] += inverse[j];
        }
    }
    w->alpha = c->alpha;
    w->sigma = c->sigma;
}

#define INLINE static inline __attribute__((always_inline))

static const double *basis_of(const mixture *m, size_t k)
{
    return m->rotation[k] == MIXTURE_UNROTATED ? NULL : m->basis + m->rotation[k] * m->d * m->d;
}

/* The functions below take d beside the mixture, so that a constant reaches their loops. */
INLINE double dot(size_t d, const double *x, const double *y)
{
    if (d >= SHORT) return vec_dot(d, x, y);
    double sum = 0;
    for (size_t j = 0; j < d; j++) sum += x[j] * y[j];
    return sum;
}

/* out = U^T x */
INLINE void to_basis(size_t d, double *out, const double *basis, const double *x)
{
    for (size_t j = 0; j < d; j++) out[j] = dot(d, basis + j * d, x);
}

/* out += factor U x */
INLINE void add_from_basis(size_t d, double *restrict out, double factor, const double *basis,
                           const double *x)
{
    for (size_t j = 0; j < d; j++) {
        const double a = factor * x[j];
        for (size_t l = 0; l < d; l++) out[l] += a * basis[j * d + l];
    }
}

INLINE bool is_of(const mixture *m, size_t k, int32_t label)
{
    return label < 0 || m->class_of[k] == label;
}

/* Responsibilities, and s_k in its own eigenbasis, of the components of a class (all: below 0); returns
 * log p_t(x). */
INLINE double responsibilities(scratch *w, const mixture *m, size_t d, int32_t label,
                               const double *x)
{
    double *restrict residual = w->residual, *row = w->row;
    const double alpha = w->alpha;
    double top = -INFINITY, sum = 0;
    for (size_t k = 0; k < m->n; k++) {
        const double *mean = m->mean + k * d, *basis = basis_of(m, k);
        const double *inverse = w->inverse + m->spectrum[k] * d;
        double *restrict s_k = w->s_k + k * d;
        const double *y = basis ? row : residual;
        if (!is_of(m, k, label)) {
            w->g[k] = -INFINITY;
            continue;
        }
        for (size_t j = 0; j < d; j++) residual[j] = x[j] - alpha * mean[j];
        if (basis) to_basis(d, row, basis, residual);
        for (size_t j = 0; j < d; j++) s_k[j] = -inverse[j] * y[j];
        w->g[k] = m->log_weight[k] + 0.5 * (dot(d, y, s_k) - w->log_det[m->spectrum[k]]);
        if (w->g[k] > top) top = w->g[k];
    }
    for (size_t k = 0; k < m->n; k++) {
        w->g[k] = exp(w->g[k] - top);
        sum += w->g[k];
    }
    const double share = 1 / sum;
    for (size_t k = 0; k < m->n; k++) w->g[k] *= share;
    const double logp = top + log(sum) - 0.5 * (double)d * log_two_pi;
    return label < 0 ? logp : logp - m->log_share[label];
}

/* w->s, after responsibilities; turns s_k out of its eigenbasis. */
INLINE void score(scratch *w, const mixture *m, size_t d)
{
    double *restrict s = w->s, *restrict row = w->row;
    for (size_t j = 0; j < d; j++) s[j] = 0;
    for (size_t k = 0; k < m->n; k++) {
        const double *basis = basis_of(m, k), g = w->g[k];
        double *s_k = w->s_k + k * d;
        if (g == 0) continue;
        if (basis) {
            for (size_t j = 0; j < d; j++) row[j] = 0;
            add_from_basis(d, row, 1, basis, s_k);
            for (size_t j = 0; j < d; j++) s_k[j] = row[j];
        }
        for (size_t j = 0; j < d; j++) s[j] += g * s_k[j];
    }
}

/* div s, after score. */
INLINE double divergence(const scratch *w, const mixture *m, size_t d)
{
    double *restrict row = w->row, div = 0;
    for (size_t k = 0; k < m->n; k++) {
        const double *s_k = w->s_k + k * d;
        if (w->g[k] == 0) continue;
        for (size_t j = 0; j < d; j++) row[j] = s_k[j] - w->s[j];
        div += w->g[k] * (dot(d, row, row) - w->trace[m->spectrum[k]]);
    }
    return div;
}

/* out += factor C_k^-1 v, by w->residual. */
INLINE void add_precision(const scratch *w, const mixture *m, size_t d, size_t k, double factor,
                          const double *v, double *restrict out)
{
    const double *basis = basis_of(m, k), *inverse = w->inverse + m->spectrum[k] * d;
    double *restrict turned = w->residual;
    for (size_t j = 0; !basis && j < d; j++) out[j] += factor * inverse[j] * v[j];
    if (!basis) return;
    to_basis(d, turned, basis, v);
    for (size_t j = 0; j < d; j++) turned[j] *= inverse[j];
    add_from_basis(d, out, factor, basis, turned);
}

/* out = factor grad div s, after score. */
INLINE void divergence_gradient(const scratch *w, const mixture *m, size_t d, double factor,
                                double *restrict out)
{
    double *restrict row = w->row;
    for (size_t j = 0; j < d; j++) out[j] = 0;
    for (size_t k = 0; k < m->n; k++) {
        const double *s_k = w->s_k + k * d, g = factor * w->g[k];
        if (g == 0) continue;
        for (size_t j = 0; j < d; j++) row[j] = s_k[j] - w->s[j];
        const double along = g * (dot(d, row, row) - w->trace[m->spectrum[k]]);
        for (size_t j = 0; j < d; j++) out[j] += along * row[j];
        add_precision(w, m, d, k, -2 * g, row, out);
    }
}

/* out = Hess log p_t v, after score. */
INLINE void hessian_product(const scratch *w, const mixture *m, size_t d, double *restrict out,
                            const double *v)
{
    double *restrict row = w->row;
    for (size_t j = 0; j < d; j++) out[j] = 0;
    for (size_t k = 0; k < m->n; k++) {
        const double *s_k = w->s_k + k * d, g = w->g[k];
        if (g == 0) continue;
        for (size_t j = 0; j < d; j++) row[j] = s_k[j] - w->s[j];
        const double along = g * dot(d, row, v);
        for (size_t j = 0; j < d; j++) out[j] += along * row[j];
        add_precision(w, m, d, k, -g, v, out);
    }
}

/* A mixture without classes has none to look at. */
INLINE int32_t label_of(const mixture *m, const int32_t *classes, size_t i)
{
    return classes && m->n_classes > 0 ? classes[i] : VPSDE_NO_CLASS;
}

INLINE void each_row(scratch *w, const mixture *m, size_t d, const vpsde_eval *e)
{
    for (size_t i = 0; i < e->n; i++) {
        double *restrict eps = e->eps + i * d;
        set_time(w, m, &e->coef[i * e->coef_stride]);
        const int32_t label = label_of(m, e->classes, i);
        const double logp = responsibilities(w, m, d, label, e->x + i * d);
        if (e->logp) e->logp[i] = logp;
        score(w, m, d);
        for (size_t j = 0; j < d; j++) eps[j] = -w->sigma * w->s[j];
        if (e->div) e->div[i] = -w->sigma * divergence(w, m, d);
        if (e->ddiv) divergence_gradient(w, m, d, -w->sigma, e->ddiv + i * d);
        for (size_t q = i * e->k; q < (i + 1) * e->k; q++) {
            double *restrict deps = e->deps + q * d;
            hessian_product(w, m, d, deps, e->dx + q * d);
            for (size_t j = 0; j < d; j++) deps[j] *= -w->sigma;
        }
    }
}

VPSDE_VECTOR static void rows(scratch *w, const mixture *m, const vpsde_eval *e)
{
    if (m->d == 2) each_row(w, m, 2, e);
    if (m->d != 2) each_row(w, m, m->d, e);
}

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    scratch *w = ws;
    const mixture *m = model->impl;
    if (!mixture_tile_fits(m, e)) {
        rows(w, m, e);
        return VPSDE_OK;
    }
    set_time(w, m, e->coef);
    mixture_tile_eps(m, &(mixture_time){w->alpha, w->sigma, w->inverse, w->log_det}, e);
    return VPSDE_OK;
}

static vpsde_status log_p_of(const vpsde_model *model, size_t n, const vpsde_coef *c,
                             const int32_t *classes, const double *x, double *logp)
{
    const mixture *m = model->impl;
    scratch *w;
    VPSDE_TRY(scratch_create(&w, m));
    set_time(w, m, c);
    for (size_t i = 0; i < n; i++) {
        logp[i] = responsibilities(w, m, m->d, label_of(m, classes, i), x + i * m->d);
    }
    free(w);
    return VPSDE_OK;
}

static vpsde_status log_p(const vpsde_model *model, size_t n, const vpsde_coef *c, const double *x,
                          double *logp)
{
    return log_p_of(model, n, c, NULL, x, logp);
}

static vpsde_status draw_of(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                            vpsde_purpose purpose, uint64_t first, size_t n, const int32_t *classes,
                            double *x)
{
    const mixture *m = model->impl;
    const size_t d = m->d;
    const double a2 = c->alpha * c->alpha, s2 = c->sigma * c->sigma;
    double *z;
    VPSDE_TRY(vpsde_alloc(&z, d, sizeof(*z)));
    vpsde_normals(x, seed, purpose, first, n, NODE_NORMALS, d);
    for (size_t i = 0; i < n; i++, x += d) {
        double u;
        vpsde_uniforms(&u, seed, purpose, first + i, 1, NODE_COMPONENT, 1);
        const size_t k = mixture_choose(m, label_of(m, classes, i), u);
        const double *lambda = m->lambda + m->spectrum[k] * d, *basis = basis_of(m, k);
        for (size_t j = 0; j < d; j++) {
            z[j] = sqrt(a2 * lambda[j] + s2) * x[j];
            x[j] = c->alpha * m->mean[k * d + j] + (basis ? 0 : z[j]);
        }
        if (basis) add_from_basis(d, x, 1, basis, z);
    }
    free(z);
    return VPSDE_OK;
}

static vpsde_status draw(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                         vpsde_purpose purpose, uint64_t first, size_t n, double *x)
{
    return draw_of(model, c, seed, purpose, first, n, NULL, x);
}

static void destroy(void *impl) { mixture_free(impl); }

static vpsde_status workspace_create(void **ws, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    scratch *w;
    (void)rows, (void)tangents;
    VPSDE_TRY(scratch_create(&w, model->impl));
    *ws = w;
    return VPSDE_OK;
}

static vpsde_status configure(vpsde_model **out, struct vpsde_config *section)
{
    mixture *m;
    VPSDE_TRY(mixture_configure(&m, section));
    VPSDE_TRY(vpsde_model_wrap(out, &vpsde_model_gaussian_mixture, m->d, m));
    (*out)->n_classes = m->n_classes;
    return VPSDE_OK;
}

vpsde_status vpsde_gaussian_mixture_classes(vpsde_model *mixture_model, const int32_t *class_of)
{
    if (mixture_model->type != &vpsde_model_gaussian_mixture) {
        return vpsde_fail(VPSDE_EINVAL, "%s is no gaussian-mixture whose components have classes",
                          mixture_model->type->name);
    }
    mixture *m = mixture_model->impl;
    VPSDE_TRY(mixture_set_classes(m, class_of));
    mixture_model->n_classes = m->n_classes;
    return VPSDE_OK;
}

vpsde_status vpsde_gaussian_mixture_create(vpsde_model **out, size_t n_components, size_t dim,
                                           const double *weights, const double *means,
                                           const double *covariances)
{
    mixture *m;
    const char *key;
    *out = NULL;
    VPSDE_TRY(mixture_build(&m, &key, n_components, dim, weights, means, NULL, covariances));
    return vpsde_model_wrap(out, &vpsde_model_gaussian_mixture, dim, m);
}

/* Residual, score, exponent (3), weight (4), weighted sum; two turns of a component that is rotated. */
static double flops(const vpsde_model *model)
{
    const mixture *m = model->impl;
    const double d = (double)m->d;
    double sum = 0;
    for (size_t k = 0; k < m->n; k++) {
        sum += 7 * d + 7 + (m->rotation[k] == MIXTURE_UNROTATED ? 0 : 4 * d * d);
    }
    return sum;
}

const vpsde_model_type vpsde_model_gaussian_mixture = {
    .name = "gaussian-mixture",
    .source = "closed form: convolution of Gaussians",
    .doc = "Sum of Gaussians with exact score, divergence, density and samples at every time.",
    .flags = VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DIVERGENCE | VPSDE_MODEL_LOG_P | VPSDE_MODEL_DRAW |
             VPSDE_MODEL_JVP | VPSDE_MODEL_ANY_ROWS | VPSDE_MODEL_DIV_GRADIENT,
    .configure = configure,
    .destroy = destroy,
    .workspace_create = workspace_create,
    .workspace_destroy = free,
    .eval = eval,
    .log_p = log_p,
    .draw = draw,
    .log_p_of = log_p_of,
    .draw_of = draw_of,
    .flops = flops,
};
