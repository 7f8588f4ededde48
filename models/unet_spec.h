/* What a UNet2DModel is made of: the fields of diffusers' config.json that decide its function. */
#ifndef VPSDE_MODELS_UNET_SPEC_H
#define VPSDE_MODELS_UNET_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

struct json_t; /* vpsde_json_in of core/json.h */

enum { VPSDE_UNET_LEVELS = 8 };

typedef enum vpsde_unet_block {
    VPSDE_UNET_PLAIN,  /* DownBlock2D, UpBlock2D */
    VPSDE_UNET_ATTN,   /* AttnDownBlock2D, AttnUpBlock2D */
    VPSDE_UNET_RESNET, /* ResnetDownsampleBlock2D, ResnetUpsampleBlock2D */
} vpsde_unet_block;

typedef enum vpsde_unet_time { VPSDE_UNET_POSITIONAL, VPSDE_UNET_FOURIER } vpsde_unet_time;

/* diffusers' names of vpsde_unet_block on the way down and up, ended by NULL. */
extern const char *const vpsde_unet_down_names[], *const vpsde_unet_up_names[];

/* Names are diffusers'. */
typedef struct vpsde_unet_spec {
    size_t height, width, in_channels, out_channels;
    size_t n_levels;
    size_t block_out_channels[VPSDE_UNET_LEVELS];
    vpsde_unet_block down_block[VPSDE_UNET_LEVELS];
    vpsde_unet_block up_block[VPSDE_UNET_LEVELS]; /* in the order they are run: deepest first */
    size_t layers_per_block;
    bool mid_attention;        /* add_attention */
    size_t attention_head_dim; /* 0: one head */
    size_t norm_num_groups;
    size_t attn_norm_num_groups; /* 0: as diffusers does where it is null */
    double norm_eps;
    vpsde_unet_time time;
    double freq_shift;
    bool flip_sin_to_cos;
    size_t downsample_padding;           /* 1, or 0: one row and column of zeros at the far ends */
    bool downsample_conv, upsample_conv; /* downsample_type, upsample_type: conv or resnet */
    bool scale_shift;                    /* resnet_time_scale_shift: scale_shift */
    double mid_block_scale_factor;       /* residual sums of the middle block are divided by it */
    bool center_input_sample;
    size_t num_class_embeds; /* 0: unconditional */
    bool class_timestep;     /* class_embed_type: timestep */
    bool null_class; /* the last of num_class_embeds means "no class" (ours; not diffusers') */
} vpsde_unet_spec;

/* 32, 64, 96 channels, one layer a block, attention at the lowest level, positional times; the image's
 * extents stay 0. */
void vpsde_unet_spec_init(vpsde_unet_spec *spec);

/* EINVAL naming the field that makes no network; its name (or NULL) in `field` too unless that is NULL. */
vpsde_status vpsde_unet_spec_check(const vpsde_unet_spec *spec, const char **field);

/* From the map of config.json and to its text; `where` names the file in messages. What vpsde cannot run
 * is EDATA with the field's name and value. The text is fresh memory to be freed. */
vpsde_status vpsde_unet_spec_parse(vpsde_unet_spec *spec, const struct json_t *config,
                                   const char *where);
vpsde_status vpsde_unet_spec_format(char **text, const vpsde_unet_spec *spec);

#endif
