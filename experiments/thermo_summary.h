/* What follows from all paths: scalars, series in time, and the table on the terminal. */
#ifndef VPSDE_EXPERIMENTS_THERMO_SUMMARY_H
#define VPSDE_EXPERIMENTS_THERMO_SUMMARY_H

#include "experiments/thermo_walk.h"

enum { VPSDE_SCALARS_MAX = 32 };

/* An attribute of /thermo; those of vpsde_thermo_quantities are lines on the terminal too. */
typedef struct vpsde_scalar {
    const char *name;
    vpsde_estimate of; /* error NaN: has none of its own */
} vpsde_scalar;

typedef struct vpsde_thermo_summary {
    vpsde_scalar scalar[VPSDE_SCALARS_MAX];
    size_t n_scalars, n_failed;
    bool exact_delta_f;
} vpsde_thermo_summary;

/* ENUMERIC when no path of a kind came to its end. */
vpsde_status vpsde_thermo_summarise(vpsde_thermo_summary *out, const vpsde_paths *forward,
                                    const vpsde_paths *reverse, size_t count);

/* The tables /thermo, of the reverse paths and with the scalars, and /thermo/relaxation, of the forward
 * ones: one row a node of the grid. */
vpsde_status vpsde_thermo_write(vpsde_sink *sink, const vpsde_thermo_summary *summary,
                                const vpsde_sampling *run, const vpsde_paths *forward,
                                const vpsde_paths *reverse);

void vpsde_thermo_print(const vpsde_thermo_summary *summary);

#endif
