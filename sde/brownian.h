/* The virtual Brownian tree: each sample's own Brownian path on the b axis, with its space-time
 * Levy area, as a pure function of (seed, purpose, sample).
 *
 * The half line b >= 0 is cut into cells [2^-m-1, 2^-m) below 1 and [j, j + 1) above. Each cell has
 * a dyadic tree of VPSDE_BROWNIAN_DEPTH levels, and in its smallest intervals the exact law of the
 * path at any point given both ends. A query costs the levels of one tree and answers the same
 * whatever was asked before (the last way down is kept, to be shared, and changes no bit), so any
 * two solvers see the same path. Increments have the right joint law as long as no two queries fall
 * into one smallest interval, 4e-6 of its cell.
 *
 * Of a stretch [s, s + h]:  W = B(s + h) - B(s) ~ N(0, h),
 *     H = (1/h) int_0^h (B(s + r) - B(s) - (r/h) W) dr ~ N(0, h/12), independent of W.
 * Source: Li et al. 2020 (arXiv:2001.01328), section 4 (the tree); Foster, Lyons & Oberhauser 2020
 * (arXiv:1905.05161), H; Jelincic, Foster & Kidger 2024 (arXiv:2405.06464), bridges of (W, H). */
#ifndef VPSDE_SDE_BROWNIAN_H
#define VPSDE_SDE_BROWNIAN_H

#include <vpsde/noise.h>
#include <vpsde/process.h>

enum { VPSDE_BROWNIAN_DEPTH = 18, VPSDE_BROWNIAN_B_MAX = 8000 };

/* One worker's view of the paths of up to `rows` samples. Not for two threads at once. */
typedef struct vpsde_brownian vpsde_brownian;

vpsde_status vpsde_brownian_create(vpsde_brownian **out, size_t rows, size_t d);
void vpsde_brownian_destroy(vpsde_brownian *path); /* NULL is fine */

/* Turns to samples first .. first + n - 1, n <= rows. */
void vpsde_brownian_place(vpsde_brownian *path, uint64_t seed, vpsde_purpose purpose,
                          uint64_t first, size_t n);

/* The stretch from b_from down to b_to < b_from, b_from <= VPSDE_BROWNIAN_B_MAX, as reverse time
 * sees it: z = W / sqrt(h) and area = H / sqrt(h / 12), both (n, d); area may be NULL. Allocates
 * nothing. */
void vpsde_brownian_stretch(vpsde_brownian *path, double b_from, double b_to, double *z,
                            double *area);

#endif
