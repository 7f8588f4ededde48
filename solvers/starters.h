/* First steps of multistep methods: Runge-Kutta steps for dv/drho = eps, v = x/alpha,
 * rho = sigma/alpha, which put the early nodes as near the solution as the method's order needs.
 *
 * A p-step method of order p keeps it when its first nodes have local errors O(h^p): then p - 2
 * steps of order p - 1, and the (p-1)-step formula once. From p = 3 on that costs extra calls. */
#ifndef VPSDE_SOLVERS_STARTERS_H
#define VPSDE_SOLVERS_STARTERS_H

#include <vpsde/solver.h>

typedef struct vpsde_start {
    size_t steps; /* steps from the start of the run taken by Runge-Kutta */
    unsigned rk;  /* their order, 2 to 4, and network calls */
    bool mid_t;   /* stages inside the step stand evenly in t, not rho (PNDM's PRK) */
} vpsde_start;

enum { VPSDE_START_SCRATCH = 4 }; /* buffers of vpsde_rho_rk; one fewer below order 4 */

/* The cheapest start that keeps order p. */
vpsde_start vpsde_start_keep(size_t p);

/* Is this step a Runge-Kutta step of `start`? Never one that has to be of order 1. */
bool vpsde_start_has(const vpsde_start *start, const vpsde_step *s);

/* Network calls of a run with one call a step after this start. */
size_t vpsde_start_nfe(const vpsde_start *start, const vpsde_grid *grid);

/* x <- one Runge-Kutta step of order start->rk from node k to k + 1; eps is the network at node k.
 * Heun, Kutta's third-order rule or the classical one: rho-RK of Zhang & Chen 2022
 * (arXiv:2204.13902). */
vpsde_status vpsde_rho_rk(vpsde_step *s, const vpsde_start *start, const double *eps,
                          double *const *scratch);

#endif
