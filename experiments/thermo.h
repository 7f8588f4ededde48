/* The parts of `vpsde thermo`: each announces its own tables under /thermo and fills them. */
#ifndef VPSDE_EXPERIMENTS_THERMO_H
#define VPSDE_EXPERIMENTS_THERMO_H

#include "experiments/job.h"

/* Heat, work, entropy and efficiencies along paths. */
vpsde_status vpsde_thermo_paths(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run);

/* The metric along the schedule, its length, and what each grid of so many steps wastes. */
vpsde_status vpsde_thermo_schedule(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run);

#endif
