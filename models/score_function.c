/* A model from the caller's own score function. Jacobian products by the five-point rule
 *   f'(0) = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / (12 h) + O(h^4)
 * (Abramowitz & Stegun 25.3.6) along the tangent's direction, h about cbrt(2^-52) max(1, |x|):
 * rounding leaves about 1e-10 of the score's size over the length on which it changes. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "models/model.h"

enum { STENCIL = 4 };
static const double offset[STENCIL] = {1, -1, 2, -2};

typedef struct score_function {
    vpsde_score_fn call, range; /* range may be NULL */
    void *context;
} score_function;

typedef struct scratch {
    double *h;             /* (rows) */
    double *unit;          /* (rows, d) directions */
    double *point, *score; /* (rows, STENCIL, d) */
} scratch;

static vpsde_status ask(const vpsde_model *model, vpsde_score_fn what, size_t n,
                        const vpsde_coef *c, const double *x, double *out)
{
    const score_function *f = model->impl;
    const int answer = what(f->context, n, model->dim, c, x, out);
    if (answer == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_ESTOPPED, "the score function returned %d at t = %g", answer, c->t);
}

static vpsde_status call(const vpsde_model *model, size_t n, const vpsde_coef *c, const double *x,
                         double *score)
{
    const score_function *f = model->impl;
    return ask(model, f->call, n, c, x, score);
}

/* A power of two near cbrt(epsilon) max(1, |x|_max): multiplying by it is exact. */
static double step_size(size_t d, const double *x)
{
    double size = 1;
    for (size_t j = 0; j < d; j++) size = fmax(size, fabs(x[j]));
    return isfinite(size) ? ldexp(1, ilogb(cbrt(DBL_EPSILON) * size)) : 1;
}

/* w->score[i, 0, :] = derivative of the score along w->unit[i, :] for n rows at one time. */
static vpsde_status differentiate(const vpsde_model *model, scratch *w, size_t n,
                                  const vpsde_coef *c, const double *x)
{
    const size_t d = model->dim;
    for (size_t i = 0; i < n; i++) {
        w->h[i] = step_size(d, x + i * d);
        for (size_t q = 0; q < STENCIL; q++) {
            vec_lin2(d, w->point + (i * STENCIL + q) * d, 1, x + i * d, offset[q] * w->h[i],
                     w->unit + i * d);
        }
    }
    VPSDE_TRY(call(model, n * STENCIL, c, w->point, w->score));
    for (size_t i = 0; i < n; i++) {
        double *f = w->score + i * STENCIL * d;
        for (size_t j = 0; j < d; j++) {
            f[j] = (8 * (f[j] - f[d + j]) - (f[2 * d + j] - f[3 * d + j])) / (12 * w->h[i]);
        }
    }
    return VPSDE_OK;
}

static vpsde_status tangents(const vpsde_model *model, scratch *w, size_t n, const vpsde_coef *c,
                             const vpsde_eval *e, size_t first)
{
    const size_t d = model->dim;
    for (size_t q = 0; q < e->k; q++) {
        for (size_t i = 0; i < n; i++) {
            const double *v = e->dx + ((first + i) * e->k + q) * d;
            const double length = sqrt(vec_dot(d, v, v));
            vec_scale(d, w->unit + i * d, length > 0 ? 1 / length : 0, v);
        }
        VPSDE_TRY(differentiate(model, w, n, c, e->x + first * d));
        for (size_t i = 0; i < n; i++) {
            const size_t at = ((first + i) * e->k + q) * d;
            const double length = sqrt(vec_dot(d, e->dx + at, e->dx + at));
            vec_scale(d, e->deps + at, -c->sigma * length, w->score + i * STENCIL * d);
        }
    }
    return VPSDE_OK;
}

static vpsde_status divergence(const vpsde_model *model, scratch *w, size_t n, const vpsde_coef *c,
                               const vpsde_eval *e, size_t first)
{
    const size_t d = model->dim;
    for (size_t i = 0; i < n; i++) e->div[first + i] = 0;
    for (size_t j = 0; j < d; j++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t l = 0; l < d; l++) w->unit[i * d + l] = l == j ? 1 : 0;
        }
        VPSDE_TRY(differentiate(model, w, n, c, e->x + first * d));
        for (size_t i = 0; i < n; i++)
            e->div[first + i] -= c->sigma * w->score[i * STENCIL * d + j];
    }
    return VPSDE_OK;
}

/* Rows that share a time go to the function together. */
static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const score_function *f = model->impl;
    const size_t d = model->dim, group = e->coef_stride == 0 ? e->n : 1;
    for (size_t first = 0; first < e->n; first += group) {
        const vpsde_coef *c = &e->coef[first * e->coef_stride];
        double *eps = e->eps + first * d;
        VPSDE_TRY(call(model, group, c, e->x + first * d, eps));
        vec_scale(group * d, eps, -c->sigma, eps);
        VPSDE_TRY(tangents(model, ws, group, c, e, first));
        if (e->range) {
            VPSDE_TRY(ask(model, f->range, group, c, e->x + first * d, e->range + first * d));
        }
        if (e->div) VPSDE_TRY(divergence(model, ws, group, c, e, first));
    }
    return VPSDE_OK;
}

static void workspace_destroy(void *ws)
{
    scratch *w = ws;
    free(w->h);
    free(w->unit);
    free(w->point);
    free(w->score);
    free(w);
}

static vpsde_status allocate(scratch *w, size_t rows, size_t d)
{
    size_t count, stencil;
    VPSDE_TRY(vpsde_size_mul(&count, rows, d, "score workspace"));
    VPSDE_TRY(vpsde_size_mul(&stencil, count, STENCIL, "score workspace"));
    VPSDE_TRY(vpsde_alloc(&w->h, rows, sizeof(*w->h)));
    VPSDE_TRY(vpsde_alloc(&w->unit, count, sizeof(*w->unit)));
    VPSDE_TRY(vpsde_alloc(&w->point, stencil, sizeof(*w->point)));
    return vpsde_alloc(&w->score, stencil, sizeof(*w->score));
}

static vpsde_status workspace_create(void **ws, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    scratch *w;
    (void)tangents;
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    const vpsde_status status = allocate(w, rows, model->dim);
    if (status != VPSDE_OK) {
        workspace_destroy(w);
        return status;
    }
    *ws = w;
    return VPSDE_OK;
}

enum {
    FLAGS = VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_JVP | VPSDE_MODEL_DIVERGENCE | VPSDE_MODEL_ANY_ROWS
};

static const vpsde_model_type type = {
    .name = "score-function",
    .source = "the caller",
    .doc = "A score function given in code; derivatives by central differences.",
    .flags = FLAGS,
    .destroy = free,
    .workspace_create = workspace_create,
    .workspace_destroy = workspace_destroy,
    .eval = eval,
};

static const vpsde_model_type type_with_range = {
    .name = "score-function",
    .source = "the caller",
    .doc = "The same beside a function for the variances of reverse steps.",
    .flags = FLAGS | VPSDE_MODEL_RANGE,
    .destroy = free,
    .workspace_create = workspace_create,
    .workspace_destroy = workspace_destroy,
    .eval = eval,
};

static vpsde_status create(vpsde_model **out, const vpsde_model_type *kind, size_t dim,
                           vpsde_score_fn score, vpsde_score_fn range, void *context)
{
    *out = NULL;
    if (dim == 0 || !score) {
        return vpsde_fail(VPSDE_EINVAL,
                          "a score model needs a function and a dimension of at least 1");
    }
    score_function *f;
    VPSDE_TRY(vpsde_alloc(&f, 1, sizeof(*f)));
    f->call = score;
    f->range = range;
    f->context = context;
    return vpsde_model_wrap(out, kind, dim, f);
}

vpsde_status vpsde_model_from_score(vpsde_model **out, size_t dim, vpsde_score_fn score,
                                    void *context)
{
    return create(out, &type, dim, score, NULL, context);
}

vpsde_status vpsde_model_from_score_and_range(vpsde_model **out, size_t dim, vpsde_score_fn score,
                                              vpsde_score_fn range, void *context)
{
    return create(out, range ? &type_with_range : &type, dim, score, range, context);
}
