#include "sde/registry.h"

#include <string.h>

static const vpsde_schedule_type *const schedules[] = {
#define VPSDE_SCHEDULE(name) &vpsde_schedule_##name,
#define VPSDE_GRID(name)
#include "sde/registry.def"
#undef VPSDE_SCHEDULE
#undef VPSDE_GRID
};

static const vpsde_grid_type *const grids[] = {
#define VPSDE_SCHEDULE(name)
#define VPSDE_GRID(name) &vpsde_grid_##name,
#include "sde/registry.def"
#undef VPSDE_SCHEDULE
#undef VPSDE_GRID
};

enum {
    N_SCHEDULES = sizeof(schedules) / sizeof(schedules[0]),
    N_GRIDS = sizeof(grids) / sizeof(grids[0])
};

const vpsde_schedule_type *vpsde_schedule_at(size_t index)
{
    return index < N_SCHEDULES ? schedules[index] : NULL;
}

const vpsde_schedule_type *vpsde_schedule_find(const char *name)
{
    for (size_t i = 0; i < N_SCHEDULES; i++) {
        if (strcmp(schedules[i]->name, name) == 0) return schedules[i];
    }
    return NULL;
}

const vpsde_grid_type *vpsde_grid_at(size_t index) { return index < N_GRIDS ? grids[index] : NULL; }

const vpsde_grid_type *vpsde_grid_find(const char *name)
{
    for (size_t i = 0; i < N_GRIDS; i++) {
        if (strcmp(grids[i]->name, name) == 0) return grids[i];
    }
    return NULL;
}
