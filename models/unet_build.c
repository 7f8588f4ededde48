/* The layers of a UNet2DModel, in the names and the order of diffusers 0.30 (unets/unet_2d.py,
 * unet_2d_blocks.py, resnet.py, attention_processor.py):
 *
 *   e = class + time_embedding.linear_2 silu(time_embedding.linear_1 time_proj(t))
 *   ResnetBlock2D:  h = conv1 silu norm1 [x, skip] + time_emb_proj silu e
 *                   out = (conv_shortcut [x, skip] + conv2 silu norm2 h) / s
 *   Attention:      out = (x + to_out.0 attention(to_q n, to_k n, to_v n)) / s,  n = group_norm x
 *
 * conv_in, levels down (resnets with attention, halving), middle, levels up (each resnet takes the
 * last skip not yet taken; doubling), conv_norm_out, silu, conv_out. */
#include <stdio.h>
#include <string.h>

#include "models/layers/attention.h"
#include "models/layers/conv.h"
#include "models/layers/embedding.h"
#include "models/layers/norm.h"
#include "models/layers/resample.h"
#include "models/unet_net.h"

enum { SKIPS_MAX = 1 + VPSDE_UNET_LEVELS * (UNET_LAYERS_MAX + 1), NAME = VPSDE_LAYER_NAME };

typedef enum resampling { KEEP, HALVE, DOUBLE } resampling;

typedef struct builder {
    const vpsde_unet_spec *spec;
    const vpsde_unet_store *store;
    vpsde_graph *graph;
    size_t n_checked;    /* parameters that the store is known to have */
    size_t embedding;    /* e, or silu e */
    bool silu_embedding; /* e itself stands there */
    size_t n_skips;
    size_t skip[SKIPS_MAX];
} builder;

static void join(char name[NAME], const char *prefix, const char *suffix)
{
    (void)snprintf(name, NAME, "%s.%s", prefix, suffix);
}

static void extents_of(const builder *b, vpsde_extent *extent, const size_t *in)
{
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        extent[i] = in[i] == VPSDE_TENSOR_NONE ? (vpsde_extent){0, 0, 0}
                                               : vpsde_graph_extent(b->graph, in[i]);
    }
}

static size_t channels_of(const builder *b, size_t tensor)
{
    return tensor == VPSDE_TENSOR_NONE ? 0 : vpsde_graph_extent(b->graph, tensor).channels;
}

#define NO VPSDE_TENSOR_NONE

static vpsde_status add_layer(builder *b, size_t *out, vpsde_layer *layer, const size_t *in)
{
    const vpsde_parameter *p;
    VPSDE_TRY(vpsde_graph_add(b->graph, out, layer, in));
    if (!b->store) return VPSDE_OK;
    for (; (p = vpsde_graph_parameter(b->graph, b->n_checked)) != NULL; b->n_checked++) {
        VPSDE_TRY(b->store->read(b->store->files, p, NULL));
    }
    return VPSDE_OK;
}

static vpsde_status add_norm(builder *b, size_t *out, const vpsde_norm_spec *spec, const size_t *in)
{
    vpsde_layer layer = {0};
    vpsde_extent extent[VPSDE_LAYER_INPUTS];
    extents_of(b, extent, in);
    VPSDE_TRY(vpsde_norm_make(&layer, spec, extent));
    return add_layer(b, out, &layer, in);
}

static vpsde_status add_conv(builder *b, size_t *out, const vpsde_conv_spec *spec, const size_t *in)
{
    vpsde_layer layer = {0};
    vpsde_extent extent[VPSDE_LAYER_INPUTS];
    extents_of(b, extent, in);
    VPSDE_TRY(vpsde_conv_make(&layer, spec, extent));
    return add_layer(b, out, &layer, in);
}

static vpsde_status add_dense(builder *b, size_t *out, const vpsde_dense_spec *spec, size_t x)
{
    const size_t in[VPSDE_LAYER_INPUTS] = {x, NO, NO, NO};
    vpsde_layer layer = {0};
    VPSDE_TRY(vpsde_dense_make(&layer, spec, vpsde_graph_extent(b->graph, x)));
    return add_layer(b, out, &layer, in);
}

static vpsde_status add_resampling(builder *b, size_t *out, resampling kind, size_t x)
{
    const size_t in[VPSDE_LAYER_INPUTS] = {x, NO, NO, NO};
    const vpsde_extent extent = vpsde_graph_extent(b->graph, x);
    vpsde_layer layer = {0};
    VPSDE_TRY(kind == HALVE ? vpsde_halve_make(&layer, extent) : vpsde_double_make(&layer, extent));
    return add_layer(b, out, &layer, in);
}

static vpsde_conv_spec conv3(const char *name, size_t channels)
{
    return (vpsde_conv_spec){.channels = channels,
                             .kernel = 3,
                             .stride = 1,
                             .before = 1,
                             .after = 1,
                             .n_parts = 1,
                             .part = {name}};
}

/* linear_2 silu(linear_1 x) */
static vpsde_status two_layers(builder *b, size_t *out, const char *prefix, size_t x, bool silu_out)
{
    const size_t channels = 4 * b->spec->block_out_channels[0];
    char name[2][NAME];
    size_t hidden;
    join(name[0], prefix, "linear_1");
    join(name[1], prefix, "linear_2");
    const vpsde_dense_spec first = {.channels = channels, .silu_out = true, .name = name[0]};
    const vpsde_dense_spec second = {.channels = channels, .silu_out = silu_out, .name = name[1]};
    VPSDE_TRY(add_dense(b, &hidden, &first, x));
    return add_dense(b, out, &second, hidden);
}

static vpsde_status positions(builder *b, size_t *out, bool of_classes)
{
    const size_t none[VPSDE_LAYER_INPUTS] = {NO, NO, NO, NO};
    const vpsde_sinusoid_spec spec = {.channels = b->spec->block_out_channels[0],
                                      .cosine_first = b->spec->flip_sin_to_cos,
                                      .freq_shift = b->spec->freq_shift,
                                      .of_classes = of_classes};
    vpsde_layer layer = {0};
    VPSDE_TRY(vpsde_sinusoid_make(&layer, &spec));
    return add_layer(b, out, &layer, none);
}

static vpsde_status add_classes(builder *b, size_t e)
{
    const vpsde_unet_spec *const spec = b->spec;
    const vpsde_extent extent = vpsde_graph_extent(b->graph, e);
    size_t in[VPSDE_LAYER_INPUTS] = {e, NO, NO, NO};
    vpsde_layer layer = {0};
    if (spec->class_timestep) {
        size_t position;
        VPSDE_TRY(positions(b, &position, true));
        VPSDE_TRY(two_layers(b, &in[1], "class_embedding", position, false));
        VPSDE_TRY(vpsde_sum_make(&layer, extent, extent));
    } else {
        const size_t null_row = spec->null_class ? spec->num_class_embeds - 1 : SIZE_MAX;
        VPSDE_TRY(vpsde_class_table_make(&layer, "class_embedding.weight", spec->num_class_embeds,
                                         null_row, extent));
    }
    return add_layer(b, &b->embedding, &layer, in);
}

/* The Fourier projection keeps its default order, sines first, whatever flip_sin_to_cos says. */
static vpsde_status add_embedding(builder *b)
{
    const size_t none[VPSDE_LAYER_INPUTS] = {NO, NO, NO, NO};
    const vpsde_unet_spec *const spec = b->spec;
    const bool classes = spec->num_class_embeds > 0;
    size_t time, e;
    if (spec->time == VPSDE_UNET_FOURIER) {
        vpsde_layer layer = {0};
        VPSDE_TRY(vpsde_fourier_make(&layer, "time_proj", 2 * spec->block_out_channels[0], false));
        VPSDE_TRY(add_layer(b, &time, &layer, none));
    } else {
        VPSDE_TRY(positions(b, &time, false));
    }
    VPSDE_TRY(two_layers(b, &e, "time_embedding", time, !classes));
    b->embedding = e;
    b->silu_embedding = classes;
    return classes ? add_classes(b, e) : VPSDE_OK;
}

/* norm2 silu of h with the time in it. */
static vpsde_status add_time(builder *b, size_t *out, const char *prefix, size_t h)
{
    const vpsde_unet_spec *const spec = b->spec;
    const size_t channels = channels_of(b, h);
    char projection[NAME], norm2[NAME];
    size_t time;
    join(projection, prefix, "time_emb_proj");
    join(norm2, prefix, "norm2");
    const vpsde_dense_spec dense = {.channels = spec->scale_shift ? 2 * channels : channels,
                                    .silu_in = b->silu_embedding,
                                    .name = projection};
    const vpsde_norm_spec norm = {
        .groups = spec->norm_num_groups, .eps = spec->norm_eps, .silu = true, .name = norm2};
    VPSDE_TRY(add_dense(b, &time, &dense, b->embedding));
    const size_t in[VPSDE_LAYER_INPUTS] = {[VPSDE_NORM_X] = h,
                                           [VPSDE_NORM_X2] = NO,
                                           [VPSDE_NORM_SHIFT] = spec->scale_shift ? NO : time,
                                           [VPSDE_NORM_SCALE_SHIFT] =
                                               spec->scale_shift ? time : NO};
    return add_norm(b, out, &norm, in);
}

/* *x = ResnetBlock2D of [*x, skip]. A resampled block keeps its number of channels and takes no skip. */
static vpsde_status add_resnet(builder *b, size_t *x, const char *prefix, size_t skip,
                               size_t channels, resampling kind, double divisor)
{
    const vpsde_unet_spec *const spec = b->spec;
    const size_t in[VPSDE_LAYER_INPUTS] = {*x, skip, NO, NO};
    char norm1[NAME], conv1[NAME], conv2[NAME], conv_shortcut[NAME];
    size_t h, shortcut = *x;
    join(norm1, prefix, "norm1");
    join(conv1, prefix, "conv1");
    join(conv2, prefix, "conv2");
    join(conv_shortcut, prefix, "conv_shortcut");
    const vpsde_norm_spec norm = {
        .groups = spec->norm_num_groups, .eps = spec->norm_eps, .silu = true, .name = norm1};
    VPSDE_TRY(add_norm(b, &h, &norm, in));
    if (kind == HALVE) VPSDE_TRY(add_resampling(b, &h, HALVE, h));
    if (kind != KEEP) VPSDE_TRY(add_resampling(b, &shortcut, kind, shortcut));
    vpsde_conv_spec conv = conv3(conv1, channels);
    conv.upsample = kind == DOUBLE;
    VPSDE_TRY(add_conv(b, &h, &conv, (const size_t[VPSDE_LAYER_INPUTS]){h, NO, NO, NO}));
    VPSDE_TRY(add_time(b, &h, prefix, h));
    if (channels_of(b, *x) + channels_of(b, skip) != channels) {
        const vpsde_conv_spec one = {
            .channels = channels, .kernel = 1, .stride = 1, .n_parts = 1, .part = {conv_shortcut}};
        VPSDE_TRY(add_conv(b, &shortcut, &one, in));
    }
    conv = conv3(conv2, channels);
    conv.scale = 1 / divisor;
    return add_conv(b, x, &conv, (const size_t[VPSDE_LAYER_INPUTS]){h, NO, shortcut, NO});
}

/* groups 0: no norm */
static vpsde_status add_attention(builder *b, size_t *x, const char *prefix, size_t groups,
                                  double divisor)
{
    const vpsde_unet_spec *const spec = b->spec;
    const size_t channels = channels_of(b, *x), in[VPSDE_LAYER_INPUTS] = {*x, NO, NO, NO};
    char group_norm[NAME], to_q[NAME], to_k[NAME], to_v[NAME], to_out[NAME];
    size_t h = *x;
    join(group_norm, prefix, "group_norm");
    join(to_q, prefix, "to_q");
    join(to_k, prefix, "to_k");
    join(to_v, prefix, "to_v");
    join(to_out, prefix, "to_out.0");
    const vpsde_norm_spec norm = {.groups = groups, .eps = spec->norm_eps, .name = group_norm};
    const vpsde_conv_spec qkv = {.channels = 3 * channels,
                                 .kernel = 1,
                                 .stride = 1,
                                 .n_parts = 3,
                                 .part = {to_q, to_k, to_v},
                                 .matrix = true};
    const vpsde_conv_spec back = {.channels = channels,
                                  .kernel = 1,
                                  .stride = 1,
                                  .scale = 1 / divisor,
                                  .n_parts = 1,
                                  .part = {to_out},
                                  .matrix = true};
    if (groups > 0) VPSDE_TRY(add_norm(b, &h, &norm, in));
    VPSDE_TRY(add_conv(b, &h, &qkv, (const size_t[VPSDE_LAYER_INPUTS]){h, NO, NO, NO}));
    const size_t heads = spec->attention_head_dim ? channels / spec->attention_head_dim : 1;
    vpsde_layer layer = {0};
    VPSDE_TRY(vpsde_attention_make(&layer, heads, vpsde_graph_extent(b->graph, h)));
    VPSDE_TRY(add_layer(b, &h, &layer, (const size_t[VPSDE_LAYER_INPUTS]){h, NO, NO, NO}));
    return add_conv(b, x, &back, (const size_t[VPSDE_LAYER_INPUTS]){h, NO, *x, NO});
}

/* Resnet j of a level, with its attention. */
static vpsde_status add_pair(builder *b, size_t *x, const char *block, size_t j, size_t skip,
                             size_t channels, bool attention)
{
    char name[NAME];
    (void)snprintf(name, NAME, "%s.resnets.%zu", block, j);
    VPSDE_TRY(add_resnet(b, x, name, skip, channels, KEEP, 1));
    if (!attention) return VPSDE_OK;
    (void)snprintf(name, NAME, "%s.attentions.%zu", block, j);
    return add_attention(b, x, name, b->spec->norm_num_groups, 1);
}

static vpsde_status add_downsampler(builder *b, size_t *x, const char *block, vpsde_unet_block kind)
{
    const vpsde_unet_spec *const spec = b->spec;
    char name[NAME];
    if (kind == VPSDE_UNET_RESNET || (kind == VPSDE_UNET_ATTN && !spec->downsample_conv)) {
        join(name, block, "downsamplers.0");
        return add_resnet(b, x, name, NO, channels_of(b, *x), HALVE, 1);
    }
    join(name, block, "downsamplers.0.conv");
    vpsde_conv_spec conv = conv3(name, channels_of(b, *x));
    conv.stride = 2;
    conv.before = spec->downsample_padding;
    return add_conv(b, x, &conv, (const size_t[VPSDE_LAYER_INPUTS]){*x, NO, NO, NO});
}

static vpsde_status add_upsampler(builder *b, size_t *x, const char *block, vpsde_unet_block kind)
{
    char name[NAME];
    if (kind == VPSDE_UNET_RESNET || (kind == VPSDE_UNET_ATTN && !b->spec->upsample_conv)) {
        join(name, block, "upsamplers.0");
        return add_resnet(b, x, name, NO, channels_of(b, *x), DOUBLE, 1);
    }
    join(name, block, "upsamplers.0.conv");
    vpsde_conv_spec conv = conv3(name, channels_of(b, *x));
    conv.upsample = true;
    return add_conv(b, x, &conv, (const size_t[VPSDE_LAYER_INPUTS]){*x, NO, NO, NO});
}

static vpsde_status add_down(builder *b, size_t *x, size_t level)
{
    const vpsde_unet_spec *const spec = b->spec;
    const vpsde_unet_block kind = spec->down_block[level];
    char block[48];
    (void)snprintf(block, sizeof(block), "down_blocks.%zu", level);
    for (size_t j = 0; j < spec->layers_per_block; j++) {
        VPSDE_TRY(
            add_pair(b, x, block, j, NO, spec->block_out_channels[level], kind == VPSDE_UNET_ATTN));
        b->skip[b->n_skips++] = *x;
    }
    if (level + 1 == spec->n_levels) return VPSDE_OK;
    VPSDE_TRY(add_downsampler(b, x, block, kind));
    b->skip[b->n_skips++] = *x;
    return VPSDE_OK;
}

static vpsde_status add_up(builder *b, size_t *x, size_t step)
{
    const vpsde_unet_spec *const spec = b->spec;
    const vpsde_unet_block kind = spec->up_block[step];
    const size_t channels = spec->block_out_channels[spec->n_levels - 1 - step];
    char block[48];
    (void)snprintf(block, sizeof(block), "up_blocks.%zu", step);
    for (size_t j = 0; j <= spec->layers_per_block; j++) {
        const size_t skip = b->skip[--b->n_skips];
        VPSDE_TRY(add_pair(b, x, block, j, skip, channels, kind == VPSDE_UNET_ATTN));
    }
    return step + 1 < spec->n_levels ? add_upsampler(b, x, block, kind) : VPSDE_OK;
}

/* Without attn_norm_num_groups the attention of the middle has norm_num_groups of them, or, with
 * scale_shift, no norm at all. */
static vpsde_status add_middle(builder *b, size_t *x)
{
    const vpsde_unet_spec *const spec = b->spec;
    const size_t channels = channels_of(b, *x);
    const size_t usual = spec->scale_shift ? 0 : spec->norm_num_groups;
    const size_t groups = spec->attn_norm_num_groups ? spec->attn_norm_num_groups : usual;
    const double divisor = spec->mid_block_scale_factor;
    VPSDE_TRY(add_resnet(b, x, "mid_block.resnets.0", NO, channels, KEEP, divisor));
    if (spec->mid_attention) {
        VPSDE_TRY(add_attention(b, x, "mid_block.attentions.0", groups, divisor));
    }
    return add_resnet(b, x, "mid_block.resnets.1", NO, channels, KEEP, divisor);
}

static vpsde_status add_network(builder *b)
{
    const vpsde_unet_spec *const spec = b->spec;
    const vpsde_conv_spec first = conv3("conv_in", spec->block_out_channels[0]);
    const vpsde_conv_spec last = conv3("conv_out", spec->out_channels);
    const vpsde_norm_spec norm = {.groups = spec->norm_num_groups,
                                  .eps = spec->norm_eps,
                                  .silu = true,
                                  .name = "conv_norm_out"};
    size_t x = 0;
    VPSDE_TRY(add_embedding(b));
    VPSDE_TRY(add_conv(b, &x, &first, (const size_t[VPSDE_LAYER_INPUTS]){x, NO, NO, NO}));
    b->skip[b->n_skips++] = x;
    for (size_t level = 0; level < spec->n_levels; level++) VPSDE_TRY(add_down(b, &x, level));
    VPSDE_TRY(add_middle(b, &x));
    for (size_t step = 0; step < spec->n_levels; step++) VPSDE_TRY(add_up(b, &x, step));
    VPSDE_TRY(add_norm(b, &x, &norm, (const size_t[VPSDE_LAYER_INPUTS]){x, NO, NO, NO}));
    return add_conv(b, &x, &last, (const size_t[VPSDE_LAYER_INPUTS]){x, NO, NO, NO});
}

vpsde_status vpsde_unet_build(vpsde_graph **out, const vpsde_unet_spec *spec,
                              const vpsde_unet_store *store)
{
    builder b = {.spec = spec, .store = store};
    *out = NULL;
    VPSDE_TRY(vpsde_unet_spec_check(spec, NULL));
    const vpsde_extent image = {spec->height, spec->width, spec->in_channels};
    VPSDE_TRY(vpsde_graph_create(&b.graph, image));
    vpsde_status status = add_network(&b);
    if (status == VPSDE_OK) status = vpsde_graph_finish(b.graph);
    if (status != VPSDE_OK) {
        vpsde_graph_destroy(b.graph);
        return status;
    }
    *out = b.graph;
    return VPSDE_OK;
}
