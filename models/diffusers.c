/* A UNet2DModel from the folder that diffusers' save_pretrained wrote. */
#include "models/diffusers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/safetensors_set.h"

enum { NAME = VPSDE_LAYER_NAME };

/* diffusers below 0.12 named the attention's four matrices so
 * (_convert_deprecated_attention_blocks in src/diffusers/models/modeling_utils.py). */
static const struct {
    const char *now, *before;
} renamed[] = {{".to_q.", ".query."},
               {".to_k.", ".key."},
               {".to_v.", ".value."},
               {".to_out.0.", ".proj_attn."}};

/* The name before, or "" for a parameter that has none. */
static void old_name(char out[NAME], const char *name)
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        const char *const at = strstr(name, renamed[i].now);
        if (!at || !strstr(name, "attentions.")) continue;
        (void)snprintf(out, NAME, "%.*s%s%s", (int)(at - name), name, renamed[i].before,
                       at + strlen(renamed[i].now));
        return;
    }
}

/* The name under which the files hold a parameter; NULL: they do not. */
static const char *stored_name(char old[NAME], const vpsde_safetensors_set *set, const char *name)
{
    if (vpsde_safetensors_set_find(set, name)) return name;
    old_name(old, name);
    return old[0] && vpsde_safetensors_set_find(set, old) ? old : NULL;
}

/* GaussianFourierProjection of diffusers up to 0.30 kept its frequencies twice, W beside weight. */
static bool is_twin(const vpsde_safetensors_set *set, const char *name)
{
    return strcmp(name, "time_proj.W") == 0 && vpsde_safetensors_set_find(set, "time_proj.weight");
}

static bool is_asked_for(const vpsde_graph *graph, const vpsde_safetensors_set *set,
                         const char *name)
{
    const vpsde_parameter *p;
    char old[NAME];
    for (size_t i = 0; (p = vpsde_graph_parameter(graph, i)) != NULL; i++) {
        const char *const stored = stored_name(old, set, p->name);
        if (stored && strcmp(stored, name) == 0) return true;
    }
    return is_twin(set, name);
}

/* A tensor nobody asked for is a different network under the same name. */
static vpsde_status check_surplus(const vpsde_graph *graph, const vpsde_safetensors_set *set)
{
    for (size_t f = 0; f < vpsde_safetensors_set_files(set); f++) {
        const vpsde_safetensors *const file = vpsde_safetensors_set_at(set, f);
        for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
            const char *const name = vpsde_safetensors_at(file, i)->name;
            if (is_asked_for(graph, set, name)) continue;
            return vpsde_fail(VPSDE_EDATA, "%s: tensor %.200s: the network of config.json has none",
                              vpsde_safetensors_path(file), name);
        }
    }
    return VPSDE_OK;
}

static vpsde_status read_tensors(const vpsde_graph *graph, const vpsde_safetensors_set *set,
                                 const char *path)
{
    const vpsde_parameter *p;
    char old[NAME];
    for (size_t i = 0; (p = vpsde_graph_parameter(graph, i)) != NULL; i++) {
        const char *const name = stored_name(old, set, p->name);
        if (!name) {
            return vpsde_fail(VPSDE_EDATA,
                              "%s: tensor %s is missing; the network of config.json has one", path,
                              p->name);
        }
        VPSDE_TRY(vpsde_safetensors_read_f32(vpsde_safetensors_set_find(set, name), name,
                                             vpsde_graph_parameters(graph) + p->offset, p->rank,
                                             p->dims));
    }
    return check_surplus(graph, set);
}

/* Sizes in config.json cost memory: they must be those of tensors that are really there. */
static vpsde_status check_sizes(const vpsde_unet_spec *spec, const vpsde_safetensors_set *set,
                                const char *path)
{
    size_t in = spec->block_out_channels[0];
    for (size_t l = 0; l < spec->n_levels; l++) {
        const size_t out = spec->block_out_channels[l];
        char name[NAME];
        (void)snprintf(name, sizeof(name), "down_blocks.%zu.resnets.0.conv1.weight", l);
        const vpsde_safetensors *const file = vpsde_safetensors_set_find(set, name);
        const vpsde_tensor *const t = file ? vpsde_safetensors_find(file, name) : NULL;
        if (!t || t->rank != 4 || t->dims[0] != out || t->dims[1] != in) {
            return vpsde_fail(VPSDE_EDATA,
                              "%s: tensor %s: expected (%zu, %zu, 3, 3) by block_out_channels of "
                              "config.json",
                              path, name, out, in);
        }
        (void)snprintf(name, sizeof(name), "up_blocks.%zu.resnets.%zu.conv1.weight", l,
                       spec->layers_per_block);
        if (!vpsde_safetensors_set_find(set, name)) {
            return vpsde_fail(VPSDE_EDATA,
                              "%s: tensor %s is missing; config.json has layers_per_block %zu",
                              path, name, spec->layers_per_block);
        }
        in = out;
    }
    return VPSDE_OK;
}

static vpsde_status read_spec(vpsde_unet_spec *spec, const char *path)
{
    unsigned char *bytes;
    char *text;
    size_t size;
    VPSDE_TRY(vpsde_file_load(&bytes, &size, path));
    vpsde_status status = vpsde_alloc(&text, size + 1, 1);
    if (status == VPSDE_OK) {
        memcpy(text, bytes, size);
        status = vpsde_unet_spec_parse(spec, text, path);
        free(text);
    }
    free(bytes);
    return status;
}

/* The process takes the scheduler's betas over. */
static void take_process(vpsde_model *model, vpsde_diffusers_scheduler *s)
{
    model->process = s->process;
    model->process_betas = s->betas;
    model->prediction = s->prediction;
    model->says_prediction = s->class_name[0] != '\0';
    s->betas = NULL;
}

static vpsde_status read_process(vpsde_model *model, const char *path)
{
    vpsde_diffusers_scheduler s;
    VPSDE_TRY(path ? vpsde_diffusers_scheduler_load(&s, path) : vpsde_diffusers_scheduler_init(&s));
    take_process(model, &s);
    return VPSDE_OK;
}

static vpsde_status fill(vpsde_model *model, const vpsde_safetensors_set *set,
                         const vpsde_diffusers_files *files)
{
    VPSDE_TRY(read_tensors(vpsde_unet_graph(model), set, files->weights));
    VPSDE_TRY(read_process(model, files->scheduler));
    memcpy(model->sha256, vpsde_safetensors_set_sha256(set), sizeof(model->sha256));
    return vpsde_unet_ready(model);
}

static vpsde_status build(vpsde_model **out, const vpsde_unet_spec *spec,
                          const vpsde_safetensors_set *set, const vpsde_diffusers_files *files)
{
    vpsde_model *model;
    VPSDE_TRY(check_sizes(spec, set, files->weights));
    vpsde_status status = vpsde_unet_wrap(&model, spec);
    if (status != VPSDE_OK) {
        return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_EDATA : status, "%s", files->config);
    }
    status = fill(model, set, files);
    if (status != VPSDE_OK) {
        vpsde_model_destroy(model);
        return status;
    }
    *out = model;
    return VPSDE_OK;
}

static vpsde_status open_files(vpsde_model **out, const vpsde_diffusers_files *files)
{
    vpsde_unet_spec spec;
    vpsde_safetensors_set *set;
    VPSDE_TRY(read_spec(&spec, files->config));
    VPSDE_TRY(vpsde_safetensors_set_open(&set, files->weights));
    const vpsde_status status = build(out, &spec, set, files);
    vpsde_safetensors_set_close(set);
    return status;
}

vpsde_status vpsde_diffusers_open(vpsde_model **out, const char *folder)
{
    vpsde_diffusers_files files;
    *out = NULL;
    VPSDE_TRY(vpsde_diffusers_find(&files, folder));
    const vpsde_status status = open_files(out, &files);
    vpsde_diffusers_files_clear(&files);
    return status;
}
