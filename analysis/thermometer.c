/* Configurational temperature T = E|s|^2 / (-E div s) of the samples, s the model's score (Rugh 1997;
 * Butler et al. 1998): 1 for a sample of the law whose score it is. The divergence is exact in closed form
 * and up to 8 dimensions, else it takes 8 Rademacher probes a sample. */
#include <math.h>
#include <stdlib.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"

enum { BLOCK = 256, TANGENTS = 8 };

static double ratio(const double *mean) { return mean[0] / mean[1]; }

typedef struct work {
    void *model;
    double *eps, *dx, *deps, *div; /* (BLOCK, d), (BLOCK, k, d) twice, (BLOCK) */
    size_t block, k;
} work;

static vpsde_status open_work(work *w, const vpsde_metric_input *in)
{
    const size_t d = in->d;
    const bool closed = (in->model->type->flags & VPSDE_MODEL_DIVERGENCE) != 0;
    *w = (work){.block = in->n < BLOCK ? in->n : BLOCK,
                .k = closed         ? 0
                     : d < TANGENTS ? d
                                    : TANGENTS};
    VPSDE_TRY(vpsde_alloc(&w->eps, w->block * (d * (1 + 2 * w->k) + 1), sizeof(*w->eps)));
    w->dx = w->eps + w->block * d;
    w->deps = w->dx + w->block * d * w->k;
    w->div = w->deps + w->block * d * w->k;
    return vpsde_model_workspace_create(&w->model, in->model, w->block, w->k);
}

/* The basis, or probes. */
static void set_tangents(work *w, const vpsde_metric_input *in, size_t first, size_t n)
{
    const size_t d = in->d, k = w->k;
    for (size_t i = 0; i < n; i++) {
        for (size_t q = 0; q < k; q++) {
            double *v = w->dx + (i * k + q) * d;
            if (k < d) {
                vpsde_signs(v, in->seed, VPSDE_NOISE_PROBE, in->number[first + i], 1, (uint32_t)q,
                            d);
                continue;
            }
            for (size_t j = 0; j < d; j++) v[j] = j == q;
        }
    }
}

/* tr J_eps of row i of the block */
static double trace(const work *w, size_t i, size_t d)
{
    if (w->k == 0) return w->div[i];
    const size_t first = i * w->k * d;
    const double sum = vec_dot(w->k * d, w->dx + first, w->deps + first);
    return w->k < d ? sum / (double)w->k : sum;
}

static vpsde_status add_block(vpsde_statistic *out, work *w, const vpsde_metric_input *in,
                              size_t first, size_t n)
{
    const size_t d = in->d;
    set_tangents(w, in, first, n);
    const vpsde_eval e = {.n = n,
                          .k = w->k,
                          .coef = &in->end,
                          .x = in->x + first * d,
                          .dx = w->k ? w->dx : NULL,
                          .classes = in->classes ? in->classes + first : NULL,
                          .eps = w->eps,
                          .deps = w->k ? w->deps : NULL,
                          .div = w->k ? NULL : w->div};
    VPSDE_TRY(vpsde_model_eval(in->model, w->model, &e));
    for (size_t i = 0; i < n; i++) {
        const double *eps = w->eps + i * d, sigma = in->end.sigma;
        out->column[first + i] = vec_dot(d, eps, eps) / (sigma * sigma);
        out->column[in->n + first + i] = trace(w, i, d) / sigma;
    }
    return VPSDE_OK;
}

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    work w;
    VPSDE_TRY(vpsde_statistic_open(out, in->n, in->number, 2));
    out->finish = ratio;
    out->is_smooth = true;
    vpsde_status status = open_work(&w, in);
    for (size_t first = 0; status == VPSDE_OK && first < in->n; first += w.block) {
        const size_t left = in->n - first;
        status = add_block(out, &w, in, first, left < w.block ? left : w.block);
        if (status == VPSDE_OK) status = vpsde_check_stop(in->stop);
    }
    if (w.model) vpsde_model_workspace_destroy(in->model, w.model);
    free(w.eps);
    vpsde_statistic_close(out);
    return status;
}

const vpsde_metric vpsde_metric_thermometer = {
    .name = "thermometer",
    .units = "1",
    .description =
        "configurational temperature of the samples: E|s|^2 / (-E div s), s the score; 1 "
        "for the law of the model",
    .needs = VPSDE_METRIC_SCORE,
    .ideal = 1,
    .measure = measure,
};
