/* The model section {kind: unet, ...} of a configuration. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/unet_net.h"

enum { DIM_MAX = 1 << 24 };

enum { LIST = 128 };

/* "[32, 64, 96]" */
static void list_sizes(char list[LIST], size_t n, const size_t *size)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(list + used, LIST - used, "%s%zu", i ? ", " : "[", size[i]);
    }
    (void)snprintf(list + used, LIST - used, "]");
}

/* "[false, false, true]" */
static void list_attention(char list[LIST], const vpsde_unet_spec *spec)
{
    size_t used = 0;
    for (size_t l = 0; l < spec->n_levels; l++) {
        used += (size_t)snprintf(list + used, LIST - used, "%s%s", l ? ", " : "[",
                                 spec->down_block[l] == VPSDE_UNET_ATTN ? "true" : "false");
    }
    (void)snprintf(list + used, LIST - used, "]");
}

/* Up to `max` whole numbers from 1; none where the key is absent. */
static vpsde_status read_sizes(size_t *n, size_t *size, size_t max, struct vpsde_config *section,
                               const char *key, const char *expected)
{
    double *value = NULL;
    size_t rank, dims[1] = {0};
    *n = 0;
    VPSDE_TRY(vpsde_config_wholes(&value, &rank, dims, 1, section, key));
    if (!value) return VPSDE_OK;
    bool good = rank == 1 && dims[0] >= 1 && dims[0] <= max;
    for (size_t i = 0; good && i < dims[0]; i++) {
        good = value[i] >= 1 && value[i] <= DIM_MAX && value[i] == floor(value[i]);
        if (good) size[(*n)++] = (size_t)value[i];
    }
    free(value);
    return good ? VPSDE_OK : vpsde_config_fail(section, key, "expected %s", expected);
}

static vpsde_status read_shape(vpsde_unet_spec *spec, struct vpsde_config *section)
{
    static const char expected[] = "[channel, row, column], three whole numbers from 1";
    size_t n, shape[3] = {0};
    uint64_t dim;
    VPSDE_TRY(read_sizes(&n, shape, 3, section, "shape", expected));
    if (n != 3) {
        return vpsde_config_fail(section, "shape", "%s; expected %s, or data that are images",
                                 n == 0 ? "is missing" : "has too few sides", expected);
    }
    spec->in_channels = spec->out_channels = shape[0];
    spec->height = shape[1];
    spec->width = shape[2];
    if (shape[0] > UNET_CHANNELS_MAX || shape[1] > UNET_SIDE_MAX || shape[2] > UNET_SIDE_MAX) {
        return vpsde_config_fail(section, "shape",
                                 "%zu x %zu x %zu is too large; expected at most "
                                 "%d x %d x %d",
                                 shape[0], shape[1], shape[2], (int)UNET_CHANNELS_MAX,
                                 (int)UNET_SIDE_MAX, (int)UNET_SIDE_MAX);
    }
    const size_t product = shape[0] * shape[1] * shape[2];
    VPSDE_TRY(vpsde_config_uint(&dim, section, "dim", product, 1, UINT64_MAX - 1));
    if (product == dim) return VPSDE_OK;
    return vpsde_config_fail(section, "shape", "%zu x %zu x %zu are not the %llu values of dim",
                             shape[0], shape[1], shape[2], (unsigned long long)dim);
}

static vpsde_status read_levels(vpsde_unet_spec *spec, struct vpsde_config *section)
{
    size_t n;
    uint64_t layers;
    VPSDE_TRY(read_sizes(&n, spec->block_out_channels, VPSDE_UNET_LEVELS, section, "channels",
                         "one number of channels a level, 1 to 8 whole numbers from 1"));
    if (n > 0) spec->n_levels = n;
    char list[LIST];
    list_sizes(list, spec->n_levels, spec->block_out_channels);
    VPSDE_TRY(vpsde_config_show(section, "channels", list));
    VPSDE_TRY(vpsde_config_uint(&layers, section, "layers_per_block", spec->layers_per_block, 1,
                                UNET_LAYERS_MAX));
    spec->layers_per_block = layers;
    return VPSDE_OK;
}

/* `attention: [false, false, true]`; by default the lowest level has it. */
static vpsde_status read_attention(vpsde_unet_spec *spec, struct vpsde_config *section)
{
    const size_t levels = spec->n_levels;
    const bool given = vpsde_config_has(section, "attention");
    size_t n;
    VPSDE_TRY(vpsde_config_count(&n, section, "attention"));
    if (given && n != levels) {
        return vpsde_config_fail(section, "attention",
                                 "has %zu items; expected true or false for each of %zu levels", n,
                                 levels);
    }
    for (size_t level = 0; level < levels; level++) {
        bool attention = level + 1 == levels;
        if (given) {
            struct vpsde_config *item;
            VPSDE_TRY(vpsde_config_item(&item, section, "attention", level));
            VPSDE_TRY(vpsde_config_bool(&attention, item, NULL, false));
        }
        spec->down_block[level] = attention ? VPSDE_UNET_ATTN : VPSDE_UNET_PLAIN;
        spec->up_block[levels - 1 - level] = spec->down_block[level];
    }
    char list[LIST];
    list_attention(list, spec);
    VPSDE_TRY(vpsde_config_show(section, "attention", list));
    return vpsde_config_bool(&spec->mid_attention, section, "mid_attention", spec->mid_attention);
}

static vpsde_status read_blocks(vpsde_unet_spec *spec, struct vpsde_config *section)
{
    uint64_t head_dim, groups, classes;
    VPSDE_TRY(vpsde_config_uint(&head_dim, section, "head_dim", spec->attention_head_dim, 0,
                                UNET_CHANNELS_MAX));
    VPSDE_TRY(
        vpsde_config_uint(&groups, section, "groups", spec->norm_num_groups, 1, UNET_CHANNELS_MAX));
    VPSDE_TRY(vpsde_config_bool(&spec->scale_shift, section, "scale_shift", spec->scale_shift));
    VPSDE_TRY(vpsde_config_uint(&classes, section, "classes", 0, 0, UNET_CLASSES_MAX - 1));
    spec->attention_head_dim = head_dim;
    spec->norm_num_groups = groups;
    spec->null_class = classes > 0;
    spec->num_class_embeds = classes > 0 ? classes + 1 : 0;
    return VPSDE_OK;
}

/* The section's key of a specification's field. */
static const char *key_of(const char *field)
{
    static const struct {
        const char *field, *key;
    } keys[] = {{"sample_size", "shape"},
                {"attention_head_dim", "head_dim"},
                {"norm_num_groups", "groups"},
                {"block_out_channels", "channels"}};
    for (size_t i = 0; field && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(field, keys[i].field) == 0) return keys[i].key;
    }
    return "kind";
}

vpsde_status vpsde_unet_configure(vpsde_model **out, struct vpsde_config *section)
{
    vpsde_unet_spec spec;
    *out = NULL;
    vpsde_unet_spec_init(&spec);
    VPSDE_TRY(read_shape(&spec, section));
    VPSDE_TRY(read_levels(&spec, section));
    VPSDE_TRY(read_attention(&spec, section));
    VPSDE_TRY(read_blocks(&spec, section));
    const char *field;
    vpsde_status status = vpsde_unet_spec_check(&spec, &field);
    if (status != VPSDE_OK) return vpsde_config_fail_at(status, section, key_of(field));
    status = vpsde_unet_create(out, &spec, 0);
    if (status != VPSDE_OK) return vpsde_config_fail_at(status, section, "kind");
    return VPSDE_OK;
}
