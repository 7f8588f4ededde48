/* A UNet2DModel from the folder that diffusers' save_pretrained wrote. */
#include "models/diffusers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
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

/* `name` with the form that one of the two has for the other's; "" when it has neither. */
static void rename_part(char out[NAME], const char *name, bool to_old)
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        const char *const from = to_old ? renamed[i].now : renamed[i].before;
        const char *const at = strstr(name, from);
        if (!at || !strstr(name, "attentions.")) continue;
        (void)snprintf(out, NAME, "%.*s%s%s", (int)(at - name), name,
                       to_old ? renamed[i].before : renamed[i].now, at + strlen(from));
        return;
    }
}

static vpsde_status read_parameter(const void *files, const vpsde_parameter *p, float *out)
{
    const vpsde_safetensors_set *const set = files;
    char old[NAME];
    const char *name = p->name;
    if (!vpsde_safetensors_set_find(set, name)) {
        rename_part(old, name, true);
        if (!old[0] || !vpsde_safetensors_set_find(set, old)) {
            return vpsde_fail(VPSDE_EDATA,
                              "%s: tensor %s is missing; the network of config.json has one",
                              vpsde_safetensors_path(vpsde_safetensors_set_at(set, 0)), p->name);
        }
        name = old;
    }
    return vpsde_safetensors_read_f32(vpsde_safetensors_set_find(set, name), name, out, p->rank,
                                      p->dims);
}

typedef struct search {
    const vpsde_graph *graph;
    const vpsde_safetensors_set *set;
} search;

/* GaussianFourierProjection of diffusers up to 0.30 kept its frequencies twice, W beside weight. */
static bool is_known(const void *context, const char *name)
{
    const search *const in = context;
    char now[NAME];
    if (vpsde_graph_find(in->graph, name)) return true;
    if (strcmp(name, "time_proj.W") == 0) return vpsde_graph_find(in->graph, "time_proj.weight");
    rename_part(now, name, false);
    return vpsde_graph_find(in->graph, now) && !vpsde_safetensors_set_find(in->set, now);
}

static vpsde_status check_names(const vpsde_graph *graph, const vpsde_safetensors_set *set)
{
    const search in = {graph, set};
    for (size_t f = 0; f < vpsde_safetensors_set_files(set); f++) {
        VPSDE_TRY(vpsde_unet_check_names(vpsde_safetensors_set_at(set, f), is_known, &in));
    }
    return VPSDE_OK;
}

static vpsde_status read_spec(vpsde_unet_spec *spec, const char *path)
{
    vpsde_json_in *config;
    VPSDE_TRY(vpsde_json_in_load(&config, path));
    const vpsde_status status = vpsde_unet_spec_parse(spec, config, path);
    vpsde_json_in_free(config);
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
    VPSDE_TRY(check_names(vpsde_unet_graph(model), set));
    VPSDE_TRY(read_process(model, files->scheduler));
    memcpy(model->sha256, vpsde_safetensors_set_sha256(set), sizeof(model->sha256));
    return vpsde_unet_ready(model);
}

static vpsde_status build(vpsde_model **out, const vpsde_unet_spec *spec,
                          const vpsde_safetensors_set *set, const vpsde_diffusers_files *files)
{
    vpsde_model *model;
    const vpsde_unet_store store = {.read = read_parameter, .files = set};
    vpsde_status status = vpsde_unet_wrap(&model, spec, &store);
    if (status == VPSDE_EINVAL) return vpsde_fail_in(VPSDE_EDATA, "%s", files->config);
    VPSDE_TRY(status);
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
