/* Which files make a diffusers model: of the folder itself, or of a pipeline's unet/ and scheduler/. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/safetensors_set.h"
#include "models/diffusers.h"

static const char weights[] = "diffusion_pytorch_model";

bool vpsde_is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* FOLDER/NAME in fresh memory where there is such a file; NULL where not. */
static vpsde_status find(char **out, const char *folder, const char *name)
{
    VPSDE_TRY(vpsde_format(out, "%s/%s", folder, name));
    bool there;
    const vpsde_status status = vpsde_file_is_there(&there, *out);
    if (status == VPSDE_OK && there) return VPSDE_OK;
    free(*out);
    *out = NULL;
    return status;
}

static vpsde_status no_weights(const char *folder)
{
    char *bin;
    VPSDE_TRY(find(&bin, folder, "diffusion_pytorch_model.bin"));
    if (!bin) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: no %s.safetensors, nor .safetensors.index.json, nor "
                          ".fp16.safetensors; expected the weights of config.json",
                          folder, weights);
    }
    free(bin);
    return vpsde_fail(VPSDE_EDATA,
                      "%s: only %s.bin, which is Python code; convert it once with Python: from "
                      "diffusers import UNet2DModel; "
                      "UNet2DModel.from_pretrained('%s').save_pretrained('%s')",
                      folder, weights, folder, folder);
}

static vpsde_status find_weights(char **out, const char *folder)
{
    static const char *const suffixes[] = {".safetensors", ".safetensors.index.json",
                                           ".fp16.safetensors"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s%s", weights, suffixes[i]);
        VPSDE_TRY(find(out, folder, name));
        if (*out) return VPSDE_OK;
    }
    return no_weights(folder);
}

/* ../scheduler is a pipeline's only when the folder is its unet. */
static bool is_unet(const char *folder)
{
    char path[PATH_MAX];
    const char *const slash = realpath(folder, path) ? strrchr(path, '/') : NULL;
    return slash && strcmp(slash, "/unet") == 0;
}

static vpsde_status find_scheduler(char **out, const char *folder)
{
    VPSDE_TRY(find(out, folder, "scheduler_config.json"));
    if (!*out) VPSDE_TRY(find(out, folder, "scheduler/scheduler_config.json"));
    if (*out || !is_unet(folder)) return VPSDE_OK;
    return find(out, folder, "../scheduler/scheduler_config.json");
}

static vpsde_status find_all(vpsde_diffusers_files *files, const char *folder)
{
    VPSDE_TRY(find(&files->config, folder, "config.json"));
    if (files->config) {
        VPSDE_TRY(find_scheduler(&files->scheduler, folder));
        return find_weights(&files->weights, folder);
    }
    char *unet;
    VPSDE_TRY(vpsde_format(&unet, "%s/unet", folder));
    vpsde_status status = find(&files->config, unet, "config.json");
    if (status == VPSDE_OK && !files->config) {
        status = vpsde_fail(VPSDE_EDATA,
                            "%s: neither config.json nor unet/config.json; expected a folder "
                            "written by save_pretrained of diffusers, or a .safetensors file",
                            folder);
    }
    if (status == VPSDE_OK) status = find_scheduler(&files->scheduler, folder);
    if (status == VPSDE_OK && !files->scheduler) {
        status = find(&files->scheduler, unet, "scheduler_config.json");
    }
    if (status == VPSDE_OK) status = find_weights(&files->weights, unet);
    free(unet);
    return status;
}

vpsde_status vpsde_diffusers_find(vpsde_diffusers_files *files, const char *folder)
{
    size_t length = strlen(folder);
    char *plain;
    *files = (vpsde_diffusers_files){0};
    while (length > 1 && folder[length - 1] == '/') length--;
    VPSDE_TRY(vpsde_format(&plain, "%.*s", (int)length, folder));
    const vpsde_status status = find_all(files, plain);
    if (status != VPSDE_OK) vpsde_diffusers_files_clear(files);
    free(plain);
    return status;
}

void vpsde_diffusers_files_clear(vpsde_diffusers_files *files)
{
    free(files->config);
    free(files->weights);
    free(files->scheduler);
    *files = (vpsde_diffusers_files){0};
}

vpsde_status vpsde_diffusers_sha256(char hex[65], const char *folder)
{
    vpsde_diffusers_files files;
    vpsde_safetensors_set *set;
    VPSDE_TRY(vpsde_diffusers_find(&files, folder));
    const vpsde_status status = vpsde_safetensors_set_open(&set, files.weights);
    vpsde_diffusers_files_clear(&files);
    VPSDE_TRY(status);
    memcpy(hex, vpsde_safetensors_set_sha256(set), 65);
    vpsde_safetensors_set_close(set);
    return VPSDE_OK;
}
