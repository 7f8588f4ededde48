/* Checkpoints of the network: float32 tensors by diffusers' names, its config.json in the metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/checkpoint.h"
#include "models/unet_net.h"

static const char config_key[] = "vpsde.config";

static bool has_parameter(const vpsde_graph *graph, const char *name)
{
    const vpsde_parameter *p;
    for (size_t i = 0; (p = vpsde_graph_parameter(graph, i)) != NULL; i++) {
        if (strcmp(p->name, name) == 0) return true;
    }
    return false;
}

/* A tensor nobody asked for is a different network under the same name. */
static vpsde_status check_names(const vpsde_graph *graph, const vpsde_safetensors *file)
{
    for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
        const char *const name = vpsde_safetensors_at(file, i)->name;
        if (strcmp(name, VPSDE_CHECKPOINT_BETAS) == 0 || has_parameter(graph, name)) continue;
        return vpsde_fail(VPSDE_EDATA, "%s: tensor %s: a unet of its configuration has none",
                          vpsde_safetensors_path(file), name);
    }
    return VPSDE_OK;
}

static vpsde_status read_tensors(const vpsde_graph *graph, const vpsde_safetensors *file)
{
    const vpsde_parameter *p;
    VPSDE_TRY(check_names(graph, file));
    for (size_t i = 0; (p = vpsde_graph_parameter(graph, i)) != NULL; i++) {
        VPSDE_TRY(vpsde_safetensors_read_f32(
            file, p->name, vpsde_graph_parameters(graph) + p->offset, p->rank, p->dims));
    }
    return VPSDE_OK;
}

/* Sizes in the metadata cost memory: they must be those of tensors that are really there. */
static vpsde_status check_sizes(const vpsde_unet_spec *spec, const vpsde_safetensors *file)
{
    size_t in = spec->block_out_channels[0];
    for (size_t level = 0; level < spec->n_levels; level++) {
        const size_t out = spec->block_out_channels[level];
        char name[64];
        (void)snprintf(name, sizeof(name), "down_blocks.%zu.resnets.0.conv1.weight", level);
        const vpsde_tensor *const t = vpsde_safetensors_find(file, name);
        if (!t || t->rank != 4 || t->dims[0] != out || t->dims[1] != in) {
            return vpsde_fail(VPSDE_EDATA, "%s: tensor %s: expected (%zu, %zu, 3, 3) by %s",
                              vpsde_safetensors_path(file), name, out, in, config_key);
        }
        in = out;
    }
    const size_t per_resnet = 10, resnets = spec->n_levels * (2 * spec->layers_per_block + 1) + 2;
    if (vpsde_safetensors_count(file) < per_resnet * resnets) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: has %zu tensors; the %zu residual blocks of %s have %zu",
                          vpsde_safetensors_path(file), vpsde_safetensors_count(file), resnets,
                          config_key, per_resnet * resnets);
    }
    return VPSDE_OK;
}

static vpsde_status read_spec(vpsde_unet_spec *spec, const vpsde_safetensors *file)
{
    const char *const path = vpsde_safetensors_path(file);
    const char *const text = vpsde_safetensors_metadata(file, config_key);
    if (!text) return vpsde_fail(VPSDE_EDATA, "%s: metadata has no %s", path, config_key);
    char *where;
    VPSDE_TRY(vpsde_format(&where, "%s: metadata %s", path, config_key));
    vpsde_status status = vpsde_unet_spec_parse(spec, text, where);
    free(where);
    if (status != VPSDE_OK) return status;
    status = vpsde_unet_spec_check(spec);
    if (status == VPSDE_EINVAL) return vpsde_fail_in(VPSDE_EDATA, "%s", path);
    VPSDE_TRY(status);
    return check_sizes(spec, file);
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

vpsde_status unet_load(vpsde_model **out, const vpsde_safetensors *file)
{
    vpsde_unet_spec spec;
    vpsde_model *model;
    *out = NULL;
    VPSDE_TRY(read_spec(&spec, file));
    VPSDE_TRY(vpsde_unet_wrap(&model, &spec));
    vpsde_status status = read_tensors(vpsde_unet_graph(model), file);
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

vpsde_status unet_save(const vpsde_model *model, const char *path)
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
