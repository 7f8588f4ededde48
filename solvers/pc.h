/* The frame of predictor-corrector methods: a predictor step from node k to k + 1, then Langevin
 * steps of one length e at node k + 1. A file each says how one of them goes. */
#ifndef VPSDE_SOLVERS_PC_H
#define VPSDE_SOLVERS_PC_H

#include "solvers/driver.h"

/* The correctors of one node, at s->next: x <- `steps` Langevin steps of length e from x. Scratch
 * is s->w[VPSDE_PC_SCRATCH] onwards. */
typedef vpsde_status (*vpsde_pc_correct)(vpsde_step *s, double e, unsigned steps);

enum { VPSDE_PC_SCRATCH = 3 }; /* the predictor's, from 0 */

extern const vpsde_param vpsde_pc_params[]; /* snr, corrector_steps, step, predictor */

vpsde_status vpsde_pc_step(vpsde_step *s, vpsde_pc_correct correct);

/* `prepare` of the solver: E|s|^2 where the step's length needs it. */
vpsde_status vpsde_pc_prepare(vpsde_pilot *pilot, double *table);

/* Network calls of a run with calls_before + corrector_steps calls for the correctors of a node
 * (none without correctors). */
size_t vpsde_pc_nfe(const double *param, const vpsde_grid *grid, size_t calls_before);

#endif
