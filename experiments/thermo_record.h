/* Paths that `vpsde sample` has stored: states at every node of the grid, the network's word there, and
 * each step's kernel N(mean, std^2), by log.times: all and log.fields: [x, eps, kernel]. */
#ifndef VPSDE_EXPERIMENTS_THERMO_RECORD_H
#define VPSDE_EXPERIMENTS_THERMO_RECORD_H

#include <vpsde/solver.h>

typedef struct vpsde_record {
    const char *solver; /* its name in the run */
    double *std;        /* (n_steps) */
    bool is_affine; /* mean = on_x x + on_eps eps in every step: the step looks at nothing else */
    double *on_x, *on_eps;  /* (n_steps) */
    size_t count, n_stored; /* samples; nodes of each */
    struct vpsde_record_parts *parts;
} vpsde_record;

/* What the samples of `label` in the run file PATH (NULL: of its first solver) lack for that, in words with
 * the keys to set: fresh memory, NULL when nothing. EDATA. */
vpsde_status vpsde_record_lacks(char **what, const char *path, const char *label);

/* The samples of `label`, which have to be those of `run`: its first `count`, its grid, model and classes.
 * EDATA. */
vpsde_status vpsde_record_open(vpsde_record **out, const char *path, const char *label,
                               const vpsde_sampling *run);
void vpsde_record_close(vpsde_record *record); /* NULL is fine */

/* Samples first .. first + n - 1: x, eps, mean (n, n_stored, d), status (n) vpsde_row_status. One caller at
 * a time reads. */
vpsde_status vpsde_record_read(vpsde_record *record, size_t first, size_t n, double *x, double *eps,
                               double *mean, uint8_t *status);

#endif
