#include "models/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/safetensors.h"
#include "models/diffusers.h"
#include "models/prediction.h"

enum { BLOCK_ROWS = 64 };

/* A type's own workspace with the size it was made for. */
typedef struct workspace {
    size_t rows, tangents;
    void *impl;
} workspace;

vpsde_status vpsde_model_wrap(vpsde_model **out, const vpsde_model_type *type, size_t dim,
                              void *impl)
{
    const vpsde_status status = vpsde_alloc(out, 1, sizeof(**out));
    if (status != VPSDE_OK) {
        type->destroy(impl);
        return status;
    }
    vpsde_model *model = *out;
    model->type = type;
    model->dim = dim;
    model->rank = 1;
    model->shape[0] = dim;
    model->block_rows = BLOCK_ROWS;
    model->impl = impl;
    return VPSDE_OK;
}

/* EDATA naming the kind, with the nearest loadable one. */
static vpsde_status unknown_kind(const char *path, const char *kind)
{
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX];
    size_t count = 0;
    const vpsde_model_type *type;
    for (size_t i = 0; (type = vpsde_model_type_at(i)) != NULL && count < NAMES_MAX; i++) {
        if (type->load) names[count++] = type->name;
    }
    const char *near = vpsde_nearest(kind, names, count);
    if (near) {
        return vpsde_fail(VPSDE_EDATA, "%s: " VPSDE_MODEL_KIND_KEY " is '%s'; did you mean '%s'?",
                          path, kind, near);
    }
    return vpsde_fail(VPSDE_EDATA,
                      "%s: " VPSDE_MODEL_KIND_KEY " is '%s', which is no model that loads from a "
                      "checkpoint; 'vpsde list models' names them",
                      path, kind);
}

static vpsde_status load(vpsde_model **out, const vpsde_safetensors *file, const char *path)
{
    const char *kind = vpsde_safetensors_metadata(file, VPSDE_MODEL_KIND_KEY);
    if (!kind) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: no metadata key " VPSDE_MODEL_KIND_KEY
                          "; expected a checkpoint written by 'vpsde train' or imported",
                          path);
    }
    const vpsde_model_type *type = vpsde_model_type_find(kind);
    if (!type || !type->load) return unknown_kind(path, kind);
    VPSDE_TRY(type->load(out, file));
    if (!(*out)->sha256[0]) {
        strncpy((*out)->sha256, vpsde_safetensors_sha256(file), sizeof((*out)->sha256) - 1);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_model_open(vpsde_model **out, const char *path)
{
    vpsde_safetensors *file;
    *out = NULL;
    if (vpsde_is_folder(path)) return vpsde_diffusers_open(out, path);
    VPSDE_TRY(vpsde_safetensors_open(&file, path));
    const vpsde_status status = load(out, file, path);
    vpsde_safetensors_close(file);
    return status;
}

void vpsde_model_destroy(vpsde_model *model)
{
    if (!model) return;
    if (model->type->destroy) model->type->destroy(model->impl);
    free(model->process_betas);
    free(model);
}

const char *vpsde_compute_name(vpsde_compute compute)
{
    static const char *const names[] = {"float32", "bf16"};
    const size_t i = compute;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "?";
}

vpsde_status vpsde_model_set_compute(vpsde_model *model, vpsde_compute compute)
{
    if (compute == model->compute) return VPSDE_OK;
    if (compute != VPSDE_COMPUTE_FLOAT32 && compute != VPSDE_COMPUTE_BF16) {
        return vpsde_fail(VPSDE_EINVAL, "compute: expected float32 or bf16, got number %d",
                          (int)compute);
    }
    if (!model->type->set_compute) {
        return vpsde_fail(VPSDE_EINVAL, "model %s has no compute: %s", model->type->name,
                          vpsde_compute_name(compute));
    }
    VPSDE_TRY(model->type->set_compute(model, compute));
    model->compute = compute;
    return VPSDE_OK;
}

vpsde_status vpsde_model_workspace_create(void **ws, const vpsde_model *model, size_t rows,
                                          size_t tangents)
{
    *ws = NULL;
    if (rows == 0) {
        return vpsde_fail(VPSDE_EINVAL, "workspace of %s: rows must be at least 1, got 0",
                          model->type->name);
    }
    if (tangents > 0 && !(model->type->flags & VPSDE_MODEL_JVP)) {
        return vpsde_fail(VPSDE_EINVAL, "model %s takes no tangents, %zu were asked for",
                          model->type->name, tangents);
    }
    workspace *w;
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    w->rows = rows;
    w->tangents = tangents;
    if (model->type->workspace_create) {
        const vpsde_status status = model->type->workspace_create(&w->impl, model, rows, tangents);
        if (status != VPSDE_OK) {
            free(w);
            return status;
        }
    }
    *ws = w;
    return VPSDE_OK;
}

void vpsde_model_workspace_destroy(const vpsde_model *model, void *ws)
{
    workspace *w = ws;
    if (!w) return;
    if (model->type->workspace_destroy) model->type->workspace_destroy(w->impl);
    free(w);
}

/* What the type cannot do, or the workspace is too small for. */
static vpsde_status check(const vpsde_model *model, const workspace *w, const vpsde_eval *e)
{
    const vpsde_model_type *type = model->type;
    if (e->k > 0 && !(type->flags & VPSDE_MODEL_JVP)) {
        return vpsde_fail(VPSDE_EINVAL, "model %s takes no tangents, got k = %zu", type->name,
                          e->k);
    }
    if (e->div && !(type->flags & VPSDE_MODEL_DIVERGENCE)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "model %s has no closed-form divergence; take the trace of its "
                          "Jacobian-vector products",
                          type->name);
    }
    if (e->ddiv && !(type->flags & VPSDE_MODEL_DIV_GRADIENT)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "model %s does not know the gradient of its divergence in closed form",
                          type->name);
    }
    if (e->range && !(type->flags & VPSDE_MODEL_RANGE)) {
        return vpsde_fail(VPSDE_EINVAL, "model %s does not predict variances", type->name);
    }
    if (e->logp && !(type->flags & VPSDE_MODEL_LOG_P)) {
        return vpsde_fail(VPSDE_EINVAL, "model %s does not know its density in closed form",
                          type->name);
    }
    if (e->n > w->rows || e->k > w->tangents) {
        return vpsde_fail(VPSDE_EINVAL,
                          "model %s: %zu rows with %zu tangents do not fit a workspace made for "
                          "%zu rows with %zu tangents",
                          type->name, e->n, e->k, w->rows, w->tangents);
    }
    if (e->k > 0 && (!e->dx || !e->deps)) {
        return vpsde_fail(VPSDE_EINVAL, "model %s: k = %zu tangents need dx and deps", type->name,
                          e->k);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_model_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const workspace *w = ws;
    VPSDE_TRY(check(model, w, e));
    VPSDE_TRY(model->type->eval(model, w->impl, e));
    vpsde_prediction_to_eps(model, e);
    return VPSDE_OK;
}

vpsde_status vpsde_model_log_p(const vpsde_model *model, size_t n, const vpsde_coef *c,
                               const double *x, double *logp)
{
    if (!(model->type->flags & VPSDE_MODEL_LOG_P)) {
        return vpsde_fail(VPSDE_EINVAL, "model %s does not know its density in closed form",
                          model->type->name);
    }
    return model->type->log_p(model, n, c, x, logp);
}

vpsde_status vpsde_model_log_p_of(const vpsde_model *model, size_t n, const vpsde_coef *c,
                                  const int32_t *classes, const double *x, double *logp)
{
    const vpsde_model_type *type = model->type;
    if (!classes || !type->log_p_of) return vpsde_model_log_p(model, n, c, x, logp);
    return type->log_p_of(model, n, c, classes, x, logp);
}

vpsde_status vpsde_model_draw(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                              vpsde_purpose purpose, uint64_t first, size_t n,
                              const int32_t *classes, double *x)
{
    const vpsde_model_type *type = model->type;
    if (!(type->flags & VPSDE_MODEL_DRAW) || !type->draw) {
        return vpsde_fail(VPSDE_EINVAL, "model %s does not draw samples", type->name);
    }
    if (!classes || !type->draw_of) return type->draw(model, c, seed, purpose, first, n, x);
    return type->draw_of(model, c, seed, purpose, first, n, classes, x);
}

double vpsde_model_flops(const vpsde_model *model)
{
    return model->type->flops ? model->type->flops(model) : 0;
}
