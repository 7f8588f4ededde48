#include "experiments/info_scheduler.h"

#include <stdio.h>

#include "models/diffusers.h"

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
