/* One adapter for what networks predict: eps = a x + b out with
 *   x0:     a = 1/sigma, b = -alpha/sigma       v:      a = sigma, b = alpha
 *   score:  a = 0,       b = -sigma
 * (x = alpha x0 + sigma eps; v = alpha eps - sigma x0: Salimans & Ho 2022, arXiv:2202.00512, app.
 * D). Linear in x and out, so a tangent dx goes to a dx + b dout and the divergence to a d + b
 * div. */
#include "models/prediction.h"

#include <string.h>

#include "core/vec.h"

static const char *const names[] = {
    [VPSDE_PREDICT_EPS] = "eps",
    [VPSDE_PREDICT_X0] = "x0",
    [VPSDE_PREDICT_V] = "v",
    [VPSDE_PREDICT_SCORE] = "score",
};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

typedef struct line {
    double a, b;
} line;

static line of_eps(const vpsde_coef *c)
{
    (void)c;
    return (line){0, 1};
}

/* Where sigma = 0 an exact x0 is x itself and (x - x0)/sigma tends to 0. */
static line of_x0(const vpsde_coef *c)
{
    return c->sigma > 0 ? (line){1 / c->sigma, -c->alpha / c->sigma} : (line){0, 0};
}

static line of_v(const vpsde_coef *c) { return (line){c->sigma, c->alpha}; }

static line of_score(const vpsde_coef *c) { return (line){0, -c->sigma}; }

static line (*const lines[N_NAMES])(const vpsde_coef *c) = {
    [VPSDE_PREDICT_EPS] = of_eps,
    [VPSDE_PREDICT_X0] = of_x0,
    [VPSDE_PREDICT_V] = of_v,
    [VPSDE_PREDICT_SCORE] = of_score,
};

const char *vpsde_prediction_name(vpsde_prediction prediction)
{
    return (size_t)prediction < N_NAMES ? names[prediction] : "unknown";
}

int vpsde_prediction_find(const char *name)
{
    for (int i = 0; i < N_NAMES; i++) {
        if (strcmp(names[i], name) == 0) return i;
    }
    return -1;
}

/* out <- a x + b out */
static void convert(size_t count, double *out, line f, const double *x)
{
    if (f.a == 0) {
        vec_scale(count, out, f.b, out);
    } else {
        vec_lin2(count, out, f.a, x, f.b, out);
    }
}

void vpsde_prediction_to_eps(const vpsde_model *model, const vpsde_eval *e)
{
    const size_t d = model->dim, wide = e->k * d;
    if (model->prediction == VPSDE_PREDICT_EPS) return;
    for (size_t i = 0; i < e->n; i++) {
        const line f = lines[model->prediction](&e->coef[i * e->coef_stride]);
        convert(d, e->eps + i * d, f, e->x + i * d);
        if (wide > 0) convert(wide, e->deps + i * wide, f, e->dx + i * wide);
        if (e->div) e->div[i] = f.a * (double)d + f.b * e->div[i];
        if (e->ddiv) vec_scale(d, e->ddiv + i * d, f.b, e->ddiv + i * d);
    }
}
