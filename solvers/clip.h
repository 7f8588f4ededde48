/* Clipping and thresholding of x0hat (vpsde_clip), row by row. */
#ifndef VPSDE_SOLVERS_CLIP_H
#define VPSDE_SOLVERS_CLIP_H

#include <vpsde/solver.h>

/* EINVAL for bounds that make no sense. */
vpsde_status vpsde_clip_check(const vpsde_clip *clip);

/* eps (d) of the row x (d) at c <- that of the clipped x0hat. Components whose x0hat stays keep
 * their bits, and so do rows that are not finite and all rows at sigma = 0. scratch (2 d). */
void vpsde_clip_row(const vpsde_clip *clip, const vpsde_coef *c, size_t d, const double *x,
                    double *eps, double *scratch);

#endif
