#include "experiments/info_network.h"

#include <stdio.h>
#include <string.h>

#include "models/diffusers.h"
#include "models/unet.h"

static void print_levels(const vpsde_unet_spec *spec)
{
    printf("network      UNet2DModel, %zu levels of %zu residual block%s\n", spec->n_levels,
           spec->layers_per_block, spec->layers_per_block == 1 ? "" : "s");
    for (size_t l = 0; l < spec->n_levels; l++) {
        printf("    %4zu x %-4zu %4zu channels  %s, %s\n", spec->height >> l, spec->width >> l,
               spec->block_out_channels[l], vpsde_unet_down_names[spec->down_block[l]],
               vpsde_unet_up_names[spec->up_block[spec->n_levels - 1 - l]]);
    }
}

static void print_attention(const vpsde_unet_spec *spec)
{
    size_t levels = 0;
    for (size_t l = 0; l < spec->n_levels; l++) {
        levels += spec->down_block[l] == VPSDE_UNET_ATTN;
        levels += spec->up_block[l] == VPSDE_UNET_ATTN;
    }
    printf("attention    ");
    if (levels == 0 && !spec->mid_attention) {
        printf("none\n");
        return;
    }
    printf("%zu block%s", levels, levels == 1 ? "" : "s");
    if (spec->mid_attention) printf(" and the middle");
    if (spec->attention_head_dim > 0) {
        printf(", heads of %zu channels\n", spec->attention_head_dim);
    } else {
        printf(", one head\n");
    }
}

static void print_conditions(const vpsde_unet_spec *spec)
{
    if (spec->time == VPSDE_UNET_FOURIER) {
        printf("time         fourier, the output divided by the time\n");
    } else {
        printf("time         positional, %s first, frequency shift %g\n",
               spec->flip_sin_to_cos ? "cosine" : "sine", spec->freq_shift);
    }
    if (spec->num_class_embeds == 0) {
        printf("classes      none\n");
        return;
    }
    printf("classes      %zu%s%s\n", spec->num_class_embeds - (spec->null_class ? 1 : 0),
           spec->null_class ? " and none" : "", spec->class_timestep ? ", embedded as times" : "");
}

void vpsde_info_network(const vpsde_model *model)
{
    if (strcmp(model->type->name, "unet") != 0) return;
    const vpsde_unet_spec *const spec = vpsde_unet_get_spec(model);
    print_levels(spec);
    print_attention(spec);
    print_conditions(spec);
    if (spec->out_channels > spec->in_channels) printf("variances    predicted\n");
    printf("compute      float32; with model.compute: bf16 rounded as a bfloat16 network is, at no "
           "gain of speed\n");
    printf("work         %.1f MFLOP an image\n", vpsde_graph_flops(vpsde_unet_graph(model)) / 1e6);
}

static void print_clip(const vpsde_diffusers_scheduler *s)
{
    if (s->thresholding) {
        printf("clip         the scheduler thresholds x0; the same here is sampler."
               "dynamic_threshold: {quantile: %g}\n",
               s->quantile);
        if (s->threshold_max > 1) {
            printf("             except for its sample_max_value of %g\n", s->threshold_max);
        }
    } else if (s->clip_sample) {
        printf("clip         the scheduler clips x0; the same here is sampler.clip: [%g, %g]\n",
               -s->clip_range, s->clip_range);
    } else {
        printf("clip         none\n");
    }
}

vpsde_status vpsde_info_scheduler(const char *folder)
{
    vpsde_diffusers_files files;
    vpsde_diffusers_scheduler s;
    VPSDE_TRY(vpsde_diffusers_find(&files, folder));
    if (!files.scheduler) {
        printf("scheduler    no scheduler_config.json: DDPM's 1000 betas from 1e-4 to 0.02 and eps "
               "stand in\n");
        vpsde_diffusers_files_clear(&files);
        return VPSDE_OK;
    }
    const vpsde_status status = vpsde_diffusers_scheduler_load(&s, files.scheduler);
    vpsde_diffusers_files_clear(&files);
    VPSDE_TRY(status);
    printf("scheduler    %s\n", s.class_name);
    print_clip(&s);
    vpsde_diffusers_scheduler_clear(&s);
    return VPSDE_OK;
}
