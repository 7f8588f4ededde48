/* The half of the pilot samples that judges grids, and its resamples. */
#ifndef VPSDE_EXPERIMENTS_THERMO_JUDGES_H
#define VPSDE_EXPERIMENTS_THERMO_JUDGES_H

#include "analysis/bootstrap.h"

typedef struct vpsde_judges {
    size_t n, *sample; /* (n) their numbers */
    size_t
        n_strata; /* classes that are resampled each by itself; sample i is of stratum i mod that */
    vpsde_resampling **resampling; /* (n_strata) */
} vpsde_judges;

/* Every other turn of the classes (0: none) where two turns fit in the samples. Resamples take of each
 * class as many judges as there are, drawn from its own: how many a class has is no chance. Where one has
 * a single judge, which would never vary, they are drawn from all alike. */
vpsde_status vpsde_judges_choose(vpsde_judges *judges, size_t samples, size_t n_classes,
                                 uint64_t seed);
void vpsde_judges_close(vpsde_judges *judges); /* of a zeroed one too */

/* times[i] of every judge i: how often resample q < VPSDE_RESAMPLES takes it. */
void vpsde_judges_deal(const vpsde_judges *judges, size_t q, uint8_t *times);

#endif
