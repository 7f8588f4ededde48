/* Checkpoints of the network: float32 tensors by PyTorch's names, sizes in the metadata. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/checkpoint.h"
#include "models/mlp_net.h"

/* A tensor nobody asked for is a different network under the same name. */
static vpsde_status check_names(const mlp_net *net, const vpsde_safetensors *file)
{
    for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
        const vpsde_tensor *const t = vpsde_safetensors_at(file, i);
        bool known = strcmp(t->name, VPSDE_CHECKPOINT_BETAS) == 0;
        for (size_t p = 0; !known && p < net->n_tensors; p++) {
            known = strcmp(t->name, net->tensor[p].name) == 0;
        }
        if (!known) {
            return vpsde_fail(VPSDE_EDATA, "%s: tensor %s: an mlp of %zu layers has none",
                              vpsde_safetensors_path(file), t->name, net->layers);
        }
    }
    return VPSDE_OK;
}

static vpsde_status read_tensors(mlp_net *net, const vpsde_safetensors *file)
{
    VPSDE_TRY(check_names(net, file));
    for (size_t p = 0; p < net->n_tensors; p++) {
        const mlp_tensor *const t = &net->tensor[p];
        const size_t dims[] = {t->rows, t->cols};
        VPSDE_TRY(
            vpsde_safetensors_read_f32(file, t->name, net->weights + t->offset, t->rank, dims));
    }
    return VPSDE_OK;
}

static vpsde_status read_spec(vpsde_mlp_spec *spec, const vpsde_safetensors *file)
{
    VPSDE_TRY(vpsde_checkpoint_read_dim(&spec->dim, file));
    VPSDE_TRY(vpsde_checkpoint_read_size(&spec->hidden, file, "vpsde.hidden", 8192));
    VPSDE_TRY(vpsde_checkpoint_read_size(&spec->layers, file, "vpsde.layers", MLP_LAYERS_MAX));
    return vpsde_checkpoint_read_size(&spec->time_features, file, "vpsde.time_features", 8192);
}

/* Sizes in the metadata cost memory: they must be those of tensors that are really there. */
static vpsde_status check_sizes(const vpsde_mlp_spec *spec, const vpsde_safetensors *file)
{
    const vpsde_tensor *const input = vpsde_safetensors_find(file, "input.weight");
    const vpsde_tensor *const time = vpsde_safetensors_find(file, "time.0.weight");
    if (input && input->rank == 2 && input->dims[0] == spec->hidden &&
        input->dims[1] == spec->dim && time && time->rank == 2 && time->dims[0] == spec->hidden &&
        time->dims[1] == spec->time_features &&
        vpsde_safetensors_count(file) >= MLP_PER_LAYER * spec->layers) {
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EDATA,
                      "%s: tensors input.weight and time.0.weight: expected (%zu, %zu) and "
                      "(%zu, %zu), and %zu layers",
                      vpsde_safetensors_path(file), spec->hidden, spec->dim, spec->hidden,
                      spec->time_features, spec->layers);
}

vpsde_status mlp_load(vpsde_model **out, const vpsde_safetensors *file)
{
    vpsde_mlp_spec spec = {0};
    mlp_net *net;
    vpsde_model *model;
    *out = NULL;
    VPSDE_TRY(read_spec(&spec, file));
    VPSDE_TRY(check_sizes(&spec, file));
    vpsde_status status = mlp_net_create(&net, &spec);
    if (status != VPSDE_OK) {
        return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_EDATA : status, "%s",
                             vpsde_safetensors_path(file));
    }
    VPSDE_TRY(mlp_wrap(&model, net));
    status = read_tensors(net, file);
    if (status == VPSDE_OK) status = vpsde_checkpoint_read_model(model, file);
    if (status != VPSDE_OK) {
        vpsde_model_destroy(model);
        return status;
    }
    *out = model;
    return VPSDE_OK;
}

vpsde_status mlp_save(const vpsde_model *model, const char *path)
{
    const mlp_net *const net = model->impl;
    vpsde_checkpoint *facts;
    vpsde_tensor_out *tensors;
    VPSDE_TRY(vpsde_alloc(&facts, 1, sizeof(*facts)));
    vpsde_status status = vpsde_alloc(&tensors, net->n_tensors + 1, sizeof(*tensors));
    if (status != VPSDE_OK) {
        free(facts);
        return status;
    }
    vpsde_checkpoint_model(facts, model);
    vpsde_checkpoint_number(facts, "vpsde.hidden", (double)net->hidden);
    vpsde_checkpoint_number(facts, "vpsde.layers", (double)net->layers);
    vpsde_checkpoint_number(facts, "vpsde.time_features", (double)net->features);
    for (size_t p = 0; p < net->n_tensors; p++) {
        const mlp_tensor *const t = &net->tensor[p];
        tensors[p] = (vpsde_tensor_out){.name = t->name,
                                        .dtype = "F32",
                                        .rank = t->rank,
                                        .dims = {t->rows, t->cols},
                                        .data = net->weights + t->offset};
    }
    const size_t n = net->n_tensors + vpsde_checkpoint_betas(&tensors[net->n_tensors], model);
    status = vpsde_safetensors_write(path, tensors, n, facts->item, facts->n);
    free(tensors);
    free(facts);
    return status;
}
