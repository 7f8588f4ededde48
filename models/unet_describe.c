/* A U-Net in words: levels, attention, time, classes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/unet_net.h"

static void print_levels(FILE *f, const vpsde_unet_spec *spec)
{
    fprintf(f, "network      UNet2DModel, %zu levels of %zu residual block%s\n", spec->n_levels,
            spec->layers_per_block, spec->layers_per_block == 1 ? "" : "s");
    for (size_t l = 0; l < spec->n_levels; l++) {
        fprintf(f, "    %4zu x %-4zu %4zu channels  %s, %s\n", spec->height >> l, spec->width >> l,
                spec->block_out_channels[l], vpsde_unet_down_names[spec->down_block[l]],
                vpsde_unet_up_names[spec->up_block[spec->n_levels - 1 - l]]);
    }
}

static void print_attention(FILE *f, const vpsde_unet_spec *spec)
{
    size_t levels = 0;
    for (size_t l = 0; l < spec->n_levels; l++) {
        levels += spec->down_block[l] == VPSDE_UNET_ATTN;
        levels += spec->up_block[l] == VPSDE_UNET_ATTN;
    }
    fprintf(f, "attention    ");
    if (levels == 0 && !spec->mid_attention) {
        fprintf(f, "none\n");
        return;
    }
    fprintf(f, "%zu block%s", levels, levels == 1 ? "" : "s");
    if (spec->mid_attention) fprintf(f, " and the middle");
    if (spec->attention_head_dim > 0) {
        fprintf(f, ", heads of %zu channels\n", spec->attention_head_dim);
    } else {
        fprintf(f, ", one head\n");
    }
}

static void print_conditions(FILE *f, const vpsde_unet_spec *spec)
{
    if (spec->time == VPSDE_UNET_FOURIER) {
        fprintf(f, "time         fourier, the output divided by the time\n");
    } else {
        fprintf(f, "time         positional, %s first, frequency shift %g\n",
                spec->flip_sin_to_cos ? "cosine" : "sine", spec->freq_shift);
    }
    if (spec->num_class_embeds == 0) {
        fprintf(f, "classes      none\n");
        return;
    }
    fprintf(f, "classes      %zu%s%s\n", spec->num_class_embeds - (spec->null_class ? 1 : 0),
            spec->null_class ? " and none" : "", spec->class_timestep ? ", embedded as times" : "");
}

vpsde_status vpsde_unet_describe(char **lines, const vpsde_model *model)
{
    const vpsde_unet_spec *const spec = vpsde_unet_get_spec(model);
    char *text = NULL;
    size_t size;
    *lines = NULL;
    FILE *f = open_memstream(&text, &size);
    if (!f) return vpsde_fail(VPSDE_ENOMEM, "cannot hold a description: %s", strerror(errno));
    print_levels(f, spec);
    print_attention(f, spec);
    print_conditions(f, spec);
    if (spec->out_channels > spec->in_channels) fprintf(f, "variances    predicted\n");
    fprintf(
        f, "compute      float32; with model.compute: bf16 rounded as a bfloat16 network is, at no "
           "gain of speed\n");
    const bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed || !text) {
        free(text);
        return vpsde_fail(VPSDE_ENOMEM, "cannot hold a description: out of memory");
    }
    *lines = text;
    return VPSDE_OK;
}
