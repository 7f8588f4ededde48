/* The keys `clip` and `dynamic_threshold` of the section `sampler`: one of them, for all its solvers. */
#include <string.h>

#include "experiments/setup.h"

static const double quantile_default = 0.995, min_default = 1, huge = 1e9, tiny = 1e-9;

/* none, or [low, high] */
static vpsde_status read_static(vpsde_clip *clip, vpsde_config *c)
{
    static const double nowhere[2] = {0, 0};
    const char *word;
    double bounds[2];
    if (vpsde_config_kind(c, "clip") != VPSDE_NODE_SEQUENCE) {
        VPSDE_TRY(vpsde_config_text(&word, c, "clip", "none"));
        if (strcmp(word, "none") == 0) return VPSDE_OK;
        return vpsde_config_fail(c, "clip", "expected none or [low, high], got '%s'", word);
    }
    VPSDE_TRY(vpsde_config_pair(bounds, c, "clip", nowhere));
    if (!(bounds[0] < bounds[1])) {
        return vpsde_config_fail(c, "clip", "expected [low, high] with low < high");
    }
    *clip = (vpsde_clip){.kind = VPSDE_CLIP_STATIC, .low = bounds[0], .high = bounds[1]};
    return VPSDE_OK;
}

vpsde_status vpsde_setup_read_clip(vpsde_clip *clip, vpsde_config *c)
{
    vpsde_config *section;
    *clip = (vpsde_clip){0};
    VPSDE_TRY(read_static(clip, c));
    if (vpsde_config_has(c, "dynamic_threshold")) {
        if (clip->kind != VPSDE_CLIP_NONE) {
            return vpsde_config_fail(c, "dynamic_threshold",
                                     "clip is given too; expected one of them");
        }
        clip->kind = VPSDE_CLIP_DYNAMIC;
        VPSDE_TRY(vpsde_config_section(&section, c, "dynamic_threshold"));
        VPSDE_TRY(
            vpsde_config_real(&clip->quantile, section, "quantile", quantile_default, tiny, 1));
        VPSDE_TRY(vpsde_config_real(&clip->min, section, "min", min_default, tiny, huge));
    }
    return VPSDE_OK;
}
