#include "experiments/thermo_judges.h"

#include <stdlib.h>

#include "core/mem.h"

static size_t members(const vpsde_judges *j, size_t strata, size_t c)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++) n += j->sample[i] % strata == c;
    return n;
}

static size_t strata_of(const vpsde_judges *j, size_t n_classes)
{
    for (size_t c = 0; c < n_classes; c++) {
        if (members(j, n_classes, c) < 2) return 1;
    }
    return n_classes > 0 ? n_classes : 1;
}

static vpsde_status fill(vpsde_judges *j, size_t samples, size_t n_classes, uint64_t seed)
{
    const size_t longest = samples / 2, turn = n_classes < longest ? n_classes : longest;
    VPSDE_TRY(vpsde_alloc(&j->sample, samples, sizeof(*j->sample)));
    for (size_t i = 0; i < samples; i++) {
        if (i / (turn > 0 ? turn : 1) % 2 == 1) j->sample[j->n++] = i;
    }
    const size_t strata = strata_of(j, n_classes);
    VPSDE_TRY(vpsde_alloc(&j->resampling, strata, sizeof(vpsde_resampling *)));
    for (; j->n_strata < strata; j->n_strata++) {
        const size_t c = j->n_strata, n = members(j, strata, c);
        VPSDE_TRY(vpsde_resampling_create(&j->resampling[c], n, seed + c));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_judges_choose(vpsde_judges *j, size_t samples, size_t n_classes, uint64_t seed)
{
    *j = (vpsde_judges){.n = 0};
    const vpsde_status status = fill(j, samples, n_classes, seed);
    if (status != VPSDE_OK) vpsde_judges_close(j);
    return status;
}

void vpsde_judges_close(vpsde_judges *j)
{
    for (size_t c = 0; c < j->n_strata; c++) vpsde_resampling_destroy(j->resampling[c]);
    free(j->resampling);
    free(j->sample);
    *j = (vpsde_judges){.n = 0};
}

void vpsde_judges_deal(const vpsde_judges *j, size_t q, uint8_t *times)
{
    for (size_t c = 0; c < j->n_strata; c++) {
        const vpsde_resampling *r = j->resampling[c];
        size_t place = 0;
        for (size_t i = 0; i < j->n; i++) {
            if (j->sample[i] % j->n_strata != c) continue;
            times[j->sample[i]] = r->count[q * r->units + place++ % r->units];
        }
    }
}
