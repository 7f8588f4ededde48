/* What edit and inpaint share: every row of the data becomes a sample of the same index, by each solver of
 * the list, and is remembered beside it. */
#ifndef VPSDE_EXPERIMENTS_ROWS_TASK_H
#define VPSDE_EXPERIMENTS_ROWS_TASK_H

#include "experiments/job.h"

/* `use` puts rows x (count, d) of the data into the run. */
vpsde_status vpsde_rows_task(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run,
                             void (*use)(vpsde_sampling *run, const vpsde_setup *s,
                                         const double *x));

#endif
