/* config.json of diffusers' UNet2DModel (src/diffusers/models/unets/unet_2d.py, 0.30.3): its keys, and the
 * defaults of its constructor for those that are absent. */
#include "models/unet_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"

enum { SHOWN = 60, PREFIX = 7 };

const char *const vpsde_unet_down_names[] = {"DownBlock2D", "AttnDownBlock2D",
                                             "ResnetDownsampleBlock2D", NULL};
const char *const vpsde_unet_up_names[] = {"UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D",
                                           NULL};
static const char *const class_names[] = {"UNet2DModel", NULL};
static const char *const time_names[] = {"positional", "fourier", NULL};
static const char *const sampler_names[] = {"resnet", "conv", NULL};
static const char *const shift_names[] = {"default", "scale_shift", NULL};
static const char *const act_names[] = {"silu", "swish", NULL};
static const char *const middle_names[] = {"UNetMidBlock2D", NULL};
static const char *const embed_names[] = {"timestep", NULL};

/* What a key's value must be and where it goes. */
typedef struct field {
    const char *key;
    vpsde_status (*read)(vpsde_unet_spec *spec, const struct field *f, const vpsde_json_in *value,
                         const char *where);
    size_t offset;
    const char *const *words;
    void (*set)(vpsde_unet_spec *spec, size_t word);
    bool null; /* null stands for 0, or for what is there */
} field;

static vpsde_status unsupported(const char *where, const char *key, const vpsde_json_in *value,
                                const char *expected)
{
    char shown[SHOWN];
    return vpsde_fail(VPSDE_EDATA, "%s: %s: %s is not supported; expected %s", where, key,
                      vpsde_json_in_show(shown, sizeof(shown), value), expected);
}

static void *member(vpsde_unet_spec *spec, const field *f)
{
    return (unsigned char *)spec + f->offset;
}

static vpsde_status read_whole(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                               const char *where)
{
    size_t *const out = member(spec, f);
    if (f->null && vpsde_json_in_kind_of(value) == VPSDE_JSON_IN_NULL) {
        *out = 0;
        return VPSDE_OK;
    }
    if (vpsde_json_in_size_of(out, value) && (*out > 0 || !f->null)) return VPSDE_OK;
    return unsupported(where, f->key, value,
                       f->null ? "null or a whole number >= 1" : "a whole number >= 0");
}

static vpsde_status read_real(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                              const char *where)
{
    if (vpsde_json_in_number(member(spec, f), value)) return VPSDE_OK;
    return unsupported(where, f->key, value, "a number");
}

static vpsde_status read_bool(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                              const char *where)
{
    bool *const out = member(spec, f);
    if (vpsde_json_in_kind_of(value) != VPSDE_JSON_IN_BOOL) {
        return unsupported(where, f->key, value, "true or false");
    }
    *out = vpsde_json_in_true(value);
    return VPSDE_OK;
}

/* A key of newer versions, of which vpsde has the default alone. */
static vpsde_status read_null(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                              const char *where)
{
    (void)spec;
    if (vpsde_json_in_kind_of(value) == VPSDE_JSON_IN_NULL) return VPSDE_OK;
    return unsupported(where, f->key, value, "null: 4 times the first of block_out_channels");
}

static void list_words(char *out, size_t size, const char *const *words)
{
    size_t used = 0;
    for (size_t i = 0; words[i] && used < size; i++) {
        const char *const between = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", between, words[i]);
    }
}

static vpsde_status find_word(size_t *out, const char *const *words, const char *key,
                              const vpsde_json_in *value, const char *where)
{
    char expected[160];
    const char *const word = vpsde_json_in_text(value);
    for (*out = 0; word && words[*out]; (*out)++) {
        if (strcmp(words[*out], word) == 0) return VPSDE_OK;
    }
    list_words(expected, sizeof(expected), words);
    return unsupported(where, key, value, expected);
}

static vpsde_status read_word(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                              const char *where)
{
    size_t word;
    if (f->null && vpsde_json_in_kind_of(value) == VPSDE_JSON_IN_NULL) return VPSDE_OK;
    VPSDE_TRY(find_word(&word, f->words, f->key, value, where));
    if (f->set) f->set(spec, word);
    return VPSDE_OK;
}

static vpsde_status read_sides(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                               const char *where)
{
    if (vpsde_json_in_size_of(&spec->height, value)) {
        spec->width = spec->height;
        return VPSDE_OK;
    }
    if (vpsde_json_in_kind_of(value) == VPSDE_JSON_IN_LIST && vpsde_json_in_size(value) == 2 &&
        vpsde_json_in_size_of(&spec->height, vpsde_json_in_at(value, 0)) &&
        vpsde_json_in_size_of(&spec->width, vpsde_json_in_at(value, 1))) {
        return VPSDE_OK;
    }
    return unsupported(where, f->key, value,
                       "the images' side or [rows, columns]; write it into the file");
}

/* Both lists of blocks, the channels: one entry a level, how many in spec->n_levels. */
static vpsde_status read_levels(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                                const char *where)
{
    const size_t n = vpsde_json_in_size(value);
    if (vpsde_json_in_kind_of(value) != VPSDE_JSON_IN_LIST || n == 0 || n > VPSDE_UNET_LEVELS) {
        return unsupported(where, f->key, value, "a list of 1 to 8 levels");
    }
    if (n != spec->n_levels) {
        return vpsde_fail(VPSDE_EDATA, "%s: %s: %zu levels, expected the %zu of block_out_channels",
                          where, f->key, n, spec->n_levels);
    }
    return VPSDE_OK;
}

static vpsde_status read_channels(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                                  const char *where)
{
    spec->n_levels = vpsde_json_in_size(value);
    VPSDE_TRY(read_levels(spec, f, value, where));
    for (size_t l = 0; l < spec->n_levels; l++) {
        if (vpsde_json_in_size_of(&spec->block_out_channels[l], vpsde_json_in_at(value, l)))
            continue;
        return unsupported(where, f->key, vpsde_json_in_at(value, l), "whole numbers");
    }
    return VPSDE_OK;
}

/* diffusers drops "UNetRes" before a block's name too (get_down_block). */
static vpsde_status read_blocks(vpsde_unet_spec *spec, const field *f, const vpsde_json_in *value,
                                const char *where)
{
    vpsde_unet_block *const out = member(spec, f);
    VPSDE_TRY(read_levels(spec, f, value, where));
    for (size_t l = 0; l < spec->n_levels; l++) {
        const vpsde_json_in *const item = vpsde_json_in_at(value, l);
        const char *const word = vpsde_json_in_text(item);
        size_t block = 0;
        if (word && strncmp(word, "UNetRes", PREFIX) == 0) {
            while (f->words[block] && strcmp(f->words[block], word + PREFIX) != 0) block++;
        }
        if (!word || strncmp(word, "UNetRes", PREFIX) != 0 || !f->words[block]) {
            VPSDE_TRY(find_word(&block, f->words, f->key, item, where));
        }
        out[l] = (vpsde_unet_block)block;
    }
    return VPSDE_OK;
}

static void set_time(vpsde_unet_spec *spec, size_t word) { spec->time = (vpsde_unet_time)word; }
static void set_down(vpsde_unet_spec *spec, size_t word) { spec->downsample_conv = word == 1; }
static void set_up(vpsde_unet_spec *spec, size_t word) { spec->upsample_conv = word == 1; }
static void set_shift(vpsde_unet_spec *spec, size_t word) { spec->scale_shift = word == 1; }
static void set_embed(vpsde_unet_spec *spec, size_t word) { spec->class_timestep = word == 0; }

#define AT(name) .offset = offsetof(vpsde_unet_spec, name)
/* block_out_channels stands before the lists that have as many entries. */
static const field fields[] = {
    {"_class_name", read_word, .words = class_names},
    {.key = "sample_size", .read = read_sides},
    {"in_channels", read_whole, AT(in_channels)},
    {"out_channels", read_whole, AT(out_channels)},
    {"center_input_sample", read_bool, AT(center_input_sample)},
    {"time_embedding_type", read_word, .words = time_names, .set = set_time},
    {"freq_shift", read_real, AT(freq_shift)},
    {"flip_sin_to_cos", read_bool, AT(flip_sin_to_cos)},
    {.key = "block_out_channels", .read = read_channels},
    {.key = "time_embedding_dim", .read = read_null},
    {"down_block_types", read_blocks, AT(down_block), .words = vpsde_unet_down_names},
    {"up_block_types", read_blocks, AT(up_block), .words = vpsde_unet_up_names},
    {"mid_block_type", read_word, .words = middle_names},
    {"layers_per_block", read_whole, AT(layers_per_block)},
    {"mid_block_scale_factor", read_real, AT(mid_block_scale_factor)},
    {"downsample_padding", read_whole, AT(downsample_padding)},
    {"downsample_type", read_word, .words = sampler_names, .set = set_down, .null = true},
    {"upsample_type", read_word, .words = sampler_names, .set = set_up, .null = true},
    {"act_fn", read_word, .words = act_names},
    {"attention_head_dim", read_whole, AT(attention_head_dim), .null = true},
    {"norm_num_groups", read_whole, AT(norm_num_groups)},
    {"attn_norm_num_groups", read_whole, AT(attn_norm_num_groups), .null = true},
    {"norm_eps", read_real, AT(norm_eps)},
    {"resnet_time_scale_shift", read_word, .words = shift_names, .set = set_shift},
    {"add_attention", read_bool, AT(mid_attention)},
    {"class_embed_type", read_word, .words = embed_names, .set = set_embed, .null = true},
    {"num_class_embeds", read_whole, AT(num_class_embeds), .null = true},
    {"_vpsde_null_class", read_bool, AT(null_class)},
};
#undef AT

/* Without a say in what an eval-mode network returns; the last seven are what EMAModel.save_pretrained
 * leaves in the file (src/diffusers/training_utils.py). */
static const char *const neutral[] = {
    "dropout",           "num_train_timesteps", "decay",     "min_decay", "optimization_step",
    "update_after_step", "use_ema_warmup",      "inv_gamma", "power",
};

static bool is_known(const char *key)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].key, key) == 0) return true;
    }
    for (size_t i = 0; i < sizeof(neutral) / sizeof(neutral[0]); i++) {
        if (strcmp(neutral[i], key) == 0) return true;
    }
    return key[0] == '_';
}

static vpsde_status check_keys(const vpsde_json_in *config, const char *where)
{
    void *at = NULL;
    const char *key;
    vpsde_json_in *value;
    char shown[SHOWN];
    while (vpsde_json_in_next(&at, &key, &value, config)) {
        const vpsde_json_in_kind kind = vpsde_json_in_kind_of(value);
        const bool off = kind == VPSDE_JSON_IN_BOOL && !vpsde_json_in_true(value);
        if (kind == VPSDE_JSON_IN_NULL || off || is_known(key)) continue;
        return vpsde_fail(VPSDE_EDATA,
                          "%s: %.100s: %s: no key of UNet2DModel in diffusers 0.30.3 that vpsde "
                          "knows; remove it if the network does not depend on it",
                          where, key, vpsde_json_in_show(shown, sizeof(shown), value));
    }
    return VPSDE_OK;
}

/* The defaults of UNet2DModel.__init__. */
static const vpsde_unet_spec defaults = {
    .in_channels = 3,
    .out_channels = 3,
    .n_levels = 4,
    .block_out_channels = {224, 448, 672, 896},
    .down_block = {VPSDE_UNET_PLAIN, VPSDE_UNET_ATTN, VPSDE_UNET_ATTN, VPSDE_UNET_ATTN},
    .up_block = {VPSDE_UNET_ATTN, VPSDE_UNET_ATTN, VPSDE_UNET_ATTN, VPSDE_UNET_PLAIN},
    .layers_per_block = 2,
    .mid_attention = true,
    .attention_head_dim = 8,
    .norm_num_groups = 32,
    .norm_eps = 1e-5,
    .flip_sin_to_cos = true,
    .downsample_padding = 1,
    .downsample_conv = true,
    .upsample_conv = true,
    .mid_block_scale_factor = 1,
};

/* An absent list of blocks has the default's four entries, and an absent sample_size is null. */
static vpsde_status check_absent(const vpsde_unet_spec *spec, const vpsde_json_in *config,
                                 const char *where)
{
    static const char *const lists[] = {"down_block_types", "up_block_types"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (vpsde_json_in_get(config, lists[i]) || spec->n_levels == defaults.n_levels) continue;
        return vpsde_fail(VPSDE_EDATA,
                          "%s: %s: absent, which means 4 levels, expected the %zu of "
                          "block_out_channels",
                          where, lists[i], spec->n_levels);
    }
    if (vpsde_json_in_get(config, "sample_size")) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: sample_size: absent; write the images' side or [rows, columns] into the "
                      "file",
                      where);
}

vpsde_status vpsde_unet_spec_parse(vpsde_unet_spec *spec, const vpsde_json_in *config,
                                   const char *where)
{
    *spec = defaults;
    if (!vpsde_json_in_get(config, "_class_name")) {
        return vpsde_fail(VPSDE_EDATA, "%s: _class_name is absent; expected \"UNet2DModel\"",
                          where);
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const vpsde_json_in *const value = vpsde_json_in_get(config, fields[i].key);
        if (value) VPSDE_TRY(fields[i].read(spec, &fields[i], value, where));
    }
    VPSDE_TRY(check_keys(config, where));
    VPSDE_TRY(check_absent(spec, config, where));
    const vpsde_status status = vpsde_unet_spec_check(spec, NULL);
    return status == VPSDE_OK
               ? VPSDE_OK
               : vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_EDATA : status, "%s", where);
}
