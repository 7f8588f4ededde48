/* One thread's block on its way through a grid: the state, the solver's scratch, the model's
 * workspace. Made once a worker, placed on one block after another. */
#ifndef VPSDE_SOLVERS_CHAIN_H
#define VPSDE_SOLVERS_CHAIN_H

#include "solvers/driver.h"
#include "solvers/guidance.h"

typedef struct vpsde_chain {
    vpsde_block block;
    vpsde_step step; /* step.x is the state (n, d) */
    vpsde_guidance guidance;
    const vpsde_grid *grid;
    const vpsde_solver_type *solver;
    const double *table;
    uint64_t seed;
    size_t origin; /* node of the grid that is the step's first */
    double *memory;
    double **w;
    uint8_t *status;
    int32_t *classes;
} vpsde_chain;

/* Buffers for `solver` on the run's model, process and grid; param and table are borrowed. */
vpsde_status vpsde_chain_create(vpsde_chain **out, const vpsde_sampling *run,
                                const vpsde_solver_type *solver, const double *param,
                                const double *table, const vpsde_noise_source *noise);

/* The path's increment over the step from node k, scaled, of the real rows: z (count, d). */
void vpsde_chain_increment(const vpsde_chain *chain, size_t k, double *z);
void vpsde_chain_destroy(vpsde_chain *chain); /* NULL is fine */

/* Makes nodes from .. to of the grid all that the solver knows of, so that it starts anew, with the noise
 * of `seed`: until the chain is placed. Nodes keep the grid's numbers here. */
void vpsde_chain_segment(vpsde_chain *chain, size_t from, size_t to, uint64_t seed);

/* Puts the chain on samples first .. first + count - 1, which lie in one block: zero state, clean
 * ledger. The caller fills vpsde_chain_rows() with start states. */
void vpsde_chain_place(vpsde_chain *chain, uint64_t first, size_t count);

/* The real rows of the state: (count, d). */
double *vpsde_chain_rows(vpsde_chain *chain);

/* Stands the step on node k (k <= n_steps), going nowhere yet. */
void vpsde_chain_stand(vpsde_chain *chain, size_t k);

/* From node k to k + 1. Rows that stop being finite are flagged and go on as zeros, in the state and
 * in the scratch buffers. */
vpsde_status vpsde_chain_step(vpsde_chain *chain, size_t k);

/* The network at the node and the state where the chain stands, for the log: sets *eps (n, d), flags no
 * row, and counts in block.calls_log until a step takes it over. The run logs eps or x0. */
vpsde_status vpsde_chain_peek(vpsde_chain *chain, const double **eps);

#endif
