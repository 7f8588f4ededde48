#include "solvers/guidance.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"

vpsde_status vpsde_guidance_check(double weight, const vpsde_model *model)
{
    if (!isfinite(weight)) {
        return vpsde_fail(VPSDE_EINVAL, "guidance: must be a finite weight, got %g", weight);
    }
    if (weight != 0 && model->n_classes == 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "guidance: %g, but %s has no classes to guide to; expected 0", weight,
                          model->type->name);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_guidance_open(vpsde_guidance *g, double weight, const vpsde_model *model,
                                 size_t rows, size_t tangents)
{
    size_t wide, all;
    *g = (vpsde_guidance){.weight = weight, .rows = rows, .tangents = tangents, .d = model->dim};
    if (weight == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_size_mul(&wide, tangents + 1, model->dim, "guided tangents of a row"));
    VPSDE_TRY(vpsde_size_mul(&all, wide + 2, rows, "guided network call"));
    return vpsde_alloc(&g->memory, all, sizeof(double));
}

void vpsde_guidance_close(vpsde_guidance *g)
{
    free(g->memory);
    g->memory = NULL;
}

/* out <- (1 + w) out - w without */
static void mix(double w, size_t count, double *out, const double *without)
{
    vec_lin2(count, out, 1 + w, out, -w, without);
}

vpsde_status vpsde_guidance_eval(const vpsde_guidance *g, const vpsde_model *model, void *ws,
                                 const vpsde_eval *e)
{
    VPSDE_TRY(vpsde_model_eval(model, ws, e));
    if (g->weight == 0 || !e->classes) return VPSDE_OK;
    const size_t d = g->d, wide = e->k * d;
    double *const eps = g->memory, *const deps = eps + g->rows * d;
    double *const div = deps + g->rows * g->tangents * d, *const logp = div + g->rows;
    vpsde_eval without = *e;
    without.classes = NULL;
    without.eps = eps;
    without.deps = e->k > 0 ? deps : NULL;
    without.div = e->div ? div : NULL;
    without.logp = e->logp ? logp : NULL;
    without.range = NULL;
    VPSDE_TRY(vpsde_model_eval(model, ws, &without));
    for (size_t i = 0; i < e->n; i++) {
        if (e->classes[i] < 0) continue;
        mix(g->weight, d, e->eps + i * d, eps + i * d);
        if (wide > 0) mix(g->weight, wide, e->deps + i * wide, deps + i * wide);
        if (e->div) mix(g->weight, 1, e->div + i, div + i);
        if (e->logp) mix(g->weight, 1, e->logp + i, logp + i);
    }
    return VPSDE_OK;
}
