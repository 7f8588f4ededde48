/* Thermodynamic length (Crooks 2007, arXiv:0706.0559; Sivak & Crooks 2012, arXiv:1201.4166): with the
 * metric g(b) = 1/2 E|I + H|_F^2 along the diffusion, L = int sqrt(g) db. A chain of steps
 * N(E[x_s | x_t], 1 - alpha_t^2/alpha_s^2) loses 1/2 sum (step's share of L)^2 of path KL to leading
 * order, L^2/(2N) at the least, which steps of equal length reach. */
#ifndef VPSDE_SDE_LENGTH_H
#define VPSDE_SDE_LENGTH_H

#include <vpsde/grid.h>

#include "sde/shares.h"

/* The length along b (n, decreasing) with the metric there; vpsde_shares_close() it. EINVAL. */
vpsde_status vpsde_length_open(vpsde_shares *length, size_t n, const double *b,
                               const double *metric);

/* Path KL of one step after another of the grid, to leading order, nats. A step to t = 0 does not count. */
double vpsde_length_path_kl(const vpsde_shares *length, const vpsde_grid *grid);

/* eta_sched = L^2 / (2 N path KL), at most 1, L and N of the same steps. */
double vpsde_length_efficiency(const vpsde_shares *length, const vpsde_grid *grid);

#endif
