/* Which specifications make a network. */
#include <math.h>

#include "models/unet_net.h"

void vpsde_unet_spec_init(vpsde_unet_spec *spec)
{
    *spec = (vpsde_unet_spec){.in_channels = 1,
                              .out_channels = 1,
                              .n_levels = 3,
                              .block_out_channels = {32, 64, 96},
                              .down_block = {[2] = VPSDE_UNET_ATTN},
                              .up_block = {[0] = VPSDE_UNET_ATTN},
                              .layers_per_block = 1,
                              .mid_attention = true,
                              .norm_num_groups = 8,
                              .norm_eps = 1e-5,
                              .flip_sin_to_cos = true,
                              .downsample_padding = 1,
                              .downsample_conv = true,
                              .upsample_conv = true,
                              .mid_block_scale_factor = 1};
}

static vpsde_status check_size(const char *name, size_t value, size_t max)
{
    if (value >= 1 && value <= max) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "%s: must be in [1, %zu], got %zu", name, max, value);
}

static vpsde_status check_image(const vpsde_unet_spec *spec)
{
    const size_t multiple = (size_t)1 << (spec->n_levels - 1);
    VPSDE_TRY(check_size("sample_size (height)", spec->height, UNET_SIDE_MAX));
    VPSDE_TRY(check_size("sample_size (width)", spec->width, UNET_SIDE_MAX));
    VPSDE_TRY(check_size("in_channels", spec->in_channels, UNET_CHANNELS_MAX));
    if (spec->height % multiple != 0 || spec->width % multiple != 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "sample_size: %zu levels need sides that are multiples of %zu, got %zu x "
                          "%zu",
                          spec->n_levels, multiple, spec->height, spec->width);
    }
    if (spec->out_channels != spec->in_channels && spec->out_channels != 2 * spec->in_channels) {
        return vpsde_fail(
            VPSDE_EINVAL,
            "out_channels: must be in_channels (%zu), or twice as many with variances "
            "beside, got %zu",
            spec->in_channels, spec->out_channels);
    }
    return VPSDE_OK;
}

static vpsde_status check_attention(const vpsde_unet_spec *spec, size_t channels)
{
    if (spec->attention_head_dim == 0 || channels % spec->attention_head_dim == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "attention_head_dim: must divide the %zu channels, got %zu",
                      channels, spec->attention_head_dim);
}

static vpsde_status check_level(const vpsde_unet_spec *spec, size_t level)
{
    const size_t channels = spec->block_out_channels[level];
    const vpsde_unet_block down = spec->down_block[level];
    const vpsde_unet_block up = spec->up_block[spec->n_levels - 1 - level];
    VPSDE_TRY(check_size("block_out_channels", channels, UNET_CHANNELS_MAX));
    if (channels % spec->norm_num_groups != 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "norm_num_groups: must divide every number of block_out_channels, got "
                          "%zu for %zu channels",
                          spec->norm_num_groups, channels);
    }
    if (down > VPSDE_UNET_RESNET || up > VPSDE_UNET_RESNET) {
        return vpsde_fail(VPSDE_EINVAL, "%s: level %zu has an unknown kind, %u",
                          down > VPSDE_UNET_RESNET ? "down_block_types" : "up_block_types", level,
                          (unsigned)(down > VPSDE_UNET_RESNET ? down : up));
    }
    if (down == VPSDE_UNET_ATTN || up == VPSDE_UNET_ATTN) return check_attention(spec, channels);
    return VPSDE_OK;
}

static vpsde_status check_middle(const vpsde_unet_spec *spec)
{
    const size_t channels = spec->block_out_channels[spec->n_levels - 1];
    const size_t groups = spec->attn_norm_num_groups;
    if (!(spec->mid_block_scale_factor > 0 && isfinite(spec->mid_block_scale_factor))) {
        return vpsde_fail(VPSDE_EINVAL, "mid_block_scale_factor: must be positive, got %g",
                          spec->mid_block_scale_factor);
    }
    if (!spec->mid_attention) return VPSDE_OK;
    if (groups > 0 && channels % groups != 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "attn_norm_num_groups: must divide the %zu channels of the middle, got "
                          "%zu",
                          channels, groups);
    }
    return check_attention(spec, channels);
}

static vpsde_status check_time(const vpsde_unet_spec *spec)
{
    const size_t channels = spec->block_out_channels[0];
    if (spec->time > VPSDE_UNET_FOURIER) {
        return vpsde_fail(VPSDE_EINVAL, "time_embedding_type: unknown kind, %u",
                          (unsigned)spec->time);
    }
    if (spec->time == VPSDE_UNET_FOURIER) return VPSDE_OK;
    if (channels % 2 != 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "block_out_channels: positional times need an even first number, got %zu",
                          channels);
    }
    if (!(spec->freq_shift >= 0 && spec->freq_shift < (double)channels / 2)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "freq_shift: must be in [0, %zu), half of the first block_out_channels, "
                          "got %g",
                          channels / 2, spec->freq_shift);
    }
    return VPSDE_OK;
}

static vpsde_status check_classes(const vpsde_unet_spec *spec)
{
    if (spec->num_class_embeds > UNET_CLASSES_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "num_class_embeds: must be at most %d, got %zu",
                          (int)UNET_CLASSES_MAX, spec->num_class_embeds);
    }
    if (spec->class_timestep && spec->num_class_embeds == 0) {
        return vpsde_fail(
            VPSDE_EINVAL,
            "class_embed_type: timestep needs num_class_embeds, the number of classes");
    }
    if (spec->class_timestep && spec->time == VPSDE_UNET_FOURIER) {
        return vpsde_fail(VPSDE_EINVAL,
                          "class_embed_type: timestep needs positional times; with Fourier ones "
                          "class 0 has log 0");
    }
    if (spec->null_class && spec->num_class_embeds < 2) {
        return vpsde_fail(VPSDE_EINVAL,
                          "num_class_embeds: a null class needs at least one class beside it, got "
                          "%zu in all",
                          spec->num_class_embeds);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_unet_spec_check(const vpsde_unet_spec *spec)
{
    VPSDE_TRY(check_size("block_out_channels (levels)", spec->n_levels, VPSDE_UNET_LEVELS));
    VPSDE_TRY(check_size("layers_per_block", spec->layers_per_block, UNET_LAYERS_MAX));
    VPSDE_TRY(check_size("norm_num_groups", spec->norm_num_groups, UNET_CHANNELS_MAX));
    VPSDE_TRY(check_image(spec));
    for (size_t l = 0; l < spec->n_levels; l++) VPSDE_TRY(check_level(spec, l));
    VPSDE_TRY(check_middle(spec));
    VPSDE_TRY(check_time(spec));
    if (!(spec->norm_eps > 0 && isfinite(spec->norm_eps))) {
        return vpsde_fail(VPSDE_EINVAL, "norm_eps: must be positive, got %g", spec->norm_eps);
    }
    if (spec->downsample_padding > 1) {
        return vpsde_fail(VPSDE_EINVAL, "downsample_padding: must be 0 or 1, got %zu",
                          spec->downsample_padding);
    }
    return check_classes(spec);
}
