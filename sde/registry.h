/* The tables named in sde/registry.def. */
#ifndef VPSDE_SDE_REGISTRY_H
#define VPSDE_SDE_REGISTRY_H

#include <vpsde/grid.h>
#include <vpsde/process.h>

#define VPSDE_SCHEDULE(name) extern const vpsde_schedule_type vpsde_schedule_##name;
#define VPSDE_GRID(name)     extern const vpsde_grid_type vpsde_grid_##name;
#include "sde/registry.def"
#undef VPSDE_SCHEDULE
#undef VPSDE_GRID

#endif
