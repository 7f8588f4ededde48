/* A table /runs/LABEL that is computed piece by piece: the columns of a sampling and further ones.
 * What encode and interpolate share; of a run of any length, no more than one piece is in
 * memory. */
#ifndef VPSDE_EXPERIMENTS_TASK_H
#define VPSDE_EXPERIMENTS_TASK_H

#include "experiments/cli.h"
#include "experiments/summary.h"

#include <vpsde/vpsde.h>

enum { VPSDE_TASK_OWN_MAX = 6, VPSDE_TASK_COLUMNS_MAX = 32 };

typedef struct vpsde_task {
    vpsde_sampling run;      /* the whole of it; init is not looked at, but whether there is one */
    const vpsde_column *own; /* (n_own) further columns; width 0: a state, as `final` */
    size_t n_own;
    size_t unit, work; /* rows that belong together, samples that they cost */
    /* Fills rows first .. first + n - 1: task->run's columns by vpsde_task_sample, its own by
     * hand. */
    vpsde_status (*compute)(struct vpsde_task *task, size_t first, size_t n);
    /* Optional: once the table is announced. Column e of its own is number n_columns + e there. */
    vpsde_status (*announced)(struct vpsde_task *task);
    void *context;

    /* for compute: column e of its own (n, width), and `final`, `nfe` of the sampling */
    void *own_data[VPSDE_TASK_OWN_MAX];
    const double *final;
    const int32_t *nfe;
    size_t n_columns; /* of the sampling */
    /* private */
    vpsde_sink *out;
    size_t piece; /* rows */
    void *data[VPSDE_TASK_COLUMNS_MAX];
    size_t row_bytes[VPSDE_TASK_COLUMNS_MAX];
    size_t staged; /* row that stands first in data */
    size_t done;   /* samples */
} vpsde_task;

/* Announces the table and fills it; pieces that `sink` has from before are not computed again.
 * Failed samples are no failure here: they are flagged in the column `status`. */
vpsde_status vpsde_task_run(vpsde_task *task, vpsde_sink *sink);

/* The samples of one piece, into the task's columns. */
vpsde_status vpsde_task_sample(vpsde_task *task, const vpsde_sampling *sampling);
/* Others that it needs: final states x (count, d), network calls nfe (count). */
vpsde_status vpsde_task_sample_into(vpsde_task *task, const vpsde_sampling *sampling, double *x,
                                    int32_t *nfe);

#endif
