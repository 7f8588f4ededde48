/* A run file as the input of a job stands for its configuration and for what it holds. */
#ifndef VPSDE_EXPERIMENTS_WITH_RUN_H
#define VPSDE_EXPERIMENTS_WITH_RUN_H

#include "experiments/job.h"

/* Is the input a run file of that verb? No where it cannot be read, which is said later; ENOMEM. */
vpsde_status vpsde_input_is_run_of(bool *is, const vpsde_cli *cli, const char *verb);

/* The job with KEY=cli->input set, absolute, because the configuration lies inside the file. */
vpsde_status vpsde_job_run_with(const vpsde_job *job, const vpsde_cli *cli, const char *key);

#endif
