/* Grids that pick whole steps of a DDPM chain, as diffusers does. They place index 0 ... N - 1 at
 * t = (index + 1)/N; N is the chain's, 1000 for a continuous schedule. There n indices stand for n
 * steps and where the last one leads is implied; here node 0 is t_max, nodes 1 ... n - 1 are the
 * rule's and node n is t_min; where the rule itself ends there, last_step: euler goes on to the
 * data as the rule implies (sde/grid.c). */
#ifndef VPSDE_SDE_DDPM_INDEX_H
#define VPSDE_SDE_DDPM_INDEX_H

#include <vpsde/process.h>

/* N, and EINVAL when there are more steps than N - spare, all that the rule can place. */
vpsde_status vpsde_ddpm_chain(double *n_chain, const vpsde_process *process, size_t n_steps,
                              size_t spare, const char *grid);

#endif
