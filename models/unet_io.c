/* Checkpoints of the network: float32 tensors by diffusers' names, its config.json in the metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "models/checkpoint.h"
#include "models/unet_net.h"

static const char config_key[] = "vpsde.config";

vpsde_status vpsde_unet_check_names(const vpsde_safetensors *file,
                                    bool (*known)(const void *context, const char *name),
                                    const void *context)
{
    for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
        const char *const name = vpsde_safetensors_at(file, i)->name;
        if (known(context, name)) continue;
        return vpsde_fail(VPSDE_EDATA, "%s: tensor %.200s: a unet of its configuration has none",
                          vpsde_safetensors_path(file), name);
    }
    return VPSDE_OK;
}

static bool is_known(const void *graph, const char *name)
{
    return strcmp(name, VPSDE_CHECKPOINT_BETAS) == 0 || vpsde_graph_find(graph, name);
}

static vpsde_status read_parameter(const void *file, const vpsde_parameter *p, float *out)
{
    return vpsde_safetensors_read_f32(file, p->name, out, p->rank, p->dims);
}

static vpsde_status read_spec(vpsde_unet_spec *spec, const vpsde_safetensors *file)
{
    const char *const path = vpsde_safetensors_path(file);
    const char *const text = vpsde_safetensors_metadata(file, config_key);
    if (!text) return vpsde_fail(VPSDE_EDATA, "%s: metadata has no %s", path, config_key);
    char *where;
    VPSDE_TRY(vpsde_format(&where, "%s: metadata %s", path, config_key));
    vpsde_json_in *config;
    vpsde_status status = vpsde_json_in_read(&config, text, strlen(text), where);
    if (status == VPSDE_OK) {
        status = vpsde_unet_spec_parse(spec, config, where);
        vpsde_json_in_free(config);
    }
    free(where);
    return status;
}

static vpsde_status check_shape(const vpsde_model *model, const vpsde_safetensors *file)
{
    const vpsde_unet_spec *const spec = vpsde_unet_get_spec(model);
    if (model->rank == 3 && model->shape[0] == spec->in_channels &&
        model->shape[1] == spec->height && model->shape[2] == spec->width) {
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EDATA, "%s: metadata vpsde.shape: the network has %zu,%zu,%zu",
                      vpsde_safetensors_path(file), spec->in_channels, spec->height, spec->width);
}

vpsde_status vpsde_unet_load(vpsde_model **out, const vpsde_safetensors *file)
{
    vpsde_unet_spec spec;
    vpsde_model *model;
    *out = NULL;
    VPSDE_TRY(read_spec(&spec, file));
    const vpsde_unet_store store = {.read = read_parameter, .files = file};
    VPSDE_TRY(vpsde_unet_wrap(&model, &spec, &store));
    vpsde_status status = vpsde_unet_check_names(file, is_known, vpsde_unet_graph(model));
    if (status == VPSDE_OK) status = vpsde_checkpoint_read_model(model, file);
    if (status == VPSDE_OK) status = check_shape(model, file);
    if (status == VPSDE_OK) status = vpsde_unet_ready(model);
    if (status != VPSDE_OK) {
        vpsde_model_destroy(model);
        return status;
    }
    *out = model;
    return VPSDE_OK;
}

static vpsde_status write_file(const vpsde_model *model, vpsde_checkpoint *facts,
                               vpsde_tensor_out *tensors, const char *config, const char *path)
{
    const vpsde_graph *const graph = vpsde_unet_graph(model);
    const vpsde_parameter *p;
    size_t n = 0;
    vpsde_checkpoint_model(facts, model);
    facts->item[facts->n++] = (vpsde_metadata){.key = config_key, .value = config};
    for (; (p = vpsde_graph_parameter(graph, n)) != NULL; n++) {
        tensors[n] = (vpsde_tensor_out){.name = p->name,
                                        .dtype = "F32",
                                        .rank = p->rank,
                                        .data = vpsde_graph_parameters(graph) + p->offset};
        memcpy(tensors[n].dims, p->dims, p->rank * sizeof(*p->dims));
    }
    n += vpsde_checkpoint_betas(&tensors[n], model);
    return vpsde_safetensors_write(path, tensors, n, facts->item, facts->n);
}

vpsde_status vpsde_unet_save(const vpsde_model *model, const char *path)
{
    size_t n = 0;
    char *config = NULL;
    vpsde_checkpoint *facts = NULL;
    vpsde_tensor_out *tensors = NULL;
    while (vpsde_graph_parameter(vpsde_unet_graph(model), n)) n++;
    vpsde_status status = vpsde_unet_spec_format(&config, vpsde_unet_get_spec(model));
    if (status == VPSDE_OK) status = vpsde_alloc(&facts, 1, sizeof(*facts));
    if (status == VPSDE_OK) status = vpsde_alloc(&tensors, n + 1, sizeof(*tensors));
    if (status == VPSDE_OK) status = write_file(model, facts, tensors, config, path);
    free(tensors);
    free(facts);
    free(config);
    return status;
}
