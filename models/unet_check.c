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

static vpsde_status check_size(size_t value, size_t max)
{
    if (value >= 1 && value <= max) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "must be in [1, %zu], got %zu", max, value);
}

static vpsde_status check_real(double value)
{
    if (value > 0 && isfinite(value)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "must be positive, got %g", value);
}

static vpsde_status check_channels(const vpsde_unet_spec *spec)
{
    if (spec->n_levels < 1 || spec->n_levels > VPSDE_UNET_LEVELS) {
        return vpsde_fail(VPSDE_EINVAL, "must have 1 to %d levels, got %zu", VPSDE_UNET_LEVELS,
                          spec->n_levels);
    }
    for (size_t l = 0; l < spec->n_levels; l++) {
        VPSDE_TRY(check_size(spec->block_out_channels[l], UNET_CHANNELS_MAX));
    }
    if (spec->time != VPSDE_UNET_POSITIONAL || spec->block_out_channels[0] % 2 == 0) {
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EINVAL, "positional times need an even first number, got %zu",
                      spec->block_out_channels[0]);
}

static vpsde_status check_layers(const vpsde_unet_spec *spec)
{
    return check_size(spec->layers_per_block, UNET_LAYERS_MAX);
}

static vpsde_status check_groups(const vpsde_unet_spec *spec)
{
    VPSDE_TRY(check_size(spec->norm_num_groups, UNET_CHANNELS_MAX));
    for (size_t l = 0; l < spec->n_levels; l++) {
        const size_t channels = spec->block_out_channels[l];
        if (channels % spec->norm_num_groups == 0) continue;
        return vpsde_fail(
            VPSDE_EINVAL,
            "must divide every number of block_out_channels, got %zu for %zu channels",
            spec->norm_num_groups, channels);
    }
    return VPSDE_OK;
}

static vpsde_status check_sides(const vpsde_unet_spec *spec)
{
    const size_t multiple = (size_t)1 << (spec->n_levels - 1);
    VPSDE_TRY(check_size(spec->height, UNET_SIDE_MAX));
    VPSDE_TRY(check_size(spec->width, UNET_SIDE_MAX));
    if (spec->height % multiple == 0 && spec->width % multiple == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "%zu levels need sides that are multiples of %zu, got %zu x %zu",
                      spec->n_levels, multiple, spec->height, spec->width);
}

static vpsde_status check_in(const vpsde_unet_spec *spec)
{
    return check_size(spec->in_channels, UNET_CHANNELS_MAX);
}

static vpsde_status check_out(const vpsde_unet_spec *spec)
{
    if (spec->out_channels == spec->in_channels || spec->out_channels == 2 * spec->in_channels) {
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EINVAL,
                      "must be in_channels (%zu), or twice as many with variances beside, got %zu",
                      spec->in_channels, spec->out_channels);
}

static vpsde_status check_blocks(const vpsde_unet_block *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (block[i] <= VPSDE_UNET_RESNET) continue;
        return vpsde_fail(VPSDE_EINVAL, "entry %zu has an unknown kind, %u", i, (unsigned)block[i]);
    }
    return VPSDE_OK;
}

static vpsde_status check_down(const vpsde_unet_spec *spec)
{
    return check_blocks(spec->down_block, spec->n_levels);
}

static vpsde_status check_up(const vpsde_unet_spec *spec)
{
    return check_blocks(spec->up_block, spec->n_levels);
}

static vpsde_status check_heads(const vpsde_unet_spec *spec)
{
    for (size_t l = 0; spec->attention_head_dim > 0 && l < spec->n_levels; l++) {
        const size_t last = spec->n_levels - 1, channels = spec->block_out_channels[l];
        const bool has = spec->down_block[l] == VPSDE_UNET_ATTN ||
                         spec->up_block[last - l] == VPSDE_UNET_ATTN ||
                         (l == last && spec->mid_attention);
        if (!has || channels % spec->attention_head_dim == 0) continue;
        return vpsde_fail(VPSDE_EINVAL, "must divide the %zu channels, got %zu", channels,
                          spec->attention_head_dim);
    }
    return VPSDE_OK;
}

static vpsde_status check_factor(const vpsde_unet_spec *spec)
{
    return check_real(spec->mid_block_scale_factor);
}

static vpsde_status check_middle(const vpsde_unet_spec *spec)
{
    const size_t channels = spec->block_out_channels[spec->n_levels - 1];
    const size_t groups = spec->attn_norm_num_groups;
    if (!spec->mid_attention || groups == 0 || channels % groups == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "must divide the %zu channels of the middle, got %zu", channels,
                      groups);
}

static vpsde_status check_time(const vpsde_unet_spec *spec)
{
    if (spec->time <= VPSDE_UNET_FOURIER) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "unknown kind, %u", (unsigned)spec->time);
}

static vpsde_status check_shift(const vpsde_unet_spec *spec)
{
    const size_t half = spec->block_out_channels[0] / 2;
    if (spec->time != VPSDE_UNET_POSITIONAL) return VPSDE_OK;
    if (spec->freq_shift >= 0 && spec->freq_shift < (double)half) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "must be in [0, %zu), half of the first block_out_channels, got %g", half,
                      spec->freq_shift);
}

static vpsde_status check_eps(const vpsde_unet_spec *spec) { return check_real(spec->norm_eps); }

static vpsde_status check_padding(const vpsde_unet_spec *spec)
{
    if (spec->downsample_padding <= 1) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "must be 0 or 1, got %zu", spec->downsample_padding);
}

static vpsde_status check_embedding(const vpsde_unet_spec *spec)
{
    if (!spec->class_timestep) return VPSDE_OK;
    if (spec->num_class_embeds == 0) {
        return vpsde_fail(VPSDE_EINVAL, "timestep needs num_class_embeds, the number of classes");
    }
    if (spec->time != VPSDE_UNET_FOURIER) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "timestep needs positional times; with Fourier ones class 0 has log 0");
}

static vpsde_status check_classes(const vpsde_unet_spec *spec)
{
    if (spec->num_class_embeds > UNET_CLASSES_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "must be at most %d, got %zu", (int)UNET_CLASSES_MAX,
                          spec->num_class_embeds);
    }
    if (!spec->null_class || spec->num_class_embeds >= 2) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "a null class needs at least one class beside it, got %zu in all",
                      spec->num_class_embeds);
}

/* Each looks at what those before it have found good. */
static const struct {
    const char *field;
    vpsde_status (*check)(const vpsde_unet_spec *spec);
} checks[] = {
    {"time_embedding_type", check_time},
    {"block_out_channels", check_channels},
    {"layers_per_block", check_layers},
    {"norm_num_groups", check_groups},
    {"sample_size", check_sides},
    {"in_channels", check_in},
    {"out_channels", check_out},
    {"down_block_types", check_down},
    {"up_block_types", check_up},
    {"attention_head_dim", check_heads},
    {"mid_block_scale_factor", check_factor},
    {"attn_norm_num_groups", check_middle},
    {"freq_shift", check_shift},
    {"norm_eps", check_eps},
    {"downsample_padding", check_padding},
    {"class_embed_type", check_embedding},
    {"num_class_embeds", check_classes},
};

vpsde_status vpsde_unet_spec_check(const vpsde_unet_spec *spec, const char **field)
{
    if (field) *field = NULL;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        const vpsde_status status = checks[i].check(spec);
        if (status == VPSDE_OK) continue;
        if (field) *field = checks[i].field;
        return vpsde_fail_in(status, "%s", checks[i].field);
    }
    return VPSDE_OK;
}
