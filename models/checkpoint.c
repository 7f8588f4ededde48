#include "models/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/number.h"

void vpsde_checkpoint_text(vpsde_checkpoint *c, const char *key, const char *value)
{
    if (c->n == VPSDE_CHECKPOINT_FACTS) return;
    (void)snprintf(c->key[c->n], VPSDE_CHECKPOINT_TEXT, "%s", key);
    (void)snprintf(c->value[c->n], VPSDE_CHECKPOINT_TEXT, "%s", value);
    c->item[c->n] = (vpsde_metadata){.key = c->key[c->n], .value = c->value[c->n]};
    c->n++;
}

void vpsde_checkpoint_number(vpsde_checkpoint *c, const char *key, double value)
{
    char text[VPSDE_CHECKPOINT_TEXT];
    vpsde_format_real(text, sizeof(text), value, 17);
    vpsde_checkpoint_text(c, key, text);
}

static void schedule_key(char key[VPSDE_CHECKPOINT_TEXT], const char *name)
{
    (void)snprintf(key, VPSDE_CHECKPOINT_TEXT, "vpsde.schedule.%s", name);
}

void vpsde_checkpoint_model(vpsde_checkpoint *c, const vpsde_model *model)
{
    char text[VPSDE_CHECKPOINT_TEXT];
    vpsde_checkpoint_text(c, "vpsde.kind", model->type->name);
    (void)snprintf(text, sizeof(text), model->rank == 3 ? "%zu,%zu,%zu" : "%zu", model->shape[0],
                   model->shape[1], model->shape[2]);
    vpsde_checkpoint_text(c, "vpsde.shape", text);
    vpsde_checkpoint_text(c, VPSDE_CHECKPOINT_PREDICTION, vpsde_prediction_name(model->prediction));
    const vpsde_process_spec *const spec = &model->process;
    if (!spec->schedule) return;
    vpsde_checkpoint_text(c, "vpsde.schedule", spec->schedule->name);
    const vpsde_param *const params = spec->schedule->params;
    for (size_t p = 0; p < vpsde_param_count(params); p++) {
        char key[VPSDE_CHECKPOINT_TEXT];
        schedule_key(key, params[p].name);
        vpsde_checkpoint_number(c, key, spec->param[p]);
    }
    vpsde_checkpoint_number(c, "vpsde.t_min", spec->t_min);
    vpsde_checkpoint_number(c, "vpsde.t_max", spec->t_max);
    vpsde_checkpoint_number(c, "vpsde.label_scale", spec->label_scale);
    vpsde_checkpoint_number(c, "vpsde.label_offset", spec->label_offset);
}

size_t vpsde_checkpoint_betas(vpsde_tensor_out *tensor, const vpsde_model *model)
{
    const vpsde_process_spec *const spec = &model->process;
    if (!spec->schedule || !spec->schedule->takes_betas) return 0;
    *tensor = (vpsde_tensor_out){.name = VPSDE_CHECKPOINT_BETAS,
                                 .dtype = "F64",
                                 .rank = 1,
                                 .dims = {spec->n_betas},
                                 .data = spec->betas};
    return 1;
}

static vpsde_status need(const char **text, const vpsde_safetensors *file, const char *key)
{
    *text = vpsde_safetensors_metadata(file, key);
    if (*text) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: metadata has no %s", vpsde_safetensors_path(file), key);
}

vpsde_status vpsde_checkpoint_read_number(double *out, const vpsde_safetensors *file,
                                          const char *key)
{
    const char *text;
    VPSDE_TRY(need(&text, file, key));
    if (vpsde_parse_real(out, text) && isfinite(*out)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: metadata %s: expected a number, got \"%s\"",
                      vpsde_safetensors_path(file), key, text);
}

vpsde_status vpsde_checkpoint_read_size(size_t *out, const vpsde_safetensors *file, const char *key,
                                        size_t max)
{
    double value;
    VPSDE_TRY(vpsde_checkpoint_read_number(&value, file, key));
    if (!(value >= 1 && value <= (double)max && value == floor(value))) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: metadata %s: expected a whole number in [1, %zu], got %g",
                          vpsde_safetensors_path(file), key, max, value);
    }
    *out = (size_t)value;
    return VPSDE_OK;
}

static vpsde_status read_shape(size_t *rank, size_t shape[3], const vpsde_safetensors *file)
{
    const char *text;
    VPSDE_TRY(need(&text, file, "vpsde.shape"));
    const char *at = text;
    *rank = 0;
    while (*rank < 3 && *at >= '1' && *at <= '9') {
        char *end;
        errno = 0;
        const unsigned long side = strtoul(at, &end, 10);
        if (errno != 0 || side > 1UL << 20) break;
        shape[(*rank)++] = side;
        at = *end == ',' ? end + 1 : end;
        if (*end == '\0' && *rank != 2) return VPSDE_OK;
    }
    return vpsde_fail(
        VPSDE_EDATA,
        "%s: metadata vpsde.shape: expected \"d\" or \"channel,row,column\", got \"%s\"",
        vpsde_safetensors_path(file), text);
}

vpsde_status vpsde_checkpoint_read_dim(size_t *dim, const vpsde_safetensors *file)
{
    size_t rank, shape[3];
    VPSDE_TRY(read_shape(&rank, shape, file));
    *dim = 1;
    for (size_t a = 0; a < rank; a++) VPSDE_TRY(vpsde_size_mul(dim, *dim, shape[a], "vpsde.shape"));
    return VPSDE_OK;
}

static vpsde_status read_betas(vpsde_model *model, const vpsde_safetensors *file)
{
    const vpsde_tensor *const betas = vpsde_safetensors_find(file, VPSDE_CHECKPOINT_BETAS);
    if (!betas || strcmp(betas->dtype, "F64") != 0 || betas->rank != 1) {
        return vpsde_fail(VPSDE_EDATA, "%s: tensor %s: expected a float64 vector",
                          vpsde_safetensors_path(file), VPSDE_CHECKPOINT_BETAS);
    }
    VPSDE_TRY(vpsde_alloc(&model->process_betas, betas->count, sizeof(double)));
    memcpy(model->process_betas, betas->data, betas->count * sizeof(double));
    model->process.betas = model->process_betas;
    model->process.n_betas = betas->count;
    return VPSDE_OK;
}

/* The message of a refused specification, in the words of a file that does not fit. */
static vpsde_status refuse(const vpsde_safetensors *file, vpsde_status status)
{
    return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_EDATA : status, "%s: vpsde.schedule",
                         vpsde_safetensors_path(file));
}

static vpsde_status read_process(vpsde_model *model, const vpsde_safetensors *file)
{
    vpsde_process_spec *const spec = &model->process;
    const char *const name = vpsde_safetensors_metadata(file, "vpsde.schedule");
    vpsde_status status;
    if (!name) return VPSDE_OK;
    if ((status = vpsde_process_spec_init(spec, name)) != VPSDE_OK) return refuse(file, status);
    const vpsde_param *const params = spec->schedule->params;
    for (size_t p = 0; p < vpsde_param_count(params); p++) {
        char key[VPSDE_CHECKPOINT_TEXT];
        double value;
        schedule_key(key, params[p].name);
        VPSDE_TRY(vpsde_checkpoint_read_number(&value, file, key));
        status = vpsde_param_set(spec->param, params, params[p].name, value);
        if (status != VPSDE_OK) return refuse(file, status);
    }
    if (spec->schedule->takes_betas) VPSDE_TRY(read_betas(model, file));
    VPSDE_TRY(vpsde_checkpoint_read_number(&spec->t_min, file, "vpsde.t_min"));
    VPSDE_TRY(vpsde_checkpoint_read_number(&spec->t_max, file, "vpsde.t_max"));
    VPSDE_TRY(vpsde_checkpoint_read_number(&spec->label_scale, file, "vpsde.label_scale"));
    VPSDE_TRY(vpsde_checkpoint_read_number(&spec->label_offset, file, "vpsde.label_offset"));
    vpsde_process *process;
    if ((status = vpsde_process_create(&process, spec)) != VPSDE_OK) return refuse(file, status);
    vpsde_process_destroy(process);
    return VPSDE_OK;
}

static vpsde_status read_prediction(vpsde_model *model, const vpsde_safetensors *file)
{
    const char *const word = vpsde_safetensors_metadata(file, VPSDE_CHECKPOINT_PREDICTION);
    if (!word) return VPSDE_OK;
    const int prediction = vpsde_prediction_find(word);
    if (prediction < 0) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: metadata " VPSDE_CHECKPOINT_PREDICTION
                          ": expected eps, x0, v or score, got \"%s\"",
                          vpsde_safetensors_path(file), word);
    }
    model->prediction = (vpsde_prediction)prediction;
    model->says_prediction = true;
    return VPSDE_OK;
}

vpsde_status vpsde_checkpoint_read_model(vpsde_model *model, const vpsde_safetensors *file)
{
    size_t dim;
    VPSDE_TRY(vpsde_checkpoint_read_dim(&dim, file));
    if (dim != model->dim) {
        return vpsde_fail(VPSDE_EDATA, "%s: metadata vpsde.shape has %zu values, the network %zu",
                          vpsde_safetensors_path(file), dim, model->dim);
    }
    VPSDE_TRY(read_shape(&model->rank, model->shape, file));
    VPSDE_TRY(read_prediction(model, file));
    VPSDE_TRY(read_process(model, file));
    (void)snprintf(model->sha256, sizeof(model->sha256), "%s", vpsde_safetensors_sha256(file));
    return VPSDE_OK;
}
