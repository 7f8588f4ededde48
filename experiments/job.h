/* Work that fills a run file and can be taken up again: what sample, likelihood, compare and
 * resume share. */
#ifndef VPSDE_EXPERIMENTS_JOB_H
#define VPSDE_EXPERIMENTS_JOB_H

#include "experiments/setup.h"
#include "experiments/summary.h"

typedef struct vpsde_job {
    const char *verb; /* as the run file names it */
    unsigned uses;    /* VPSDE_USES_* */
    /* Announces tables and fills them; asks the run's sink what is there already. */
    vpsde_status (*compute)(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run);
} vpsde_job;

extern const vpsde_job vpsde_job_sample, vpsde_job_likelihood, vpsde_job_elbo, vpsde_job_compare,
    vpsde_job_encode, vpsde_job_decode, vpsde_job_interpolate, vpsde_job_edit, vpsde_job_inpaint,
    vpsde_job_transport, vpsde_job_fokker_planck, vpsde_job_thermo;

/* Before and after each table that `compute` fills: where its rows go, counted on the way; and its
 * line on the terminal. `status` as vpsde_summary_status returns it. */
vpsde_sink vpsde_job_sink(vpsde_summary *summary, vpsde_run *run);
vpsde_status vpsde_job_tell(const vpsde_summary *summary, const vpsde_cli *cli, vpsde_status status,
                            bool heading);

/* All rows are through, failed ones included. */
bool vpsde_job_is_done(vpsde_status status);

/* The table of the section `elbo`: all of `elbo`, and one estimator of `likelihood`. */
vpsde_status vpsde_job_bound(vpsde_summary *summary, const vpsde_setup *s, const vpsde_cli *cli,
                             vpsde_run *run);

/* The job of a verb, or NULL. */
const vpsde_job *vpsde_job_find(const char *verb);
/* "sample, likelihood" */
const char *vpsde_job_names(void);

/* Starts cli->output and finishes it. What was computed is kept for `vpsde resume` when it does not
 * come to an end. */
vpsde_status vpsde_job_run(const vpsde_job *job, const vpsde_cli *cli);

/* Until vpsde_progress_read(), a signal ends the process: cli->output is begun and can be taken up. */
void vpsde_job_reads(const vpsde_cli *cli);

/* Finishes `run`, which it frees; cli->input is its configuration. */
vpsde_status vpsde_job_resume(const vpsde_job *job, const vpsde_cli *cli, vpsde_run *run);

#endif
