/* Inpainting (vpsde_inpaint), beside the steps of a chain. */
#ifndef VPSDE_SOLVERS_INPAINT_H
#define VPSDE_SOLVERS_INPAINT_H

#include "solvers/chain.h"

/* EINVAL for what cannot be run. */
vpsde_status vpsde_inpaint_check(const vpsde_sampling *run);

/* The stretch of steps that begins at node `from`: its last node and how often it is gone through. A step
 * to sigma = 0 is one of its own and taken once: it adds no noise, so that again and again it would
 * draw all rows to their mean. */
typedef struct vpsde_stretch {
    size_t to, passes;
} vpsde_stretch;
vpsde_stretch vpsde_inpaint_stretch(const vpsde_sampling *run, size_t from);

/* Stands the chain on node `from` of pass number `pass` over from .. to, whose noise is its own, with
 * the solver at its start. The chain is at `from` in pass 0, at `to` in all others: they go back up.
 * z (block->rows, d) is scratch, here and below. */
void vpsde_inpaint_enter(const vpsde_sampling *run, vpsde_chain *chain, size_t from, size_t to,
                         size_t pass, double *z);

/* Known components of the state <- the data's at node k. */
void vpsde_inpaint_replace(const vpsde_sampling *run, vpsde_chain *chain, size_t k, double *z);

/* Known components of the chain's state <- the data's. */
void vpsde_inpaint_finish(const vpsde_sampling *run, vpsde_chain *chain);

#endif
