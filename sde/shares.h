/* Equal shares of an integral over b, for grids that go by rates of the model.
 *
 * A density f(b) >= 0 known at nodes is integrated in lambda, where db = -2 sigma^2 dlambda keeps what the
 * rates of a diffusion have at both ends bounded, by the cubic with the values and three-point slopes
 * at the nodes; slopes within 3 g/h keep it from falling below 0 (Schmidt & Hess 1988), so that the
 * integral has an inverse. */
#ifndef VPSDE_SDE_SHARES_H
#define VPSDE_SDE_SHARES_H

#include <vpsde/process.h>

/* g = 2 sigma^2 f on the nodes, and its integral from the first to each. */
typedef struct vpsde_shares {
    size_t n;
    double *memory;
    double *lambda, *g, *slope, *sum; /* (n) */
} vpsde_shares;

/* f at b (n), 2 or more, decreasing; an f below 0 counts as 0. EINVAL, in the name of `grid`, for b that do
 * not decrease, f that is not finite, and an integral of 0. */
vpsde_status vpsde_shares_open(vpsde_shares *shares, const char *grid, size_t n, const double *b,
                               const double *f);
void vpsde_shares_close(vpsde_shares *shares);

/* The integral from the first node to lambda. */
double vpsde_shares_to(const vpsde_shares *shares, double lambda);

/* t (n_steps + 1), all but the ends, of equal shares of the integral. The n_b nodes span the process. */
vpsde_status vpsde_shares_place(double *t, size_t n_steps, const vpsde_process *process,
                                const char *grid, size_t n_b, const double *b, const double *f);

#endif
