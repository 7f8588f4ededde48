/* Nodes as given: n + 1 times that strictly decrease. */
#include "sde/registry.h"

const vpsde_grid_type vpsde_grid_user = {
    .name = "user",
    .source = "as given",
    .doc = "The times that you list, noise to data.",
    .takes_times = true,
};
