/* config.json of a network, as UNet2DModel.from_config reads it. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/number.h"
#include "models/unet_spec.h"

enum { TEXT = 32, LIST = 32 * VPSDE_UNET_LEVELS };

static const char *truth(bool value) { return value ? "true" : "false"; }

static const char *real(char out[TEXT], double value)
{
    vpsde_format_real(out, TEXT, value, 1);
    return out;
}

/* 0 stands for null. */
static const char *whole(char out[TEXT], size_t value)
{
    (void)snprintf(out, TEXT, value > 0 ? "%zu" : "null", value);
    return out;
}

static const char *blocks(char out[LIST], const vpsde_unet_block *block, size_t n,
                          const char *const *names)
{
    size_t used = 0;
    for (size_t l = 0; l < n; l++) {
        used +=
            (size_t)snprintf(out + used, LIST - used, "%s\"%s\"", l ? ", " : "", names[block[l]]);
    }
    return out;
}

static const char *channels(char out[LIST], const vpsde_unet_spec *spec)
{
    size_t used = 0;
    for (size_t l = 0; l < spec->n_levels; l++) {
        used += (size_t)snprintf(out + used, LIST - used, l ? ", %zu" : "%zu",
                                 spec->block_out_channels[l]);
    }
    return out;
}

static const char *sides(char out[2 * TEXT], const vpsde_unet_spec *spec)
{
    if (spec->height == spec->width) {
        (void)snprintf(out, 2 * TEXT, "%zu", spec->height);
    } else {
        (void)snprintf(out, 2 * TEXT, "[%zu, %zu]", spec->height, spec->width);
    }
    return out;
}

static vpsde_status format_blocks(char **text, const vpsde_unet_spec *spec)
{
    char list[3][LIST], head[TEXT], factor[TEXT];
    return vpsde_format(text,
                        "  \"down_block_types\": [%s],\n  \"up_block_types\": [%s],\n"
                        "  \"block_out_channels\": [%s],\n  \"layers_per_block\": %zu,\n"
                        "  \"mid_block_scale_factor\": %s,\n  \"downsample_padding\": %zu,\n"
                        "  \"downsample_type\": \"%s\",\n  \"upsample_type\": \"%s\",\n"
                        "  \"add_attention\": %s,\n  \"attention_head_dim\": %s",
                        blocks(list[0], spec->down_block, spec->n_levels, vpsde_unet_down_names),
                        blocks(list[1], spec->up_block, spec->n_levels, vpsde_unet_up_names),
                        channels(list[2], spec), spec->layers_per_block,
                        real(factor, spec->mid_block_scale_factor), spec->downsample_padding,
                        spec->downsample_conv ? "conv" : "resnet",
                        spec->upsample_conv ? "conv" : "resnet", truth(spec->mid_attention),
                        whole(head, spec->attention_head_dim));
}

vpsde_status vpsde_unet_spec_format(char **text, const vpsde_unet_spec *spec)
{
    char side[2 * TEXT], shift[TEXT], eps[TEXT], groups[TEXT], classes[TEXT];
    char *body;
    VPSDE_TRY(vpsde_unet_spec_check(spec, NULL));
    VPSDE_TRY(format_blocks(&body, spec));
    const vpsde_status status = vpsde_format(
        text,
        "{\n  \"_class_name\": \"UNet2DModel\",\n  \"_diffusers_version\": \"0.30.3\",\n"
        "%s  \"sample_size\": %s,\n  \"in_channels\": %zu,\n"
        "  \"out_channels\": %zu,\n  \"center_input_sample\": %s,\n"
        "  \"time_embedding_type\": \"%s\",\n  \"freq_shift\": %s,\n  \"flip_sin_to_cos\": %s,\n"
        "%s,\n  \"act_fn\": \"silu\",\n  \"norm_num_groups\": %zu,\n"
        "  \"attn_norm_num_groups\": %s,\n  \"norm_eps\": %s,\n"
        "  \"resnet_time_scale_shift\": \"%s\",\n  \"class_embed_type\": %s,\n"
        "  \"num_class_embeds\": %s\n}\n",
        spec->null_class ? "  \"_vpsde_null_class\": true,\n" : "", sides(side, spec),
        spec->in_channels, spec->out_channels, truth(spec->center_input_sample),
        spec->time == VPSDE_UNET_FOURIER ? "fourier" : "positional", real(shift, spec->freq_shift),
        truth(spec->flip_sin_to_cos), body, spec->norm_num_groups,
        whole(groups, spec->attn_norm_num_groups), real(eps, spec->norm_eps),
        spec->scale_shift ? "scale_shift" : "default",
        spec->class_timestep ? "\"timestep\"" : "null", whole(classes, spec->num_class_embeds));
    free(body);
    return status;
}
