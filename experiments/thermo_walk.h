/* Paths with their heat and work: the forward process from data and the reverse SDE by Euler-Maruyama
 * in b, on the nodes of a sampler's grid. Path i of the reverse kind is sample i of the solver
 * euler-maruyama.
 *
 * In the b clock the force f moves x by f/2 db + dw, at temperature 1. Forward f = -x: free relaxation in
 * E = |x|^2/2, no work. Reverse f = x + 2s = -x + f_c with the control force f_c = 2(x + s), s the model's
 * score: W = sum f_c o dx, Q = sum f o dx (heat to the bath), o the midpoint of the two ends' forces, so
 * that E' - E = W - Q holds step by step.
 *
 * Recorded paths are those that a sampler took, of any kernel N(mean, std^2), instead of simulated ones. */
#ifndef VPSDE_EXPERIMENTS_THERMO_WALK_H
#define VPSDE_EXPERIMENTS_THERMO_WALK_H

#include <vpsde/solver.h>

#include "analysis/thermo.h"
#include "experiments/thermo_record.h"

/* Of one path. NaN: not known, for want of log p. */
typedef enum vpsde_path_value {
    VPSDE_PATH_HEAT,
    VPSDE_PATH_WORK,
    VPSDE_PATH_ENERGY,    /* E at the end minus E at the start */
    VPSDE_PATH_FIRST_LAW, /* that minus (W - Q): round-off */
    VPSDE_PATH_ENTROPY,   /* -log p at the end minus that at the start */
    VPSDE_PATH_SIGMA, /* total entropy production: entropy + log kernel ratios of the same force */
    VPSDE_PATH_PRODUCED,   /* int 1/2 |x + s|^2 db */
    VPSDE_PATH_LOG_WEIGHT, /* log p_T(x_T) prod p(x_-|x_+)/q(x_+|x_-) */
    VPSDE_PATH_LOG_RATIO, /* R = log p(x_min) - log_weight: log density of the forward over the reverse
                              path */
    /* Of Sigma of a forward path: sum of (x + s) times what the step's cleaner end is off its mean given x.
     * Has mean 0 where the score is exact; what is left has the same mean and less spread. */
    VPSDE_PATH_MARTINGALE,
    VPSDE_N_PATH
} vpsde_path_value;

typedef struct vpsde_paths_spec {
    const vpsde_sampling *sampling; /* process, model, grid, seed, first, count, classes, threads,
                                       control */
    bool reverse;
    vpsde_record
        *record; /* reverse paths are those, forward ones are weighed by its kernels; or NULL */
    /* Of forward paths: path i starts at row first_row + i mod n_rows; source.read NULL: at an exact draw
     * of the model. */
    vpsde_row_source source;
    size_t first_row, n_rows;
    size_t probes; /* of the divergence where it is not known in closed form */
} vpsde_paths_spec;

typedef struct vpsde_paths {
    size_t n_nodes;                            /* of the grid, t = 0 left out */
    double *value[VPSDE_N_PATH];               /* (count) */
    uint8_t *status;                           /* (count) vpsde_row_status */
    vpsde_node_sums sums;                      /* of the paths that are fine */
    bool has_logp, has_divergence, has_kernel; /* has_kernel: log weights and ratios are known */
} vpsde_paths;

/* Nodes that paths have, t = 0 left out: its score is no longer a network's to tell. */
size_t vpsde_paths_nodes(const vpsde_grid *grid);

/* Paths of one block: of a network, the rows of one call. */
size_t vpsde_paths_rows(const vpsde_model *model);

/* All paths into *out, which vpsde_paths_close frees in any case. The table PATH gets their values.
 * EINVAL, ESTOPPED, what the sink returns; paths that fail are in `status`. */
vpsde_status vpsde_paths_run(vpsde_paths *out, const vpsde_paths_spec *spec, const char *path,
                             vpsde_sink *sink);
void vpsde_paths_close(vpsde_paths *paths);

/* ---- one worker's block ---------------------------------------------------------------------- */

typedef struct vpsde_walker vpsde_walker;

vpsde_status vpsde_walker_create(vpsde_walker **out, const vpsde_paths_spec *spec);
void vpsde_walker_destroy(vpsde_walker *walker); /* NULL is fine */
/* Does it ask the network at every node? A record may tell all there is to know. */
bool vpsde_walker_calls(const vpsde_walker *walker);
/* Paths first .. first + count - 1 of one block of the model's rows: their values from value[q][i] and
 * status[i] on, their observables into `sums`. */
vpsde_status vpsde_walker_run(vpsde_walker *walker, uint64_t first, size_t count,
                              double *const value[VPSDE_N_PATH], uint8_t *status,
                              vpsde_node_sums *sums);

#endif
